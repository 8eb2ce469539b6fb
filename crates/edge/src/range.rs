//! Byte ranges, by the `Range` header (RFC 9110, 14.2) or by a `/range/{a}-{b}` suffix for
//! clients that cannot send the header (R132). One range at most: players ask for no more, and
//! an answer to many would be many times the file.

/// Bytes of an object: never empty, never beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

impl ByteRange {
    /// Offset of the first byte.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// Offset of the last byte.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes, at least 1.
    #[must_use]
    pub const fn len_bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

/// Why no range is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeRefused {
    /// Not the syntax of a range: 400.
    #[error("the byte range is malformed")]
    Malformed,
    /// More than one range: 416.
    #[error("one byte range at a time")]
    Several,
    /// Begins beyond the object's end: 416.
    #[error("the byte range lies outside the object")]
    Outside,
}

/// Reads a `Range` header against an object of `len_bytes`.
///
/// `None` for a unit other than `bytes`, which a server ignores.
/// Errors: [`RangeRefused`].
pub fn parse_header(value: &str, len_bytes: u64) -> Result<Option<ByteRange>, RangeRefused> {
    let (unit, spec) = value.split_once('=').ok_or(RangeRefused::Malformed)?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ok(None);
    }
    if spec.contains(',') {
        return Err(RangeRefused::Several);
    }
    parse_spec(spec.trim(), len_bytes).map(Some)
}

/// Reads one range, `a-b`, `a-` or `-n` (the last `n` bytes), against an object of `len_bytes`.
///
/// An end beyond the object's is its end. Errors: [`RangeRefused`].
pub fn parse_spec(spec: &str, len_bytes: u64) -> Result<ByteRange, RangeRefused> {
    let (first, last) = spec.split_once('-').ok_or(RangeRefused::Malformed)?;
    let end = len_bytes.checked_sub(1);
    let range = match (number(first)?, number(last)?) {
        (None, None) => return Err(RangeRefused::Malformed),
        (Some(first), Some(last)) if last < first => return Err(RangeRefused::Malformed),
        (None, Some(0)) => return Err(RangeRefused::Outside),
        (first, last) => {
            let end = end.ok_or(RangeRefused::Outside)?;
            match (first, last) {
                (Some(first), last) => {
                    ByteRange { first, last: last.map_or(end, |last| last.min(end)) }
                }
                (None, suffix) => {
                    ByteRange { first: len_bytes.saturating_sub(suffix.unwrap_or(0)), last: end }
                }
            }
        }
    };
    if range.first < len_bytes { Ok(range) } else { Err(RangeRefused::Outside) }
}

/// Digits or nothing; a number beyond 64 bits is as good as the largest one.
fn number(digits: &str) -> Result<Option<u64>, RangeRefused> {
    if digits.is_empty() {
        return Ok(None);
    }
    if digits.len() > 64 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeRefused::Malformed);
    }
    Ok(Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bytes(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    #[test]
    fn every_form_is_read() {
        for (spec, range) in [
            ("0-0", bytes(0, 0)),
            ("0-23", bytes(0, 23)),
            ("99-99", bytes(99, 99)),
            ("0-99", bytes(0, 99)),
            ("0-100", bytes(0, 99)),
            ("5-99999999999999999999999", bytes(5, 99)),
            ("5-18446744073709551615", bytes(5, 99)),
            ("90-", bytes(90, 99)),
            ("-1", bytes(99, 99)),
            ("-100", bytes(0, 99)),
            ("-101", bytes(0, 99)),
            ("-99999999999999999999999", bytes(0, 99)),
            ("007-008", bytes(7, 8)),
        ] {
            assert_eq!(parse_spec(spec, 100), Ok(range), "{spec}");
            assert_eq!(parse_header(&format!("bytes={spec}"), 100), Ok(Some(range)), "{spec}");
        }
        assert_eq!(bytes(5, 99).len_bytes(), 95);
        assert_eq!(parse_spec("0-", u64::MAX).unwrap().len_bytes(), u64::MAX);
        assert_eq!(parse_header("Bytes = 0-1 ", 100), Ok(Some(bytes(0, 1))));
    }

    #[test]
    fn what_lies_outside_is_refused() {
        for spec in ["100-", "100-100", "100-200", "99999999999999999999999-", "-0"] {
            assert_eq!(parse_spec(spec, 100), Err(RangeRefused::Outside), "{spec}");
        }
        for spec in ["0-0", "0-", "-1", "-0", "-99999999999999999999999"] {
            assert_eq!(parse_spec(spec, 0), Err(RangeRefused::Outside), "{spec} of nothing");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for spec in [
            "", "-", "5", "5-4", "a-b", "0-b", "a-5", "0--5", "--5", "+0-5", "0-+5", "0x0-5",
            "0.0-5", " 0-5", "0 -5", "0-5-9", "１-２", "0-\0", "-5-", "1e3-", "0-5/100", "0-5?",
        ] {
            assert_eq!(parse_spec(spec, 100), Err(RangeRefused::Malformed), "{spec:?}");
        }
        assert_eq!(parse_spec(&"9".repeat(1 << 20), 100), Err(RangeRefused::Malformed));
        assert_eq!(parse_spec(&format!("0-{}", "9".repeat(65)), 100), Err(RangeRefused::Malformed));
        assert_eq!(parse_header("bytes", 100), Err(RangeRefused::Malformed));
        assert_eq!(parse_header("bytes 0-5", 100), Err(RangeRefused::Malformed));
        assert_eq!(parse_header("bytes=bytes=0-5", 100), Err(RangeRefused::Malformed));
    }

    #[test]
    fn several_ranges_are_refused_however_many() {
        for value in ["bytes=0-1,2-3", "bytes=0-,0-,0-", "bytes=0-5, 3-9", "bytes=,", "bytes=0-1,"]
        {
            assert_eq!(parse_header(value, 100), Err(RangeRefused::Several), "{value}");
        }
        let many = format!("bytes={}0-", "0-,".repeat(100_000));
        assert_eq!(parse_header(&many, 100), Err(RangeRefused::Several));
    }

    #[test]
    fn another_unit_is_ignored() {
        assert_eq!(parse_header("items=0-5", 100), Ok(None));
        assert_eq!(parse_header("=0-5", 100), Ok(None));
    }
}
