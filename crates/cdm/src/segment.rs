//! Media segments: every protected sample is decrypted where it lies (ISO/IEC 23001-7, 7 and 9;
//! ISO/IEC 14496-12, 8.8).

use crate::track::{Protection, Track, retype};
use crate::walk::{Placed, children, find};
use keys::ContentKey;
use media::bmff::{BoxError, Fields};
use media::cenc::{SampleInfo, Subsample, TrackCipher};
use std::ops::Range;

/// Longest segment, bytes.
pub const MAX_SEGMENT_BYTES: usize = 256 << 20;
/// Most samples in one fragment.
const MAX_SAMPLES: u32 = 1 << 16;

/// Why a segment is not decrypted. What was given is then not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Longer than [`MAX_SEGMENT_BYTES`], or with more samples than 65 536 in a fragment.
    #[error("the segment is too long")]
    TooLarge,
    /// A box does not fit where it stands, or says what cannot be.
    #[error("the segment is malformed: {0}")]
    Malformed(&'static str),
}

impl From<BoxError> for SegmentError {
    fn from(_: BoxError) -> Self {
        Self::Malformed("a box does not fit where it stands")
    }
}

/// Decrypts the samples of a segment in place and takes their descriptions out.
///
/// A fragment without `senc` is in the clear (a clear lead); one whose track is protected and
/// whose `senc` does not fit is refused.
///
/// Errors: [`SegmentError`].
pub fn decrypt(track: &Track, key: &ContentKey, segment: &mut [u8]) -> Result<(), SegmentError> {
    let Some(protection) = &track.protection else { return Ok(()) };
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(SegmentError::TooLarge);
    }
    let constant_iv = protection.tenc.constant_iv.unwrap_or_default();
    let mut cipher = TrackCipher::new(key, protection.scheme, constant_iv);
    let top = children(segment, 0..segment.len())?;
    for moof in top.iter().filter(|one| one.kind.0 == *b"moof") {
        for traf in children(segment, moof.body.clone())? {
            if traf.kind.0 == *b"traf" {
                let fragment = Fragment::read(track, segment, moof, &traf)?;
                fragment.decrypt(protection, &mut cipher, segment)?;
            }
        }
    }
    Ok(())
}

/// One track's part of a movie fragment.
struct Fragment {
    samples: Vec<Range<usize>>,
    /// Where each sample's information is; none: the samples are in the clear.
    senc: Option<Range<usize>>,
    /// Boxes that describe the protection.
    described: Vec<Placed>,
}

impl Fragment {
    fn read(
        track: &Track,
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
        let senc = find(&inner, b"senc").map(|senc| senc.body.clone());
        let is_description =
            |one: &Placed| [b"senc", b"saiz", b"saio"].iter().any(|kind| one.kind.0 == **kind);
        let described = inner.into_iter().filter(is_description).collect();
        Ok(Self { samples, senc, described })
    }

    fn decrypt(
        self,
        protection: &Protection,
        cipher: &mut TrackCipher,
        segment: &mut [u8],
    ) -> Result<(), SegmentError> {
        let Some(senc) = self.senc else { return Ok(()) };
        // Copied out: the samples lie in the same buffer and are about to change.
        let senc = segment.get(senc).unwrap_or_default().to_vec();
        let mut fields = Fields::new(&senc);
        let (_, flags) = fields.version_and_flags()?;
        if usize::try_from(fields.u32()?) != Ok(self.samples.len()) {
            return Err(SegmentError::Malformed("senc is of other samples"));
        }
        let has_subsamples = flags & 2 != 0;
        let mut subsamples: Vec<Subsample> = Vec::new();
        for sample in self.samples {
            let entry = take_entry(&mut fields, protection.tenc.iv_size, has_subsamples)?;
            let info =
                SampleInfo::read(entry, protection.tenc.iv_size, has_subsamples, &mut subsamples)
                    .map_err(|_| SegmentError::Malformed("senc does not read"))?;
            let (iv, map) = (info.iv, info.subsamples);
            let bytes = segment.get_mut(sample).ok_or(SegmentError::Malformed("a sample"))?;
            cipher
                .decrypt(iv, map, bytes)
                .map_err(|_| SegmentError::Malformed("subsamples do not cover their sample"))?;
        }
        if !fields.rest().is_empty() {
            return Err(SegmentError::Malformed("senc goes on behind its samples"));
        }
        self.described.iter().for_each(|one| retype(segment, one, *b"free"));
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
    if count > MAX_SAMPLES {
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

/// One sample's entry of `senc` (ISO/IEC 23001-7, 7.2).
fn take_entry<'a>(
    fields: &mut Fields<'a>,
    iv_size: u8,
    has_subsamples: bool,
) -> Result<&'a [u8], SegmentError> {
    let mut length = usize::from(iv_size);
    if has_subsamples {
        let mut ahead = fields.clone();
        ahead.take(length)?;
        length = usize::from(ahead.u16()?).saturating_mul(6).saturating_add(length + 2);
    }
    Ok(fields.take(length)?)
}

#[cfg(test)]
mod tests;
