//! KID: the public name of a content key (ISO/IEC 23001-7, 8.2 `default_KID`).

use crate::id::IdError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Key id, 16 bytes in network order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Makes an id of its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads 32 hex digits, with or without the dashes of a UUID, in either case.
    ///
    /// Errors: [`IdError`] on anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text.len() {
            32 => {}
            36 => {
                let is_dashed = text
                    .bytes()
                    .enumerate()
                    .all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23));
                if !is_dashed {
                    return Err(IdError::Characters);
                }
            }
            _ => return Err(IdError::Length),
        }
        // A dash in 32 characters leaves too few of them.
        let mut digits = text.bytes().filter(|byte| *byte != b'-');
        let mut digit = || {
            let digit = digits.next().and_then(|digit| char::from(digit).to_digit(16));
            digit.ok_or(IdError::Characters)
        };
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            *byte = u8::try_from(digit()? * 16 + digit()?).map_err(|_| IdError::Characters)?;
        }
        Ok(Self(bytes))
    }

    /// Reads the base64url form without padding that EME's JSON uses (22 characters).
    ///
    /// Errors: [`IdError`] on padding, other alphabets or other lengths.
    pub fn parse_base64url(text: &str) -> Result<Self, IdError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| IdError::Characters)?;
        bytes.try_into().map(Self).map_err(|_| IdError::Length)
    }

    /// The bytes in network order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes an id of a GUID's bytes: PlayReady writes a KID so.
    #[must_use]
    pub const fn from_guid(bytes: [u8; 16]) -> Self {
        Self(guid_order(bytes))
    }

    /// The bytes of a GUID.
    #[must_use]
    pub const fn to_guid(self) -> [u8; 16] {
        guid_order(self.0)
    }

    /// The form of `cenc:default_KID`: lower-case UUID with dashes.
    #[must_use]
    pub fn to_uuid(self) -> String {
        let hex = self.to_string();
        let part = |range| hex.get(range).unwrap_or_default();
        [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
    }

    /// The form of EME's JSON: base64url without padding.
    #[must_use]
    pub fn to_base64url(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Between network order and that of a GUID, whose first three fields are little-endian (MS-DTYP,
/// 2.3.4.2). Its own inverse.
const fn guid_order([a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]) -> [u8; 16] {
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::id::write_hex(self.0, f)
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl TryFrom<String> for KeyId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<KeyId> for String {
    fn from(kid: KeyId) -> Self {
        kid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let kid =
            KeyId::from_bytes(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
        assert_eq!(kid.to_uuid(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(KeyId::parse(&kid.to_uuid().to_uppercase()), Ok(kid));
        assert_eq!(KeyId::parse(&kid.to_string()), Ok(kid));
        assert_eq!(KeyId::parse_base64url(&kid.to_base64url()), Ok(kid));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "00",
            "0011223344556677-8899aabbccddeeff0000",
            "zz112233445566778899aabbccddeeff",
            "+0112233445566778899aabbccddeeff",
        ] {
            assert!(KeyId::parse(text).is_err(), "{text}");
        }
        assert!(KeyId::parse_base64url("AAAAAAAAAAAAAAAAAAAAAA==").is_err());
        assert!(KeyId::parse_base64url("AAAA").is_err());
    }

    #[test]
    fn a_guid_turns_the_first_three_fields_round() {
        let kid = KeyId::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        let guid = *b"\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        assert_eq!((kid.to_guid(), KeyId::from_guid(guid)), (guid, kid));
    }
}
