//! How an SPC travels over HTTP, and the CKC back: octets, a form, or JSON. It is told from the
//! bytes, never from a content type, and the answer has the request's.
//!
//! JSON alone carries several: a license has one key here, and a title whose keys change has many.

use super::{ChallengeError, LicenseError, MAX_BATCH_BYTES, MAX_BYTES, MAX_SPCS};
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

/// How the SPCs of one body travel, and the CKCs back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One, in its framing.
    One(Framing),
    /// Several: `{"spc":[BASE64, ...]}`; `{"ckc":[BASE64 or null, ...]}`, in their order.
    Many,
}

/// The SPCs of a body out of their framing: one at least.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unframed<'a> {
    pub(super) shape: Shape,
    pub(super) spcs: Vec<Cow<'a, [u8]>>,
    /// Whether the application asks to keep the license: the field `persistent`.
    pub(super) wants_persist: bool,
}

#[derive(Deserialize)]
struct JsonRequest<'a> {
    #[serde(borrow)]
    spc: OneOrMany<'a>,
    #[serde(default)]
    persistent: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    Many(#[serde(borrow)] Vec<Cow<'a, str>>),
}

#[derive(Deserialize)]
struct JsonAnswer<'a> {
    #[serde(borrow)]
    ckc: Cow<'a, str>,
}

#[derive(Deserialize)]
struct JsonAnswers<'a> {
    #[serde(borrow)]
    ckc: Vec<Option<Cow<'a, str>>>,
}

impl Shape {
    /// The media type of an answer.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::One(framing) => framing.media_type(),
            Self::Many => Framing::Json.media_type(),
        }
    }

    /// Frames the CKCs of an answer; `None` for a key that is withheld, of which there is none
    /// where one SPC travels alone.
    pub(super) fn frame_answers(self, ckcs: Vec<Option<Vec<u8>>>) -> Vec<u8> {
        match self {
            Self::One(framing) => {
                let ckc = ckcs.into_iter().flatten().next();
                ckc.map_or_else(Vec::new, |ckc| framing.frame_answer(ckc))
            }
            Self::Many => {
                let ckcs: Vec<_> =
                    ckcs.into_iter().map(|ckc| ckc.map(|ckc| STANDARD.encode(ckc))).collect();
                serde_json::json!({ "ckc": ckcs }).to_string().into_bytes()
            }
        }
    }

    /// Takes the CKCs out of an answer.
    ///
    /// Errors: [`LicenseError::Malformed`]. Limits: [`MAX_SPCS`], [`MAX_BATCH_BYTES`].
    pub(super) fn read_answers(
        self,
        body: &[u8],
    ) -> Result<Vec<Option<Cow<'_, [u8]>>>, LicenseError> {
        let malformed = LicenseError::Malformed;
        match self {
            Self::One(framing) => Ok(vec![Some(framing.read_answer(body)?)]),
            Self::Many if body.len() > MAX_BATCH_BYTES => Err(malformed),
            Self::Many => {
                let read: JsonAnswers<'_> = serde_json::from_slice(body).map_err(|_| malformed)?;
                if read.ckc.len() > MAX_SPCS {
                    return Err(malformed);
                }
                let owned = |text: Cow<'_, str>| {
                    let ckc = decode(text.as_bytes()).map_err(|_| malformed)?;
                    Ok(Cow::Owned(ckc.into_owned()))
                };
                read.ckc.into_iter().map(|ckc| ckc.map(owned).transpose()).collect()
            }
        }
    }

    /// Frames several SPCs as an application does.
    pub(super) fn frame_many(spcs: &[Vec<u8>], wants_persist: bool) -> Vec<u8> {
        let spcs: Vec<String> = spcs.iter().map(|spc| STANDARD.encode(spc)).collect();
        let mut json = serde_json::json!({ "spc": spcs });
        if wants_persist && let Some(fields) = json.as_object_mut() {
            fields.insert("persistent".to_owned(), true.into());
        }
        json.to_string().into_bytes()
    }
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

    /// Takes the SPCs out of a body. A container begins with a zero byte, JSON with a brace.
    ///
    /// Errors: [`ChallengeError`]. Limits: [`MAX_BYTES`]; [`MAX_BATCH_BYTES`] and [`MAX_SPCS`] for
    /// several.
    pub(super) fn read(body: &[u8]) -> Result<Unframed<'_>, ChallengeError> {
        let is_long = body.len() > MAX_BYTES;
        if body.len() > MAX_BATCH_BYTES || (is_long && !body.trim_ascii_start().starts_with(b"{")) {
            return Err(ChallengeError::TooLarge);
        }
        match body.trim_ascii_start() {
            [] => Err(ChallengeError::Malformed),
            _ if body.starts_with(&[0]) => Ok(Unframed {
                shape: Shape::One(Self::Octets),
                spcs: vec![Cow::Borrowed(body)],
                wants_persist: false,
            }),
            [b'{', ..] => {
                let read: JsonRequest<'_> =
                    serde_json::from_slice(body).map_err(|_| ChallengeError::Malformed)?;
                let wants_persist = read.persistent;
                let owned =
                    |text: &Cow<'_, str>| Ok(Cow::Owned(decode(text.as_bytes())?.into_owned()));
                let (shape, spcs) = match &read.spc {
                    OneOrMany::One(_) if is_long => return Err(ChallengeError::TooLarge),
                    OneOrMany::One(spc) => (Shape::One(Self::Json), vec![owned(spc)?]),
                    OneOrMany::Many(spcs) if spcs.is_empty() => {
                        return Err(ChallengeError::Malformed);
                    }
                    OneOrMany::Many(spcs) if spcs.len() > MAX_SPCS => {
                        return Err(ChallengeError::TooManySpcs);
                    }
                    OneOrMany::Many(spcs) => {
                        (Shape::Many, spcs.iter().map(owned).collect::<Result<_, _>>()?)
                    }
                };
                Ok(Unframed { shape, spcs, wants_persist })
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
    let spc = Cow::Owned(decode(&text)?.into_owned());
    Ok(Unframed { shape: Shape::One(Framing::Form), spcs: vec![spc], wants_persist })
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
        let (Shape::One(framing), [spc]) = (read.shape, &read.spcs[..]) else {
            unreachable!("one SPC")
        };
        Ok((framing, spc.to_vec(), read.wants_persist))
    }

    #[test]
    fn several_are_framed_in_their_order_and_what_is_withheld_is_null() {
        let spcs = [SPC.to_vec(), vec![0, 7]];
        for persist in [false, true] {
            let body = Shape::frame_many(&spcs, persist);
            let read = Framing::read(&body).unwrap();
            assert_eq!((read.shape, read.wants_persist), (Shape::Many, persist));
            assert_eq!(read.spcs, spcs);
        }
        let one = Framing::read(br#"{"spc":["AA=="]}"#).unwrap();
        assert_eq!((one.shape, one.spcs.len()), (Shape::Many, 1));
        let answer = Shape::Many.frame_answers(vec![Some(vec![0]), None]);
        assert_eq!(answer, br#"{"ckc":["AA==",null]}"#);
        let read = Shape::Many.read_answers(&answer).unwrap();
        assert_eq!(read, [Some(Cow::Borrowed(&[0][..])), None]);
        for answer in [&b"{}"[..], br#"{"ckc":"AA=="}"#, br#"{"ckc":["!"]}"#, br#"{"ckc":[7]}"#] {
            assert_eq!(Shape::Many.read_answers(answer), Err(LicenseError::Malformed));
        }
        let many = |count: usize| Shape::frame_many(&vec![vec![0]; count], false);
        assert_eq!(Framing::read(&many(MAX_SPCS)).unwrap().spcs.len(), MAX_SPCS);
        for (body, error) in [
            (many(0), ChallengeError::Malformed),
            (many(MAX_SPCS + 1), ChallengeError::TooManySpcs),
            (br#"{"spc":["AA==","!"]}"#.to_vec(), ChallengeError::Base64),
            (br#"{"spc":["AA==",7]}"#.to_vec(), ChallengeError::Malformed),
            (br#"{"spc":[["AA=="]]}"#.to_vec(), ChallengeError::Malformed),
            (Framing::Json.frame(&vec![0; MAX_BYTES], false), ChallengeError::TooLarge),
            (vec![b'{'; MAX_BATCH_BYTES + 1], ChallengeError::TooLarge),
        ] {
            assert_eq!(Framing::read(&body).map(|_| ()), Err(error));
        }
        let large = Shape::frame_many(&[vec![0; MAX_BYTES / 2], vec![0; MAX_BYTES / 2]], false);
        assert_eq!(Framing::read(&large).unwrap().spcs.len(), 2);
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
