//! AES-256-GCM over one short secret, as it lies in rows and files.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use model::Entropy;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Bytes that a seal adds to its secret.
pub(crate) const OVERHEAD_BYTES: usize = 1 + NONCE_BYTES + TAG_BYTES;

/// A key that seals secrets; aws-lc wipes it.
pub(crate) struct SealingKey(LessSafeKey);

/// The bytes are no seal of this key for this context.
#[derive(Debug)]
pub(crate) struct NotOurs;

impl SealingKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
        Self(LessSafeKey::new(key))
    }

    /// Shape: version 1, nonce (12 bytes, random), ciphertext, tag (16 bytes).
    ///
    /// Limits: 2^32 seals under one key keep a repeated nonce unlikely (SP 800-38D, 8.3);
    /// a KEK seals one content key a track class and is rotated long before.
    pub(crate) fn seal(&self, secret: &[u8], aad: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        // Room for all of it at once: a growing vector would leave copies of the secret.
        let mut sealed = Vec::with_capacity(secret.len() + OVERHEAD_BYTES);
        sealed.push(VERSION);
        sealed.extend(nonce);
        sealed.extend(secret);
        let (_, text) = sealed.split_at_mut(1 + NONCE_BYTES);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
        sealed.extend(tag.expect("a short text is within GCM's limit").as_ref());
        sealed
    }

    /// Opens `sealed` straight into `secret`, whose length must fit.
    pub(crate) fn open(&self, sealed: &[u8], aad: &[u8], secret: &mut [u8]) -> Result<(), NotOurs> {
        let ([VERSION], sealed) = sealed.split_first_chunk().ok_or(NotOurs)? else {
            return Err(NotOurs);
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(NotOurs)?;
        let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(NotOurs)?;
        if text.len() != secret.len() {
            return Err(NotOurs);
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_separate_gather(nonce, Aad::from(aad), text, tag, secret).map_err(|_| NotOurs)
    }
}
