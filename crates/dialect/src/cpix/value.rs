//! The small values of a document: text and base64.

use super::MAX_TEXT_BYTES;
use super::xml::is_xml;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// An id, a name or a label: 1 to [`MAX_TEXT_BYTES`] bytes that XML carries unchanged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

impl Text {
    /// Reads a text; `None` where it is empty, too long, or has control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_carried = |c: char| is_xml(c) && !c.is_control();
        let fits = (1..=MAX_TEXT_BYTES).contains(&text.len()) && text.chars().all(is_carried);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes that stand in a document as base64, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob(Vec<u8>);

impl Blob {
    /// Takes over bytes; `None` where there are none: an empty element asks for a value.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

/// Reads `xs:base64Binary`: padded base64, white space anywhere. What is read may be a key.
pub(super) fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut compact = Zeroizing::new(Vec::with_capacity(text.len()));
    compact.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; compact.len().div_ceil(4) * 3]);
    let length = STANDARD.decode_slice(&*compact, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_its_limits() {
        assert!(Text::parse(&"x".repeat(MAX_TEXT_BYTES)).is_some());
        for text in ["", "a\nb", "a\u{7f}", "\u{fffe}", &"x".repeat(MAX_TEXT_BYTES + 1)] {
            assert!(Text::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn base64_may_be_broken_into_lines() {
        assert_eq!(base64("\n AQ\tID\r\n").unwrap().as_slice(), [1, 2, 3]);
        assert_eq!(base64(" ").unwrap().as_slice(), [0_u8; 0]);
        for text in ["A", "AQI", "AQ-_", "AQI=AQI="] {
            assert!(base64(text).is_none(), "{text}");
        }
    }
}
