//! Writing one track: each sample is read once, and goes from one window into the fragments of
//! every scheme.

use super::cut::{Segment, TrackCut};
use super::error::PackageError;
use super::job::JobTrack;
use super::key_periods::{PlannedTurn, init_pssh};
use super::keyring::Protection;
use super::output::{FileId, Output};
use super::rendition::{Buffers, Rendition};
use super::{Layout, Progress};
use crate::cenc::{Seig, Tenc};
use crate::cmaf::{
    self, Entry, Init, InitProtection, MediaKind, Reference, write_index, write_init,
};
use crate::codec::{Run, TrackCodec, VideoCodec};
use crate::input::{Fault, Malformed, NamedInput, Place, Sample, Samples, Source};
use crate::manifest::{
    ByteSpan, KeyFrame, KeyRotation, KeySignal, SegmentEntry, TrackLayout, TrackProtection,
    TrackRendition,
};
use crate::pssh;
use model::{KeyId, Scheme, TrackClass};
use std::io::IoSlice;
use std::iter::Peekable;
use std::sync::Arc;

/// Bytes that are read at once: they and their encrypted copies fit the cache.
const WINDOW: usize = 256 << 10;
/// Sample bytes of a fragment at which the next one begins; a segment of higher bitrate has
/// several. Bounds memory: one such buffer for each scheme.
const MAX_FRAGMENT: usize = 12 << 20;

/// What is kept from track to track: nothing is allocated for a sample.
#[derive(Default)]
pub(super) struct Workspace {
    window: Vec<u8>,
    /// Samples of the window.
    samples: Vec<Sample>,
    /// Samples of the fragment.
    entries: Vec<Entry>,
    runs: Vec<Run>,
    schemes: Vec<Buffers>,
}

/// What goes into one track's files.
pub(super) struct TrackJob<'a> {
    pub job: &'a JobTrack,
    pub cut: &'a TrackCut,
    pub layout: Layout,
    /// Every key of the title with its scheme; of one whose keys change, those of its tracks.
    pub kids: &'a [(Scheme, KeyId)],
    /// How keys change, where they do.
    pub rotation: Option<&'a KeyRotation>,
}

/// A track in one scheme as it was written, or a clear one.
pub(super) struct Written {
    /// What the manifests say of it.
    pub track: TrackRendition,
    /// Samples of each segment.
    pub counts: Vec<u32>,
    /// Its init, or one for each key.
    pub inits: Vec<WrittenInit>,
    /// Where its key changes.
    pub turns: Vec<WrittenTurn>,
}

/// An init as it was written.
#[derive(Clone)]
pub(super) struct WrittenInit {
    /// Its path in the package.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The key that it names; none in a clear track.
    pub kid: Option<KeyId>,
}

/// A turn as it was written.
pub(super) struct WrittenTurn {
    /// The first segment under the key, counted from 0.
    pub segment: usize,
    /// The key.
    pub seig: Seig,
    /// What every fragment says of it; nothing where manifests do.
    pub pssh: Option<Arc<[u8]>>,
}

impl Written {
    /// Bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.track.size_bytes() + self.inits.iter().map(|init| init.bytes.len() as u64).sum::<u64>()
    }
}

/// Writes a track under every scheme of `protections`.
pub(super) fn write(
    task: &TrackJob<'_>,
    protections: Vec<Protection<'_>>,
    input: &mut NamedInput<'_>,
    out: &mut dyn Output,
    workspace: &mut Workspace,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Written>, PackageError> {
    let Workspace { window, samples, entries, runs, schemes } = workspace;
    schemes.resize_with(protections.len().max(schemes.len()), Buffers::default);
    let mut described: Vec<TrackRendition> =
        protections.iter().map(|protection| describe(task, protection)).collect();
    let turns: Vec<_> = protections.iter().map(written_turns).collect();
    let mut inits = Vec::new();
    for (protection, track) in protections.iter().zip(&described) {
        inits.push(inits_of(task, protection, track)?);
    }
    let mut renditions = Vec::new();
    for (((protection, buffers), track), inits) in
        protections.into_iter().zip(schemes.iter_mut()).zip(&mut described).zip(&inits)
    {
        renditions.push(begin(task, protection, inits, buffers, track, out)?);
    }
    let picture = match &task.job.track.codec {
        TrackCodec::Video(video) => Some(video.codec.clone()),
        TrackCodec::Audio(_) => None,
    };
    let mut writer = TrackWriter {
        task,
        file: input.name.clone(),
        source: Source::new(&mut *input.input),
        walk: task.job.track.samples.iter().peekable(),
        key_frames: task.cut.key_frames.iter().peekable(),
        picture,
        window,
        samples,
        entries,
        runs,
        renditions,
        out,
        progress,
    };
    for (at, segment) in task.cut.segments.iter().enumerate() {
        let sizes = writer.segment(at + 1, segment, &described)?;
        for (track, size_bytes) in described.iter_mut().zip(sizes) {
            let (duration_ts, starts_with_sap) = (segment.duration, segment.starts_with_sap);
            track.segments.push(SegmentEntry { duration_ts, size_bytes, starts_with_sap });
        }
    }
    writer.check_class()?;
    for (track, found) in described.iter_mut().zip(writer.key_frames()) {
        track.key_frames = found;
    }
    writer.finish(&described)?;
    let counts: Vec<_> = task.cut.segments.iter().map(|segment| segment.count).collect();
    let written = described.into_iter().zip(inits).zip(turns);
    let whole = |((track, inits), turns)| Written { track, counts: counts.clone(), inits, turns };
    Ok(written.map(whole).collect())
}

fn written_turns(protection: &Protection<'_>) -> Vec<WrittenTurn> {
    protection.turns.iter().map(PlannedTurn::written).collect()
}

/// The track as manifests will say it, its segments still missing.
fn describe(task: &TrackJob<'_>, protection: &Protection<'_>) -> TrackRendition {
    let none = ByteSpan { start: 0, len: 0 };
    let layout = match task.layout {
        Layout::Segments => TrackLayout::Segments,
        Layout::SingleFile => TrackLayout::SingleFile { init: none, index: none },
    };
    let protection = TrackProtection {
        scheme: protection.scheme,
        class: task.job.class,
        kid: protection.kid,
        playready_checksum: protection.playready_checksum,
    };
    TrackRendition {
        start_ts: task.cut.segments.first().map_or(0, |first| first.presentation),
        clear_segments: task.cut.clear_segments,
        ..described(task.job, protection, layout)
    }
}

/// A track without segments.
pub(super) fn described(
    job: &JobTrack,
    protection: TrackProtection,
    layout: TrackLayout,
) -> TrackRendition {
    TrackRendition {
        name: job.name.clone(),
        trick_of: job.trick_of.clone(),
        protection: Some(protection),
        codecs: job.track.codec.codecs(job.track.entry),
        media: job.media(),
        description: job.description.clone(),
        timescale: job.track.timescale.get(),
        start_ts: 0,
        layout,
        segments: Vec::new(),
        key_frames: Vec::new(),
        clear_segments: 0,
        live: None,
    }
}

/// Begins a rendition's files: the inits, and the room for the index of a single file.
fn begin<'b, 'k>(
    task: &TrackJob<'b>,
    protection: Protection<'k>,
    inits: &[WrittenInit],
    buffers: &'b mut Buffers,
    track: &mut TrackRendition,
    out: &mut dyn Output,
) -> Result<Rendition<'b, 'k>, PackageError> {
    let (mut file, mut head) = (FileId(0), 0);
    for WrittenInit { path, bytes, .. } in inits {
        let failed = |source| PackageError::Write { path: path.clone(), source };
        file = create(out, path)?;
        head = bytes.len();
        out.append(file, &mut [IoSlice::new(bytes)]).map_err(failed)?;
        if let TrackLayout::SingleFile { init, index } = &mut track.layout {
            let room = vec![0; cmaf::index_len(task.cut.segments.len())];
            out.append(file, &mut [IoSlice::new(&room)]).map_err(failed)?;
            *init = ByteSpan { start: 0, len: head as u64 };
            *index = ByteSpan { start: head as u64, len: room.len() as u64 };
            head += room.len();
        } else {
            out.close(file).map_err(failed)?;
        }
    }
    let mut rendition =
        Rendition::new(protection, &task.job.track, file, track.init_path(), buffers);
    rendition.written = head as u64;
    Ok(rendition)
}

/// The init of a track under a scheme, or one for each of its keys.
fn inits_of(
    task: &TrackJob<'_>,
    protection: &Protection<'_>,
    track: &TrackRendition,
) -> Result<Vec<WrittenInit>, PackageError> {
    let whole = |path: String, tenc: Tenc, pssh: &[u8]| WrittenInit {
        path,
        bytes: init_bytes(task, protection.scheme, tenc, pssh),
        kid: Some(tenc.kid),
    };
    let Some(rotation) = task.rotation else {
        let pssh = static_pssh(task, protection);
        return Ok(vec![whole(track.init_path(), protection.tenc, &pssh)]);
    };
    if rotation.signal == KeySignal::InBand {
        let pssh = init_pssh(rotation, protection.scheme)?;
        return Ok(vec![whole(track.init_path(), protection.tenc, &pssh)]);
    }
    let of_turn = |turn: &PlannedTurn<'_>| {
        whole(track.init_path_in(turn.period), turn.seig.into(), &turn.pssh)
    };
    Ok(protection.turns.iter().map(of_turn).collect())
}

/// A `pssh` of each system: the common one names all keys of the title, so that a player asks once
/// for all tracks.
fn static_pssh(task: &TrackJob<'_>, protection: &Protection<'_>) -> Vec<u8> {
    let Protection { scheme, kid, playready_checksum, .. } = protection;
    let of_scheme = task.kids.iter().filter(|(own, _)| own == scheme);
    let all: Vec<_> = of_scheme.map(|(_, kid)| *kid).collect();
    let boxes = [
        pssh::common(&all),
        pssh::widevine(&[*kid], *scheme),
        pssh::playready(*kid, *scheme, *playready_checksum),
    ];
    boxes.concat()
}

/// The init of a track under a scheme.
fn init_bytes(task: &TrackJob<'_>, scheme: Scheme, tenc: Tenc, pssh: &[u8]) -> Vec<u8> {
    let length = task.cut.segments.iter().map(|segment| segment.duration).sum();
    let track = &task.job.track;
    let has_clear_entry = task.cut.clear_segments > 0;
    let init = Init {
        kind: if task.job.is_video() { MediaKind::Video } else { MediaKind::Audio },
        timescale: track.timescale,
        language: track.language.as_deref(),
        packed_language: track.packed_language,
        frame: track.frame,
        media_time: track.edit.media_time,
        entry: track.entry,
        entry_body: &track.entry_body,
        protection: Some(InitProtection { scheme, tenc, pssh, has_clear_entry }),
        length,
    };
    let mut bytes = Vec::new();
    write_init(&init, &mut bytes);
    bytes
}

struct TrackWriter<'a, 'w> {
    task: &'a TrackJob<'a>,
    /// The source's name.
    file: String,
    source: Source<'w>,
    walk: Peekable<Samples<'a>>,
    /// Where fragments begin inside segments.
    key_frames: Peekable<std::slice::Iter<'a, u32>>,
    /// Reads a video track's samples.
    picture: Option<VideoCodec>,
    window: &'w mut Vec<u8>,
    samples: &'w mut Vec<Sample>,
    entries: &'w mut Vec<Entry>,
    runs: &'w mut Vec<Run>,
    renditions: Vec<Rendition<'w, 'a>>,
    out: &'w mut dyn Output,
    progress: &'w mut dyn FnMut(Progress),
}

impl TrackWriter<'_, '_> {
    /// Writes a segment; returns its length in each scheme.
    fn segment(
        &mut self,
        number: usize,
        segment: &Segment,
        described: &[TrackRendition],
    ) -> Result<Vec<u64>, PackageError> {
        let is_own_file = self.task.layout == Layout::Segments;
        if is_own_file {
            for (rendition, track) in self.renditions.iter_mut().zip(described) {
                rendition.path = track.segment_path(number);
                rendition.file = create(self.out, &rendition.path)?;
                rendition.written = 0;
            }
        }
        for rendition in &mut self.renditions {
            let turns = &rendition.protection.turns;
            let found = turns.binary_search_by_key(&number, |turn| turn.segment + 1).ok();
            if let Some(turn) = found.and_then(|at| turns.get(at)).map(PlannedTurn::turn) {
                rendition.turn(turn)?;
            }
        }
        let is_clear = number <= self.task.cut.clear_segments;
        self.renditions.iter_mut().for_each(|rendition| rendition.is_clear = is_clear);
        let before: Vec<_> = self.renditions.iter().map(|one| one.written).collect();
        let end = segment.first + segment.count;
        let mut begins_file = is_own_file;
        while let Some(first) = self.walk.peek().copied().filter(|next| next.index < end) {
            while self.key_frames.next_if(|at| **at <= first.index).is_some() {}
            let until = self.key_frames.peek().map_or(end, |at| end.min(**at));
            self.fragment(until)?;
            let offset = self.task.cut.offset;
            let decode_time = first.decode_time.saturating_add_signed(offset);
            let composition = i64::from(first.composition) - self.media_time();
            let presentation_ts = decode_time.saturating_add_signed(composition);
            for rendition in &mut self.renditions {
                let span = rendition.flush(decode_time, self.entries, begins_file, self.out)?;
                if first.is_sync && self.task.job.is_in_ladder() {
                    let frame = KeyFrame { segment: number, span, presentation_ts };
                    rendition.key_frames.push(frame);
                }
            }
            begins_file = false;
        }
        let written = self.renditions.iter().zip(before).map(|(one, before)| one.written - before);
        let written = written.collect();
        if is_own_file {
            self.close()?;
        }
        Ok(written)
    }

    /// What the edit list takes off each presentation time, in ticks.
    fn media_time(&self) -> i64 {
        i64::try_from(self.task.job.track.edit.media_time).unwrap_or(i64::MAX)
    }

    /// Fills the buffers with samples before index `end`, up to the size of a fragment.
    fn fragment(&mut self, end: u32) -> Result<(), PackageError> {
        self.entries.clear();
        let is_full = |one: &Rendition<'_, '_>| one.payload_len() >= MAX_FRAGMENT;
        while !self.renditions.first().is_some_and(is_full) {
            let from = self.entries.len();
            let read = self.read_window(end)?;
            if read == 0 {
                break;
            }
            self.encrypt()?;
            (self.progress)(Progress::VerificationBegins);
            let entries = self.entries.get(from..).unwrap_or_default();
            for rendition in &mut self.renditions {
                rendition.verify(self.window, entries)?;
            }
            (self.progress)(Progress::VerificationEnds);
            (self.progress)(Progress::Packaged { bytes: read as u64 });
        }
        Ok(())
    }

    /// Reads samples before index `end` until the window is full; returns their bytes. What lies
    /// one behind the other is read at once.
    fn read_window(&mut self, end: u32) -> Result<usize, PackageError> {
        self.samples.clear();
        let mut filled = 0;
        while let Some((offset, len)) = self.next_run(end, filled) {
            let range = filled..filled + len;
            if self.window.len() < range.end {
                self.window.resize(range.end, 0);
            }
            let run = self.window.get_mut(range).unwrap_or_default();
            self.source
                .read(offset, run)
                .map_err(|fault| PackageError::Input { file: self.file.clone(), fault })?;
            filled += len;
        }
        Ok(filled)
    }

    /// Takes samples that lie one behind the other and fit the window behind `filled` bytes; the
    /// first of a window always fits. Returns offset and bytes.
    fn next_run(&mut self, end: u32, filled: usize) -> Option<(u64, usize)> {
        let mut len = 0;
        let mut start: Option<u64> = None;
        while let Some(sample) = self.walk.next_if(|next| {
            let fits = filled + len == 0 || filled + len + next.size as usize <= WINDOW;
            let follows = start.is_none_or(|start| next.offset == start + len as u64);
            next.index < end && fits && follows
        }) {
            start.get_or_insert(sample.offset);
            len += sample.size as usize;
            self.samples.push(sample);
        }
        start.map(|start| (start, len))
    }

    fn encrypt(&mut self) -> Result<(), PackageError> {
        let mut rest = self.window.as_slice();
        for sample in self.samples.iter() {
            let (bytes, behind) = rest.split_at_checked(sample.size as usize).unwrap_or_default();
            rest = behind;
            let place = Place::Sample {
                track: self.task.job.track.id,
                number: sample.index + 1,
                offset: sample.offset,
            };
            self.runs.clear();
            if let Some(picture) = &mut self.picture {
                picture.runs(bytes, self.runs).map_err(|what| {
                    let fault = Fault { place, what };
                    PackageError::Input { file: self.file.clone(), fault }
                })?;
            }
            for rendition in &mut self.renditions {
                rendition.add(bytes, self.runs).map_err(|what| PackageError::Sample {
                    file: self.file.clone(),
                    place,
                    what,
                })?;
            }
            let Sample { duration, size, composition, is_sync, .. } = *sample;
            self.entries.push(Entry { duration, size, composition, is_sync });
        }
        Ok(())
    }

    /// The key frames that can be fetched alone, in each scheme.
    fn key_frames(&mut self) -> Vec<Vec<KeyFrame>> {
        self.renditions.iter_mut().map(|one| std::mem::take(&mut one.key_frames)).collect()
    }

    fn close(&mut self) -> Result<(), PackageError> {
        for rendition in &self.renditions {
            self.out
                .close(rendition.file)
                .map_err(|source| PackageError::Write { path: rendition.path.clone(), source })?;
        }
        Ok(())
    }

    /// A key opens pictures of its class. What the samples announced must not be larger than
    /// what the key was chosen by, or the key of a lower class would open a higher one.
    fn check_class(&self) -> Result<(), PackageError> {
        let largest = self.picture.as_ref().and_then(VideoCodec::largest_picture);
        let Some((width, height)) = largest else { return Ok(()) };
        if TrackClass::of_picture(width, height) <= self.task.job.class {
            return Ok(());
        }
        let what = Malformed::Value("a picture larger than the track's class");
        let fault = Place::Track(self.task.job.track.id).fault(what);
        Err(PackageError::Input { file: self.file.clone(), fault })
    }

    /// Ends single files: the index goes into the room that was kept for it.
    fn finish(mut self, described: &[TrackRendition]) -> Result<(), PackageError> {
        if self.task.layout == Layout::Segments {
            return Ok(());
        }
        for (rendition, track) in self.renditions.iter().zip(described) {
            let TrackLayout::SingleFile { index, .. } = track.layout else { continue };
            let mut bytes = Vec::new();
            write_index(track.timescale, track.start_ts, &references(track)?, &mut bytes);
            self.out
                .overwrite(rendition.file, index.start, &bytes)
                .map_err(|source| PackageError::Write { path: rendition.path.clone(), source })?;
        }
        self.close()
    }
}

pub(super) fn create(out: &mut dyn Output, path: &str) -> Result<FileId, PackageError> {
    out.create(path).map_err(|source| PackageError::Write { path: path.to_owned(), source })
}

/// The segments as the index lists them.
pub(super) fn references(track: &TrackRendition) -> Result<Vec<Reference>, PackageError> {
    let reference = |segment: &SegmentEntry| {
        let size = u32::try_from(segment.size_bytes).ok().filter(|size| *size < 1 << 31)?;
        let duration = u32::try_from(segment.duration_ts).ok()?;
        Some(Reference { size, duration, starts_with_sap: segment.starts_with_sap })
    };
    let what = "a segment is too large for the index";
    let failed = || PackageError::Verification { path: track.init_path(), what };
    track.segments.iter().map(|segment| reference(segment).ok_or_else(failed)).collect()
}

/// The schemes of a package in the order in which it lists them.
pub(super) fn schemes_in_order(schemes: &[Scheme]) -> Vec<Scheme> {
    Scheme::ALL.into_iter().filter(|scheme| schemes.contains(scheme)).collect()
}
