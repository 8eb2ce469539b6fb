//! What a manifest says of a title that goes on: the dynamic MPD (ISO/IEC 23009-1:2022, 5.3.1) and
//! the live playlist (RFC 8216bis, 4.4.3 and 6.2.2).

use super::hls::line;
use super::presentation::{Presentation, TrackRendition, to_ms};
use super::xml::Element;
use model::Timestamp;

/// A title that goes on, or did: the segments of its tracks are those that can be played now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it began: the zero of its times.
    pub begins: Timestamp,
    /// When this was written.
    pub published: Timestamp,
    /// Whether nothing more comes.
    pub is_over: bool,
    /// Number of the first segment in the lists of all tracks.
    pub first_number: u64,
    /// How far back a viewer can go, seconds.
    pub window_s: u32,
    /// Shortest segment, seconds.
    pub segment_s: u32,
    /// Longest segment, seconds, rounded as a target duration is.
    pub target_s: u64,
    /// Breaks in time before the first segment in the lists.
    pub breaks_before: u64,
    /// Indexes of the segments in the lists that do not follow on the one before.
    pub breaks: Vec<usize>,
}

/// What is known of a track that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTrack {
    /// Segments, by their index, before which time jumps, and when they begin, ticks.
    pub jumps: Vec<(usize, u64)>,
    /// Peak bits per second so far; one segment of many says little.
    pub peak: u64,
    /// Average bits per second, likewise.
    pub average: u64,
}

/// Segments by which a player stays behind the newest: one to play, one in store, one on its way.
pub(crate) const DELAY_SEGMENTS: u8 = 3;

impl Live {
    /// The attributes of an MPD that say how it is followed.
    pub(super) fn mpd(&self, root: Element, presentation: &Presentation) -> Element {
        let dated = |root: Element| {
            root.with("availabilityStartTime", self.begins.to_iso8601())
                .with("publishTime", self.published.to_iso8601())
        };
        if self.is_over {
            let ends = presentation.tracks.iter().map(|track| track.end_ms());
            let end_ms = ends.max().unwrap_or(0);
            return dated(root.with("type", "static"))
                .with("mediaPresentationDuration", super::dash::duration(end_ms));
        }
        let delay_s = (self.target_s * u64::from(DELAY_SEGMENTS)).min(u64::from(self.window_s));
        let seconds = |s: u64| super::dash::duration(s * 1000);
        dated(root.with("type", "dynamic"))
            .with("minimumUpdatePeriod", seconds(u64::from(self.segment_s)))
            .with("timeShiftBufferDepth", seconds(u64::from(self.window_s)))
            .with("suggestedPresentationDelay", seconds(delay_s))
    }

    /// The head of a media playlist behind its target duration.
    pub(super) fn hls_head(&self, out: &mut String) {
        line(out, format_args!("#EXT-X-MEDIA-SEQUENCE:{}", self.first_number));
        line(out, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.breaks_before));
    }

    /// What stands before the segment at `at`, which begins at `begin_ts`.
    pub(super) fn hls_before(
        &self,
        out: &mut String,
        track: &TrackRendition,
        at: usize,
        begin_ts: u64,
    ) {
        let is_break = self.breaks.contains(&at);
        if is_break {
            line(out, format_args!("#EXT-X-DISCONTINUITY"));
        }
        if is_break || at == 0 {
            let ms = self.begins.0.saturating_add(to_ms(begin_ts, track.timescale));
            line(out, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", Timestamp(ms).to_iso8601()));
        }
    }
}

impl TrackRendition {
    /// When each segment begins, ticks.
    pub(super) fn begins(&self) -> impl Iterator<Item = u64> {
        let mut next = self.start_ts;
        self.segments.iter().enumerate().map(move |(at, segment)| {
            let begin = self.jump_at(at).unwrap_or(next);
            next = begin.saturating_add(segment.duration_ts);
            begin
        })
    }

    /// When the segment at `at` begins, where it does not follow on the one before.
    pub(super) fn jump_at(&self, at: usize) -> Option<u64> {
        let jumps = &self.live.as_ref()?.jumps;
        jumps.iter().find(|(index, _)| *index == at).map(|(_, begin)| *begin)
    }

    /// The end of the last segment, milliseconds, rounded up.
    fn end_ms(&self) -> u64 {
        let last = self.segments.last().map_or(0, |last| last.duration_ts);
        to_ms(self.begins().last().unwrap_or(0).saturating_add(last), self.timescale)
    }
}
