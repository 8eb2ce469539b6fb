//! What a packaging job reads: a file, a file without a name, or an object at another place.
//!
//! Addresses are opened by the caller; nothing here asks a network for something new.

use media::Input;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Spool;
use store::remote::{RemoteObject, RemoteReader};

/// Bytes that are copied into a temporary file at once: what one request brings at most.
const PIECE: usize = 4 << 20;

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

    /// The source as a file that another program can read: one that is elsewhere is fetched into
    /// a file without a name. On a thread that may block.
    ///
    /// Errors: of the disk; of the place.
    pub fn local(&self, spool: &Spool) -> io::Result<File> {
        match self {
            Self::File(path) => File::open(path),
            Self::Spooled { file, .. } => file.try_clone(),
            Self::Remote(object) => {
                let mut file = spool.file()?;
                copy(&mut RemoteInput(object.reader()), &mut file)
                    .map_err(|error| spool.explain(error))?;
                file.rewind()?;
                Ok(file)
            }
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

fn copy(input: &mut dyn Input, file: &mut File) -> io::Result<()> {
    let (mut at, len) = (0, input.len());
    let mut piece = vec![0; PIECE];
    while at < len {
        let there = usize::try_from(len - at).unwrap_or(PIECE).min(PIECE);
        let piece = piece.get_mut(..there).unwrap_or_default();
        input.read_at(at, piece)?;
        file.write_all(piece)?;
        at += there as u64;
    }
    Ok(())
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
