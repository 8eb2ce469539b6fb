//! The packager from source to package, in memory, on sources made in code.

#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "sources are small and made here; a helper of tests may panic"
)]

mod ad_cues;
mod clear_lead;
mod clip;
mod damage;
mod descriptions;
mod images;
mod key_frames;
mod live;
mod packages;
mod refusals;
mod rotation;
mod sound;
mod subtitles;
mod trick_track;
