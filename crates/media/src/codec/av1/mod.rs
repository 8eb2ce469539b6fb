//! AV1 (AV1 Bitstream & Decoding Process Specification, version 1.0.0 with errata 1): where in a
//! temporal unit its tiles lie.
//!
//! Protected is what `decode_tile` reads and nothing else (AV1 Codec ISO Media File Format
//! Binding, "Subsample Encryption"): OBU headers, frame headers, tile group headers and the tiles'
//! size fields are clear. So every frame header is read to its last bit, and what later headers
//! depend on is remembered.

mod film_grain;
mod frame;
mod obu;
mod picture;
mod references;
mod sequence;
mod tiles;

use super::{CodecError, Run};
use crate::bmff::Fields;
use crate::codec::header_bits::HeaderBits;
use crate::input::{Malformed, Unsupported, What};
use frame::{CodedFrame, FrameHeader, Layer};
use obu::Obu;
use references::References;
use sequence::{Color, Sequence};

/// `obu_type` (6.2.2).
mod kind {
    pub const SEQUENCE_HEADER: u8 = 1;
    pub const TEMPORAL_DELIMITER: u8 = 2;
    pub const FRAME_HEADER: u8 = 3;
    pub const TILE_GROUP: u8 = 4;
    pub const FRAME: u8 = 6;
    pub const REDUNDANT_FRAME_HEADER: u8 = 7;
    pub const TILE_LIST: u8 = 8;
}

/// `av1C` as far as it is needed, and what the samples add to it.
#[derive(Clone, Debug)]
pub struct Av1Config {
    /// `seq_profile`.
    pub profile: u8,
    /// `seq_level_idx_0`.
    pub level: u8,
    /// `seq_tier_0`.
    pub is_high_tier: bool,
    /// Bits of a color sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// The color that the configuration tells, with the chroma format of its fixed fields.
    color: Color,
    decoder: Decoder,
}

/// What a decoder would know of the stream.
#[derive(Clone, Debug, Default)]
struct Decoder {
    sequence: Option<Sequence>,
    /// The size that no frame may exceed.
    max_size: (u32, u32),
    references: References,
    /// The frame whose tiles are being read.
    frame: Option<CodedFrame>,
    /// Tiles of it that were read.
    tiles_read: u32,
}

impl Av1Config {
    /// Reads the box body; no frame may be larger than `max_size`.
    ///
    /// Shape: four bytes, then OBUs, of which the sequence header is read where it is there.
    /// Errors: [`Malformed::Value`], [`Malformed::Codec`], a field that is cut off.
    pub fn parse(body: &[u8], max_size: (u32, u32)) -> Result<Self, What> {
        let mut fields = Fields::new(body);
        let [version, profile_and_level, format, _delay] = fields.array::<4>()?;
        let bit = |at: u8| format >> at & 1 == 1;
        // Marker and version 1; twelve bits are high depth, too.
        if version != 0x81 || bit(5) && !bit(6) {
            return Err(Malformed::Value("the AV1 decoder configuration").into());
        }
        let mut config = Self {
            profile: profile_and_level >> 5,
            level: profile_and_level & 0x1f,
            is_high_tier: bit(7),
            bit_depth: match (bit(6), bit(5)) {
                (_, true) => 12,
                (true, false) => 10,
                _ => 8,
            },
            color: Color {
                is_monochrome: bit(4),
                description: [2; 3],
                is_full_range: false,
                is_subsampled: (bit(3), bit(2)),
                sample_position: format & 3,
                has_separate_uv_delta_q: false,
            },
            decoder: Decoder { max_size, ..Decoder::default() },
        };
        let mut runs = Vec::new();
        config.decoder.unit(fields.rest(), &mut runs)?;
        if runs.iter().any(|run| run.content > 0) {
            return Err(Malformed::Value("a picture in the AV1 decoder configuration").into());
        }
        if let Some(sequence) = &config.decoder.sequence {
            let Color { description, is_full_range, .. } = sequence.color;
            config.color = Color { description, is_full_range, ..config.color };
        }
        Ok(config)
    }

    /// The codecs string ("Codecs Parameter String" of the binding); its optional tail where
    /// chroma or color are not what its absence stands for. Color that the stream does not tell
    /// counts as that.
    #[must_use]
    pub fn codecs(&self) -> String {
        let tier = if self.is_high_tier { 'H' } else { 'M' };
        let Self { profile, level, bit_depth, color, .. } = self;
        let mut text = format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}");
        let is_usual_color = matches!(color.description, [1, 1, 1] | [2, 2, 2]);
        let is_usual_chroma = color.is_subsampled == (true, true) && color.sample_position == 0;
        if !is_usual_color || !is_usual_chroma || color.is_monochrome || color.is_full_range {
            let [primaries, transfer, matrix] = color.description;
            let (x, y) = color.is_subsampled;
            text += &format!(
                ".{}.{}{}{}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
                u8::from(color.is_monochrome),
                u8::from(x),
                u8::from(y),
                color.sample_position,
                u8::from(color.is_full_range),
            );
        }
        text
    }

    /// Splits a temporal unit; each tile is a run.
    pub(super) fn runs(&mut self, sample: &[u8], runs: &mut Vec<Run>) -> Result<(), What> {
        runs.clear();
        self.decoder.unit(sample, runs)
    }
}

impl Decoder {
    /// Reads the OBUs of one temporal unit.
    fn unit(&mut self, sample: &[u8], runs: &mut Vec<Run>) -> Result<(), What> {
        let mut rest = sample;
        // Clear bytes that no run covers yet.
        let mut clear = 0;
        while !rest.is_empty() {
            let (obu, behind) = Obu::split(rest)?;
            let before = runs.len();
            clear += obu.head_len;
            let read = self.obu(&obu, clear, runs)?;
            // Runs end with the OBU; else all of it is clear, behind what was clear before it.
            clear = if runs.len() > before { 0 } else { clear + read };
            rest = behind;
        }
        if self.frame.is_some() {
            return Err(CodecError::Truncated("a frame").into());
        }
        if clear > 0 {
            runs.push(Run { clear, content: 0 });
        }
        Ok(())
    }

    /// Reads one OBU, before whose payload `clear` bytes belong to no run. Returns the bytes of
    /// its payload.
    fn obu(&mut self, obu: &Obu<'_>, clear: usize, runs: &mut Vec<Run>) -> Result<usize, What> {
        let payload = obu.payload;
        match obu.kind {
            kind::SEQUENCE_HEADER => self.sequence = Some(Sequence::parse(payload)?),
            kind::TEMPORAL_DELIMITER if self.frame.is_some() => {
                return Err(CodecError::Truncated("a frame").into());
            }
            // A copy of the header that began the frame (5.9.1).
            kind::FRAME_HEADER | kind::REDUNDANT_FRAME_HEADER if self.frame.is_some() => {}
            kind::FRAME_HEADER => {
                self.frame_header(payload, obu.layer())?;
            }
            kind::FRAME if self.frame.is_none() => {
                let head = self.frame_header(payload, obu.layer())?;
                let group = payload.get(head..).unwrap_or_default();
                self.tile_group(group, clear + head, runs)?;
            }
            kind::TILE_GROUP => self.tile_group(payload, clear, runs)?,
            kind::FRAME | kind::REDUNDANT_FRAME_HEADER => {
                return Err(CodecError::Value("the order of frame headers and tiles").into());
            }
            kind::TILE_LIST => return Err(Unsupported::Feature("large scale tile coding").into()),
            _ => {}
        }
        Ok(payload.len())
    }

    /// Reads a frame header; returns its bytes.
    fn frame_header(&mut self, payload: &[u8], layer: Layer) -> Result<usize, What> {
        let missing = CodecError::MissingSet("sequence header", 0);
        let sequence = self.sequence.as_ref().ok_or(missing)?;
        let bits = &mut HeaderBits::new(payload, "a frame header");
        match FrameHeader::read(bits, sequence, &mut self.references, layer)? {
            FrameHeader::ShowExisting => {}
            FrameHeader::Coded(frame) => {
                let size = frame.as_reference.size;
                if size.upscaled_width > self.max_size.0 || size.height > self.max_size.1 {
                    // It would pass for a smaller track, and get that one's key. The sequence
                    // header does not count: some encoders tell the largest size there is.
                    let what = "an AV1 frame larger than its track says";
                    return Err(Unsupported::Feature(what).into());
                }
                (self.frame, self.tiles_read) = (Some(frame), 0);
            }
        }
        Ok(bits.bytes_taken())
    }

    fn tile_group(&mut self, group: &[u8], clear: usize, runs: &mut Vec<Run>) -> Result<(), What> {
        let order = CodecError::Value("the order of frame headers and tiles");
        let frame = self.frame.as_ref().ok_or(order)?;
        self.tiles_read = frame.tiles.split(group, self.tiles_read, clear, runs)?;
        if self.tiles_read == frame.tiles.count {
            self.references.refresh(frame.refresh, frame.as_reference);
            self.frame = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
