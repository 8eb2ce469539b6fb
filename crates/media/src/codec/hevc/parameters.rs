//! The parameter sets that a stream has sent.

use super::picture::Pps;
use super::sequence::Sps;
use crate::codec::parameter_sets::{self, PictureSet, SequenceSet};

/// The parameter sets that a stream has sent so far.
pub type ParameterSets = parameter_sets::ParameterSets<Sps, Pps>;

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
