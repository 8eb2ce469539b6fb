//! A protected track as its initialization segment describes it (CMAF, ISO/IEC 23000-19, 7.3;
//! ISO/IEC 23001-7, 4 and 8), and what a decoder gets in its place.
//!
//! Nothing moves: an `encv` entry takes back the type that `frma` names, and what describes the
//! protection becomes free space, so that every offset stays true.

use crate::groups::{self, Group, GroupError};
use crate::walk::{Placed, children, find};
use media::bmff::{BoxError, Fields};
use media::cenc::{Seig, Tenc};
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
    /// Groups of samples that do not read, or whose protection this CDM does not know.
    #[error("the track's sample groups are malformed: {0}")]
    Groups(&'static str),
}

impl From<GroupError> for InitError {
    fn from(GroupError(what): GroupError) -> Self {
        Self::Groups(what)
    }
}

/// What a track needs to be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// How its samples are encrypted.
    pub scheme: Scheme,
    /// The key that opens it, and the IVs; where keys change, of samples that are in no group.
    pub tenc: Tenc,
    /// How groups of its samples are protected.
    pub(crate) groups: Vec<Group>,
}

impl Protection {
    /// Whether samples of a scheme may be protected like this.
    pub(crate) fn is_known(scheme: Scheme, of: Seig) -> bool {
        match scheme {
            Scheme::Cenc => of.pattern.is_none() && of.constant_iv.is_none(),
            Scheme::Cbcs => matches!(of.pattern, None | Some((1, 9))) && of.constant_iv.is_some(),
        }
    }
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
            erase(&mut clear, pssh);
        }
        let default_size = default_size(init, &movie)?;
        let protection = protection(init, &movie, &mut clear)?;
        Ok(Self { protection, init_data, default_size, clear_init: clear })
    }

    /// The key that opens the track; where keys change, the one that names it.
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
    let (mut siblings, mut table) = (movie.to_vec(), vec![]);
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
        let inside = children(init, inner.start.saturating_add(skipped)..inner.end)?;
        table = std::mem::replace(&mut siblings, inside);
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
        erase(clear, sinf);
    }
    if let Some(protection) = &mut found {
        protection.groups = groups::described(init, &table, protection)?;
    }
    groups::of_type(init, &table).for_each(|one| erase(clear, one));
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
    if Protection::is_known(scheme, tenc.into()) {
        Ok((original.0, Protection { scheme, tenc, groups: vec![] }))
    } else {
        Err(InitError::Unsupported)
    }
}

/// Makes free space of a box, where it is: two initialization segments of which only the keys
/// differ are the same to a decoder.
fn erase(bytes: &mut [u8], placed: &Placed) {
    retype(bytes, placed, *b"free");
    if let Some(body) = bytes.get_mut(placed.body.clone()) {
        body.fill(0);
    }
}

/// Gives a box another type, where it is.
pub(crate) fn retype(bytes: &mut [u8], placed: &Placed, kind: [u8; 4]) {
    if let Some(field) = bytes.get_mut(placed.type_field()) {
        field.copy_from_slice(&kind);
    }
}
