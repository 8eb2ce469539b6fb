//! The picture parameter set (7.3.2.3), read as far as slice segment headers depend on it.

use super::HEADER;
use super::sequence::MAX_SPS;
use super::usability::skip_scaling_lists;
use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;

/// Largest `pps_pic_parameter_set_id`.
const MAX_PPS: u32 = 63;
/// Largest `num_ref_idx_…_active_minus1` (7.4.3.3.1).
pub(super) const MAX_REF_INDEX: u32 = 14;
/// Tiles across or down, less one: a picture of 65 535 pixels has no more blocks of 16.
const MAX_TILES: u32 = 4095;

/// Picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pps {
    pub(super) sps: u32,
    pub(super) has_dependent_slices: bool,
    pub(super) has_output_flag: bool,
    pub(super) extra_header_bits: u32,
    pub(super) has_cabac_init: bool,
    pub(super) default_refs: [u32; 2],
    pub(super) has_chroma_qp_offsets: bool,
    pub(super) weighted_prediction: bool,
    pub(super) weighted_biprediction: bool,
    /// Tiles across and down, where the picture has tiles.
    pub(super) tiles: Option<(u32, u32)>,
    pub(super) has_wavefronts: bool,
    pub(super) filters_across_slices: bool,
    pub(super) deblocking: Deblocking,
    pub(super) has_list_modification: bool,
    pub(super) has_header_extension: bool,
    pub(super) extension: Extension,
}

/// What slices inherit of the deblocking filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deblocking {
    pub can_be_overridden: bool,
    pub is_off: bool,
}

/// What the extensions add to slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extension {
    /// `chroma_qp_offset_list_enabled_flag`.
    pub has_chroma_qp_list: bool,
    /// `pps_curr_pic_ref_enabled_flag`: a picture can refer to itself.
    pub refers_to_itself: bool,
    /// `pps_slice_act_qp_offsets_present_flag`.
    pub has_colour_transform_offsets: bool,
}

impl Pps {
    /// Reads the set, NAL header included; with its id.
    pub fn parse(nal: &[u8]) -> Result<(u32, Self), CodecError> {
        let mut bits = NalBits::new(nal.get(HEADER..).unwrap_or_default());
        let id = bits.ue_up_to(MAX_PPS, "pps_pic_parameter_set_id")?;
        let sps = bits.ue_up_to(MAX_SPS, "pps_seq_parameter_set_id")?;
        let has_dependent_slices = bits.bit()?;
        let has_output_flag = bits.bit()?;
        let extra_header_bits = bits.bits(3)?;
        bits.bit()?; // sign_data_hiding_enabled_flag
        let has_cabac_init = bits.bit()?;
        let default_refs = [
            bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l0_default_active_minus1")?,
            bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l1_default_active_minus1")?,
        ];
        bits.skip_se()?; // init_qp_minus26
        bits.bit()?; // constrained_intra_pred_flag
        let has_transform_skip = bits.bit()?;
        if bits.bit()? {
            bits.ue()?; // diff_cu_qp_delta_depth
        }
        bits.skip_se()?; // pps_cb_qp_offset
        bits.skip_se()?; // pps_cr_qp_offset
        let has_chroma_qp_offsets = bits.bit()?;
        let weighted_prediction = bits.bit()?;
        let weighted_biprediction = bits.bit()?;
        bits.bit()?; // transquant_bypass_enabled_flag
        let has_tiles = bits.bit()?;
        let has_wavefronts = bits.bit()?;
        let tiles = if has_tiles { Some(read_tiles(&mut bits)?) } else { None };
        let filters_across_slices = bits.bit()?;
        let deblocking = read_deblocking(&mut bits)?;
        if bits.bit()? {
            skip_scaling_lists(&mut bits)?;
        }
        let has_list_modification = bits.bit()?;
        bits.ue()?; // log2_parallel_merge_level_minus2
        let pps = Self {
            sps,
            has_dependent_slices,
            has_output_flag,
            extra_header_bits,
            has_cabac_init,
            default_refs,
            has_chroma_qp_offsets,
            weighted_prediction,
            weighted_biprediction,
            tiles,
            has_wavefronts,
            filters_across_slices,
            deblocking,
            has_list_modification,
            has_header_extension: bits.bit()?,
            extension: read_extensions(&mut bits, has_transform_skip)?,
        };
        Ok((id, pps))
    }
}

fn read_tiles(bits: &mut NalBits<'_>) -> Result<(u32, u32), CodecError> {
    let across = bits.ue_up_to(MAX_TILES, "num_tile_columns_minus1")?;
    let down = bits.ue_up_to(MAX_TILES, "num_tile_rows_minus1")?;
    if !bits.bit()? {
        (0..across + down).try_for_each(|_| bits.ue().map(|_| ()))?;
    }
    bits.bit()?; // loop_filter_across_tiles_enabled_flag
    Ok((across + 1, down + 1))
}

fn read_deblocking(bits: &mut NalBits<'_>) -> Result<Deblocking, CodecError> {
    if !bits.bit()? {
        return Ok(Deblocking::default());
    }
    let deblocking = Deblocking { can_be_overridden: bits.bit()?, is_off: bits.bit()? };
    if !deblocking.is_off {
        bits.skip_se()?; // pps_beta_offset_div2
        bits.skip_se()?; // pps_tc_offset_div2
    }
    Ok(deblocking)
}

fn read_extensions(
    bits: &mut NalBits<'_>,
    has_transform_skip: bool,
) -> Result<Extension, CodecError> {
    let mut extension = Extension::default();
    if !bits.bit()? {
        return Ok(extension);
    }
    let [has_range, has_multilayer, has_3d, has_screen_content] =
        [bits.bit()?, bits.bit()?, bits.bit()?, bits.bit()?];
    if has_multilayer || has_3d || bits.bits(4)? != 0 {
        return Err(CodecError::Unsupported("a PPS with a multilayer, 3D or unknown extension"));
    }
    if has_range {
        if has_transform_skip {
            bits.ue()?; // log2_max_transform_skip_block_size_minus2
        }
        bits.bit()?; // cross_component_prediction_enabled_flag
        extension.has_chroma_qp_list = bits.bit()?;
        if extension.has_chroma_qp_list {
            bits.ue()?; // diff_cu_chroma_qp_offset_depth
            let last = bits.ue_up_to(5, "chroma_qp_offset_list_len_minus1")?;
            (0..(last + 1) * 2).try_for_each(|_| bits.skip_se())?;
        }
        bits.ue()?; // log2_sao_offset_scale_luma
        bits.ue()?; // log2_sao_offset_scale_chroma
    }
    if has_screen_content {
        extension.refers_to_itself = bits.bit()?;
        // residual_adaptive_colour_transform_enabled_flag; the palette behind is not needed.
        extension.has_colour_transform_offsets = bits.bit()? && bits.bit()?;
    }
    Ok(extension)
}
