//! A secret that a CDN and its customer share, and HMAC-SHA-256 (RFC 2104) under it.

use aws_lc_rs::hmac;
use zeroize::Zeroize as _;

/// Lengths that a secret may have, bytes: what can be guessed is none.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// Why text is not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret of 16 to 64 bytes in hex digits")]
pub struct SecretRefused;

/// A secret that a CDN and its customer share; never printed.
pub struct SharedSecret(Box<hmac::Key>);

impl SharedSecret {
    /// Reads hex digits.
    ///
    /// Errors: [`SecretRefused`].
    pub fn parse(hex: &str) -> Result<Self, SecretRefused> {
        let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
        if !odd.is_empty() || !LENGTHS.contains(&pairs.len()) {
            return Err(SecretRefused);
        }
        let mut bytes = [0; *LENGTHS.end()];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes.get(..pairs.len()).unwrap_or_default());
        bytes.zeroize();
        Ok(Self(Box::new(key)))
    }

    /// The tag of a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, message).as_ref().to_vec()
    }

    /// Whether the tag is the message's, in constant time; a shortened one is not.
    pub(super) fn has_signed(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

fn digit(character: u8) -> Result<u8, SecretRefused> {
    let value = char::from(character).to_digit(16).ok_or(SecretRefused)?;
    u8::try_from(value).map_err(|_| SecretRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_a_fair_length_is_a_secret() {
        for length in [16, 32, 64] {
            assert!(SharedSecret::parse(&"0aF".repeat(length)[..2 * length]).is_ok(), "{length}");
        }
        let upper = SharedSecret::parse(&"AB".repeat(16)).unwrap();
        let lower = SharedSecret::parse(&"ab".repeat(16)).unwrap();
        assert_eq!(upper.sign(b"m"), lower.sign(b"m"));
        assert!(lower.has_signed(b"m", &upper.sign(b"m")));
        assert!(!lower.has_signed(b"m", &upper.sign(b"m")[..16]));
        assert_eq!(format!("{upper:?}"), "SharedSecret(..)");
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "ab", &"ab".repeat(15), &"ab".repeat(65), &"a".repeat(33)] {
            assert_eq!(SharedSecret::parse(text).err(), Some(SecretRefused), "{text}");
        }
        for text in ["0x", "g", " a", "+a", "ä", "a\n", "\0a"] {
            let text = text.repeat(16);
            assert_eq!(SharedSecret::parse(&text).err(), Some(SecretRefused), "{text}");
        }
    }
}
