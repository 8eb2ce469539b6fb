//! XML signatures (XML Signature Syntax and Processing 1.1): not verified here, and so never
//! taken for valid.

use super::document::Document;

/// Why a document is not taken for signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It carries no signature: it never had one, or lost it.
    #[error("the document is not signed")]
    Absent,
    /// It carries one that nobody verified.
    #[error("signatures are not verified here")]
    NotVerified,
}

impl Document {
    /// Called where a signature is expected. There is no document that passes.
    ///
    /// Errors: [`SignatureError`], always.
    pub const fn require_signature(&self) -> Result<std::convert::Infallible, SignatureError> {
        if self.parts.has_signature {
            Err(SignatureError::NotVerified)
        } else {
            Err(SignatureError::Absent)
        }
    }
}
