//! A growing package as the packager's target: a file has its name when it is whole and on the
//! disk, and takes the place of one of that name at one stroke.

use super::super::open_files::OpenFiles;
use super::super::source::FileInput;
use media::Input;
use media::package::{FileId, Output};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// Files below a folder.
pub(super) struct LiveOutput {
    root: PathBuf,
    open: OpenFiles<Names>,
    /// Folders, below the root, with names that are not on the disk yet.
    touched: BTreeSet<PathBuf>,
}

/// Where a file is while it is written, and where it will be.
struct Names {
    place: PathBuf,
    name: PathBuf,
}

impl LiveOutput {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), open: OpenFiles::default(), touched: BTreeSet::new() }
    }

    /// The root is elsewhere from now on.
    pub fn move_to(&mut self, root: &Path) {
        root.clone_into(&mut self.root);
    }

    /// Writes a whole file.
    pub fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.create(path)?;
        self.append(file, &mut [IoSlice::new(bytes)])?;
        self.close(file)
    }

    /// Folders with names that are not on the disk yet, the root as the empty path.
    pub fn take_touched(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.touched)
    }
}

impl Output for LiveOutput {
    fn create(&mut self, path: &str) -> io::Result<FileId> {
        let name = self.root.join(path);
        let below = Path::new(path).parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(self.root.join(below))?;
        let mut place = std::ffi::OsString::from(".");
        place.push(name.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        place.push(".part");
        let place = name.with_file_name(place);
        let file = File::create(&place)?;
        self.touched.insert(below.to_owned());
        self.open.insert(file, Names { place, name })
    }

    fn append(&mut self, id: FileId, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.open.append(id, parts)
    }

    fn overwrite(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.open.overwrite(id, offset, bytes)
    }

    fn close(&mut self, id: FileId) -> io::Result<()> {
        let (file, Names { place, name }) = self.open.take(id)?;
        file.sync_all()?;
        fs::rename(place, name)
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        Ok(Box::new(FileInput::open(&self.root.join(path))?))
    }
}
