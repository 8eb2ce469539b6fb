//! H.264 (ITU-T H.264 08/2021): where in a coded picture its slice data begin.
//!
//! CENC leaves every slice header in the clear so that a player can parse it; so the header's
//! length must be known to the bit. Nothing else of the codec is read.

mod config;
mod parameters;
mod slice;

pub use config::AvcConfig;
pub use parameters::ParameterSets;

use super::CodecError;

/// What kind of NAL unit it is, as far as encryption cares (7.4.1, table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nal {
    /// A coded slice; the number of bytes from the NAL header to the end of the slice header.
    Slice {
        /// Bytes to leave in the clear.
        header_len: usize,
    },
    /// Parameter set, SEI, delimiter, filler: no picture content, stays clear.
    Other,
}

impl Nal {
    /// Reads a NAL unit without its length field; parameter sets are remembered in `sets`.
    ///
    /// Errors: [`CodecError`]; also for partitioned, auxiliary and layered slices, which carry
    /// picture content that would stay clear if they were passed over.
    pub fn parse(nal: &[u8], sets: &mut ParameterSets) -> Result<Self, CodecError> {
        let header = *nal.first().ok_or(CodecError::Truncated("a NAL unit"))?;
        if header & 0x80 != 0 {
            return Err(CodecError::Value("forbidden_zero_bit"));
        }
        match header & 0x1f {
            1 | 5 => slice::header_len(nal, sets).map(|header_len| Self::Slice { header_len }),
            kind @ (2..=4 | 19..=21) => Err(CodecError::UnitType("NAL units", kind)),
            7 => sets.add_sps(nal).map(|()| Self::Other),
            8 => sets.add_pps(nal).map(|()| Self::Other),
            _ => Ok(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests;
