//! A folder as the packager's target.

use super::source::FileInput;
use media::Input;
use media::package::{FileId, Output};
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A folder as a target: nobody looks into it before it is published.
pub struct FolderOutput {
    root: PathBuf,
    open: Vec<Option<File>>,
}

impl FolderOutput {
    /// Files will be made under `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), open: vec![] }
    }

    fn slot(&mut self, id: FileId) -> io::Result<&mut Option<File>> {
        let at = usize::try_from(id.0).map_err(|_| io::ErrorKind::NotFound)?;
        self.open.get_mut(at).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, id: FileId) -> io::Result<&mut File> {
        self.slot(id)?.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Output for FolderOutput {
    fn create(&mut self, path: &str) -> io::Result<FileId> {
        let path = self.root.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = File::create_new(path)?;
        let at = match self.open.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.open.push(None);
                self.open.len() - 1
            }
        };
        let id = FileId(u32::try_from(at).map_err(|_| io::ErrorKind::QuotaExceeded)?);
        *self.slot(id)? = Some(file);
        Ok(id)
    }

    fn append(&mut self, id: FileId, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let file = self.file(id)?;
        // Drops leading empty parts, so that "wrote nothing" means what it says.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match file.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut parts, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn overwrite(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(id)?.write_all_at(bytes, offset)
    }

    fn close(&mut self, id: FileId) -> io::Result<()> {
        self.slot(id)?.take().map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        Ok(Box::new(FileInput::open(&self.root.join(path))?))
    }
}
