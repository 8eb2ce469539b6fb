//! Files without a name: what must lie on a disk for the length of one job and never be found
//! there. The system frees them when they are closed, also after `kill -9`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A folder that lends its space to nameless files.
#[derive(Clone, Debug)]
pub struct Spool(PathBuf);

impl Spool {
    /// A spool in an existing folder.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A new empty file, open for reading and writing, that no name leads to.
    ///
    /// Errors: of the disk, with the folder.
    pub fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.0).map_err(|error| {
            let what = format!("no temporary file in {}: {error}", self.0.display());
            io::Error::new(error.kind(), what)
        })
    }

    /// The error of writing to such a file: a full disk is named.
    #[must_use]
    pub fn explain(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::StorageFull => {
                let what = format!("no space left for temporary files in {}", self.0.display());
                io::Error::new(error.kind(), what)
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};

    #[test]
    fn a_spooled_file_keeps_its_bytes_and_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned());
        let mut file = spool.file().unwrap();
        file.write_all(b"bytes").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bytes");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_error_names_the_folder() {
        let error = Spool::new("no/such/folder".into()).file().unwrap_err().to_string();
        assert!(error.contains("no/such/folder"), "{error}");
        let full = Spool::new("there".into()).explain(io::ErrorKind::StorageFull.into());
        assert_eq!(full.to_string(), "no space left for temporary files in there");
    }
}
