//! The root key as the settings name it.

use super::file_root::FileRoot;
use super::kms_guard::KmsGuard;
#[cfg(feature = "remote-kms")]
use super::remote_key::{self, RemoteKeyRefused};
#[cfg(feature = "hsm")]
use super::token_key::{self, TokenRefused};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::keys::Backend;
use crate::entropy::EntropySource;
use keys::kms::{Kms, MasterKeyError};
use std::path::PathBuf;
use std::sync::Arc;

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyRefused {
    /// The master key file.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: MasterKeyError,
    },
    /// The passphrase file.
    #[error("{path}: {cause}", path = path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: MasterKeyError,
    },
    /// The token.
    #[cfg(feature = "hsm")]
    #[error("keys.pkcs11: {0}")]
    Token(#[from] TokenRefused),
    /// The KMS over HTTP.
    #[cfg(feature = "remote-kms")]
    #[error(transparent)]
    Remote(#[from] RemoteKeyRefused),
    /// The settings want a back end that is not in this program.
    #[error("keys.backend: this program was built without it (feature {feature})")]
    NotBuilt {
        /// What it was to be built with.
        feature: &'static str,
    },
}

/// Opens the root key that the settings choose, behind its guard; makes it where there is none
/// and that is allowed.
///
/// Errors: [`MasterKeyRefused`].
pub async fn open_or_make(
    config: &Config,
    clock: &Clock,
    entropy: &EntropySource,
) -> Result<Arc<dyn Kms>, MasterKeyRefused> {
    let kms = open_or_make_bare(config, clock).await?;
    Ok(Arc::new(KmsGuard::new(kms, config.keys.deadline(), clock.clone(), entropy.clone())))
}

async fn open_or_make_bare(
    config: &Config,
    clock: &Clock,
) -> Result<Arc<dyn Kms>, MasterKeyRefused> {
    let not_built = |feature| Err(MasterKeyRefused::NotBuilt { feature });
    let keys = &config.keys;
    match keys.backend {
        Backend::File => Ok(Arc::new(FileRoot::open_or_make(config, clock).await?)),
        Backend::Pkcs11 => {
            #[cfg(feature = "hsm")]
            if let Some(token) = &keys.pkcs11 {
                return Ok(Arc::new(token_key::open(token, clock.now()).await?));
            }
            not_built("hsm")
        }
        Backend::Aws => {
            #[cfg(feature = "aws-kms")]
            if let Some(kms) = &keys.aws {
                return Ok(Arc::new(remote_key::open_aws(kms).await?));
            }
            not_built("aws-kms")
        }
        Backend::Vault => {
            #[cfg(feature = "vault")]
            if let Some(kms) = &keys.vault {
                return Ok(Arc::new(remote_key::open_vault(kms).await?));
            }
            not_built("vault")
        }
        Backend::Google => {
            #[cfg(feature = "google-kms")]
            if let Some(kms) = &keys.google {
                return Ok(Arc::new(remote_key::open_google(kms, clock).await?));
            }
            not_built("google-kms")
        }
    }
}
