//! The two seams for what only a licensee has: the derivation of a device's key
//! ([`Derivation`]), and a whole key security module ([`SecurityModule`]).
//!
//! A licensee links one of them into the binary.
//!
//! - A derivation has a name, which the imported `d_function` gives
//!   ([`Credentials::import_with`]); containers, certificates and secrets stay Strongroom's. It
//!   serves containers of version 1 only.
//! - A whole module ([`KeySecurityModule::Library`]) takes an SPC as it came and says what is in
//!   it ([`SecurityModule::open`], [`OpenedRequest::asked`]), then writes the CKC for a key and the
//!   rules that it is told ([`OpenedRequest::write`]). It holds its certificates and secrets itself.
//!   Which key, and whether at all, is the vault's decision under the session's grant; framing,
//!   asset id, playback state and persistence are read here, for every module alike. The vault
//!   reads each CKC back before it leaves ([`OpenedRequest::read`]): a module that writes other
//!   rules than it was told, or cannot read what it wrote, answers nobody.

use super::ckc::OpenedCkc;
use super::policy::KeyRules;
use super::{ChallengeError, Credentials, LicenseError};
use crate::terms::LicensedKey;
use keys::fairplay::{ApplicationSecret, DerivedKey, HARDWARE_BYTES, R2_BYTES};
use model::Entropy;
use std::fmt::Debug;

/// The derivation function (D) that makes a device's key of the application secret and of R2.
pub trait Derivation: Debug + Send + Sync {
    /// Its name: what the file `d_function` says.
    fn name(&self) -> &str;
    /// Whether it only stands in: production refuses it.
    fn is_for_tests(&self) -> bool;
    /// Derives the key of one device; `None` where it cannot, which refuses the request as
    /// [`ChallengeError::Module`].
    fn derive(&self, secret: &ApplicationSecret, r2: &[u8; R2_BYTES]) -> Option<DerivedKey>;
}

/// The name of [`StandinDerivation`].
pub const STANDIN_DERIVATION: &str = "standin-d-v1";

/// Stands for the function that a licensee obtains (DESIGN §5). No real device derives by it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandinDerivation;

impl Derivation for StandinDerivation {
    fn name(&self) -> &str {
        STANDIN_DERIVATION
    }

    fn is_for_tests(&self) -> bool {
        true
    }

    fn derive(&self, secret: &ApplicationSecret, r2: &[u8; R2_BYTES]) -> Option<DerivedKey> {
        Some(secret.derive_standin(r2))
    }
}

/// A whole key security module: SPC in, CKC out. It must be cheap to refuse, keep nothing of one
/// request for another, and panic on nothing that a client can send.
pub trait SecurityModule: Debug + Send + Sync {
    /// Its name, for the operator.
    fn name(&self) -> &str;
    /// Whether anything in it only stands in: production refuses it.
    fn is_for_tests(&self) -> bool;
    /// The application certificate that clients are given, DER; `None` where they have it from
    /// elsewhere.
    fn certificate(&self) -> Option<&[u8]>;
    /// Opens an SPC of at most [`super::MAX_CONTAINER_BYTES`], out of its framing: checks all that
    /// can be checked without knowing rights.
    ///
    /// Errors: [`ChallengeError`]; `Module` for what has no other name.
    fn open(&self, spc: &[u8]) -> Result<Box<dyn OpenedRequest>, ChallengeError>;
}

/// A request that a module opened. It holds the device's secrets until it is dropped, and wipes
/// them then; its `Debug` shows none.
pub trait OpenedRequest: Debug + Send + Sync {
    /// What the client asks.
    fn asked(&self) -> &Asked;
    /// Writes the CKC: the key, its IV (zeros where there is none), and exactly these rules.
    ///
    /// Without `key`, a CKC that says no key: it is read back as [`LicenseError::NoKey`].
    fn write(
        &self,
        key: Option<&LicensedKey>,
        rules: &KeyRules,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8>;
    /// Reads a CKC as the client of this request will.
    ///
    /// Errors: [`LicenseError`].
    fn read(&self, ckc: &[u8]) -> Result<OpenedCkc, LicenseError>;
}

/// What an SPC says, all of it the client's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Which key, 2 to 200 bytes.
    pub asset_id: Vec<u8>,
    /// A hash that names the device.
    pub hardware: [u8; HARDWARE_BYTES],
    /// Whether it plays already.
    pub playback: Option<Playback>,
    /// Where the pictures go.
    pub streaming: Streaming,
    /// What it can enforce.
    pub capabilities: Capabilities,
    /// Its name for the exchange.
    pub transaction_id: Option<Vec<u8>>,
}

/// The media playback state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playback {
    /// When the client says it began, seconds since 1970.
    pub created_s: u32,
    /// What the player does.
    pub state: PlayerState,
    /// The client's name for the playback; a renewal has the first request's.
    pub session_id: [u8; 8],
}

/// What a player does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayerState {
    /// It is about to start, and needs its first key.
    Starting,
    /// It plays, and its lease is about to end: it needs a key.
    PlayingNeedsKey,
    /// It plays, and needs no key now.
    Playing,
    /// It was halted: its lease has ended.
    Halted,
}

impl PlayerState {
    /// All of them, with their numbers on the wire.
    pub(super) const ALL: [(u32, Self); 4] = [
        (0xf4de_e5a2, Self::Starting),
        (0x4f83_4330, Self::PlayingNeedsKey),
        (0xa5d6_739e, Self::Playing),
        (0x5991_bf20, Self::Halted),
    ];

    /// Whether a license is there already: the request asks for more time.
    #[must_use]
    pub const fn is_renewal(self) -> bool {
        matches!(self, Self::PlayingNeedsKey | Self::Playing)
    }
}

/// Where the pictures go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streaming {
    /// To the device's own screen, or wherever else no other value says.
    #[default]
    Device,
    /// By AirPlay to another device.
    AirPlay,
    /// To a digital adapter.
    Adapter,
}

/// What a client says that it can enforce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// HDCP of type 1.
    pub hdcp_type_1: bool,
    /// Licenses that are kept on the device.
    pub offline: bool,
}

/// The module that answers: Strongroom's own, or a licensee's.
#[derive(Debug)]
pub enum KeySecurityModule {
    /// Strongroom's, for containers of version 1, on imported credentials.
    Own(Credentials),
    /// A licensee's library.
    Library(Box<dyn SecurityModule>),
}

impl KeySecurityModule {
    /// The module itself.
    #[must_use]
    pub fn as_module(&self) -> &dyn SecurityModule {
        match self {
            Self::Own(credentials) => credentials,
            Self::Library(library) => library.as_ref(),
        }
    }

    /// Whether anything in it only stands in: production refuses it.
    #[must_use]
    pub fn is_for_tests(&self) -> bool {
        self.as_module().is_for_tests()
    }

    /// The application certificate that clients are given, DER.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.as_module().certificate()
    }
}

impl From<Credentials> for KeySecurityModule {
    fn from(credentials: Credentials) -> Self {
        Self::Own(credentials)
    }
}
