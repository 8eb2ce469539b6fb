//! A protected track as its initialization segment describes it (CMAF, ISO/IEC 23000-19, 7.3;
//! ISO/IEC 23001-7, 4 and 8), and what a decoder gets in its place.
//!
//! Nothing moves: an `encv` entry takes back the type that `frma` names, and what describes the
//! protection becomes free space, so that every offset stays true.

use crate::walk::{Placed, children, find};
use media::bmff::{BoxError, Fields};
use media::cenc::Tenc;
use model::{KeyId, Scheme};

/// Longest initialization segment, bytes.
pub const MAX_INIT_BYTES: usize = 1 << 20;
/// Fields of a picture's entry before its boxes (ISO/IEC 14496-12, 12.1.3).
const PICTURE_FIELDS: usize = 78;
/// Fields of a sound's entry before its boxes (12.2.3).
const SOUND_FIELDS: usize = 28;

/// Why an initialization segment is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Longer than [`MAX_INIT_BYTES`].
    #[error("the initialization segment is too long")]
    TooLarge,
    /// A box does not fit where it stands.
    #[error("the initialization segment is malformed: {0}")]
    Malformed(#[from] BoxError),
    /// A box that each track has is missing.
    #[error("the initialization segment has no {0}")]
    Missing(&'static str),
    /// A scheme, a pattern or an IV that this CDM does not decrypt.
    #[error("the track's protection is not supported")]
    Unsupported,
}

/// What a track needs to be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// How its samples are encrypted.
    pub scheme: Scheme,
    /// The key that opens it, and the IVs.
    pub tenc: Tenc,
}

/// A track that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// None: the track is in the clear.
    pub protection: Option<Protection>,
    /// The boxes that start a DRM system, as they stand one behind the other (EME's `cenc`
    /// initialization data).
    pub init_data: Vec<u8>,
    /// Size of a sample that no fragment tells (`trex`).
    pub(crate) default_size: u32,
    /// The initialization segment for the decoder: same length, no protection.
    pub clear_init: Vec<u8>,
}

impl Track {
    /// Reads an initialization segment of one track.
    ///
    /// Errors: [`InitError`].
    pub fn parse(init: &[u8]) -> Result<Self, InitError> {
        if init.len() > MAX_INIT_BYTES {
            return Err(InitError::TooLarge);
        }
        let mut clear = init.to_vec();
        let top = children(init, 0..init.len())?;
        let moov = find(&top, b"moov").ok_or(InitError::Missing("moov"))?;
        let movie = children(init, moov.body.clone())?;
        let mut init_data = Vec::new();
        for pssh in movie.iter().filter(|child| child.kind.0 == *b"pssh") {
            init_data.extend(init.get(pssh.whole.clone()).unwrap_or_default());
            retype(&mut clear, pssh, *b"free");
        }
        let default_size = default_size(init, &movie)?;
        let protection = protection(init, &movie, &mut clear)?;
        Ok(Self { protection, init_data, default_size, clear_init: clear })
    }

    /// The key that opens the track.
    #[must_use]
    pub fn kid(&self) -> Option<KeyId> {
        self.protection.as_ref().map(|protection| protection.tenc.kid)
    }
}

/// `trex`, the size field: what a fragment may leave out.
fn default_size(init: &[u8], movie: &[Placed]) -> Result<u32, InitError> {
    let Some(mvex) = find(movie, b"mvex") else { return Err(InitError::Missing("mvex")) };
    let extends = children(init, mvex.body.clone())?;
    let trex = find(&extends, b"trex").ok_or(InitError::Missing("trex"))?;
    let mut fields = Fields::new(init.get(trex.body.clone()).unwrap_or_default());
    // Version and flags, track, description, duration.
    fields.take(16)?;
    Ok(fields.u32()?)
}

fn protection(
    init: &[u8],
    movie: &[Placed],
    clear: &mut [u8],
) -> Result<Option<Protection>, InitError> {
    let mut siblings = movie.to_vec();
    for (kind, name) in [
        (b"trak", "trak"),
        (b"mdia", "mdia"),
        (b"minf", "minf"),
        (b"stbl", "stbl"),
        (b"stsd", "stsd"),
    ] {
        let inner = find(&siblings, kind).ok_or(InitError::Missing(name))?.body.clone();
        // `stsd` is a full box with a count before its entries.
        let skipped = if kind == b"stsd" { 8 } else { 0 };
        siblings = children(init, inner.start.saturating_add(skipped)..inner.end)?;
    }
    let mut found = None;
    for entry in &siblings {
        let fields = match &entry.kind.0 {
            b"encv" => PICTURE_FIELDS,
            b"enca" => SOUND_FIELDS,
            _ => continue,
        };
        let inner = entry.body.start.saturating_add(fields)..entry.body.end;
        let described = children(init, inner)?;
        let sinf = find(&described, b"sinf").ok_or(InitError::Missing("sinf"))?;
        let (original, own) = scheme_information(init, sinf)?;
        if found.replace(own).is_some() {
            return Err(InitError::Unsupported);
        }
        retype(clear, entry, original);
        retype(clear, sinf, *b"free");
    }
    Ok(found)
}

/// The type that the entry had before, and how it is protected.
fn scheme_information(init: &[u8], sinf: &Placed) -> Result<([u8; 4], Protection), InitError> {
    let inner = children(init, sinf.body.clone())?;
    let fields = |kind, name| {
        let child = find(&inner, kind).ok_or(InitError::Missing(name))?;
        Ok::<_, InitError>(Fields::new(init.get(child.body.clone()).unwrap_or_default()))
    };
    let original = fields(b"frma", "frma")?.four_cc()?;
    let mut schm = fields(b"schm", "schm")?;
    schm.version_and_flags()?;
    let scheme = match &schm.four_cc()?.0 {
        b"cenc" => Scheme::Cenc,
        b"cbcs" => Scheme::Cbcs,
        _ => return Err(InitError::Unsupported),
    };
    let schi = find(&inner, b"schi").ok_or(InitError::Missing("schi"))?;
    let settings = children(init, schi.body.clone())?;
    let tenc = find(&settings, b"tenc").ok_or(InitError::Missing("tenc"))?;
    let tenc = Tenc::parse(init.get(tenc.body.clone()).unwrap_or_default())?;
    let is_known = match scheme {
        Scheme::Cenc => tenc.pattern.is_none() && tenc.constant_iv.is_none(),
        Scheme::Cbcs => matches!(tenc.pattern, None | Some((1, 9))) && tenc.constant_iv.is_some(),
    };
    if is_known {
        Ok((original.0, Protection { scheme, tenc }))
    } else {
        Err(InitError::Unsupported)
    }
}

/// Gives a box another type, where it is.
pub(crate) fn retype(bytes: &mut [u8], placed: &Placed, kind: [u8; 4]) {
    if let Some(field) = bytes.get_mut(placed.type_field()) {
        field.copy_from_slice(&kind);
    }
}
