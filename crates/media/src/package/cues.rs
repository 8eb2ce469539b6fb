//! Where parts of a title begin: at the first common sync sample at or after each cue.

use super::cut::SAME_TIME_NS;
use super::error::CueFault;

/// A cue is followed by a common sync sample within so many segment lengths.
const MAX_WAIT: i128 = 2;

/// The cues of a title while its ladder is cut.
pub(super) struct Cues {
    /// In order, milliseconds.
    cues_ms: Vec<u64>,
    /// Where the title begins on the clock of the sources.
    shift_ns: i128,
    /// Segments of the ladder with which parts begin, as many as cues are met.
    begins: Vec<usize>,
}

impl Cues {
    pub fn new(cues_ms: &[u64], shift_ns: i128) -> Self {
        let mut cues_ms = cues_ms.to_vec();
        cues_ms.sort_unstable();
        Self { cues_ms, shift_ns, begins: Vec::new() }
    }

    fn next(&self) -> Option<(u64, i128)> {
        let cue_ms = *self.cues_ms.get(self.begins.len())?;
        Some((cue_ms, i128::from(cue_ms) * 1_000_000 + self.shift_ns))
    }

    /// Whether the ladder is to be cut here, if it can.
    pub fn wants(&self, ns: i128) -> bool {
        self.next().is_some_and(|(_, cue)| cue <= ns + SAME_TIME_NS)
    }

    /// The ladder is cut here, before the segment `index`, in segments of `target`.
    pub fn cut_at(&mut self, ns: i128, index: usize, target: i128) -> Result<(), CueFault> {
        if !self.wants(ns) {
            return Ok(());
        }
        let Some((cue_ms, cue)) = self.next() else { return Ok(()) };
        if ns - cue > MAX_WAIT * target {
            return Err(CueFault::NoSync { cue_ms });
        }
        self.begins.push(index);
        match self.next() {
            Some((second_ms, second)) if second <= ns + SAME_TIME_NS => {
                Err(CueFault::SameSegment { first_ms: cue_ms, second_ms })
            }
            _ => Ok(()),
        }
    }

    /// Segments with which parts begin. Errors: a cue that is not within the title, or behind
    /// its last common sync sample.
    pub fn begins(&self, end_ns: i128) -> Result<&[usize], CueFault> {
        let end_ms = u64::try_from((end_ns - self.shift_ns) / 1_000_000).unwrap_or(0);
        let is_outside = |cue_ms: &&u64| **cue_ms == 0 || **cue_ms >= end_ms;
        if let Some(cue_ms) = self.cues_ms.iter().find(is_outside) {
            return Err(CueFault::Outside { cue_ms: *cue_ms, end_ms });
        }
        if let Some((cue_ms, _)) = self.next() {
            return Err(CueFault::NoSync { cue_ms });
        }
        Ok(&self.begins)
    }
}
