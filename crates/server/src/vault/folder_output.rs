//! A folder as the packager's target.

use super::open_files::OpenFiles;
use super::source::FileInput;
use media::Input;
use media::package::{FileId, Output};
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// A folder as a target: nobody looks into it before it is published.
pub struct FolderOutput {
    root: PathBuf,
    open: OpenFiles<()>,
}

impl FolderOutput {
    /// Files will be made under `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), open: OpenFiles::default() }
    }
}

impl Output for FolderOutput {
    fn create(&mut self, path: &str) -> io::Result<FileId> {
        let path = self.root.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        self.open.insert(File::create_new(path)?, ())
    }

    fn append(&mut self, id: FileId, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.open.append(id, parts)
    }

    fn overwrite(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.open.overwrite(id, offset, bytes)
    }

    fn close(&mut self, id: FileId) -> io::Result<()> {
        self.open.take(id).map(drop)
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        Ok(Box::new(FileInput::open(&self.root.join(path))?))
    }
}
