//! Live: a stream that nobody knows the end of, read as it comes ([`Reader`]), cut into segments
//! that all its tracks share ([`Segmenter`]).
//!
//! Sans I/O: bytes and the time are given, samples and segments come back. What is kept is
//! bounded by named limits, however long the stream and whatever it holds.

mod rates;
mod reader;
mod segmenter;

pub(crate) use rates::without_rates;
pub use reader::{Event, Reader, StreamSample, TrackSamples};
pub use segmenter::{CutFault, Segment, SegmentRules, Segmenter, TrackPart};
