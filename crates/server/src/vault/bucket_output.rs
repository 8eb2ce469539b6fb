//! A bucket as the packager's target: each file is written without a name on the disk, and goes
//! up when it is complete.

use super::source::{FileInput, RemoteInput};
use media::Input;
use media::package::{FileId, Output};
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use store::Spool;
use store::remote::{ReadBack, RemotePackage};

/// A package that is on its way to a bucket.
pub(super) struct BucketOutput {
    package: RemotePackage,
    spool: Spool,
    /// Every path that was begun, with its file until that is complete. The packager has one
    /// file for each segment, so that this is as long as its manifests.
    files: Vec<(String, Option<File>)>,
}

impl BucketOutput {
    /// Files will be made in `spool` and go to `package`.
    pub const fn new(package: RemotePackage, spool: Spool) -> Self {
        Self { package, spool, files: Vec::new() }
    }

    /// Shows what was written.
    pub fn publish(self) -> io::Result<()> {
        Ok(self.package.publish()?)
    }

    fn entry(&mut self, id: FileId) -> io::Result<&mut (String, Option<File>)> {
        let at = usize::try_from(id.0).map_err(|_| io::ErrorKind::NotFound)?;
        self.files.get_mut(at).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, id: FileId) -> io::Result<&mut File> {
        self.entry(id)?.1.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Output for BucketOutput {
    fn create(&mut self, path: &str) -> io::Result<FileId> {
        let id = FileId(u32::try_from(self.files.len()).map_err(io::Error::other)?);
        let file = self.spool.file()?;
        self.files.push((path.to_owned(), Some(file)));
        Ok(id)
    }

    fn append(&mut self, id: FileId, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let spool = self.spool.clone();
        let file = self.file(id)?;
        for part in parts {
            file.write_all(part).map_err(|error| spool.explain(error))?;
        }
        Ok(())
    }

    fn overwrite(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(id)?.write_all_at(bytes, offset)
    }

    fn close(&mut self, id: FileId) -> io::Result<()> {
        let (path, file) = self.entry(id)?;
        let (path, file) = (path.clone(), file.take().ok_or(io::ErrorKind::NotFound)?);
        Ok(self.package.put(&path, file)?)
    }

    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>> {
        Ok(match self.package.read_back(path)? {
            ReadBack::Held(file) => Box::new(FileInput::new(file)?),
            ReadBack::Uploaded(reader) => Box::new(RemoteInput(reader)),
        })
    }
}
