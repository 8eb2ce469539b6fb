//! Where the samples of a track lie, when they play, how large they are.
//!
//! Kept in packed columns, read from the front: some 5 bytes a sample, so that a film fits a few
//! MiB and memory does not grow with the bitrate.

use super::column::{Packed, PackedWalk, Places, PlacesWalk, Runs, RunsWalk};
use super::fault::{Fault, Malformed, Place, Unsupported};
use crate::bmff::FourCc;

/// Samples of one track: a week of pictures at 25 a second.
pub const MAX_SAMPLES: u32 = 1 << 24;
/// Bytes of one sample.
pub const MAX_SAMPLE_BYTES: u32 = 64 << 20;

/// The body of an `mdat`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaData {
    pub start: u64,
    pub end: u64,
    /// Bytes of the samples that lie in it.
    pub used: u64,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Counted from 0.
    pub index: u32,
    /// Offset of its first byte in the source.
    pub offset: u64,
    /// Its bytes.
    pub size: u32,
    /// Decode time in ticks.
    pub decode_time: u64,
    /// Ticks to the next decode time.
    pub duration: u32,
    /// Composition time less decode time, in ticks.
    pub composition: i32,
    /// Whether decoding can begin here.
    pub is_sync: bool,
}

/// The samples of one track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleTable {
    /// Decode time of the first sample.
    pub(super) start: u64,
    count: u32,
    bytes: u64,
    pub(super) sizes: Packed,
    pub(super) durations: Runs,
    /// Sum of the durations.
    ticks: u64,
    /// Empty: all 0.
    pub(super) compositions: Runs,
    /// `None`: every sample is a sync sample.
    sync: Option<SyncSamples>,
    pub(super) places: Places,
}

/// Which samples are sync samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SyncSamples {
    /// Samples between one and the next.
    distances: Packed,
    /// Index behind the last one.
    behind: u32,
    begins_with_one: bool,
}

impl SyncSamples {
    fn push(&mut self, index: u32) {
        self.begins_with_one |= index == 0;
        self.distances.push(u64::from(index - self.behind));
        self.behind = index + 1;
    }
}

impl SampleTable {
    /// An empty one, whose first sample is decoded at `start` unless it is told otherwise.
    pub(super) fn beginning_at(start: u64) -> Self {
        Self { start, ..Self::default() }
    }

    /// Number of samples.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of all samples.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.bytes
    }

    /// Ticks of all samples.
    #[must_use]
    pub const fn total_ticks(&self) -> u64 {
        self.ticks
    }

    /// The duration that all samples have, the last one left out of account.
    #[must_use]
    pub fn steady_duration(&self) -> Option<u32> {
        let mut runs = self.durations.runs();
        let (_, ticks) = runs.next()?;
        let is_steady = runs.next().is_none_or(|(count, _)| count == 1) && runs.next().is_none();
        u32::try_from(ticks).ok().filter(|ticks| is_steady && *ticks > 0)
    }

    /// Walks the samples in decode order.
    #[must_use]
    pub fn iter(&self) -> Samples<'_> {
        let mut sync = self.sync.as_ref().map(|sync| sync.distances.iter());
        Samples {
            sizes: self.sizes.iter(),
            durations: self.durations.iter(),
            compositions: self.compositions.iter(),
            next_sync: sync.as_mut().map_or(Some(0), PackedWalk::next_u32),
            sync,
            places: self.places.iter(),
            index: 0,
            decode_time: self.start,
        }
    }

    /// The sync samples alone, each lasting until the next one; `None` where one would last
    /// longer than 32 bits can say.
    #[must_use]
    pub fn sync_only(&self) -> Option<Self> {
        let mut only = Self { start: self.start, ..Self::default() };
        let end = self.start.saturating_add(self.ticks);
        let mut syncs = self.iter().filter(|sample| sample.is_sync).peekable();
        while let Some(sample) = syncs.next() {
            let until = syncs.peek().map_or(end, |next| next.decode_time);
            let lasts = until.saturating_sub(sample.decode_time);
            only.places.push(only.count, sample.offset);
            only.places.advance(u64::from(sample.size));
            only.sizes.push(u64::from(sample.size));
            only.count += 1;
            only.bytes += u64::from(sample.size);
            only.compositions.push(1, i64::from(sample.composition));
            only.push_durations(1, u32::try_from(lasts).ok()?);
        }
        Some(only)
    }

    /// Appends a sample; the caller keeps the other columns in step.
    pub(super) fn push_size(&mut self, place: Place, size: u32) -> Result<(), Fault> {
        if self.count() == MAX_SAMPLES {
            let limit = u64::from(MAX_SAMPLES);
            return Err(place.fault(Unsupported::Limit { what: "samples in a track", limit }));
        }
        self.sizes.push(u64::from(size));
        self.count += 1;
        self.bytes += u64::from(size);
        Ok(())
    }

    /// Says whether the sample just appended, `index`, is a sync sample.
    pub(super) fn push_sync(&mut self, index: u32, is_sync: bool) {
        if self.sync.is_none() && !is_sync {
            let mut all_before = SyncSamples::default();
            (0..index).for_each(|before| all_before.push(before));
            self.sync = Some(all_before);
        } else if let Some(sync) = self.sync.as_mut().filter(|_| is_sync) {
            sync.push(index);
        }
    }

    /// Says that only some samples are sync samples; they are to be told by
    /// [`Self::push_listed_sync`].
    pub(super) fn list_sync(&mut self) {
        self.sync = Some(SyncSamples::default());
    }

    /// Says that the sample `index` is a sync sample; `None` unless it lies in the table and
    /// behind the ones before.
    pub(super) fn push_listed_sync(&mut self, index: u32) -> Option<()> {
        let sync = self.sync.get_or_insert_default();
        (sync.behind <= index && index < self.count).then(|| sync.push(index))
    }

    /// Says that the next `count` samples last `ticks` each.
    pub(super) fn push_durations(&mut self, count: u32, ticks: u32) {
        self.durations.push(count, i64::from(ticks));
        self.ticks = self.ticks.saturating_add(u64::from(count) * u64::from(ticks));
    }

    /// Corrects how long the last sample lasts.
    pub(super) fn set_last_duration(&mut self, ticks: u32) {
        self.ticks = self.ticks.saturating_sub(u64::from(self.last_duration()));
        self.ticks = self.ticks.saturating_add(u64::from(ticks));
        self.durations.replace_last(i64::from(ticks));
    }

    /// How long the last sample lasts.
    pub(super) fn last_duration(&self) -> u32 {
        self.durations.last().and_then(|ticks| u32::try_from(ticks).ok()).unwrap_or(0)
    }

    /// Checks that the columns agree, that each sample lies in the media data, that the first
    /// one is a sync sample.
    pub(super) fn check(&self, track: u32, media_data: &mut [MediaData]) -> Result<(), Fault> {
        let place = Place::Track(track);
        let expected = u64::from(self.count());
        if expected == 0 {
            return Err(place.fault(Malformed::NoSamples));
        }
        for (kind, told) in [
            (b"stts", self.durations.count()),
            (
                b"ctts",
                if self.compositions.count() == 0 { expected } else { self.compositions.count() },
            ),
        ] {
            if told != expected {
                let kind = FourCc(*kind);
                return Err(place.fault(Malformed::SampleCount { kind, told, expected }));
            }
        }
        if self.sync.as_ref().is_some_and(|sync| !sync.begins_with_one) {
            return Err(place.fault(Malformed::NoSyncAtStart));
        }
        if self.total_ticks() == 0
            || self.start.checked_add(self.total_ticks()).is_none_or(|end| end > i64::MAX as u64)
        {
            return Err(place.fault(Malformed::Value("the track's length")));
        }
        self.iter().try_for_each(|sample| check_sample(track, &sample, media_data))
    }
}

pub(super) fn check_sample(
    track: u32,
    sample: &Sample,
    media_data: &mut [MediaData],
) -> Result<(), Fault> {
    let Sample { offset, size, .. } = *sample;
    let place = Place::Sample { track, number: sample.index + 1, offset };
    if size == 0 {
        return Err(place.fault(Malformed::EmptySample));
    }
    if size > MAX_SAMPLE_BYTES {
        let limit = u64::from(MAX_SAMPLE_BYTES);
        return Err(place.fault(Unsupported::Limit { what: "bytes in a sample", limit }));
    }
    // Sorted by start; the last one that starts at or before the sample must hold it.
    let before = media_data.partition_point(|data| data.start <= offset);
    let holder = before.checked_sub(1).and_then(|at| media_data.get_mut(at));
    let end = offset.checked_add(u64::from(size));
    match holder.filter(|data| end.is_some_and(|end| end <= data.end)) {
        Some(data) => {
            data.used = data.used.saturating_add(u64::from(size));
            Ok(())
        }
        None => Err(place.fault(Malformed::OutsideMediaData { size })),
    }
}

/// Samples in decode order.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    sizes: PackedWalk<'a>,
    durations: RunsWalk<'a>,
    compositions: RunsWalk<'a>,
    /// `None`: every sample is a sync sample.
    sync: Option<PackedWalk<'a>>,
    next_sync: Option<u32>,
    places: PlacesWalk<'a>,
    index: u32,
    decode_time: u64,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let size = self.sizes.next_u32()?;
        let index = self.index;
        let is_sync = self.next_sync == Some(index);
        self.index += 1;
        if is_sync {
            let distance = self.sync.as_mut().map_or(Some(0), PackedWalk::next_u32);
            self.next_sync = distance.and_then(|distance| self.index.checked_add(distance));
        }
        let number = |value: Option<i64>| value.unwrap_or(0);
        let sample = Sample {
            index,
            offset: self.places.next(index, size),
            size,
            decode_time: self.decode_time,
            duration: u32::try_from(number(self.durations.next())).unwrap_or(0),
            composition: i32::try_from(number(self.compositions.next())).unwrap_or(0),
            is_sync,
        };
        self.decode_time = self.decode_time.saturating_add(u64::from(sample.duration));
        Some(sample)
    }
}
