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
pub use super::nal::Nal;

impl ParameterSets {
    /// Reads a NAL unit without its length field (7.4.1, table 7-1); parameter sets are
    /// remembered.
    ///
    /// Errors: [`CodecError`]; also for partitioned, auxiliary and layered slices, which carry
    /// picture content that would stay clear if they were passed over.
    pub fn read(&mut self, nal: &[u8]) -> Result<Nal, CodecError> {
        let header = *nal.first().ok_or(CodecError::Truncated("a NAL unit"))?;
        if header & 0x80 != 0 {
            return Err(CodecError::Value("forbidden_zero_bit"));
        }
        match header & 0x1f {
            1 | 5 => {
                return slice::header_len(nal, self).map(|header_len| Nal::Slice { header_len });
            }
            kind @ (2..=4 | 19..=21) => return Err(CodecError::UnitType("NAL units", kind)),
            7 => self.put_sequence(parameters::read_sps(nal)?),
            8 => self.put_picture(parameters::read_pps(nal)?),
            _ => {}
        }
        Ok(Nal::Other)
    }
}

#[cfg(test)]
mod tests;
