//! Common encryption of samples (ISO/IEC 23001-7:2016).
//!
//! Which bytes of a sample are protected ([`Subsample`]), under which IV ([`SampleIv`]), by
//! which cipher ([`TrackCipher`]), and how the file says so ([`SampleInfo`], [`Tenc`], [`Seig`]).

mod cipher;
mod iv;
mod sample_info;
mod seig;
mod subsample;
mod tenc;

pub use cipher::{MapMismatch, TrackCipher};
pub use iv::{IvError, IvRanges, SampleIv};
pub use sample_info::{SampleInfo, SampleInfoError};
pub use seig::{FIRST_LOCAL_INDEX, GROUPING, Seig};
pub use subsample::{Subsample, map};
pub use tenc::Tenc;
