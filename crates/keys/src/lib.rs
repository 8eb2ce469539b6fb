//! The only room in which a clear content key can be read.
//!
//! A content key (CEK) is made here, encrypts media here, is wrapped for rest here and leaves
//! in the clear through one door, [`ContentKey::reveal`], which clippy guards. A KEK is made
//! here and leaves only through a [`kms::Kms`]. All primitives are aws-lc's.

mod approval;
mod aws_lc;
mod cbcs;
mod cek_cache;
mod cenc;
mod checkpoint;
mod content_key;
mod context;
mod document_key;
mod entropy;
pub mod fairplay;
mod kek;
pub mod key_file;
pub mod kms;
pub mod leak;
mod p256;
mod packaging;
mod pem;
mod point_secret;
mod recipient;
mod record_key;
mod rsa;
mod seal;
mod session_key;
mod signer;

pub use approval::{Approval, ApprovalRefused, MAX_APPROVAL_BYTES, Operator, OperatorKey};
pub use cbcs::CbcsCipher;
pub use cek_cache::{CekCache, MemoryNotLocked};
pub use cenc::{CencCipher, RangeOutsideSample};
pub use checkpoint::{ChainState, CheckpointKey, has_signed};
pub use content_key::{ContentKey, FingerprintKey};
pub use context::{KekContext, KeyContext, SecretContext};
pub use document_key::{DocumentKey, DocumentKeyError, EncryptedKey, WrappedDocumentKey};
pub use entropy::SystemEntropy;
pub use kek::{Kek, UnwrapError};
pub use p256::{P256KeyError, P256PrivateKey, P256PublicKey};
pub use packaging::{PackagingKey, PackagingKeys};
pub use point_secret::PointSecret;
pub use recipient::{MAX_CERTIFICATE_BYTES, MIN_RSA_BITS, Recipient, RecipientError, RecipientKey};
pub use record_key::RecordKey;
pub use rsa::{RSA_BITS, RsaKeyError, RsaPrivateKey, RsaPublicKey};
pub use session_key::{LicenseKeys, MacKeys, SessionKey, SessionSeal, TransportKey};
pub use signer::{Signer, is_sha512_of, sha256};
