//! Where the CDM keeps what outlives it: one sealed file, written whole or not at all, by one
//! process at a time.

use anyhow::{Context as _, anyhow, bail};
use cdm::{MAX_STATE_BYTES, Origin};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long the process before may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file of sealed state, and for whom it is opened.
pub struct Keeping {
    file: PathBuf,
    /// The app's origin.
    pub origin: Origin,
    /// Locked as long as this lives.
    _lock: File,
}

impl Keeping {
    /// Takes the file for this process alone.
    ///
    /// Errors: where another process has it and does not let it go.
    pub fn open(file: &Path, origin: &str) -> anyhow::Result<Self> {
        let origin = Origin::parse(origin).with_context(|| format!("{origin} is no origin"))?;
        let lock = whole_path(file, "lock");
        let about = || lock.display().to_string();
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let open = options.open(&lock).with_context(about)?;
        if take(&open, PATIENCE).with_context(about)? {
            return Ok(Self { file: file.to_owned(), origin, _lock: open });
        }
        bail!("{}: another CDM has it", file.display())
    }

    /// What was kept; `None` where nothing was.
    pub fn read(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let about = || self.file.display().to_string();
        let file = match File::open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(about)?,
        };
        let mut state = vec![];
        let most = u64::try_from(MAX_STATE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(&mut state).with_context(about)?;
        Ok(Some(state))
    }

    /// Keeps a state.
    pub fn write(&self, state: &[u8]) -> anyhow::Result<()> {
        write_whole(&self.file, state)
    }
}

/// Locks a file for this process, waiting for as long as that may take; whether it is locked.
///
/// Errors: the system's.
#[expect(clippy::disallowed_methods, reason = "how long a process has waited for another")]
pub fn take(lock: &File, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn whole_path(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    file.with_file_name(name)
}

/// Writes a file whole or not at all, for its owner alone, and durably.
///
/// Errors: the system's; the file then is what it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let aside = whole_path(path, "new");
    let folder = path.parent().ok_or_else(|| anyhow!("{}: no file", path.display()))?;
    let written = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(folder)?.sync_all()
    };
    written().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_there_whole_and_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("licenses");
        let keeping = Keeping::open(&file, "https://video.example").unwrap();
        assert_eq!(keeping.read().unwrap(), None);
        keeping.write(b"one").unwrap();
        // What a process that was killed left beside is no state.
        fs::write(folder.path().join("licenses.new"), b"ha").unwrap();
        assert_eq!(keeping.read().unwrap().as_deref(), Some(&b"one"[..]));
        keeping.write(b"two").unwrap();
        drop(keeping);
        let again = Keeping::open(&file, "https://video.example").unwrap();
        assert_eq!(again.read().unwrap().as_deref(), Some(&b"two"[..]));
        assert!(Keeping::open(&file, "video.example").is_err(), "no origin");
    }
}
