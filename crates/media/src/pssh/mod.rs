//! `pssh`: what a DRM system needs to start (ISO/IEC 23001-7, 8.1), written and read.
//!
//! Written for one track key at a time, or for the keys of a batch ([`boxes_of`]): Widevine and
//! PlayReady as version 0, the common system of the W3C as version 1 that lists its KIDs. FairPlay
//! has no box in practice; playlists name it. The Widevine and PlayReady boxes equal Shaka
//! Packager's byte for byte.

mod batch;
mod playready;
mod widevine;

pub use batch::{KeyNames, NamedKey, boxes_of};
pub use playready::{PlayReadyObject, playready_object, playready_object_of};
pub use widevine::WidevineData;

use model::{KeyId, Scheme};
use serde::Serialize;
use std::collections::BTreeSet;

/// Longest box that we read; a PlayReady object has at most 15 000 bytes.
pub const MAX_BOX_BYTES: usize = 128 << 10;
/// Most KIDs in one box.
pub const MAX_KIDS: usize = 4096;
/// Most boxes in one run of initialization data.
pub const MAX_BOXES: usize = 64;

/// Which DRM system a box is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct SystemId([u8; 16]);

impl SystemId {
    /// Google Widevine.
    pub const WIDEVINE: Self = Self(0xedef_8ba9_79d6_4ace_a3c8_27dc_d51d_21ed_u128.to_be_bytes());
    /// Microsoft PlayReady.
    pub const PLAYREADY: Self = Self(0x9a04_f079_9840_4286_ab92_e65b_e088_5f95_u128.to_be_bytes());
    /// Apple FairPlay Streaming.
    pub const FAIRPLAY: Self = Self(0x94ce_86fb_07ff_4f43_adb8_93d2_fa96_8ca2_u128.to_be_bytes());
    /// The common system of the W3C: KIDs and nothing else.
    pub const COMMON: Self = Self(0x1077_efec_c0b2_4d02_ace3_3c1e_52e2_fb4b_u128.to_be_bytes());
    /// DASH-IF Clear Key; a manifest descriptor, not a box.
    pub const CLEARKEY: Self = Self(0xe271_9d58_a985_b3c9_781a_b030_af78_d30e_u128.to_be_bytes());

    /// The id of its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads `urn:uuid:…` in either case, as manifests write it.
    #[must_use]
    pub fn parse_urn(text: &str) -> Option<Self> {
        let (prefix, uuid) = text.trim().split_at_checked(9)?;
        // A UUID has the shape of a KID.
        let id = KeyId::parse(uuid).ok()?;
        prefix.eq_ignore_ascii_case("urn:uuid:").then_some(Self(*id.as_bytes()))
    }

    /// `urn:uuid:…` in lower case, as manifests write it.
    #[must_use]
    pub fn urn(self) -> String {
        format!("urn:uuid:{self}")
    }

    /// The system's name, if we know it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::WIDEVINE => Some("Widevine"),
            Self::PLAYREADY => Some("PlayReady"),
            Self::FAIRPLAY => Some("FairPlay"),
            Self::COMMON => Some("common"),
            Self::CLEARKEY => Some("ClearKey"),
            _ => None,
        }
    }
}

impl std::fmt::Display for SystemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&KeyId::from_bytes(self.0).to_uuid())
    }
}

impl std::fmt::Debug for SystemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SystemId({self})")
    }
}

impl From<SystemId> for String {
    fn from(system: SystemId) -> Self {
        system.to_string()
    }
}

/// A box that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pssh {
    /// For whom it is.
    pub system: SystemId,
    /// 0, or 1 with a list of KIDs.
    pub version: u8,
    /// The KIDs of a version 1 box.
    pub kids: Vec<KeyId>,
    /// What the system says in it.
    pub data: SystemData,
}

/// The system's own part of a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemData {
    /// Widevine's message.
    Widevine(WidevineData),
    /// PlayReady's object.
    PlayReady(PlayReadyObject),
    /// Bytes of a system we do not decode.
    Opaque(Vec<u8>),
}

/// Why bytes are not a `pssh` box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PsshError {
    /// The bytes end before the box does, or go on behind it.
    #[error("the box's size does not fit its bytes")]
    Size,
    /// Another box.
    #[error("not a `pssh` box")]
    Type,
    /// Neither 0 nor 1.
    #[error("version {0} is not supported")]
    Version(u8),
    /// Above [`MAX_BOX_BYTES`], [`MAX_KIDS`] or [`MAX_BOXES`].
    #[error("more bytes, KIDs or boxes than we read")]
    TooLarge,
    /// The Widevine part is not its message.
    #[error("the Widevine part is malformed")]
    Widevine,
    /// The PlayReady part is not an object with one header.
    #[error("the PlayReady part is malformed")]
    PlayReady,
}

impl Pssh {
    /// Every KID that the box names, in its list or in the system's part.
    #[must_use]
    pub fn all_kids(&self) -> Vec<KeyId> {
        let inner: &[KeyId] = match &self.data {
            SystemData::Widevine(widevine) => &widevine.kids,
            SystemData::PlayReady(object) => &object.kids,
            SystemData::Opaque(_) => &[],
        };
        let mut kids = self.kids.clone();
        kids.extend(inner.iter().filter(|kid| !self.kids.contains(kid)));
        kids
    }
}

/// Writes the Widevine box: version 0, `WidevinePsshData` with the KIDs and the scheme.
#[must_use]
pub fn widevine(kids: &[KeyId], scheme: Scheme) -> Vec<u8> {
    write(SystemId::WIDEVINE, None, &widevine::data(kids, scheme))
}

/// Writes the PlayReady box: version 0 around [`playready_object`].
#[must_use]
pub fn playready(kid: KeyId, scheme: Scheme, checksum: Option<[u8; 8]>) -> Vec<u8> {
    write(SystemId::PLAYREADY, None, &playready_object(kid, scheme, checksum))
}

/// Writes the PlayReady box around [`playready_object_of`].
///
/// Errors: [`PsshError::TooLarge`].
pub fn playready_list(keys: &[NamedKey], scheme: Scheme) -> Result<Vec<u8>, PsshError> {
    Ok(write(SystemId::PLAYREADY, None, &playready_object_of(keys, scheme)?))
}

/// Writes the common box of the W3C: version 1, each KID once in ascending order, no data.
///
/// Give it every KID of the title in one scheme, and put the same box into every track. A Clear
/// Key player asks for what the box names: hls.js asks on the first track's box alone, so it
/// never gets the audio key if that box names only the picture's, and rx-player asks once per
/// track, with the same bytes (which a single-use token answers again) only if the boxes are equal.
#[must_use]
pub fn common(kids: &[KeyId]) -> Vec<u8> {
    let kids: Vec<KeyId> = BTreeSet::from_iter(kids).into_iter().copied().collect();
    write(SystemId::COMMON, Some(&kids), &[])
}

/// Shape: size, `pssh`, version and flags, system, in version 1 a count and KIDs, then the size
/// of the data and the data.
fn write(system: SystemId, kids: Option<&[KeyId]>, data: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::from(kids.is_some()), 0, 0, 0];
    body.extend(system.0);
    if let Some(kids) = kids {
        body.extend(length(kids.len()));
        body.extend(kids.iter().flat_map(|kid| *kid.as_bytes()));
    }
    body.extend(length(data.len()));
    body.extend(data);
    let mut out = Vec::with_capacity(body.len() + 8);
    out.extend(length(body.len() + 8));
    out.extend(b"pssh");
    out.append(&mut body);
    out
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a box that we write is far below 4 GiB").to_be_bytes()
}

/// Reads one box, header and all, that fills `bytes`.
///
/// Errors: [`PsshError`]. Limits: [`MAX_BOX_BYTES`], [`MAX_KIDS`].
pub fn parse(bytes: &[u8]) -> Result<Pssh, PsshError> {
    let mut rest = bytes;
    let pssh = take_box(&mut rest)?;
    if rest.is_empty() { Ok(pssh) } else { Err(PsshError::Size) }
}

/// Reads one box after the other: EME's `cenc` initialization data.
///
/// Each box is read for itself: one that is malformed inside does not hide the others.
/// Errors: [`PsshError::Size`] where one box ends and the next begins cannot be told,
/// [`PsshError::TooLarge`] above [`MAX_BOXES`].
pub fn parse_all(bytes: &[u8]) -> Result<Vec<Result<Pssh, PsshError>>, PsshError> {
    let mut rest = bytes;
    let mut boxes = Vec::new();
    while !rest.is_empty() {
        if boxes.len() == MAX_BOXES {
            return Err(PsshError::TooLarge);
        }
        let size =
            rest.first_chunk().map(|size| u32::from_be_bytes(*size)).ok_or(PsshError::Size)?;
        let size = usize::try_from(size).map_err(|_| PsshError::Size)?;
        let (first, behind) = rest.split_at_checked(size.max(8)).ok_or(PsshError::Size)?;
        boxes.push(parse(first));
        rest = behind;
    }
    Ok(boxes)
}

fn take_box(rest: &mut &[u8]) -> Result<Pssh, PsshError> {
    if rest.len() > MAX_BOX_BYTES {
        return Err(PsshError::TooLarge);
    }
    let size = usize::try_from(take_u32(rest)?).map_err(|_| PsshError::Size)?;
    let mut body =
        rest.split_off(..size.checked_sub(4).ok_or(PsshError::Size)?).ok_or(PsshError::Size)?;
    if take::<4>(&mut body)? != *b"pssh" {
        return Err(PsshError::Type);
    }
    let [version, ..] = take::<4>(&mut body)?;
    let system = SystemId(take(&mut body)?);
    let kids = match version {
        0 => Vec::new(),
        1 => take_kids(&mut body)?,
        other => return Err(PsshError::Version(other)),
    };
    let data_size = usize::try_from(take_u32(&mut body)?).map_err(|_| PsshError::Size)?;
    if data_size != body.len() {
        return Err(PsshError::Size);
    }
    let data = match system {
        SystemId::WIDEVINE => SystemData::Widevine(WidevineData::parse(body)?),
        SystemId::PLAYREADY => SystemData::PlayReady(PlayReadyObject::parse(body)?),
        _ => SystemData::Opaque(body.to_vec()),
    };
    Ok(Pssh { system, version, kids, data })
}

fn take_kids(body: &mut &[u8]) -> Result<Vec<KeyId>, PsshError> {
    let count = usize::try_from(take_u32(body)?).map_err(|_| PsshError::TooLarge)?;
    if count > MAX_KIDS {
        return Err(PsshError::TooLarge);
    }
    (0..count).map(|_| take(body).map(KeyId::from_bytes)).collect()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], PsshError> {
    let (chunk, behind) = rest.split_first_chunk().ok_or(PsshError::Size)?;
    *rest = behind;
    Ok(*chunk)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, PsshError> {
    take(rest).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
