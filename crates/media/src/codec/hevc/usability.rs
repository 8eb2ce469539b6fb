//! Parts of a sequence parameter set that only have to be passed over: profile, scaling lists,
//! video usability information, hypothetical reference decoder (7.3.3, 7.3.4, E.2).

use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;

/// `EXTENDED_SAR` (table E.1).
const EXTENDED_SAR: u32 = 255;

/// `profile_tier_level( 1, maxNumSubLayersMinus1 )`.
pub(super) fn skip_profile(bits: &mut NalBits<'_>, sub_layers: u32) -> Result<(), CodecError> {
    skip(bits, 88)?;
    bits.bits(8)?; // general_level_idc
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.bit()?, bits.bit()?));
    }
    if sub_layers > 0 {
        (sub_layers..8).try_for_each(|_| bits.bits(2).map(|_| ()))?;
    }
    for (has_profile, has_level) in present {
        if has_profile {
            skip(bits, 88)?;
        }
        if has_level {
            bits.bits(8)?;
        }
    }
    Ok(())
}

/// `scaling_list_data( )`.
pub(super) fn skip_scaling_lists(bits: &mut NalBits<'_>) -> Result<(), CodecError> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.bit()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                bits.skip_se()?; // scaling_list_dc_coef_minus8
            }
            let coefficients = if size == 0 { 16 } else { 64 };
            (0..coefficients).try_for_each(|_| bits.skip_se())?;
        }
    }
    Ok(())
}

/// `vui_parameters( )`.
pub(super) fn skip_vui(bits: &mut NalBits<'_>, sub_layers: u32) -> Result<(), CodecError> {
    if bits.bit()? && bits.bits(8)? == EXTENDED_SAR {
        bits.bits(32)?; // sar_width, sar_height
    }
    if bits.bit()? {
        bits.bit()?; // overscan_appropriate_flag
    }
    if bits.bit()? {
        bits.bits(4)?; // video_format, video_full_range_flag
        if bits.bit()? {
            bits.bits(24)?; // colour_primaries, transfer_characteristics, matrix_coeffs
        }
    }
    if bits.bit()? {
        skip_ue(bits, 2)?; // chroma_sample_loc_type_…
    }
    bits.bits(3)?; // neutral_chroma_indication_flag to frame_field_info_present_flag
    if bits.bit()? {
        skip_ue(bits, 4)?; // default display window
    }
    if bits.bit()? {
        skip(bits, 64)?; // vui_num_units_in_tick, vui_time_scale
        if bits.bit()? {
            bits.ue()?; // vui_num_ticks_poc_diff_one_minus1
        }
        if bits.bit()? {
            skip_hrd(bits, sub_layers)?;
        }
    }
    if bits.bit()? {
        bits.bits(3)?; // tiles_fixed_structure_flag to restricted_ref_pic_lists_flag
        skip_ue(bits, 5)?; // min_spatial_segmentation_idc to log2_max_mv_length_vertical
    }
    Ok(())
}

/// `hrd_parameters( 1, maxNumSubLayersMinus1 )`.
fn skip_hrd(bits: &mut NalBits<'_>, sub_layers: u32) -> Result<(), CodecError> {
    let (has_nal, has_vcl) = (bits.bit()?, bits.bit()?);
    let mut has_sub_pictures = false;
    if has_nal || has_vcl {
        has_sub_pictures = bits.bit()?;
        if has_sub_pictures {
            bits.bits(19)?; // tick_divisor_minus2 to dpb_output_delay_du_length_minus1
        }
        bits.bits(8)?; // bit_rate_scale, cpb_size_scale
        if has_sub_pictures {
            bits.bits(4)?; // cpb_size_du_scale
        }
        bits.bits(15)?; // lengths of the delays
    }
    for _ in 0..=sub_layers {
        let is_fixed_rate = bits.bit()? || bits.bit()?;
        let is_low_delay = if is_fixed_rate {
            bits.ue()?; // elemental_duration_in_tc_minus1
            false
        } else {
            bits.bit()?
        };
        let buffers = if is_low_delay { 0 } else { bits.ue_up_to(31, "cpb_cnt_minus1")? };
        for _ in 0..u32::from(has_nal) + u32::from(has_vcl) {
            for _ in 0..=buffers {
                skip_ue(bits, if has_sub_pictures { 4 } else { 2 })?;
                bits.bit()?; // cbr_flag
            }
        }
    }
    Ok(())
}

fn skip(bits: &mut NalBits<'_>, count: u32) -> Result<(), CodecError> {
    (0..count).try_for_each(|_| bits.bit().map(|_| ()))
}

fn skip_ue(bits: &mut NalBits<'_>, count: u32) -> Result<(), CodecError> {
    (0..count).try_for_each(|_| bits.ue().map(|_| ()))
}
