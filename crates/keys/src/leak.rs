//! Finding secrets where they must not be: every form in which a key may have been written down.

use crate::ContentKey;
use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::io;

/// A form in which a secret was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeakForm {
    /// The bytes themselves.
    Raw,
    /// Hex digits, without or with the dashes of a UUID.
    Hex,
    /// Base64 or base64url, at any of its three alignments.
    Base64,
}

impl LeakForm {
    /// The form's name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw bytes",
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }
}

/// One secret found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What the caller calls the secret; never the secret.
    pub label: String,
    /// How it was written.
    pub form: LeakForm,
    /// Where it begins, bytes from the start of the stream.
    pub offset_bytes: u64,
}

/// Searches streams for a set of secrets.
///
/// The search holds the secrets for as long as it lives and does not wipe its tables; it is
/// meant for a process of its own (`strongroom audit-leaks`).
pub struct LeakSearch {
    automaton: AhoCorasick,
    /// What each pattern of the automaton stands for: an index into `labels`, and a form.
    meanings: Vec<(usize, LeakForm)>,
    labels: Vec<String>,
}

impl std::fmt::Debug for LeakSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeakSearch").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// A secret to search for, under the name a report may show.
#[derive(Clone)]
pub struct NamedSecret {
    label: String,
    writings: Vec<(LeakForm, Vec<u8>)>,
}

impl NamedSecret {
    /// A content key, in network order and in the order of a GUID (PlayReady writes those).
    #[must_use]
    pub fn content_key(label: String, key: &ContentKey) -> Self {
        let network = *key.bytes();
        let [a, b, c, d, e, f, g, h, rest @ ..] = network;
        let mut guid = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
        guid.iter_mut().skip(8).zip(rest).for_each(|(to, from)| *to = from);
        let writings = [network, guid].iter().flat_map(|order| writings(order)).collect();
        Self { label, writings }
    }

    /// Any other secret of the service.
    #[must_use]
    pub fn service_secret(label: String, secret: &[u8]) -> Self {
        Self { label, writings: writings(secret) }
    }
}

impl LeakSearch {
    /// Prepares the search.
    ///
    /// Errors: a set of secrets too large for the search's tables (millions of keys).
    pub fn new(secrets: impl IntoIterator<Item = NamedSecret>) -> Result<Self, TooManySecrets> {
        let (mut labels, mut meanings, mut patterns) = (vec![], vec![], vec![]);
        for secret in secrets {
            for (form, writing) in secret.writings {
                meanings.push((labels.len(), form));
                patterns.push(writing);
            }
            labels.push(secret.label);
        }
        let automaton = AhoCorasick::new(patterns).map_err(|_| TooManySecrets)?;
        Ok(Self { automaton, meanings, labels })
    }

    /// Reads a stream to its end and reports every secret in it, each place once.
    pub fn search(&self, stream: impl io::Read) -> io::Result<Vec<Leak>> {
        let mut leaks: Vec<Leak> = vec![];
        for found in self.automaton.stream_find_iter(stream) {
            let found = found?;
            let Some((label, form)) = self.meanings.get(found.pattern().as_usize()) else {
                continue;
            };
            leaks.push(Leak {
                label: self.labels.get(*label).cloned().unwrap_or_default(),
                form: *form,
                offset_bytes: found.start() as u64,
            });
        }
        Ok(leaks)
    }
}

/// More secrets than one search can hold.
#[derive(Debug, thiserror::Error)]
#[error("too many secrets for one search")]
pub struct TooManySecrets;

/// Every way in which `secret` may stand in a file.
fn writings(secret: &[u8]) -> Vec<(LeakForm, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut texts = BTreeSet::from([hex.clone()]);
    if let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part))
        && secret.len() == 16
    {
        texts.insert([a, b, c, d, e].map(Option::unwrap_or_default).join("-"));
    }
    let upper: Vec<String> = texts.iter().map(|text| text.to_uppercase()).collect();
    texts.extend(upper);

    let base64: BTreeSet<String> =
        (0..3).flat_map(|before| base64_inside(secret, before)).collect();
    let hex_forms = texts.into_iter().map(|text| (LeakForm::Hex, text.into_bytes()));
    let base64_forms = base64.into_iter().map(|text| (LeakForm::Base64, text.into_bytes()));
    hex_forms.chain(base64_forms).chain([(LeakForm::Raw, secret.to_vec())]).collect()
}

/// The base64 digits that depend on nothing but the secret when `before` bytes (modulo 3) stand
/// before it in what was encoded, in both alphabets.
fn base64_inside(secret: &[u8], before: usize) -> [String; 2] {
    let framed: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
    // A digit is six bits: skip those that share bits with what stands before or after.
    let first = (before * 8).div_ceil(6);
    let last = framed.len() * 8 / 6;
    let inside = |text: String| text.get(first..last).unwrap_or_default().to_owned();
    [inside(STANDARD_NO_PAD.encode(&framed)), inside(URL_SAFE_NO_PAD.encode(&framed))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use zeroize::Zeroizing;

    const KEY: [u8; 16] = *b"\xf0\x01\xf2\x03\xf4\x05\xf6\x07\xf8\x09\xfa\x0b\xfc\x0d\xfe\x0f";

    fn search() -> LeakSearch {
        let key = ContentKey::from_bytes(Zeroizing::new(KEY));
        LeakSearch::new([NamedSecret::content_key("film".to_owned(), &key)]).unwrap()
    }

    fn forms_in(text: &[u8]) -> Vec<LeakForm> {
        search().search(text).unwrap().into_iter().map(|leak| leak.form).collect()
    }

    #[test]
    fn every_planted_form_is_found() {
        let guid = *b"\x03\xf2\x01\xf0\x05\xf4\x07\xf6\xf8\x09\xfa\x0b\xfc\x0d\xfe\x0f";
        for order in [KEY, guid] {
            let hex: String = order.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(forms_in(&[b"..".as_slice(), &order, b".."].concat()), [LeakForm::Raw]);
            assert_eq!(forms_in(format!("key={hex}!").as_bytes()), [LeakForm::Hex]);
            assert_eq!(forms_in(hex.to_uppercase().as_bytes()), [LeakForm::Hex]);
            for before in 0..7 {
                let framed = [vec![7; before], order.to_vec(), vec![9; 5]].concat();
                assert_eq!(forms_in(STANDARD.encode(&framed).as_bytes()), [LeakForm::Base64]);
                assert_eq!(
                    forms_in(URL_SAFE_NO_PAD.encode(&framed).as_bytes()),
                    [LeakForm::Base64]
                );
            }
        }
        assert_eq!(forms_in(b"F001F203-F405-F607-F809-FA0BFC0DFE0F"), [LeakForm::Hex]);
    }

    #[test]
    fn the_offset_is_where_it_stands() {
        let haystack = [vec![0; 100_000], KEY.to_vec()].concat();
        let leaks = search().search(haystack.as_slice()).unwrap();
        assert_eq!(leaks.iter().map(|leak| leak.offset_bytes).collect::<Vec<_>>(), [100_000]);
    }

    #[test]
    fn a_clean_stream_and_a_near_miss_are_clean() {
        let mut near = KEY;
        near[15] ^= 1;
        assert_eq!(forms_in(&near), []);
        assert_eq!(forms_in(b"nothing to see"), []);
    }
}
