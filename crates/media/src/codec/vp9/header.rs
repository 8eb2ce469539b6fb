//! The uncompressed header (VP9 Bitstream & Decoding Process Specification, 6.2), read to its last bit.

use crate::codec::CodecError;
use crate::codec::header_bits::HeaderBits;

/// Slots that frames are kept in.
const SLOTS: usize = 8;
/// `frame_marker`.
const FRAME_MARKER: u32 = 2;
/// The three bytes of `frame_sync_code`.
const SYNC_CODE: u32 = 0x49_83_42;
/// `color_space` of RGB.
const CS_RGB: u32 = 7;
/// Widest and narrowest tile in superblocks of 64 pixels.
const MAX_TILE_WIDTH: u32 = 64;
const MIN_TILE_WIDTH: u32 = 4;

/// Pixels across and down.
pub(super) type Size = (u32, u32);

/// Sizes of the kept frames: what a later header depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct References([Option<Size>; SLOTS]);

impl References {
    fn size(&self, slot: usize) -> Result<Size, CodecError> {
        let missing = CodecError::MissingSet("reference", u32::try_from(slot).unwrap_or(u32::MAX));
        self.0.get(slot).copied().flatten().ok_or(missing)
    }

    fn refresh(&mut self, mask: u32, size: Size) {
        for (slot, kept) in self.0.iter_mut().enumerate() {
            if mask >> slot & 1 == 1 {
                *kept = Some(size);
            }
        }
    }
}

/// An uncompressed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its bytes.
    pub len: usize,
    /// The frame's size; `None` where a kept frame is shown.
    pub size: Option<Size>,
}

impl Header {
    /// Reads the header of a frame; the frame is remembered in `references`.
    pub fn read(frame: &[u8], references: &mut References) -> Result<Self, CodecError> {
        let bits = &mut HeaderBits::new(frame, "a frame header");
        if bits.f(2)? != FRAME_MARKER {
            return Err(CodecError::Value("frame_marker"));
        }
        let profile = u32::from(bits.flag()?) + 2 * u32::from(bits.flag()?);
        if profile == 3 && bits.flag()? {
            return Err(CodecError::Value("the profile"));
        }
        if bits.flag()? {
            references.size(bits.index(3)?)?;
            return Ok(Self { len: bits.bytes_taken(), size: None });
        }
        let is_key = !bits.flag()?;
        let is_shown = bits.flag()?;
        let is_error_resilient = bits.flag()?;
        let (size, refresh) = if is_key {
            read_sync_code(bits)?;
            read_color(bits, profile)?;
            (read_whole_size(bits)?, (1 << SLOTS) - 1)
        } else {
            read_inter(bits, profile, is_shown, is_error_resilient, references)?
        };
        if !is_error_resilient {
            bits.skip(2)?; // refresh_frame_context, frame_parallel_decoding_mode
        }
        bits.skip(2)?; // frame_context_idx
        skip_loop_filter(bits)?;
        skip_quantizer(bits)?;
        skip_segmentation(bits)?;
        skip_tiles(bits, size.0)?;
        let compressed_len = bits.index(16)?;
        let len = bits.bytes_taken();
        if compressed_len == 0 || frame.len() <= len + compressed_len {
            return Err(CodecError::Value("header_size_in_bytes"));
        }
        references.refresh(refresh, size);
        Ok(Self { len, size: Some(size) })
    }
}

/// From `intra_only` to `interpolation_filter`; size, and the slots that take the frame.
fn read_inter(
    bits: &mut HeaderBits<'_>,
    profile: u32,
    is_shown: bool,
    is_error_resilient: bool,
    references: &References,
) -> Result<(Size, u32), CodecError> {
    let is_intra_only = !is_shown && bits.flag()?;
    if !is_error_resilient {
        bits.skip(2)?; // reset_frame_context
    }
    if is_intra_only {
        read_sync_code(bits)?;
        if profile > 0 {
            read_color(bits, profile)?;
        }
        let refresh = bits.f(8)?;
        return Ok((read_whole_size(bits)?, refresh));
    }
    let refresh = bits.f(8)?;
    let mut slots = [0; 3];
    for slot in &mut slots {
        *slot = bits.index(3)?;
        bits.flag()?; // ref_frame_sign_bias
    }
    let size = read_size_with_refs(bits, slots, references)?;
    bits.flag()?; // allow_high_precision_mv
    if !bits.flag()? {
        bits.skip(2)?; // raw_interpolation_filter
    }
    Ok((size, refresh))
}

fn read_sync_code(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    if bits.f(24)? == SYNC_CODE { Ok(()) } else { Err(CodecError::Value("frame_sync_code")) }
}

/// `color_config` (6.2.2).
fn read_color(bits: &mut HeaderBits<'_>, profile: u32) -> Result<(), CodecError> {
    if profile >= 2 {
        bits.flag()?; // ten_or_twelve_bit
    }
    let is_any_subsampling = profile & 1 == 1;
    if bits.f(3)? != CS_RGB {
        bits.flag()?; // color_range
        return bits.skip(if is_any_subsampling { 3 } else { 0 });
    }
    if is_any_subsampling { bits.skip(1) } else { Err(CodecError::Value("color_space")) }
}

/// `frame_size` (6.2.3).
fn read_size(bits: &mut HeaderBits<'_>) -> Result<Size, CodecError> {
    Ok((bits.f(16)? + 1, bits.f(16)? + 1))
}

/// `frame_size` and `render_size`.
fn read_whole_size(bits: &mut HeaderBits<'_>) -> Result<Size, CodecError> {
    let size = read_size(bits)?;
    skip_render_size(bits)?;
    Ok(size)
}

/// `render_size` (6.2.4).
fn skip_render_size(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    if bits.flag()? { bits.skip(32) } else { Ok(()) }
}

/// `frame_size_with_refs` (6.2.5).
fn read_size_with_refs(
    bits: &mut HeaderBits<'_>,
    slots: [usize; 3],
    references: &References,
) -> Result<Size, CodecError> {
    for slot in slots {
        references.size(slot)?;
    }
    let mut found = None;
    for slot in slots {
        if bits.flag()? {
            found = Some(references.size(slot)?);
            break;
        }
    }
    let size = match found {
        Some(size) => size,
        None => read_size(bits)?,
    };
    skip_render_size(bits)?;
    Ok(size)
}

/// `loop_filter_params` (6.2.8).
fn skip_loop_filter(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    bits.skip(9)?; // loop_filter_level, loop_filter_sharpness
    if bits.flag()? && bits.flag()? {
        // 4 references and 2 modes
        for _ in 0..6 {
            if bits.flag()? {
                bits.skip(7)?;
            }
        }
    }
    Ok(())
}

/// `quantization_params` (6.2.9).
fn skip_quantizer(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    bits.skip(8)?; // base_q_idx
    for _ in 0..3 {
        if bits.flag()? {
            bits.skip(5)?;
        }
    }
    Ok(())
}

/// `segmentation_params` (6.2.11).
fn skip_segmentation(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    if !bits.flag()? {
        return Ok(());
    }
    if bits.flag()? {
        (0..7).try_for_each(|_| skip_probability(bits))?;
        if bits.flag()? {
            (0..3).try_for_each(|_| skip_probability(bits))?;
        }
    }
    if !bits.flag()? {
        return Ok(());
    }
    bits.flag()?; // segmentation_abs_or_delta_update
    for _ in 0..8 {
        // Value and sign of each feature.
        for width in [9, 7, 2, 0] {
            if bits.flag()? {
                bits.skip(width)?;
            }
        }
    }
    Ok(())
}

fn skip_probability(bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
    if bits.flag()? { bits.skip(8) } else { Ok(()) }
}

/// `tile_info` (6.2.13).
fn skip_tiles(bits: &mut HeaderBits<'_>, width: u32) -> Result<(), CodecError> {
    let superblocks = width.div_ceil(8).div_ceil(8);
    let least = (0..32).find(|log2| MAX_TILE_WIDTH << log2 >= superblocks).unwrap_or(0);
    let most = (1..32).find(|log2| superblocks >> log2 < MIN_TILE_WIDTH).unwrap_or(1) - 1;
    for _ in least..most {
        if !bits.flag()? {
            break;
        }
    }
    if bits.flag()? {
        bits.flag()?; // increment_tile_rows_log2
    }
    Ok(())
}
