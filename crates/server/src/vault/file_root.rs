//! The root key in a file, as a running service holds it: rotated by one process, the file is read
//! again by the others.

use super::MasterKeyRefused;
use crate::clock::Clock;
use crate::config::Config;
use keys::kms::{FileKms, Kms, KmsError, KmsFuture, MasterKeyError, Passphrase, RootKey, Sealing};
use keys::{Kek, KekContext};
use model::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// A root key in a file.
pub struct FileRoot {
    place: Place,
    read: Mutex<Read>,
}

/// Where the file is, and what opens it.
#[derive(Clone)]
struct Place {
    file: PathBuf,
    passphrase_file: Option<PathBuf>,
}

/// What was read, and from which state of the file.
struct Read {
    kms: Arc<FileKms>,
    state: Option<State>,
}

/// Tells one state of a file from another: a rotation puts another file in its place.
type State = (u64, u64);

impl FileRoot {
    /// Opens the file that the settings name; makes it where there is none.
    ///
    /// Errors: [`MasterKeyRefused`].
    pub async fn open_or_make(config: &Config, clock: &Clock) -> Result<Self, MasterKeyRefused> {
        let (file, passphrase_file) = (config.master_file(), config.keys.passphrase_file.clone());
        let place = Place { file, passphrase_file };
        let now = clock.now();
        let read = place.clone().apart(move |place, sealing| open_or_make(place, sealing, now));
        Ok(Self { place, read: Mutex::new(read.await?) })
    }

    /// The newest state of the file.
    ///
    /// Errors: [`KmsError::Unavailable`] when there is another file that does not open.
    async fn newest(&self) -> Result<Arc<FileKms>, KmsError> {
        let state = state_of(&self.place.file);
        {
            let read = self.read();
            if state.is_none() || state == read.state {
                return Ok(Arc::clone(&read.kms));
            }
        }
        let read = self.place.clone().apart(open).await.map_err(|error| {
            tracing::error!(%error, "the master key file has changed and does not open");
            KmsError::Unavailable
        })?;
        let kms = Arc::clone(&read.kms);
        *self.read() = read;
        Ok(kms)
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        // Nothing in here panics half way.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A passphrase costs time by design: not on the reactor.
    async fn apart<T: Send + 'static>(
        self,
        work: impl FnOnce(&Path, Sealing<'_>) -> Result<T, MasterKeyError> + Send + 'static,
    ) -> Result<T, MasterKeyRefused> {
        tokio::task::spawn_blocking(move || {
            let passphrase = self.passphrase_file.as_deref().map(read_passphrase).transpose()?;
            let sealing = passphrase.as_ref().map_or(Sealing::Permissions, Sealing::Passphrase);
            work(&self.file, sealing)
                .map_err(|cause| MasterKeyRefused::File { path: self.file, cause })
        })
        .await
        .expect("opening a file does not panic")
    }
}

impl Kms for FileRoot {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(async move { self.newest().await?.wrap(kek, context).await })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(async move {
            let known = Arc::clone(&self.read().kms);
            let kms = if known.knows(wrapped) { known } else { self.newest().await? };
            #[expect(clippy::disallowed_methods, reason = "the port in front of the port")]
            let opening = kms.unwrap(wrapped, context);
            opening.await
        })
    }

    fn root_key(&self) -> RootKey {
        self.read().kms.root_key()
    }

    fn rotate(&self, now: Timestamp) -> KmsFuture<'_, RootKey> {
        Box::pin(async move {
            let rotated = self.place.clone().apart(move |file, sealing| {
                let kms = Arc::new(FileKms::rotate_file(file, sealing, now)?);
                Ok(Read { kms, state: state_of(file) })
            });
            let read = rotated.await.map_err(|error| {
                tracing::error!(%error, "the root key is not rotated");
                KmsError::Refused
            })?;
            *self.read() = read;
            Ok(self.root_key())
        })
    }

    fn name(&self) -> &'static str {
        "file"
    }
}

fn state_of(file: &Path) -> Option<State> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(file).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn open(file: &Path, sealing: Sealing<'_>) -> Result<Read, MasterKeyError> {
    // Asked before it is read: should it change in between, it is read once more.
    let state = state_of(file);
    Ok(Read { kms: Arc::new(FileKms::open_file(file, sealing)?), state })
}

fn open_or_make(file: &Path, sealing: Sealing<'_>, now: Timestamp) -> Result<Read, MasterKeyError> {
    match open(file, sealing) {
        Err(MasterKeyError::File(error)) if error.kind() == io::ErrorKind::NotFound => {
            match FileKms::create_file(file, sealing, now) {
                // Another process was first.
                Err(MasterKeyError::File(error))
                    if error.kind() == io::ErrorKind::AlreadyExists => {}
                outcome => drop(outcome?),
            }
            open(file, sealing)
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
