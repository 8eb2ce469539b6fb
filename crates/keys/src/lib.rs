//! The only room in which a clear content key can be read.
//!
//! A content key (CEK) is made here, encrypts media here, is wrapped for rest here and leaves
//! in the clear through one door, [`ContentKey::reveal`], which clippy guards. A KEK is made
//! here and leaves only through a [`kms::Kms`]. All primitives are aws-lc's.

mod cbcs;
mod cenc;
mod content_key;
mod entropy;
pub mod leak;
mod packaging;

pub use cbcs::CbcsCipher;
pub use cenc::{CencCipher, RangeOutsideSample};
pub use content_key::{ContentKey, FingerprintKey};
pub use entropy::SystemEntropy;
pub use packaging::{PackagingKey, PackagingKeys};
