//! Any bytes, read as TTML: a refusal, never a panic, never more work than the document is.

use media::text::ttml::Ttml;

/// Reads `bytes` as a document; one that reads must write and read again, whole and in part.
pub fn run(bytes: &[u8]) {
    let Ok(document) = Ttml::parse(bytes) else { return };
    for (from, to) in [(0, 10_000), (1500, 2500)] {
        let part = document.write_part(from, to, 40);
        assert!(Ttml::parse(part.as_bytes()).is_ok(), "{part}");
    }
}
