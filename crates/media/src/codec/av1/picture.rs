//! The frame header from the tiles on (AV1, 5.9.15 to 5.9.25): quantization, segments, filters,
//! motion. Kept is what a later field or frame depends on.

use super::film_grain;
use super::frame::{CodedFrame, FrameType, Heading};
use super::references::{REFS, Reference, References, SEGMENTS};
use super::tiles::TileLayout;
use crate::codec::CodecError;
use crate::codec::header_bits::HeaderBits;

/// Quantizer index and what is added to it.
struct Quantizer {
    base: u32,
    /// Every difference of 5.9.12 is 0.
    is_plain: bool,
}

/// Whether all blocks are coded without loss.
#[derive(Clone, Copy)]
struct Lossless {
    /// `CodedLossless`.
    coded: bool,
    /// `AllLossless`.
    all: bool,
}

/// Reads from `tile_info` to the end of the header.
pub(super) fn read(
    bits: &mut HeaderBits<'_>,
    heading: &Heading<'_>,
    references: &References,
) -> Result<CodedFrame, CodecError> {
    let tiles = TileLayout::read(bits, heading.size, heading.sequence.use_128x128)?;
    let quantizer = read_quantizer(bits, heading)?;
    let segment_qs = read_segments(bits, heading, references)?;
    skip_deltas(bits, heading, &quantizer)?;
    let coded = is_lossless(&quantizer, &segment_qs);
    let is_unscaled = heading.size.width == heading.size.upscaled_width;
    let lossless = Lossless { coded, all: coded && is_unscaled };
    skip_filters(bits, heading, lossless)?;
    if !lossless.coded {
        bits.flag()?; // tx_mode_select
    }
    let selects_references = !heading.kind.is_intra() && bits.flag()?;
    if selects_references
        && heading.order.bits > 0
        && references.can_skip(&heading.refs, heading.order)
    {
        bits.flag()?; // skip_mode_present
    }
    let can_warp = !heading.kind.is_intra() && !heading.is_error_resilient;
    if can_warp && heading.sequence.has_warped_motion {
        bits.flag()?; // allow_warped_motion
    }
    bits.flag()?; // reduced_tx_set
    if !heading.kind.is_intra() {
        for _ in 0..REFS {
            skip_global_motion(bits, heading.has_high_precision_mv)?;
        }
    }
    if heading.sequence.has_film_grain && (heading.is_shown || heading.is_showable) {
        film_grain::skip(bits, &heading.sequence.color, heading.kind == FrameType::Inter)?;
    }
    let as_reference = Reference {
        is_key: heading.kind == FrameType::Key,
        order_hint: heading.order.current,
        size: heading.size,
        segment_qs,
    };
    Ok(CodedFrame { tiles, refresh: heading.refresh, as_reference })
}

/// `quantization_params` (5.9.12).
fn read_quantizer(
    bits: &mut HeaderBits<'_>,
    heading: &Heading<'_>,
) -> Result<Quantizer, CodecError> {
    let color = &heading.sequence.color;
    let base = bits.f(8)?;
    let mut is_plain = read_delta_q(bits)? == 0;
    if !color.is_monochrome {
        let differs = color.has_separate_uv_delta_q && bits.flag()?;
        for _ in 0..if differs { 4 } else { 2 } {
            is_plain &= read_delta_q(bits)? == 0;
        }
    }
    if bits.flag()? {
        bits.skip(8)?; // qm_y, qm_u
        if color.has_separate_uv_delta_q {
            bits.skip(4)?; // qm_v
        }
    }
    Ok(Quantizer { base, is_plain })
}

/// 5.9.13.
fn read_delta_q(bits: &mut HeaderBits<'_>) -> Result<i32, CodecError> {
    if bits.flag()? { bits.su(7) } else { Ok(0) }
}

/// Bits of each feature's value behind its sign, and whether it has a sign (5.9.14).
const FEATURES: [(u32, bool); 8] =
    [(8, true), (6, true), (6, true), (6, true), (6, true), (3, false), (0, false), (0, false)];

/// `segmentation_params` (5.9.14); of each segment what it adds to the quantizer index.
fn read_segments(
    bits: &mut HeaderBits<'_>,
    heading: &Heading<'_>,
    references: &References,
) -> Result<[Option<i32>; SEGMENTS], CodecError> {
    let mut qs = [None; SEGMENTS];
    let previous = heading.primary_ref.and_then(|index| heading.refs.get(index));
    let previous = previous.map(|slot| references.at(*slot)).transpose()?;
    if !bits.flag()? {
        return Ok(qs);
    }
    if let Some(previous) = previous {
        if bits.flag()? {
            bits.flag()?; // segmentation_temporal_update
        }
        if !bits.flag()? {
            return Ok(previous.segment_qs);
        }
    }
    for q in &mut qs {
        for (feature, (width, is_signed)) in FEATURES.into_iter().enumerate() {
            if !bits.flag()? {
                continue;
            }
            if is_signed {
                let value = bits.su(1 + width)?;
                if feature == 0 {
                    *q = Some(value);
                }
            } else {
                bits.skip(width)?;
            }
        }
    }
    Ok(qs)
}

/// `delta_q_params` and `delta_lf_params` (5.9.17, 5.9.18).
fn skip_deltas(
    bits: &mut HeaderBits<'_>,
    heading: &Heading<'_>,
    quantizer: &Quantizer,
) -> Result<(), CodecError> {
    if quantizer.base == 0 || !bits.flag()? {
        return Ok(());
    }
    bits.skip(2)?; // delta_q_res
    if !heading.has_intrabc && bits.flag()? {
        bits.skip(3)?; // delta_lf_res, delta_lf_multi
    }
    Ok(())
}

/// `CodedLossless`: each segment's index is 0 (7.12.2, `get_qidx`), with nothing added.
fn is_lossless(quantizer: &Quantizer, segment_qs: &[Option<i32>; SEGMENTS]) -> bool {
    let base = i32::try_from(quantizer.base).unwrap_or(i32::MAX);
    let is_zero = |added: &Option<i32>| base.saturating_add(added.unwrap_or(0)) <= 0;
    quantizer.is_plain && segment_qs.iter().all(is_zero)
}

/// `loop_filter_params`, `cdef_params`, `lr_params` (5.9.11, 5.9.19, 5.9.20).
fn skip_filters(
    bits: &mut HeaderBits<'_>,
    heading: &Heading<'_>,
    lossless: Lossless,
) -> Result<(), CodecError> {
    if heading.has_intrabc {
        return Ok(());
    }
    let is_monochrome = heading.sequence.color.is_monochrome;
    if !lossless.coded {
        skip_loop_filter(bits, is_monochrome)?;
        if heading.sequence.has_cdef {
            bits.skip(2)?; // cdef_damping_minus_3
            let strengths = 1 << bits.f(2)?;
            for _ in 0..strengths {
                bits.skip(if is_monochrome { 6 } else { 12 })?;
            }
        }
    }
    if !lossless.all && heading.sequence.has_restoration {
        skip_restoration(bits, heading)?;
    }
    Ok(())
}

fn skip_loop_filter(bits: &mut HeaderBits<'_>, is_monochrome: bool) -> Result<(), CodecError> {
    let levels = (bits.f(6)?, bits.f(6)?);
    if !is_monochrome && levels != (0, 0) {
        bits.skip(12)?; // loop_filter_level[ 2 ], loop_filter_level[ 3 ]
    }
    bits.skip(3)?; // loop_filter_sharpness
    if bits.flag()? && bits.flag()? {
        // 8 references and 2 modes
        for _ in 0..10 {
            if bits.flag()? {
                bits.skip(7)?;
            }
        }
    }
    Ok(())
}

fn skip_restoration(bits: &mut HeaderBits<'_>, heading: &Heading<'_>) -> Result<(), CodecError> {
    let color = &heading.sequence.color;
    let is_used_in_luma = bits.f(2)? != 0;
    let mut is_used_in_chroma = false;
    for _ in 1..color.planes() {
        is_used_in_chroma |= bits.f(2)? != 0;
    }
    if !is_used_in_luma && !is_used_in_chroma {
        return Ok(());
    }
    // lr_unit_shift, of small superblocks in two steps
    if bits.flag()? && !heading.sequence.use_128x128 {
        bits.flag()?;
    }
    if is_used_in_chroma && color.is_subsampled == (true, true) {
        bits.flag()?; // lr_uv_shift
    }
    Ok(())
}

/// Bits of a global motion parameter (`GM_ABS_ALPHA_BITS`, `GM_ABS_TRANS_BITS`).
const MOTION_BITS: u32 = 12;
/// Of a pure translation (`GM_ABS_TRANS_ONLY_BITS`).
const TRANSLATION_BITS: u32 = 9;

/// One reference's `global_motion_params` (5.9.24).
fn skip_global_motion(
    bits: &mut HeaderBits<'_>,
    has_high_precision_mv: bool,
) -> Result<(), CodecError> {
    if !bits.flag()? {
        return Ok(());
    }
    let (parameters, width) = if bits.flag()? {
        (4, MOTION_BITS) // rotation and zoom
    } else if bits.flag()? {
        (2, TRANSLATION_BITS - u32::from(!has_high_precision_mv))
    } else {
        (6, MOTION_BITS) // affine
    };
    (0..parameters).try_for_each(|_| skip_subexp(bits, (2 << width) + 1))
}

/// `decode_subexp` (5.9.28): how many bits it has does not depend on the reference's parameter.
fn skip_subexp(bits: &mut HeaderBits<'_>, symbols: u32) -> Result<(), CodecError> {
    let (mut start, mut width) = (0, 3);
    loop {
        if symbols <= start + (3 << width) {
            return bits.ns(symbols - start).map(|_| ());
        }
        if !bits.flag()? {
            return bits.skip(width);
        }
        start += 1 << width;
        if start > 8 {
            width += 1;
        }
    }
}
