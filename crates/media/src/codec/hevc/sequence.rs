//! The sequence parameter set (7.3.2.2), read as far as slice segment headers depend on it.

use super::HEADER;
use super::reference_set::{Place, ReferenceSet};
use super::usability::{skip_profile, skip_scaling_lists, skip_vui};
use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;
use crate::codec::parameter_sets::cropped;

/// Largest `sps_seq_parameter_set_id`.
pub(super) const MAX_SPS: u32 = 15;
/// Pixels on one side of a picture: what the sample entry can say.
const MAX_SIDE: u32 = 0xffff;
/// Most `num_short_term_ref_pic_sets`.
const MAX_SETS: u32 = 64;
/// Most `num_long_term_ref_pics_sps`.
const MAX_LONG_TERM: u32 = 32;
/// Most palette predictor initializers: the largest predictor (7.4.3.2.5).
const MAX_PALETTE: u32 = 128;

/// Sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    pub(super) separate_colour_planes: bool,
    /// `ChromaArrayType` is not 0.
    pub(super) has_chroma: bool,
    /// Bits of `slice_pic_order_cnt_lsb`.
    pub(super) order_count_bits: u32,
    /// Coding tree blocks across and down.
    pub(super) blocks: (u32, u32),
    pub(super) has_sample_offset: bool,
    pub(super) short_term: Vec<ReferenceSet>,
    /// Of each long-term picture of the SPS whether the current picture uses it; `None` where
    /// the stream has no long-term pictures.
    pub(super) long_term: Option<Vec<bool>>,
    pub(super) has_temporal_vectors: bool,
    /// `motion_vector_resolution_control_idc` is 2: each slice says which.
    pub(super) slices_choose_resolution: bool,
    /// Pixels across and down in the conformance window.
    pub(super) picture: (u32, u32),
}

/// What its extension needs of the set before.
#[derive(Clone, Copy)]
struct Samples {
    chroma_format: u32,
    luma_bits: u32,
    chroma_bits: u32,
}

impl Sps {
    /// Reads the set, NAL header included; with its id.
    pub fn parse(nal: &[u8]) -> Result<(u32, Self), CodecError> {
        let mut bits = NalBits::new(nal.get(HEADER..).unwrap_or_default());
        bits.bits(4)?; // sps_video_parameter_set_id
        let sub_layers = bits.bits(3)?;
        if sub_layers == 7 {
            return Err(CodecError::Value("sps_max_sub_layers_minus1"));
        }
        bits.bit()?; // sps_temporal_id_nesting_flag
        skip_profile(&mut bits, sub_layers)?;
        let id = bits.ue_up_to(MAX_SPS, "sps_seq_parameter_set_id")?;
        let chroma_format = bits.ue_up_to(3, "chroma_format_idc")?;
        let separate_colour_planes = chroma_format == 3 && bits.bit()?;
        let coded = [
            bits.ue_up_to(MAX_SIDE, "pic_width_in_luma_samples")?,
            bits.ue_up_to(MAX_SIDE, "pic_height_in_luma_samples")?,
        ];
        let picture = read_window(&mut bits, coded, chroma_format)?;
        let luma_bits = bits.ue_up_to(8, "bit_depth_luma_minus8")? + 8;
        let chroma_bits = bits.ue_up_to(8, "bit_depth_chroma_minus8")? + 8;
        let order_count_bits = bits.ue_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")? + 4;
        let told_layers = if bits.bit()? { sub_layers + 1 } else { 1 };
        for _ in 0..told_layers * 3 {
            bits.ue()?; // sps_max_dec_pic_buffering_minus1 and its two neighbors
        }
        let block = read_block_size(&mut bits)?;
        let has_sample_offset = read_tools(&mut bits)?;
        let mut short_term = Vec::new();
        for _ in 0..bits.ue_up_to(MAX_SETS, "num_short_term_ref_pic_sets")? {
            let set = ReferenceSet::read(&mut bits, &short_term, Place::Sps)?;
            short_term.push(set);
        }
        let long_term = read_long_term(&mut bits, order_count_bits)?;
        let has_temporal_vectors = bits.bit()?;
        bits.bit()?; // strong_intra_smoothing_enabled_flag
        if bits.bit()? {
            skip_vui(&mut bits, sub_layers)?;
        }
        let samples = Samples { chroma_format, luma_bits, chroma_bits };
        let slices_choose_resolution = bits.bit()? && read_extensions(&mut bits, samples)?;
        let sps = Self {
            separate_colour_planes,
            has_chroma: chroma_format != 0 && !separate_colour_planes,
            order_count_bits,
            blocks: (coded[0].div_ceil(block), coded[1].div_ceil(block)),
            has_sample_offset,
            short_term,
            long_term,
            has_temporal_vectors,
            slices_choose_resolution,
            picture,
        };
        Ok((id, sps))
    }
}

/// The conformance window: offsets count in units of chroma samples (7.4.3.2.1, table 6-1).
fn read_window(
    bits: &mut NalBits<'_>,
    [width, height]: [u32; 2],
    chroma_format: u32,
) -> Result<(u32, u32), CodecError> {
    let [mut left, mut right, mut top, mut bottom] = [0; 4];
    if bits.bit()? {
        [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
    }
    let unit_across = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
    let unit_down = if chroma_format == 1 { 2 } else { 1 };
    let width = cropped(width, left, right, unit_across);
    let height = cropped(height, top, bottom, unit_down);
    width.zip(height).ok_or(CodecError::Value("the conformance window"))
}

/// Pixels on one side of a coding tree block; the fields up to the transform hierarchies.
fn read_block_size(bits: &mut NalBits<'_>) -> Result<u32, CodecError> {
    let smallest = bits.ue_up_to(3, "log2_min_luma_coding_block_size_minus3")?;
    let more = bits.ue_up_to(3 - smallest, "log2_diff_max_min_luma_coding_block_size")?;
    (0..4).try_for_each(|_| bits.ue().map(|_| ()))?; // transform blocks
    Ok(8 << (smallest + more))
}

/// From `scaling_list_enabled_flag` to PCM; whether slices have sample adaptive offset.
fn read_tools(bits: &mut NalBits<'_>) -> Result<bool, CodecError> {
    if bits.bit()? && bits.bit()? {
        skip_scaling_lists(bits)?;
    }
    bits.bit()?; // amp_enabled_flag
    let has_sample_offset = bits.bit()?;
    if bits.bit()? {
        bits.bits(8)?; // PCM bit depths
        bits.ue()?; // log2_min_pcm_luma_coding_block_size_minus3
        bits.ue()?; // log2_diff_max_min_pcm_luma_coding_block_size
        bits.bit()?; // pcm_loop_filter_disabled_flag
    }
    Ok(has_sample_offset)
}

fn read_long_term(
    bits: &mut NalBits<'_>,
    order_count_bits: u32,
) -> Result<Option<Vec<bool>>, CodecError> {
    if !bits.bit()? {
        return Ok(None);
    }
    let mut used = Vec::new();
    for _ in 0..bits.ue_up_to(MAX_LONG_TERM, "num_long_term_ref_pics_sps")? {
        bits.bits(order_count_bits)?; // lt_ref_pic_poc_lsb_sps
        used.push(bits.bit()?);
    }
    Ok(Some(used))
}

/// The extensions; whether slices choose the resolution of their motion vectors.
fn read_extensions(bits: &mut NalBits<'_>, samples: Samples) -> Result<bool, CodecError> {
    let [has_range, has_multilayer, has_3d, has_screen_content] =
        [bits.bit()?, bits.bit()?, bits.bit()?, bits.bit()?];
    if has_3d || bits.bits(4)? != 0 {
        return Err(CodecError::Unsupported("an SPS with a 3D or unknown extension"));
    }
    if has_range {
        bits.bits(9)?; // none of its tools is told by slices
    }
    if has_multilayer {
        bits.bit()?; // inter_view_mv_vert_constraint_flag
    }
    if !has_screen_content {
        return Ok(false);
    }
    bits.bit()?; // sps_curr_pic_ref_enabled_flag: the PPS repeats it
    if bits.bit()? {
        skip_palette(bits, samples)?;
    }
    Ok(bits.bits(2)? == 2)
}

fn skip_palette(bits: &mut NalBits<'_>, samples: Samples) -> Result<(), CodecError> {
    bits.ue()?; // palette_max_size
    bits.ue()?; // delta_palette_max_predictor_size
    if !bits.bit()? {
        return Ok(());
    }
    let most = MAX_PALETTE - 1;
    let entries = bits.ue_up_to(most, "sps_num_palette_predictor_initializers_minus1")? + 1;
    let chroma = if samples.chroma_format == 0 { 0 } else { 2 };
    (0..entries).try_for_each(|_| bits.bits(samples.luma_bits).map(|_| ()))?;
    (0..entries * chroma).try_for_each(|_| bits.bits(samples.chroma_bits).map(|_| ()))
}
