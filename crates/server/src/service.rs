//! The running service: what every route and flow shares.

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::EntropySource;
use crate::front::attempts::Attempts;
use crate::front::password::Passwords;
use crate::home::{Home, HomeError};
use crate::regions::Regions;
use crate::vault::Checkpoints;
use crate::vault_link::VaultLink;
use edge::EdgeKey;
use model::Timestamp;
use playback::TokenKey;
use std::sync::Arc;
use store::Store;
use store::objects::Folder;

/// Everything the routes share.
pub struct Service {
    /// The settings.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// Random bytes.
    pub entropy: EntropySource,
    /// Rows.
    pub store: Store,
    /// Packages.
    pub objects: Folder,
    /// Signs and checks tokens.
    pub token_key: TokenKey,
    /// Signs and checks delivery passes.
    pub edge_key: EdgeKey,
    /// Signs the audit.
    pub checkpoints: Checkpoints,
    /// The way to licenses.
    pub vault: VaultLink,
    /// When the service started; playback tokens from before are spent.
    pub boot: Timestamp,
    /// Countries.
    pub regions: Regions,
    /// Sign-in tries.
    pub attempts: Attempts,
    /// Password checks.
    pub passwords: Passwords,
}

impl Service {
    /// Starts the service in its home.
    ///
    /// Errors: [`HomeError`].
    pub async fn start(home: Home) -> Result<Arc<Self>, HomeError> {
        let boot = home.store.raise_boot_mark(home.clock.now()).await?;
        let regions = regions(&home.config)?;
        Ok(Arc::new(Self {
            token_key: TokenKey::from_bytes(&home.secrets.token),
            edge_key: EdgeKey::from_bytes(&home.secrets.edge),
            vault: VaultLink::in_process(home.grant_key, home.vault),
            passwords: Passwords::new(&home.entropy),
            attempts: Attempts::default(),
            clock: home.clock,
            entropy: home.entropy,
            store: home.store,
            checkpoints: home.checkpoints,
            objects: home.objects,
            config: home.config,
            boot,
            regions,
        }))
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
