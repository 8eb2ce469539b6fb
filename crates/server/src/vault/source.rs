//! What a packaging job reads: a file, a file without a name, or an object at another place.
//!
//! Addresses are opened by the caller; nothing here asks a network for something new.

use media::Input;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::remote::{RemoteObject, RemoteReader};

/// A source of a job.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file of the system's.
    File(PathBuf),
    /// A file that has no name: what came from a pipe, or out of another program.
    Spooled {
        /// What the user called it.
        name: String,
        /// Its bytes.
        file: Arc<File>,
    },
    /// An object that the caller found.
    Remote(RemoteObject),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl Source {
    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Spooled { name, .. } => name.clone(),
            Self::Remote(object) => object.name(),
        }
    }

    /// Opens it for reading, on a thread that may block.
    ///
    /// Errors: of the disk; [`io::ErrorKind::InvalidInput`] for what is no regular file.
    pub fn open(&self) -> io::Result<Box<dyn Input>> {
        Ok(match self {
            Self::File(path) => Box::new(FileInput::open(path)?),
            Self::Spooled { file, .. } => Box::new(FileInput::new(file.try_clone()?)?),
            Self::Remote(object) => Box::new(RemoteInput(object.reader())),
        })
    }
}

/// A file as a source.
pub struct FileInput {
    file: File,
    len: u64,
}

impl FileInput {
    /// Opens a regular file. Errors: of the disk; [`io::ErrorKind::InvalidInput`] for anything
    /// else, which has no length to rely on.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Takes a regular file that is open. Errors: as [`Self::open`].
    pub fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { len: metadata.len(), file })
    }
}

impl Input for FileInput {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

/// An object as a source.
pub(super) struct RemoteInput(pub RemoteReader);

impl Input for RemoteInput {
    fn len(&self) -> u64 {
        self.0.size_bytes()
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }
}
