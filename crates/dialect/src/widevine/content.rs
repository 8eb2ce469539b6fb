//! Which content a request is about: `pssh` payloads, a whole `pssh` box (ISO/IEC 23001-7:2016,
//! 8.1), or the key id of a WebM track.

use super::messages::{
    ContentIdentification, PSSH_SINGLE, WidevinePsshData, init_data_type, license_type,
};
use super::{ChallengeError, decode};
use model::KeyId;

/// Most key ids in a request.
pub const MAX_KIDS: usize = crate::MAX_KEYS;
/// Longest content id, bytes.
pub const MAX_CONTENT_ID_BYTES: usize = 256;
/// Most boxes in one `init_data`.
const MAX_BOXES: usize = 16;
/// Longest request id that is echoed, bytes.
const MAX_REQUEST_ID_BYTES: usize = 256;

/// `edef8ba9-79d6-4ace-a3c8-27dcd51d21ed`.
const SYSTEM_ID: [u8; 16] = *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";

/// How long the client wants to keep the license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseType {
    /// As long as it plays.
    Streaming,
    /// On the device.
    Offline,
    /// As the policy says.
    Automatic,
}

impl LicenseType {
    pub(super) fn read(number: Option<i32>) -> Result<Self, ChallengeError> {
        match number.unwrap_or(license_type::STREAMING) {
            license_type::STREAMING => Ok(Self::Streaming),
            license_type::OFFLINE => Ok(Self::Offline),
            license_type::AUTOMATIC => Ok(Self::Automatic),
            _ => Err(ChallengeError::Malformed),
        }
    }

    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Streaming => license_type::STREAMING,
            Self::Offline => license_type::OFFLINE,
            Self::Automatic => license_type::AUTOMATIC,
        }
    }
}

/// What a new request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// Each once, in the request's order; empty where only a content id names the keys.
    pub(super) kids: Vec<KeyId>,
    pub(super) content_id: Option<Vec<u8>>,
    pub(super) crypto_period: Option<u32>,
    /// Four-character code.
    pub(super) scheme: Option<u32>,
    pub(super) license_type: LicenseType,
    pub(super) request_id: Vec<u8>,
}

impl Content {
    /// Reads the one identification of a new request.
    pub(super) fn read(id: ContentIdentification) -> Result<Self, ChallengeError> {
        if id.existing_license.is_some() {
            return Err(ChallengeError::RequestType);
        }
        let (license_type, request_id, found) =
            match (id.widevine_pssh_data, id.webm_key_id, id.init_data) {
                (None, None, None) => return Err(ChallengeError::ContentMissing),
                (Some(content), None, None) => {
                    let mut found = Found::default();
                    for data in &content.pssh_data {
                        found.add_payload(data)?;
                    }
                    (content.license_type, content.request_id, found)
                }
                (None, Some(content), None) => {
                    let mut found = Found::default();
                    found.add_kid(&content.header.unwrap_or_default())?;
                    (content.license_type, content.request_id, found)
                }
                (None, None, Some(content)) => {
                    let mut found = Found::default();
                    let bytes = content.init_data.unwrap_or_default();
                    match content.init_data_type {
                        Some(init_data_type::CENC) => found.add_boxes(&bytes)?,
                        Some(init_data_type::WEBM) => found.add_kid(&bytes)?,
                        _ => return Err(ChallengeError::ContentMalformed),
                    }
                    (content.license_type, content.request_id, found)
                }
                _ => return Err(ChallengeError::ContentTwice),
            };
        if found.kids.is_empty() && found.content_id.is_none() {
            return Err(ChallengeError::ContentMissing);
        }
        let request_id = request_id.unwrap_or_default();
        if request_id.len() > MAX_REQUEST_ID_BYTES {
            return Err(ChallengeError::Malformed);
        }
        Ok(Self {
            kids: found.kids,
            content_id: found.content_id,
            crypto_period: found.crypto_period,
            scheme: found.scheme,
            license_type: LicenseType::read(license_type)?,
            request_id,
        })
    }
}

/// What the payloads and boxes of one request say together.
#[derive(Default)]
struct Found {
    kids: Vec<KeyId>,
    content_id: Option<Vec<u8>>,
    crypto_period: Option<u32>,
    scheme: Option<u32>,
}

impl Found {
    fn add_kid(&mut self, bytes: &[u8]) -> Result<(), ChallengeError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| ChallengeError::ContentMalformed)?;
        let kid = KeyId::from_bytes(bytes);
        if self.kids.contains(&kid) {
            return Ok(());
        }
        if self.kids.len() == MAX_KIDS {
            return Err(ChallengeError::TooManyKids);
        }
        self.kids.push(kid);
        Ok(())
    }

    fn add_payload(&mut self, bytes: &[u8]) -> Result<(), ChallengeError> {
        let data: WidevinePsshData = decode(bytes).ok_or(ChallengeError::ContentMalformed)?;
        if data.kind.unwrap_or(PSSH_SINGLE) != PSSH_SINGLE {
            return Err(ChallengeError::Entitlement);
        }
        for kid in &data.key_ids {
            self.add_kid(kid)?;
        }
        agree(&mut self.crypto_period, data.crypto_period_index)?;
        agree(&mut self.scheme, data.protection_scheme)?;
        let content_id = data.content_id.filter(|id| !id.is_empty());
        if content_id.as_ref().is_some_and(|id| id.len() > MAX_CONTENT_ID_BYTES) {
            return Err(ChallengeError::ContentMalformed);
        }
        agree(&mut self.content_id, content_id)
    }

    /// Every box of Widevine's in a row of whole boxes.
    fn add_boxes(&mut self, mut bytes: &[u8]) -> Result<(), ChallengeError> {
        for _ in 0..MAX_BOXES {
            if bytes.is_empty() {
                return Ok(());
            }
            let (whole, rest) = split_box(bytes).ok_or(ChallengeError::ContentMalformed)?;
            let pssh = Pssh::read(whole).ok_or(ChallengeError::ContentMalformed)?;
            if pssh.system_id == SYSTEM_ID {
                for kid in pssh.kids {
                    self.add_kid(kid)?;
                }
                self.add_payload(pssh.payload)?;
            }
            bytes = rest;
        }
        if bytes.is_empty() { Ok(()) } else { Err(ChallengeError::ContentMalformed) }
    }
}

/// Two payloads of one request may not say two things.
fn agree<T: PartialEq>(known: &mut Option<T>, said: Option<T>) -> Result<(), ChallengeError> {
    if known.is_some() && said.is_some() && *known != said {
        return Err(ChallengeError::ContentTwice);
    }
    if said.is_some() {
        *known = said;
    }
    Ok(())
}

/// The body of the `pssh` box that `bytes` begin with, and what follows the box.
fn split_box(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*size)).ok()?.checked_sub(8)?;
    let (b"pssh", rest) = rest.split_first_chunk::<4>()? else { return None };
    rest.split_at_checked(length)
}

struct Pssh<'a> {
    system_id: [u8; 16],
    kids: &'a [[u8; 16]],
    payload: &'a [u8],
}

impl<'a> Pssh<'a> {
    /// Shape: version and flags, system id, in version 1 the key ids behind their count, the
    /// payload behind its length, nothing more.
    fn read(body: &'a [u8]) -> Option<Self> {
        let ([version, _, _, _], rest) = body.split_first_chunk::<4>()?;
        let (system_id, mut rest) = rest.split_first_chunk::<16>()?;
        let mut kids: &[[u8; 16]] = &[];
        if *version > 1 {
            return None;
        }
        if *version == 1 {
            let (count, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*count)).ok()?.checked_mul(16)?;
            let (list, after) = after.split_at_checked(length)?;
            (kids, _) = list.as_chunks::<16>();
            rest = after;
        }
        let (length, payload) = rest.split_first_chunk::<4>()?;
        let is_whole = usize::try_from(u32::from_be_bytes(*length)).ok()? == payload.len();
        is_whole.then_some(Self { system_id: *system_id, kids, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{ExistingLicense, InitData, PsshContent, WebmKeyId};
    use super::*;
    use prost::Message as _;

    fn payload(kids: &[u8], content_id: Option<&[u8]>) -> Vec<u8> {
        WidevinePsshData {
            key_ids: kids.iter().map(|byte| vec![*byte; 16]).collect(),
            content_id: content_id.map(<[u8]>::to_vec),
            ..WidevinePsshData::default()
        }
        .encode_to_vec()
    }

    fn pssh(version: u8, system_id: [u8; 16], kids: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut body = [&[version, 0, 0, 0][..], &system_id].concat();
        if version == 1 {
            body.extend(u32::try_from(kids.len()).unwrap().to_be_bytes());
            body.extend(kids.iter().flat_map(|byte| [*byte; 16]));
        }
        body.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        body.extend(payload);
        let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&size[..], b"pssh", &body].concat()
    }

    fn of_payloads(pssh_data: Vec<Vec<u8>>) -> Result<Content, ChallengeError> {
        Content::read(ContentIdentification {
            widevine_pssh_data: Some(PsshContent { pssh_data, ..PsshContent::default() }),
            ..ContentIdentification::default()
        })
    }

    fn of_init_data(kind: i32, bytes: Vec<u8>) -> Result<Content, ChallengeError> {
        Content::read(ContentIdentification {
            init_data: Some(InitData {
                init_data_type: Some(kind),
                init_data: Some(bytes),
                ..InitData::default()
            }),
            ..ContentIdentification::default()
        })
    }

    fn kids(bytes: &[u8]) -> Vec<KeyId> {
        bytes.iter().map(|byte| KeyId::from_bytes([*byte; 16])).collect()
    }

    #[test]
    fn key_ids_come_from_every_kind_of_identification() {
        let read = of_payloads(vec![payload(&[1, 2, 1], None), payload(&[3], Some(b"film"))]);
        let read = read.unwrap();
        assert_eq!(read.kids, kids(&[1, 2, 3]));
        assert_eq!(read.content_id.as_deref(), Some(&b"film"[..]));
        let boxes = [
            pssh(0, [7; 16], &[], b"another system's"),
            pssh(0, SYSTEM_ID, &[], &payload(&[4], None)),
            pssh(1, SYSTEM_ID, &[5, 6], &payload(&[5], None)),
            pssh(1, SYSTEM_ID, &[8], &[]),
        ];
        let read = of_init_data(init_data_type::CENC, boxes.concat()).unwrap();
        assert_eq!(read.kids, kids(&[4, 5, 6, 8]));
        assert_eq!(of_init_data(init_data_type::WEBM, vec![9; 16]).unwrap().kids, kids(&[9]));
        let webm = Content::read(ContentIdentification {
            webm_key_id: Some(WebmKeyId { header: Some(vec![9; 16]), ..WebmKeyId::default() }),
            ..ContentIdentification::default()
        });
        assert_eq!(webm.unwrap().kids, kids(&[9]));
    }

    #[test]
    fn limits_hold() {
        let of_many = |count: usize| {
            let key_ids = (0..count).map(|at| (at as u128).to_be_bytes().to_vec()).collect();
            WidevinePsshData { key_ids, ..WidevinePsshData::default() }.encode_to_vec()
        };
        assert_eq!(of_payloads(vec![of_many(MAX_KIDS)]).unwrap().kids.len(), MAX_KIDS);
        let refused = of_payloads(vec![of_many(MAX_KIDS + 1)]);
        assert_eq!(refused, Err(ChallengeError::TooManyKids));
        let boxes = |count| pssh(0, SYSTEM_ID, &[], &payload(&[4], None)).repeat(count);
        assert!(of_init_data(init_data_type::CENC, boxes(16)).is_ok());
        let refused = of_init_data(init_data_type::CENC, boxes(17));
        assert_eq!(refused, Err(ChallengeError::ContentMalformed));
        assert!(of_payloads(vec![payload(&[], Some(&[1; 256]))]).is_ok());
        let refused = of_payloads(vec![payload(&[], Some(&[1; 257]))]);
        assert_eq!(refused, Err(ChallengeError::ContentMalformed));
    }

    #[test]
    fn damaged_and_doubtful_identifications_are_refused() {
        let good = pssh(1, SYSTEM_ID, &[5, 6], &payload(&[5], None));
        for end in 1..good.len() {
            let refused = of_init_data(init_data_type::CENC, good[..end].to_vec());
            assert_eq!(refused, Err(ChallengeError::ContentMalformed), "{end}");
        }
        let mut many = good.clone();
        many[28..32].copy_from_slice(&[0xff; 4]);
        let version_2 = pssh(2, SYSTEM_ID, &[], &payload(&[5], None));
        for bytes in [many, version_2, b"\0\0\0\x08free".to_vec(), b"\0\0\0\0pssh".to_vec()] {
            let refused = of_init_data(init_data_type::CENC, bytes);
            assert_eq!(refused, Err(ChallengeError::ContentMalformed));
        }
        let refused = of_init_data(init_data_type::CENC, pssh(0, [7; 16], &[], b""));
        assert_eq!(refused, Err(ChallengeError::ContentMissing));
        let short = of_init_data(init_data_type::WEBM, vec![9; 15]);
        assert_eq!(short, Err(ChallengeError::ContentMalformed));
        let unknown = of_init_data(3, vec![9; 16]);
        assert_eq!(unknown, Err(ChallengeError::ContentMalformed));
        let two = of_payloads(vec![payload(&[1], Some(b"a")), payload(&[1], Some(b"b"))]);
        assert_eq!(two, Err(ChallengeError::ContentTwice));
        assert_eq!(of_payloads(vec![]), Err(ChallengeError::ContentMissing));
        let entitlement = WidevinePsshData { kind: Some(1), ..WidevinePsshData::default() };
        let refused = of_payloads(vec![entitlement.encode_to_vec()]);
        assert_eq!(refused, Err(ChallengeError::Entitlement));
        let both = Content::read(ContentIdentification {
            init_data: Some(InitData::default()),
            webm_key_id: Some(WebmKeyId::default()),
            ..ContentIdentification::default()
        });
        assert_eq!(both, Err(ChallengeError::ContentTwice));
        let existing = Content::read(ContentIdentification {
            existing_license: Some(ExistingLicense::default()),
            ..ContentIdentification::default()
        });
        assert_eq!(existing, Err(ChallengeError::RequestType));
    }
}
