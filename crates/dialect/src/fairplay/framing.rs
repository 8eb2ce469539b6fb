//! How an SPC travels over HTTP, and the CKC back: octets, a form, or JSON. It is told from the
//! bytes, never from a content type, and the answer has the request's.

use super::{ChallengeError, LicenseError, MAX_BYTES};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::Deserialize;
use std::borrow::Cow;

/// Base64 with or without its padding: clients send both.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How an SPC travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The containers as they are.
    Octets,
    /// `spc=BASE64` in a form, with other fields that are not read; `<ckc>BASE64</ckc>`.
    Form,
    /// `{"spc":BASE64}`; `{"ckc":BASE64}`.
    Json,
}

/// An SPC out of its framing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unframed<'a> {
    pub(super) framing: Framing,
    pub(super) spc: Cow<'a, [u8]>,
    /// Whether the application asks to keep the license: the field `persistent`.
    pub(super) wants_persist: bool,
}

#[derive(Deserialize)]
struct JsonRequest<'a> {
    #[serde(borrow)]
    spc: Cow<'a, str>,
    #[serde(default)]
    persistent: bool,
}

#[derive(Deserialize)]
struct JsonAnswer<'a> {
    #[serde(borrow)]
    ckc: Cow<'a, str>,
}

impl Framing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Octets, Self::Form, Self::Json];

    /// The media type of an answer.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Octets => "application/octet-stream",
            Self::Form => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// Takes the SPC out of a body. A container begins with a zero byte, JSON with a brace.
    ///
    /// Errors: [`ChallengeError`]. Limits: [`MAX_BYTES`].
    pub(super) fn read(body: &[u8]) -> Result<Unframed<'_>, ChallengeError> {
        if body.len() > MAX_BYTES {
            return Err(ChallengeError::TooLarge);
        }
        match body.trim_ascii_start() {
            [] => Err(ChallengeError::Malformed),
            _ if body.starts_with(&[0]) => Ok(Unframed {
                framing: Self::Octets,
                spc: Cow::Borrowed(body),
                wants_persist: false,
            }),
            [b'{', ..] => {
                let read: JsonRequest<'_> =
                    serde_json::from_slice(body).map_err(|_| ChallengeError::Malformed)?;
                let spc = decode(read.spc.as_bytes())?;
                Ok(Unframed { framing: Self::Json, spc, wants_persist: read.persistent })
            }
            _ => read_form(body),
        }
    }

    /// Frames an SPC as an application does; `persistent` where it asks to keep the license, which
    /// octets cannot say.
    pub(super) fn frame(self, spc: &[u8], wants_persist: bool) -> Vec<u8> {
        let text = || STANDARD.encode(spc);
        match self {
            Self::Octets => spc.to_vec(),
            Self::Form => {
                let spc = text().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                let persistent = if wants_persist { "&persistent=true" } else { "" };
                format!("spc={spc}{persistent}").into_bytes()
            }
            Self::Json => {
                let mut json = serde_json::json!({ "spc": text() });
                if wants_persist && let Some(fields) = json.as_object_mut() {
                    fields.insert("persistent".to_owned(), true.into());
                }
                json.to_string().into_bytes()
            }
        }
    }

    /// Frames a CKC.
    pub(super) fn frame_answer(self, ckc: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Octets => ckc,
            Self::Form => format!("<ckc>{}</ckc>", STANDARD.encode(ckc)).into_bytes(),
            Self::Json => {
                serde_json::json!({ "ckc": STANDARD.encode(ckc) }).to_string().into_bytes()
            }
        }
    }

    /// Takes the CKC out of an answer. In a form's answer the element may be missing.
    ///
    /// Errors: [`LicenseError::Malformed`].
    pub(super) fn read_answer(self, body: &[u8]) -> Result<Cow<'_, [u8]>, LicenseError> {
        if body.len() > 2 * MAX_BYTES {
            return Err(LicenseError::Malformed);
        }
        let text = match self {
            Self::Octets => return Ok(Cow::Borrowed(body)),
            Self::Form => {
                let text = body.trim_ascii();
                let inner = text.strip_prefix(b"<ckc>");
                let inner = inner.map(|text| text.strip_suffix(b"</ckc>"));
                Cow::Borrowed(inner.unwrap_or(Some(text)).ok_or(LicenseError::Malformed)?)
            }
            Self::Json => {
                let read: JsonAnswer<'_> =
                    serde_json::from_slice(body).map_err(|_| LicenseError::Malformed)?;
                match read.ckc {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                }
            }
        };
        decode(&text).map(|ckc| Cow::Owned(ckc.into_owned())).map_err(|_| LicenseError::Malformed)
    }
}

/// The field `spc`, once; `persistent` where it is `true` or `1`; all others are the
/// application's own, the asset id among them.
fn read_form(body: &[u8]) -> Result<Unframed<'_>, ChallengeError> {
    let (mut spc, mut wants_persist) = (None, false);
    for field in body.split(|byte| *byte == b'&') {
        let (name, value) = match field.iter().position(|byte| *byte == b'=') {
            Some(at) => field.split_at(at),
            None => continue,
        };
        let value = value.get(1..).unwrap_or_default();
        match name.trim_ascii() {
            b"spc" if spc.is_some() => return Err(ChallengeError::SpcTwice),
            b"spc" => spc = Some(value),
            b"persistent" => wants_persist = matches!(value.trim_ascii(), b"true" | b"1"),
            _ => {}
        }
    }
    let text = unescape(spc.ok_or(ChallengeError::Malformed)?).ok_or(ChallengeError::Base64)?;
    Ok(Unframed { framing: Framing::Form, spc: decode(&text)?, wants_persist })
}

/// Percent-encoding undone (RFC 3986, 2.1). A plus sign stays one, as base64 has it and no spaces:
/// in a form it would be a space, and clients send it so.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        plain.push(match byte {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            byte => *byte,
        });
    }
    Some(plain)
}

/// Base64, lines joined, and spaces taken for the plus signs that they were.
fn decode<'a>(text: &[u8]) -> Result<Cow<'a, [u8]>, ChallengeError> {
    let text: Vec<u8> = text
        .trim_ascii()
        .iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .map(|byte| if *byte == b' ' { b'+' } else { *byte })
        .collect();
    LENIENT.decode(text).map(Cow::Owned).map_err(|_| ChallengeError::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base64 with both special characters and padding.
    const SPC: &[u8] = &[0, 0, 0, 1, 0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff];

    fn read(body: &[u8]) -> Result<(Framing, Vec<u8>, bool), ChallengeError> {
        let read = Framing::read(body)?;
        Ok((read.framing, read.spc.into_owned(), read.wants_persist))
    }

    #[test]
    fn what_is_framed_is_read_and_its_framing_told() {
        for framing in Framing::ALL {
            for persist in [false, true] {
                let body = framing.frame(SPC, persist);
                let persist = persist && framing != Framing::Octets;
                assert_eq!(read(&body), Ok((framing, SPC.to_vec(), persist)));
            }
            let answer = framing.frame_answer(SPC.to_vec());
            assert_eq!(framing.read_answer(&answer).unwrap(), SPC);
        }
        assert_eq!(Framing::Form.frame_answer(vec![0]), b"<ckc>AA==</ckc>");
        assert_eq!(Framing::Json.frame_answer(vec![0]), br#"{"ckc":"AA=="}"#);
        assert_eq!(Framing::Form.read_answer(b" AA==\n").unwrap(), [0].as_slice());
    }

    #[test]
    fn forms_are_repaired() {
        let plain = STANDARD.encode(SPC);
        assert!(plain.contains(['+', '/']) && plain.ends_with('='), "{plain}");
        for body in [
            format!("spc={plain}"),
            format!("spc={}", plain.replace('+', " ")),
            format!("spc={}", plain.replace('+', "%20")),
            format!("spc={}", plain.trim_end_matches('=')),
            format!("spc={}", plain.replace('=', "%3d")),
            format!("assetId=skd://film?kid=1&spc={plain}&asset+id=%zz"),
            format!("\r\nspc={}\r\n", plain.split_at(4).0.to_owned() + "%0d%0a" + &plain[4..]),
        ] {
            assert_eq!(read(body.as_bytes()), Ok((Framing::Form, SPC.to_vec(), false)), "{body}");
        }
        let json = format!(" {{\"asset\":[{{}}],\"spc\":{:?}}}", plain.replace('+', " "));
        assert_eq!(read(json.as_bytes()), Ok((Framing::Json, SPC.to_vec(), false)));
        // Writers of JSON may escape a slash, and any character by its number.
        let json = format!("{{\"spc\":\"{}\"}}", plain.replace('/', "\\/").replace('=', "\\u003d"));
        assert!(json.contains("\\/") && json.contains("\\u003d"), "{json}");
        assert_eq!(read(json.as_bytes()), Ok((Framing::Json, SPC.to_vec(), false)));
    }

    #[test]
    fn what_is_no_framing_is_refused() {
        for (body, error) in [
            (&b""[..], ChallengeError::Malformed),
            (b" \n ", ChallengeError::Malformed),
            (b"spc", ChallengeError::Malformed),
            (b"SPC=AA==", ChallengeError::Malformed),
            (b"ckc=AA==", ChallengeError::Malformed),
            (b"spc=AA==&spc=AA==", ChallengeError::SpcTwice),
            (b"spc=AA==&x&spc=", ChallengeError::SpcTwice),
            (b"spc=%", ChallengeError::Base64),
            (b"spc=%4", ChallengeError::Base64),
            (b"spc=%zz", ChallengeError::Base64),
            (b"spc=A", ChallengeError::Base64),
            (b"spc=A-_A", ChallengeError::Base64),
            (b"spc=AA==AA==", ChallengeError::Base64),
            (b"{}", ChallengeError::Malformed),
            (b"{\"spc\":7}", ChallengeError::Malformed),
            (b"{\"spc\":\"AA==\",\"spc\":\"AA==\"}", ChallengeError::Malformed),
            (b"{\"spc\":\"AA==\"} {}", ChallengeError::Malformed),
            (b"{\"spc\":\"!\"}", ChallengeError::Base64),
        ] {
            assert_eq!(read(body), Err(error), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(read(&vec![0; MAX_BYTES + 1]), Err(ChallengeError::TooLarge));
        let deep = [b"{\"spc\":".repeat(5000), b"1".to_vec()].concat();
        assert_eq!(read(&deep), Err(ChallengeError::Malformed));
    }

    #[test]
    fn other_answers_are_refused() {
        for (framing, body) in [
            (Framing::Form, &b"<ckc>AA=="[..]),
            (Framing::Form, b"<CKC>AA==</CKC>"),
            (Framing::Form, b"<ckc>!</ckc>"),
            (Framing::Json, b"{\"spc\":\"AA==\"}"),
            (Framing::Json, b"AA=="),
        ] {
            assert_eq!(framing.read_answer(body), Err(LicenseError::Malformed));
        }
    }
}
