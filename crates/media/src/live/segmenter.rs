//! Where a stream is cut: at key frames that all its pictures have at the same time, so that a
//! player can switch at every segment; sound is cut at the same times.
//!
//! Times of the stream are moved to the channel's: the first key frame plays at the moment at
//! which it came.

mod lane;

use super::reader::TrackSamples;
use crate::cmaf::Entry;
use crate::input::Track;
use lane::{Lane, Look};
use std::num::NonZeroU32;

/// Times this close are the same: timescales round differently.
const SAME_TIME_NS: i128 = 1_000_000;
/// How long a track may be ahead of a cut.
const MAX_WAIT_NS: i128 = 90_000_000_000;
/// Bytes of samples that wait for a cut.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// How segments are made.
#[derive(Clone, Copy, Debug)]
pub struct SegmentRules {
    /// A segment lasts at least so many seconds, then to the next key frame.
    pub segment_s: u32,
    /// How long a key serves, seconds: a segment ends early at the first key frame behind the end
    /// of a period.
    pub period_s: Option<NonZeroU32>,
    /// Nothing plays before this moment of the channel, nanoseconds: the end of what there is.
    pub not_before_ns: u64,
}

/// One segment of all tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it begins, milliseconds from the begin of the channel.
    pub begin_ms: u64,
    /// What it has of each track, in their order.
    pub tracks: Vec<TrackPart>,
}

/// What a segment has of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackPart {
    /// Decode time of its first sample, in ticks of the channel.
    pub decode_time: u64,
    /// When it begins to play, ticks.
    pub begin_ts: u64,
    /// Ticks to the next segment.
    pub duration_ts: u64,
    /// Its samples; at least one.
    pub samples: Vec<Entry>,
    /// Their bytes, one behind the other.
    pub bytes: Vec<u8>,
}

/// Why a stream cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutFault {
    /// A track goes back in time, or stands still.
    #[error("track {track} goes back in time: from {reached} to {told} ticks")]
    TimeGoesBack {
        /// The track's id.
        track: u32,
        /// Where it was.
        reached: u64,
        /// Where it is.
        told: u64,
    },
    /// A track is so far behind that no segment gets whole.
    #[error("track {track} has no samples for {seconds} seconds")]
    Behind {
        /// The track's id.
        track: u32,
        /// How long the others waited.
        seconds: u64,
    },
    /// No place to cut.
    #[error(
        "there is no key frame that all pictures share for {seconds} seconds: encode with a fixed \
         key frame interval, the same in every rendition"
    )]
    NoKeyFrame {
        /// For how long.
        seconds: u64,
    },
    /// Too much waits for a place to cut.
    #[error("more than {limit} bytes wait for a key frame")]
    TooMuch {
        /// How much may.
        limit: usize,
    },
}

/// Cuts a stream.
pub struct Segmenter {
    rules: SegmentRules,
    lanes: Vec<Lane>,
    /// Index of the track whose key frames are looked at first.
    leader: usize,
    /// When the segment that is being filled begins; nothing was cut before it is known.
    begin_ns: Option<i128>,
}

impl Segmenter {
    /// Cuts these tracks. `media_times` are the starts of edit lists that the channel's inits
    /// have, which may have been made of an earlier stream.
    #[must_use]
    pub fn new(tracks: &[Track], media_times: &[u64], rules: SegmentRules) -> Self {
        let lanes: Vec<Lane> =
            tracks.iter().zip(media_times).map(|(track, time)| Lane::new(track, *time)).collect();
        let leader = lanes.iter().position(|lane| lane.is_video).unwrap_or(0);
        Self { rules, lanes, leader, begin_ns: None }
    }

    /// Takes the samples of a fragment, which came `now_ns` after the begin of the channel.
    ///
    /// Errors: [`CutFault`]. Limits: 256 MiB and 90 seconds wait for a cut.
    pub fn push(&mut self, fragment: Vec<TrackSamples>, now_ns: u64) -> Result<(), CutFault> {
        for samples in fragment {
            if let Some(lane) = self.lanes.get_mut(samples.track) {
                lane.push(samples)?;
            }
        }
        if self.begin_ns.is_none() {
            self.begin(now_ns);
        }
        Ok(())
    }

    /// The next segment that is whole.
    pub fn next_segment(&mut self) -> Result<Option<Segment>, CutFault> {
        let cut = self.begin_ns.and_then(|begin| self.cut_behind(self.earliest_end(begin), 1));
        let Some((cut_ns, firsts)) = cut else {
            self.check_waiting()?;
            return Ok(None);
        };
        let begin_ns = self.begin_ns.replace(cut_ns).unwrap_or_default();
        let parts = self.lanes.iter_mut().zip(firsts);
        let tracks = parts.map(|(lane, first)| lane.take(first)).collect();
        Ok(Some(Segment { begin_ms: ms(begin_ns), tracks }))
    }

    /// What is left at the end of the stream; nothing where a track has nothing left.
    pub fn finish(&mut self) -> Option<Segment> {
        let begin_ns = self.begin_ns.take()?;
        let is_whole = self.lanes.iter().all(|lane| lane.count() > 0);
        let mut all = || self.lanes.iter_mut().map(|lane| lane.take(lane.count())).collect();
        is_whole.then(|| Segment { begin_ms: ms(begin_ns), tracks: all() })
    }

    /// The first common key frame becomes the begin, and plays now.
    fn begin(&mut self, now_ns: u64) {
        let Some((first_ns, firsts)) = self.cut_behind(i128::MIN, 0) else { return };
        let begin_ns = i128::from(now_ns.max(self.rules.not_before_ns));
        for (lane, first) in self.lanes.iter_mut().zip(firsts) {
            lane.drop_first(first);
            lane.shift(begin_ns - first_ns);
        }
        self.begin_ns = Some(begin_ns);
    }

    /// A segment is long enough at this moment, or its key has served.
    fn earliest_end(&self, begin_ns: i128) -> i128 {
        let whole = begin_ns + i128::from(self.rules.segment_s) * 1_000_000_000;
        let period_end = self.rules.period_s.map(|period_s| {
            let period_ms = i128::from(period_s.get()) * 1000;
            (i128::from(ms(begin_ns)) / period_ms + 1) * period_ms * 1_000_000
        });
        period_end.map_or(whole, |end| end.min(whole))
    }

    /// The first moment not before `from_ns` at which all tracks can be cut, and the index of
    /// each one's first sample behind it, which leaves at least `least` before it. `None`: it is
    /// not there yet.
    fn cut_behind(&self, from_ns: i128, least: usize) -> Option<(i128, Vec<usize>)> {
        let leader = self.lanes.get(self.leader)?;
        let candidates =
            leader.key_frames().filter(|(_, at)| *at >= from_ns.saturating_sub(SAME_TIME_NS));
        for (_, cut_ns) in candidates {
            let looks = self.lanes.iter().map(|lane| lane.look(cut_ns));
            let found: Option<Option<Vec<usize>>> = looks
                .map(|look| match look {
                    Look::Found(first) => Some(Some(first)),
                    Look::Never => Some(None),
                    Look::NotYet => None,
                })
                .collect::<Option<Vec<_>>>()
                .map(|all| all.into_iter().collect());
            match found? {
                Some(firsts) if firsts.iter().all(|first| *first >= least) => {
                    return Some((cut_ns, firsts));
                }
                _ => {}
            }
        }
        None
    }

    fn check_waiting(&self) -> Result<(), CutFault> {
        let waiting: usize = self.lanes.iter().map(Lane::bytes).sum();
        if waiting > MAX_WAITING_BYTES {
            return Err(CutFault::TooMuch { limit: MAX_WAITING_BYTES });
        }
        let ahead = self.lanes.iter().filter_map(Lane::span_ns).map(|(from, to)| to - from);
        if ahead.max().unwrap_or(0) <= MAX_WAIT_NS {
            return Ok(());
        }
        let seconds = u64::try_from(MAX_WAIT_NS / 1_000_000_000).unwrap_or(0);
        let reached = self.lanes.iter().filter_map(Lane::span_ns).map(|(_, to)| to);
        let furthest = reached.max().unwrap_or(0);
        let is_behind =
            |lane: &&Lane| lane.span_ns().is_none_or(|(_, to)| furthest - to > MAX_WAIT_NS / 2);
        Err(match self.lanes.iter().find(is_behind) {
            Some(lane) => CutFault::Behind { track: lane.track, seconds },
            None => CutFault::NoKeyFrame { seconds },
        })
    }
}

/// Nanoseconds to milliseconds, rounded.
fn ms(ns: i128) -> u64 {
    u64::try_from((ns + 500_000) / 1_000_000).unwrap_or(0)
}
