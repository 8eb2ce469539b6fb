//! Where a document is written: bytes that are wiped, also where they had to move.

use super::xml::Namespace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Compact XML: no white space between elements, so that equal documents are equal bytes.
pub(super) struct Sink(Zeroizing<Vec<u8>>);

/// A qualified name, prefix and all.
pub(super) type Name = (Namespace, &'static str);

impl Sink {
    pub(super) fn new() -> Self {
        let mut sink = Self::bare();
        sink.push(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        sink
    }

    /// Nothing written yet.
    pub(super) fn bare() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(16 * 1024)))
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Writes a start tag; an attribute without value is left out.
    pub(super) fn open(&mut self, name: Name, attributes: &[(&str, Option<&str>)]) {
        self.tag(name, attributes);
        self.push(">");
    }

    /// Writes an element without content.
    pub(super) fn empty(&mut self, name: Name, attributes: &[(&str, Option<&str>)]) {
        self.tag(name, attributes);
        self.push("/>");
    }

    pub(super) fn close(&mut self, name: Name) {
        self.push("</");
        self.name(name);
        self.push(">");
    }

    /// Writes bytes as base64. They may be a key: no copy stays behind.
    pub(super) fn base64(&mut self, bytes: &[u8]) {
        let mut text = Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
        let length =
            STANDARD.encode_slice(bytes, &mut text).expect("four characters for three bytes");
        debug_assert_eq!(length, text.len());
        self.push_bytes(&text);
    }

    fn tag(&mut self, name: Name, attributes: &[(&str, Option<&str>)]) {
        self.push("<");
        self.name(name);
        for (key, value) in attributes {
            let Some(value) = value else { continue };
            self.push(" ");
            self.push(key);
            self.push("=\"");
            self.push(&quick_xml::escape::escape(*value));
            self.push("\"");
        }
    }

    fn name(&mut self, (space, local): Name) {
        let prefix = Namespace::WRITTEN.into_iter().find(|(known, _)| *known == space);
        if let Some((_, prefix)) = prefix {
            self.push(prefix);
            self.push(":");
        }
        self.push(local);
    }

    pub(super) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        // A growing vector would leave copies of keys behind.
        let length = self.0.len() + bytes.len();
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length * 2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}
