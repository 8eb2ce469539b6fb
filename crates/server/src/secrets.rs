//! The service's own secrets: `DATA/secrets/*.key`, 32 random bytes each, readable by their
//! owner only, made at first start.

use crate::entropy::EntropySource;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or made.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("{path}: others may read it; run chmod 600 on it", path = .0.display())]
    Permissions(PathBuf),
    /// The variable is not set, or not text.
    #[error("the variable {0} is not set")]
    Variable(String),
    /// Neither file nor variable, or both.
    #[error("name one: a file or a variable")]
    Place,
    /// Longer than any key.
    #[error("{path}: too long for a key", path = .0.display())]
    TooLong(PathBuf),
    /// Not 32 bytes.
    #[error("{path}: not a secret of this service (32 bytes)", path = .0.display())]
    Shape(PathBuf),
}

/// Makes the folder of the secrets, open to its owner only.
///
/// Errors: [`SecretError::File`].
pub fn make_folder(folder: &Path) -> Result<(), SecretError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|cause| SecretError::File { path: folder.to_owned(), cause })
}

/// Reads the secret `NAME.key`, making it where there is none.
///
/// Two processes that start at once end with the same secret: a whole file is linked into
/// place, and only one link wins.
///
/// Errors: [`SecretError`].
pub fn load_or_make(
    folder: &Path,
    name: &str,
    entropy: &EntropySource,
) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let path = folder.join(format!("{name}.key"));
    let failed = |cause| SecretError::File { path: path.clone(), cause };
    if !path.try_exists().map_err(failed)? {
        make(&path, entropy).map_err(failed)?;
    }
    load(folder, name)
}

/// Reads the secret `NAME.key`.
///
/// Errors: [`SecretError`]; also where there is none.
pub fn load(folder: &Path, name: &str) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let path = folder.join(format!("{name}.key"));
    let failed = |cause| SecretError::File { path: path.clone(), cause };
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(SecretError::Permissions(path));
    }
    let bytes = Zeroizing::new(fs::read(&path).map_err(failed)?);
    let secret: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| SecretError::Shape(path))?;
    Ok(Zeroizing::new(*secret))
}

/// Longest text of a key, bytes.
const MAX_TEXT: u64 = 16 * 1024;

/// Reads a secret of the operator's that is text: from a file that its owner alone may read, or
/// from a variable.
///
/// Errors: [`SecretError`].
pub fn read_text(
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Zeroizing<String>, SecretError> {
    let path = match (file, variable) {
        (Some(path), None) => path,
        (None, Some(name)) => {
            let text = std::env::var(name).map_err(|_| SecretError::Variable(name.to_owned()));
            return text.map(Zeroizing::new);
        }
        _ => return Err(SecretError::Place),
    };
    let failed = |cause| SecretError::File { path: path.to_owned(), cause };
    let file = fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(SecretError::Permissions(path.to_owned()));
    }
    if metadata.len() > MAX_TEXT {
        return Err(SecretError::TooLong(path.to_owned()));
    }
    // Room for all of it at once: a growing text would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT.try_into().unwrap_or(0)));
    file.take(MAX_TEXT).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn make(path: &Path, entropy: &EntropySource) -> io::Result<()> {
    let mut secret = Zeroizing::new([0; 32]);
    let mut suffix = [0; 8];
    entropy.with(|entropy| {
        entropy.fill(&mut *secret);
        entropy.fill(&mut suffix);
    });
    let aside = path.with_extension(format!("{:016x}.new", u64::from_ne_bytes(suffix)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(&*secret)?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
