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
