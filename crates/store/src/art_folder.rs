//! Pictures of titles, beside the packages: each file is named after its digest, so that what
//! stands under a name never changes and an edge without rows can serve it.
//!
//! Everything here blocks on the disk: an async caller goes through its blocking pool.

use crate::objects::Folder;
use aws_lc_rs::digest::{SHA256, digest};
use model::{ArtFile, ImageFormat};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

/// The folder's name; no content id begins with a dot.
const ART: &str = ".art";

/// Where pictures lie.
#[derive(Clone, Debug)]
pub struct ArtFolder {
    path: PathBuf,
}

impl ArtFolder {
    /// The pictures beside these packages.
    #[must_use]
    pub fn beside(packages: &Folder) -> Self {
        Self { path: packages.root().join(ART) }
    }

    /// Keeps a picture: whole and on the disk before it has its name.
    ///
    /// Errors: of the disk; [`ErrorKind::InvalidData`] for what is no picture,
    /// [`ErrorKind::FileTooLarge`] beyond [`ArtFile::MAX_BYTES`].
    pub fn put(&self, bytes: &[u8]) -> io::Result<ArtFile> {
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > ArtFile::MAX_BYTES {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let format = ImageFormat::of_magic(bytes).ok_or(ErrorKind::InvalidData)?;
        let sha256 = digest(&SHA256, bytes);
        let sha256 = sha256.as_ref().try_into().map_err(|_| ErrorKind::InvalidData)?;
        let file = ArtFile { sha256, format };
        fs::create_dir_all(&self.path)?;
        let mut aside = tempfile::NamedTempFile::new_in(&self.path)?;
        aside.write_all(bytes)?;
        aside.as_file().sync_all()?;
        aside.persist(self.path.join(file.to_string())).map_err(|error| error.error)?;
        File::open(&self.path)?.sync_all()?;
        Ok(file)
    }

    /// A picture and how long it is. None: there is none of this name.
    pub fn open(&self, file: ArtFile) -> io::Result<Option<(File, u64)>> {
        match File::open(self.path.join(file.to_string())) {
            Ok(file) => {
                let len_bytes = file.metadata()?.len();
                Ok(Some((file, len_bytes)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a picture; nothing to do where there is none.
    pub fn remove(&self, file: ArtFile) -> io::Result<()> {
        match fs::remove_file(self.path.join(file.to_string())) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_picture_lies_under_its_digest_until_it_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let packages = Folder::open(home.path()).unwrap();
        let art = ArtFolder::beside(&packages);
        let bytes = b"\xff\xd8\xff\xe0 a picture";
        let file = art.put(bytes).unwrap();
        assert_eq!(art.put(bytes).unwrap(), file, "twice is once");
        let (mut opened, len_bytes) = art.open(file).unwrap().unwrap();
        let mut read = Vec::new();
        opened.read_to_end(&mut read).unwrap();
        assert_eq!((read.as_slice(), len_bytes), (&bytes[..], bytes.len() as u64));
        let other = ArtFile { sha256: [0; 32], ..file };
        assert!(art.open(other).unwrap().is_none());
        // Neither a sweep of the packages nor what failed leaves or takes anything.
        assert_eq!(packages.sweep().unwrap(), 0);
        assert_eq!(art.put(b"<svg>").unwrap_err().kind(), ErrorKind::InvalidData);
        let huge = [&b"\xff\xd8\xff"[..], &vec![0; 8 << 20]].concat();
        assert_eq!(art.put(&huge).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(fs::read_dir(home.path().join(ART)).unwrap().count(), 1);
        art.remove(file).unwrap();
        art.remove(file).unwrap();
        assert!(art.open(file).unwrap().is_none());
    }
}
