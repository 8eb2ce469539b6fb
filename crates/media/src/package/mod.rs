//! The packager: sources in, an encrypted and verified package out.
//!
//! Each sample is read once and encrypted under every scheme of the package. Before a fragment
//! is written, each of its samples is decrypted again, by the very bytes that are about to be
//! written, and compared with the source. Manifests and `package.json` come last; then the
//! structure of every written file, its size and the manifests' entries are checked. Any
//! [`PackageError`] means that nothing of the output may be published.

pub mod channel;
mod check;
mod cues;
mod cut;
mod describe;
mod error;
mod image_files;
mod job;
mod key_check;
mod key_periods;
pub(crate) mod keyring;
mod output;
pub(crate) mod rendition;
mod text_check;
mod text_writer;
mod track_writer;

pub use crate::manifest::KeySignal;
pub use describe::{MAX_LABEL, TrackDescription};
pub use error::{CueFault, KeyFault, LadderFault, PackageError, PlanError};
pub use job::LeftOut;
pub use key_periods::periods_of as key_periods_of;
pub use output::{FileId, Output};

use crate::images::ImageSet;
use crate::input::{NamedInput, Place, Unsupported};
use crate::manifest::{self, KeyRotation, Presentation, TrackMedia, TrackRendition};
use cut::Cuts;
use job::Opened;
use keys::PackagingKeys;
use model::{
    ContentId, Entropy, PackageId, PackagedEvent, PackagedText, PackagedVariant, Rotation, Scheme,
    Timestamp, TrackClass,
};
use std::io::IoSlice;
use track_writer::{TrackJob, Workspace, Written};

/// Tracks of one package.
pub const MAX_TRACKS: usize = 128;
/// Longest segment that may be asked for, seconds.
pub const MAX_SEGMENT_S: u32 = 60;
/// Longest clear lead, seconds.
pub const MAX_CLEAR_LEAD_S: u32 = 60;
/// Ad cues of one title.
pub const MAX_AD_CUES: usize = 200;
/// Key periods of one title.
pub const MAX_KEY_PERIODS: u32 = 16_384;
/// Name of the document that describes a package.
pub const DOCUMENT: &str = "package.json";

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The title.
    pub content_id: ContentId,
    /// This package of it.
    pub package_id: PackageId,
    /// One scheme or both.
    pub schemes: Vec<Scheme>,
    /// How the media lies in files.
    pub layout: Layout,
    /// Segments last at least this many seconds, then to the next sync sample.
    pub segment_s: u32,
    /// Version of the packager, for the document.
    pub packager: String,
    /// When it is packaged.
    pub now: Timestamp,
    /// Thumbnails of the title.
    pub images: Option<ImageSet>,
    /// Whether the key frames of the smallest rendition are a track of their own, for fast play.
    pub has_trick_track: bool,
    /// The segments that lie wholly within so many seconds from the start are left clear.
    pub clear_lead_s: u32,
    /// Where advertisements may stand, milliseconds from the begin: a part of the title begins at
    /// the first key frame at or after each that all renditions share.
    pub ad_cues_ms: Vec<u64>,
    /// What is said of the sound and the subtitles of the sources, once for a source.
    pub descriptions: Vec<TrackDescription>,
    /// How keys change, where they do.
    pub rotation: Option<RotationPlan>,
}

/// How the keys of a package change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPlan {
    /// How often, and how many keys players ask for at once.
    pub of: Rotation,
    /// How players are told.
    pub signal: KeySignal,
}

/// How media lies in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A file for each segment.
    Segments,
    /// One file for each track, read by byte ranges.
    SingleFile,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of samples are to be packaged.
    Begins {
        /// Bytes.
        total: u64,
    },
    /// So many more are read, encrypted and verified.
    Packaged {
        /// Bytes.
        bytes: u64,
    },
    /// What is done from here on is verification: a benchmark counts it apart.
    VerificationBegins,
    /// Verification pauses.
    VerificationEnds,
}

/// What sources hold.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Tracks that would be packaged, in order.
    pub tracks: Vec<TrackSummary>,
    /// Subtitles that would be packaged, in order.
    pub texts: Vec<TextSummary>,
    /// Tracks that would not be.
    pub left_out: Vec<LeftOut>,
}

/// One track before it is packaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSummary {
    /// Index of its source.
    pub input: usize,
    /// Its name in the package.
    pub name: String,
    /// Its class, which decides its key.
    pub class: TrackClass,
    /// RFC 6381 codecs string.
    pub codecs: String,
    /// What it shows or plays.
    pub media: TrackMedia,
    /// Length, milliseconds.
    pub duration_ms: u64,
    /// Bytes of its samples.
    pub size_bytes: u64,
}

/// One track of subtitles before it is packaged; it needs no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSummary {
    /// Index of its source.
    pub input: usize,
    /// Its name in the package.
    pub name: String,
    /// RFC 6381 codecs string.
    pub codecs: String,
    /// RFC 5646 language, unless undetermined.
    pub language: Option<String>,
    /// Bytes of the file, or of its samples.
    pub size_bytes: u64,
}

/// Reads what the sources hold, so that the right keys can be made. Names and languages are the
/// sources' own: no plan describes them.
///
/// Errors: [`PackageError::Input`], [`PackageError::Plan`].
pub fn probe(inputs: &mut [NamedInput<'_>]) -> Result<Probe, PackageError> {
    let Opened { tracks, texts, left_out } = job::open(inputs, &[])?;
    Ok(Probe {
        tracks: tracks.iter().map(job::JobTrack::summary).collect(),
        texts: texts.iter().map(job::JobText::summary).collect(),
        left_out,
    })
}

/// Packages the sources.
///
/// Shape: `cbcs/`, `cenc/` and `text/` with media and HLS media playlists, then the multivariant
/// playlists, the MPD, and last `package.json`, which is the returned event.
/// Errors: [`PackageError`]; the output then holds a part of a package, to be thrown away.
/// Limits: [`MAX_TRACKS`], [`MAX_SEGMENT_S`], those of [`crate::input`]; memory does not grow
/// with the length of the media but for its sample tables.
pub fn package(
    inputs: &mut [NamedInput<'_>],
    plan: &Plan,
    keys: &PackagingKeys,
    out: &mut dyn Output,
    entropy: &mut dyn Entropy,
    progress: &mut dyn FnMut(Progress),
) -> Result<PackagedEvent, PackageError> {
    let schemes = check_plan(plan)?;
    let Opened { tracks: mut jobs, texts, .. } = job::open(inputs, &plan.descriptions)?;
    if plan.has_trick_track {
        job::add_trick_track(&mut jobs)?;
    }
    let whole_cut = cut::cut(&jobs, plan)?;
    let rotation = key_periods::of_title(plan, &jobs, &whole_cut, &schemes, keys)?;
    let Cuts { tracks: cuts, text: text_cut, cues_ns, .. } = whole_cut;
    let is_single = plan.layout == Layout::SingleFile;
    if is_single {
        check_index_fits(inputs, &jobs, &cuts)?;
    }
    let tracks: Vec<_> = jobs.iter().zip(&cuts).collect();
    let protections = keyring::protect(&tracks, &schemes, keys, rotation.as_ref(), entropy)?;
    let kids: Vec<_> = protections.iter().flatten().map(|one| (one.scheme, one.kid)).collect();
    let total = jobs.iter().map(|job| job.track.samples.total_bytes()).sum();
    progress(Progress::Begins { total });
    let mut workspace = Workspace::default();
    let mut written = Vec::new();
    for ((job, cut), protections) in tracks.into_iter().zip(protections) {
        let Some(input) = inputs.get_mut(job.input) else { continue };
        let rotation = rotation.as_ref();
        let task = TrackJob { job, cut, layout: plan.layout, kids: &kids, rotation };
        written.extend(track_writer::write(
            &task,
            protections,
            input,
            out,
            &mut workspace,
            progress,
        )?);
    }
    for text in &texts {
        written.push(text_writer::write(text, &text_cut, plan.layout, out)?);
    }
    let tracks = written.iter().map(|one| one.track.clone()).collect();
    let images = plan.images.as_ref().map(|set| image_files::write(set, out)).transpose()?;
    let presentation = Presentation {
        tracks,
        images,
        cues_ns,
        rotation,
        ..Presentation::new(plan.content_id.clone())
    };
    let manifests = write_manifests(&presentation, &schemes, out)?;
    progress(Progress::VerificationBegins);
    let mut media_bytes = check::package(&presentation, &written, &manifests, out)?;
    let clear = written.iter().filter(|one| one.track.protection.is_none());
    for (text, written) in texts.iter().zip(clear) {
        media_bytes += text_check::check(text, &text_cut, written, out)?;
    }
    let set = plan.images.as_ref();
    let image_bytes = set.map_or(Ok(0), |set| image_files::check(set, out))?;
    progress(Progress::VerificationEnds);
    let manifest_bytes: u64 = manifests.iter().map(|(_, text)| text.len() as u64).sum();
    let size_bytes = media_bytes + image_bytes + manifest_bytes;
    let event = event(plan, &presentation, &schemes, &written, size_bytes);
    let document = serde_json::to_string_pretty(&event).unwrap_or_default() + "\n";
    write_file(DOCUMENT, document.as_bytes(), out)?;
    Ok(event)
}

fn check_plan(plan: &Plan) -> Result<Vec<Scheme>, PlanError> {
    let schemes = track_writer::schemes_in_order(&plan.schemes);
    if schemes.is_empty() || schemes.len() != plan.schemes.len() {
        return Err(PlanError::Schemes);
    }
    if plan.segment_s == 0 || plan.segment_s > MAX_SEGMENT_S {
        return Err(PlanError::SegmentLength);
    }
    if plan.clear_lead_s > MAX_CLEAR_LEAD_S {
        return Err(PlanError::ClearLead);
    }
    if !plan.ad_cues_ms.is_empty() && plan.layout == Layout::SingleFile {
        return Err(PlanError::CuesInOneFile);
    }
    if plan.ad_cues_ms.len() > MAX_AD_CUES {
        return Err(PlanError::TooManyCues);
    }
    key_periods::check(plan)?;
    Ok(schemes)
}

/// An index counts segments in 16 bits and their ticks in 32.
fn check_index_fits(
    inputs: &[NamedInput<'_>],
    jobs: &[job::JobTrack],
    cuts: &[cut::TrackCut],
) -> Result<(), PackageError> {
    for (job, cut) in jobs.iter().zip(cuts) {
        if cut.segments.len() > crate::cmaf::MAX_REFERENCES {
            return Err(PlanError::TooManySegments.into());
        }
        if cut.segments.iter().any(|segment| u32::try_from(segment.duration).is_err()) {
            let file = inputs.get(job.input).map(|input| input.name.clone()).unwrap_or_default();
            let what = Unsupported::Feature("a segment of more than 2^32 ticks in a single file");
            let fault = Place::Track(job.track.id).fault(what);
            return Err(PackageError::Input { file, fault });
        }
    }
    Ok(())
}

/// Writes every manifest; returns path and text of each.
fn write_manifests(
    presentation: &Presentation,
    schemes: &[Scheme],
    out: &mut dyn Output,
) -> Result<Vec<(String, String)>, PackageError> {
    let mut manifests = Vec::new();
    for track in &presentation.tracks {
        manifests.push((track.playlist_path(), manifest::hls_media(presentation, track)));
        let i_frames = manifest::hls_i_frames(presentation, track);
        manifests.extend(track.iframe_playlist_path().zip(i_frames));
    }
    if let Some(images) = &presentation.images {
        manifests.push((images.tiles.playlist_path(), manifest::hls_images(images)));
    }
    for scheme in schemes {
        let path = manifest::hls_path(*scheme).to_owned();
        manifests.push((path, manifest::hls_master(presentation, *scheme)));
    }
    manifests.push((manifest::DASH_PATH.to_owned(), manifest::mpd(presentation)));
    // What is longer is served to nobody.
    let is_too_long = |text: &str| text.len() > manifest::xml::MAX_BYTES;
    if presentation.rotation.is_some() && manifests.iter().any(|(_, text)| is_too_long(text)) {
        return Err(PlanError::ManifestTooLong.into());
    }
    for (path, text) in &manifests {
        write_file(path, text.as_bytes(), out)?;
    }
    Ok(manifests)
}

fn write_file(path: &str, bytes: &[u8], out: &mut dyn Output) -> Result<(), PackageError> {
    let failed = |source| PackageError::Write { path: path.to_owned(), source };
    let file = out.create(path).map_err(failed)?;
    out.append(file, &mut [IoSlice::new(bytes)]).map_err(failed)?;
    out.close(file).map_err(failed)
}

fn event(
    plan: &Plan,
    presentation: &Presentation,
    schemes: &[Scheme],
    written: &[Written],
    size_bytes: u64,
) -> PackagedEvent {
    let rotation = presentation.rotation.as_ref();
    let duration_ms = written.iter().map(|one| one.track.duration_ms()).max().unwrap_or(0);
    PackagedEvent {
        event: PackagedEvent::EVENT.to_owned(),
        version: PackagedEvent::VERSION,
        content_id: plan.content_id.clone(),
        package_id: plan.package_id,
        schemes: schemes.to_vec(),
        variants: written.iter().filter_map(|one| variant(one, rotation)).collect(),
        texts: written.iter().filter_map(text).collect(),
        images: plan.images.iter().map(image_files::describe).collect(),
        dash: manifest::DASH_PATH.to_owned(),
        hls: schemes.iter().map(|scheme| manifest::hls_path(*scheme).to_owned()).collect(),
        live: false,
        rotation: rotation.map(|rotation| rotation.of),
        duration_ms,
        size_bytes,
        packager: plan.packager.clone(),
        packaged_at: plan.now,
    }
}

/// A track of picture or sound.
fn variant(written: &Written, rotation: Option<&KeyRotation>) -> Option<PackagedVariant> {
    let size_bytes = written.size_bytes();
    variant_of(&written.track, rotation).map(|variant| PackagedVariant { size_bytes, ..variant })
}

/// The same without its size.
fn variant_of(track: &TrackRendition, rotation: Option<&KeyRotation>) -> Option<PackagedVariant> {
    let protection = track.protection?;
    let (width, height) = match track.media {
        TrackMedia::Video { width, height, .. } => (Some(width), Some(height)),
        TrackMedia::Audio { .. } | TrackMedia::Text { .. } => (None, None),
    };
    Some(PackagedVariant {
        name: track.name.clone(),
        trick_of: track.trick_of.clone(),
        scheme: protection.scheme,
        track_class: protection.class,
        kid: protection.kid,
        period_kids: rotation.map(|one| one.period_kids(protection)).unwrap_or_default(),
        codecs: track.codecs.clone(),
        bandwidth: track.average_bandwidth(),
        width,
        height,
        language: track.language().map(str::to_owned),
        role: track.description.role,
        clear_lead_ms: track.clear_lead_ms(),
        playlist: track.playlist_path(),
        iframe_playlist: track.iframe_playlist_path(),
        size_bytes: 0,
    })
}

/// A track of subtitles.
fn text(written: &Written) -> Option<PackagedText> {
    let track = &written.track;
    let is_clear = track.protection.is_none();
    is_clear.then(|| PackagedText {
        name: track.name.clone(),
        codecs: track.codecs.clone(),
        language: track.language().map(str::to_owned),
        role: track.description.role,
        playlist: track.playlist_path(),
        size_bytes: written.size_bytes(),
    })
}
