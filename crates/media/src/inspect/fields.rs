//! What single boxes say (ISO/IEC 14496-12 and 23001-7).

use super::facts::{self, Facts};
use crate::bmff::{BoxError, Fields, FourCc};
use crate::pssh::Pssh;
use model::KeyId;
use serde::Serialize;

/// Most sample group entries that are read of one box.
const MAX_GROUPS: u32 = 4096;

/// What a box says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxDetail {
    /// `ftyp`, `styp`.
    Brands {
        /// The file's own brand.
        major: String,
        /// Its version.
        minor: u32,
        /// All brands that it fits.
        compatible: Vec<String>,
    },
    /// `tkhd`, `tfhd`, `trex`: which track.
    Track {
        /// Its id.
        id: u32,
    },
    /// `hdlr`.
    Handler {
        /// `vide`, `soun`.
        handler: String,
    },
    /// `frma`.
    OriginalFormat {
        /// The sample entry's type before encryption.
        format: String,
    },
    /// `schm`.
    Scheme {
        /// `cenc`, `cbcs`.
        scheme: String,
        /// 0x00010000 is 1.0.
        version: u32,
    },
    /// `tenc`.
    Encryption(KeySettings),
    /// `sgpd` with `seig` entries: keys that change within the track.
    KeyGroups(Vec<KeySettings>),
    /// `senc`, `trun`, `stsz`.
    Samples {
        /// How many.
        count: u32,
    },
    /// `sidx`.
    Index {
        /// Subsegments.
        references: u16,
        /// Ticks per second.
        timescale: u32,
    },
    /// `pssh`.
    Pssh(Pssh),
    /// Other boxes, field by field.
    Facts(Facts),
}

/// Key and IV of a track or a sample group (ISO/IEC 23001-7, 6 and 8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeySettings {
    /// Whether samples are encrypted.
    pub is_protected: bool,
    /// The key.
    pub kid: KeyId,
    /// Bytes of each sample's IV; 0 where it is constant.
    pub iv_size: u8,
    /// Length of the constant IV, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant_iv_size: Option<u8>,
    /// Encrypted and skipped blocks in turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<(u8, u8)>,
}

/// Reads what a box of this type says; `None` for one that says nothing of interest.
pub(super) fn detail(kind: FourCc, body: &[u8]) -> Option<Result<BoxDetail, String>> {
    let mut fields = Fields::new(body);
    let plain = |read: Result<BoxDetail, BoxError>| Some(read.map_err(|error| error.to_string()));
    match &kind.0 {
        b"ftyp" | b"styp" => plain(brands(&mut fields)),
        b"tkhd" => plain(track_header(&mut fields)),
        b"tfhd" | b"trex" => plain(
            fields.version_and_flags().and_then(|_| Ok(BoxDetail::Track { id: fields.u32()? })),
        ),
        b"hdlr" => plain(
            fields
                .take(8)
                .and_then(|_| Ok(BoxDetail::Handler { handler: fields.four_cc()?.to_string() })),
        ),
        b"frma" => plain(
            fields.four_cc().map(|format| BoxDetail::OriginalFormat { format: format.to_string() }),
        ),
        b"schm" => plain(fields.version_and_flags().and_then(|_| {
            Ok(BoxDetail::Scheme { scheme: fields.four_cc()?.to_string(), version: fields.u32()? })
        })),
        b"tenc" => plain(
            fields
                .version_and_flags()
                .and_then(|_| key_settings(&mut fields))
                .map(BoxDetail::Encryption),
        ),
        b"sgpd" => key_groups(&mut fields).transpose().and_then(plain),
        b"senc" | b"trun" => plain(
            fields
                .version_and_flags()
                .and_then(|_| Ok(BoxDetail::Samples { count: fields.u32()? })),
        ),
        b"stsz" => {
            plain(fields.take(8).and_then(|_| Ok(BoxDetail::Samples { count: fields.u32()? })))
        }
        b"sidx" => plain(index(&mut fields)),
        _ => plain(facts::read(kind, body)?.map(BoxDetail::Facts)),
    }
}

fn brands(fields: &mut Fields<'_>) -> Result<BoxDetail, BoxError> {
    let major = fields.four_cc()?.to_string();
    let minor = fields.u32()?;
    let compatible = fields.rest().as_chunks::<4>().0;
    let compatible = compatible.iter().map(|brand| FourCc(*brand).to_string()).collect();
    Ok(BoxDetail::Brands { major, minor, compatible })
}

fn track_header(fields: &mut Fields<'_>) -> Result<BoxDetail, BoxError> {
    let (version, _) = fields.version_and_flags()?;
    fields.time(version)?;
    fields.time(version)?;
    Ok(BoxDetail::Track { id: fields.u32()? })
}

fn index(fields: &mut Fields<'_>) -> Result<BoxDetail, BoxError> {
    let (version, _) = fields.version_and_flags()?;
    fields.u32()?;
    let timescale = fields.u32()?;
    fields.time(version)?;
    fields.time(version)?;
    fields.u16()?;
    Ok(BoxDetail::Index { references: fields.u16()?, timescale })
}

/// Shape: reserved, pattern, protected, IV size, KID, and where the IV size is 0 the constant IV
/// behind its length.
fn key_settings(fields: &mut Fields<'_>) -> Result<KeySettings, BoxError> {
    let [_, pattern, is_protected, iv_size] = fields.array()?;
    let kid = KeyId::from_bytes(fields.array()?);
    let constant_iv_size = match (is_protected, iv_size) {
        (1, 0) => {
            let len = fields.u8()?;
            fields.take(usize::from(len))?;
            Some(len)
        }
        _ => None,
    };
    Ok(KeySettings {
        is_protected: is_protected == 1,
        kid,
        iv_size,
        constant_iv_size,
        pattern: (pattern != 0).then_some((pattern >> 4, pattern & 0x0f)),
    })
}

/// `None` for groups of another type.
fn key_groups(fields: &mut Fields<'_>) -> Result<Option<BoxDetail>, BoxError> {
    let (version, _) = fields.version_and_flags()?;
    if fields.four_cc()? != FourCc(*b"seig") {
        return Ok(None);
    }
    let len = if version == 1 { fields.u32()? } else { 0 };
    if version >= 2 {
        fields.u32()?;
    }
    let mut groups = Vec::new();
    for _ in 0..fields.u32()?.min(MAX_GROUPS) {
        // The length of an entry stands once for all, before each, or nowhere.
        let len = if version == 1 && len == 0 { fields.u32()? } else { len };
        groups.push(if len == 0 {
            key_settings(fields)?
        } else {
            let entry = fields.take(usize::try_from(len).map_err(|_| BoxError::Truncated)?)?;
            key_settings(&mut Fields::new(entry))?
        });
    }
    Ok(Some(BoxDetail::KeyGroups(groups)))
}
