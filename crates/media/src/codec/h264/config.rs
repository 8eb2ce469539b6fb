//! `avcC`: the decoder configuration (ISO/IEC 14496-15:2022, 5.3.3.1).

use super::ParameterSets;
use super::parameters::{read_pps, read_sps};
use crate::bmff::Fields;
use crate::codec::Run;
use crate::codec::nal::each_nal;
use crate::input::{Malformed, What};

/// `avcC` as far as it is needed, and the parameter sets that the samples add to it.
#[derive(Clone, Debug)]
pub struct AvcConfig {
    /// Profile, compatibility and level, as they stand in the codecs string.
    pub profile: [u8; 3],
    /// Bytes of a NAL unit's length field: 1, 2 or 4.
    pub length_size: usize,
    /// Parameter sets met so far.
    pub sets: ParameterSets,
}

impl AvcConfig {
    /// Reads the box body.
    ///
    /// Errors: [`Malformed::Value`], [`Malformed::Codec`], a field that is cut off.
    pub fn parse(body: &[u8]) -> Result<Self, What> {
        let mut fields = Fields::new(body);
        let [version, profile @ ..] = fields.array::<4>()?;
        let length_size = usize::from(fields.u8()? & 3) + 1;
        if version != 1 || length_size == 3 {
            return Err(Malformed::Value("the AVC decoder configuration").into());
        }
        let mut sets = ParameterSets::default();
        for _ in 0..fields.u8()? & 0x1f {
            let len = usize::from(fields.u16()?);
            sets.put_sequence(read_sps(fields.take(len)?)?);
        }
        for _ in 0..fields.u8()? {
            let len = usize::from(fields.u16()?);
            sets.put_picture(read_pps(fields.take(len)?)?);
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
