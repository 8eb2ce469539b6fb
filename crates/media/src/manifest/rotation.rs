//! How the keys of a title change, as manifests say it: in band, by `seig` and `pssh` in the media
//! (ISO/IEC 23001-7:2016, 6), or by periods of the MPD, each with a key of its own.

use super::periods::SAME_TIME_NS;
use super::presentation::{TrackProtection, TrackRendition};
use crate::pssh::{KeyNames, NamedKey};
use model::{KeyId, Rotation, Scheme};

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
    /// Whether these are all the periods that there will ever be.
    pub is_whole: bool,
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
    /// Whether inits name every key that there will ever be.
    #[must_use]
    pub fn is_one_batch(&self) -> bool {
        let last = self.turns.last().map_or(0, |turn| turn.period);
        self.is_whole && self.of.batch_of(last) == 0
    }

    /// The names of one scheme.
    #[must_use]
    pub fn names_of(&self, scheme: Scheme) -> Option<&KeyNames> {
        self.names.iter().find(|names| names.scheme == scheme)
    }

    /// The keys that the inits of a scheme name, and the descriptors of an MPD that speak for the
    /// whole title.
    #[must_use]
    pub fn init_keys(&self, scheme: Scheme) -> Vec<NamedKey> {
        self.names_of(scheme).map(|names| names.init(self.of, self.is_whole)).unwrap_or_default()
    }

    /// The keys that a batch names in a scheme.
    #[must_use]
    pub fn batch_keys(&self, scheme: Scheme, batch: u32) -> Vec<NamedKey> {
        self.names_of(scheme).map(|names| names.batch(self.of, batch)).unwrap_or_default()
    }

    /// The key of a track in a period.
    #[must_use]
    pub fn key_in(&self, protection: &TrackProtection, period: u32) -> Option<NamedKey> {
        self.names_of(protection.scheme)?.in_period(period, protection.class)
    }

    /// The keys of all periods of a track.
    pub(crate) fn period_kids(&self, protection: TrackProtection) -> Vec<KeyId> {
        let periods = self.names_of(protection.scheme).into_iter().flat_map(|one| &one.periods);
        let keys = periods.filter_map(|(_, keys)| keys.get(&protection.class));
        keys.map(|key| key.kid).collect()
    }

    /// The periods of segments that begin at these times, which ascend.
    pub(crate) fn periods_at(&self, begins: impl Iterator<Item = u64>, timescale: u32) -> Vec<u32> {
        let mut turns = self.turns.iter().peekable();
        let mut period = self.turns.first().map_or(0, |turn| turn.period);
        let of_begin = |ticks: u64| {
            let ns = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
            let is_begun = |turn: &&Turn| u128::from(turn.start_ns) <= ns + SAME_TIME_NS;
            while let Some(turn) = turns.next_if(is_begun) {
                period = turn.period;
            }
            period
        };
        begins.map(of_begin).collect()
    }

    /// The period of each segment of a track.
    pub(crate) fn periods_of(&self, track: &TrackRendition) -> Vec<u32> {
        self.periods_at(track.begins(), track.timescale)
    }
}
