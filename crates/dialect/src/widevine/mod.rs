//! Widevine's license protocol, as clients speak it: a signed request becomes a [`Challenge`],
//! a challenge is answered with a [`License`](Answer).
//!
//! Everything here works with imported credentials (`credentials import widevine`). Real
//! devices trust their vendor's root only, and their attestation can only be had under an
//! agreement with the vendor: what is proved here is proved with a root of one's own
//! ([`test_root`]) and the reference client ([`client`]).
//!
//! Refused by name, because nothing public says how to check them: KEYBOX identities, OEM and
//! remote attestation certificates, keys on elliptic curves, hashes other than SHA-1.

mod certificate;
mod challenge;
pub mod client;
mod content;
mod credentials;
mod device_list;
mod draft;
mod error;
mod license;
mod messages;
mod policy;
pub mod provisioning;
mod renewal;
mod request;
pub mod test_root;

pub use certificate::{Device, VerifiedModels};
pub use challenge::Challenge;
pub use content::{LicenseType, MAX_CONTENT_ID_BYTES, MAX_KIDS};
pub use credentials::{Credentials, ImportError, RootFile, ServiceFacts};
pub use device_list::{DeviceList, DeviceListError, DeviceStatus};
pub use error::ChallengeError;
pub use license::{
    Answer, Issue, LicenseError, LicenseId, OpenedLicense, named_kids, read_license,
};
pub use renewal::{Renewal, RenewalKind};
pub use request::{Desk, Request, is_release};

/// Longest message that is read, of either side. A challenge has 2 to 8 KiB.
pub const MAX_BYTES: usize = 64 * 1024;

/// Media type of every answer.
pub const LICENSE_TYPE: &str = "application/octet-stream";

/// Reads a message within [`MAX_BYTES`].
///
/// Limits: prost skips at most 100 groups in groups, refuses lengths beyond the input and
/// varints beyond 10 bytes; what it holds is within some hundred bytes for each two of the input.
fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Option<M> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    M::decode(bytes).ok()
}
