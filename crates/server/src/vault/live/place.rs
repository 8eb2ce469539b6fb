//! Where a channel's package is, and how a step of it gets to the disk.

use super::super::packaging::{PackagingError, target_error};
use super::output::LiveOutput;
use media::package::channel::{Channel, MAX_STATE, STATE};
use model::{ContentId, PackageId};
use std::io;
use std::path::PathBuf;
use store::LiveFolder;
use store::objects::Folder;

/// Where a channel's package goes.
#[derive(Clone, Debug)]
pub(super) enum LivePlace {
    /// Into the store, below its title.
    Store(Folder),
    /// Into a named folder.
    Folder(PathBuf),
}

/// A package that grows.
pub(super) struct Growing {
    folder: LiveFolder,
    pub out: LiveOutput,
    /// For messages.
    name: String,
}

impl LivePlace {
    /// Takes the package: nobody else has it.
    pub(super) fn take(&self, content_id: &ContentId) -> Result<Growing, PackagingError> {
        let (name, folder) = match self {
            Self::Store(objects) => {
                (content_id.to_string(), LiveFolder::in_store(objects, content_id))
            }
            Self::Folder(path) => (path.display().to_string(), LiveFolder::in_folder(path)),
        };
        let folder = folder.map_err(|cause| target_error(name.clone(), &cause))?;
        let out = LiveOutput::new(&PathBuf::new());
        Ok(Growing { folder, out, name })
    }
}

impl Growing {
    /// What is known of a channel that is there.
    pub fn state(&mut self) -> Result<Option<Vec<u8>>, PackagingError> {
        let read =
            self.folder.read(STATE, MAX_STATE as u64).map_err(|cause| self.failed(&cause))?;
        if read.is_some() {
            self.follow()?;
        }
        Ok(read)
    }

    /// Begins a package out of sight.
    pub fn begin(&mut self, package: PackageId) -> Result<(), PackagingError> {
        self.folder.begin(package).map_err(|cause| self.failed(&cause))?;
        self.follow()
    }

    /// Writes a file that takes the place of the one before it.
    pub fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), PackagingError> {
        self.out.write(path, bytes).map_err(|cause| self.failed(&cause))
    }

    /// Notes what is known of the channel, and brings everything to the disk.
    pub fn note(&mut self, channel: &Channel) -> Result<(), PackagingError> {
        // The names of the segments first: what the note names is there.
        self.sync()?;
        self.write(STATE, channel.state().write().as_bytes())?;
        self.sync()
    }

    /// Viewers find the package from now on.
    pub fn show(&mut self) -> Result<(), PackagingError> {
        self.sync()?;
        self.folder.show().map_err(|cause| self.failed(&cause))?;
        self.follow()
    }

    pub fn remove(&self, paths: &[String]) -> Result<(), PackagingError> {
        self.folder.remove(paths).map_err(|cause| self.failed(&cause))
    }

    pub fn sync(&mut self) -> Result<(), PackagingError> {
        let touched = self.out.take_touched();
        let folders = touched.iter().map(PathBuf::as_path);
        self.folder.sync_folders(folders).map_err(|cause| self.failed(&cause))
    }

    fn follow(&mut self) -> Result<(), PackagingError> {
        let path = self.folder.path().map_err(|cause| self.failed(&cause))?;
        self.out.move_to(path);
        Ok(())
    }

    fn failed(&self, cause: &io::Error) -> PackagingError {
        target_error(self.name.clone(), cause)
    }
}
