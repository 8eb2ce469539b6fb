//! A content key as it may be stored: wrapped, with its public facts beside it.

use crate::{CategoryName, ContentId, KeyId, KeyPeriod, Scheme, Timestamp, TrackClass};
use serde::{Deserialize, Serialize};

/// Version of a category's KEK, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KekVersion(pub u32);

/// Whether licenses may carry a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// In use.
    Active,
    /// Known to strangers: no license may carry it.
    Compromised,
}

impl KeyState {
    /// The name in rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Compromised => "compromised",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Compromised].into_iter().find(|state| state.name() == text)
    }
}

/// What one version of a category's KEK may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KekState {
    /// Opens keys; the newest version wraps new ones too.
    Active,
    /// Wraps nothing any more: every key was wrapped anew under a later version.
    Retired,
    /// Known to strangers: no license may carry a key that it ever wrapped.
    Compromised,
}

impl KekState {
    /// The name in rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::Retired, Self::Compromised];
        all.into_iter().find(|state| state.name() == text)
    }
}

/// One CEK at rest. Everything but the key itself is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key's public name.
    pub kid: KeyId,
    /// The title it belongs to.
    pub content_id: ContentId,
    /// The class of the tracks it encrypts; absent: all classes (imported keys).
    pub track_class: Option<TrackClass>,
    /// The scheme it is used under; absent: both (imported keys).
    pub scheme: Option<Scheme>,
    /// The period it serves; absent: it does not rotate. A title whose keys rotate has one such
    /// key for each class and scheme too: it names the tracks and encrypts nothing.
    pub period: Option<KeyPeriod>,
    /// Content category, which names the KEK.
    pub category: CategoryName,
    /// Version of the KEK that wraps it.
    pub kek_version: KekVersion,
    /// Version of the KEK that wrapped it first. Whoever knows a KEK from this version to
    /// [`Self::kek_version`] may have opened an old copy of the row.
    pub first_kek_version: KekVersion,
    /// `v1 ‖ nonce 12 ‖ ciphertext 16 ‖ tag 16`, AES-256-GCM under the KEK, bound to the
    /// fields above, `iv` and `created` by its AAD (`keys::KeyContext`).
    pub wrapped: Vec<u8>,
    /// Constant IV of `cbcs`, or the first sample IV an importer gave for `cenc`. Public.
    pub iv: Option<[u8; 16]>,
    /// HMAC-SHA-256 of the key under a key of the vault: finds a key used twice (R016).
    pub fingerprint: [u8; 32],
    /// Whether it may be used: the row's own mark, and that of every KEK that wrapped it.
    pub state: KeyState,
    /// When it was made.
    pub created: Timestamp,
}
