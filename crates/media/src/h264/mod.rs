//! H.264 (ITU-T H.264 08/2021): where in a coded picture its slice data begin.
//!
//! CENC leaves every slice header in the clear so that a player can parse it; so the header's
//! length must be known to the bit. Nothing else of the codec is read.

mod bits;
mod parameters;
mod slice;

pub use parameters::ParameterSets;

/// Why a NAL unit cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum H264Error {
    /// The NAL unit ends inside its header.
    #[error("a NAL unit ends inside its header")]
    Truncated,
    /// A syntax element has a value that the standard forbids.
    #[error("{0} has a value that H.264 forbids")]
    Value(&'static str),
    /// A slice names a parameter set that was not sent.
    #[error("a slice names {0} {1}, which the stream does not have")]
    MissingSet(&'static str, u32),
    /// A NAL unit type whose payload this parser cannot tell apart.
    #[error("NAL units of type {0} are not supported")]
    NalType(u8),
}

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
    /// Errors: [`H264Error`]; also for partitioned, auxiliary and layered slices, which carry
    /// picture content that would stay clear if they were passed over.
    pub fn parse(nal: &[u8], sets: &mut ParameterSets) -> Result<Self, H264Error> {
        let header = *nal.first().ok_or(H264Error::Truncated)?;
        if header & 0x80 != 0 {
            return Err(H264Error::Value("forbidden_zero_bit"));
        }
        match header & 0x1f {
            1 | 5 => slice::header_len(nal, sets).map(|header_len| Self::Slice { header_len }),
            kind @ (2..=4 | 19..=21) => Err(H264Error::NalType(kind)),
            7 => sets.add_sps(nal).map(|()| Self::Other),
            8 => sets.add_pps(nal).map(|()| Self::Other),
            _ => Ok(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests;
