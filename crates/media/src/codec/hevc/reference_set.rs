//! Short-term reference picture sets (7.3.7 and 7.4.8). A set may be told as the difference from
//! an earlier one; so their pictures, not only their lengths, must be known.

use crate::codec::CodecError;
use crate::codec::nal_bits::NalBits;

/// Pictures that a set can name: the largest decoded picture buffer (A.4.2).
pub(super) const MAX_PICTURES: u32 = 16;
/// Largest distance between two pictures of a set, less one.
const MAX_DISTANCE: u32 = 0x7fff;

/// The pictures that a picture may refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReferenceSet(Vec<Reference>);

/// Those before the picture come first, then those after it; in both the nearest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference {
    /// Distance in output order: below 0 is before.
    distance: i32,
    /// By the picture itself, not only by later ones.
    is_used: bool,
}

/// Where a set stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Sps,
    SliceHeader,
}

impl ReferenceSet {
    /// Pictures that the current picture itself may refer to.
    pub fn used(&self) -> u32 {
        self.0.iter().map(|reference| u32::from(reference.is_used)).sum()
    }

    /// Reads the set behind those of `earlier`, which are of the same SPS.
    pub fn read(
        bits: &mut NalBits<'_>,
        earlier: &[Self],
        place: Place,
    ) -> Result<Self, CodecError> {
        let set = if !earlier.is_empty() && bits.bit()? {
            Self::read_difference(bits, earlier, place)?
        } else {
            Self::read_list(bits)?
        };
        if set.0.len() > MAX_PICTURES as usize {
            return Err(CodecError::Value("a reference picture set"));
        }
        Ok(set)
    }

    fn read_list(bits: &mut NalBits<'_>) -> Result<Self, CodecError> {
        let before = bits.ue_up_to(MAX_PICTURES, "num_negative_pics")?;
        let after = bits.ue_up_to(MAX_PICTURES - before, "num_positive_pics")?;
        let mut set = Vec::new();
        for (count, sign) in [(before, -1), (after, 1)] {
            let mut distance = 0;
            for _ in 0..count {
                distance += sign * read_distance(bits)?;
                set.push(Reference { distance, is_used: bits.bit()? });
            }
        }
        Ok(Self(set))
    }

    /// Equations 7-61 and 7-62: each picture of the other set and the picture that the other set
    /// was for, seen from here.
    fn read_difference(
        bits: &mut NalBits<'_>,
        earlier: &[Self],
        place: Place,
    ) -> Result<Self, CodecError> {
        let back = match place {
            Place::Sps => 0,
            Place::SliceHeader => bits.ue()?,
        };
        let other = earlier.iter().rev().nth(back as usize);
        let other = other.ok_or(CodecError::Value("delta_idx_minus1"))?;
        let is_before = bits.bit()?;
        let shift = read_distance(bits)? * if is_before { -1 } else { 1 };
        let mut set = Vec::new();
        for distance in other.0.iter().map(|reference| reference.distance).chain([0]) {
            let is_used = bits.bit()?;
            let is_kept = is_used || bits.bit()?;
            if is_kept && distance + shift != 0 {
                set.push(Reference { distance: distance + shift, is_used });
            }
        }
        set.sort_by_key(|reference| (reference.distance > 0, reference.distance.abs()));
        Ok(Self(set))
    }
}

fn read_distance(bits: &mut NalBits<'_>) -> Result<i32, CodecError> {
    let less_one = bits.ue_up_to(MAX_DISTANCE, "a distance of pictures")?;
    Ok(less_one.cast_signed() + 1)
}
