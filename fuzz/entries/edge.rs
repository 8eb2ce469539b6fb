//! The edge's readers take any text without panicking, and what they let through is in bounds.

use edge::{DeliveryPath, EdgeKey, range, signed_url};
use model::{ContentId, Timestamp};

/// Reads `bytes` as a path, as a range and as a pass.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = DeliveryPath::parse(text) {
        let object = path.object.as_str();
        assert!(!object.starts_with('/') && object.split('/').all(|part| part != ".."));
    }
    for length in [0, 1, 1000, u64::MAX] {
        let header = range::parse_header(text, length).ok().flatten();
        for range in header.into_iter().chain(range::parse_spec(text, length)) {
            assert!(range.first() <= range.last() && range.last() < length);
        }
    }
    let title = ContentId::parse("a").expect("a name");
    let opened = signed_url::open(&EdgeKey::from_bytes(&[7; 32]), text, &title, Timestamp(0));
    assert!(opened.is_err(), "nobody signed this");
}
