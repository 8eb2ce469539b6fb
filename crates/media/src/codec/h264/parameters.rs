//! Sequence and picture parameter sets, read as far as slice headers depend on them.

use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;
use crate::codec::parameter_sets::{self, PictureSet, SequenceSet, cropped};

const MAX_SPS: u32 = 31;
const MAX_PPS: u32 = 255;
/// Macroblocks on one side of a picture, less one: more than the largest level allows (table A-1).
const MAX_SIDE: u32 = 1055;
/// Largest `num_ref_idx_…_active_minus1` (7.4.2.2).
pub(super) const MAX_REF_INDEX: u32 = 31;

/// The parameter sets that a stream has sent so far.
pub type ParameterSets = parameter_sets::ParameterSets<Sps, Pps>;

/// Sequence parameter set (7.3.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    pub(super) separate_colour_planes: bool,
    pub(super) has_chroma: bool,
    pub(super) frame_num_bits: u32,
    pub(super) order_count: OrderCount,
    pub(super) frame_mbs_only: bool,
    pub(super) map_units: u64,
    /// Pixels across and down, after cropping.
    pub(super) picture: (u32, u32),
}

/// `pic_order_cnt_type` with what a slice header needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderCount {
    Lsb { bits: u32 },
    Delta { always_zero: bool },
    Implied,
}

/// Picture parameter set (7.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    pub(super) sps: u32,
    pub(super) is_cabac: bool,
    pub(super) has_bottom_field_order: bool,
    /// `slice_group_change_rate`, of the slice group types that change.
    pub(super) slice_group_change_rate: Option<u64>,
    pub(super) default_refs: [u32; 2],
    pub(super) weighted_prediction: bool,
    pub(super) weighted_biprediction: bool,
    pub(super) has_deblocking_control: bool,
    pub(super) has_redundant_count: bool,
}

impl SequenceSet for Sps {
    fn shown(&self) -> (u32, u32) {
        self.picture
    }
}

impl PictureSet for Pps {
    fn sequence(&self) -> u32 {
        self.sps
    }
}

fn payload(nal: &[u8]) -> NalBits<'_> {
    NalBits::new(nal.get(1..).unwrap_or_default())
}

/// Reads a sequence parameter set, NAL header included; with its id.
pub(super) fn read_sps(nal: &[u8]) -> Result<(u32, Sps), CodecError> {
    let mut bits = payload(nal);
    let profile = bits.bits(8)?;
    bits.bits(16)?; // constraint flags and level
    let id = bits.ue_up_to(MAX_SPS, "seq_parameter_set_id")?;
    let mut chroma_format = 1;
    let mut separate_colour_planes = false;
    if matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244) {
        chroma_format = bits.ue_up_to(3, "chroma_format_idc")?;
        separate_colour_planes = chroma_format == 3 && bits.bit()?;
        bits.ue()?; // bit_depth_luma_minus8
        bits.ue()?; // bit_depth_chroma_minus8
        bits.bit()?; // qpprime_y_zero_transform_bypass_flag
        if bits.bit()? {
            skip_scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    let frame_num_bits = bits.ue_up_to(12, "log2_max_frame_num_minus4")? + 4;
    let order_count = read_order_count(&mut bits)?;
    bits.ue()?; // max_num_ref_frames
    bits.bit()?; // gaps_in_frame_num_value_allowed_flag
    let width = bits.ue_up_to(MAX_SIDE, "pic_width_in_mbs_minus1")? + 1;
    let height = bits.ue_up_to(MAX_SIDE, "pic_height_in_map_units_minus1")? + 1;
    let frame_mbs_only = bits.bit()?;
    if !frame_mbs_only {
        bits.bit()?; // mb_adaptive_frame_field_flag
    }
    bits.bit()?; // direct_8x8_inference_flag
    let fields = if frame_mbs_only { 1 } else { 2 };
    let mut picture = (width * 16, height * 16 * fields);
    if bits.bit()? {
        let chroma = if separate_colour_planes { 0 } else { chroma_format };
        let unit = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
        let [left, right, top, bottom] = [bits.ue(), bits.ue(), bits.ue(), bits.ue()];
        // 7.4.2.1.1, equations 7-19 to 7-22: offsets count in units of chroma samples.
        let width = cropped(picture.0, left?, right?, unit.0);
        let height = cropped(picture.1, top?, bottom?, unit.1 * fields);
        picture = width.zip(height).ok_or(CodecError::Value("the cropping rectangle"))?;
    }
    let sps = Sps {
        separate_colour_planes,
        has_chroma: chroma_format != 0 && !separate_colour_planes,
        frame_num_bits,
        order_count,
        frame_mbs_only,
        map_units: u64::from(width) * u64::from(height),
        picture,
    };
    Ok((id, sps))
}

fn read_order_count(bits: &mut NalBits<'_>) -> Result<OrderCount, CodecError> {
    match bits.ue_up_to(2, "pic_order_cnt_type")? {
        0 => {
            let lsb = bits.ue_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")? + 4;
            Ok(OrderCount::Lsb { bits: lsb })
        }
        1 => {
            let always_zero = bits.bit()?;
            bits.skip_se()?; // offset_for_non_ref_pic
            bits.skip_se()?; // offset_for_top_to_bottom_field
            let cycle = bits.ue_up_to(255, "num_ref_frames_in_pic_order_cnt_cycle")?;
            (0..cycle).try_for_each(|_| bits.skip_se())?;
            Ok(OrderCount::Delta { always_zero })
        }
        _ => Ok(OrderCount::Implied),
    }
}

/// 7.3.2.1.1.1: the first six lists have 16 entries, the others 64; a list may end early.
fn skip_scaling_lists(bits: &mut NalBits<'_>, count: usize) -> Result<(), CodecError> {
    for list in 0..count {
        if !bits.bit()? {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.se()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Ok(())
}

/// Reads a picture parameter set, NAL header included; with its id.
pub(super) fn read_pps(nal: &[u8]) -> Result<(u32, Pps), CodecError> {
    let mut bits = payload(nal);
    let id = bits.ue_up_to(MAX_PPS, "pic_parameter_set_id")?;
    let sps = bits.ue_up_to(MAX_SPS, "seq_parameter_set_id")?;
    let is_cabac = bits.bit()?;
    let has_bottom_field_order = bits.bit()?;
    let slice_groups = bits.ue_up_to(7, "num_slice_groups_minus1")?;
    let slice_group_change_rate =
        if slice_groups > 0 { read_slice_groups(&mut bits, slice_groups)? } else { None };
    let default_refs = [
        bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l0_default_active_minus1")?,
        bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l1_default_active_minus1")?,
    ];
    let weighted_prediction = bits.bit()?;
    let weighted_biprediction = bits.bits(2)? == 1;
    bits.skip_se()?; // pic_init_qp_minus26
    bits.skip_se()?; // pic_init_qs_minus26
    bits.skip_se()?; // chroma_qp_index_offset
    let has_deblocking_control = bits.bit()?;
    bits.bit()?; // constrained_intra_pred_flag
    let pps = Pps {
        sps,
        is_cabac,
        has_bottom_field_order,
        slice_group_change_rate,
        default_refs,
        weighted_prediction,
        weighted_biprediction,
        has_deblocking_control,
        has_redundant_count: bits.bit()?,
    };
    Ok((id, pps))
}

fn read_slice_groups(bits: &mut NalBits<'_>, groups: u32) -> Result<Option<u64>, CodecError> {
    match bits.ue_up_to(6, "slice_group_map_type")? {
        0 => (0..=groups).try_for_each(|_| bits.ue().map(|_| ()))?,
        2 => (0..groups * 2).try_for_each(|_| bits.ue().map(|_| ()))?,
        3..=5 => {
            bits.bit()?; // slice_group_change_direction_flag
            return Ok(Some(u64::from(bits.ue()?) + 1));
        }
        6 => {
            let id_bits = u32::BITS - groups.leading_zeros();
            // A picture of the largest level (6.2) has 139 264 map units.
            let units = bits.ue_up_to(139_263, "pic_size_in_map_units_minus1")? + 1;
            (0..units).try_for_each(|_| bits.bits(id_bits).map(|_| ()))?;
        }
        _ => {}
    }
    Ok(None)
}
