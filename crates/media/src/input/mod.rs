//! Reading sources: progressive and fragmented MP4.
//!
//! A source becomes a [`Movie`]: its tracks, each with its codec's facts and a compact table
//! of where its samples lie. Nothing of the sample data is read yet. Every count is checked
//! against the bytes that are really there before anything is reserved for it.

mod column;
mod fault;
mod fragments;
pub(crate) mod language;
mod movie;
mod sample_table;
mod source;
mod tables;
mod text_track;
mod track;

pub use fault::{Fault, Malformed, Place, Unsupported, What};
pub(crate) use fragments::read_one as read_fragment;
pub use language::of_tag as language_of_tag;
pub(crate) use movie::StreamedMovie;
pub use movie::{Movie, read};
pub use sample_table::{Sample, SampleTable, Samples};
pub(crate) use source::Source;
pub use source::{Input, NamedInput};
pub use text_track::TextTrack;
pub use track::{Edit, Track, TrackFrame};
