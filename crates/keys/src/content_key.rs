//! A content key (CEK) in the clear, and what may be done with it.

use crate::{CbcsCipher, CencCipher};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use model::{Entropy, KeyId};
use zeroize::Zeroizing;

/// Length of an AES-128 key, bytes.
pub(crate) const KEY_BYTES: usize = 16;

/// A content encryption key, AES-128, wiped on drop.
///
/// It lives on the heap, so that moving it copies a pointer and leaves no copy of the key
/// behind. It can neither be copied, printed, compared nor serialized:
///
/// ```
/// let key = keys::ContentKey::generate(&mut keys::SystemEntropy);
/// let moved = key;
/// assert_eq!(format!("{moved:?}"), "ContentKey(..)");
/// ```
/// ```compile_fail,E0599
/// let key = keys::ContentKey::generate(&mut keys::SystemEntropy);
/// let copied = key.clone();
/// ```
/// ```compile_fail,E0277
/// let key = keys::ContentKey::generate(&mut keys::SystemEntropy);
/// let printed = format!("{key}");
/// ```
/// ```compile_fail,E0369
/// let key = keys::ContentKey::generate(&mut keys::SystemEntropy);
/// let is_equal = key == key;
/// ```
/// ```compile_fail,E0277
/// let key = keys::ContentKey::generate(&mut keys::SystemEntropy);
/// let written = serde_json::to_string(&key);
/// ```
pub struct ContentKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl ContentKey {
    /// Draws a fresh key.
    pub fn generate(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        Self::build(|bytes| entropy.fill(bytes))
    }

    /// Takes over the bytes of an existing key: an imported one, or one of a test.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self::build(|own| own.copy_from_slice(bytes.as_slice()))
    }

    /// Makes the key in place.
    pub(crate) fn build(fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_BYTES]));
        fill(&mut bytes);
        Self(bytes)
    }

    /// The key in the clear. Every caller states to clippy why it must leave this room.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(*self.bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// HMAC-SHA-256 of the key: tells that a key was used before without telling the key.
    #[must_use]
    pub fn fingerprint(&self, key: &FingerprintKey) -> [u8; 32] {
        let tag = hmac::sign(&key.0, self.bytes());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(tag.as_ref());
        fingerprint
    }

    /// `CHECKSUM` of a PlayReady header 4.0: the first 8 bytes of the KID, in GUID order,
    /// encrypted by AES-ECB under the key (PlayReady Header Specification).
    #[must_use]
    pub fn playready_checksum(&self, kid: KeyId) -> [u8; 8] {
        let mut block = kid.to_guid();
        EncryptingKey::ecb(self.unbound())
            .and_then(|key| key.encrypt(&mut block))
            .expect("one whole block");
        let [a, b, c, d, e, f, g, h, ..] = block;
        [a, b, c, d, e, f, g, h]
    }

    /// A cipher for the samples of one track under `cbcs`.
    #[must_use]
    pub fn cbcs(&self) -> CbcsCipher {
        CbcsCipher::new(self)
    }

    /// A cipher for the samples of one track under `cenc`.
    #[must_use]
    pub fn cenc(&self) -> CencCipher {
        CencCipher::new(self)
    }

    pub(crate) fn unbound(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(&AES_128, self.bytes()).expect("16 bytes are an AES-128 key")
    }
}

impl std::fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

/// The vault's key for fingerprints of content keys (R016); aws-lc wipes it.
pub struct FingerprintKey(hmac::Key);

impl FingerprintKey {
    /// Takes over 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()))
    }
}

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ContentKey {
        ContentKey::from_bytes(Zeroizing::new([byte; 16]))
    }

    #[test]
    fn generated_keys_differ() {
        let mut entropy = crate::SystemEntropy;
        let (first, second) =
            (ContentKey::generate(&mut entropy), ContentKey::generate(&mut entropy));
        assert_ne!(first.bytes(), second.bytes());
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_and_needs_the_vaults_key() {
        let vault = FingerprintKey::from_bytes(&Zeroizing::new([1; 32]));
        let other = FingerprintKey::from_bytes(&Zeroizing::new([2; 32]));
        assert_eq!(key(7).fingerprint(&vault), key(7).fingerprint(&vault));
        assert_ne!(key(7).fingerprint(&vault), key(8).fingerprint(&vault));
        assert_ne!(key(7).fingerprint(&vault), key(7).fingerprint(&other));
    }

    #[test]
    fn the_playready_checksum_is_ecb_of_the_guid() {
        use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
        let kid = KeyId::from_bytes([9; 16]);
        let mut block = kid.to_guid().into();
        aes::Aes128::new(&[7; 16].into()).encrypt_block(&mut block);
        assert_eq!(key(7).playready_checksum(kid), block[..8]);
    }

    #[test]
    fn debug_shows_the_names_only() {
        let vault = FingerprintKey::from_bytes(&Zeroizing::new([1; 32]));
        assert_eq!(format!("{:?} {vault:?}", key(7)), "ContentKey(..) FingerprintKey(..)");
    }
}
