//! One track of a stream while it waits for a cut.

use super::super::reader::{StreamSample, TrackSamples};
use super::{CutFault, SAME_TIME_NS, TrackPart};
use crate::cmaf::Entry;
use crate::codec::TrackCodec;
use crate::input::Track;
use std::collections::VecDeque;

/// Decode time may be so far behind the time of play: pictures are stored in another order.
const MAX_REORDER_NS: i128 = 10_000_000_000;

/// One track.
pub(super) struct Lane {
    /// The track's id.
    pub track: u32,
    pub is_video: bool,
    timescale: u32,
    /// What the channel's edit list takes off each time of play, ticks.
    media_time: i64,
    /// Added to each decode time of the stream, ticks.
    offset: i64,
    waiting: VecDeque<StreamSample>,
    bytes: Vec<u8>,
}

/// Whether a track can be cut at a moment.
pub(super) enum Look {
    /// Before this sample.
    Found(usize),
    /// Not at this moment.
    Never,
    /// The samples are not there yet.
    NotYet,
}

impl Lane {
    pub fn new(track: &Track, media_time: u64) -> Self {
        let signed = |ticks| i64::try_from(ticks).unwrap_or(i64::MAX);
        let media_time = signed(media_time);
        let own = signed(track.edit.media_time);
        let offset = signed(track.edit.delay).saturating_add(media_time).saturating_sub(own);
        Self {
            track: track.id,
            is_video: matches!(track.codec, TrackCodec::Video(_)),
            timescale: track.timescale.get(),
            media_time,
            offset,
            waiting: VecDeque::new(),
            bytes: Vec::new(),
        }
    }

    /// Takes samples. Where they do not begin where the last one ended, that one lasts until they
    /// do.
    pub fn push(&mut self, new: TrackSamples) -> Result<(), CutFault> {
        if let (Some(last), Some(first)) = (self.waiting.back_mut(), new.samples.first()) {
            let lasts = first.decode_time.checked_sub(last.decode_time);
            let lasts = lasts.filter(|lasts| *lasts > 0).and_then(|lasts| lasts.try_into().ok());
            last.duration = lasts.ok_or(CutFault::TimeGoesBack {
                track: self.track,
                reached: last.decode_time,
                told: first.decode_time,
            })?;
        }
        self.waiting.extend(new.samples);
        self.bytes.extend_from_slice(&new.bytes);
        Ok(())
    }

    /// Plays everything that waits, and what comes, so much later.
    pub fn shift(&mut self, by_ns: i128) {
        let ticks = (by_ns * i128::from(self.timescale)).div_euclid(1_000_000_000);
        self.offset = self.offset.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX));
    }

    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Key frames with their times of play.
    pub fn key_frames(&self) -> impl Iterator<Item = (usize, i128)> {
        let all = self.waiting.iter().enumerate().filter(|(_, sample)| sample.is_sync);
        all.map(|(at, sample)| (at, self.plays_ns(sample)))
    }

    /// First and last decode time.
    pub fn span_ns(&self) -> Option<(i128, i128)> {
        let (first, last) = (self.waiting.front()?, self.waiting.back()?);
        Some((self.to_ns(self.decodes(first)), self.to_ns(self.decodes(last))))
    }

    pub fn look(&self, cut_ns: i128) -> Look {
        if !self.is_video {
            let behind = |sample| self.plays_ns(sample) >= cut_ns - SAME_TIME_NS;
            return self.waiting.iter().position(behind).map_or(Look::NotYet, Look::Found);
        }
        for (at, plays_ns) in self.key_frames() {
            if (plays_ns - cut_ns).abs() <= SAME_TIME_NS {
                return Look::Found(at);
            }
            if plays_ns > cut_ns {
                return Look::Never;
            }
        }
        let is_past = self.span_ns().is_some_and(|(_, last)| last > cut_ns + MAX_REORDER_NS);
        if is_past { Look::Never } else { Look::NotYet }
    }

    pub fn drop_first(&mut self, count: usize) {
        let gone: usize = self.waiting.drain(..count.min(self.waiting.len())).map(size).sum();
        self.bytes.drain(..gone.min(self.bytes.len()));
    }

    /// Takes the first samples as a part of a segment.
    pub fn take(&mut self, count: usize) -> TrackPart {
        let first = self.waiting.front().copied();
        let decode_time = first.as_ref().map_or(0, |first| unsigned(self.decodes(first)));
        let begin_ts = first.as_ref().map_or(0, |first| unsigned(self.plays(first)));
        let taken: Vec<_> = self.waiting.drain(..count.min(self.waiting.len())).collect();
        let lasts = taken.iter().fold(0_u64, |sum, one| sum.saturating_add(one.duration.into()));
        let next = self.waiting.front().map(|next| unsigned(self.plays(next)));
        let duration_ts = next.map_or(lasts, |next| next.saturating_sub(begin_ts));
        let bytes: usize = taken.iter().copied().map(size).sum();
        let entry = |one: StreamSample| Entry {
            duration: one.duration,
            size: one.size,
            composition: one.composition,
            is_sync: one.is_sync,
        };
        TrackPart {
            decode_time,
            begin_ts,
            duration_ts,
            samples: taken.into_iter().map(entry).collect(),
            bytes: self.bytes.drain(..bytes.min(self.bytes.len())).collect(),
        }
    }

    fn decodes(&self, sample: &StreamSample) -> i128 {
        i128::from(sample.decode_time) + i128::from(self.offset)
    }

    fn plays(&self, sample: &StreamSample) -> i128 {
        self.decodes(sample) + i128::from(sample.composition) - i128::from(self.media_time)
    }

    fn plays_ns(&self, sample: &StreamSample) -> i128 {
        self.to_ns(self.plays(sample))
    }

    fn to_ns(&self, ticks: i128) -> i128 {
        ticks * 1_000_000_000 / i128::from(self.timescale)
    }
}

const fn size(sample: StreamSample) -> usize {
    sample.size as usize
}

/// A time of the channel is never before its begin.
fn unsigned(ticks: i128) -> u64 {
    u64::try_from(ticks.max(0)).unwrap_or(u64::MAX)
}
