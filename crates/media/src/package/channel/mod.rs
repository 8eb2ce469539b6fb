//! A live channel: segments in, encrypted and verified segments and manifests out.
//!
//! The shell writes what comes back, in this order: the files of a segment, the state
//! ([`ChannelState`]), the manifests. Killed in between, it goes on from the state.

mod listed;
mod protect;
mod state;

pub use state::{ChannelSettings, ChannelState, MAX_STATE, StateError};

pub use super::error::PackageError;

use super::MAX_SEGMENT_S;
use super::error::PlanError;
use super::job::{self, JobTrack};
use super::output::Output;
use super::rendition::{Buffers, Rendition};
use super::track_writer::create;
use crate::cmaf::Entry;
use crate::codec::{Run, TrackCodec, VideoCodec};
use crate::input::{Fault, Malformed, Place, Track};
use crate::live::{Segment, TrackPart, without_rates};
use keys::PackagingKeys;
use model::{TrackClass, TrackClasses};
use protect::Protections;
use state::{PartState, SegmentState, TrackState};

/// Where a channel keeps its state; viewers never see it.
pub const STATE: &str = "live.json";
/// Longest window, seconds: half a day.
pub const MAX_WINDOW_S: u32 = 43_200;
/// Periods of a batch: two batches are named in each fragment.
pub const MAX_BATCH: u32 = 100;
/// Sample bytes of a fragment at which the next one begins.
const MAX_FRAGMENT: usize = 12 << 20;
/// How many fragments of a segment have numbers of their own.
const FRAGMENTS_A_SEGMENT: u64 = 16;

/// The tracks of a stream, with their names and classes.
pub struct ChannelTracks(Vec<JobTrack>);

/// A channel.
pub struct Channel {
    /// The source, as the user named it.
    source: String,
    tracks: Vec<JobTrack>,
    /// Read a video track's samples.
    pictures: Vec<Option<VideoCodec>>,
    protections: Protections,
    state: ChannelState,
    buffers: Vec<Buffers>,
    runs: Vec<Run>,
    /// Samples encrypted since the start.
    samples: u64,
    /// Whether the next segment does not follow on the last.
    is_break: bool,
}

impl ChannelTracks {
    /// Names the tracks of a stream. Errors: [`PlanError`].
    pub fn new(tracks: Vec<Track>) -> Result<Self, PackageError> {
        let mut tracks = job::of_tracks(tracks)?;
        for JobTrack { track, .. } in &mut tracks {
            let is_video = matches!(track.codec, TrackCodec::Video(_));
            track.entry_body = without_rates(&track.entry_body, is_video);
        }
        Ok(Self(tracks))
    }

    /// The classes that need keys.
    #[must_use]
    pub fn classes(&self) -> TrackClasses {
        self.0.iter().map(|job| job.class).collect()
    }

    /// The tracks, as the stream has them.
    #[must_use]
    pub fn tracks(&self) -> Vec<Track> {
        self.0.iter().map(|job| job.track.clone()).collect()
    }
}

impl ChannelSettings {
    /// Errors: [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        let schemes = super::track_writer::schemes_in_order(&self.schemes);
        if schemes.is_empty() || schemes != self.schemes {
            return Err(PlanError::Schemes);
        }
        if self.segment_s == 0 || self.segment_s > MAX_SEGMENT_S {
            return Err(PlanError::SegmentLength);
        }
        if self.rotation.is_some_and(|rotation| rotation.batch_periods.get() > MAX_BATCH) {
            return Err(PlanError::Batch);
        }
        let shortest = self.segment_s.saturating_mul(3);
        if self.window_s < shortest || self.window_s > MAX_WINDOW_S {
            return Err(PlanError::Window { shortest });
        }
        Ok(())
    }
}

impl Channel {
    /// Opens a channel with the tracks of its stream and the keys of the tracks. A channel that
    /// goes on must have the same tracks, which [`Self::check_inits`] compares to the byte, and
    /// the same keys.
    ///
    /// Errors: [`PackageError`]; [`KeyFault::Changed`](super::KeyFault::Changed) before anything
    /// is written.
    pub fn open(
        source: String,
        ChannelTracks(mut tracks): ChannelTracks,
        mut state: ChannelState,
        keys: &PackagingKeys,
    ) -> Result<Self, PackageError> {
        let is_new = state.tracks.is_empty();
        if is_new {
            let of = |job: &JobTrack| TrackState {
                name: job.name.clone(),
                media_time: job.track.edit.media_time,
                rates: vec![(0, 0); state.schemes.len()],
            };
            state.tracks = tracks.iter().map(of).collect();
        }
        let is_same = |(job, known): (&JobTrack, &TrackState)| job.name == known.name;
        if tracks.len() != state.tracks.len() || !tracks.iter().zip(&state.tracks).all(is_same) {
            return Err(PlanError::OtherStream.into());
        }
        // The init keeps its edit list; the segmenter makes up for what differs.
        for (job, known) in tracks.iter_mut().zip(&state.tracks) {
            job.track.edit.media_time = known.media_time;
        }
        let protections = Protections::new(&tracks, &state, keys)?;
        if is_new {
            state.names = protections.track_names();
        }
        let picture = |job: &JobTrack| match &job.track.codec {
            TrackCodec::Video(video) => Some(video.codec.clone()),
            TrackCodec::Audio(_) => None,
        };
        Ok(Self {
            source,
            pictures: tracks.iter().map(picture).collect(),
            protections,
            buffers: state.schemes.iter().map(|_| Buffers::default()).collect(),
            is_break: !state.segments.is_empty(),
            tracks,
            state,
            runs: Vec::new(),
            samples: 0,
        })
    }

    /// What is to be kept before anything that follows from it is shown.
    #[must_use]
    pub const fn state(&self) -> &ChannelState {
        &self.state
    }

    /// The classes of its tracks.
    #[must_use]
    pub fn classes(&self) -> TrackClasses {
        self.tracks.iter().map(|job| job.class).collect()
    }

    /// Starts of the edit lists of the inits, for the segmenter.
    #[must_use]
    pub fn media_times(&self) -> Vec<u64> {
        self.state.tracks.iter().map(|track| track.media_time).collect()
    }

    /// Writes the inits of a channel that begins.
    pub fn write_inits(&self, out: &mut dyn Output) -> Result<(), PackageError> {
        for (path, init) in self.inits()? {
            super::write_file(&path, &init, out)?;
        }
        Ok(())
    }

    /// Compares the inits of a channel that goes on with what its stream would make today.
    ///
    /// Errors: [`PlanError::OtherStream`].
    pub fn check_inits(&self, out: &mut dyn Output) -> Result<(), PackageError> {
        for (path, init) in self.inits()? {
            let mut there = out.read_back(&path).map_err(|_| PlanError::OtherStream)?;
            let mut bytes = vec![0; init.len()];
            let is_same = there.len() == init.len() as u64
                && there.read_at(0, &mut bytes).is_ok()
                && bytes == init;
            if !is_same {
                return Err(PlanError::OtherStream.into());
            }
        }
        Ok(())
    }

    /// Encrypts a segment under every scheme, verifies each sample and writes the files.
    ///
    /// Errors: [`PackageError`]; the segment is then no part of the channel.
    pub fn segment(
        &mut self,
        segment: &Segment,
        keys: &PackagingKeys,
        out: &mut dyn Output,
    ) -> Result<(), PackageError> {
        let number = self.state.next_number;
        let mut parts = Vec::with_capacity(segment.tracks.len());
        for (at, part) in segment.tracks.iter().enumerate() {
            let bytes = self.part(at, number, segment.begin_ms, part, keys, out)?;
            let TrackPart { begin_ts, duration_ts, .. } = *part;
            parts.push(PartState { begin_ts, duration_ts, bytes });
        }
        self.check_classes()?;
        for name in self.protections.take_names() {
            match self.state.names.iter_mut().find(|one| one.is_for_the_same(&name)) {
                Some(known) => *known = name,
                None => self.state.names.push(name),
            }
        }
        self.note(number, segment.begin_ms, parts);
        Ok(())
    }

    /// Says that nothing more comes.
    pub fn end(&mut self) {
        self.state.is_over = true;
    }

    /// Paths of what nobody plays any more, to be removed before [`Self::forget_stale`].
    #[must_use]
    pub fn stale(&self) -> Vec<String> {
        let stale = self.state.segments.iter().take(self.state.stale_count());
        stale.flat_map(|segment| self.paths(segment.number)).collect()
    }

    /// Forgets what [`Self::stale`] named.
    pub fn forget_stale(&mut self) {
        self.state.forget(self.state.stale_count());
    }

    fn paths(&self, number: u64) -> impl Iterator<Item = String> {
        let path = move |scheme: &model::Scheme, job: &JobTrack| {
            format!("{}/{}/{number}.m4s", scheme.name(), job.name)
        };
        let schemes = self.state.schemes.iter();
        schemes.flat_map(move |scheme| self.tracks.iter().map(move |job| path(scheme, job)))
    }

    /// Writes a track's part of a segment; returns its bytes under each scheme.
    fn part(
        &mut self,
        at: usize,
        number: u64,
        begin_ms: u64,
        part: &TrackPart,
        keys: &PackagingKeys,
        out: &mut dyn Output,
    ) -> Result<Vec<u64>, PackageError> {
        let Some(job) = self.tracks.get(at) else { return Ok(Vec::new()) };
        let first_iv = self.state.iv(self.samples)?;
        self.samples = self.samples.saturating_add(part.samples.len() as u64);
        self.state.iv(self.samples)?;
        let period = self.state.period_at(begin_ms);
        let mut renditions = Vec::new();
        for (scheme, buffers) in self.state.schemes.iter().zip(&mut self.buffers) {
            let made = self.protections.of(at, job.class, *scheme, period, first_iv, keys)?;
            let path = format!("{}/{}/{number}.m4s", scheme.name(), job.name);
            let file = create(out, &path)?;
            let (protection, turn) = made;
            let mut rendition = Rendition::new(protection, &job.track, file, path, buffers);
            rendition.count_from(number.saturating_mul(FRAGMENTS_A_SEGMENT));
            turn.map_or(Ok(()), |turn| rendition.turn(turn))?;
            renditions.push(rendition);
        }
        let mut picture = self.pictures.get_mut(at).and_then(Option::as_mut);
        let mut bytes = part.bytes.as_slice();
        let mut rest = part.samples.as_slice();
        let mut decode_time = part.decode_time;
        let mut begins_file = true;
        while !rest.is_empty() {
            let (samples, behind, len) = split_fragment(rest);
            rest = behind;
            let (own, others) = bytes.split_at_checked(len).unwrap_or_default();
            bytes = others;
            let failed = Failed { source: &self.source, place: Place::Track(job.track.id) };
            encrypt(
                own,
                samples,
                picture.as_deref_mut(),
                &mut self.runs,
                &mut renditions,
                &failed,
            )?;
            for rendition in &mut renditions {
                rendition.verify(own, samples)?;
                rendition.flush(decode_time, samples, begins_file, out)?;
            }
            begins_file = false;
            let lasts = samples.iter().map(|sample| u64::from(sample.duration));
            decode_time = lasts.fold(decode_time, u64::saturating_add);
        }
        for rendition in &renditions {
            let failed = |source| PackageError::Write { path: rendition.path.clone(), source };
            out.close(rendition.file).map_err(failed)?;
        }
        Ok(renditions.iter().map(|rendition| rendition.written).collect())
    }

    /// A key opens pictures of its class.
    fn check_classes(&self) -> Result<(), PackageError> {
        for (job, picture) in self.tracks.iter().zip(&self.pictures) {
            let largest = picture.as_ref().and_then(VideoCodec::largest_picture);
            let Some((width, height)) = largest else { continue };
            if TrackClass::of_picture(width, height) > job.class {
                let what = Malformed::Value("a picture larger than the track's class");
                let fault = Place::Track(job.track.id).fault(what);
                return Err(PackageError::Input { file: self.source.clone(), fault });
            }
        }
        Ok(())
    }

    /// The segment is a part of the channel from now on.
    fn note(&mut self, number: u64, begin_ms: u64, tracks: Vec<PartState>) {
        let leader = self.tracks.iter().position(JobTrack::is_video).unwrap_or(0);
        let timescale = |at: usize| self.tracks.get(at).map_or(1, |job| job.track.timescale.get());
        let lasts_ms = tracks
            .get(leader)
            .map_or(0, |part| u128::from(part.duration_ts) * 1000 / u128::from(timescale(leader)));
        let longest = tracks.iter().enumerate().map(|(at, part)| {
            let ticks = u64::from(timescale(at));
            part.duration_ts.saturating_add(ticks / 2) / ticks
        });
        let longest_s = longest.max().unwrap_or(1);
        if longest_s > self.state.target_s {
            self.state.target_s = longest_s;
        }
        for (at, part) in tracks.iter().enumerate() {
            let Some(track) = self.state.tracks.get_mut(at) else { continue };
            let timescale = self.tracks.get(at).map_or(1, |job| job.track.timescale.get());
            for (rates, bytes) in track.rates.iter_mut().zip(&part.bytes) {
                let rate = crate::manifest::bits_per_second(*bytes, part.duration_ts, timescale);
                rates.0 = rates.0.max(rate);
                rates.1 = if rates.1 == 0 { rate } else { rates.1 };
            }
        }
        let end_ms = begin_ms.saturating_add(u64::try_from(lasts_ms).unwrap_or(u64::MAX));
        let is_break = std::mem::take(&mut self.is_break);
        self.state.segments.push(SegmentState { number, is_break, begin_ms, end_ms, tracks });
        self.state.next_number = number.saturating_add(1);
    }

    /// Refuses manifests that do not read back.
    fn check_manifests(manifests: &[(String, String)]) -> Result<(), PackageError> {
        for (path, text) in manifests.iter().filter(|(path, _)| path.ends_with(".mpd")) {
            let what = "the MPD does not read back";
            crate::manifest::xml::parse(text)
                .map_err(|_| PackageError::Verification { path: path.clone(), what })?;
        }
        Ok(())
    }
}

/// Where a sample comes from, for messages.
struct Failed<'a> {
    source: &'a str,
    place: Place,
}

/// Encrypts the samples of a fragment, `bytes` one behind the other, under every scheme.
fn encrypt(
    bytes: &[u8],
    samples: &[Entry],
    mut picture: Option<&mut VideoCodec>,
    runs: &mut Vec<Run>,
    renditions: &mut [Rendition<'_, '_>],
    failed: &Failed<'_>,
) -> Result<(), PackageError> {
    let (file, place) = (|| failed.source.to_owned(), failed.place);
    let mut left = bytes;
    for sample in samples {
        let (own, behind) = left.split_at_checked(sample.size as usize).unwrap_or_default();
        left = behind;
        runs.clear();
        if let Some(picture) = &mut picture {
            picture.runs(own, runs).map_err(|what| PackageError::Input {
                file: file(),
                fault: Fault { place, what },
            })?;
        }
        for rendition in renditions.iter_mut() {
            let refused = |what| PackageError::Sample { file: file(), place, what };
            rendition.add(own, runs).map_err(refused)?;
        }
    }
    Ok(())
}

/// The samples of the next fragment, those behind them, and the bytes of the former.
fn split_fragment(samples: &[Entry]) -> (&[Entry], &[Entry], usize) {
    let mut len = 0_usize;
    let mut count = 0;
    for sample in samples {
        if count > 0 && len >= MAX_FRAGMENT {
            break;
        }
        len = len.saturating_add(sample.size as usize);
        count += 1;
    }
    let (own, behind) = samples.split_at_checked(count).unwrap_or((samples, &[]));
    (own, behind, len)
}
