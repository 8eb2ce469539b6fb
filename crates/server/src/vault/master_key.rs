//! The root key as the settings name it.

use crate::config::Config;
use keys::kms::{FileKms, MasterKeyError, Passphrase, Sealing};
use std::io;
use std::path::{Path, PathBuf};
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
}

/// Opens the master key file; makes it where there is none.
///
/// Errors: [`MasterKeyRefused`].
pub async fn open_or_make(config: &Config) -> Result<FileKms, MasterKeyRefused> {
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
