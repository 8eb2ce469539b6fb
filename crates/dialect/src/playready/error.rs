//! Why a challenge is not answered. Each reason has its own name, for the operator's log; the
//! client hears one outer reason: what a service says about an identity that does not open would
//! help to open it.

use super::signature::SignatureError;
use super::{ChainError, HeaderError, XmlError};

/// Why a challenge is not answered. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    // Malformed.
    /// No XML, or XML with what no client writes.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// A PlayReadyKeyMessage without one Challenge in base64.
    #[error("the key message does not hold one challenge")]
    KeyMessage,
    /// Not a SOAP envelope with a body and nothing else.
    #[error("not a SOAP envelope with one body")]
    Envelope,
    /// The body asks neither for a license nor acknowledges one; or does more than one thing.
    #[error("the body is neither one license request nor one acknowledgement")]
    Operation,
    /// The operation does not hold one challenge.
    #[error("the operation does not hold one challenge")]
    Challenge,
    /// No license acquisition in the challenge.
    #[error("the challenge has no license acquisition")]
    AcquisitionMissing,
    /// More than one, or something beside it and its signature.
    #[error("the challenge has more than one license acquisition and its signature")]
    AcquisitionTwice,
    /// The license acquisition is not the element that is called `SignedData`.
    #[error("the license acquisition is not called SignedData")]
    SignedId,
    /// Its version is missing or unknown.
    #[error("the license acquisition's version is missing or unknown")]
    Version,
    /// Its version is another header's.
    #[error("the license acquisition's version does not go with its header")]
    VersionMismatch,
    /// It holds not exactly one content header.
    #[error("the license acquisition does not hold one content header")]
    ContentHeader,
    /// The content header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its nonce is missing, stands twice, or is not 16 bytes.
    #[error("the license nonce is missing or not 16 bytes")]
    Nonce,
    /// An acknowledgement without one transaction id.
    #[error("the acknowledgement names no transaction")]
    Transaction,
    // Signature.
    /// No signature.
    #[error("the challenge is not signed")]
    Unsigned,
    /// The signature as it stands, before and after it is calculated.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    // Identity.
    /// No encrypted identity.
    #[error("the license acquisition carries no identity")]
    IdentityMissing,
    /// Two, or one that is built otherwise.
    #[error("the encrypted identity is damaged")]
    IdentityStructure,
    /// Encrypted by other algorithms.
    #[error("the identity is encrypted by another algorithm")]
    IdentityAlgorithm,
    /// Encrypted for a key of another name.
    #[error("the identity is encrypted for another service")]
    UnknownService,
    /// The key of the identity is not one that ElGamal on P-256 makes.
    #[error("the identity's key is not a pair of points")]
    IdentityKey,
    /// The identity does not open: it is encrypted for another service's key.
    #[error("the encrypted identity does not open")]
    IdentityClosed,
    /// What it opens to is not one certificate chain.
    #[error("the identity does not hold one certificate chain")]
    IdentityMalformed,
    /// The certificate chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The challenge is signed by another key than the device's.
    #[error("the challenge is signed by another key than the device's certificate names")]
    ForeignKey,
}

impl ChallengeError {
    /// The reason's name in the operator's log; each has its own.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xml(error) => error.name(),
            Self::KeyMessage => "key_message",
            Self::Envelope => "envelope",
            Self::Operation => "operation",
            Self::Challenge => "challenge",
            Self::AcquisitionMissing => "acquisition_missing",
            Self::AcquisitionTwice => "acquisition_twice",
            Self::SignedId => "signed_id",
            Self::Version => "version",
            Self::VersionMismatch => "version_mismatch",
            Self::ContentHeader => "content_header",
            Self::Header(error) => error.name(),
            Self::Nonce => "nonce",
            Self::Transaction => "transaction",
            Self::Unsigned => "unsigned",
            Self::Signature(error) => error.name(),
            Self::IdentityMissing => "identity_missing",
            Self::IdentityStructure => "identity_structure",
            Self::IdentityAlgorithm => "identity_algorithm",
            Self::UnknownService => "unknown_service",
            Self::IdentityKey => "identity_key",
            Self::IdentityClosed => "identity_closed",
            Self::IdentityMalformed => "identity_malformed",
            Self::Chain(error) => error.name(),
            Self::ForeignKey => "foreign_key",
        }
    }
}
