//! Where the samples of a track lie, when they play, how large they are.
//!
//! Kept in columns with equal neighbors merged: about 12 bytes a picture and 4 a sound frame,
//! so that a film of any usual length fits a few MiB.

use super::fault::{Fault, Malformed, Place, Unsupported};
use crate::bmff::FourCc;

/// Samples of one track: a week of pictures at 25 a second.
pub const MAX_SAMPLES: u32 = 1 << 24;
/// Bytes of one sample.
pub const MAX_SAMPLE_BYTES: u32 = 64 << 20;

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
    pub(super) sizes: Vec<u32>,
    pub(super) durations: Runs<u32>,
    /// Sum of the durations.
    ticks: u64,
    /// Empty: all 0.
    pub(super) compositions: Runs<i32>,
    /// Indexes in order; `None`: every sample.
    pub(super) sync: Option<Vec<u32>>,
    pub(super) places: Vec<Contiguous>,
}

/// A column with equal neighbors merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs<T> {
    runs: Vec<(u32, T)>,
    count: u64,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { runs: Vec::new(), count: 0 }
    }
}

impl<T: Copy + PartialEq> Runs<T> {
    pub(super) fn push(&mut self, count: u32, value: T) {
        self.count += u64::from(count);
        match self.runs.last_mut() {
            Some((last, same)) if *same == value => {
                if let Some(sum) = last.checked_add(count) {
                    *last = sum;
                    return;
                }
            }
            _ => {}
        }
        if count > 0 {
            self.runs.push((count, value));
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The value of the last sample, to be replaced.
    fn replace_last(&mut self, value: T) {
        if let Some((count, _)) = self.runs.last_mut() {
            *count -= 1;
            self.count -= 1;
            if *count == 0 {
                self.runs.pop();
            }
            self.push(1, value);
        }
    }

    pub(super) fn runs(&self) -> &[(u32, T)] {
        &self.runs
    }
}

/// Samples that lie one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contiguous {
    /// Index of the first of them.
    pub first: u32,
    /// Its offset.
    pub offset: u64,
}

impl SampleTable {
    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.sizes.len()).unwrap_or(u32::MAX)
    }

    /// Bytes of all samples.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.sizes.iter().map(|size| u64::from(*size)).sum()
    }

    /// Ticks of all samples.
    #[must_use]
    pub const fn total_ticks(&self) -> u64 {
        self.ticks
    }

    /// The duration that all samples have, the last one left out of account.
    #[must_use]
    pub fn steady_duration(&self) -> Option<u32> {
        match *self.durations.runs() {
            [(_, value)] | [(_, value), (1, _)] if value > 0 => Some(value),
            _ => None,
        }
    }

    /// Whether some samples cannot be decoded on their own.
    #[must_use]
    pub const fn has_dependent_samples(&self) -> bool {
        self.sync.is_some()
    }

    /// Walks the samples in decode order.
    #[must_use]
    pub fn iter(&self) -> Samples<'_> {
        Samples {
            sizes: self.sizes.iter(),
            durations: RunWalk::new(self.durations.runs()),
            compositions: RunWalk::new(self.compositions.runs()),
            sync: self.sync.as_deref(),
            places: &self.places,
            index: 0,
            offset: 0,
            decode_time: self.start,
        }
    }

    /// Appends a sample; the caller keeps the other columns in step.
    pub(super) fn push_size(&mut self, place: Place, size: u32) -> Result<(), Fault> {
        if self.count() == MAX_SAMPLES {
            let limit = u64::from(MAX_SAMPLES);
            return Err(place.fault(Unsupported::Limit { what: "samples in a track", limit }));
        }
        self.sizes.push(size);
        Ok(())
    }

    /// Says that the next `count` samples last `ticks` each.
    pub(super) fn push_durations(&mut self, count: u32, ticks: u32) {
        self.durations.push(count, ticks);
        self.ticks = self.ticks.saturating_add(u64::from(count) * u64::from(ticks));
    }

    /// Corrects how long the last sample lasts.
    pub(super) fn set_last_duration(&mut self, ticks: u32) {
        self.ticks = self.ticks.saturating_sub(u64::from(self.last_duration()));
        self.ticks = self.ticks.saturating_add(u64::from(ticks));
        self.durations.replace_last(ticks);
    }

    /// How long the last sample lasts.
    pub(super) fn last_duration(&self) -> u32 {
        self.durations.runs().last().map_or(0, |(_, ticks)| *ticks)
    }

    /// Says that the samples from `first` on lie at `offset`, merging neighbors.
    pub(super) fn push_place(&mut self, first: u32, offset: u64, end_of_last: u64) {
        if self.places.is_empty() || offset != end_of_last {
            self.places.push(Contiguous { first, offset });
        }
    }

    /// Checks that the columns agree, that each sample lies in the media data, that the first
    /// one is a sync sample.
    pub(super) fn check(&self, track: u32, media_data: &[(u64, u64)]) -> Result<(), Fault> {
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
        if self.sync.as_ref().is_some_and(|sync| sync.first() != Some(&0)) {
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

fn check_sample(track: u32, sample: &Sample, media_data: &[(u64, u64)]) -> Result<(), Fault> {
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
    let before = media_data.partition_point(|(start, _)| *start <= offset);
    let holder = before.checked_sub(1).and_then(|at| media_data.get(at));
    let is_inside = holder
        .is_some_and(|(_, end)| offset.checked_add(u64::from(size)).is_some_and(|e| e <= *end));
    if is_inside { Ok(()) } else { Err(place.fault(Malformed::OutsideMediaData { size })) }
}

/// Samples in decode order.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    sizes: std::slice::Iter<'a, u32>,
    durations: RunWalk<'a, u32>,
    compositions: RunWalk<'a, i32>,
    sync: Option<&'a [u32]>,
    places: &'a [Contiguous],
    index: u32,
    offset: u64,
    decode_time: u64,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let size = *self.sizes.next()?;
        let index = self.index;
        if let Some((place, rest)) = self.places.split_first()
            && place.first == index
        {
            self.offset = place.offset;
            self.places = rest;
        }
        let is_sync = match &mut self.sync {
            None => true,
            Some(sync) => match sync.split_first() {
                Some((first, rest)) if *first == index => {
                    *sync = rest;
                    true
                }
                _ => false,
            },
        };
        let sample = Sample {
            index,
            offset: self.offset,
            size,
            decode_time: self.decode_time,
            duration: self.durations.next().unwrap_or(0),
            composition: self.compositions.next().unwrap_or(0),
            is_sync,
        };
        self.index += 1;
        self.offset = self.offset.saturating_add(u64::from(size));
        self.decode_time = self.decode_time.saturating_add(u64::from(sample.duration));
        Some(sample)
    }
}

#[derive(Clone, Debug)]
struct RunWalk<'a, T> {
    runs: &'a [(u32, T)],
    used: u32,
}

impl<'a, T: Copy> RunWalk<'a, T> {
    const fn new(runs: &'a [(u32, T)]) -> Self {
        Self { runs, used: 0 }
    }

    fn next(&mut self) -> Option<T> {
        let ((count, value), rest) = self.runs.split_first()?;
        self.used += 1;
        if self.used >= *count {
            self.used = 0;
            self.runs = rest;
        }
        Some(*value)
    }
}
