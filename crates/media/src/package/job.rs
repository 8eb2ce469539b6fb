//! The tracks of one packaging job: which there are, how they are called.

use super::describe::{self, TrackDescription};
use super::error::{PackageError, PlanError};
use super::{MAX_TRACKS, TextSummary, TrackSummary};
use crate::bmff::FourCc;
use crate::codec::TrackCodec;
use crate::input::{self, NamedInput, Place, Track, language};
use crate::manifest::{Description, FrameRate, TextFormat, TrackMedia};
use crate::text::{self, Subtitles, TextError};
use model::TrackClass;

/// One track of one source.
pub(super) struct JobTrack {
    /// Index of the source.
    pub input: usize,
    /// Its name in the package.
    pub name: String,
    /// Its class.
    pub class: TrackClass,
    /// The source's track.
    pub track: Track,
    /// The rendition whose key frames it is, for fast play alone.
    pub trick_of: Option<String>,
    /// What is said of it.
    pub description: Description,
}

/// One track of subtitles.
pub(super) struct JobText {
    /// The source, as the user named it.
    pub file: String,
    /// Its name in the package.
    pub name: String,
    /// RFC 5646 language, unless undetermined.
    pub language: Option<String>,
    /// What is said of it.
    pub description: Description,
    /// Its cues.
    pub content: Subtitles,
    /// Index of the source.
    pub input: usize,
    /// Bytes of it.
    size_bytes: u64,
}

/// What sources hold.
#[derive(Default)]
pub(super) struct Opened {
    /// Picture and sound.
    pub tracks: Vec<JobTrack>,
    /// Subtitles.
    pub texts: Vec<JobText>,
    /// What is not packaged.
    pub left_out: Vec<LeftOut>,
}

/// A track that is neither video nor audio nor subtitles of a kind that is packaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The source, as the user named it.
    pub input: String,
    /// The track's handler type: `text`, `tmcd`, `hint` …
    pub handler: FourCc,
}

/// Reads every source up to its samples, subtitles whole.
pub(super) fn open(
    inputs: &mut [NamedInput<'_>],
    descriptions: &[TrackDescription],
) -> Result<Opened, PackageError> {
    let mut opened = Opened::default();
    for (index, named) in inputs.iter_mut().enumerate() {
        let NamedInput { name, input } = named;
        let said = |is_sound| describe::find(descriptions, index, is_sound);
        let failed = |fault| PackageError::Input { file: name.clone(), fault };
        if let Some(content) = text::read_file(&mut **input).map_err(failed)? {
            let language = content.language().map(str::to_owned).or_else(|| named_language(name));
            opened.add_text((index, name, input.len()), language, said(false), content)?;
            continue;
        }
        let movie = input::read(&mut **input).map_err(failed)?;
        movie
            .tracks
            .into_iter()
            .try_for_each(|track| opened.add_track(index, track, said(true)))?;
        for track in &movie.texts {
            let content = text::read_track(&mut **input, track).map_err(failed)?;
            let language = track.language.clone().or_else(|| content.language().map(str::to_owned));
            let source = (index, name.as_str(), track.samples.total_bytes());
            opened.add_text(source, language, said(false), content)?;
        }
        let left_out = movie.left_out.iter();
        opened
            .left_out
            .extend(left_out.map(|kind| LeftOut { input: name.clone(), handler: *kind }));
    }
    describe::check(descriptions, &opened)?;
    match (opened.tracks.is_empty(), opened.texts.is_empty()) {
        (true, true) => Err(PlanError::NoInput.into()),
        (true, false) => Err(PlanError::OnlyText.into()),
        _ => Ok(opened),
    }
}

/// The tracks of a stream, named as those of a source are.
pub(super) fn of_tracks(tracks: Vec<Track>) -> Result<Vec<JobTrack>, PackageError> {
    let mut opened = Opened::default();
    tracks.into_iter().try_for_each(|track| opened.add_track(0, track, None))?;
    if opened.tracks.is_empty() {
        return Err(PlanError::NoInput.into());
    }
    Ok(opened.tracks)
}

/// The language in a file's name: `de` in `film.de.vtt`.
fn named_language(name: &str) -> Option<String> {
    let file = name.rsplit(['/', '\\']).next()?;
    let (stem, _) = file.rsplit_once('.')?;
    let (_, tag) = stem.rsplit_once('.')?;
    language::of_tag(tag)
}

impl Opened {
    fn check_count(&self) -> Result<(), PlanError> {
        let count = self.tracks.len() + self.texts.len();
        if count < MAX_TRACKS { Ok(()) } else { Err(PlanError::TooManyTracks) }
    }

    fn add_track(
        &mut self,
        input: usize,
        mut track: Track,
        said: Option<&TrackDescription>,
    ) -> Result<(), PackageError> {
        self.check_count()?;
        let said = said.filter(|_| matches!(track.codec, TrackCodec::Audio(_)));
        if let Some(tag) = said.and_then(|said| said.language.as_ref()) {
            track.language = Some(tag.clone());
            track.packed_language = language::pack(Some(tag));
        }
        let description = said.map(|said| said.description.clone()).unwrap_or_default();
        let (class, stem) = match &track.codec {
            TrackCodec::Video(video) => {
                let class = TrackClass::of_picture(video.width, video.height);
                (class, format!("video-{}p", video.height))
            }
            TrackCodec::Audio(_) => {
                let language = track.language.as_deref().unwrap_or("und");
                (TrackClass::Audio, format!("audio-{}", language.to_ascii_lowercase()))
            }
        };
        let name = free_name(stem, |name| self.tracks.iter().any(|track| track.name == name));
        self.tracks.push(JobTrack { input, name, class, track, trick_of: None, description });
        Ok(())
    }

    fn add_text(
        &mut self,
        (input, file, size_bytes): (usize, &str, u64),
        language: Option<String>,
        said: Option<&TrackDescription>,
        content: Subtitles,
    ) -> Result<(), PackageError> {
        self.check_count()?;
        let file = file.to_owned();
        if content.last_begin().is_none() {
            let fault = Place::File.fault(TextError::NoCues);
            return Err(PackageError::Input { file, fault });
        }
        let language = said.and_then(|said| said.language.clone()).or(language);
        let description = said.map(|said| said.description.clone()).unwrap_or_default();
        let tag = language.as_deref().unwrap_or("und").to_ascii_lowercase();
        let is_taken = |name: &str| self.texts.iter().any(|text| text.name == name);
        let name = free_name(format!("text-{tag}"), is_taken);
        self.texts.push(JobText { file, name, language, description, content, input, size_bytes });
        Ok(())
    }
}

/// Adds a track for fast play: the key frames of the smallest rendition, under its key.
pub(super) fn add_trick_track(tracks: &mut Vec<JobTrack>) -> Result<(), PlanError> {
    if tracks.len() >= MAX_TRACKS {
        return Err(PlanError::TooManyTracks);
    }
    let videos = tracks.iter().filter_map(|job| match &job.track.codec {
        TrackCodec::Video(video) => Some((u64::from(video.width) * u64::from(video.height), job)),
        TrackCodec::Audio(_) => None,
    });
    let (_, main) = videos.min_by_key(|(pixels, _)| *pixels).ok_or(PlanError::NoTrickTrack)?;
    let samples = main.track.samples.sync_only().ok_or(PlanError::NoTrickTrack)?;
    let stem = main.name.replacen("video-", "trick-", 1);
    let track = JobTrack {
        input: main.input,
        name: free_name(stem, |name| tracks.iter().any(|track| track.name == name)),
        class: main.class,
        track: Track { samples, ..main.track.clone() },
        trick_of: Some(main.name.clone()),
        description: Description::default(),
    };
    tracks.push(track);
    Ok(())
}

/// The stem, or the stem with the first number that is free.
fn free_name(stem: String, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(&stem) {
        return stem;
    }
    let mut numbered = (2..).map(|number| format!("{stem}-{number}"));
    numbered.find(|name| !is_taken(name)).unwrap_or(stem)
}

impl JobText {
    /// Its format.
    pub const fn format(&self) -> TextFormat {
        match self.content {
            Subtitles::WebVtt(_) => TextFormat::WebVtt,
            Subtitles::Ttml(_) => TextFormat::Ttml,
        }
    }

    /// RFC 6381 codecs string.
    pub const fn codecs(&self) -> &'static str {
        match self.content {
            Subtitles::WebVtt(_) => "wvtt",
            Subtitles::Ttml(_) => text::stpp::CODECS,
        }
    }

    /// What it is, before it is packaged.
    pub fn summary(&self) -> TextSummary {
        TextSummary {
            input: self.input,
            name: self.name.clone(),
            codecs: self.codecs().to_owned(),
            language: self.language.clone(),
            size_bytes: self.size_bytes,
        }
    }
}

impl JobTrack {
    /// What it shows or plays, as manifests say it.
    pub fn media(&self) -> TrackMedia {
        match &self.track.codec {
            TrackCodec::Video(video) => TrackMedia::Video {
                width: video.width,
                height: video.height,
                frame_rate: self.frame_rate(),
            },
            TrackCodec::Audio(audio) => TrackMedia::Audio {
                sample_rate: audio.sample_rate,
                channels: audio.channels,
                layout: audio.layout,
                language: self.track.language.clone(),
            },
        }
    }

    fn frame_rate(&self) -> Option<FrameRate> {
        let ticks = self.track.samples.steady_duration()?;
        let timescale = self.track.timescale.get();
        let divisor = greatest_common_divisor(timescale, ticks);
        let seconds = std::num::NonZeroU32::new(ticks / divisor)?;
        Some(FrameRate { frames: timescale / divisor, seconds })
    }

    /// What it is, before it is packaged.
    pub fn summary(&self) -> TrackSummary {
        TrackSummary {
            input: self.input,
            name: self.name.clone(),
            class: self.class,
            codecs: self.track.codec.codecs(self.track.entry),
            media: self.media(),
            duration_ms: self.track.length_ms(),
            size_bytes: self.track.samples.total_bytes(),
        }
    }

    /// Whether it is a rendition of the ladder, between which players switch.
    pub const fn is_in_ladder(&self) -> bool {
        self.is_video() && self.trick_of.is_none()
    }

    /// Whether it is a picture.
    pub const fn is_video(&self) -> bool {
        matches!(self.track.codec, TrackCodec::Video(_))
    }
}

const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 { 1 } else { a }
}
