//! The slice segment header (7.3.6.1), read to its last bit.

use super::picture::{MAX_REF_INDEX, Pps};
use super::reference_set::{MAX_PICTURES, Place, ReferenceSet};
use super::sequence::Sps;
use super::{HEADER, ParameterSets};
use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;

/// Most bytes of a header extension (7.4.7.1).
const MAX_EXTENSION: u32 = 256;

/// `slice_type` (table 7-7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    B,
    P,
    I,
}

impl SliceType {
    /// Reference picture lists.
    const fn lists(self) -> usize {
        match self {
            Self::B => 2,
            Self::P => 1,
            Self::I => 0,
        }
    }
}

/// What of the picture the rest of the header depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    /// `NumPicTotalCurr` (7-55).
    references: u32,
    has_temporal_vectors: bool,
}

/// Bytes from the NAL header to the end of the slice segment header, which fills its last byte.
pub(super) fn header_len(
    nal: &[u8],
    unit_type: u8,
    sets: &ParameterSets,
) -> Result<usize, CodecError> {
    let mut bits = NalBits::new(nal.get(HEADER..).unwrap_or_default());
    let is_first = bits.bit()?;
    if matches!(unit_type, 16..=23) {
        bits.bit()?; // no_output_of_prior_pics_flag
    }
    let (sps, pps) = sets.active(bits.ue()?)?;
    let is_dependent = !is_first && pps.has_dependent_slices && bits.bit()?;
    if !is_first {
        let blocks = sps.blocks.0 * sps.blocks.1;
        if bits.bits(ceil_log2(blocks))? >= blocks {
            return Err(CodecError::Value("slice_segment_address"));
        }
    }
    if !is_dependent {
        read_independent(&mut bits, unit_type, sps, pps)?;
    }
    if pps.tiles.is_some() || pps.has_wavefronts {
        skip_entry_points(&mut bits, sps, pps)?;
    }
    if pps.has_header_extension {
        let len = bits.ue_up_to(MAX_EXTENSION, "slice_segment_header_extension_length")?;
        (0..len).try_for_each(|_| bits.bits(8).map(|_| ()))?;
    }
    bits.byte_alignment()?;
    Ok(HEADER + bits.bytes_taken())
}

/// Ceil( Log2( `n` ) ).
const fn ceil_log2(n: u32) -> u32 {
    u32::BITS - n.saturating_sub(1).leading_zeros()
}

/// What a dependent slice segment takes from the one before.
fn read_independent(
    bits: &mut NalBits<'_>,
    unit_type: u8,
    sps: &Sps,
    pps: &Pps,
) -> Result<(), CodecError> {
    bits.bits(pps.extra_header_bits)?; // slice_reserved_flag
    let kind = match bits.ue_up_to(2, "slice_type")? {
        0 => SliceType::B,
        1 => SliceType::P,
        _ => SliceType::I,
    };
    if pps.has_output_flag {
        bits.bit()?; // pic_output_flag
    }
    if sps.separate_colour_planes {
        bits.bits(2)?; // colour_plane_id
    }
    let is_idr = matches!(unit_type, 19 | 20);
    let mut picture = if is_idr { Picture::default() } else { read_picture(bits, sps)? };
    picture.references += u32::from(pps.extension.refers_to_itself);
    let has_offset =
        sps.has_sample_offset && [bits.bit()?, sps.has_chroma && bits.bit()?].contains(&true);
    if kind != SliceType::I {
        read_prediction(bits, kind, picture, sps, pps)?;
    }
    read_filters(bits, has_offset, pps)
}

/// From `slice_pic_order_cnt_lsb` to `slice_temporal_mvp_enabled_flag`.
fn read_picture(bits: &mut NalBits<'_>, sps: &Sps) -> Result<Picture, CodecError> {
    bits.bits(sps.order_count_bits)?; // slice_pic_order_cnt_lsb
    let short_term = if bits.bit()? {
        let index = bits.bits(ceil_log2(u32::try_from(sps.short_term.len()).unwrap_or(0)))?;
        let set = sps.short_term.get(index as usize);
        set.ok_or(CodecError::Value("short_term_ref_pic_set_idx"))?.used()
    } else {
        ReferenceSet::read(bits, &sps.short_term, Place::SliceHeader)?.used()
    };
    let long_term = match &sps.long_term {
        Some(known) => read_long_term(bits, known, sps.order_count_bits)?,
        None => 0,
    };
    let has_temporal_vectors = sps.has_temporal_vectors && bits.bit()?;
    Ok(Picture { references: short_term + long_term, has_temporal_vectors })
}

/// The long-term pictures; how many of them the picture itself uses. `known` are those of the
/// SPS.
fn read_long_term(
    bits: &mut NalBits<'_>,
    known: &[bool],
    order_count_bits: u32,
) -> Result<u32, CodecError> {
    let known_len = u32::try_from(known.len()).unwrap_or(0);
    let mut of_sps = 0;
    if known_len > 0 {
        of_sps = bits.ue_up_to(known_len, "num_long_term_sps")?;
    }
    let own = bits.ue_up_to(MAX_PICTURES, "num_long_term_pics")?;
    let mut used = 0;
    for at in 0..of_sps + own {
        let is_used = if at < of_sps {
            let index = bits.bits(ceil_log2(known_len))?;
            *known.get(index as usize).ok_or(CodecError::Value("lt_idx_sps"))?
        } else {
            bits.bits(order_count_bits)?; // poc_lsb_lt
            bits.bit()?
        };
        used += u32::from(is_used);
        if bits.bit()? {
            bits.ue()?; // delta_poc_msb_cycle_lt
        }
    }
    Ok(used)
}

/// From `num_ref_idx_active_override_flag` to `use_integer_mv_flag`.
fn read_prediction(
    bits: &mut NalBits<'_>,
    kind: SliceType,
    picture: Picture,
    sps: &Sps,
    pps: &Pps,
) -> Result<(), CodecError> {
    let [mut list_0, mut list_1] = pps.default_refs;
    if bits.bit()? {
        list_0 = bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l0_active_minus1")?;
        if kind == SliceType::B {
            list_1 = bits.ue_up_to(MAX_REF_INDEX, "num_ref_idx_l1_active_minus1")?;
        }
    }
    let lists = [list_0, list_1];
    if pps.has_list_modification && picture.references > 1 {
        for last in lists.into_iter().take(kind.lists()) {
            if bits.bit()? {
                let width = ceil_log2(picture.references);
                (0..=last).try_for_each(|_| bits.bits(width).map(|_| ()))?;
            }
        }
    }
    if kind == SliceType::B {
        bits.bit()?; // mvd_l1_zero_flag
    }
    if pps.has_cabac_init {
        bits.bit()?; // cabac_init_flag
    }
    if picture.has_temporal_vectors {
        let is_of_list_1 = kind == SliceType::B && !bits.bit()?;
        let last = if is_of_list_1 { list_1 } else { list_0 };
        if last > 0 {
            bits.ue_up_to(last, "collocated_ref_idx")?;
        }
    }
    let is_weighted = match kind {
        SliceType::P => pps.weighted_prediction,
        SliceType::B => pps.weighted_biprediction,
        SliceType::I => false,
    };
    if is_weighted {
        if pps.extension.refers_to_itself {
            // The table leaves out the picture itself, wherever the lists name it.
            return Err(CodecError::Unsupported("weighted prediction in self-referring pictures"));
        }
        skip_weights(bits, lists.into_iter().take(kind.lists()), sps.has_chroma)?;
    }
    bits.ue_up_to(4, "five_minus_max_num_merge_cand")?;
    if sps.slices_choose_resolution {
        bits.bit()?; // use_integer_mv_flag
    }
    Ok(())
}

/// 7.3.6.3.
fn skip_weights(
    bits: &mut NalBits<'_>,
    lists: impl Iterator<Item = u32>,
    has_chroma: bool,
) -> Result<(), CodecError> {
    bits.ue_up_to(7, "luma_log2_weight_denom")?;
    if has_chroma {
        bits.skip_se()?; // delta_chroma_log2_weight_denom
    }
    for last in lists {
        let mut flags = |is_there| {
            let flag = |_| if is_there { bits.bit() } else { Ok(false) };
            (0..=last).map(flag).collect::<Result<Vec<_>, _>>()
        };
        let (luma, chroma) = (flags(true)?, flags(has_chroma)?);
        for (has_luma, has_chroma) in luma.into_iter().zip(chroma) {
            if has_luma {
                (0..2).try_for_each(|_| bits.skip_se())?;
            }
            if has_chroma {
                (0..4).try_for_each(|_| bits.skip_se())?;
            }
        }
    }
    Ok(())
}

/// From `slice_qp_delta` to `slice_loop_filter_across_slices_enabled_flag`.
fn read_filters(bits: &mut NalBits<'_>, has_offset: bool, pps: &Pps) -> Result<(), CodecError> {
    bits.skip_se()?; // slice_qp_delta
    if pps.has_chroma_qp_offsets {
        (0..2).try_for_each(|_| bits.skip_se())?;
    }
    if pps.extension.has_colour_transform_offsets {
        (0..3).try_for_each(|_| bits.skip_se())?;
    }
    if pps.extension.has_chroma_qp_list {
        bits.bit()?; // cu_chroma_qp_offset_enabled_flag
    }
    let mut is_off = pps.deblocking.is_off;
    if pps.deblocking.can_be_overridden && bits.bit()? {
        is_off = bits.bit()?;
        if !is_off {
            (0..2).try_for_each(|_| bits.skip_se())?;
        }
    }
    if pps.filters_across_slices && (has_offset || !is_off) {
        bits.bit()?; // slice_loop_filter_across_slices_enabled_flag
    }
    Ok(())
}

fn skip_entry_points(bits: &mut NalBits<'_>, sps: &Sps, pps: &Pps) -> Result<(), CodecError> {
    let (across, down) = pps.tiles.unwrap_or((1, 1));
    let rows = if pps.has_wavefronts { sps.blocks.1 } else { down };
    let most = across.saturating_mul(rows).saturating_sub(1);
    let count = bits.ue_up_to(most, "num_entry_point_offsets")?;
    if count > 0 {
        let width = bits.ue_up_to(31, "offset_len_minus1")? + 1;
        (0..count).try_for_each(|_| bits.bits(width).map(|_| ()))?;
    }
    Ok(())
}
