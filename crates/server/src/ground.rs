//! What every role stands on: settings, clock, random bytes, countries.

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::EntropySource;
use crate::home::HomeError;
use crate::regions::Regions;

/// What a process has whatever its role; the layers around every answer need no more.
pub struct Ground {
    /// The settings.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// Random bytes.
    pub entropy: EntropySource,
    /// Countries.
    pub regions: Regions,
}

/// The state of a role's routes.
pub trait Grounded: Sync {
    /// What the role stands on.
    fn ground(&self) -> &Ground;
}

impl Ground {
    /// Takes the parts and opens the country database that the settings name.
    ///
    /// Errors: [`HomeError::Regions`].
    pub fn new(config: Config, clock: Clock, entropy: EntropySource) -> Result<Self, HomeError> {
        let regions = regions(&config)?;
        Ok(Self { config, clock, entropy, regions })
    }
}

/// The configured database must be there; the one in the data folder may be.
fn regions(config: &Config) -> Result<Regions, HomeError> {
    let bundled = config.data.join("geo").join("country.mmdb");
    let path = match &config.region.database {
        Some(path) => path,
        None if bundled.is_file() => &bundled,
        None => {
            tracing::warn!("no country database: titles with a region rule are refused");
            return Ok(Regions::unknown());
        }
    };
    Regions::open(path).map_err(|cause| HomeError::Regions { path: path.clone(), cause })
}
