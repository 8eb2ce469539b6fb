//! `hvcC`: the decoder configuration (ISO/IEC 14496-15:2022, 8.3.3.1) and what the codecs string
//! says of it (E.3).

use super::{Nal, ParameterSets};
use crate::bmff::{Fields, FourCc};
use crate::codec::Run;
use crate::codec::nal::each_nal;
use crate::input::{Malformed, What};
use std::fmt::Write as _;

/// `hvcC` as far as it is needed, and the parameter sets that the samples add to it.
#[derive(Clone, Debug)]
pub struct HevcConfig {
    /// Profile, tier and level.
    pub profile: Profile,
    /// Bytes of a NAL unit's length field: 1, 2 or 4.
    pub length_size: usize,
    /// Parameter sets met so far.
    pub sets: ParameterSets,
}

/// Profile, tier and level of the whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `general_profile_space`, `general_tier_flag`, `general_profile_idc`.
    pub space_tier_profile: u8,
    /// `general_profile_compatibility_flag`, the first in the highest bit.
    pub compatibility: u32,
    /// From `general_progressive_source_flag` on.
    pub constraints: [u8; 6],
    /// `general_level_idc`: 30 times the level.
    pub level: u8,
}

const WHAT: Malformed = Malformed::Value("the HEVC decoder configuration");

impl HevcConfig {
    /// Reads the box body.
    ///
    /// Errors: [`Malformed::Value`], [`Malformed::Codec`], a field that is cut off.
    /// Limits: as many NAL units as the body has room for.
    pub fn parse(body: &[u8]) -> Result<Self, What> {
        let mut fields = Fields::new(body);
        if fields.u8()? != 1 {
            return Err(WHAT.into());
        }
        let profile = Profile {
            space_tier_profile: fields.u8()?,
            compatibility: fields.u32()?,
            constraints: fields.array()?,
            level: fields.u8()?,
        };
        // Segmentation, parallelism, chroma format, bit depths, frame rate.
        fields.take(8)?;
        let length_size = usize::from(fields.u8()? & 3) + 1;
        if length_size == 3 {
            return Err(WHAT.into());
        }
        let mut sets = ParameterSets::default();
        for _ in 0..fields.u8()? {
            let kind = fields.u8()? & 0x3f;
            for _ in 0..fields.u16()? {
                let len = usize::from(fields.u16()?);
                let nal = fields.take(len)?;
                let is_of_kind = nal.first().is_some_and(|first| first >> 1 & 0x3f == kind);
                if !is_of_kind || sets.read(nal)? != Nal::Other {
                    return Err(WHAT.into());
                }
            }
        }
        Ok(Self { profile, length_size, sets })
    }

    /// Splits a sample; parameter sets inside it are remembered.
    pub(in crate::codec) fn runs(
        &mut self,
        sample: &[u8],
        runs: &mut Vec<Run>,
    ) -> Result<(), What> {
        let Self { length_size, sets, .. } = self;
        each_nal(sample, *length_size, runs, |nal| sets.read(nal))
    }
}

impl Profile {
    /// The codecs string of a track with this sample entry.
    #[must_use]
    pub fn codecs(&self, entry: FourCc) -> String {
        let space = ["", "A", "B", "C"].into_iter().nth(usize::from(self.space_tier_profile >> 6));
        let tier = if self.space_tier_profile & 0x20 == 0 { 'L' } else { 'H' };
        let mut codecs = format!(
            "{entry}.{}{}.{:X}.{tier}{}",
            space.unwrap_or_default(),
            self.space_tier_profile & 0x1f,
            self.compatibility.reverse_bits(),
            self.level
        );
        let used = self.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        for byte in self.constraints.iter().take(used) {
            // Writing to a string cannot fail.
            let _ = write!(codecs, ".{byte:X}");
        }
        codecs
    }
}
