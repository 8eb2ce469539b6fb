//! Codecs: what a sample entry says of a track, and which bytes of a sample are content.
//!
//! CENC leaves headers in the clear so that a player can parse them (ISO/IEC 23001-7:2016, 9.5);
//! so each codec's headers are read to the byte where content begins. Nothing else is read.

mod aac;
pub mod av1;
mod channel_layout;
mod config_bits;
mod dolby;
mod error;
mod flac;
pub mod h264;
mod header_bits;
pub mod hevc;
mod nal;
mod nal_bits;
mod opus;
mod parameter_sets;
mod sound_entry;
pub mod vp9;

pub use channel_layout::ChannelLayout;
pub use error::CodecError;

use crate::bmff::{Child, Fields, FourCc, boxes};
use crate::input::{Malformed, Unsupported, What};
use av1::Av1Config;
use h264::AvcConfig;
use hevc::HevcConfig;
use model::Scheme;
use sound_entry::SoundEntry;
use vp9::Vp9Config;

/// Clear bytes, then content: one unit of a sample, before any scheme's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Length field and headers, or a whole unit without content.
    pub clear: usize,
    /// Coded picture.
    pub content: usize,
}

/// Where the protected part of a run ends; what is left over stays clear behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedEnd {
    /// With the content.
    Content,
    /// With the last cipher block that the content fills.
    WholeBlock,
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
    /// HEVC.
    Hevc(HevcConfig),
    /// AV1.
    Av1(Box<Av1Config>),
    /// VP9.
    Vp9(Vp9Config),
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
    /// Which loudspeakers they are.
    pub layout: ChannelLayout,
}

/// An audio codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC.
    Aac {
        /// MPEG-4 audio object type: 2 (AAC-LC), 5 (HE-AAC), 29 (HE-AAC v2).
        object_type: u8,
    },
    /// MP3.
    Mp3 {
        /// 0x69 (MPEG-2, low sampling rates) or 0x6B (MPEG-1) (ISO/IEC 14496-1, table 5).
        object_type_indication: u8,
    },
    /// AC-3.
    Ac3,
    /// E-AC-3, with or without joint object coding.
    Ec3,
    /// Opus.
    Opus,
    /// FLAC.
    Flac,
}

impl TrackCodec {
    /// RFC 6381 codecs string; `entry` is the type of the sample entry.
    #[must_use]
    pub fn codecs(&self, entry: FourCc) -> String {
        match self {
            Self::Video(video) => video.codec.codecs(entry),
            Self::Audio(audio) => audio.codec.codecs(),
        }
    }

    /// Reads a sample entry of a video or audio track.
    ///
    /// Errors: [`What`]; an encrypted one is [`Unsupported::Encrypted`].
    pub(crate) fn parse(entry: FourCc, body: &[u8]) -> Result<Self, What> {
        match &entry.0 {
            b"avc1" | b"avc3" | b"hvc1" | b"hev1" | b"av01" | b"vp09" => {
                VideoTrack::parse(entry, body).map(Self::Video)
            }
            b"mp4a" => aac::parse(body).map(Self::Audio),
            b"ac-3" => dolby::parse_ac3(body).map(Self::Audio),
            b"ec-3" => dolby::parse_ec3(body).map(Self::Audio),
            b"Opus" => opus::parse(body).map(Self::Audio),
            b"fLaC" => flac::parse(body).map(Self::Audio),
            b"encv" | b"enca" => Err(Unsupported::Encrypted.into()),
            _ => Err(Unsupported::Codec(entry).into()),
        }
    }
}

impl AudioCodec {
    /// Opus and FLAC in lower case: what browsers' media sources take, though their sample
    /// entries are spelled `Opus` and `fLaC`.
    fn codecs(&self) -> String {
        match self {
            Self::Aac { object_type } => format!("mp4a.40.{object_type}"),
            Self::Mp3 { object_type_indication } => format!("mp4a.{object_type_indication:02X}"),
            Self::Ac3 => "ac-3".to_owned(),
            Self::Ec3 => "ec-3".to_owned(),
            Self::Opus => "opus".to_owned(),
            Self::Flac => "flac".to_owned(),
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
            Self::Hevc(config) => config.profile.codecs(entry),
            Self::Av1(config) => config.codecs(),
            Self::Vp9(config) => config.codecs(),
        }
    }

    /// Where protected parts end: `cenc` has whole blocks (CMAF, 8.2.2.1); so has VP9 in every
    /// scheme (VP Codec ISO Media File Format Binding, "Common Encryption").
    #[must_use]
    pub const fn protected_end(&self, scheme: Scheme) -> ProtectedEnd {
        match (self, scheme) {
            (Self::Avc(_) | Self::Hevc(_) | Self::Av1(_), Scheme::Cbcs) => ProtectedEnd::Content,
            (_, Scheme::Cenc) | (Self::Vp9(_), Scheme::Cbcs) => ProtectedEnd::WholeBlock,
        }
    }

    /// Splits the next sample of the track into runs.
    ///
    /// Shape: `runs` is emptied and filled; it covers the sample exactly.
    /// Errors: [`Malformed::NalLengths`], [`Malformed::Codec`], [`Unsupported::Feature`].
    pub fn runs(&mut self, sample: &[u8], runs: &mut Vec<Run>) -> Result<(), What> {
        match self {
            Self::Avc(config) => config.runs(sample, runs),
            Self::Hevc(config) => config.runs(sample, runs),
            Self::Av1(config) => config.runs(sample, runs),
            Self::Vp9(config) => config.runs(sample, runs),
        }
    }

    /// Width and height of the largest picture that the stream has announced so far.
    #[must_use]
    pub fn largest_picture(&self) -> Option<(u32, u32)> {
        match self {
            Self::Avc(config) => config.sets.largest_picture(),
            Self::Hevc(config) => config.sets.largest_picture(),
            // Their frames are held to the sample entry's size.
            Self::Av1(_) | Self::Vp9(_) => None,
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
            b"hvc1" | b"hev1" => {
                VideoCodec::Hevc(HevcConfig::parse(child(fields.rest(), b"hvcC")?)?)
            }
            b"av01" => {
                let config = Av1Config::parse(child(fields.rest(), b"av1C")?, (width, height))?;
                VideoCodec::Av1(Box::new(config))
            }
            b"vp09" => {
                let config = child(fields.rest(), b"vpcC")?;
                VideoCodec::Vp9(Vp9Config::parse(config, (width, height))?)
            }
            _ => return Err(Unsupported::Codec(entry).into()),
        };
        let (coded_width, coded_height) = codec.largest_picture().unwrap_or((0, 0));
        Ok(Self { width: width.max(coded_width), height: height.max(coded_height), codec })
    }
}

/// The body of a sample entry as the init writes it: without the terminator that QuickTime may
/// put behind its boxes, sound in plain form.
///
/// `table_version` is that of `stsd`. Errors: [`What`].
pub(crate) fn entry_body(
    handler: FourCc,
    entry: FourCc,
    table_version: u8,
    body: &[u8],
) -> Result<Vec<u8>, What> {
    if handler.0 == *b"soun" {
        return sound_entry::plain(entry, table_version, body);
    }
    Ok(without_terminator(body, VISUAL_FIELDS).to_vec())
}

/// What QuickTime may write behind the last box of a sample entry.
const TERMINATOR: [u8; 4] = [0; 4];

/// Where the boxes end and a terminator follows.
fn terminator_at(children: &[u8]) -> Option<usize> {
    let end: usize = boxes(children).map_while(Result::ok).map(|child| child.whole.len()).sum();
    (children.get(end..) == Some(&TERMINATOR)).then_some(end)
}

/// The body of a sample entry that has `fields` bytes before its boxes.
fn without_terminator(body: &[u8], fields: usize) -> &[u8] {
    let end = body.get(fields..).and_then(terminator_at);
    end.and_then(|end| body.get(..fields + end)).unwrap_or(body)
}

/// The boxes of a sample entry, up to a terminator. All of them must be whole: they are copied,
/// and `sinf` must be found behind them.
fn whole_boxes(children: &[u8]) -> impl Iterator<Item = Result<Child<'_>, What>> {
    let end = terminator_at(children).unwrap_or(children.len());
    boxes(children.get(..end).unwrap_or_default()).map(|child| match child {
        // "To the end" would swallow what is appended.
        Ok(child) if child.whole.starts_with(&[0; 4]) => {
            Err(Malformed::Value("a box size of 0 in a sample entry").into())
        }
        other => other.map_err(What::from),
    })
}

/// The body of the box of a kind in a sample entry.
fn child<'a>(children: &'a [u8], kind: &[u8; 4]) -> Result<&'a [u8], What> {
    let mut wanted = None;
    for child in whole_boxes(children) {
        let child = child?;
        match &child.kind.0 {
            b"sinf" => return Err(Unsupported::Encrypted.into()),
            found if found == kind && wanted.is_none() => wanted = Some(child.body),
            _ => {}
        }
    }
    wanted.ok_or_else(|| Malformed::Missing(FourCc(*kind)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmff::plain_box;

    /// A plain sound sample entry of two channels at 44.1 kHz with one box.
    pub(super) fn sound_entry(kind: &[u8; 4], config: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0, 0, 0, 0];
        out.extend([0xac, 0x44, 0, 0]);
        plain_box(&mut out, kind, |out| out.extend(config));
        out
    }

    #[test]
    fn a_terminator_ends_the_boxes_and_is_not_copied() {
        let mut entry = vec![0; VISUAL_FIELDS];
        plain_box(&mut entry, b"avcC", |out| out.extend([1; 9]));
        let plain = entry.clone();
        let body = |entry: &[u8]| entry_body(FourCc(*b"vide"), FourCc(*b"avc1"), 0, entry).unwrap();
        assert_eq!(body(&entry), plain);
        entry.extend(TERMINATOR);
        assert_eq!(body(&entry), plain);
        assert_eq!(child(&entry[VISUAL_FIELDS..], b"avcC").unwrap(), [1; 9]);
        // Not at a box's end, or not of zeros: it stays, and the walk fails on it.
        entry.push(0);
        assert_eq!(body(&entry), entry);
        assert!(child(&entry[VISUAL_FIELDS..], b"avcC").is_err());
        assert!(child(&plain[VISUAL_FIELDS..plain.len() - 1], b"avcC").is_err());
        assert_eq!(body(b"short"), b"short");
    }

    #[test]
    fn codecs_strings_of_sound() {
        let codecs = |codec: AudioCodec| codec.codecs();
        assert_eq!(codecs(AudioCodec::Aac { object_type: 29 }), "mp4a.40.29");
        assert_eq!(codecs(AudioCodec::Mp3 { object_type_indication: 0x6b }), "mp4a.6B");
        let others = [AudioCodec::Ac3, AudioCodec::Ec3, AudioCodec::Opus, AudioCodec::Flac];
        assert_eq!(others.map(codecs), ["ac-3", "ec-3", "opus", "flac"]);
    }
}
