//! Message formats of the DRM systems and of key exchange: bytes to bytes.
//!
//! One module a dialect, the closed list of `model::Dialect`. A module reads its system's
//! challenge and writes its license; it decides nothing about rights. [`cpix`] carries keys
//! between a key service and an encryptor.

pub mod clearkey;
pub mod cpix;
pub mod fairplay;
pub mod playready;
pub mod terms;
pub mod widevine;

/// Most keys that one license carries, and key ids that one request names: two batches of a title
/// whose keys change, of 10 minutes each and 10 seconds a key, for two classes. A FairPlay license
/// has one key ([`fairplay::MAX_SPCS`]).
pub const MAX_KEYS: usize = 512;
