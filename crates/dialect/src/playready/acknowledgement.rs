//! The acknowledgement: a client says that it stored a license that may be kept.
//!
//! What is public about it is the operation's name and that it repeats the transaction id of
//! the response; the rest is built like a challenge. Nothing depends on it: it unlocks nothing.

use super::ChallengeError;
use super::acquisition::signed;
use super::envelope::{challenge_of, wrap};
use super::signature::{KeyInfo, SIGNED_ID, sign};
use super::xml::Element;
use super::xml::Namespace::{Messages, Protocols};
use keys::{P256PrivateKey, sha256};
use model::{Entropy, Timestamp};
use quick_xml::escape::partial_escape;

/// An acknowledgement whose signature is that of the key it carries.
#[derive(Debug)]
pub struct Acknowledgement {
    transaction_id: TransactionId,
    signer: [u8; 32],
}

/// The name of a response that is to be acknowledged, as it was drawn: 16 bytes, written as a
/// GUID (`265e4a30-72f9-4f46-b41e-102a21ac4bc9`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId([u8; 16]);

/// How many digits its parts have.
const PARTS: [usize; 5] = [8, 4, 4, 4, 12];

impl TransactionId {
    pub(super) fn draw(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// Reads it; `None` where it is written otherwise, in capitals too.
    fn parse(text: &str) -> Option<Self> {
        let digits: String = text.split('-').collect();
        let number = u128::from_str_radix(&digits, 16).ok()?;
        let own = Self(number.to_be_bytes());
        (own.to_string() == text).then_some(own)
    }
}

impl std::fmt::Display for TransactionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = format!("{:032x}", u128::from_be_bytes(self.0));
        let mut rest = digits.as_str();
        for (at, length) in PARTS.into_iter().enumerate() {
            let (part, more) = rest.split_at_checked(length).unwrap_or((rest, ""));
            rest = more;
            write!(f, "{}{part}", if at == 0 { "" } else { "-" })?;
        }
        Ok(())
    }
}

impl Acknowledgement {
    pub(super) fn verify(operation: &Element, text: &str) -> Result<Self, ChallengeError> {
        let is_signed = |child: &Element| child.is(Protocols, "LicenseAcknowledgement");
        let (acknowledgement, stated) = signed(challenge_of(operation)?, is_signed)?;
        let transaction_id = acknowledgement.only(Protocols, "TransactionID");
        let transaction_id = transaction_id.and_then(|id| TransactionId::parse(id.leaf()?));
        let transaction_id = transaction_id.ok_or(ChallengeError::Transaction)?;
        let key = stated.verify_by_own(acknowledgement, text)?;
        Ok(Self { transaction_id, signer: sha256(&key.to_bytes()) })
    }

    /// The transaction id of the response that it acknowledges.
    #[must_use]
    pub const fn transaction_id(&self) -> TransactionId {
        self.transaction_id
    }

    /// SHA-256 of the key that signed it: a device's, where it is one that was answered.
    #[must_use]
    pub const fn signer(&self) -> &[u8; 32] {
        &self.signer
    }

    /// The answer: that it was heard.
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        let (protocols, messages) = (Protocols.name(), Messages.name());
        wrap(&format!(
            "<AcknowledgeLicenseResponse xmlns=\"{protocols}\"><AcknowledgeLicenseResult>\
             <Response xmlns=\"{messages}\"></Response></AcknowledgeLicenseResult>\
             </AcknowledgeLicenseResponse>"
        ))
        .into_bytes()
    }
}

/// Writes the acknowledgement of a transaction; its body.
pub(super) fn acknowledge(transaction_id: &str, key: &P256PrivateKey, now: Timestamp) -> Vec<u8> {
    let (protocols, messages) = (Protocols.name(), Messages.name());
    let signed = format!(
        "<LicenseAcknowledgement xmlns=\"{protocols}\" Id=\"{SIGNED_ID}\">\
         <TransactionID>{}</TransactionID><ClientTime>{}</ClientTime></LicenseAcknowledgement>",
        partial_escape(transaction_id),
        now.as_s()
    );
    let signature = sign(&signed, key, KeyInfo::Written);
    wrap(&format!(
        "<AcknowledgeLicense xmlns=\"{protocols}\"><challenge><Challenge xmlns=\"{messages}\">\
         {signed}{signature}</Challenge></challenge></AcknowledgeLicense>"
    ))
    .into_bytes()
}
