//! DRM systems of a document: what an encryptor writes into media and manifests so that
//! players ask for a key (CPIX 2.4, `DRMSystem`).

use super::value::{Blob, Text};
use model::KeyId;

/// System id of a DRM system, as in `pssh` (ISO/IEC 23001-7, 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemId(KeyId);

impl SystemId {
    /// Google Widevine.
    pub const WIDEVINE: Self = Self::of(0xedef_8ba9_79d6_4ace_a3c8_27dc_d51d_21ed);
    /// Microsoft PlayReady.
    pub const PLAYREADY: Self = Self::of(0x9a04_f079_9840_4286_ab92_e65b_e088_5f95);
    /// Apple FairPlay.
    pub const FAIRPLAY: Self = Self::of(0x94ce_86fb_07ff_4f43_adb8_93d2_fa96_8ca2);
    /// The common system of the W3C.
    pub const COMMON: Self = Self::of(0x1077_efec_c0b2_4d02_ace3_3c1e_52e2_fb4b);
    /// Clear Key in DASH manifests.
    pub const CLEAR_KEY: Self = Self::of(0xe271_9d58_a985_b3c9_781a_b030_af78_d30e);

    const fn of(id: u128) -> Self {
        Self(KeyId::from_bytes(id.to_be_bytes()))
    }

    /// Reads a UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        KeyId::parse(text).ok().map(Self)
    }

    /// The bytes in network order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl std::fmt::Display for SystemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_uuid())
    }
}

/// An element that may be there without its value: so a request asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// Not there.
    #[default]
    Absent,
    /// There, and empty.
    Asked,
    /// There.
    Filled(Blob),
}

impl Slot {
    /// The value, where there is one.
    #[must_use]
    pub const fn value(&self) -> Option<&Blob> {
        match self {
            Self::Filled(blob) => Some(blob),
            Self::Absent | Self::Asked => None,
        }
    }

    /// What an answer holds: a value where one was asked for, nothing where there is none.
    #[must_use]
    pub fn answered(self, value: Option<&Blob>) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Asked | Self::Filled(_) => value.cloned().map_or(Self::Absent, Self::Filled),
        }
    }
}

/// `ContentProtectionData`: XML for a DASH manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentProtection {
    /// The XML; absent: asked for.
    pub value: Option<Blob>,
    /// The robustness that the system must have.
    pub robustness: Option<Text>,
}

/// `HLSSignalingData` for one kind of playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hls<N> {
    /// What the document calls the playlist. It is answered as it was sent.
    pub name: N,
    /// The tags; absent: asked for.
    pub value: Option<Blob>,
}

/// What a document calls the media playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaName {
    /// Nothing: the default.
    Absent,
    /// `media`.
    Media,
}

/// What a document calls the multivariant playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultivariantName {
    /// `master`, up to CPIX 2.3.
    Master,
    /// `multiVariant`, since CPIX 2.4.
    MultiVariant,
}

/// What one DRM system says about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrmSystem {
    /// The DRM system.
    pub system: SystemId,
    /// The key.
    pub kid: KeyId,
    /// Name of the element in its document.
    pub id: Option<Text>,
    /// What people call the system.
    pub name: Option<Text>,
    /// A whole `pssh` box.
    pub pssh: Slot,
    /// XML for a DASH manifest.
    pub content_protection: Option<ContentProtection>,
    /// Tags of the media playlist.
    pub hls_media: Option<Hls<MediaName>>,
    /// Tags of the multivariant playlist.
    pub hls_multivariant: Option<Hls<MultivariantName>>,
    /// The header of a Smooth Streaming manifest.
    pub smooth_streaming: Slot,
    /// `HLSAllowedCPC`.
    pub hls_allowed_cpc: Option<Text>,
    /// `URIExtXKey`, gone since CPIX 2.1.
    pub uri_ext_x_key: Slot,
    /// `KEYFORMAT` of SPEKE 1.0.
    pub key_format: Slot,
    /// `KEYFORMATVERSIONS` of SPEKE 1.0.
    pub key_format_versions: Slot,
    /// The PlayReady header of SPEKE 1.0.
    pub protection_header: Slot,
}

impl DrmSystem {
    /// A system that says nothing yet.
    #[must_use]
    pub fn new(system: SystemId, kid: KeyId) -> Self {
        Self {
            system,
            kid,
            id: None,
            name: None,
            pssh: Slot::Absent,
            content_protection: None,
            hls_media: None,
            hls_multivariant: None,
            smooth_streaming: Slot::Absent,
            hls_allowed_cpc: None,
            uri_ext_x_key: Slot::Absent,
            key_format: Slot::Absent,
            key_format_versions: Slot::Absent,
            protection_header: Slot::Absent,
        }
    }

    /// Whether nothing but a `pssh` box is there: all that a leaf key may have.
    pub(super) fn has_pssh_only(&self) -> bool {
        let bare = Self {
            id: self.id.clone(),
            name: self.name.clone(),
            pssh: self.pssh.clone(),
            ..Self::new(self.system, self.kid)
        };
        *self == bare
    }
}
