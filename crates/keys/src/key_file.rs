//! Key files: raw content keys for tests and for moving in from another service.
//!
//! Shape: a JSON list of objects with `kid` and `key` (32 hex digits each), `content_id`, and
//! optionally `iv` (32 hex digits; under `cenc` also 16), `label` (`AUDIO`, `SD`, `HD`, `UHD`;
//! absent: all) and `scheme` (`cenc`, `cbcs`; absent: both).

use crate::content_key::ContentKey;
use crate::packaging::PackagingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use model::{ContentId, KeyId, Scheme, TrackClass};
use serde::Deserialize;

/// Most bytes in a key file.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most keys in a key file.
pub const MAX_ENTRIES: usize = 4096;

/// One key of a key file and the title it belongs to.
#[derive(Debug)]
pub struct ImportedKey {
    /// The title.
    pub content_id: ContentId,
    /// The key.
    pub key: PackagingKey,
}

/// Why a key file is not read. Carries places, never content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Longer than [`MAX_BYTES`] or [`MAX_ENTRIES`].
    #[error("a key file has at most 4096 keys and 2 MiB")]
    TooLarge,
    /// No such list: broken JSON, a missing, unknown or repeated member, or a wrong type.
    #[error("not a JSON list of keys: line {line}, column {column}")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A member whose text is not what it should be.
    #[error("key {entry}: {problem}")]
    Entry {
        /// The entry, from 1.
        entry: usize,
        /// What is wrong.
        problem: EntryProblem,
    },
}

/// What is wrong with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// The KID.
    #[error("kid is not 32 hex digits")]
    Kid,
    /// The key.
    #[error("key is not 32 hex digits")]
    Key,
    /// The IV.
    #[error("iv is not 32 hex digits (or 16, under cenc)")]
    Iv,
    /// The title.
    #[error("content_id is not 1 to 64 of A-Z a-z 0-9 . _ -")]
    ContentId,
    /// The track class.
    #[error("label is not AUDIO, SD, HD or UHD")]
    Label,
    /// The scheme.
    #[error("scheme is not cenc or cbcs")]
    Scheme,
    /// An earlier entry gives the same KID another key.
    #[error("an earlier entry has the same kid and another key")]
    KidTwice,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    kid: String,
    /// Borrowed from the file: a second copy would have to be wiped.
    key: &'a str,
    content_id: String,
    iv: Option<String>,
    label: Option<String>,
    scheme: Option<String>,
    /// The period that the key serves, where a title's keys rotate.
    period: Option<u32>,
}

/// Reads a key file.
///
/// Errors: [`KeyFileError`]; none carries a byte of a key.
pub fn parse(bytes: &[u8]) -> Result<Vec<ImportedKey>, KeyFileError> {
    if bytes.len() > MAX_BYTES {
        return Err(KeyFileError::TooLarge);
    }
    // The library's own message would quote the text it stumbled over: it may be a key.
    let entries: Vec<Entry<'_>> = serde_json::from_slice(bytes)
        .map_err(|error| KeyFileError::Malformed { line: error.line(), column: error.column() })?;
    if entries.len() > MAX_ENTRIES {
        return Err(KeyFileError::TooLarge);
    }
    let mut keys: Vec<ImportedKey> = Vec::with_capacity(entries.len());
    let mut seen = std::collections::HashMap::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let refuse = |problem| KeyFileError::Entry { entry: at + 1, problem };
        let imported = read(entry).map_err(refuse)?;
        let first = *seen.entry(imported.key.kid).or_insert(at);
        let is_same = keys.get(first).is_none_or(|earlier| {
            verify_slices_are_equal(earlier.key.key.bytes(), imported.key.key.bytes()).is_ok()
        });
        if !is_same {
            return Err(refuse(EntryProblem::KidTwice));
        }
        keys.push(imported);
    }
    Ok(keys)
}

fn read(entry: &Entry<'_>) -> Result<ImportedKey, EntryProblem> {
    let track_class = (entry.label.as_deref())
        .map(|text| TrackClass::parse(text).ok_or(EntryProblem::Label))
        .transpose()?;
    let scheme = (entry.scheme.as_deref())
        .map(|text| Scheme::parse(text).ok_or(EntryProblem::Scheme))
        .transpose()?;
    let iv = entry.iv.as_deref().map(|text| read_iv(text, scheme)).transpose()?;
    let content_id = ContentId::parse(&entry.content_id).map_err(|_| EntryProblem::ContentId)?;
    let kid = KeyId::parse(&entry.kid).map_err(|_| EntryProblem::Kid)?;
    let mut is_hex = None;
    let key = ContentKey::build(|bytes| is_hex = read_hex(entry.key, bytes));
    is_hex.ok_or(EntryProblem::Key)?;
    let key = PackagingKey { kid, key, iv, track_class, scheme, period: entry.period };
    Ok(ImportedKey { content_id, key })
}

/// An IV of 8 bytes stands for the counter block that it begins (ISO/IEC 23001-7, 9.2).
fn read_iv(text: &str, scheme: Option<Scheme>) -> Result<[u8; 16], EntryProblem> {
    let mut iv = [0; 16];
    let (first, _) = iv.split_at_mut(8);
    let read = match (text.len(), scheme) {
        (16, Some(Scheme::Cenc)) => read_hex(text, first),
        _ => read_hex(text, &mut iv),
    };
    read.ok_or(EntryProblem::Iv).map(|()| iv)
}

/// Reads exactly as many hex digits as fill `out`.
fn read_hex(text: &str, out: &mut [u8]) -> Option<()> {
    if text.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KID: &str = "00112233445566778899aabbccddeeff";
    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn refusal(text: &str) -> KeyFileError {
        parse(text.as_bytes()).unwrap_err()
    }

    fn entry_with(member: &str) -> String {
        format!(r#"[{{"kid":"{KID}","key":"{KEY}","content_id":"film",{member}}}]"#)
    }

    #[test]
    fn every_member_is_read() {
        let text =
            entry_with(r#""iv":"A0000000000000000000000000000001","label":"UHD","scheme":"cbcs""#);
        let [imported] = <[_; 1]>::try_from(parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(imported.content_id.as_str(), "film");
        assert_eq!(imported.key.kid.to_string(), KID);
        assert_eq!(imported.key.key.bytes()[..4], [0x01, 0x23, 0x45, 0x67]);
        assert_eq!(imported.key.iv.map(u128::from_be_bytes), Some(0xa0 << 120 | 1));
        assert_eq!(imported.key.track_class, Some(TrackClass::Uhd));
        assert_eq!(imported.key.scheme, Some(Scheme::Cbcs));
    }

    #[test]
    fn absent_members_mean_all() {
        let text = format!(r#"[{{"kid":"{KID}","key":"{KEY}","content_id":"film"}}]"#);
        let [imported] = <[_; 1]>::try_from(parse(text.as_bytes()).unwrap()).unwrap();
        let key = imported.key;
        assert_eq!((key.iv, key.track_class, key.scheme), (None, None, None));
        assert!(parse(b"[]").unwrap().is_empty());
    }

    #[test]
    fn a_short_iv_is_for_cenc() {
        let text = entry_with(r#""iv":"0102030405060708","scheme":"cenc""#);
        let [imported] = <[_; 1]>::try_from(parse(text.as_bytes()).unwrap()).unwrap();
        let expected = *b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\0";
        assert_eq!(imported.key.iv, Some(expected));
        for scheme in ["", r#","scheme":"cbcs""#] {
            let text = entry_with(&format!(r#""iv":"0102030405060708"{scheme}"#));
            let problem = EntryProblem::Iv;
            assert_eq!(refusal(&text), KeyFileError::Entry { entry: 1, problem });
        }
    }

    #[test]
    fn each_wrong_member_is_named() {
        for (from, to, problem) in [
            (KID, "00", EntryProblem::Kid),
            (KEY, "0123456789abcdef0123456789abcde", EntryProblem::Key),
            (KEY, "0123456789abcdef0123456789abcdeg", EntryProblem::Key),
            (KEY, "+123456789abcdef0123456789abcdef", EntryProblem::Key),
            ("film", "../film", EntryProblem::ContentId),
            ("SD", "sd", EntryProblem::Label),
            ("cenc", "cens", EntryProblem::Scheme),
        ] {
            let text = entry_with(r#""label":"SD","scheme":"cenc""#).replace(from, to);
            assert_eq!(refusal(&text), KeyFileError::Entry { entry: 1, problem }, "{to}");
        }
    }

    #[test]
    fn one_kid_has_one_key() {
        let entry = entry_with(r#""scheme":"cenc""#).replace(['[', ']'], "");
        let (twin, other) = (entry.replace("cenc", "cbcs"), entry.replace("0123", "3210"));
        assert_eq!(parse(format!("[{entry},{twin}]").as_bytes()).unwrap().len(), 2);
        let problem = EntryProblem::KidTwice;
        let expected = KeyFileError::Entry { entry: 3, problem };
        assert_eq!(refusal(&format!("[{entry},{twin},{other}]")), expected);
    }

    #[test]
    fn no_error_quotes_the_file() {
        let secret = "c0ffee00c0ffee00c0ffee00c0ffee00";
        for text in [
            format!(r#"[{{"kid":"{KID}","{secret}":1}}]"#),
            format!(r#"[{{"kid":"{KID}","key":{{"{secret}":1}}}}]"#),
            format!(r#"[{{"kid":"{KID}","key":"{secret}","key":"{secret}"}}]"#),
            format!(r#""{secret}""#),
            format!(r#"[{{"kid":"{KID}","key":"{secret}x","content_id":"film"}}]"#),
            format!("[{{\n{secret}"),
        ] {
            let error = refusal(&text);
            assert!(!format!("{error} {error:?}").contains("c0ffee"), "{error}");
        }
    }

    #[test]
    fn a_huge_file_is_refused() {
        assert_eq!(parse(&vec![b' '; MAX_BYTES + 1]).unwrap_err(), KeyFileError::TooLarge);
        let entry = format!(r#"{{"kid":"{KID}","key":"{KEY}","content_id":"film"}}"#);
        let list = |count| format!("[{}]", vec![entry.as_str(); count].join(","));
        assert_eq!(parse(list(MAX_ENTRIES).as_bytes()).unwrap().len(), MAX_ENTRIES);
        assert_eq!(refusal(&list(MAX_ENTRIES + 1)), KeyFileError::TooLarge);
    }
}
