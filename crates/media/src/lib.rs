//! Media: bytes in, bytes out.
//!
//! The packager ([`package`]) reads MP4 ([`input`]) and subtitles ([`text`]), encrypts under `cbcs`
//! and `cenc` ([`cenc`]), writes CMAF ([`cmaf`]) and pictures ([`images`]), and describes it all
//! ([`manifest`], [`pssh`]). No I/O, no
//! clock, no randomness: sources, targets, time and entropy are arguments.

pub mod bmff;
pub mod cenc;
pub mod cmaf;
pub mod codec;
pub mod images;
pub mod input;
pub mod inspect;
pub mod live;
pub mod manifest;
pub mod package;
pub mod pssh;
pub mod text;

pub use input::{Input, NamedInput};
