//! How the keys of a title change, as manifests say it: in band, by `seig` and `pssh` in the media
//! (ISO/IEC 23001-7:2016, 6), or by periods of the MPD, each with a key of its own.

use crate::pssh::KeyNames;
use model::{Rotation, Scheme};

/// How players are told that a key changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySignal {
    /// By the media itself: every fragment names its key.
    #[default]
    InBand,
    /// By manifests alone: an init and a DASH period for each key. For devices that cannot change
    /// keys within a track.
    Periods,
}

/// The changing keys of a title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// How often, and how many players ask for at once.
    pub of: Rotation,
    /// How players are told.
    pub signal: KeySignal,
    /// Where keys change, in order; the first turn is the begin of the title.
    pub turns: Vec<Turn>,
    /// The names of the keys, for each scheme.
    pub names: Vec<KeyNames>,
}

/// A place where keys change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When, nanoseconds from the begin: the begin of a segment.
    pub start_ns: u64,
    /// The period that begins.
    pub period: u32,
}

impl KeyRotation {
    /// The names of one scheme.
    #[must_use]
    pub fn names_of(&self, scheme: Scheme) -> Option<&KeyNames> {
        self.names.iter().find(|names| names.scheme == scheme)
    }
}
