//! Message formats of the DRM systems: bytes to bytes.
//!
//! One module a dialect, the closed list of `model::Dialect`. A module reads its system's
//! challenge and writes its license; it decides nothing about rights.

pub mod clearkey;
pub mod cpix;
