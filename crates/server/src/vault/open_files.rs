//! Files that the packager writes, by their numbers.

use media::package::FileId;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;

/// Open files, each with what its folder knows of it.
pub(super) struct OpenFiles<K>(Vec<Option<(File, K)>>);

impl<K> Default for OpenFiles<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K> OpenFiles<K> {
    /// Takes a file; its number is free again when it is closed.
    pub fn insert(&mut self, file: File, known: K) -> io::Result<FileId> {
        let at = match self.0.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.0.push(None);
                self.0.len() - 1
            }
        };
        let id = FileId(u32::try_from(at).map_err(|_| io::ErrorKind::QuotaExceeded)?);
        *self.slot(id)? = Some((file, known));
        Ok(id)
    }

    /// Appends all bytes of the parts, in as few system calls as it takes.
    pub fn append(&mut self, id: FileId, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let (file, _) = self.slot(id)?.as_mut().ok_or(io::ErrorKind::NotFound)?;
        // Drops leading empty parts, so that "wrote nothing" means what it says.
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

    /// Replaces bytes that were appended before.
    pub fn overwrite(&mut self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (file, _) = self.slot(id)?.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.write_all_at(bytes, offset)
    }

    /// Gives a file back.
    pub fn take(&mut self, id: FileId) -> io::Result<(File, K)> {
        self.slot(id)?.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn slot(&mut self, id: FileId) -> io::Result<&mut Option<(File, K)>> {
        let at = usize::try_from(id.0).map_err(|_| io::ErrorKind::NotFound)?;
        self.0.get_mut(at).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
