//! A package that grows: a live channel's. It is made out of sight like any other, and shown when
//! its first segment is there; from then on files come and go in their place.
//!
//! One process at a time has it: the title's folder, or the package's own outside the store, is
//! locked until this is dropped, and `kill -9` unlocks it.

use crate::OutFolder;
use crate::objects::{Folder, Staging, sync};
use model::{ContentId, PackageId};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A growing package.
#[derive(Debug)]
#[must_use]
pub struct LiveFolder {
    home: Home,
    place: Place,
    /// Of the title's folder in the store, or of the package outside it.
    lock: Option<File>,
}

/// Where it belongs.
#[derive(Debug)]
enum Home {
    Store { objects: Folder, content_id: ContentId },
    Out(PathBuf),
}

/// Where its files are.
#[derive(Debug)]
enum Place {
    /// Nothing was begun.
    Nowhere,
    /// Out of sight, in the store.
    Staged(Staging),
    /// Out of sight, beside a named folder.
    Filled(OutFolder),
    /// Where viewers find it.
    Shown(PathBuf),
}

impl LiveFolder {
    /// The growing package of a title in the store, or room for one.
    ///
    /// Errors: of the disk; [`ErrorKind::WouldBlock`] while another process has it.
    pub fn in_store(objects: &Folder, content_id: &ContentId) -> io::Result<Self> {
        let folder = objects.title(content_id)?;
        let lock = locked(&folder)?;
        let shown = objects.current(content_id)?;
        let place = shown.map_or(Place::Nowhere, Place::Shown);
        let home = Home::Store { objects: objects.clone(), content_id: content_id.clone() };
        Ok(Self { home, place, lock: Some(lock) })
    }

    /// The growing package in a named folder, or room for one.
    ///
    /// Errors: as [`Self::in_store`].
    pub fn in_folder(target: &Path) -> io::Result<Self> {
        let home = Home::Out(target.to_owned());
        if !target.is_dir() {
            return Ok(Self { home, place: Place::Nowhere, lock: None });
        }
        let lock = locked(target)?;
        Ok(Self { home, place: Place::Shown(target.to_owned()), lock: Some(lock) })
    }

    /// Reads a small file of the package that is there; nothing where there is none.
    ///
    /// Errors: of the disk; [`ErrorKind::FileTooLarge`] beyond `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Place::Shown(root) = &self.place else { return Ok(None) };
        let path = root.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() > limit => Err(ErrorKind::FileTooLarge.into()),
            Ok(_) => fs::read(&path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a new package out of sight, beside what is there.
    ///
    /// Errors: of [`Folder::stage`] and [`OutFolder::stage`].
    pub fn begin(&mut self, package: PackageId) -> io::Result<()> {
        self.place = match &self.home {
            Home::Store { objects, content_id } => {
                Place::Staged(objects.stage(content_id, package)?)
            }
            Home::Out(target) => Place::Filled(OutFolder::stage(target)?),
        };
        Ok(())
    }

    /// Where its files are now. Errors: [`ErrorKind::NotFound`] before it is begun.
    pub fn path(&self) -> io::Result<&Path> {
        match &self.place {
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
            Place::Staged(staging) => Ok(staging.path()),
            Place::Filled(out) => Ok(out.path()),
            Place::Shown(root) => Ok(root),
        }
    }

    /// Shows a package that was begun; one that is shown stays so. Viewers find it whole.
    ///
    /// Errors: of the disk.
    pub fn show(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Staged(staging) => staging.publish()?,
            Place::Filled(out) => out.publish()?,
            shown => {
                self.place = shown;
                return Ok(());
            }
        }
        let root = match &self.home {
            Home::Store { objects, content_id } => {
                objects.current(content_id)?.ok_or(ErrorKind::NotFound)?
            }
            Home::Out(target) => {
                self.lock = Some(locked(target)?);
                target.clone()
            }
        };
        self.place = Place::Shown(root);
        Ok(())
    }

    /// Removes files that nobody plays any more; those that are gone already are no fault.
    pub fn remove(&self, paths: &[String]) -> io::Result<()> {
        let root = self.path()?;
        for path in paths {
            match fs::remove_file(root.join(path)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Brings the names of the files in these folders of the package to the disk.
    pub fn sync_folders<'p>(&self, folders: impl Iterator<Item = &'p Path>) -> io::Result<()> {
        let root = self.path()?;
        for folder in folders {
            sync(&root.join(folder))?;
        }
        Ok(())
    }
}

fn locked(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film() -> ContentId {
        ContentId::parse("channel-1").unwrap()
    }

    fn put(folder: &LiveFolder, name: &str, text: &str) {
        fs::write(folder.path().unwrap().join(name), text).unwrap();
    }

    fn refused(result: io::Result<LiveFolder>) -> ErrorKind {
        result.map(drop).unwrap_err().kind()
    }

    #[test]
    fn a_channel_in_the_store_is_shown_late_and_goes_on_where_it_is() {
        let root = tempfile::tempdir().unwrap();
        let objects = Folder::open(&root.path().join("media")).unwrap();
        let mut folder = LiveFolder::in_store(&objects, &film()).unwrap();
        assert_eq!(folder.read("live.json", 9).unwrap(), None);
        folder.begin(PackageId::from_bytes([1; 16])).unwrap();
        put(&folder, "live.json", "one");
        assert!(objects.current(&film()).unwrap().is_none());
        folder.show().unwrap();
        folder.show().unwrap();
        put(&folder, "live.json", "two");
        put(&folder, "old", "");
        assert_eq!(refused(LiveFolder::in_store(&objects, &film())), ErrorKind::WouldBlock);
        folder.remove(&["old".to_owned(), "older".to_owned()]).unwrap();
        assert!(!folder.path().unwrap().join("old").exists());
        assert_eq!(objects.sweep().unwrap(), 0);
        drop(folder);
        let again = LiveFolder::in_store(&objects, &film()).unwrap();
        assert_eq!(again.read("live.json", 9).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(again.read("live.json", 2).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_channel_in_a_folder_is_locked_from_the_first_file_on() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        let mut folder = LiveFolder::in_folder(&target).unwrap();
        folder.begin(PackageId::from_bytes([1; 16])).unwrap();
        put(&folder, "package.json", "{}");
        let mut second = LiveFolder::in_folder(&target).unwrap();
        let other = second.begin(PackageId::from_bytes([2; 16])).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::WouldBlock);
        assert!(!target.exists());
        folder.show().unwrap();
        assert_eq!(refused(LiveFolder::in_folder(&target)), ErrorKind::WouldBlock);
        drop(folder);
        assert!(LiveFolder::in_folder(&target).unwrap().read("package.json", 9).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_is_no_package_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cat.jpg"), "cat").unwrap();
        let mut folder = LiveFolder::in_folder(root.path()).unwrap();
        let refused = folder.begin(PackageId::from_bytes([1; 16])).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    }
}
