//! The tracks of one packaging job: which there are, how they are called.

use super::error::{PackageError, PlanError};
use super::{MAX_TRACKS, TrackSummary};
use crate::bmff::FourCc;
use crate::codec::TrackCodec;
use crate::input::{self, NamedInput, Track};
use crate::manifest::{FrameRate, TrackMedia};
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
}

/// A track that is neither video nor audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The source, as the user named it.
    pub input: String,
    /// The track's handler type: `text`, `tmcd`, `hint` …
    pub handler: FourCc,
}

/// Reads every source up to its samples.
pub(super) fn open(
    inputs: &mut [NamedInput<'_>],
) -> Result<(Vec<JobTrack>, Vec<LeftOut>), PackageError> {
    let (mut tracks, mut left_out) = (Vec::<JobTrack>::new(), Vec::new());
    for (index, named) in inputs.iter_mut().enumerate() {
        let movie = input::read(&mut *named.input)
            .map_err(|fault| PackageError::Input { file: named.name.clone(), fault })?;
        for track in movie.tracks {
            if tracks.len() == MAX_TRACKS {
                return Err(PlanError::TooManyTracks.into());
            }
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
            let name = free_name(stem, &tracks);
            tracks.push(JobTrack { input: index, name, class, track });
        }
        left_out.extend(
            movie.left_out.iter().map(|kind| LeftOut { input: named.name.clone(), handler: *kind }),
        );
    }
    if tracks.is_empty() { Err(PlanError::NoInput.into()) } else { Ok((tracks, left_out)) }
}

/// The stem, or the stem with the first number that is free.
fn free_name(stem: String, taken: &[JobTrack]) -> String {
    let is_free = |name: &String| taken.iter().all(|track| track.name != *name);
    if is_free(&stem) {
        return stem;
    }
    let mut numbered = (2..).map(|number| format!("{stem}-{number}"));
    numbered.find(is_free).unwrap_or(stem)
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
