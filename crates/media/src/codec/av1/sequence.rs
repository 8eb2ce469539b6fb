//! The sequence header OBU (AV1, 5.5), as far as frame headers depend on it.

use crate::codec::CodecError;
use crate::codec::header_bits::HeaderBits;

/// Operating points of a sequence: the count has 5 bits.
const MAX_OPERATING_POINTS: usize = 32;
/// `seq_force_screen_content_tools` and `seq_force_integer_mv`: each frame says it.
const SELECT: u8 = 2;

/// What each frame of the sequence says or not.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the header")]
pub(super) struct Sequence {
    pub is_reduced_still: bool,
    /// Width and height that no frame exceeds.
    pub max_size: (u32, u32),
    /// Bits of a frame's own width and height.
    pub size_bits: (u32, u32),
    pub frame_ids: Option<FrameIds>,
    /// Bits of `frame_presentation_time`, where a shown frame has one.
    pub presentation_time_bits: Option<u32>,
    pub decoder_model: Option<DecoderModel>,
    pub use_128x128: bool,
    pub has_warped_motion: bool,
    /// 0 without order hints.
    pub order_hint_bits: u32,
    pub has_ref_frame_mvs: bool,
    /// `None` where the frame says it.
    pub screen_content_tools: Option<bool>,
    /// `None` where the frame says it.
    pub integer_mv: Option<bool>,
    pub has_superres: bool,
    pub has_cdef: bool,
    pub has_restoration: bool,
    pub color: Color,
    pub has_film_grain: bool,
}

/// Lengths of frame ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameIds {
    /// Bits of an id.
    pub id_bits: u32,
    /// Bits of the difference from a reference's id.
    pub delta_bits: u32,
}

/// Which frames say when their buffer is free.
#[derive(Clone, Debug)]
pub(super) struct DecoderModel {
    pub removal_time_bits: u32,
    /// `operating_point_idc` of those operating points that have a decoder model.
    pub operating_points: Vec<u32>,
}

/// `color_config` (5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color {
    pub is_monochrome: bool,
    /// `color_primaries`, `transfer_characteristics`, `matrix_coefficients`; 2 each where they
    /// are not said.
    pub description: [u8; 3],
    pub is_full_range: bool,
    /// Horizontally and vertically.
    pub is_subsampled: (bool, bool),
    pub sample_position: u8,
    pub has_separate_uv_delta_q: bool,
}

impl Color {
    pub const fn planes(&self) -> usize {
        if self.is_monochrome { 1 } else { 3 }
    }
}

/// What follows from the list of operating points.
struct OperatingPoints {
    presentation_time_bits: Option<u32>,
    decoder_model: Option<DecoderModel>,
}

impl Sequence {
    /// Reads the payload of the OBU.
    pub fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut HeaderBits::new(payload, "a sequence header");
        let profile = bits.f(3)?;
        if profile > 2 {
            return Err(CodecError::Value("seq_profile"));
        }
        bits.flag()?; // still_picture
        let is_reduced_still = bits.flag()?;
        let points = if is_reduced_still {
            bits.skip(5)?; // seq_level_idx[ 0 ]
            OperatingPoints { presentation_time_bits: None, decoder_model: None }
        } else {
            operating_points(bits)?
        };
        let size_bits = (bits.f(4)? + 1, bits.f(4)? + 1);
        let max_size = (bits.f(size_bits.0)? + 1, bits.f(size_bits.1)? + 1);
        let frame_ids = if !is_reduced_still && bits.flag()? {
            let delta_bits = bits.f(4)? + 2;
            Some(FrameIds { id_bits: delta_bits + bits.f(3)? + 1, delta_bits })
        } else {
            None
        };
        let use_128x128 = bits.flag()?;
        bits.skip(2)?; // enable_filter_intra, enable_intra_edge_filter
        let mut sequence = Self {
            is_reduced_still,
            max_size,
            size_bits,
            frame_ids,
            presentation_time_bits: points.presentation_time_bits,
            decoder_model: points.decoder_model,
            use_128x128,
            has_warped_motion: false,
            order_hint_bits: 0,
            has_ref_frame_mvs: false,
            screen_content_tools: None,
            integer_mv: None,
            has_superres: false,
            has_cdef: false,
            has_restoration: false,
            color: Color::GRAY,
            has_film_grain: false,
        };
        if !is_reduced_still {
            sequence.read_tools(bits)?;
        }
        sequence.has_superres = bits.flag()?;
        sequence.has_cdef = bits.flag()?;
        sequence.has_restoration = bits.flag()?;
        sequence.color = Color::read(bits, profile)?;
        sequence.has_film_grain = bits.flag()?;
        Ok(sequence)
    }

    /// From `enable_interintra_compound` to `order_hint_bits_minus_1`.
    fn read_tools(&mut self, bits: &mut HeaderBits<'_>) -> Result<(), CodecError> {
        bits.skip(2)?; // enable_interintra_compound, enable_masked_compound
        self.has_warped_motion = bits.flag()?;
        bits.flag()?; // enable_dual_filter
        let has_order_hint = bits.flag()?;
        if has_order_hint {
            bits.flag()?; // enable_jnt_comp
            self.has_ref_frame_mvs = bits.flag()?;
        }
        let tools = if bits.flag()? { SELECT } else { u8::from(bits.flag()?) };
        let integer = if tools == 0 || bits.flag()? { SELECT } else { u8::from(bits.flag()?) };
        let fixed = |value: u8| (value != SELECT).then_some(value == 1);
        (self.screen_content_tools, self.integer_mv) = (fixed(tools), fixed(integer));
        if has_order_hint {
            self.order_hint_bits = bits.f(3)? + 1;
        }
        Ok(())
    }
}

/// From `timing_info_present_flag` to the end of the operating points.
fn operating_points(bits: &mut HeaderBits<'_>) -> Result<OperatingPoints, CodecError> {
    // Bits of a buffer delay, of a removal time and of a presentation time.
    let mut lengths = None;
    let mut has_equal_intervals = false;
    if bits.flag()? {
        bits.skip(64)?; // num_units_in_display_tick, time_scale
        has_equal_intervals = bits.flag()?;
        if has_equal_intervals {
            bits.skip_uvlc()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            let delay = bits.f(5)? + 1;
            bits.skip(32)?; // num_units_in_decoding_tick
            lengths = Some((delay, bits.f(5)? + 1, bits.f(5)? + 1));
        }
    }
    let has_display_delay = bits.flag()?;
    let count = bits.index(5)? + 1;
    let mut with_model = Vec::with_capacity(count.min(MAX_OPERATING_POINTS));
    for _ in 0..count {
        let idc = bits.f(12)?;
        if bits.f(5)? > 7 {
            bits.flag()?; // seq_tier
        }
        if let Some((delay, ..)) = lengths
            && bits.flag()?
        {
            bits.skip(2 * delay + 1)?; // both buffer delays, low_delay_mode_flag
            with_model.push(idc);
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4)?; // initial_display_delay_minus_1
        }
    }
    let (removal_time_bits, time_bits) = match lengths {
        Some((_, removal, time)) => (Some(removal), Some(time)),
        None => (None, None),
    };
    Ok(OperatingPoints {
        presentation_time_bits: time_bits.filter(|_| !has_equal_intervals),
        decoder_model: removal_time_bits.map(|removal_time_bits| DecoderModel {
            removal_time_bits,
            operating_points: with_model,
        }),
    })
}

impl Color {
    /// Monochrome, nothing said of its color.
    const GRAY: Self = Self {
        is_monochrome: true,
        description: [2; 3],
        is_full_range: false,
        is_subsampled: (true, true),
        sample_position: 0,
        has_separate_uv_delta_q: false,
    };
    /// BT.709, sRGB, identity: what the standard takes for RGB.
    const RGB: [u8; 3] = [1, 13, 0];

    fn read(bits: &mut HeaderBits<'_>, profile: u32) -> Result<Self, CodecError> {
        let is_high_depth = bits.flag()?;
        let is_twelve_bits = profile == 2 && is_high_depth && bits.flag()?;
        let mut color = Self { is_monochrome: profile != 1 && bits.flag()?, ..Self::GRAY };
        if bits.flag()? {
            color.description = [bits.byte()?, bits.byte()?, bits.byte()?];
        }
        if color.is_monochrome {
            color.is_full_range = bits.flag()?;
            return Ok(color);
        }
        if color.description == Self::RGB {
            color.is_full_range = true;
            color.is_subsampled = (false, false);
        } else {
            color.is_full_range = bits.flag()?;
            color.is_subsampled = match profile {
                0 => (true, true),
                1 => (false, false),
                _ if !is_twelve_bits => (true, false),
                _ => {
                    let horizontally = bits.flag()?;
                    (horizontally, horizontally && bits.flag()?)
                }
            };
            if color.is_subsampled == (true, true) {
                color.sample_position = u8::try_from(bits.f(2)?).unwrap_or(0);
            }
        }
        color.has_separate_uv_delta_q = bits.flag()?;
        Ok(color)
    }
}
