//! Where tracks are cut into segments.
//!
//! Renditions of one ladder are cut at sync samples that all of them have at the same time, so
//! that a player can switch at every segment; sound is cut at the same times. A ladder whose
//! renditions share no sync samples is refused: cutting each where it likes would give a
//! package that plays and breaks at the first switch.

use super::Plan;
use super::cues::Cues;
use super::error::{LadderFault, PackageError};
use super::job::JobTrack;
use crate::input::{Sample, Track};
use crate::manifest::Turn;
use model::Rotation;
use std::num::NonZeroU32;

/// One segment of one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Index of its first sample.
    pub first: u32,
    /// Samples.
    pub count: u32,
    /// Earliest presentation time in ticks, after the edit list; never before 0.
    pub presentation: u64,
    /// Ticks to the next segment's.
    pub duration: u64,
    /// Whether it begins with a stream access point of type 1 or 2.
    pub starts_with_sap: bool,
}

/// How one track is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrackCut {
    /// Added to each decode time, in ticks.
    pub offset: i64,
    /// Its segments; never empty.
    pub segments: Vec<Segment>,
    /// So many of them, from the first on, are a clear lead; never all.
    pub clear_segments: usize,
    /// Indexes of the key frames at which a fragment begins, so that each can be fetched alone;
    /// empty for sound.
    pub key_frames: Vec<u32>,
}

/// How all tracks are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cuts {
    /// Each track's, in their order.
    pub tracks: Vec<TrackCut>,
    /// The cut that subtitles follow.
    pub text: TextCut,
    /// Where parts of the title begin but the first, nanoseconds.
    pub cues_ns: Vec<u64>,
    /// Where keys change; empty where they do not.
    pub turns: Vec<Turn>,
}

/// Where subtitles are cut: where the first rendition of the ladder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextCut {
    /// Ticks per second: the ladder's, or a multiple that tells milliseconds apart.
    pub timescale: NonZeroU32,
    /// Begins of the segments in ticks, the first 0, and the end of the last.
    pub bounds: Vec<u64>,
    /// Added to each time of subtitles, milliseconds: as much as picture and sound are moved.
    pub shift_ms: i64,
}

/// Sync samples this close are at the same time: timescales round differently.
pub(super) const SAME_TIME_NS: i128 = 1_000_000;
/// A ladder's segments may last this many times longer than those of its best rendition.
const MAX_STRETCH: i128 = 2;
/// Where key frames come more often than this on the average (every picture is one), those that
/// follow closer are not made fragments of their own: a `moof` a picture would be a tenth of it.
const MIN_FRAGMENT_NS: i128 = 500_000_000;
/// How much renditions may differ in length.
const MAX_LENGTH_DIFFERENCE_MS: u64 = 1000;

/// A place where a track may be cut.
#[derive(Clone, Copy)]
struct Point {
    index: u32,
    ns: i128,
}

/// Cuts every track.
pub(super) fn cut(tracks: &[JobTrack], plan: &Plan) -> Result<Cuts, PackageError> {
    let shift_ns = tracks.iter().map(|job| start_ns(&job.track)).min().unwrap_or(0).max(0);
    let videos: Vec<_> = tracks.iter().filter(|job| job.is_in_ladder()).collect();
    let ladder = if videos.is_empty() { tracks.iter().take(1).collect() } else { videos };
    check_lengths(&ladder)?;
    let leader_name = ladder.first().map(|job| job.name.clone());
    let mut cues = Cues::new(&plan.ad_cues_ms, shift_ns);
    let times = common_times(&ladder, i128::from(plan.segment_s) * 1_000_000_000, &mut cues)?;
    let lead = clear_segments(&times, plan.clear_lead_s);
    let cut_one = |job: &JobTrack| {
        let firsts = first_samples(&job.track, &times);
        // Rounded down, so that no decode time falls below 0.
        let shift = i64::try_from(to_ticks(shift_ns, &job.track)).unwrap_or(0);
        let offset = i64::try_from(job.track.edit.delay).unwrap_or(i64::MAX) - shift;
        let key_frames = if job.is_in_ladder() { key_frames(&job.track) } else { Vec::new() };
        let segments = segments(&job.track, &firsts, offset);
        let clear_segments = lead.min(segments.len().saturating_sub(1));
        TrackCut { offset, segments, clear_segments, key_frames }
    };
    let cuts: Vec<_> = tracks.iter().map(cut_one).collect();
    let leads = |(job, _): &(&JobTrack, &TrackCut)| Some(&job.name) == leader_name.as_ref();
    let leader = tracks.iter().zip(&cuts).find(leads);
    let text = leader.map_or_else(TextCut::none, |(job, cut)| text_cut(&job.track, cut, shift_ns));
    let parts = cues.begins(leader.map_or(0, |(job, _)| end_ns(&job.track)))?;
    let cues_ns = leader.map_or_else(Vec::new, |(job, cut)| begins_ns(&job.track, cut, parts));
    let turns = match (&plan.rotation, leader) {
        (Some(rotation), Some((job, cut))) => turns(rotation.of, &job.track, cut),
        _ => Vec::new(),
    };
    Ok(Cuts { tracks: cuts, text, cues_ns, turns })
}

/// The segments of the ladder with which key periods begin; the first period begins with the title.
fn turns(rotation: Rotation, leader: &Track, cut: &TrackCut) -> Vec<Turn> {
    let all: Vec<usize> = (0..cut.segments.len()).collect();
    let begins = begins_ns(leader, cut, &all).into_iter();
    let begun = begins.map(|ns| Turn { start_ns: ns, period: rotation.period_at(ns / 1_000_000) });
    let mut turns: Vec<Turn> = begun.collect();
    turns.dedup_by_key(|turn| turn.period);
    turns.first_mut().iter_mut().for_each(|first| first.start_ns = 0);
    turns
}

/// Where segments begin, nanoseconds: with their earliest picture, which under an open GOP is
/// shown before the one with which decoding begins.
fn begins_ns(track: &Track, cut: &TrackCut, segments: &[usize]) -> Vec<u64> {
    let begin = |at: &usize| cut.segments.get(*at).map(|one| i128::from(one.presentation));
    let ns = |ticks| u64::try_from(to_ns(ticks, track)).unwrap_or(0);
    segments.iter().filter_map(begin).map(ns).collect()
}

impl TextCut {
    const fn none() -> Self {
        Self { timescale: NonZeroU32::MIN, bounds: Vec::new(), shift_ms: 0 }
    }

    /// Milliseconds as ticks, rounded.
    pub fn to_ticks(&self, ms: u64) -> u64 {
        let ticks = (u128::from(ms) * u128::from(self.timescale.get()) + 500) / 1000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Ticks as milliseconds, rounded.
    pub fn to_ms(&self, ticks: u64) -> u64 {
        let timescale = u128::from(self.timescale.get());
        u64::try_from((u128::from(ticks) * 1000 + timescale / 2) / timescale).unwrap_or(u64::MAX)
    }
}

/// Milliseconds must not fall together.
const MIN_TEXT_TIMESCALE: u32 = 1000;

fn text_cut(leader: &Track, cut: &TrackCut, shift_ns: i128) -> TextCut {
    let times = MIN_TEXT_TIMESCALE.div_ceil(leader.timescale.get()).max(1);
    let timescale = leader.timescale.saturating_mul(NonZeroU32::MIN.saturating_add(times - 1));
    let tick = |ticks: u64| ticks.saturating_mul(u64::from(times));
    // What is said before the first picture belongs to the first segment.
    let later = cut.segments.iter().skip(1).map(|segment| tick(segment.presentation));
    let end = cut.segments.last().map(|last| tick(last.presentation.saturating_add(last.duration)));
    let mut bounds: Vec<u64> = std::iter::once(0).chain(later).chain(end).collect();
    bounds.dedup();
    let shift_ms = i64::try_from((shift_ns + 500_000) / 1_000_000).unwrap_or(0);
    TextCut { timescale, bounds, shift_ms: -shift_ms }
}

fn to_ns(ticks: i128, track: &Track) -> i128 {
    ticks * 1_000_000_000 / i128::from(track.timescale.get())
}

fn to_ticks(ns: i128, track: &Track) -> i128 {
    ns * i128::from(track.timescale.get()) / 1_000_000_000
}

/// Presentation time of a sample, in ticks, before the whole title is moved to 0.
fn presentation(track: &Track, sample: &Sample) -> i128 {
    i128::from(sample.decode_time) + i128::from(sample.composition) + i128::from(track.edit.delay)
        - i128::from(track.edit.media_time)
}

/// By how much a track could begin earlier.
fn start_ns(track: &Track) -> i128 {
    let Some(first) = track.samples.iter().next() else { return 0 };
    let decode = i128::from(first.decode_time) + i128::from(track.edit.delay);
    to_ns(presentation(track, &first).min(decode), track)
}

fn sync_points(track: &Track) -> impl Iterator<Item = Point> {
    let syncs = track.samples.iter().filter(|sample| sample.is_sync);
    syncs.map(|s| Point { index: s.index, ns: to_ns(presentation(track, &s), track) })
}

fn check_lengths(ladder: &[&JobTrack]) -> Result<(), LadderFault> {
    let Some((first, others)) = ladder.split_first() else { return Ok(()) };
    let first_ms = first.track.length_ms();
    for other in others {
        let second_ms = other.track.length_ms();
        if first_ms.abs_diff(second_ms) > MAX_LENGTH_DIFFERENCE_MS {
            let (first, second) = (first.name.clone(), other.name.clone());
            return Err(LadderFault::Lengths { first, first_ms, second, second_ms });
        }
    }
    Ok(())
}

/// Times, at least `target` apart, at which every rendition has a sync sample.
///
/// At a cue the next one is taken, however close it is.
fn common_times(
    ladder: &[&JobTrack],
    target: i128,
    cues: &mut Cues,
) -> Result<Vec<i128>, PackageError> {
    let Some((leader, others)) = ladder.split_first() else { return Ok(Vec::new()) };
    let shortest = ladder.iter().map(|job| longest_alone(&job.track, target)).min();
    let allowed = shortest.unwrap_or(target) * MAX_STRETCH;
    let mut walks: Vec<_> =
        others.iter().map(|job| (*job, sync_points(&job.track).peekable())).collect();
    let mut times: Vec<i128> = Vec::new();
    for point in sync_points(&leader.track) {
        let last = times.last().copied();
        if last.is_some_and(|last| point.ns < last + target) && !cues.wants(point.ns) {
            continue;
        }
        let missing = walks.iter_mut().find_map(|(job, walk)| {
            while walk.next_if(|other| other.ns < point.ns - SAME_TIME_NS).is_some() {}
            let is_here = walk.peek().is_some_and(|other| other.ns <= point.ns + SAME_TIME_NS);
            (!is_here).then_some(*job)
        });
        match missing {
            None => {
                times.push(point.ns);
                cues.cut_at(point.ns, times.len() - 1, target)?;
            }
            Some(other) if last.is_none_or(|last| point.ns - last > allowed) => {
                return Err(no_common_sync(leader, other, last.unwrap_or(0), point.ns).into());
            }
            Some(_) => {}
        }
    }
    let (last, end) = (times.last().copied().unwrap_or(0), end_ns(&leader.track));
    match others.first() {
        Some(other) if end - last > allowed => Err(no_common_sync(leader, other, last, end).into()),
        _ => Ok(times),
    }
}

fn no_common_sync(first: &JobTrack, second: &JobTrack, from: i128, to: i128) -> LadderFault {
    let (first, second) = (first.name.clone(), second.name.clone());
    LadderFault::NoCommonSync { first, second, from_ms: ms(from), to_ms: ms(to) }
}

fn ms(ns: i128) -> u64 {
    u64::try_from(ns / 1_000_000).unwrap_or(0)
}

/// Where the last sample ends, near enough: decode time stands for presentation time.
fn end_ns(track: &Track) -> i128 {
    let start = track.samples.iter().next().map_or(0, |first| first.decode_time);
    let end = i128::from(start) + i128::from(track.samples.total_ticks());
    to_ns(end + i128::from(track.edit.delay), track)
}

/// The longest segment if a rendition were cut alone.
fn longest_alone(track: &Track, target: i128) -> i128 {
    let (mut last, mut longest) = (None, target);
    for point in sync_points(track) {
        match last {
            Some(last) if point.ns < last + target => continue,
            Some(last) => longest = longest.max(point.ns - last),
            None => {}
        }
        last = Some(point.ns);
    }
    longest.max(end_ns(track) - last.unwrap_or(0))
}

/// Indexes of the samples with which segments begin: the first of all, then at each later time
/// the first one that may be cut.
fn first_samples(track: &Track, times: &[i128]) -> Vec<u32> {
    let mut firsts = vec![0];
    let mut points = sync_points(track);
    for time in times.iter().skip(1) {
        let Some(point) = points.find(|point| point.ns >= time - SAME_TIME_NS) else { break };
        if firsts.last().is_some_and(|last| *last < point.index) {
            firsts.push(point.index);
        }
    }
    firsts
}

/// How many segments lie wholly within the first `lead_s` seconds. The last segment ends at no
/// time of the list, so a title is never clear from end to end.
fn clear_segments(times: &[i128], lead_s: u32) -> usize {
    let Some(start) = times.first() else { return 0 };
    let end = start + i128::from(lead_s) * 1_000_000_000 + SAME_TIME_NS;
    times.iter().skip(1).take_while(|time| **time <= end).count()
}

/// Indexes of the key frames at which fragments begin: all of them, or where they are dense one
/// in [`MIN_FRAGMENT_NS`].
fn key_frames(track: &Track) -> Vec<u32> {
    let count = i128::try_from(sync_points(track).count()).unwrap_or(i128::MAX);
    let length = to_ns(i128::from(track.samples.total_ticks()), track);
    let is_dense = count.saturating_mul(MIN_FRAGMENT_NS) > length + MIN_FRAGMENT_NS;
    let mut next = i128::MIN;
    let points = sync_points(track).filter(|point| {
        let begins = !is_dense || point.ns >= next;
        if begins {
            next = point.ns + MIN_FRAGMENT_NS;
        }
        begins
    });
    points.map(|point| point.index).collect()
}

/// Segments between `firsts`, with `offset` ticks added to each decode time.
fn segments(track: &Track, firsts: &[u32], offset: i64) -> Vec<Segment> {
    let mut found: Vec<Segment> = Vec::with_capacity(firsts.len());
    let mut next_first = firsts.iter().copied().peekable();
    let mut end = 0;
    for sample in track.samples.iter() {
        let time =
            i128::from(sample.decode_time) + i128::from(sample.composition) + i128::from(offset)
                - i128::from(track.edit.media_time);
        end = end.max(time + i128::from(sample.duration));
        let time = u64::try_from(time.max(0)).unwrap_or(u64::MAX);
        if next_first.next_if_eq(&sample.index).is_some() {
            found.push(Segment {
                first: sample.index,
                count: 0,
                presentation: time,
                duration: 0,
                starts_with_sap: sample.is_sync,
            });
        }
        if let Some(segment) = found.last_mut() {
            segment.count += 1;
            // A picture shown before the one with which decoding begins may need the segment
            // before: type 3.
            segment.starts_with_sap &= time >= segment.presentation;
            segment.presentation = segment.presentation.min(time);
        }
    }
    let mut behind = u64::try_from(end).unwrap_or(0);
    for segment in found.iter_mut().rev() {
        segment.presentation = segment.presentation.min(behind);
        segment.duration = behind - segment.presentation;
        behind = segment.presentation;
    }
    found
}
