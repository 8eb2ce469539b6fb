//! The key of one encrypted key document (CPIX 2.4, delivery data): AES-256-CBC with PKCS#7
//! padding over each content key, and HMAC-SHA512 over IV and ciphertext.

use crate::content_key::{ContentKey, KEY_BYTES};
use crate::recipient::{Recipient, RecipientKey};
use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use model::Entropy;
use zeroize::Zeroizing;

const IV_BYTES: usize = 16;
/// A content key and one block of padding.
const PADDED_BYTES: usize = KEY_BYTES + 16;
/// IV and ciphertext of one content key.
const VALUE_BYTES: usize = IV_BYTES + PADDED_BYTES;
const MAC_BYTES: usize = 64;
const CIPHER_KEY_BYTES: usize = 32;
/// Length of a MAC key that is made here: HMAC-SHA512's own output.
const MAC_KEY_BYTES: usize = 64;
/// Lengths of a MAC key that is read: half the hash at least (RFC 2104, 3), a block at most.
const MAC_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 32..=128;

/// Why an encrypted content key is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentKeyError {
    /// The document key or its MAC key was wrapped for another key, or was changed.
    #[error("the document key is not wrapped for this recipient")]
    NotOurs,
    /// An unwrapped key has no length that CPIX knows.
    #[error("the document key is not 256 bits, or its MAC key not 256 to 1024")]
    Length,
    /// The MAC is wrong: nothing was decrypted.
    #[error("the MAC of the content key is wrong")]
    Mac,
    /// The MAC is right, and what it covers is no content key.
    #[error("the encrypted value is not an AES-128 key")]
    NotAKey,
}

/// A document key and its MAC key in the clear, wiped on drop. They leave this room only
/// wrapped, for a [`Recipient`].
///
/// ```
/// let key = keys::DocumentKey::generate(&mut keys::SystemEntropy);
/// assert_eq!(format!("{key:?}"), "DocumentKey(..)");
/// ```
/// ```compile_fail,E0599
/// let key = keys::DocumentKey::generate(&mut keys::SystemEntropy);
/// let copied = key.clone();
/// ```
pub struct DocumentKey {
    cipher: Box<Zeroizing<[u8; CIPHER_KEY_BYTES]>>,
    mac: Zeroizing<Vec<u8>>,
}

/// A document key as it stands in a document: wrapped for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedDocumentKey {
    /// The document key under RSA-OAEP.
    pub document_key: Vec<u8>,
    /// The MAC key under RSA-OAEP.
    pub mac_key: Vec<u8>,
}

/// A content key as it stands in a document: encrypted under its document key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedKey {
    value: [u8; VALUE_BYTES],
    mac: [u8; MAC_BYTES],
}

impl EncryptedKey {
    /// Takes over IV ‖ ciphertext, and the MAC over both; `None` where the lengths are not
    /// those of an AES-128 key and HMAC-SHA512.
    #[must_use]
    pub fn from_parts(value: &[u8], mac: &[u8]) -> Option<Self> {
        Some(Self { value: value.try_into().ok()?, mac: mac.try_into().ok()? })
    }

    /// IV ‖ ciphertext.
    #[must_use]
    pub const fn value(&self) -> &[u8] {
        &self.value
    }

    /// The MAC over IV ‖ ciphertext.
    #[must_use]
    pub const fn mac(&self) -> &[u8] {
        &self.mac
    }
}

impl DocumentKey {
    /// Draws fresh keys.
    pub fn generate(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let mut cipher = Box::new(Zeroizing::new([0; CIPHER_KEY_BYTES]));
        let mut mac = Zeroizing::new(vec![0; MAC_KEY_BYTES]);
        entropy.fill(cipher.as_mut_slice());
        entropy.fill(&mut mac);
        Self { cipher, mac }
    }

    /// Wraps both keys for a recipient. The padding's randomness is aws-lc's own.
    #[must_use]
    pub fn wrap(&self, recipient: &Recipient) -> WrappedDocumentKey {
        WrappedDocumentKey {
            document_key: recipient.wrap(self.cipher.as_slice()),
            mac_key: recipient.wrap(&self.mac),
        }
    }

    /// Opens both keys.
    ///
    /// Errors: [`DocumentKeyError::NotOurs`], [`DocumentKeyError::Length`].
    pub fn unwrap(
        wrapped: &WrappedDocumentKey,
        own: &RecipientKey,
    ) -> Result<Self, DocumentKeyError> {
        let opened = own.unwrap(&wrapped.document_key).ok_or(DocumentKeyError::NotOurs)?;
        let mac = own.unwrap(&wrapped.mac_key).ok_or(DocumentKeyError::NotOurs)?;
        if opened.len() != CIPHER_KEY_BYTES || !MAC_KEY_LENGTHS.contains(&mac.len()) {
            return Err(DocumentKeyError::Length);
        }
        let mut cipher = Box::new(Zeroizing::new([0; CIPHER_KEY_BYTES]));
        cipher.copy_from_slice(&opened);
        Ok(Self { cipher, mac })
    }

    /// Encrypts a content key under a fresh IV.
    pub fn encrypt(&self, key: &ContentKey, entropy: &mut (impl Entropy + ?Sized)) -> EncryptedKey {
        let mut iv = [0; IV_BYTES];
        entropy.fill(&mut iv);
        // Room for the padding: a growing vector would leave a copy of the key behind.
        let mut text = Vec::with_capacity(PADDED_BYTES);
        text.extend(key.bytes());
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        PaddedBlockEncryptingKey::cbc_pkcs7(self.unbound())
            .and_then(|cipher| cipher.less_safe_encrypt(&mut text, context))
            .expect("a short text is padded and encrypted in place");
        let mut value = [0; VALUE_BYTES];
        let (first, rest) = value.split_at_mut(IV_BYTES);
        first.copy_from_slice(&iv);
        rest.copy_from_slice(&text);
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(hmac::sign(&self.mac_key(), &value).as_ref());
        EncryptedKey { value, mac }
    }

    /// Checks the MAC in constant time, and only then decrypts.
    ///
    /// Errors: [`DocumentKeyError::Mac`], [`DocumentKeyError::NotAKey`].
    pub fn decrypt(&self, key: &EncryptedKey) -> Result<ContentKey, DocumentKeyError> {
        hmac::verify(&self.mac_key(), &key.value, &key.mac).map_err(|_| DocumentKeyError::Mac)?;
        let (iv, text) =
            key.value.split_first_chunk::<IV_BYTES>().ok_or(DocumentKeyError::NotAKey)?;
        let mut text = Zeroizing::new(text.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(*iv));
        let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(self.unbound())
            .expect("32 bytes are an AES-256 key");
        let opened = cipher.decrypt(&mut text, context).map_err(|_| DocumentKeyError::NotAKey)?;
        let opened: &[u8; KEY_BYTES] =
            (&*opened).try_into().map_err(|_| DocumentKeyError::NotAKey)?;
        Ok(ContentKey::build(|bytes| bytes.copy_from_slice(opened)))
    }

    fn unbound(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(&AES_256, self.cipher.as_slice())
            .expect("32 bytes are an AES-256 key")
    }

    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA512, &self.mac)
    }
}

impl std::fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DocumentKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use crate::recipient::tests::{own_key, recipient};
    use proptest::prelude::*;

    fn document_key() -> DocumentKey {
        DocumentKey::generate(&mut SystemEntropy)
    }

    #[test]
    fn a_wrapped_document_key_opens_what_it_encrypted() {
        let document_key = document_key();
        let key = ContentKey::generate(&mut SystemEntropy);
        let encrypted = document_key.encrypt(&key, &mut SystemEntropy);
        let again = DocumentKey::unwrap(&document_key.wrap(&recipient()), &own_key()).unwrap();
        assert_eq!(again.decrypt(&encrypted).unwrap().bytes(), key.bytes());
    }

    #[test]
    fn keys_of_other_lengths_are_refused() {
        let wrap = |document_key: usize, mac_key: usize| WrappedDocumentKey {
            document_key: recipient().wrap(&vec![1; document_key]),
            mac_key: recipient().wrap(&vec![2; mac_key]),
        };
        let unwrap = |wrapped| DocumentKey::unwrap(&wrapped, &own_key()).map(drop);
        assert_eq!(unwrap(wrap(32, 32)), Ok(()));
        assert_eq!(unwrap(wrap(32, 128)), Ok(()));
        for (document_key, mac_key) in [(16, 64), (33, 64), (32, 31), (32, 129), (0, 0)] {
            assert_eq!(unwrap(wrap(document_key, mac_key)), Err(DocumentKeyError::Length));
        }
        let mut wrapped = wrap(32, 64);
        wrapped.mac_key[0] ^= 1;
        assert_eq!(unwrap(wrapped), Err(DocumentKeyError::NotOurs));
    }

    #[test]
    fn another_implementation_decrypts_it() {
        use aes::cipher::block_padding::Pkcs7;
        use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
        let document_key = document_key();
        let key = ContentKey::generate(&mut SystemEntropy);
        let encrypted = document_key.encrypt(&key, &mut SystemEntropy);
        let (iv, text) = encrypted.value.split_at(16);
        let cipher: [u8; 32] = **document_key.cipher;
        let iv: [u8; 16] = iv.try_into().unwrap();
        let mut text = text.to_vec();
        let opened = cbc::Decryptor::<aes::Aes256>::new(&cipher.into(), &iv.into())
            .decrypt_padded::<Pkcs7>(&mut text)
            .unwrap();
        assert_eq!(opened, key.bytes());
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_refused(at in 0..VALUE_BYTES + MAC_BYTES, bit in 0..8) {
            let document_key = document_key();
            let key = ContentKey::generate(&mut SystemEntropy);
            let mut encrypted = document_key.encrypt(&key, &mut SystemEntropy);
            let byte = match at.checked_sub(VALUE_BYTES) {
                None => &mut encrypted.value[at],
                Some(at) => &mut encrypted.mac[at],
            };
            *byte ^= 1_u8 << bit;
            prop_assert_eq!(document_key.decrypt(&encrypted).err(), Some(DocumentKeyError::Mac));
        }
    }
}
