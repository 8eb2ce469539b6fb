//! NAL units behind length fields, as samples hold them (ISO/IEC 14496-15:2022, 4.3.3).

use super::Run;
use crate::input::{Malformed, What};

/// Splits a sample into its NAL units. `clear_len` says of each how many of its bytes, from the
/// first, are no content.
///
/// Shape: `runs` is emptied and filled; it covers the sample exactly.
/// Errors: [`Malformed::NalLengths`] where the lengths do not fill the sample exactly; those of
/// `clear_len`.
pub(super) fn each_nal(
    sample: &[u8],
    length_size: usize,
    runs: &mut Vec<Run>,
    mut clear_len: impl FnMut(&[u8]) -> Result<usize, What>,
) -> Result<(), What> {
    runs.clear();
    let mut rest = sample;
    while !rest.is_empty() {
        let fault = Malformed::NalLengths { at: sample.len() - rest.len(), size: sample.len() };
        let (length, behind) = rest.split_at_checked(length_size).ok_or(fault)?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (nal, behind) = behind.split_at_checked(length).ok_or(fault)?;
        if nal.is_empty() {
            return Err(fault.into());
        }
        let clear = clear_len(nal)?.min(nal.len());
        runs.push(Run { clear: length_size + clear, content: nal.len() - clear });
        rest = behind;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_do_not_fill_the_sample_are_refused() {
        let mut runs = Vec::new();
        let mut walk = |sample: &[u8], size| {
            each_nal(sample, size, &mut runs, |nal| Ok(nal.len())).map(|()| runs.clone())
        };
        assert_eq!(walk(&[0, 0, 0, 2, 9, 16], 4).unwrap(), [Run { clear: 6, content: 0 }]);
        for sample in [&[0, 0, 0, 3, 9, 16][..], &[0, 0, 0, 0], &[0, 0], &[0, 0, 0, 2, 9, 16, 0]] {
            let refused = walk(sample, 4);
            assert!(matches!(refused, Err(What::Malformed(Malformed::NalLengths { .. }))));
        }
    }
}
