//! Film grain parameters of a frame header (AV1, 5.9.30): passed over.

use super::sequence::Color;
use crate::codec::CodecError;
use crate::codec::header_bits::HeaderBits;

/// Points of the scaling function of luma, and of each chroma plane (6.8.20).
const MAX_POINTS: (u32, u32) = (14, 10);

/// Passes over `film_grain_params` of a frame that can be shown.
pub(super) fn skip(
    bits: &mut HeaderBits<'_>,
    color: &Color,
    is_inter: bool,
) -> Result<(), CodecError> {
    if !bits.flag()? {
        return Ok(());
    }
    bits.skip(16)?; // grain_seed
    if is_inter && !bits.flag()? {
        return bits.skip(3); // film_grain_params_ref_idx
    }
    let luma = skip_points(bits, MAX_POINTS.0)?;
    let is_scaled_from_luma = !color.is_monochrome && bits.flag()?;
    let is_without_chroma = color.is_monochrome
        || is_scaled_from_luma
        || color.is_subsampled == (true, true) && luma == 0;
    let (mut cb, mut cr) = (0, 0);
    if !is_without_chroma {
        cb = skip_points(bits, MAX_POINTS.1)?;
        cr = skip_points(bits, MAX_POINTS.1)?;
    }
    bits.skip(2)?; // grain_scaling_minus_8
    let lag = bits.f(2)?;
    let luma_coefficients = 2 * lag * (lag + 1);
    let has_luma = luma > 0;
    if has_luma {
        bits.skip(8 * luma_coefficients)?;
    }
    let chroma_coefficients = luma_coefficients + u32::from(has_luma);
    for points in [cb, cr] {
        if is_scaled_from_luma || points > 0 {
            bits.skip(8 * chroma_coefficients)?;
        }
    }
    bits.skip(4)?; // ar_coeff_shift_minus_6, grain_scale_shift
    for points in [cb, cr] {
        if points > 0 {
            bits.skip(25)?; // multipliers and offset
        }
    }
    bits.skip(2) // overlap_flag, clip_to_restricted_range
}

fn skip_points(bits: &mut HeaderBits<'_>, max: u32) -> Result<u32, CodecError> {
    let points = bits.f(4)?;
    if points > max {
        return Err(CodecError::Value("the number of film grain points"));
    }
    bits.skip(16 * points)?;
    Ok(points)
}
