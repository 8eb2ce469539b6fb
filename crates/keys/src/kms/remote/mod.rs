//! What the KMSs over HTTP have in common: how an answer is asked for, what of it is believed,
//! and the first look at start.

#[cfg(test)]
pub(super) mod fault_proxy;
mod parcel;
#[cfg(test)]
pub(super) mod peer;
#[cfg(test)]
pub(super) mod promises;
mod wire;

pub(super) use parcel::Parcel;
pub(super) use wire::{Answer, Trust, Wire, parse_address};

use super::{Kms, KmsError};
use crate::SystemEntropy;
use crate::context::KekContext;
use crate::kek::Kek;
use model::{CategoryName, KekVersion};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest file with a credential or certificates, bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Why a KMS over HTTP is not used. Group: all are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum RemoteRefused {
    /// Its address.
    #[error("{address:?} is no address of a KMS: {why}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file with a credential or certificates.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Others than its owner and group may read or write the credential.
    #[error("{path}: others may read it; run chmod 600 on it", path = .0.display())]
    Permissions(PathBuf),
    /// A credential, or certificates, that is none.
    #[error("{what} cannot be used: {why}")]
    Unusable {
        /// What was to be used.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The KMS refuses what a service needs of it: key disabled, or no right to use it.
    #[error("the KMS refuses to wrap and open with this key; its reason is in the log")]
    Refused,
    /// The KMS gave back something else than it was given.
    #[error("the KMS does not give back what it wrapped: this is no key for wrapping")]
    Integrity,
}

/// Wraps and opens a key that nobody uses: the settings fit, or are refused at start.
///
/// A KMS that does not answer is no reason to stay down: the service fails closed without it.
///
/// Errors: [`RemoteRefused::Refused`], [`RemoteRefused::Integrity`].
pub(super) async fn first_look(kms: &impl Kms) -> Result<(), RemoteRefused> {
    let category = CategoryName::parse("strongroom-probe").expect("a plain name");
    let context =
        KekContext { tenant: "strongroom-probe", category: &category, version: KekVersion(0) };
    let kek = Kek::generate(&mut SystemEntropy);
    let opened = match kms.wrap(&kek, &context).await {
        #[expect(clippy::disallowed_methods, reason = "a KEK that wraps nothing")]
        Ok(wrapped) => kms.unwrap(&wrapped, &context).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(opened) if opened.bytes() == kek.bytes() => Ok(()),
        Ok(_) | Err(KmsError::Integrity) => Err(RemoteRefused::Integrity),
        Err(KmsError::Refused | KmsError::Expired) => Err(RemoteRefused::Refused),
        Err(KmsError::Unavailable) => {
            tracing::warn!(backend = kms.name(), "the KMS cannot be reached at start");
            Ok(())
        }
    }
}

/// Reads a file that holds a secret.
///
/// Errors: [`RemoteRefused::File`]; [`RemoteRefused::Permissions`] where others may touch it. Its
/// group may read it: agents write tokens so.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, RemoteRefused> {
    use std::os::unix::fs::PermissionsExt as _;
    let (file, meta) = open(path)?;
    if meta.permissions().mode() & 0o027 != 0 {
        return Err(RemoteRefused::Permissions(path.to_owned()));
    }
    read(path, file, &meta).map(Zeroizing::new)
}

/// Reads a file that holds none.
///
/// Errors: [`RemoteRefused::File`].
pub(super) fn read_open(path: &Path) -> Result<Vec<u8>, RemoteRefused> {
    let (file, meta) = open(path)?;
    read(path, file, &meta)
}

fn open(path: &Path) -> Result<(std::fs::File, std::fs::Metadata), RemoteRefused> {
    let failed = |cause| RemoteRefused::File { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(failed)?;
    // Asked of the open file: the name may mean another one a moment later.
    let meta = file.metadata().map_err(failed)?;
    Ok((file, meta))
}

fn read(
    path: &Path,
    file: std::fs::File,
    meta: &std::fs::Metadata,
) -> Result<Vec<u8>, RemoteRefused> {
    use std::io::Read as _;
    let failed = |cause| RemoteRefused::File { path: path.to_owned(), cause };
    if !meta.is_file() || meta.len() > MAX_FILE_BYTES {
        return Err(failed(io::Error::other("no plain file of at most 256 KiB")));
    }
    // Room for all of it at once: a growing vector would leave copies of the secret.
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
