//! Encrypted delivery: keys that only named recipients can read (CPIX 2.4, delivery data).

use super::document::{Delivered, DeliveredKey, Delivery, Document, KeyEntry, KeyValue, Parts};
use super::value::Blob;
use keys::WrappedDocumentKey;
use keys::{DocumentKey, DocumentKeyError, EncryptedKey, Recipient, RecipientError, RecipientKey};
use model::{Entropy, KeyId, Timestamp};

/// Why a document is not encrypted for its recipients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It names none.
    #[error("the document has no DeliveryData")]
    NoRecipient,
    /// A recipient's certificate is refused.
    #[error("DeliveryData {number}: {problem}")]
    Recipient {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        problem: RecipientError,
    },
    /// Keys are encrypted already, under a document key that is not ours.
    #[error("ContentKey: kid {0} is encrypted already")]
    Encrypted(KeyId),
}

/// Why the keys of a document are not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Keys are encrypted, and none for this recipient.
    #[error("the document is not encrypted for this recipient")]
    ForeignRecipient,
    /// No document key of this recipient is for this key.
    #[error("ContentKey: no DocumentKey of this recipient encrypts kid {0}")]
    NoDocumentKey(KeyId),
    /// A document key, a MAC or a content key is wrong.
    #[error("ContentKey: kid {kid}: {problem}")]
    Key {
        /// The content key.
        kid: KeyId,
        /// What is wrong.
        problem: DocumentKeyError,
    },
}

impl Document {
    /// The recipients, each checked: what [`Self::seal`] would refuse, refused early.
    ///
    /// Errors: [`SealError::Recipient`].
    pub fn recipients(&self, now: Timestamp) -> Result<Vec<Recipient>, SealError> {
        let deliveries = self.parts.deliveries.iter().enumerate();
        let read = deliveries.map(|(at, delivery)| {
            Recipient::parse(delivery.certificate.as_bytes(), now)
                .map_err(|problem| SealError::Recipient { number: at + 1, problem })
        });
        read.collect()
    }

    /// Encrypts every key under a fresh document key, and that for every recipient.
    ///
    /// Errors: [`SealError`].
    pub fn seal(
        mut self,
        now: Timestamp,
        entropy: &mut (impl Entropy + ?Sized),
    ) -> Result<Self, SealError> {
        let recipients = self.recipients(now)?;
        if recipients.is_empty() {
            return Err(SealError::NoRecipient);
        }
        let document_key = DocumentKey::generate(entropy);
        for key in &mut self.parts.keys {
            key.value = match &key.value {
                KeyValue::Absent => KeyValue::Absent,
                KeyValue::Clear(clear) => KeyValue::Encrypted(document_key.encrypt(clear, entropy)),
                KeyValue::Encrypted(_) => return Err(SealError::Encrypted(key.kid)),
            };
        }
        for (delivery, recipient) in self.parts.deliveries.iter_mut().zip(&recipients) {
            let wrapped = document_key.wrap(recipient);
            delivery.delivered = delivered(wrapped);
        }
        Ok(self)
    }

    /// Decrypts every key with a recipient's private key. What is given back names no
    /// recipient: its keys are in the clear.
    ///
    /// Errors: [`OpenError`]; a wrong MAC is found before anything is decrypted.
    pub fn open(self, own: &RecipientKey) -> Result<Self, OpenError> {
        let mut parts = self.parts;
        let is_encrypted = |key: &KeyEntry| matches!(key.value, KeyValue::Encrypted(_));
        if parts.keys.iter().any(is_encrypted) {
            let delivered = ours(&parts, own).ok_or(OpenError::ForeignRecipient)?;
            let document_keys = unwrap_all(&delivered, own);
            for key in &mut parts.keys {
                if let KeyValue::Encrypted(encrypted) = &key.value {
                    key.value = decrypt(key.kid, encrypted, &document_keys)?;
                }
            }
        }
        parts.deliveries.clear();
        Ok(Self { parts })
    }
}

fn delivered(wrapped: WrappedDocumentKey) -> Option<Delivered> {
    let document_key = Blob::from_bytes(wrapped.document_key)?;
    let mac_key = Blob::from_bytes(wrapped.mac_key)?;
    let document_keys = vec![DeliveredKey { wrapped: document_key, encrypts: Vec::new() }];
    Some(Delivered { document_keys, mac_key })
}

fn ours(parts: &Parts, own: &RecipientKey) -> Option<Delivered> {
    let ours = |delivery: &&Delivery| own.is_named_by(delivery.certificate.as_bytes());
    parts.deliveries.iter().filter(ours).find_map(|delivery| delivery.delivered.clone())
}

/// Each document key, and the content keys that it is for (none: all).
type Opened = Vec<(Result<DocumentKey, DocumentKeyError>, Vec<KeyId>)>;

fn unwrap_all(delivered: &Delivered, own: &RecipientKey) -> Opened {
    let unwrap = |key: &DeliveredKey| {
        let document_key = key.wrapped.as_bytes().to_vec();
        let mac_key = delivered.mac_key.as_bytes().to_vec();
        let wrapped = WrappedDocumentKey { document_key, mac_key };
        (DocumentKey::unwrap(&wrapped, own), key.encrypts.clone())
    };
    delivered.document_keys.iter().map(unwrap).collect()
}

fn decrypt(kid: KeyId, key: &EncryptedKey, opened: &Opened) -> Result<KeyValue, OpenError> {
    let named = opened.iter().find(|(_, kids)| kids.contains(&kid));
    let all = || opened.iter().find(|(_, kids)| kids.is_empty());
    let (document_key, _) = named.or_else(all).ok_or(OpenError::NoDocumentKey(kid))?;
    let failed = |problem| OpenError::Key { kid, problem };
    let document_key = document_key.as_ref().map_err(|problem| failed(*problem))?;
    document_key.decrypt(key).map(KeyValue::Clear).map_err(failed)
}
