//! The home of a service: its settings, secrets and stores, opened but not serving. The command
//! line works on a home; [`crate::Service`] runs in one.

use crate::cdns::{CdnError, Cdns};
use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::EntropySource;
use crate::front::issuers::ClientError;
use crate::secrets::{self, SecretError};
use crate::vault::{Checkpoints, Vault, VaultError};
use model::{Plan, PlanName};
use playback::log_seal::LogKey;
use playback::{GrantKey, TicketKey, TokenKey};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use store::objects::Folder;
use store::{Store, StoreError};
use zeroize::Zeroizing;

/// The plan of accounts that name none: every title, this many streams.
const DEFAULT_PLAN: (&str, u32) = ("standard", 4);

/// An opened home.
pub struct Home {
    /// The settings.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// Random bytes.
    pub entropy: EntropySource,
    /// Front's and edge's secrets.
    pub secrets: Secrets,
    /// Rows.
    pub store: Store,
    /// Packages.
    pub objects: Folder,
    /// Signs the audit.
    pub checkpoints: Checkpoints,
    /// Keys and licenses.
    pub vault: Arc<Vault>,
    /// What front and vault share.
    pub grant_key: Arc<GrantKey>,
}

/// Secrets of front and edge.
pub struct Secrets {
    /// Signs tokens.
    pub token: Zeroizing<[u8; 32]>,
    /// Signs delivery passes.
    pub edge: Zeroizing<[u8; 32]>,
    /// Seals logs of players.
    pub log: Zeroizing<[u8; 32]>,
    /// Seals device tickets.
    pub ticket: Zeroizing<[u8; 32]>,
}

impl Secrets {
    /// The key that signs tokens.
    #[must_use]
    pub fn token_key(&self) -> TokenKey {
        TokenKey::from_bytes(&self.token)
    }

    /// The key that seals logs of players.
    #[must_use]
    pub fn log_key(&self) -> LogKey {
        LogKey::from_bytes(&self.log)
    }

    /// The key that seals device tickets.
    #[must_use]
    pub fn ticket_key(&self) -> TicketKey {
        TicketKey::from_bytes(&self.ticket)
    }
}

/// Why a home does not open.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A folder cannot be made.
    #[error("{path}: {cause}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A secret is not usable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// An identity provider.
    #[error("issuer {url}: {cause}")]
    Issuer {
        /// The issuer.
        url: String,
        /// What is wrong with its settings.
        cause: ClientError,
    },
    /// A CDN's key.
    #[error("cdn: {0}")]
    Cdn(#[from] CdnError),
    /// The country database.
    #[error("country database {path}: {cause}", path = path.display())]
    Regions {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: io::Error,
    },
}

impl Home {
    /// Opens the home that the settings name, made on first use.
    ///
    /// Errors: [`HomeError`].
    pub async fn open(config: &Config) -> Result<Self, HomeError> {
        Self::open_with(config, Clock::System, EntropySource::system()).await
    }

    /// Opens a home with a clock and a source of random bytes of the caller's.
    ///
    /// Errors: [`HomeError`].
    pub async fn open_with(
        config: &Config,
        clock: Clock,
        entropy: EntropySource,
    ) -> Result<Self, HomeError> {
        let folder = config.secrets_folder();
        secrets::make_folder(&config.data)?;
        secrets::make_folder(&folder)?;
        let secrets = Secrets {
            token: secrets::load_or_make(&folder, "token", &entropy)?,
            edge: secrets::load_or_make(&folder, "edge", &entropy)?,
            log: secrets::load_or_make(&folder, "session-log", &entropy)?,
            ticket: secrets::load_or_make(&folder, "ticket", &entropy)?,
        };
        let grant_key = secrets::load_or_make(&folder, "grant", &entropy)?;
        let grant_key = Arc::new(GrantKey::from_bytes(&grant_key));
        let store = Store::open(&config.database_url()).await?;
        let signing = secrets::load_or_make(&folder, "audit", &entropy)?;
        let checkpoints = Checkpoints::new(store.clone(), &signing);
        seed_default_plan(&store).await?;
        let path = config.media_folder();
        let objects = Folder::open(&path).map_err(|cause| HomeError::Folder { path, cause })?;
        let vault =
            Vault::open(config, store.clone(), Arc::clone(&grant_key), &clock, &entropy).await?;
        let config = config.clone();
        let vault = Arc::new(vault);
        Ok(Self { config, clock, entropy, secrets, store, objects, checkpoints, vault, grant_key })
    }

    /// Reads the keys of the CDNs, ready to sign.
    ///
    /// Errors: [`HomeError::Cdn`].
    pub fn cdns(&self) -> Result<Cdns, HomeError> {
        Ok(Cdns::open(&self.config, &self.secrets.edge)?)
    }

    /// The files that hold the service's secrets, for a search for leaks.
    ///
    /// Errors: what the system says.
    pub fn secret_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = vec![];
        for entry in std::fs::read_dir(self.config.secrets_folder())? {
            files.push(entry?.path().canonicalize()?);
        }
        Ok(files)
    }
}

async fn seed_default_plan(store: &Store) -> Result<(), StoreError> {
    let (name, max_streams) = DEFAULT_PLAN;
    let name = PlanName::parse(name).expect("a plain name");
    match store.plan(&name).await? {
        Some(_) => Ok(()),
        None => {
            let (max_offline, max_devices) = (Plan::MAX_OFFLINE, Plan::MAX_DEVICES);
            let plan =
                Plan { name, includes_streaming: true, max_streams, max_offline, max_devices };
            store.put_plan(&plan).await
        }
    }
}
