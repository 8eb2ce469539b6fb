//! The root key as the settings name it.

use super::kms_guard::KmsGuard;
#[cfg(feature = "hsm")]
use super::token_key::{self, TokenRefused};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::keys::Backend;
use crate::entropy::EntropySource;
use keys::kms::{FileKms, Kms, MasterKeyError, Passphrase, Sealing};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

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
    /// The settings want a token, which needs the feature `hsm`.
    #[cfg(not(feature = "hsm"))]
    #[error("keys.backend: this program was built without PKCS#11 (feature hsm)")]
    NoTokens,
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
    let kms = open_or_make_bare(config).await?;
    Ok(Arc::new(KmsGuard::new(kms, config.keys.deadline(), clock.clone(), entropy.clone())))
}

async fn open_or_make_bare(config: &Config) -> Result<Arc<dyn Kms>, MasterKeyRefused> {
    match config.keys.backend {
        Backend::File => Ok(Arc::new(open_or_make_in_file(config).await?)),
        #[cfg(feature = "hsm")]
        Backend::Pkcs11 => {
            let token = config.keys.pkcs11.as_ref().ok_or(TokenRefused::Settings)?;
            Ok(Arc::new(token_key::open(token).await?))
        }
        #[cfg(not(feature = "hsm"))]
        Backend::Pkcs11 => Err(MasterKeyRefused::NoTokens),
    }
}

async fn open_or_make_in_file(config: &Config) -> Result<FileKms, MasterKeyRefused> {
    let (file, passphrase_file) = (config.master_file(), config.keys.passphrase_file.clone());
    // A passphrase costs time by design: not on the reactor.
    tokio::task::spawn_blocking(move || {
        let passphrase = passphrase_file.as_deref().map(read_passphrase).transpose()?;
        let sealing = passphrase.as_ref().map_or(Sealing::Permissions, Sealing::Passphrase);
        open_or_make_file(&file, sealing)
            .map_err(|cause| MasterKeyRefused::File { path: file, cause })
    })
    .await
    .expect("opening a file does not panic")
}

fn open_or_make_file(file: &Path, sealing: Sealing<'_>) -> Result<FileKms, MasterKeyError> {
    match FileKms::open_file(file, sealing) {
        Err(MasterKeyError::File(error)) if error.kind() == io::ErrorKind::NotFound => {
            match FileKms::create_file(file, sealing) {
                // Another process was first.
                Err(MasterKeyError::File(error))
                    if error.kind() == io::ErrorKind::AlreadyExists =>
                {
                    FileKms::open_file(file, sealing)
                }
                outcome => outcome,
            }
        }
        outcome => outcome,
    }
}

/// The file's text without the line end that editors add.
fn read_passphrase(path: &Path) -> Result<Passphrase, MasterKeyRefused> {
    let refuse = |cause| MasterKeyRefused::Passphrase { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| refuse(error.into()))?;
    let line = Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned());
    Passphrase::parse(line).map_err(refuse)
}
