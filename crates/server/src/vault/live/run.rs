//! A channel while it runs, on a thread of its own.

use super::super::packaging::PackagingError;
use super::channel_keys::ChannelKeys;
use super::place::{Growing, LivePlace};
use super::{LiveJob, LiveStatus};
use crate::clock::Clock;
use keys::SystemEntropy;
use media::input::Track;
use media::live::{Event, Reader, Segment, SegmentRules, Segmenter, TrackSamples};
use media::package::PackageError;
use media::package::channel::{Channel, ChannelState, ChannelTracks};
use model::{PackageId, PackagedEvent};
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How long a wish to stop may go unheard.
const LISTENS: Duration = Duration::from_millis(200);

/// Runs a channel to the end of its stream.
pub(super) fn run(
    place: &LivePlace,
    keys: ChannelKeys,
    mut job: LiveJob,
    clock: &Clock,
) -> Result<LiveStatus, PackagingError> {
    job.settings.check().map_err(PackageError::from)?;
    let growing = place.take(&job.settings.content_id)?;
    let mut reader = Reader::default();
    let mut stage = Stage::Taken { growing, keys };
    while let Some(bytes) = next_bytes(&job)? {
        reader.push(&bytes);
        while let Some(event) = reader
            .next_event()
            .map_err(|fault| PackageError::Input { file: job.source.clone(), fault })?
        {
            stage = stage.take(event, &mut job, clock)?;
        }
    }
    if !job.stop.load(Ordering::SeqCst) {
        // Cut off: whoever sends may come again, so the event goes on.
        reader.finish().map_err(|fault| PackageError::Input { file: job.source.clone(), fault })?;
    }
    match stage {
        Stage::Runs(running) => running.end(&mut job, clock),
        Stage::Taken { .. } | Stage::Known { .. } => {
            Err(PackagingError::NoSegment { name: job.source })
        }
    }
}

/// The next bytes; nothing at the end, and where it is to stop.
fn next_bytes(job: &LiveJob) -> Result<Option<Vec<u8>>, PackagingError> {
    while !job.stop.load(Ordering::SeqCst) {
        match job.bytes.recv_timeout(LISTENS) {
            Ok(Ok(bytes)) => return Ok(Some(bytes)),
            Ok(Err(cause)) => return Err(PackagingError::Open { name: job.source.clone(), cause }),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(None)
}

/// How far a channel is.
enum Stage {
    /// Nothing is known of the stream.
    Taken { growing: Growing, keys: ChannelKeys },
    /// Its tracks are.
    Known { growing: Growing, keys: ChannelKeys, tracks: Vec<Track> },
    /// Samples come.
    Runs(Box<Running>),
}

/// A channel whose samples come.
struct Running {
    growing: Growing,
    keys: ChannelKeys,
    channel: Channel,
    segmenter: Segmenter,
    document: PackagedEvent,
    is_shown: bool,
    /// Segments of this run.
    segments: u64,
}

impl Stage {
    fn take(self, event: Event, job: &mut LiveJob, clock: &Clock) -> Result<Self, PackagingError> {
        match (self, event) {
            (Self::Taken { growing, keys }, Event::Movie { tracks, left_out }) => {
                for handler in left_out {
                    tracing::warn!(source = %job.source, %handler, "a track is left out");
                }
                Ok(Self::Known { growing, keys, tracks })
            }
            // The first samples are the begin of the event.
            (Self::Known { growing, keys, tracks }, Event::Fragment(samples)) => {
                let mut running = Running::begin(growing, keys, tracks, job, clock)?;
                running.take(samples, job, clock)?;
                Ok(Self::Runs(Box::new(running)))
            }
            (Self::Runs(mut running), Event::Fragment(samples)) => {
                running.take(samples, job, clock)?;
                Ok(Self::Runs(running))
            }
            // The reader gives one movie, and before all samples.
            (stage, _) => Ok(stage),
        }
    }
}

impl Running {
    fn begin(
        mut growing: Growing,
        mut keys: ChannelKeys,
        tracks: Vec<Track>,
        job: &LiveJob,
        clock: &Clock,
    ) -> Result<Self, PackagingError> {
        let tracks = ChannelTracks::new(tracks)?;
        let of_stream = tracks.tracks();
        let known = growing.state()?;
        let state = match &known {
            Some(document) => ChannelState::go_on(document, &job.settings)?,
            None => {
                let package_id = PackageId::random(&mut SystemEntropy);
                growing.begin(package_id)?;
                let settings = job.settings.clone();
                ChannelState::begin(settings, package_id, clock.now(), &mut SystemEntropy)
            }
        };
        let not_before_ns = state.end_ms().saturating_mul(1_000_000);
        let rules = SegmentRules {
            segment_s: state.segment_s,
            period_s: state.rotation.map(|rotation| rotation.period_s),
            not_before_ns,
        };
        keys.of_tracks(tracks.classes(), &state)?;
        let source = job.source.clone();
        let channel = Channel::open(source, tracks, state, keys.keys())?;
        match known {
            Some(_) => channel.check_inits(&mut growing.out)?,
            None => channel.write_inits(&mut growing.out)?,
        }
        growing.note(&channel)?;
        let segmenter = Segmenter::new(&of_stream, &channel.media_times(), rules);
        let packager = concat!("strongroom ", env!("CARGO_PKG_VERSION")).to_owned();
        let document = channel.event(packager);
        Ok(Self { growing, keys, channel, segmenter, document, is_shown: false, segments: 0 })
    }

    /// Takes the samples of a fragment, and writes the segments that get whole.
    fn take(
        &mut self,
        samples: Vec<TrackSamples>,
        job: &mut LiveJob,
        clock: &Clock,
    ) -> Result<(), PackagingError> {
        let cut = |what| PackagingError::Cut { name: job.source.clone(), what };
        let since_ms = clock.now().0.saturating_sub(self.channel.state().event_begins.0);
        self.segmenter.push(samples, since_ms.saturating_mul(1_000_000)).map_err(cut)?;
        while let Some(segment) = self.segmenter.next_segment().map_err(cut)? {
            self.write(&segment, clock)?;
            (job.progress)(&self.status(clock));
        }
        Ok(())
    }

    /// A segment: its keys, its files, the note, the manifests.
    fn write(&mut self, segment: &Segment, clock: &Clock) -> Result<(), PackagingError> {
        let period = self.channel.state().period_at(segment.begin_ms);
        self.keys.of_period(period, self.channel.classes(), self.channel.state())?;
        self.channel.segment(segment, self.keys.keys(), &mut self.growing.out)?;
        self.segments += 1;
        self.growing.note(&self.channel)?;
        self.show(clock)?;
        let stale = self.channel.stale();
        if !stale.is_empty() {
            self.growing.remove(&stale)?;
            self.channel.forget_stale();
        }
        Ok(())
    }

    /// Writes the manifests, once the package can be joined, and shows it the first time. The
    /// document names the keys that the manifests name, so that delivery knows them.
    fn show(&mut self, clock: &Clock) -> Result<(), PackagingError> {
        if !self.is_shown && !self.channel.state().can_be_joined() {
            return Ok(());
        }
        let document = self.channel.event(self.document.packager.clone());
        if !self.is_shown || document != self.document {
            let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
            self.growing.write(media::package::DOCUMENT, text.as_bytes())?;
            self.document = document;
        }
        for (path, text) in self.channel.manifests(clock.now())? {
            self.growing.write(&path, text.as_bytes())?;
        }
        if self.is_shown {
            return self.growing.sync();
        }
        self.growing.show()?;
        self.keys.publish(&self.document)?;
        self.is_shown = true;
        Ok(())
    }

    /// Closes the event.
    fn end(mut self, job: &mut LiveJob, clock: &Clock) -> Result<LiveStatus, PackagingError> {
        if let Some(segment) = self.segmenter.finish() {
            self.write(&segment, clock)?;
        }
        if self.channel.state().listed_count() == 0 {
            return Err(PackagingError::NoSegment { name: job.source.clone() });
        }
        self.channel.end();
        self.growing.note(&self.channel)?;
        self.show(clock)?;
        self.growing.sync()?;
        let status = self.status(clock);
        (job.progress)(&status);
        Ok(status)
    }

    fn status(&self, clock: &Clock) -> LiveStatus {
        let state = self.channel.state();
        let since_ms = clock.now().0.saturating_sub(state.event_begins.0);
        LiveStatus {
            content_id: state.content_id.clone(),
            package_id: state.package_id,
            event_begins: state.event_begins,
            last_number: state.next_number.saturating_sub(1),
            segments: self.segments,
            listed: state.listed_count(),
            delay_ms: since_ms.saturating_sub(state.end_ms()),
            is_over: state.is_over,
        }
    }
}
