//! What a live channel must know to go on after it was killed: the document `live.json`.
//!
//! It is written before the manifests that follow from it, and after the segments that it names:
//! so a channel that is begun again lists what was listed, and gives no number twice.

use super::super::error::PackageError;
use crate::cenc::SampleIv;
use crate::manifest::{DELAY_SEGMENTS, Live};
use crate::pssh::NamedKey;
use model::{ContentId, Entropy, KeyId, PackageId, Rotation, Scheme, Timestamp, TrackClass};
use serde::{Deserialize, Serialize};

/// Longest document.
pub const MAX_STATE: usize = 64 << 20;
/// The version this code writes and reads.
const VERSION: u32 = 1;
/// Where the count of starts stands in an IV; the samples of a start stand below.
const START_BITS: u32 = 48;

/// What is known of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelState {
    version: u32,
    /// The title.
    pub content_id: ContentId,
    /// The package of it.
    pub package_id: PackageId,
    /// When the event began: the zero of all its times.
    pub event_begins: Timestamp,
    /// Schemes, in the order of the package.
    pub schemes: Vec<Scheme>,
    /// Shortest segment, seconds.
    pub segment_s: u32,
    /// How far back a viewer can go, seconds.
    pub window_s: u32,
    /// How keys change.
    pub rotation: Option<Rotation>,
    /// Whether the event has ended.
    pub is_over: bool,
    /// How often it was begun.
    starts: u16,
    /// Where the IVs of `cenc` begin.
    iv_base: u64,
    /// Target duration of HLS, seconds.
    pub(super) target_s: u64,
    /// The number of the next segment, counted from 1.
    pub next_number: u64,
    /// Breaks before segments that are gone.
    breaks_gone: u64,
    /// Tracks, in their order.
    pub(super) tracks: Vec<TrackState>,
    /// Names of the keys: of the tracks, of the periods whose segments are there, and of those
    /// that follow soon.
    pub(super) names: Vec<KeyName>,
    /// Segments whose files are there, in order.
    pub(super) segments: Vec<SegmentState>,
}

/// What is known of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrackState {
    /// Its name in the package.
    pub name: String,
    /// What the edit list of its init takes off, ticks.
    pub media_time: u64,
    /// Bits per second so far under each scheme: the peak, and the average of the first segment.
    pub rates: Vec<(u64, u64)>,
}

/// The public name of a key, and what tells that it is the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyName {
    /// Absent: it names the tracks, and encrypts them where keys do not change.
    pub period: Option<u32>,
    pub scheme: Scheme,
    pub class: TrackClass,
    pub kid: KeyId,
    /// The checksum of PlayReady's headers, under either scheme: a key that is found again must
    /// be the one that it was.
    pub check: [u8; 8],
}

impl KeyName {
    /// Whether both are for the same use: one key serves it.
    pub fn is_for_the_same(&self, other: &Self) -> bool {
        (self.period, self.scheme, self.class) == (other.period, other.scheme, other.class)
    }

    /// As boxes and manifests carry it: a header of `cbcs` has no checksum.
    pub fn named(&self) -> NamedKey {
        let checksum = (self.scheme == Scheme::Cenc).then_some(self.check);
        NamedKey { kid: self.kid, checksum }
    }
}

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentState {
    pub number: u64,
    /// Whether it does not follow on the one before it.
    pub is_break: bool,
    /// From the begin of the event.
    pub begin_ms: u64,
    pub end_ms: u64,
    pub tracks: Vec<PartState>,
}

/// What is known of a track's part of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartState {
    pub begin_ts: u64,
    pub duration_ts: u64,
    /// Bytes, under each scheme.
    pub bytes: Vec<u64>,
}

/// Why a state cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It does not read back.
    #[error("live.json does not read back: {0}")]
    Unreadable(String),
    /// It is of another channel, or was begun with other settings.
    #[error("the channel was begun with another {0}; begin another one, or go on as it began")]
    Other(&'static str),
    /// The event has ended.
    #[error("the event has ended; another one needs another content id or folder")]
    Over,
    /// No IVs are left.
    #[error("the channel was begun too often")]
    TooOften,
}

/// What a channel is begun with, or gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The title.
    pub content_id: ContentId,
    /// Schemes, in the order of the package.
    pub schemes: Vec<Scheme>,
    /// Shortest segment, seconds.
    pub segment_s: u32,
    /// How far back a viewer can go, seconds.
    pub window_s: u32,
    /// How keys change.
    pub rotation: Option<Rotation>,
}

impl ChannelState {
    /// A channel that begins now.
    #[must_use]
    pub fn begin(
        settings: ChannelSettings,
        package_id: PackageId,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let mut base = [0; 8];
        entropy.fill(&mut base);
        let ChannelSettings { content_id, schemes, segment_s, window_s, rotation } = settings;
        Self {
            version: VERSION,
            content_id,
            package_id,
            event_begins: now,
            schemes,
            segment_s,
            window_s,
            rotation,
            is_over: false,
            starts: 0,
            iv_base: u64::from_be_bytes(base),
            target_s: u64::from(segment_s),
            next_number: 1,
            breaks_gone: 0,
            tracks: Vec::new(),
            names: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// Reads the document and counts the start: it is to be written again before anything is
    /// encrypted.
    ///
    /// Errors: [`StateError`]. Limits: [`MAX_STATE`].
    pub fn go_on(document: &[u8], settings: &ChannelSettings) -> Result<Self, StateError> {
        if document.len() > MAX_STATE {
            return Err(StateError::Unreadable("it is too long".to_owned()));
        }
        let mut state: Self = serde_json::from_slice(document)
            .map_err(|error| StateError::Unreadable(error.to_string()))?;
        if state.version != VERSION || !state.is_sound() {
            return Err(StateError::Unreadable("it contradicts itself".to_owned()));
        }
        let same = [
            (state.content_id == settings.content_id, "content id"),
            (state.schemes == settings.schemes, "scheme"),
            (state.segment_s == settings.segment_s, "segment length"),
            (state.window_s == settings.window_s, "window"),
            (state.rotation == settings.rotation, "key rotation"),
        ];
        if let Some((_, what)) = same.iter().find(|(is_same, _)| !is_same) {
            return Err(StateError::Other(what));
        }
        if state.is_over {
            return Err(StateError::Over);
        }
        state.starts = state.starts.checked_add(1).ok_or(StateError::TooOften)?;
        Ok(state)
    }

    /// The document.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// The end of what there is, milliseconds from the begin of the event.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.end_ms)
    }

    /// The key period of a moment, where keys change.
    #[must_use]
    pub fn period_at(&self, ms: u64) -> Option<u32> {
        self.rotation.map(|rotation| rotation.period_at(ms))
    }

    /// The key period of the last segment that is there.
    pub(super) fn last_period(&self) -> Option<u32> {
        self.segments.last().and_then(|last| self.period_at(last.begin_ms))
    }

    /// When the oldest segment that is still there begins: keys of before open nothing more.
    #[must_use]
    pub fn oldest(&self) -> Timestamp {
        let begin_ms = self.segments.first().map_or(0, |first| first.begin_ms);
        Timestamp(self.event_begins.0.saturating_add(begin_ms))
    }

    /// How many segments can be played now.
    #[must_use]
    pub fn listed_count(&self) -> usize {
        self.segments.len() - self.first_listed()
    }

    /// Whether a channel that nobody has seen yet may be shown: it has had as many segments as
    /// players keep behind the newest. A player that comes earlier has nothing in store, and
    /// whatever is late stops it. How many a window holds is another matter: where segments are
    /// long it may always be fewer.
    #[must_use]
    pub fn can_be_joined(&self) -> bool {
        self.is_over || self.next_number > u64::from(DELAY_SEGMENTS)
    }

    /// The IV of a start's sample number `at`: no two samples of a channel share one, whatever
    /// their keys and however often the channel is begun.
    pub(super) fn iv(&self, at: u64) -> Result<SampleIv, PackageError> {
        let is_left = at < 1 << START_BITS;
        let what = "no IVs are left";
        let none = || PackageError::Verification { path: self.content_id.to_string(), what };
        let number = (u64::from(self.starts) << START_BITS) | at;
        is_left.then(|| SampleIv::Short(self.iv_base.wrapping_add(number))).ok_or_else(none)
    }

    /// The first segment that players may see.
    pub(super) fn first_listed(&self) -> usize {
        let from_ms = self.end_ms().saturating_sub(u64::from(self.window_s) * 1000);
        let first = self.segments.iter().position(|segment| segment.end_ms > from_ms);
        first.unwrap_or(self.segments.len())
    }

    /// How many segments, the oldest ones, nobody plays any more: they left the window a window
    /// ago.
    pub(super) fn stale_count(&self) -> usize {
        let grace_ms = u64::from(self.window_s) * 2000;
        let until_ms = self.end_ms().saturating_sub(grace_ms);
        let stale = self.segments.iter().take_while(|segment| segment.end_ms <= until_ms).count();
        stale.min(self.first_listed())
    }

    /// Forgets the oldest segments, whose files are gone.
    pub(super) fn forget(&mut self, count: usize) {
        let gone = self.segments.drain(..count.min(self.segments.len()));
        let breaks = gone.filter(|segment| segment.is_break).count() as u64;
        self.breaks_gone = self.breaks_gone.saturating_add(breaks);
        let oldest = self.segments.first().and_then(|first| self.period_at(first.begin_ms));
        let is_there = |period| oldest.is_none_or(|oldest| period >= oldest);
        self.names.retain(|name| name.period.is_none_or(is_there));
    }

    /// What manifests say of the channel as a whole.
    pub(super) fn live(&self, now: Timestamp) -> Live {
        let first = self.first_listed();
        let (before, listed) = self.segments.split_at_checked(first).unwrap_or_default();
        let breaks = before.iter().filter(|segment| segment.is_break).count() as u64;
        let at_break = listed.iter().enumerate().filter(|(_, segment)| segment.is_break);
        Live {
            begins: self.event_begins,
            published: now,
            is_over: self.is_over,
            first_number: listed.first().map_or(self.next_number, |segment| segment.number),
            window_s: self.window_s,
            segment_s: self.segment_s,
            target_s: self.target_s,
            breaks_before: self.breaks_gone.saturating_add(breaks),
            breaks: at_break.map(|(at, _)| at).collect(),
        }
    }

    /// Whether numbers and lists fit each other.
    fn is_sound(&self) -> bool {
        let count = self.segments.len() as u64;
        let first = self.next_number.checked_sub(count).filter(|first| *first > 0);
        let numbers = first.is_some_and(|first| {
            self.segments.iter().zip(first..).all(|(segment, number)| segment.number == number)
        });
        let (tracks, schemes) = (self.tracks.len(), self.schemes.len());
        let is_whole = |segment: &SegmentState| {
            segment.tracks.len() == tracks
                && segment.tracks.iter().all(|part| part.bytes.len() == schemes)
        };
        let times = self.segments.is_sorted_by(|a, b| a.end_ms <= b.begin_ms.saturating_add(1))
            && self.segments.iter().all(|segment| segment.begin_ms <= segment.end_ms);
        let rates = self.tracks.iter().all(|track| track.rates.len() == schemes);
        numbers && times && rates && self.segments.iter().all(is_whole)
    }
}
