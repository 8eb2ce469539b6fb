//! Sample entries: `avc1` with `avcC` (ISO/IEC 14496-15) and `mp4a` with `esds` (14496-14).

use super::fault::{Malformed, Unsupported, What};
use crate::bmff::{BoxError, Fields, FourCc, boxes};
use crate::h264::ParameterSets;

/// What a track is coded with.
#[derive(Clone, Debug)]
pub enum TrackCodec {
    /// H.264.
    Video(VideoTrack),
    /// AAC.
    Audio(AudioTrack),
}

/// Facts of an H.264 track.
#[derive(Clone, Debug)]
pub struct VideoTrack {
    /// Pixels across: the larger one of sample entry and parameter set, so that a track cannot
    /// pass for a smaller one.
    pub width: u32,
    /// Pixels down, likewise.
    pub height: u32,
    /// Decoder configuration.
    pub config: AvcConfig,
}

/// `avcC` as far as it is needed.
#[derive(Clone, Debug)]
pub struct AvcConfig {
    /// Profile, compatibility and level, as they stand in the codecs string.
    pub profile: [u8; 3],
    /// Bytes of a NAL unit's length field: 1, 2 or 4.
    pub length_size: usize,
    /// Parameter sets outside the samples.
    pub sets: ParameterSets,
}

/// Facts of an AAC track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTrack {
    /// MPEG-4 audio object type: 2 (AAC-LC), 5 (HE-AAC), 29 (HE-AAC v2).
    pub object_type: u8,
    /// Samples per second.
    pub sample_rate: u32,
    /// Loudspeaker channels.
    pub channels: u16,
}

impl TrackCodec {
    /// RFC 6381 codecs string.
    #[must_use]
    pub fn codecs(&self) -> String {
        match self {
            Self::Video(video) => {
                let [profile, constraints, level] = video.config.profile;
                format!("avc1.{profile:02X}{constraints:02X}{level:02X}")
            }
            Self::Audio(audio) => format!("mp4a.40.{}", audio.object_type),
        }
    }

    /// Reads a sample entry of a video or audio track.
    pub(super) fn parse(entry: FourCc, body: &[u8]) -> Result<Self, What> {
        match &entry.0 {
            b"avc1" => parse_avc1(body).map(Self::Video),
            b"mp4a" => parse_mp4a(body).map(Self::Audio),
            b"encv" | b"enca" => Err(Unsupported::Encrypted.into()),
            _ => Err(Unsupported::Codec(entry).into()),
        }
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

/// Bytes of a visual sample entry before its boxes.
pub(crate) const VISUAL_FIELDS: usize = 78;
/// Bytes of an audio sample entry before its boxes.
pub(crate) const AUDIO_FIELDS: usize = 28;

fn parse_avc1(body: &[u8]) -> Result<VideoTrack, What> {
    let mut fields = Fields::new(body);
    fields.take(24)?;
    let (width, height) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
    fields.take(VISUAL_FIELDS - 28)?;
    let config = parse_avcc(child(fields.rest(), b"avcC")?)?;
    let (coded_width, coded_height) =
        config.sets.largest_picture().ok_or(Malformed::Missing(FourCc(*b"avcC")))?;
    if width == 0 || height == 0 {
        return Err(Malformed::Value("the picture size").into());
    }
    let (width, height) = (width.max(coded_width), height.max(coded_height));
    Ok(VideoTrack { width, height, config })
}

/// 14496-15:2022, 5.3.3.1.
fn parse_avcc(body: &[u8]) -> Result<AvcConfig, What> {
    let mut fields = Fields::new(body);
    let [version, profile @ ..] = fields.array::<4>()?;
    let length_size = usize::from(fields.u8()? & 3) + 1;
    if version != 1 || length_size == 3 {
        return Err(Malformed::Value("the AVC decoder configuration").into());
    }
    let mut sets = ParameterSets::default();
    for _ in 0..fields.u8()? & 0x1f {
        let len = usize::from(fields.u16()?);
        sets.add_sps(fields.take(len)?)?;
    }
    for _ in 0..fields.u8()? {
        let len = usize::from(fields.u16()?);
        sets.add_pps(fields.take(len)?)?;
    }
    Ok(AvcConfig { profile, length_size, sets })
}

fn parse_mp4a(body: &[u8]) -> Result<AudioTrack, What> {
    let mut fields = Fields::new(body);
    fields.take(8)?;
    if fields.u16()? != 0 {
        return Err(Unsupported::Feature("a QuickTime sound description").into());
    }
    fields.take(6)?;
    let entry_channels = fields.u16()?;
    fields.take(AUDIO_FIELDS - 18)?;
    let mut audio = parse_esds(child(fields.rest(), b"esds")?)?;
    if audio.channels == 0 {
        audio.channels = entry_channels;
    }
    if audio.channels == 0 || audio.sample_rate == 0 {
        return Err(Malformed::Value("the number of channels or the sampling rate").into());
    }
    Ok(audio)
}

/// Takes a descriptor of a tag (ISO/IEC 14496-1, 8.3.3): tag, length in groups of 7 bits, body.
fn descriptor<'a>(fields: &mut Fields<'a>, tag: u8) -> Result<Fields<'a>, What> {
    if fields.u8()? != tag {
        return Err(Malformed::Value("a descriptor in 'esds'").into());
    }
    let mut len = 0_usize;
    for _ in 0..4 {
        let group = fields.u8()?;
        len = len << 7 | usize::from(group & 0x7f);
        if group & 0x80 == 0 {
            break;
        }
    }
    Ok(Fields::new(fields.take(len)?))
}

fn parse_esds(body: &[u8]) -> Result<AudioTrack, What> {
    let mut fields = Fields::new(body);
    fields.version_and_flags()?;
    let mut stream = descriptor(&mut fields, 3)?;
    stream.u16()?;
    let flags = stream.u8()?;
    if flags & 0x80 != 0 {
        stream.u16()?;
    }
    if flags & 0x40 != 0 {
        let len = usize::from(stream.u8()?);
        stream.take(len)?;
    }
    if flags & 0x20 != 0 {
        stream.u16()?;
    }
    let mut decoder = descriptor(&mut stream, 4)?;
    if decoder.u8()? != 0x40 {
        return Err(Unsupported::Feature("'mp4a' sound other than MPEG-4 AAC").into());
    }
    decoder.take(12)?;
    parse_audio_config(descriptor(&mut decoder, 5)?.rest())
}

/// Sampling rates by index (ISO/IEC 14496-3, table 1.18).
const SAMPLE_RATES: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), up to the channels.
fn parse_audio_config(config: &[u8]) -> Result<AudioTrack, What> {
    let mut word = [0; 16];
    let len = config.len().min(word.len());
    word.iter_mut().zip(config).for_each(|(to, from)| *to = *from);
    let word = u128::from_be_bytes(word);
    let mut used = 0;
    let mut bits = |count: u32| {
        used += count;
        if used as usize > len * 8 {
            return Err(BoxError::Truncated);
        }
        u32::try_from(word << (used - count) >> (128 - count)).map_err(|_| BoxError::Truncated)
    };
    let object_type = u8::try_from(bits(5)?).unwrap_or(31);
    let rate = |bits: &mut dyn FnMut(u32) -> Result<u32, BoxError>| match bits(4)? {
        15 => bits(24),
        index => Ok(SAMPLE_RATES.get(index as usize).copied().unwrap_or(0)),
    };
    let mut sample_rate = rate(&mut bits)?;
    let channels = match bits(4)? {
        7 => 8,
        channels @ 0..=6 => u16::try_from(channels).unwrap_or(0),
        _ => return Err(Malformed::Value("the channel configuration").into()),
    };
    match object_type {
        2 => {}
        5 | 29 => sample_rate = rate(&mut bits)?,
        other => return Err(Unsupported::AudioObject(other).into()),
    }
    Ok(AudioTrack { object_type, sample_rate, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(config: &[u8]) -> Result<AudioTrack, What> {
        parse_audio_config(config)
    }

    #[test]
    fn aac_configurations_of_common_encoders() {
        let lc = AudioTrack { object_type: 2, sample_rate: 48_000, channels: 2 };
        assert_eq!(audio(&[0x11, 0x90]).unwrap(), lc);
        assert_eq!(audio(&[0x11, 0x90, 0x56, 0xe5, 0x00]).unwrap(), lc);
        let he = AudioTrack { object_type: 5, sample_rate: 44_100, channels: 2 };
        assert_eq!(audio(&[0x2b, 0x92, 0x08, 0x00]).unwrap(), he);
        // Explicit rate: index 15, then 24 bits.
        let odd = audio(&[0x17, 0x80, 0x3e, 0x80, 0x08]).unwrap();
        assert_eq!((odd.sample_rate, odd.channels), (32_000, 1));
    }

    #[test]
    fn other_sound_is_refused() {
        assert!(matches!(audio(&[0x11]), Err(What::Malformed(Malformed::Box(_)))));
        assert!(matches!(
            audio(&[0x09, 0x90]),
            Err(What::Unsupported(Unsupported::AudioObject(1)))
        ));
        assert!(matches!(audio(&[0x11, 0xf8]), Err(What::Malformed(Malformed::Value(_)))));
    }
}
