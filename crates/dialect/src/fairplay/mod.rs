//! FairPlay Streaming: a client's server playback context (SPC) becomes a [`Challenge`], which a
//! content key context (CKC) answers. Version 1 of both containers, as open key servers have it.
//!
//! An SPC carries no MAC: who holds the device's secrets may put any asset id into it, and whoever
//! changes its bytes on the way changes what they decrypt to. So the asset id is a question, and
//! the grant of the session decides; a changed message that is still answered gets a license that
//! is of use to nobody but the device whose secrets are in it.
//!
//! Newer containers are refused by name ([`ChallengeError::UnsupportedVersion`]): nothing public
//! says what is in them. A licensee's library takes the whole place of the key security module
//! ([`SecurityModule`]), or only that of the derivation ([`Derivation`]). What is proved here is
//! proved with a test root of one's own ([`test_root`]) and the reference client ([`client`]).

mod asset;
mod batch;
mod block;
mod challenge;
mod ckc;
pub mod client;
mod credentials;
mod error;
mod framing;
mod module;
mod own_module;
mod policy;
mod returned;
mod spc;
pub mod test_root;

pub use asset::MAX_ASSET_ID_BYTES;
pub use batch::Batch;
pub use challenge::{Answer, Challenge, Desk, Issue, OpenedLicense, PlaybackState};
pub use ckc::OpenedCkc;
pub use credentials::{ApplicationFiles, Credentials, ImportError};
pub use error::{ChallengeError, LicenseError};
pub use framing::Framing;
pub use module::{
    Asked, Capabilities, Derivation, KeySecurityModule, OpenedRequest, Playback, PlayerState,
    STANDIN_DERIVATION, SecurityModule, StandinDerivation, Streaming,
};
pub use policy::{HdcpRule, KeyDuration, KeyRules, can_say, carried_key_terms, carried_terms};

use model::SecurityLevel;

/// The level of every device whose request opens: containers of version 1 prove no tier.
pub const LEVEL: SecurityLevel = SecurityLevel::L2;
/// Longest body that is read, of either side.
pub const MAX_BYTES: usize = 64 * 1024;
/// Longest body of several SPCs: 64 of 3 KiB in base64.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Most SPCs in one request.
pub const MAX_SPCS: usize = 64;
/// Longest container, out of its framing. A client's has 2 to 8 KiB.
pub const MAX_CONTAINER_BYTES: usize = 32 * 1024;
