//! `WidevinePsshData`: the Widevine part of a `pssh` box, a protobuf message.

use super::{MAX_KIDS, PsshError};
use model::{KeyId, Scheme};
use serde::Serialize;

/// Most fields of the message.
const MAX_FIELDS: usize = MAX_KIDS + 64;

/// What the message says; fields that we do not use are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WidevineData {
    /// Field 2: the keys.
    pub kids: Vec<KeyId>,
    /// Field 3: the content provider's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Field 4: the provider's own id of the content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content_id: Vec<u8>,
    /// Field 7: which period of a rotating key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crypto_period: Option<u32>,
    /// Field 9: the scheme's four-character code as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection_scheme: Option<u32>,
}

/// Writes fields 2 and 9, as Shaka Packager does.
pub(super) fn data(kids: &[KeyId], scheme: Scheme) -> Vec<u8> {
    let mut out = Vec::with_capacity(kids.len() * 18 + 6);
    for kid in kids {
        out.extend([2 << 3 | LENGTH, 16]);
        out.extend(kid.as_bytes());
    }
    out.push(9 << 3 | VARINT);
    let mut left = four_cc(scheme);
    while left > 0x7f {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push((left & 0x7f) as u8);
    out
}

/// `cenc` or `cbcs` read as one big-endian number.
fn four_cc(scheme: Scheme) -> u32 {
    scheme.name().bytes().fold(0, |code, byte| code << 8 | u32::from(byte))
}

/// Wire type of a number.
const VARINT: u8 = 0;
/// Wire type of a byte string.
const LENGTH: u8 = 2;

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Fixed 4 or 8 bytes; no field that we know has this type.
    Fixed,
}

impl WidevineData {
    /// The scheme, if it is one that we know.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        Scheme::ALL.into_iter().find(|scheme| self.protection_scheme == Some(four_cc(*scheme)))
    }

    /// Reads the message. Errors: [`PsshError::Widevine`], also for a key id that has not 16
    /// bytes; [`PsshError::TooLarge`] above 4096 KIDs.
    pub(super) fn parse(mut rest: &[u8]) -> Result<Self, PsshError> {
        let mut read = Self::default();
        for _ in 0..=MAX_FIELDS {
            if rest.is_empty() {
                return Ok(read);
            }
            match take_field(&mut rest).ok_or(PsshError::Widevine)? {
                (2, Value::Bytes(kid)) if read.kids.len() < MAX_KIDS => {
                    let kid = kid.try_into().map_err(|_| PsshError::Widevine)?;
                    read.kids.push(KeyId::from_bytes(kid));
                }
                (3, Value::Bytes(name)) => {
                    read.provider = Some(String::from_utf8_lossy(name).into_owned());
                }
                (4, Value::Bytes(id)) => read.content_id = id.to_vec(),
                (7, Value::Number(number)) => read.crypto_period = Some(narrow(number)?),
                (9, Value::Number(number)) => read.protection_scheme = Some(narrow(number)?),
                (2, Value::Bytes(_)) => return Err(PsshError::TooLarge),
                (2 | 3 | 4 | 7 | 9, _) => return Err(PsshError::Widevine),
                _ => {}
            }
        }
        Err(PsshError::TooLarge)
    }
}

fn narrow(number: u64) -> Result<u32, PsshError> {
    u32::try_from(number).map_err(|_| PsshError::Widevine)
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = take_varint(rest)?;
    let value = match u8::try_from(tag & 7).ok()? {
        VARINT => Value::Number(take_varint(rest)?),
        LENGTH => {
            let len = usize::try_from(take_varint(rest)?).ok()?;
            Value::Bytes(rest.split_off(..len)?)
        }
        1 => rest.split_off(..8).map(|_| Value::Fixed)?,
        5 => rest.split_off(..4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    (tag >> 3 != 0).then_some((tag >> 3, value))
}

/// At most ten bytes, seven bits each, lowest first.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
