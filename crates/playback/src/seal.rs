//! The envelope of everything that is sealed in this room: grants, tickets, logs. Each has a key of
//! its own, and is bound to its purpose and its place by what is authenticated beside it.

use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use model::Entropy;

/// First byte: format and algorithm.
const VERSION: u8 = 1;
const TAG_BYTES: usize = 16;

/// What an envelope is longer than its text, bytes.
pub(crate) const ENVELOPE_BYTES: usize = 1 + NONCE_LEN + TAG_BYTES;

/// A key that seals under random nonces.
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    /// Makes the key of its 32 bytes, for one of the algorithms that take so many.
    pub(crate) fn new(algorithm: &'static Algorithm, bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(algorithm, bytes).expect("AES-256 takes 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals a text beside which `place` is authenticated.
    ///
    /// Shape: version 1 ‖ nonce 12 ‖ ciphertext ‖ tag 16.
    pub(crate) fn seal(
        &self,
        place: &[u8],
        mut text: Vec<u8>,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let unique = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(unique, Aad::from(place), &mut text)
            .expect("a text is far shorter than what one call takes");
        [&[VERSION][..], &nonce, &text, tag.as_ref()].concat()
    }

    /// The text that was sealed under this key for this place; none, where it was not.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        let mut text = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::from(place), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}
