//! Packages in a local folder: filled out of sight, published at one stroke, read by range.
//!
//! ```text
//! ROOT/CONTENT/PACKAGE/…       a whole package, never changed
//! ROOT/CONTENT/current         symbolic link that names the package to serve
//! ROOT/.staging/PACKAGE/…      a package being made
//! ROOT/.staging/PACKAGE.lock   held by the process that makes it
//! ROOT/.staging/.guard         held for a moment by whoever moves or sweeps
//! ```
//!
//! Everything here blocks on the disk: an async caller goes through its blocking pool.

use model::{ContentId, ObjectPath, PackageId};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Where packages lie.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Canonical, so that a path under it that is canonical too has no symbolic link in it.
    root: PathBuf,
}

impl Folder {
    /// Opens the folder and makes it where it is missing.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(STAGING))?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// Begins a package of a title. Nobody sees it before [`Staging::publish`].
    ///
    /// Errors: of the disk; [`ErrorKind::AlreadyExists`] when the package is there or is being
    /// made.
    pub fn stage(&self, content_id: &ContentId, package: PackageId) -> io::Result<Staging> {
        let _guard = self.guard()?;
        let target = self.root.join(content_id.as_str()).join(package.to_string());
        if target.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let lock_path = self.staging().join(format!("{package}{LOCK}"));
        let lock = OpenOptions::new().write(true).create_new(true).open(&lock_path)?;
        lock.lock()?;
        let place = self.staging().join(package.to_string());
        let staging =
            Staging { folder: self.clone(), place, target, lock_path, _lock: lock, is_done: false };
        fs::create_dir(&staging.place)?;
        Ok(staging)
    }

    /// The folder of a title, made where it is missing.
    pub(crate) fn title(&self, content_id: &ContentId) -> io::Result<PathBuf> {
        let folder = self.root.join(content_id.as_str());
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The folder of the title's current package.
    pub(crate) fn current(&self, content_id: &ContentId) -> io::Result<Option<PathBuf>> {
        let content = self.root.join(content_id.as_str());
        let package = current_package(&content)?;
        Ok(package.map(|package| content.join(package.to_string())))
    }

    /// An object of the title's current package. None: there is no such title, package or file.
    ///
    /// A symbolic link on the way is as good as no file: packages have none.
    pub fn object(&self, content_id: &ContentId, path: &ObjectPath) -> io::Result<Option<Object>> {
        let content = self.root.join(content_id.as_str());
        let Some(package) = current_package(&content)? else { return Ok(None) };
        let full = content.join(package.to_string()).join(path.as_str());
        if present(full.canonicalize())?.is_none_or(|canonical| canonical != full) {
            return Ok(None);
        }
        let Some(file) = present(File::open(&full))? else { return Ok(None) };
        let metadata = file.metadata()?;
        let size_bytes = metadata.len();
        Ok(metadata.is_file().then_some(Object { file, size_bytes }))
    }

    /// Removes what no reader can reach: packages whose maker died, and packages that another
    /// one has replaced. Returns how many. For the start of the service; other processes may
    /// be making packages meanwhile.
    pub fn sweep(&self) -> io::Result<usize> {
        let _guard = self.guard()?;
        let mut removed = 0;
        for name in names(&self.staging())? {
            // The lock is there before the package and goes after it.
            let Some(package) = name.strip_suffix(LOCK) else { continue };
            let lock_path = self.staging().join(&name);
            if is_held(&lock_path)? {
                continue;
            }
            present(fs::remove_dir_all(self.staging().join(package)))?;
            fs::remove_file(lock_path)?;
            removed += 1;
        }
        for title in names(&self.root)? {
            // Only what we named ourselves; the staging area's name is no content id.
            if ContentId::parse(&title).is_ok() {
                removed += sweep_title(&self.root.join(title))?;
            }
        }
        Ok(removed)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn staging(&self) -> PathBuf {
        self.root.join(STAGING)
    }

    /// Keeps other processes from staging, publishing and sweeping until it is dropped.
    fn guard(&self) -> io::Result<File> {
        let path = self.staging().join(".guard");
        let guard = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        guard.lock()?;
        Ok(guard)
    }
}

/// A package being made. Dropped before it is published, it is removed; after `kill -9` the
/// next [`Folder::sweep`] removes it.
#[derive(Debug)]
#[must_use]
pub struct Staging {
    folder: Folder,
    /// Where its files are: in the staging area, after the move at `target`.
    place: PathBuf,
    target: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    is_done: bool,
}

impl Staging {
    /// Creates an object, to be written and read back by the caller.
    ///
    /// Errors: of the disk; [`ErrorKind::AlreadyExists`] for the second one of a name.
    pub fn create(&self, path: &ObjectPath) -> io::Result<File> {
        let full = self.place.join(path.as_str());
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent)?;
        }
        OpenOptions::new().read(true).write(true).create_new(true).open(full)
    }

    /// Where its files are made, for a writer that makes them itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Makes the package the current one of its title. It is on the disk, whole, before anyone
    /// can see it; whoever reads the old package meanwhile reads on.
    pub fn publish(mut self) -> io::Result<()> {
        sync_tree(&self.place)?;
        let content = self.target.parent().ok_or(ErrorKind::InvalidInput)?.to_owned();
        let _guard = self.folder.guard()?;
        fs::create_dir_all(&content)?;
        fs::rename(&self.place, &self.target)?;
        self.place.clone_from(&self.target);
        let package = self.target.file_name().ok_or(ErrorKind::InvalidInput)?;
        let link = content.join(".next");
        present(fs::remove_file(&link))?;
        std::os::unix::fs::symlink(package, &link)?;
        sync(&content)?;
        fs::rename(&link, content.join(CURRENT))?;
        self.is_done = true;
        sync(&content)?;
        sync(&self.folder.root)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The best that can be done here; what stays behind is found by the next sweep.
        if !self.is_done {
            drop(fs::remove_dir_all(&self.place));
        }
        drop(fs::remove_file(&self.lock_path));
    }
}

/// A file of a published package.
#[derive(Debug)]
pub struct Object {
    file: File,
    size_bytes: u64,
}

impl Object {
    /// How long it is.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Fills `out` from `offset`. Errors: of the disk; [`ErrorKind::UnexpectedEof`] beyond the
    /// end.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    /// The open file, positioned at its beginning.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }
}

const STAGING: &str = ".staging";
const LOCK: &str = ".lock";
const CURRENT: &str = "current";

/// The package that `current` names. The link is read, never followed.
fn current_package(content: &Path) -> io::Result<Option<PackageId>> {
    match fs::read_link(content.join(CURRENT)) {
        Ok(target) => Ok(target.to_str().and_then(|name| PackageId::parse(name).ok())),
        // Not a link: put there by someone else.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        Err(error) => present(Err(error)),
    }
}

fn sweep_title(content: &Path) -> io::Result<usize> {
    let current = current_package(content)?.map(|package| package.to_string());
    let mut removed = 0;
    for name in names(content)? {
        if PackageId::parse(&name).is_ok() && Some(&name) != current.as_ref() {
            fs::remove_dir_all(content.join(name))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a living process holds the lock.
fn is_held(lock_path: &Path) -> io::Result<bool> {
    let Some(lock) = present(OpenOptions::new().write(true).open(lock_path))? else {
        return Ok(false);
    };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Names in a folder; none where it is no folder or a link to one.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Ok(Vec::new());
    }
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    fs::read_dir(folder)?.filter_map(|entry| name(entry).transpose()).collect()
}

/// Brings every file and folder of a tree to the disk. Packages are two folders deep.
pub(crate) fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            sync(&entry.path())?;
        }
    }
    sync(folder)
}

pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Absence as a value.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::symlink;

    struct Home {
        folder: Folder,
        _root: tempfile::TempDir,
    }

    fn home() -> Home {
        let root = tempfile::tempdir().unwrap();
        Home { folder: Folder::open(&root.path().join("media")).unwrap(), _root: root }
    }

    fn film() -> ContentId {
        ContentId::parse("film-1").unwrap()
    }

    fn package(number: u8) -> PackageId {
        PackageId::from_bytes([number; 16])
    }

    fn path(text: &str) -> ObjectPath {
        ObjectPath::parse(text).unwrap()
    }

    fn put(staging: &Staging, name: &str, content: &str) {
        staging.create(&path(name)).unwrap().write_all(content.as_bytes()).unwrap();
    }

    fn publish(folder: &Folder, number: u8, content: &str) {
        let staging = folder.stage(&film(), package(number)).unwrap();
        put(&staging, "manifest.mpd", content);
        put(&staging, "cbcs/video/1.m4s", content);
        staging.publish().unwrap();
    }

    fn read(folder: &Folder, name: &str) -> Option<String> {
        let mut text = String::new();
        folder
            .object(&film(), &path(name))
            .unwrap()?
            .into_file()
            .read_to_string(&mut text)
            .unwrap();
        Some(text)
    }

    /// Every path under the root but the locks' folder.
    fn visible(folder: &Folder) -> Vec<String> {
        let mut found = names(&folder.root).unwrap();
        found.retain(|name| name != STAGING);
        found
    }

    #[test]
    fn a_package_is_seen_whole_or_not_at_all() {
        let Home { folder, _root } = home();
        let staging = folder.stage(&film(), package(1)).unwrap();
        put(&staging, "manifest.mpd", "one");
        assert_eq!(read(&folder, "manifest.mpd"), None);
        assert!(visible(&folder).is_empty());
        staging.publish().unwrap();
        assert_eq!(read(&folder, "manifest.mpd").as_deref(), Some("one"));
        assert_eq!(read(&folder, "cbcs/video/1.m4s"), None);
        assert_eq!(names(&folder.staging()).unwrap(), [".guard"]);
    }

    #[test]
    fn the_next_package_takes_over_and_readers_read_on() {
        let Home { folder, _root } = home();
        publish(&folder, 1, "one");
        let open = folder.object(&film(), &path("manifest.mpd")).unwrap().unwrap();
        publish(&folder, 2, "second");
        assert_eq!(read(&folder, "manifest.mpd").as_deref(), Some("second"));
        assert_eq!(folder.sweep().unwrap(), 1);
        assert_eq!(folder.sweep().unwrap(), 0);
        assert_eq!(read(&folder, "cbcs/video/1.m4s").as_deref(), Some("second"));
        let mut bytes = [0; 2];
        open.read_at(1, &mut bytes).unwrap();
        assert_eq!((&bytes, open.size_bytes()), (b"ne", 3));
        assert!(open.read_at(2, &mut bytes).is_err());
    }

    #[test]
    fn a_package_is_made_once() {
        let Home { folder, _root } = home();
        let exists = |result: io::Result<Staging>| result.unwrap_err().kind();
        let staging = folder.stage(&film(), package(1)).unwrap();
        put(&staging, "a", "x");
        let twice = staging.create(&path("a")).unwrap_err().kind();
        assert_eq!(twice, ErrorKind::AlreadyExists);
        assert_eq!(exists(folder.stage(&film(), package(1))), ErrorKind::AlreadyExists);
        staging.publish().unwrap();
        assert_eq!(exists(folder.stage(&film(), package(1))), ErrorKind::AlreadyExists);
        assert_eq!(read(&folder, "a").as_deref(), Some("x"));
    }

    #[test]
    fn an_unfinished_package_leaves_nothing() {
        let Home { folder, _root } = home();
        publish(&folder, 1, "one");
        let staging = folder.stage(&film(), package(2)).unwrap();
        put(&staging, "manifest.mpd", "half");
        drop(staging);
        assert_eq!(read(&folder, "manifest.mpd").as_deref(), Some("one"));
        assert_eq!(names(&folder.staging()).unwrap(), [".guard"]);
        assert_eq!(folder.sweep().unwrap(), 0);
    }

    #[test]
    fn the_sweep_takes_the_dead_and_leaves_the_living() {
        let Home { folder, _root } = home();
        let living = folder.stage(&film(), package(1)).unwrap();
        put(&living, "manifest.mpd", "living");
        // What `kill -9` leaves: in the middle, and between the move and the link.
        fs::create_dir_all(folder.staging().join(package(2).to_string()).join("cbcs")).unwrap();
        fs::write(folder.staging().join(format!("{}.lock", package(2))), "").unwrap();
        fs::write(folder.staging().join(format!("{}.lock", package(3))), "").unwrap();
        fs::create_dir_all(folder.root.join("film-1").join(package(4).to_string())).unwrap();
        assert_eq!(folder.sweep().unwrap(), 3);
        assert_eq!(read(&folder, "manifest.mpd"), None);
        living.publish().unwrap();
        assert_eq!(folder.sweep().unwrap(), 0);
        assert_eq!(read(&folder, "manifest.mpd").as_deref(), Some("living"));
    }

    #[test]
    fn no_link_leads_out_of_the_folder() {
        let Home { folder, _root } = home();
        publish(&folder, 1, "one");
        let outside = _root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let inside = folder.root.join("film-1").join(package(1).to_string());
        symlink(outside.join("secret"), inside.join("file")).unwrap();
        symlink(&outside, inside.join("folder")).unwrap();
        symlink("manifest.mpd", inside.join("alias")).unwrap();
        for name in ["file", "folder/secret", "alias", "cbcs", "cbcs/video", "manifest.mpd/x", "no"]
        {
            assert!(folder.object(&film(), &path(name)).unwrap().is_none(), "{name}");
        }
        // A title that is itself a link, and a link to a package that is none.
        symlink(&outside, folder.root.join("film-2")).unwrap();
        symlink(package(1).to_string(), outside.join(CURRENT)).unwrap();
        fs::create_dir(outside.join(package(1).to_string())).unwrap();
        fs::write(outside.join(package(1).to_string()).join("secret"), "secret").unwrap();
        let second = ContentId::parse("film-2").unwrap();
        assert!(folder.object(&second, &path("secret")).unwrap().is_none());
        fs::remove_file(folder.root.join("film-1").join(CURRENT)).unwrap();
        symlink("../../outside", folder.root.join("film-1").join(CURRENT)).unwrap();
        assert!(folder.object(&film(), &path("secret")).unwrap().is_none());
        assert_eq!(read(&folder, "manifest.mpd"), None);
        // The sweep follows no link either.
        folder.sweep().unwrap();
        assert!(outside.join(package(1).to_string()).join("secret").exists());
    }
}
