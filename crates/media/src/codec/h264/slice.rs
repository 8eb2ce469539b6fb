//! The slice header (7.3.3), read to its last bit.

use super::ParameterSets;
use super::parameters::{MAX_REF_INDEX, OrderCount, Pps, Sps};
use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;

/// Commands in one list of a header: twice the pictures a list can name, and the end mark.
const MAX_COMMANDS: u32 = 66;

/// `slice_type` modulo 5 (table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    P,
    B,
    I,
    Sp,
    Si,
}

impl SliceType {
    const fn has_list_0(self) -> bool {
        matches!(self, Self::P | Self::B | Self::Sp)
    }
}

/// Bytes from the NAL header to the one that holds the last bit of the slice header.
pub(super) fn header_len(nal: &[u8], sets: &ParameterSets) -> Result<usize, CodecError> {
    let (header, payload) = nal.split_first().ok_or(CodecError::Truncated("a NAL unit"))?;
    let mut bits = NalBits::new(payload);
    read(&mut bits, header >> 5 & 3 != 0, header & 0x1f == 5, sets)?;
    Ok(1 + bits.bytes_taken())
}

fn read(
    bits: &mut NalBits<'_>,
    is_reference: bool,
    is_idr: bool,
    sets: &ParameterSets,
) -> Result<(), CodecError> {
    bits.ue()?; // first_mb_in_slice
    let kind = match bits.ue_up_to(9, "slice_type")? % 5 {
        0 => SliceType::P,
        1 => SliceType::B,
        2 => SliceType::I,
        3 => SliceType::Sp,
        _ => SliceType::Si,
    };
    let (sps, pps) = sets.active(bits.ue()?)?;
    read_picture(bits, is_idr, sps, pps)?;
    if kind == SliceType::B {
        bits.bit()?; // direct_spatial_mv_pred_flag
    }
    let refs = read_ref_counts(bits, kind, pps)?;
    if kind.has_list_0() {
        skip_list_modification(bits)?;
    }
    if kind == SliceType::B {
        skip_list_modification(bits)?;
    }
    let is_weighted = match kind {
        SliceType::P | SliceType::Sp => pps.weighted_prediction,
        SliceType::B => pps.weighted_biprediction,
        SliceType::I | SliceType::Si => false,
    };
    if is_weighted {
        skip_weights(bits, kind, refs, sps.has_chroma)?;
    }
    if is_reference {
        skip_marking(bits, is_idr)?;
    }
    if pps.is_cabac && kind.has_list_0() {
        bits.ue_up_to(2, "cabac_init_idc")?;
    }
    read_end(bits, kind, sps, pps)
}

/// From `colour_plane_id` to `redundant_pic_cnt`.
fn read_picture(
    bits: &mut NalBits<'_>,
    is_idr: bool,
    sps: &Sps,
    pps: &Pps,
) -> Result<(), CodecError> {
    if sps.separate_colour_planes {
        bits.bits(2)?; // colour_plane_id
    }
    bits.bits(sps.frame_num_bits)?;
    let mut is_field = false;
    if !sps.frame_mbs_only {
        is_field = bits.bit()?;
        if is_field {
            bits.bit()?; // bottom_field_flag
        }
    }
    if is_idr {
        bits.ue()?; // idr_pic_id
    }
    let has_second_delta = pps.has_bottom_field_order && !is_field;
    match sps.order_count {
        OrderCount::Lsb { bits: width } => {
            bits.bits(width)?;
            if has_second_delta {
                bits.skip_se()?;
            }
        }
        OrderCount::Delta { always_zero: false } => {
            bits.skip_se()?;
            if has_second_delta {
                bits.skip_se()?;
            }
        }
        OrderCount::Delta { always_zero: true } | OrderCount::Implied => {}
    }
    if pps.has_redundant_count {
        bits.ue_up_to(127, "redundant_pic_cnt")?;
    }
    Ok(())
}

fn read_ref_counts(
    bits: &mut NalBits<'_>,
    kind: SliceType,
    pps: &Pps,
) -> Result<[u32; 2], CodecError> {
    let [mut list_0, mut list_1] = pps.default_refs;
    if kind.has_list_0() && bits.bit()? {
        list_0 = bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l0_active_minus1")?;
        if kind == SliceType::B {
            list_1 = bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l1_active_minus1")?;
        }
    }
    Ok([list_0, list_1])
}

/// 7.3.3.1, one list.
fn skip_list_modification(bits: &mut NalBits<'_>) -> Result<(), CodecError> {
    if !bits.bit()? {
        return Ok(());
    }
    for _ in 0..MAX_COMMANDS {
        if bits.ue_up_to(3, "modification_of_pic_nums_idc")? == 3 {
            return Ok(());
        }
        bits.ue()?; // abs_diff_pic_num_minus1 or long_term_pic_num
    }
    Err(CodecError::Value("the number of list modifications"))
}

/// 7.3.3.2.
fn skip_weights(
    bits: &mut NalBits<'_>,
    kind: SliceType,
    refs: [u32; 2],
    has_chroma: bool,
) -> Result<(), CodecError> {
    bits.ue_up_to(7, "luma_log2_weight_denom")?;
    if has_chroma {
        bits.ue_up_to(7, "chroma_log2_weight_denom")?;
    }
    let lists = if kind == SliceType::B { 2 } else { 1 };
    for entries in refs.into_iter().take(lists) {
        for _ in 0..=entries {
            if bits.bit()? {
                (0..2).try_for_each(|_| bits.skip_se())?;
            }
            if has_chroma && bits.bit()? {
                (0..4).try_for_each(|_| bits.skip_se())?;
            }
        }
    }
    Ok(())
}

/// 7.3.3.3.
fn skip_marking(bits: &mut NalBits<'_>, is_idr: bool) -> Result<(), CodecError> {
    if is_idr {
        bits.bits(2)?; // no_output_of_prior_pics_flag, long_term_reference_flag
        return Ok(());
    }
    if !bits.bit()? {
        return Ok(());
    }
    for _ in 0..MAX_COMMANDS {
        let operands = match bits.ue_up_to(6, "memory_management_control_operation")? {
            0 => return Ok(()),
            3 => 2,
            5 => 0,
            _ => 1,
        };
        (0..operands).try_for_each(|_| bits.ue().map(|_| ()))?;
    }
    Err(CodecError::Value("the number of marking operations"))
}

/// From `slice_qp_delta` on.
fn read_end(
    bits: &mut NalBits<'_>,
    kind: SliceType,
    sps: &Sps,
    pps: &Pps,
) -> Result<(), CodecError> {
    bits.skip_se()?; // slice_qp_delta
    if kind == SliceType::Sp {
        bits.bit()?; // sp_for_switch_flag
    }
    if matches!(kind, SliceType::Sp | SliceType::Si) {
        bits.skip_se()?; // slice_qs_delta
    }
    if pps.has_deblocking_control && bits.ue_up_to(2, "disable_deblocking_filter_idc")? != 1 {
        bits.skip_se()?; // slice_alpha_c0_offset_div2
        bits.skip_se()?; // slice_beta_offset_div2
    }
    if let Some(rate) = pps.slice_group_change_rate {
        // Ceil(Log2(PicSizeInMapUnits ÷ SliceGroupChangeRate + 1)) bits (7-35), the quotient
        // not rounded: the smallest n with 2^n ≥ quotient + 1.
        let values = sps.map_units.div_ceil(rate);
        bits.bits((u64::BITS - values.leading_zeros()).min(32))?;
    }
    Ok(())
}
