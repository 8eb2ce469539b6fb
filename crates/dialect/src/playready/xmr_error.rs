//! Why bytes are not a license of this device.

/// Why bytes are not a license of this device. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmrError {
    /// No license, or an object whose length or shape is not its own.
    #[error("not a PlayReady license")]
    Malformed,
    /// Longer than 16 KiB.
    #[error("a PlayReady license has at most 16 KiB")]
    TooLarge,
    /// Another version than 3.
    #[error("the license has an unknown version")]
    Version,
    /// More objects in one container than it may have.
    #[error("the license has too many objects")]
    TooMany,
    /// An object that must be understood and is not.
    #[error("the license has an unknown object that must be understood")]
    Unknown,
    /// An object stands twice.
    #[error("the license has an object twice")]
    Twice,
    /// An object that each license must have is not there.
    #[error("the license lacks an object")]
    Missing,
    /// A key or cipher of a kind that has no place here.
    #[error("the license's key is of an unknown kind")]
    KeyKind,
    /// The license is another device's.
    #[error("the license is another device's")]
    OtherDevice,
    /// The key does not open, or is not the one that was written.
    #[error("the license's key does not open")]
    Key,
    /// Signed under another key: another license's, or changed on its way.
    #[error("the license's signature is not its own")]
    Signature,
    /// Terms that Strongroom does not know, or that contradict each other.
    #[error("the license has unknown terms")]
    Terms,
}
