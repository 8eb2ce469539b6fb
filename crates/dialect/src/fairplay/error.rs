//! Why a challenge is not answered, and why bytes are no license. Each reason has its own name,
//! for the operator's log; the client hears one outer reason.

/// Why a challenge is not answered. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    // Malformed.
    /// No SPC, neither as octets nor in a form or JSON; or one whose lengths do not fit.
    #[error("not a FairPlay license request")]
    Malformed,
    /// Longer than [`super::MAX_BYTES`], or its SPC than [`super::MAX_CONTAINER_BYTES`].
    #[error("a FairPlay message has at most 64 KiB, one of several SPCs 256, an SPC 32")]
    TooLarge,
    /// A form that names its SPC twice, or several where one is expected.
    #[error("the request carries two SPCs")]
    SpcTwice,
    /// More SPCs than [`super::MAX_SPCS`].
    #[error("a request carries at most {} SPCs", super::MAX_SPCS)]
    TooManySpcs,
    /// Two SPCs of one request ask for the same key.
    #[error("two SPCs of the request ask for the same key")]
    KidTwice,
    /// The SPC of a form or of JSON is not base64.
    #[error("the request's SPC is not base64")]
    Base64,
    /// A block whose lengths do not fit, or bytes behind the last.
    #[error("the SPC's blocks are damaged")]
    Blocks,
    /// More blocks than an SPC may have.
    #[error("an SPC has at most 128 blocks")]
    TooManyBlocks,
    /// A block that must stand alone stands there twice.
    #[error("a block of the SPC is there twice")]
    BlockTwice,
    /// A block that must be there is not.
    #[error("a block of the SPC is missing")]
    BlockMissing,
    /// A known block of another length.
    #[error("a block of the SPC has a wrong length")]
    BlockLength,
    // Not supported.
    /// A container that is not of version 1.
    #[error("containers of this version are not supported")]
    UnsupportedVersion,
    /// The protocol's version that is used is none that the client supports, or not 1.
    #[error("the SPC's protocol versions do not fit")]
    ProtocolVersion,
    // Identity.
    /// The certificate is none of ours.
    #[error("the SPC is made for an unknown application certificate")]
    UnknownCertificate,
    /// The payload's key does not open under the certificate's.
    #[error("the SPC's payload key does not open")]
    PayloadKey,
    /// The device's secrets do not open: another application secret, or changed on the way.
    #[error("the integrity of the device's secrets is broken")]
    Integrity,
    // What is asked.
    /// A tag to be returned that is not there, is there twice, is named twice, or is secret.
    #[error("the SPC's return request cannot be met")]
    ReturnRequest,
    /// The asset id names no key.
    #[error("the asset id names no key")]
    AssetId,
    /// A playback state of no known value.
    #[error("the playback state is unknown")]
    PlaybackState,
    /// Without a playback state no duration can be said.
    #[error("the SPC has no playback state")]
    NoPlaybackState,
    /// The client asks to keep a license, and does not say that it can.
    #[error("the client cannot keep a license")]
    CannotPersist,
    /// A licensee's module refuses for a reason of its own.
    #[error("the key security module refuses the SPC")]
    Module,
}

impl ChallengeError {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Malformed,
        Self::TooLarge,
        Self::SpcTwice,
        Self::TooManySpcs,
        Self::KidTwice,
        Self::Base64,
        Self::Blocks,
        Self::TooManyBlocks,
        Self::BlockTwice,
        Self::BlockMissing,
        Self::BlockLength,
        Self::UnsupportedVersion,
        Self::ProtocolVersion,
        Self::UnknownCertificate,
        Self::PayloadKey,
        Self::Integrity,
        Self::ReturnRequest,
        Self::AssetId,
        Self::PlaybackState,
        Self::NoPlaybackState,
        Self::CannotPersist,
        Self::Module,
    ];

    /// The reason's name in the operator's log; each has its own.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::SpcTwice => "spc_twice",
            Self::TooManySpcs => "too_many_spcs",
            Self::KidTwice => "kid_twice",
            Self::Base64 => "base64",
            Self::Blocks => "blocks",
            Self::TooManyBlocks => "too_many_blocks",
            Self::BlockTwice => "block_twice",
            Self::BlockMissing => "block_missing",
            Self::BlockLength => "block_length",
            Self::UnsupportedVersion => "unsupported_version",
            Self::ProtocolVersion => "protocol_version",
            Self::UnknownCertificate => "unknown_certificate",
            Self::PayloadKey => "payload_key",
            Self::Integrity => "integrity",
            Self::ReturnRequest => "return_request",
            Self::AssetId => "asset_id",
            Self::PlaybackState => "playback_state",
            Self::NoPlaybackState => "no_playback_state",
            Self::CannotPersist => "cannot_persist",
            Self::Module => "module",
        }
    }
}

/// Why bytes are not the license of a request. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// No CKC of version 1, or not in the request's framing.
    #[error("not a FairPlay license")]
    Malformed,
    /// The payload does not open under this request's secrets, or is damaged.
    #[error("the license does not open")]
    Payload,
    /// R1 is not the request's: the answer to another.
    #[error("the license is another request's")]
    OtherRequest,
    /// A block that was to be returned is not there as it was sent.
    #[error("the license does not return what was asked")]
    NotReturned,
    /// No content key: its terms could not be said.
    #[error("the license has no key")]
    NoKey,
    /// Terms that Strongroom does not know.
    #[error("the license has unknown terms")]
    Terms,
    /// Licenses of one answer that do not say the same.
    #[error("the licenses of the answer have different terms")]
    TermsDiffer,
}
