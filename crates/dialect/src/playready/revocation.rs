//! `revocation.json` (DESIGN §5): the keys whose certificates are believed no longer.

use serde::Deserialize;
use std::collections::BTreeSet;

/// Longest list that is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a list is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationListError {
    /// Longer than 16 MiB.
    #[error("a revocation list has at most 16 MiB")]
    TooLarge,
    /// Not the JSON of a revocation list; the parser's words.
    #[error("not a revocation list: {0}")]
    Malformed(String),
    /// A digest that is not 64 hexadecimal digits.
    #[error("digest {0} is not 64 hexadecimal digits")]
    Digest(usize),
    /// The same digest twice.
    #[error("digest {0} stands twice")]
    Twice(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    revoked_public_key_digests: Vec<String>,
}

/// The list, read.
#[derive(Debug, Default)]
pub struct RevocationList(BTreeSet<[u8; 32]>);

impl RevocationList {
    /// Reads the list.
    ///
    /// Shape: `{"revoked_public_key_digests": [SHA-256 of X and Y, hex]}`, of any certificate of
    /// a chain: a device's, or an issuer's with all below it.
    /// Errors: [`RevocationListError`]. Limits: 16 MiB.
    pub fn parse(json: &str) -> Result<Self, RevocationListError> {
        if json.len() > MAX_BYTES {
            return Err(RevocationListError::TooLarge);
        }
        let file: File = serde_json::from_str(json)
            .map_err(|error| RevocationListError::Malformed(error.to_string()))?;
        let mut digests = BTreeSet::new();
        for (at, text) in file.revoked_public_key_digests.iter().enumerate() {
            let digest = unhex(text).ok_or(RevocationListError::Digest(at))?;
            if !digests.insert(digest) {
                return Err(RevocationListError::Twice(at));
            }
        }
        Ok(Self(digests))
    }

    /// How many keys it revokes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether it revokes the key of this digest.
    #[must_use]
    pub fn revokes(&self, digest: &[u8; 32]) -> bool {
        self.0.contains(digest)
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_either_case() {
        let list = format!(r#"{{"revoked_public_key_digests": ["{}"]}}"#, "aB".repeat(32));
        let list = RevocationList::parse(&list).unwrap();
        assert_eq!(list.count(), 1);
        assert!(list.revokes(&[0xab; 32]) && !list.revokes(&[0xba; 32]));
        assert_eq!(RevocationList::default().count(), 0);
    }

    #[test]
    fn damaged_lists_are_refused() {
        let (one, other) = ("0a".repeat(32), "0A".repeat(32));
        let of = |digests: &str| {
            let json = format!(r#"{{"revoked_public_key_digests": [{digests}]}}"#);
            RevocationList::parse(&json).unwrap_err()
        };
        assert_eq!(of(&format!(r#""{one}", "{other}""#)), RevocationListError::Twice(1));
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)]
        {
            let error = of(&format!(r#""{one}", "{text}""#));
            assert_eq!(error, RevocationListError::Digest(1), "{text}");
        }
        for json in ["", "[]", "{}", r#"{"revoked_public_key_digests": [], "more": 1}"#] {
            let error = RevocationList::parse(json).unwrap_err();
            assert!(matches!(error, RevocationListError::Malformed(_)), "{json}");
        }
        let long = " ".repeat(MAX_BYTES + 1);
        assert_eq!(RevocationList::parse(&long).unwrap_err(), RevocationListError::TooLarge);
    }
}
