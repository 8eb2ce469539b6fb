//! NAL units behind length fields, as samples hold them (ISO/IEC 14496-15:2022, 4.3.3).

use super::{CodecError, Run};
use crate::input::{Malformed, What};

/// What kind of NAL unit it is, as far as encryption cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nal {
    /// A coded slice or slice segment; the number of bytes from the NAL header to the end of the
    /// slice's own header, alignment included.
    Slice {
        /// Bytes to leave in the clear.
        header_len: usize,
    },
    /// Parameter set, SEI, delimiter, filler, Dolby Vision metadata: no picture content, stays
    /// clear.
    Other,
}

/// Splits a sample into its NAL units; `read` says of each what it is.
///
/// Shape: `runs` is emptied and filled; it covers the sample exactly.
/// Errors: [`Malformed::NalLengths`] where the lengths do not fill the sample exactly; those of
/// `read`.
pub(super) fn each_nal(
    sample: &[u8],
    length_size: usize,
    runs: &mut Vec<Run>,
    mut read: impl FnMut(&[u8]) -> Result<Nal, CodecError>,
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
        let clear = match read(nal)? {
            Nal::Slice { header_len } => header_len.min(nal.len()),
            Nal::Other => nal.len(),
        };
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
            each_nal(sample, size, &mut runs, |_| Ok(Nal::Other)).map(|()| runs.clone())
        };
        assert_eq!(walk(&[0, 0, 0, 2, 9, 16], 4).unwrap(), [Run { clear: 6, content: 0 }]);
        for sample in [&[0, 0, 0, 3, 9, 16][..], &[0, 0, 0, 0], &[0, 0], &[0, 0, 0, 2, 9, 16, 0]] {
            let refused = walk(sample, 4);
            assert!(matches!(refused, Err(What::Malformed(Malformed::NalLengths { .. }))));
        }
    }
}
