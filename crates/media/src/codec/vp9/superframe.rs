//! Superframes (VP9 Bitstream & Decoding Process Specification, annex B): frames that are not
//! shown travel with one that is, and an index behind them tells their sizes.

use crate::codec::CodecError;

/// Frames in a superframe: the count has 3 bits.
pub(super) const MAX_FRAMES: usize = 8;

/// A sample split into its frames.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Superframe<'a> {
    frames: [&'a [u8]; MAX_FRAMES],
    count: usize,
    /// Bytes of the index; 0 without one.
    pub index_len: usize,
}

impl<'a> Superframe<'a> {
    /// Splits a sample; without an index it is one frame.
    ///
    /// Shape of the index: a marker byte, the sizes in little-endian order, the marker again.
    /// Errors: unless frames and index fill the sample.
    pub fn split(sample: &'a [u8]) -> Result<Self, CodecError> {
        let mut split = Self { frames: [&[]; MAX_FRAMES], count: 1, index_len: 0 };
        let marker = *sample.last().ok_or(CodecError::Truncated("a superframe"))?;
        let size_bytes = usize::from(marker >> 3 & 3) + 1;
        let count = usize::from(marker & 7) + 1;
        let index_len = 2 + size_bytes * count;
        let index_at = sample.len().checked_sub(index_len);
        let is_index = |at: &usize| marker & 0xe0 == 0xc0 && sample.get(*at) == Some(&marker);
        let Some(index_at) = index_at.filter(is_index) else {
            split.frames = [sample, &[], &[], &[], &[], &[], &[], &[]];
            return Ok(split);
        };
        let (mut rest, index) = sample.split_at(index_at);
        let sizes = index.get(1..index_len - 1).unwrap_or_default().chunks_exact(size_bytes);
        for (frame, size) in split.frames.iter_mut().zip(sizes) {
            let size = size.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let lies = CodecError::Value("a frame size of a superframe");
            if size == 0 {
                return Err(lies);
            }
            (*frame, rest) = rest.split_at_checked(size).ok_or(lies)?;
        }
        if !rest.is_empty() {
            return Err(CodecError::Value("the frame sizes of a superframe"));
        }
        (split.count, split.index_len) = (count, index_len);
        Ok(split)
    }

    /// The frames in decoding order.
    pub fn frames(&self) -> impl Iterator<Item = &'a [u8]> {
        self.frames.into_iter().take(self.count)
    }
}
