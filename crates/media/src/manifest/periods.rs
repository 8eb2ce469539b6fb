//! A title in parts: the periods of an MPD (ISO/IEC 23009-1:2022, 5.3.2) and the dates of HLS
//! (RFC 8216bis, 4.4.5.1), each beginning where an advertisement may stand, or in DASH where a key
//! does that has a period of its own.

use super::hls::{line, quoted};
use super::presentation::{Presentation, SegmentEntry, TrackRendition, to_ms};
use super::rotation::{KeyRotation, KeySignal};
use super::xml::Element;

/// `schemeIdUri` of the property that says that a set goes on from another period (5.3.2.4).
pub(super) const CONTINUITY: &str = "urn:mpeg:dash:period-continuity:2015";
/// `CLASS` of the date ranges that mark cues.
pub(super) const CUE_CLASS: &str = "strongroom.ad-cue";
/// A segment that begins so little before a part belongs to it: timescales round differently.
pub(super) const SAME_TIME_NS: u128 = 1_000_000;

/// One part of a title.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Its number, counted from 0, which is the id of its period.
    pub id: usize,
    /// Where it begins, nanoseconds.
    pub start_ns: u64,
    /// Where the one before it does.
    before_ns: Option<u64>,
    /// Where the next one does.
    end_ns: Option<u64>,
    /// The whole title, microseconds.
    total_us: u64,
    /// Number of the first segment of each track.
    first_number: u64,
    /// Whether the title goes on, or did.
    is_live: bool,
    /// Its key period, where keys change with parts.
    pub key_period: Option<u32>,
}

/// The segments of a track that lie in a part.
pub(super) struct Run<'a> {
    /// Index of the first among all of the track.
    pub first: usize,
    /// Its number, counted from 1.
    pub number: u64,
    /// Where it begins, ticks.
    pub start_ts: u64,
    /// They themselves.
    pub segments: &'a [SegmentEntry],
}

/// All parts, in order; one where there is neither a cue nor a key that begins a part.
pub(super) fn parts(presentation: &Presentation) -> Vec<Part> {
    let by_parts = |one: &&KeyRotation| one.signal == KeySignal::Periods;
    let turns = presentation.rotation.as_ref().filter(by_parts).map(|one| &one.turns[..]);
    let turns = turns.unwrap_or_default();
    let mut begins: Vec<u64> = presentation.cues_ns.clone();
    begins.extend(turns.iter().skip(1).map(|turn| turn.start_ns));
    begins.sort_unstable();
    begins.dedup();
    let ends = begins.iter().copied().map(Some).chain([None]);
    let total_us = presentation.duration_ms().saturating_mul(1000);
    let first_number = presentation.live.as_ref().map_or(1, |live| live.first_number);
    let is_live = presentation.live.is_some();
    let mut before_ns = None;
    let starts = std::iter::once(0).chain(begins.iter().copied()).zip(ends).enumerate();
    starts
        .map(|(id, (start_ns, end_ns))| {
            let before_ns = before_ns.replace(start_ns);
            let begun = turns.partition_point(|turn| turn.start_ns <= start_ns);
            let turn = begun.checked_sub(1).and_then(|last| turns.get(last));
            let key_period = turn.map(|turn| turn.period);
            Part { id, start_ns, before_ns, end_ns, total_us, first_number, is_live, key_period }
        })
        .collect()
}

impl Part {
    /// The segments of `track` in it.
    pub fn run<'a>(&self, track: &'a TrackRendition) -> Run<'a> {
        let from = begun_before(track, self.start_ns);
        let until = self.end_ns.map_or(track.segments.len(), |end| begun_before(track, end));
        let before = track.segments.iter().take(from);
        let start_ts = before.fold(track.start_ts, |at, one| at.saturating_add(one.duration_ts));
        let segments = track.segments.get(from..until).unwrap_or(&[]);
        Run {
            first: from,
            number: self.first_number.saturating_add(from as u64),
            start_ts,
            segments,
        }
    }

    /// The part before it, where the tracks of a set have something in that, too.
    pub fn goes_on_from(&self, set: &[&TrackRendition]) -> Option<usize> {
        let before_ns = self.before_ns?;
        let is_there = |track: &&TrackRendition| {
            begun_before(track, self.start_ns) > begun_before(track, before_ns)
        };
        set.iter().any(is_there).then(|| self.id - 1)
    }

    /// Its begin on a track's clock.
    pub fn offset_ts(&self, timescale: u32) -> u64 {
        let ticks = u128::from(self.start_ns) * u128::from(timescale) + 500_000_000;
        u64::try_from(ticks / 1_000_000_000).unwrap_or(u64::MAX)
    }

    /// The empty `Period`. One that is alone says no times: they are those of the MPD.
    pub fn period(&self) -> Element {
        let period = Element::new("Period").with("id", self.id);
        if self.is_live {
            // Without it the first period of a dynamic MPD is not there yet (5.3.2.1).
            return period.with("start", "PT0S");
        }
        if self.is_whole() {
            return period;
        }
        let (start, end) = (self.start_us(), self.end_us());
        period.with("start", duration(start)).with("duration", duration(end.saturating_sub(start)))
    }

    /// Whether it is the whole title.
    pub const fn is_whole(&self) -> bool {
        self.id == 0 && self.end_ns.is_none()
    }

    pub const fn start_us(&self) -> u64 {
        self.start_ns / 1000
    }

    pub fn end_us(&self) -> u64 {
        self.end_ns.map_or(self.total_us, |end| end / 1000)
    }
}

/// How many segments of a track begin before a part does.
fn begun_before(track: &TrackRendition, start_ns: u64) -> usize {
    let mut at = u128::from(track.start_ts);
    let begins = |segment: &&SegmentEntry| {
        let begin_ns = at * 1_000_000_000 / u128::from(track.timescale.max(1));
        at += u128::from(segment.duration_ts);
        begin_ns + SAME_TIME_NS < u128::from(start_ns)
    };
    if start_ns == 0 { 0 } else { track.segments.iter().take_while(begins).count() }
}

/// `PT4.004S` (XML Schema, `duration`).
fn duration(us: u64) -> String {
    let digits = format!("{:06}", us % 1_000_000);
    match digits.trim_end_matches('0') {
        "" => format!("PT{}S", us / 1_000_000),
        rest => format!("PT{}.{rest}S", us / 1_000_000),
    }
}

/// When a title begins that has cues: a package knows no date, and dates need one. It is not the
/// epoch of computers, since players take 0 for no date.
fn date(ms: u64) -> String {
    let (s, rest) = (ms / 1000, ms % 1000);
    let (day, hour, minute) = (s / 86_400 + 1, s / 3600 % 24, s / 60 % 60);
    format!("2000-01-{day:02}T{hour:02}:{minute:02}:{:02}.{rest:03}Z", s % 60)
}

/// The date of the first segment and those of the cues, where there are any.
pub(super) fn date_lines(out: &mut String, presentation: &Presentation, track: &TrackRendition) {
    if presentation.cues_ns.is_empty() {
        return;
    }
    for (number, start_ns) in (1..).zip(&presentation.cues_ns) {
        let (id, start) = (format!("ad-cue-{number}"), date((start_ns + 500_000) / 1_000_000));
        let (id, class, start) = (quoted(&id), quoted(CUE_CLASS), quoted(&start));
        line(out, format_args!("#EXT-X-DATERANGE:ID={id},CLASS={class},START-DATE={start}"));
    }
    let start = date(to_ms(track.start_ts, track.timescale));
    line(out, format_args!("#EXT-X-PROGRAM-DATE-TIME:{start}"));
}
