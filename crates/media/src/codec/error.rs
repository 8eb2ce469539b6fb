//! What is wrong inside the coded media.

/// Why coded media cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The unit ends inside its header.
    #[error("{0} ends inside its header")]
    Truncated(&'static str),
    /// A syntax element has a value that the standard forbids.
    #[error("{0} has a value that the codec forbids")]
    Value(&'static str),
    /// A picture names a parameter set or reference that was not sent.
    #[error("a picture names {0} {1}, which the stream does not have")]
    MissingSet(&'static str, u32),
    /// A unit type whose payload cannot be told apart from headers.
    #[error("{0} of type {1} are not supported")]
    UnitType(&'static str, u8),
    /// A feature whose headers cannot be read exactly.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}
