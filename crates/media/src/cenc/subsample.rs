//! Which bytes of a sample are protected (ISO/IEC 23001-7:2016, 9.5 and 10; CMAF,
//! ISO/IEC 23000-19, 8.2.2).
//!
//! Clear are length fields, headers, whole units without picture content: what a codec's runs say.
//! In `cbcs` the protected part takes all the rest of a slice or tile; its last bytes that fill no
//! block stay as they are. In `cenc`, and for VP9 always, it takes whole blocks, and the 1 to 15
//! bytes left over at the end are clear. Both as Shaka Packager 3 does it, byte for byte.

use crate::codec::{ProtectedEnd, Run};

/// Clear bytes, then protected ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Bytes in the clear.
    pub clear: u16,
    /// Bytes behind them that are protected.
    pub protected: u32,
}

const BLOCK: usize = 16;

/// Turns runs into subsamples; neighbors that are clear are merged, and clear bytes beyond 65 535 take several entries.
///
/// Shape: `subsamples` is emptied and filled; it covers what `runs` covers.
pub fn map(runs: &[Run], end: ProtectedEnd, subsamples: &mut Vec<Subsample>) {
    subsamples.clear();
    let mut clear = 0;
    for run in runs {
        let left_over = match end {
            ProtectedEnd::WholeBlock => run.content % BLOCK,
            ProtectedEnd::Content => 0,
        };
        clear += run.clear;
        if run.content > left_over {
            push(subsamples, clear, run.content - left_over);
            clear = 0;
        }
        clear += left_over;
    }
    if clear > 0 {
        push(subsamples, clear, 0);
    }
}

fn push(subsamples: &mut Vec<Subsample>, mut clear: usize, protected: usize) {
    loop {
        let fits = u16::try_from(clear).unwrap_or(u16::MAX);
        clear -= usize::from(fits);
        if clear == 0 {
            let protected = u32::try_from(protected).unwrap_or(u32::MAX);
            subsamples.push(Subsample { clear: fits, protected });
            return;
        }
        subsamples.push(Subsample { clear: fits, protected: 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(runs: &[(usize, usize)], end: ProtectedEnd) -> Vec<(u16, u32)> {
        let runs: Vec<_> =
            runs.iter().map(|(clear, content)| Run { clear: *clear, content: *content }).collect();
        let mut subsamples = Vec::new();
        map(&runs, end, &mut subsamples);
        subsamples.iter().map(|one| (one.clear, one.protected)).collect()
    }

    #[test]
    fn content_is_protected_to_its_last_byte() {
        assert_eq!(
            mapped(&[(6, 0), (10, 100), (9, 3)], ProtectedEnd::Content),
            [(16, 100), (9, 3)]
        );
    }

    #[test]
    fn whole_blocks_leave_the_odd_bytes_clear_behind() {
        assert_eq!(
            mapped(&[(6, 0), (10, 103), (9, 15), (8, 32)], ProtectedEnd::WholeBlock),
            [(16, 96), (7 + 9 + 15 + 8, 32)]
        );
        assert_eq!(mapped(&[(10, 17)], ProtectedEnd::WholeBlock), [(10, 16), (1, 0)]);
    }

    #[test]
    fn long_clear_runs_take_several_entries() {
        assert_eq!(
            mapped(&[(65_535, 16), (65_536, 16), (140_000, 0)], ProtectedEnd::Content),
            [(65_535, 16), (65_535, 0), (1, 16), (65_535, 0), (65_535, 0), (8_930, 0)]
        );
    }

    proptest! {
        #[test]
        fn a_map_covers_its_sample(
            runs in proptest::collection::vec((0_usize..200_000, 0_usize..300), 0..20),
        ) {
            let total: usize = runs.iter().map(|(clear, content)| clear + content).sum();
            for end in [ProtectedEnd::Content, ProtectedEnd::WholeBlock] {
                let map = mapped(&runs, end);
                let covered: usize =
                    map.iter().map(|(clear, protected)| usize::from(*clear) + *protected as usize).sum();
                prop_assert_eq!(covered, total);
                let aligned = map.iter().all(|(_, protected)| protected % 16 == 0);
                prop_assert!(end == ProtectedEnd::Content || aligned);
            }
        }
    }
}
