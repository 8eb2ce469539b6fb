//! A package in a folder that the operator named, outside the store.
//!
//! Filled beside its place as `.NAME.partial`, then renamed. A package that is there is moved
//! to `.NAME.replaced` first and removed last; killed in between, the next job puts it back.

use crate::objects::{sync, sync_tree};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The document that tells a package from any other folder.
const DOCUMENT: &str = "package.json";

/// A package being made for a named folder. Dropped before it is published, it is removed.
#[derive(Debug)]
#[must_use]
pub struct OutFolder {
    place: PathBuf,
    replaced: PathBuf,
    target: PathBuf,
    /// Locks the folder that is being filled, against a second job for the same target.
    _lock: File,
    is_done: bool,
}

impl OutFolder {
    /// Begins a package for `target`, which may be missing, empty, or an older package.
    ///
    /// Errors: of the disk; [`ErrorKind::AlreadyExists`] when something else is there,
    /// [`ErrorKind::WouldBlock`] when another job fills the same target.
    pub fn stage(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        let beside = |end: &str| {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(&name);
            hidden.push(end);
            target.with_file_name(hidden)
        };
        let (place, replaced) = (beside(".partial"), beside(".replaced"));
        if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        fs::create_dir(&place).or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })?;
        let lock = File::open(&place)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let staged =
            Self { place, replaced, target: target.to_owned(), _lock: lock, is_done: false };
        staged.clear_what_a_killed_job_left()?;
        if staged.is_taken()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(staged)
    }

    /// Where its files are made.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Moves the package to its place, whole and on the disk.
    pub fn publish(mut self) -> io::Result<()> {
        sync_tree(&self.place)?;
        if self.is_taken()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let is_replacing = self.target.join(DOCUMENT).try_exists()?;
        if is_replacing {
            fs::rename(&self.target, &self.replaced)?;
        }
        fs::rename(&self.place, &self.target)?;
        self.is_done = true;
        if is_replacing {
            fs::remove_dir_all(&self.replaced)?;
        }
        match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
            _ => sync(Path::new(".")),
        }
    }

    fn clear_what_a_killed_job_left(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.place)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        if self.replaced.try_exists()? {
            match self.target.try_exists()? {
                true => fs::remove_dir_all(&self.replaced)?,
                false => fs::rename(&self.replaced, &self.target)?,
            }
        }
        Ok(())
    }

    /// Whether the target is something that must not be replaced.
    fn is_taken(&self) -> io::Result<bool> {
        if !self.target.try_exists()? {
            return Ok(false);
        }
        if !self.target.is_dir() {
            return Ok(true);
        }
        let is_empty = fs::read_dir(&self.target)?.next().is_none();
        Ok(!is_empty && !self.target.join(DOCUMENT).try_exists()?)
    }
}

impl Drop for OutFolder {
    fn drop(&mut self) {
        if !self.is_done {
            // The best that can be done here; the next job for this target clears it.
            drop(fs::remove_dir_all(&self.place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(target: &Path, text: &str) -> io::Result<()> {
        let out = OutFolder::stage(target)?;
        fs::write(out.path().join(DOCUMENT), text)?;
        out.publish()
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| name(e).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_missing_an_empty_and_an_older_target_become_the_package() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/film");
        publish(&target, "one").unwrap();
        publish(&target, "two").unwrap();
        assert_eq!(fs::read_to_string(target.join(DOCUMENT)).unwrap(), "two");
        let empty = root.path().join("deep/empty");
        fs::create_dir(&empty).unwrap();
        publish(&empty, "three").unwrap();
        assert_eq!(names(&root.path().join("deep")), ["empty", "film"]);
    }

    #[test]
    fn a_job_that_ends_early_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        drop(OutFolder::stage(&root.path().join("film")).unwrap());
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn anything_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let photos = root.path().join("photos");
        fs::create_dir(&photos).unwrap();
        fs::write(photos.join("cat.jpg"), "cat").unwrap();
        let refused = OutFolder::stage(&photos).map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        let refused = OutFolder::stage(&photos.join("cat.jpg")).map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(names(&photos), ["cat.jpg"]);
    }

    #[test]
    fn two_jobs_do_not_fill_one_target() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("film");
        let first = OutFolder::stage(&target).unwrap();
        let second = OutFolder::stage(&target).map(drop).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::WouldBlock);
        drop(first);
        publish(&target, "one").unwrap();
    }

    #[test]
    fn what_a_killed_job_left_is_cleared_and_the_old_package_put_back() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("film");
        publish(&target, "one").unwrap();
        fs::rename(&target, root.path().join(".film.replaced")).unwrap();
        fs::create_dir(root.path().join(".film.partial")).unwrap();
        fs::write(root.path().join(".film.partial/half"), "half").unwrap();
        let out = OutFolder::stage(&target).unwrap();
        assert_eq!(fs::read_to_string(target.join(DOCUMENT)).unwrap(), "one");
        assert!(names(out.path()).is_empty());
    }
}
