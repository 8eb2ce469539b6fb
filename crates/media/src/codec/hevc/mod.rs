//! HEVC (ITU-T H.265 08/2021): where in a coded picture its slice data begin.
//!
//! CENC leaves every slice segment header in the clear so that a player can parse it; so the
//! header's length must be known to the bit. Nothing else of the codec is read. What cannot be
//! read exactly is refused: a wrong length would leave picture content in the clear or take the
//! header from the player.

mod config;
mod parameters;
mod picture;
mod reference_set;
mod sequence;
mod slice;
mod usability;

pub use config::HevcConfig;
pub use parameters::ParameterSets;

use super::CodecError;
pub use super::nal::Nal;
use picture::Pps;
use sequence::Sps;

/// Bytes of a NAL unit's header.
const HEADER: usize = 2;

impl ParameterSets {
    /// Reads a NAL unit without its length field (7.4.2.2, table 7-1); parameter sets are
    /// remembered, those of enhancement layers excepted.
    ///
    /// Errors: [`CodecError`]; also for slices of reserved types and enhancement layers and for
    /// units that wrap others, which carry picture content that would stay clear if they were
    /// passed over.
    pub fn read(&mut self, nal: &[u8]) -> Result<Nal, CodecError> {
        let [first, second] =
            *nal.first_chunk::<HEADER>().ok_or(CodecError::Truncated("a NAL unit"))?;
        if first & 0x80 != 0 {
            return Err(CodecError::Value("forbidden_zero_bit"));
        }
        if second & 7 == 0 {
            return Err(CodecError::Value("nuh_temporal_id_plus1"));
        }
        let is_base_layer = first & 1 == 0 && second >> 3 == 0;
        match first >> 1 {
            0..=31 if !is_base_layer => {
                return Err(CodecError::Unsupported("an enhancement layer"));
            }
            kind @ (0..=9 | 16..=21) => {
                let header_len = slice::header_len(nal, kind, self)?;
                return Ok(Nal::Slice { header_len });
            }
            // Reserved slices; aggregators and extractors (ISO/IEC 14496-15:2022, A.4 and A.5);
            // the pictures of Dolby Vision's second layer.
            kind @ (10..=15 | 22..=31 | 48 | 49 | 63) => {
                return Err(CodecError::UnitType("NAL units", kind));
            }
            33 if is_base_layer => self.put_sequence(Sps::parse(nal)?),
            34 if is_base_layer => self.put_picture(Pps::parse(nal)?),
            _ => {}
        }
        Ok(Nal::Other)
    }
}

#[cfg(test)]
mod tests;
