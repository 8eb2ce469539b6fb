//! A growing package as the packager's target: a file has its name when it is whole and on the
//! disk, and takes the place of one of that name at one stroke.

use super::super::source::FileInput;
use media::Input;
use media::package::{FileId, Output};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Files below a folder.
pub(super) struct LiveOutput {
    root: PathBuf,
    open: Vec<Option<Open>>,
    /// Folders, below the root, with names that are not on the disk yet.
    touched: BTreeSet<PathBuf>,
}

/// A file that is being written.
struct Open {
    file: File,
    place: PathBuf,
    name: PathBuf,
}

impl LiveOutput {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), open: Vec::new(), touched: BTreeSet::new() }
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

    fn slot(&mut self, id: FileId) -> io::Result<&mut Option<Open>> {
        let at = usize::try_from(id.0).map_err(|_| io::ErrorKind::NotFound)?;
        self.open.get_mut(at).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, id: FileId) -> io::Result<&mut File> {
        let open = self.slot(id)?.as_mut().ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut open.file)
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
        let open = Open { file: File::create(&place)?, place, name };
        self.touched.insert(below.to_owned());
        let at = match self.open.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.open.push(None);
                self.open.len() - 1
            }
        };
        let id = FileId(u32::try_from(at).map_err(|_| io::ErrorKind::QuotaExceeded)?);
        *self.slot(id)? = Some(open);
        Ok(id)
    }

    fn append(&mut self, id: FileId, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let file = self.file(id)?;
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
        let open = self.slot(id)?.take().ok_or(io::ErrorKind::NotFound)?;
        open.file.sync_all()?;
        fs::rename(open.place, open.name)
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        Ok(Box::new(FileInput::open(&self.root.join(path))?))
    }
}
