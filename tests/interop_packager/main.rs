//! Independent tools decide about packages: every codec, both schemes, both layouts.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests may panic"
)]

#[path = "../support/binary.rs"]
mod binary;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/protected_track.rs"]
mod protected_track;

mod audio_clips;
mod clip;
mod decrypting;
mod h264_clips;
mod hevc_clips;
mod inspecting;
mod keys;
mod ladder_codecs;
mod open_clips;
mod packaged;
mod playready;
mod rotation;
mod storing;
mod trick_play;
