//! The reference CDM: what a content decryption module does, in a module that an app can only
//! hand bytes to.
//!
//! It models the trusted environment (R160): licenses go in, keys stay in, samples are decrypted
//! inside. It takes initialization segments ([`Track`]), keeps the keys of licenses in sessions
//! ([`Sessions`]) and decrypts media segments where they lie. No I/O, no clock: the process
//! around it has those.

mod segment;
mod sessions;
mod track;
mod walk;

pub use segment::{MAX_SEGMENT_BYTES, SegmentError};
pub use sessions::{CdmError, KeyStatus, MAX_SESSIONS, SessionId, Sessions};
pub use track::{InitError, MAX_INIT_BYTES, Protection, Track};
