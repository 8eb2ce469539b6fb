//! Where a package goes.

use crate::Input;
use std::io::{self, IoSlice};

/// A file that is being written; the shell gives the number and knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u32);

/// A place for the files of one package. Nothing in it may be visible to viewers before the
/// packager has returned without error.
///
/// Limits: the packager keeps at most one file open for each scheme.
pub trait Output {
    /// Begins a file. `path` is relative, with `/` between folders, which are made as needed.
    /// Errors: also where the file is there already.
    fn create(&mut self, path: &str) -> io::Result<FileId>;

    /// Appends all bytes of the parts, in one system call where possible.
    fn append(&mut self, file: FileId, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Replaces bytes that were appended before.
    fn overwrite(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Ends a file.
    fn close(&mut self, file: FileId) -> io::Result<()>;

    /// Opens a file that was ended, to check it.
    fn read_back(&mut self, path: &str) -> io::Result<Box<dyn Input + '_>>;
}
