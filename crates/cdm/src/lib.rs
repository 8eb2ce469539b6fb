//! The reference CDM: what a content decryption module does, in a module that an app can only
//! hand bytes to.
//!
//! It models the trusted environment (R160): licenses go in, keys stay in, samples are decrypted
//! inside. It takes initialization segments ([`Track`]), speaks Clear Key, and as a device Widevine,
//! PlayReady and FairPlay ([`System`]), keeps the keys of licenses in sessions ([`Sessions`]) and decrypts media
//! segments where they lie, for as long as the licenses allow.
//!
//! An app does not call it: it sends [`protocol::Command`]s to a process of their own, which a
//! [`Module`] answers. No I/O, no clock: the process around it has those.

mod clearkey;
mod clock;
mod exchange;
pub mod fairplay;
mod groups;
mod module;
mod persistence;
pub mod playready;
pub mod protocol;
mod record;
mod sample_infos;
pub mod segment;
mod sessions;
mod system;
mod track;
mod usage;
mod walk;
pub mod widevine;

pub use module::Module;
pub use persistence::{KeptRecord, MAX_RECORDS, MAX_STATE_BYTES, RecordKind, StateError};
pub use record::{KeptId, Origin, SessionType};
pub use segment::{MAX_SEGMENT_BYTES, SegmentError};
pub use sessions::{
    CdmError, KeyStatus, MAX_SESSIONS, Message, MessageKind, Opened, Restored, SessionId, Sessions,
    Updated,
};
pub use system::System;
pub use track::{InitError, MAX_INIT_BYTES, Protection, Track};
