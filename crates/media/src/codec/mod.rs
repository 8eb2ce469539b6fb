//! Codecs: what a sample entry says of a track, and which bytes of a sample are content.
//!
//! CENC leaves headers in the clear so that a player can parse them (ISO/IEC 23001-7:2016, 9.5);
//! so each codec's headers are read to the byte where content begins. Nothing else is read.

mod aac;
mod error;
pub mod h264;
mod nal;
mod nal_bits;

pub use error::CodecError;

use crate::bmff::{Fields, FourCc, boxes};
use crate::input::{Malformed, Unsupported, What};
use h264::AvcConfig;

/// Clear bytes, then content: one unit of a sample, before any scheme's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Length field and headers, or a whole unit without content.
    pub clear: usize,
    /// Coded picture.
    pub content: usize,
}

/// What a track is coded with.
#[derive(Clone, Debug)]
pub enum TrackCodec {
    /// Moving picture.
    Video(VideoTrack),
    /// Sound.
    Audio(AudioTrack),
}

/// Facts of a video track.
#[derive(Clone, Debug)]
pub struct VideoTrack {
    /// Pixels across: the larger one of sample entry and parameter set, so that a track cannot
    /// pass for a smaller one.
    pub width: u32,
    /// Pixels down, likewise.
    pub height: u32,
    /// Decoder configuration.
    pub codec: VideoCodec,
}

/// A video codec with its decoder configuration.
///
/// A clone of it walks the samples of the track in order: what a sample changes (parameter sets,
/// references) is remembered for the next.
#[derive(Clone, Debug)]
pub enum VideoCodec {
    /// H.264.
    Avc(AvcConfig),
}

/// Facts of an audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTrack {
    /// The codec.
    pub codec: AudioCodec,
    /// Samples per second.
    pub sample_rate: u32,
    /// Loudspeaker channels.
    pub channels: u16,
}

/// An audio codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC.
    Aac {
        /// MPEG-4 audio object type: 2 (AAC-LC), 5 (HE-AAC), 29 (HE-AAC v2).
        object_type: u8,
    },
}

impl TrackCodec {
    /// RFC 6381 codecs string; `entry` is the type of the sample entry.
    #[must_use]
    pub fn codecs(&self, entry: FourCc) -> String {
        match self {
            Self::Video(video) => video.codec.codecs(entry),
            Self::Audio(AudioTrack { codec: AudioCodec::Aac { object_type }, .. }) => {
                format!("mp4a.40.{object_type}")
            }
        }
    }

    /// Reads a sample entry of a video or audio track.
    ///
    /// Errors: [`What`]; an encrypted one is [`Unsupported::Encrypted`].
    pub(crate) fn parse(entry: FourCc, body: &[u8]) -> Result<Self, What> {
        match &entry.0 {
            b"avc1" | b"avc3" => VideoTrack::parse(entry, body).map(Self::Video),
            b"mp4a" => aac::parse(body).map(Self::Audio),
            b"encv" | b"enca" => Err(Unsupported::Encrypted.into()),
            _ => Err(Unsupported::Codec(entry).into()),
        }
    }
}

impl VideoCodec {
    fn codecs(&self, entry: FourCc) -> String {
        match self {
            Self::Avc(config) => {
                let [profile, constraints, level] = config.profile;
                format!("{entry}.{profile:02X}{constraints:02X}{level:02X}")
            }
        }
    }

    /// Splits the next sample of the track into runs.
    ///
    /// Shape: `runs` is emptied and filled; it covers the sample exactly.
    /// Errors: [`Malformed::NalLengths`], [`Malformed::Codec`].
    pub fn runs(&mut self, sample: &[u8], runs: &mut Vec<Run>) -> Result<(), What> {
        match self {
            Self::Avc(config) => config.runs(sample, runs),
        }
    }

    /// Width and height of the largest picture that the stream has announced so far.
    #[must_use]
    pub fn largest_picture(&self) -> Option<(u32, u32)> {
        match self {
            Self::Avc(config) => config.sets.largest_picture(),
        }
    }
}

/// Bytes of a visual sample entry before its boxes.
pub(crate) const VISUAL_FIELDS: usize = 78;
/// Bytes of an audio sample entry before its boxes.
pub(crate) const AUDIO_FIELDS: usize = 28;

impl VideoTrack {
    fn parse(entry: FourCc, body: &[u8]) -> Result<Self, What> {
        let mut fields = Fields::new(body);
        fields.take(24)?;
        let (width, height) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
        fields.take(VISUAL_FIELDS - 28)?;
        if width == 0 || height == 0 {
            return Err(Malformed::Value("the picture size").into());
        }
        let codec = match &entry.0 {
            b"avc1" | b"avc3" => VideoCodec::Avc(AvcConfig::parse(child(fields.rest(), b"avcC")?)?),
            _ => return Err(Unsupported::Codec(entry).into()),
        };
        let (coded_width, coded_height) = codec.largest_picture().unwrap_or((0, 0));
        Ok(Self { width: width.max(coded_width), height: height.max(coded_height), codec })
    }
}

/// The box of a kind in a sample entry. All of them must be whole: they are copied, and `sinf`
/// must be found behind them.
fn child<'a>(children: &'a [u8], kind: &[u8; 4]) -> Result<&'a [u8], What> {
    let mut wanted = None;
    for child in boxes(children) {
        let child = child?;
        if child.whole.starts_with(&[0; 4]) {
            // "To the end" would swallow what is appended.
            return Err(Malformed::Value("a box size of 0 in a sample entry").into());
        }
        match &child.kind.0 {
            b"sinf" => return Err(Unsupported::Encrypted.into()),
            found if found == kind && wanted.is_none() => wanted = Some(child.body),
            _ => {}
        }
    }
    wanted.ok_or_else(|| Malformed::Missing(FourCc(*kind)).into())
}
