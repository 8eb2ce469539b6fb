//! The files of a folder that an operator imports (DESIGN: import formats). What is wrong is said
//! with the file's name; what is in a file is never said.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Longest certificate or key that is read.
const MAX_KEY_BYTES: u64 = 64 * 1024;
/// Longest list of devices that is read; its parser takes no more either.
const MAX_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct FileRefused {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub cause: String,
    /// Whether it was read, and what is in it is wrong.
    pub is_read: bool,
}

pub(super) fn refused(file: &str, cause: impl ToString) -> FileRefused {
    FileRefused { file: file.to_owned(), cause: cause.to_string(), is_read: true }
}

/// A file that is not there, or cannot be read.
pub(super) fn unread(file: &str, cause: impl ToString) -> FileRefused {
    FileRefused { is_read: false, ..refused(file, cause) }
}

/// A certificate or a key; absent where there is none.
pub(super) fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, FileRefused> {
    let bytes = read(&folder.join(name), name, MAX_KEY_BYTES)?;
    Ok(bytes.map(|bytes| bytes.to_vec()))
}

/// A file of text; absent where there is none.
pub(super) fn text(folder: &Path, name: &str) -> Result<Option<Zeroizing<String>>, FileRefused> {
    let Some(bytes) = read(&folder.join(name), name, MAX_KEY_BYTES)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(name, "not text"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// A whole file; absent where there is none.
fn read(path: &Path, name: &str, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, FileRefused> {
    let said = |cause: io::Error| unread(name, cause);
    // Looked at before it is opened: a pipe would keep who opens it waiting.
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(said)?,
    };
    if !metadata.is_file() {
        return Err(unread(name, "not a file"));
    }
    let file = File::open(path).map_err(said)?;
    let length = metadata.len();
    if length > most {
        return Err(refused(name, format!("longer than {most} bytes")));
    }
    // Room for all of it at once: a growing vector would leave copies of a key behind.
    let room = usize::try_from(length).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(length).read_to_end(&mut bytes).map_err(said)?;
    Ok(Some(bytes))
}

/// A certificate or a key that must be there.
pub(super) fn needed_bytes(folder: &Path, name: &str) -> Result<Vec<u8>, FileRefused> {
    bytes(folder, name)?.ok_or_else(|| unread(name, "there is no such file"))
}

/// A file of text that must be there.
pub(super) fn needed_text(folder: &Path, name: &str) -> Result<Zeroizing<String>, FileRefused> {
    text(folder, name)?.ok_or_else(|| unread(name, "there is no such file"))
}

/// A list of devices, of any name.
pub(super) fn list(path: &Path) -> Result<String, FileRefused> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes =
        read(path, &name, MAX_LIST_BYTES)?.ok_or_else(|| unread(&name, "there is no such file"))?;
    let list = std::str::from_utf8(&bytes).map_err(|_| refused(&name, "not UTF-8"))?;
    Ok(list.to_owned())
}
