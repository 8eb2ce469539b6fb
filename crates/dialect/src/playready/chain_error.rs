//! Why a certificate chain is refused. Each reason has its own name, for the operator's log.

/// Why a certificate chain is refused. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    // Malformed.
    /// Not a chain's head, or one whose lengths are not those of its bytes.
    #[error("not a PlayReady certificate chain")]
    Malformed,
    /// Longer than [`super::MAX_CHAIN_BYTES`].
    #[error("a certificate chain has at most 64 KiB")]
    TooLarge,
    /// Another version than 1, of the chain or of a certificate.
    #[error("the certificate chain has an unknown version")]
    Version,
    /// No certificate, or more than six.
    #[error("a certificate chain has one to six certificates")]
    Depth,
    /// A certificate whose lengths are not those of its bytes, or that does not end with its
    /// signature.
    #[error("a certificate of the chain is damaged")]
    Certificate,
    /// An attribute whose length is not its own.
    #[error("an attribute of a certificate has another length than its content")]
    Attribute,
    /// More attributes, keys, usages or features than a certificate may have.
    #[error("a certificate has too many attributes, keys, usages or features")]
    TooMany,
    /// An attribute that may stand once stands twice.
    #[error("a certificate has an attribute twice")]
    AttributeTwice,
    /// No basic attribute, no keys or no signature.
    #[error("a certificate lacks an attribute")]
    AttributeMissing,
    /// An attribute that must be understood and is not.
    #[error("a certificate has an unknown attribute that must be understood")]
    UnknownAttribute,
    // Not supported.
    /// A key that is not on P-256.
    #[error("a certificate's key is not a point on P-256")]
    Key,
    /// A signature of another kind.
    #[error("a certificate has a signature of an unknown kind")]
    SignatureKind,
    // Not allowed.
    /// The first certificate is not of the kind that its use needs.
    #[error("the chain's first certificate is of the wrong kind")]
    LeafKind,
    /// A later certificate is no issuer's.
    #[error("a certificate was issued by one that is no issuer's")]
    IssuerKind,
    /// A security level above the issuer's, or one that nobody knows.
    #[error("a certificate has a higher security level than its issuer, or an unknown one")]
    Level,
    /// The digest is of another key.
    #[error("a certificate's digest is not its key's")]
    Digest,
    /// No key for what the certificate is used for, or more than one.
    #[error("a certificate has not one key for its use")]
    Usage,
    /// The signer's key is not one with which the next certificate may issue.
    #[error("the chain is broken: a certificate is signed by a key that its issuer has not")]
    BrokenChain,
    /// The last certificate is signed by another root.
    #[error("the chain ends under an unknown root")]
    UnknownRoot,
    /// A signature is not its signer's.
    #[error("a certificate's signature is not its signer's")]
    Signature,
    /// A certificate has expired.
    #[error("a certificate has expired")]
    Expired,
    /// The key of a certificate is revoked.
    #[error("a certificate's key is revoked")]
    Revoked,
    /// A device of the test level where none may come.
    #[error("the device is of the test level")]
    TestLevel,
}

impl ChainError {
    /// The reason's name in the operator's log; each has its own.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "chain_malformed",
            Self::TooLarge => "chain_too_large",
            Self::Version => "chain_version",
            Self::Depth => "chain_depth",
            Self::Certificate => "certificate",
            Self::Attribute => "certificate_attribute",
            Self::TooMany => "certificate_too_many",
            Self::AttributeTwice => "certificate_attribute_twice",
            Self::AttributeMissing => "certificate_attribute_missing",
            Self::UnknownAttribute => "certificate_unknown_attribute",
            Self::Key => "certificate_key",
            Self::SignatureKind => "certificate_signature_kind",
            Self::LeafKind => "leaf_kind",
            Self::IssuerKind => "issuer_kind",
            Self::Level => "certificate_level",
            Self::Digest => "certificate_digest",
            Self::Usage => "certificate_usage",
            Self::BrokenChain => "broken_chain",
            Self::UnknownRoot => "unknown_root",
            Self::Signature => "certificate_signature",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::TestLevel => "test_level",
        }
    }
}
