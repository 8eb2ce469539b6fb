//! IVs of `cenc`: one for each sample, never the same twice under one key (ISO/IEC 23001-7,
//! 9.2 and 9.3).

use super::Subsample;
use model::Entropy;
use std::collections::BTreeMap;

/// Why no IVs could be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IvError {
    /// The source of random bytes repeats itself.
    #[error("the source of random bytes does not give fresh IVs")]
    Entropy,
}

/// The IV of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleIv {
    /// 8 bytes; the block counter fills the other half of the counter block.
    Short(u64),
    /// 16 bytes; the low half counts blocks on through the samples. Only importers give such.
    Long(u128),
}

impl SampleIv {
    /// The first IV that an importer gave: an 8-byte IV is followed by zeros.
    #[must_use]
    pub fn imported(iv: [u8; 16]) -> Self {
        let [high, low] = halves(u128::from_be_bytes(iv));
        if low == 0 { Self::Short(high) } else { Self::Long(u128::from_be_bytes(iv)) }
    }

    /// The counter block with which the sample's key stream begins.
    #[must_use]
    pub fn counter_block(self) -> [u8; 16] {
        match self {
            Self::Short(iv) => (u128::from(iv) << 64).to_be_bytes(),
            Self::Long(iv) => iv.to_be_bytes(),
        }
    }

    /// Bytes of the IV in the file.
    #[must_use]
    pub const fn size(self) -> u8 {
        match self {
            Self::Short(_) => 8,
            Self::Long(_) => 16,
        }
    }

    /// The IV of the sample behind one of `len` bytes with these subsamples.
    #[must_use]
    pub fn next(self, len: usize, subsamples: &[Subsample]) -> Self {
        match self {
            Self::Short(iv) => Self::Short(iv.wrapping_add(1)),
            Self::Long(iv) => {
                let protected: u64 = subsamples.iter().map(|one| u64::from(one.protected)).sum();
                let used = if subsamples.is_empty() { len as u64 } else { protected };
                let [high, low] = halves(iv);
                let low = low.wrapping_add(used.div_ceil(16));
                Self::Long(u128::from(high) << 64 | u128::from(low))
            }
        }
    }
}

fn halves(iv: u128) -> [u64; 2] {
    let low = u64::try_from(iv & u128::from(u64::MAX)).unwrap_or(0);
    [u64::try_from(iv >> 64).unwrap_or(0), low]
}

/// The 8-byte IVs given out in one packaging run: no two tracks share one, whatever their keys.
/// Each begin with the end behind it.
#[derive(Debug, Default)]
pub struct IvRanges(BTreeMap<u64, u64>);

/// Draws before the source of randomness counts as broken: chance hits a range in use less
/// than once in 2^30 draws.
const MAX_DRAWS: usize = 16;

impl IvRanges {
    /// A random first IV for `samples` samples, none of which was given out before.
    pub fn reserve(
        &mut self,
        samples: u32,
        entropy: &mut dyn Entropy,
    ) -> Result<SampleIv, IvError> {
        for _ in 0..MAX_DRAWS {
            let mut drawn = [0; 8];
            entropy.fill(&mut drawn);
            let first = u64::from_be_bytes(drawn);
            let Some(end) = first.checked_add(u64::from(samples)) else { continue };
            // What begins last before the end is what reaches farthest: ranges are apart.
            let before = self.0.range(..end).next_back();
            if before.is_none_or(|(_, taken)| *taken <= first) {
                self.0.insert(first, end);
                return Ok(SampleIv::Short(first));
            }
        }
        Err(IvError::Entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Draws(Vec<u64>);

    impl Entropy for Draws {
        fn fill(&mut self, out: &mut [u8]) {
            let drawn = if self.0.len() > 1 { self.0.remove(0) } else { self.0[0] };
            out.copy_from_slice(&drawn.to_be_bytes());
        }
    }

    #[test]
    fn ranges_never_overlap() {
        let mut ranges = IvRanges::default();
        let mut draws = Draws(vec![1000, 1099, 901, u64::MAX - 5, 900, 1100]);
        let first = |ranges: &mut IvRanges, draws: &mut Draws| ranges.reserve(100, draws);
        assert_eq!(first(&mut ranges, &mut draws), Ok(SampleIv::Short(1000)));
        assert_eq!(first(&mut ranges, &mut draws), Ok(SampleIv::Short(900)));
        assert_eq!(first(&mut ranges, &mut draws), Ok(SampleIv::Short(1100)));
    }

    #[test]
    fn entropy_that_repeats_itself_is_refused() {
        let mut ranges = IvRanges::default();
        let mut draws = Draws(vec![7]);
        assert!(ranges.reserve(1, &mut draws).is_ok());
        assert_eq!(ranges.reserve(1, &mut draws), Err(IvError::Entropy));
    }

    #[test]
    fn imported_ivs_go_on_as_their_length_says() {
        let mut short = [0; 16];
        short[..8].copy_from_slice(&[0xff; 8]);
        let iv = SampleIv::imported(short);
        assert_eq!((iv, iv.next(5000, &[])), (SampleIv::Short(u64::MAX), SampleIv::Short(0)));
        let long = SampleIv::imported([0xff; 16]);
        let runs = [Subsample { clear: 9, protected: 32 }, Subsample { clear: 9, protected: 0 }];
        assert_eq!(long.next(50, &runs), SampleIv::Long(u128::from(u64::MAX) << 64 | 1));
        assert_eq!(long.next(17, &[]), SampleIv::Long(u128::from(u64::MAX) << 64 | 1));
    }
}
