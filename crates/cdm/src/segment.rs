//! Media segments: every protected sample is decrypted where it lies (ISO/IEC 23001-7, 7 and 9;
//! ISO/IEC 14496-12, 8.8).

use crate::groups::{self, Group, GroupError, Run};
use crate::sample_infos::{InfoSizes, Infos};
use crate::track::{Protection, Track, retype};
use crate::walk::{Placed, children, find};
use keys::ContentKey;
use media::bmff::{BoxError, Fields};
use media::cenc::{Seig, TrackCipher};
use media::pssh::MAX_BOXES;
use model::{KeyId, Scheme};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Longest segment, bytes.
pub const MAX_SEGMENT_BYTES: usize = 256 << 20;
/// Most samples in one fragment.
const MAX_SAMPLES: usize = 1 << 16;

/// Why a segment is not decrypted. What was given is then not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Longer than [`MAX_SEGMENT_BYTES`], or with more samples than 65 536 in a fragment.
    #[error("the segment is too long")]
    TooLarge,
    /// A box does not fit where it stands, or says what cannot be.
    #[error("the segment is malformed: {0}")]
    Malformed(&'static str),
    /// Samples are under a key that is not given.
    #[error("there is no key for these samples")]
    NoKey,
}

impl From<BoxError> for SegmentError {
    fn from(_: BoxError) -> Self {
        Self::Malformed("a box does not fit where it stands")
    }
}

impl From<GroupError> for SegmentError {
    fn from(GroupError(what): GroupError) -> Self {
        Self::Malformed(what)
    }
}

/// Decrypts the samples of a segment in place and takes their descriptions out.
///
/// Each sample is opened with the key that its group names, or its track where it is in none. A
/// fragment that has neither groups nor `senc` is in the clear (a clear lead); one whose samples
/// are protected and whose `senc` does not fit is refused, and so is a key that `keys` does not
/// have.
///
/// Errors: [`SegmentError`].
pub(crate) fn decrypt(
    track: &Track,
    keys: &BTreeMap<KeyId, &ContentKey>,
    segment: &mut [u8],
) -> Result<(), SegmentError> {
    let Some(protection) = &track.protection else { return Ok(()) };
    let mut ciphers = Ciphers { scheme: protection.scheme, keys, made: None };
    for moof in moofs(segment)? {
        let inner = children(segment, moof.body.clone())?;
        for traf in inner.iter().filter(|one| one.kind.0 == *b"traf") {
            let fragment = Fragment::read((track, protection), segment, &moof, traf)?;
            fragment.decrypt(protection, &mut ciphers, segment)?;
        }
        // Its boxes were for the license server.
        let pssh = inner.iter().filter(|one| one.kind.0 == *b"pssh");
        pssh.for_each(|one| retype(segment, one, *b"free"));
    }
    Ok(())
}

/// The keys that the samples of a segment are under, each once, in order of their first sample;
/// of a fragment in the clear, that of its track.
///
/// Errors: [`SegmentError`].
pub fn kids(track: &Track, segment: &[u8]) -> Result<Vec<KeyId>, SegmentError> {
    let Some(protection) = &track.protection else { return Ok(vec![]) };
    let (mut found, mut seen) = (vec![], BTreeSet::new());
    for moof in moofs(segment)? {
        for traf in children(segment, moof.body.clone())? {
            if traf.kind.0 == *b"traf" {
                let fragment = Fragment::read((track, protection), segment, &moof, &traf)?;
                let kids = fragment.kids(protection);
                found.extend(kids.into_iter().filter(|kid| seen.insert(*kid)));
            }
        }
    }
    Ok(found)
}

/// The boxes that start a DRM system in a segment, as they stand in its fragments (EME's `cenc`
/// initialization data), each once; of what is no segment, none.
#[must_use]
pub fn init_data(segment: &[u8]) -> Vec<u8> {
    let mut found: Vec<&[u8]> = vec![];
    for moof in moofs(segment).unwrap_or_default() {
        for one in children(segment, moof.body).unwrap_or_default() {
            let whole = segment.get(one.whole.clone()).unwrap_or_default();
            let is_new = one.kind.0 == *b"pssh" && !found.contains(&whole);
            if is_new && found.len() < MAX_BOXES {
                found.push(whole);
            }
        }
    }
    found.concat()
}

fn moofs(segment: &[u8]) -> Result<Vec<Placed>, SegmentError> {
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(SegmentError::TooLarge);
    }
    let top = children(segment, 0..segment.len())?;
    Ok(top.into_iter().filter(|one| one.kind.0 == *b"moof").collect())
}

/// The cipher of the sample before, which is almost always that of the next one.
struct Ciphers<'a> {
    scheme: Scheme,
    keys: &'a BTreeMap<KeyId, &'a ContentKey>,
    made: Option<(Seig, TrackCipher)>,
}

impl Ciphers<'_> {
    fn of(&mut self, seig: Seig) -> Result<&mut TrackCipher, SegmentError> {
        let made = match self.made.take().filter(|(made, _)| *made == seig) {
            Some(made) => made,
            None => {
                let key = self.keys.get(&seig.kid).ok_or(SegmentError::NoKey)?;
                let iv = seig.constant_iv.unwrap_or_default();
                (seig, TrackCipher::new(key, self.scheme, iv))
            }
        };
        Ok(&mut self.made.insert(made).1)
    }
}

/// One track's part of a movie fragment.
struct Fragment {
    samples: Vec<Range<usize>>,
    /// How many samples are in which group; those behind are in none.
    runs: Vec<Run>,
    /// Where each sample's information is; none: the samples are in the clear.
    senc: Option<Range<usize>>,
    /// How long it is of each sample, where that is said.
    sizes: Option<InfoSizes>,
    /// Boxes that describe the protection.
    described: Vec<Placed>,
}

impl Fragment {
    fn read(
        (track, protection): (&Track, &Protection),
        segment: &[u8],
        moof: &Placed,
        traf: &Placed,
    ) -> Result<Self, SegmentError> {
        let inner = children(segment, traf.body.clone())?;
        let body = |placed: &Placed| segment.get(placed.body.clone()).unwrap_or_default();
        let tfhd = find(&inner, b"tfhd").ok_or(SegmentError::Malformed("no tfhd"))?;
        let default_size = default_size(body(tfhd))?.unwrap_or(track.default_size);
        let mut samples = Vec::new();
        for trun in inner.iter().filter(|one| one.kind.0 == *b"trun") {
            read_run(body(trun), moof.whole.start, default_size, &mut samples)?;
        }
        if samples.iter().any(|sample| sample.end > segment.len()) {
            return Err(SegmentError::Malformed("a sample reaches beyond the segment"));
        }
        let runs = groups::runs(segment, &inner, protection)?;
        let mapped = runs.iter().fold(0_usize, |sum, (count, _)| sum.saturating_add(*count));
        if mapped > samples.len() {
            return Err(SegmentError::Malformed("sample groups of more samples than there are"));
        }
        let senc = find(&inner, b"senc").map(|senc| senc.body.clone());
        if senc.is_none() && runs.iter().any(|(_, group)| group.is_some()) {
            return Err(SegmentError::Malformed("samples of a protected group without senc"));
        }
        let sizes = find(&inner, b"saiz").map(|saiz| InfoSizes::read(body(saiz))).transpose()?;
        let mut described: Vec<Placed> = groups::of_type(segment, &inner).cloned().collect();
        let is_description =
            |one: &Placed| [b"senc", b"saiz", b"saio"].iter().any(|kind| one.kind.0 == **kind);
        described.extend(inner.into_iter().filter(is_description));
        Ok(Self { samples, runs, senc, sizes, described })
    }

    /// The group of each sample.
    fn groups(runs: Vec<Run>, protection: &Protection) -> impl Iterator<Item = Group> {
        let mapped = runs.into_iter().flat_map(|(count, group)| std::iter::repeat_n(group, count));
        mapped.chain(std::iter::repeat(Some(protection.tenc.into())))
    }

    fn kids(self, protection: &Protection) -> Vec<KeyId> {
        let count = self.samples.len();
        let mapped = self.runs.iter().fold(0_usize, |sum, (count, _)| sum.saturating_add(*count));
        let rest = (mapped < count).then(|| protection.tenc.into());
        let groups = self.runs.into_iter().filter(|(count, _)| *count > 0);
        groups.filter_map(|(_, group)| group).chain(rest).map(|seig| seig.kid).collect()
    }

    fn decrypt(
        self,
        protection: &Protection,
        ciphers: &mut Ciphers<'_>,
        segment: &mut [u8],
    ) -> Result<(), SegmentError> {
        let Self { samples, runs, senc, sizes, described } = self;
        if let Some(senc) = senc {
            // Copied out: the samples lie in the same buffer and are about to change.
            let senc = segment.get(senc).unwrap_or_default().to_vec();
            let mut infos = Infos::read(&senc, samples.len())?;
            let groups = Self::groups(runs, protection);
            for (number, (sample, group)) in samples.into_iter().zip(groups).enumerate() {
                let Some(seig) = group else {
                    let size = sizes.as_ref().map(|sizes| sizes.of(number));
                    infos.pass(size)?;
                    continue;
                };
                let info = infos.next(seig.iv_size)?;
                let bytes = segment.get_mut(sample).ok_or(SegmentError::Malformed("a sample"))?;
                ciphers
                    .of(seig)?
                    .decrypt(info.iv, info.subsamples, bytes)
                    .map_err(|_| SegmentError::Malformed("subsamples do not cover their sample"))?;
            }
            infos.ended()?;
        }
        described.iter().for_each(|one| retype(segment, one, *b"free"));
        Ok(())
    }
}

/// The size that `tfhd` gives to samples without one of their own (8.8.7).
fn default_size(tfhd: &[u8]) -> Result<Option<u32>, SegmentError> {
    let mut fields = Fields::new(tfhd);
    let (_, flags) = fields.version_and_flags()?;
    fields.u32()?;
    if flags & 0x1 != 0 {
        return Err(SegmentError::Malformed("CMAF counts from its moof"));
    }
    for flag in [0x2, 0x8] {
        if flags & flag != 0 {
            fields.u32()?;
        }
    }
    Ok(if flags & 0x10 != 0 { Some(fields.u32()?) } else { None })
}

/// Appends the samples of a `trun` (8.8.8), whose data counts from the start of its `moof`.
fn read_run(
    trun: &[u8],
    moof: usize,
    default_size: u32,
    samples: &mut Vec<Range<usize>>,
) -> Result<(), SegmentError> {
    const TOO_FAR: SegmentError = SegmentError::Malformed("a sample lies outside");
    let mut fields = Fields::new(trun);
    let (_, flags) = fields.version_and_flags()?;
    let count = fields.u32()?;
    let most = MAX_SAMPLES.saturating_sub(samples.len());
    if usize::try_from(count).map_or(true, |count| count > most) {
        return Err(SegmentError::TooLarge);
    }
    let mut at = match (flags & 0x1, samples.last()) {
        (0, Some(before)) => before.end,
        (0, None) => return Err(SegmentError::Malformed("a run says not where it is")),
        _ => {
            let offset = isize::try_from(fields.i32()?).map_err(|_| TOO_FAR)?;
            moof.checked_add_signed(offset).ok_or(TOO_FAR)?
        }
    };
    if flags & 0x4 != 0 {
        fields.u32()?;
    }
    for _ in 0..count {
        let (mut size, mut told) = (default_size, [0x100, 0x200, 0x400, 0x800].into_iter());
        // Duration, size, flags, composition: each where its flag is set.
        told.try_for_each(|flag| {
            if flags & flag != 0 {
                let value = fields.u32()?;
                size = if flag == 0x200 { value } else { size };
            }
            Ok::<(), BoxError>(())
        })?;
        let size = usize::try_from(size).map_err(|_| TOO_FAR)?;
        let end = at.checked_add(size).ok_or(TOO_FAR)?;
        samples.push(at..end);
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
