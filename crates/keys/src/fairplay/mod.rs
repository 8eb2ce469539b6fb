//! The secrets of a FairPlay exchange, version 1 of its containers: the application's RSA key,
//! the application secret (ASk) and what is derived from it, the secrets that a device sends,
//! and the keys that they make for payloads. All of it is wiped on drop.
//!
//! RSAES-OAEP with SHA-1 (RFC 8017, 7.1), AES-128 in CBC without padding and in ECB of one block
//! (SP 800-38A, 6.1 and 6.2), and SHA-1 are what the containers name. A device's message has no
//! MAC over all of it: `dialect::fairplay` says what follows from that.

mod application;
mod certificate;
mod session;

pub use application::{APPLICATION_BITS, ApplicationKey, ApplicationSecret};
pub use certificate::{ApplicationCertificate, ApplicationCertificateError};
pub use session::{
    DerivedKey, DeviceSession, HARDWARE_BYTES, PayloadKey, R1_BYTES, R2_BYTES, SEALED_BYTES,
};

#[cfg(test)]
mod tests;
