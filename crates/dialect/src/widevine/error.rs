//! Why a challenge is not answered. Each reason has its own name, for the operator's log; the
//! client hears one outer reason.

/// Why a challenge is not answered. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    // Malformed.
    /// No message of this protocol, or one without a field that it must have.
    #[error("not a Widevine license request")]
    Malformed,
    /// Longer than [`super::MAX_BYTES`].
    #[error("a Widevine message has at most 64 KiB")]
    TooLarge,
    /// More key ids than [`super::MAX_KIDS`].
    #[error("a Widevine license request has at most {} key ids", super::MAX_KIDS)]
    TooManyKids,
    /// A message that is not a request.
    #[error("the message is neither a license request nor a service certificate request")]
    MessageType,
    /// Neither new, renewal nor release; or one of them without what it must identify.
    #[error("the request's type does not fit what it identifies")]
    RequestType,
    /// Content is identified in no way.
    #[error("the request identifies no content")]
    ContentMissing,
    /// Content is identified in two ways.
    #[error("the request identifies content in two ways")]
    ContentTwice,
    /// A key id that is not 16 bytes long, or a `pssh` box that is not one.
    #[error("the request's content identification is damaged")]
    ContentMalformed,
    // Not supported.
    /// Content whose keys lie under entitlement keys.
    #[error("entitlement keys are not supported")]
    Entitlement,
    /// A KEYBOX identity.
    #[error("a keybox identity cannot be verified")]
    Keybox,
    /// A remote attestation certificate.
    #[error("a remote attestation certificate cannot be verified")]
    RemoteAttestation,
    /// An OEM device certificate.
    #[error("an OEM device certificate cannot be verified")]
    OemCertificate,
    /// An identity of a type that the protocol does not name.
    #[error("the identity is of an unknown type")]
    IdentityType,
    /// A certificate's key is not RSA.
    #[error("unsupported key algorithm in a certificate")]
    KeyAlgorithm,
    /// A certificate is signed over another hash than SHA-1.
    #[error("unsupported hash algorithm in a certificate")]
    HashAlgorithm,
    // Identity.
    /// Neither a client id nor an encrypted one.
    #[error("the request carries no identity")]
    IdentityMissing,
    /// A client id and an encrypted one.
    #[error("the request carries two identities")]
    IdentityTwice,
    /// Encrypted for a service certificate that is not ours.
    #[error("the identity is encrypted for an unknown service certificate")]
    UnknownService,
    /// The encrypted identity does not open.
    #[error("the encrypted identity does not open")]
    PrivacyKey,
    // Attestation.
    /// A certificate that is damaged, or lacks serial number, system id or key.
    #[error("a certificate is damaged")]
    Certificate,
    /// A key of fewer than 2048 or more than 4096 bits.
    #[error("a certificate's key has fewer than 2048 or more than 4096 bits")]
    WeakKey,
    /// The device's certificate is not of a device, or its issuer's not of a device model.
    #[error("a certificate is of the wrong type")]
    CertificateType,
    /// A device's certificate issued another.
    #[error("a device's certificate issued a certificate")]
    LeafIssuedLeaf,
    /// Not exactly two certificates below the root.
    #[error("the chain does not have two certificates")]
    ChainDepth,
    /// The two certificates name different systems.
    #[error("the chain's certificates name different systems")]
    SystemIds,
    /// The model's certificate is not signed by the root.
    #[error("the chain ends under an unknown root")]
    UnknownRoot,
    /// The device's certificate is not signed by the model's.
    #[error("the chain is broken")]
    BrokenChain,
    /// A certificate has expired.
    #[error("a certificate has expired")]
    Expired,
    /// The device, its model or its system is revoked.
    #[error("the device is revoked")]
    Revoked,
    /// The list does not name the system, and the operator refuses such.
    #[error("the device's system is not listed")]
    Unlisted,
    /// No signature.
    #[error("the request is not signed")]
    Unsigned,
    /// The signature is not the device's.
    #[error("the request's signature is not the device's")]
    Signature,
    // Renewal.
    /// The session's token is not ours, or of another session.
    #[error("the session is unknown")]
    UnknownSession,
    /// The signature is not the session's.
    #[error("the request's signature is not the session's")]
    SessionSignature,
}

impl ChallengeError {
    /// The reason's name in the operator's log; each has its own.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooManyKids => "too_many_kids",
            Self::MessageType => "message_type",
            Self::RequestType => "request_type",
            Self::ContentMissing => "content_missing",
            Self::ContentTwice => "content_twice",
            Self::ContentMalformed => "content_malformed",
            Self::Entitlement => "entitlement",
            Self::Keybox => "keybox",
            Self::RemoteAttestation => "remote_attestation",
            Self::OemCertificate => "oem_certificate",
            Self::IdentityType => "identity_type",
            Self::KeyAlgorithm => "key_algorithm",
            Self::HashAlgorithm => "hash_algorithm",
            Self::IdentityMissing => "identity_missing",
            Self::IdentityTwice => "identity_twice",
            Self::UnknownService => "unknown_service",
            Self::PrivacyKey => "privacy_key",
            Self::Certificate => "certificate",
            Self::WeakKey => "weak_key",
            Self::CertificateType => "certificate_type",
            Self::LeafIssuedLeaf => "leaf_issued_leaf",
            Self::ChainDepth => "chain_depth",
            Self::SystemIds => "system_ids",
            Self::UnknownRoot => "unknown_root",
            Self::BrokenChain => "broken_chain",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unlisted => "unlisted",
            Self::Unsigned => "unsigned",
            Self::Signature => "signature",
            Self::UnknownSession => "unknown_session",
            Self::SessionSignature => "session_signature",
        }
    }
}
