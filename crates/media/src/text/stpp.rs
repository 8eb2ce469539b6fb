//! TTML in MP4 (ISO/IEC 14496-30:2018, clause 5): the sample entry; a sample is a document.

use super::error::TextError;
use super::ttml::NAMESPACE;
use crate::input::{Unsupported, What};

/// RFC 6381 codecs string: TTML, text profile of IMSC 1 (W3C TTML Profile Registry).
pub(crate) const CODECS: &str = "stpp.ttml.im1t";

/// Body of the sample entry: `XMLSubtitleSampleEntry` with the namespace, no schema location and
/// no other resources.
pub(crate) fn sample_entry() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 1];
    body.extend(NAMESPACE.bytes());
    body.extend([0, 0, 0]);
    body
}

/// Refuses what is not TTML or brings images.
pub(crate) fn check_entry(entry_body: &[u8]) -> Result<(), What> {
    const WRONG: TextError = TextError::Sample("TTML ('stpp' of its namespace)");
    let mut texts = entry_body.get(8..).ok_or(WRONG)?.split(|byte| *byte == 0);
    let namespace = texts.next().and_then(|text| std::str::from_utf8(text).ok()).ok_or(WRONG)?;
    if !namespace.split_ascii_whitespace().any(|one| one == NAMESPACE) {
        return Err(WRONG.into());
    }
    let mime_types = texts.nth(1).unwrap_or_default();
    if mime_types.windows(6).any(|window| window == b"image/") {
        return Err(Unsupported::Feature("TTML with images (IMSC image profile)").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_what_its_samples_are() {
        assert!(check_entry(&sample_entry()).is_ok());
        let with = |texts: &str| [&[0; 8][..], texts.as_bytes()].concat();
        assert!(check_entry(&with("a http://www.w3.org/ns/ttml\0\0")).is_ok());
        for wrong in
            ["", "http://www.w3.org/ns/ttmlx\0\0\0", "http://www.w3.org/ns/ttml\0\0image/png\0"]
        {
            assert!(check_entry(&with(wrong)).is_err(), "{wrong}");
        }
        assert!(check_entry(b"").is_err());
    }
}
