//! Where KEKs are wrapped under the root key (MEK): the port, and the back ends we ship.

#[cfg(feature = "aws-kms")]
mod aws;
#[cfg(test)]
mod conformance;
mod file;
#[cfg(feature = "google-kms")]
mod google;
#[cfg(feature = "hsm")]
mod pkcs11;
#[cfg(feature = "remote-kms")]
mod remote;
#[cfg(feature = "vault")]
mod vault;

use crate::context::KekContext;
use crate::kek::Kek;
use model::Timestamp;
use std::pin::Pin;

#[cfg(feature = "aws-kms")]
pub use aws::{AwsKms, AwsSettings};
pub use file::{FileKms, MasterKeyError, Passphrase, Sealing};
#[cfg(feature = "google-kms")]
pub use google::{GoogleKms, GoogleSettings, Now};
#[cfg(feature = "hsm")]
pub use pkcs11::{Pkcs11Kms, Pkcs11Refused, Pkcs11Settings, TokenPin, TokenPlace};
#[cfg(feature = "remote-kms")]
pub use remote::RemoteRefused;
#[cfg(feature = "vault")]
pub use vault::{VaultKms, VaultSettings, VaultToken};

/// What a KMS call returns: an answer that may take a network to come.
pub type KmsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KmsError>> + Send + 'a>>;

/// Holds the root key and never gives it out.
pub trait Kms: Send + Sync {
    /// Wraps a KEK for rest, bound to `context`.
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>>;

    /// Opens a wrapped KEK. Every caller states to clippy why it opens one.
    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek>;

    /// The root key that wraps.
    fn root_key(&self) -> RootKey {
        RootKey::RotatesItself
    }

    /// Makes a new version of the root key, which wraps from now on; older ones go on opening.
    /// A root key that rotates itself stays as it is.
    fn rotate(&self, _now: Timestamp) -> KmsFuture<'_, RootKey> {
        let root = match self.root_key() {
            RootKey::RotatesItself => Ok(RootKey::RotatesItself),
            RootKey::Versioned { .. } => Err(KmsError::Refused),
        };
        Box::pin(async move { root })
    }

    /// The back end's name, in logs and audit rows.
    fn name(&self) -> &'static str;
}

/// What is known of a root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKey {
    /// A service of its own keeps it, and rotates it by a rule of its own.
    RotatesItself,
    /// Its versions are made by us.
    Versioned {
        /// The newest, which wraps; from 1.
        version: u32,
        /// When it was made, where that is known.
        made: Option<Timestamp>,
    },
}

/// Why a KMS gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KmsError {
    /// Not reachable or overloaded: the same call may succeed later.
    #[error("the KMS cannot be reached")]
    Unavailable,
    /// It answered no: key disabled, credentials without the right.
    #[error("the KMS refuses")]
    Refused,
    /// The root key is older than a year: it opens, and wraps nothing any more (R032).
    #[error("the root key is older than a year and wraps nothing more; rotate it")]
    Expired,
    /// The wrapped bytes are not bound to this context and root key.
    #[error("the wrapped KEK is not bound to this context and root key")]
    Integrity,
}
