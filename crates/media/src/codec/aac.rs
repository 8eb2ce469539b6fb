//! AAC and MP3: `mp4a` with `esds` (ISO/IEC 14496-14) and AudioSpecificConfig (ISO/IEC 14496-3,
//! 1.6.2.1).

use super::config_bits::ConfigBits;
use super::{AudioCodec, AudioTrack, ChannelLayout, SoundEntry, child};
use crate::bmff::{BoxError, Fields};
use crate::input::{Malformed, Unsupported, What};

/// Reads the body of an `mp4a` sample entry.
pub(super) fn parse(body: &[u8]) -> Result<AudioTrack, What> {
    let entry = SoundEntry::parse(body)?;
    let mut audio = parse_esds(child(entry.children, b"esds")?, &entry)?;
    if audio.channels == 0 {
        audio.channels = entry.channels;
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

fn parse_esds(body: &[u8], entry: &SoundEntry<'_>) -> Result<AudioTrack, What> {
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
    let object_type_indication = decoder.u8()?;
    decoder.take(12)?;
    match object_type_indication {
        0x40 => parse_audio_config(descriptor(&mut decoder, 5)?.rest()),
        0x69 | 0x6b => Ok(mp3(object_type_indication, entry)),
        _ => Err(Unsupported::Feature("'mp4a' sound other than MPEG-4 AAC and MP3").into()),
    }
}

/// MP3 has no configuration: the sample entry says all there is (ISO/IEC 14496-3, 9.D).
fn mp3(object_type_indication: u8, entry: &SoundEntry<'_>) -> AudioTrack {
    let layout = match entry.channels {
        1 => ChannelLayout::Mpeg(1),
        2 => ChannelLayout::Mpeg(2),
        _ => ChannelLayout::Unknown,
    };
    AudioTrack {
        codec: AudioCodec::Mp3 { object_type_indication },
        sample_rate: entry.sample_rate,
        channels: entry.channels,
        layout,
    }
}

/// Sampling rates by index (ISO/IEC 14496-3, table 1.18).
const SAMPLE_RATES: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), up to the channels.
fn parse_audio_config(config: &[u8]) -> Result<AudioTrack, What> {
    let mut bits = ConfigBits::new(config);
    let object_type = object_type(&mut bits)?;
    let mut sample_rate = sample_rate(&mut bits)?;
    let configuration = bits.small(4)?;
    let core_type = match object_type {
        2 => 2,
        5 | 29 => {
            sample_rate = self::sample_rate(&mut bits)?;
            self::object_type(&mut bits)?
        }
        other => return Err(Unsupported::AudioObject(other).into()),
    };
    if core_type != 2 {
        return Err(Unsupported::AudioObject(core_type).into());
    }
    let (channels, layout) = match configuration {
        0 => (program_channels(&mut bits)?, ChannelLayout::Unknown),
        1..=7 | 11 | 12 | 14 => {
            let layout = ChannelLayout::Mpeg(configuration);
            (layout.channels().unwrap_or(0), layout)
        }
        _ => return Err(Malformed::Value("the channel configuration").into()),
    };
    Ok(AudioTrack { codec: AudioCodec::Aac { object_type }, sample_rate, channels, layout })
}

/// Five bits, or six more behind an escape (table 1.16).
fn object_type(bits: &mut ConfigBits<'_>) -> Result<u8, BoxError> {
    match bits.small(5)? {
        31 => Ok(32 + bits.small(6)?),
        object_type => Ok(object_type),
    }
}

fn sample_rate(bits: &mut ConfigBits<'_>) -> Result<u32, BoxError> {
    match bits.take(4)? {
        15 => bits.take(24),
        index => Ok(SAMPLE_RATES.get(index as usize).copied().unwrap_or(0)),
    }
}

/// Channels of the program that GASpecificConfig describes (4.4.1 and 4.4.1.1, tables 4.1 and
/// 4.2), where no configuration number stands for it.
fn program_channels(bits: &mut ConfigBits<'_>) -> Result<u16, What> {
    bits.flag()?;
    if bits.flag()? {
        bits.take(14)?;
    }
    bits.flag()?;
    // Tag, profile, rate.
    bits.take(10)?;
    let [front, side, back] = [bits.small(4)?, bits.small(4)?, bits.small(4)?];
    let (effects, data, coupling) = (bits.small(2)?, bits.small(3)?, bits.small(4)?);
    // Mono, stereo and matrix mixdown.
    for len in [4, 4, 3] {
        if bits.flag()? {
            bits.take(len)?;
        }
    }
    let mut channels = u16::from(effects);
    for _ in 0..front + side + back {
        channels += if bits.flag()? { 2 } else { 1 };
        bits.take(4)?;
    }
    bits.take(4 * effects)?;
    bits.take(4 * data)?;
    for _ in 0..coupling {
        bits.take(5)?;
    }
    bits.align();
    for _ in 0..bits.small(8)? {
        bits.take(8)?;
    }
    if channels == 0 {
        return Err(Malformed::Value("the program configuration").into());
    }
    Ok(channels)
}

#[cfg(test)]
mod tests {
    use super::super::tests::sound_entry;
    use super::*;

    fn track(object_type: u8, sample_rate: u32) -> AudioTrack {
        let layout = ChannelLayout::Mpeg(2);
        AudioTrack { codec: AudioCodec::Aac { object_type }, sample_rate, channels: 2, layout }
    }

    fn audio(config: &[u8]) -> Result<AudioTrack, What> {
        parse_audio_config(config)
    }

    #[test]
    fn aac_configurations_of_common_encoders() {
        let lc = track(2, 48_000);
        assert_eq!(audio(&[0x11, 0x90]).unwrap(), lc);
        assert_eq!(audio(&[0x11, 0x90, 0x56, 0xe5, 0x00]).unwrap(), lc);
        let he = track(5, 44_100);
        assert_eq!(audio(&[0x2b, 0x92, 0x08, 0x00]).unwrap(), he);
        // Explicit rate: index 15, then 24 bits.
        let odd = audio(&[0x17, 0x80, 0x3e, 0x80, 0x08]).unwrap();
        assert_eq!((odd.sample_rate, odd.channels), (32_000, 1));
    }

    /// AAC-LC at 48 kHz of a channel configuration.
    fn configured(configuration: u8) -> [u8; 2] {
        [0x11, 0x80 | configuration << 3]
    }

    #[test]
    fn every_channel_configuration_counts_or_is_refused() {
        let numbers = [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(8)];
        let more = [None, None, None, Some(7), Some(8), None, Some(8), None];
        for (configuration, channels) in (0_u8..).zip(numbers.into_iter().chain(more)) {
            match (audio(&configured(configuration)), channels) {
                (Ok(read), Some(channels)) => {
                    assert_eq!(read.channels, channels);
                    assert_eq!(read.layout, ChannelLayout::Mpeg(configuration));
                }
                (Err(What::Malformed(_)), None) => {}
                other => panic!("{configuration}: {other:?}"),
            }
        }
    }

    /// AAC-LC at 48 kHz with a program of 5.1: center, two pairs, one low-frequency channel.
    fn program() -> Vec<u8> {
        // 00010 0011 0000 | 0 0 0 | 0000 01 0011 | 0010 0000 0001 | 01 000 0000 | 0 0 0 |
        // front: 0 0000, 1 0000 | back: 1 0001 | low: 0000 | to the byte | comment 1: 0xaa
        let bits = "00010 0011 0000 000 0000 01 0011 0010 0000 0001 01 000 0000 000 \
                    00000 10000 10001 0000";
        let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
        let byte = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum << 1 | bit) << (8 - bits.len());
        let mut out: Vec<u8> = bits.chunks(8).map(byte).collect();
        out.extend([1, 0xaa]);
        out
    }

    #[test]
    fn a_program_configuration_is_read_to_its_end() {
        let read = audio(&program()).unwrap();
        assert_eq!((read.channels, read.layout), (6, ChannelLayout::Unknown));
        for len in 0..program().len() {
            assert!(matches!(audio(&program()[..len]), Err(What::Malformed(_))), "{len}");
        }
        // No element at all.
        assert!(matches!(audio(&[0x11, 0x80, 4, 0xc0, 0, 0, 0, 0, 0, 0]), Err(What::Malformed(_))));
    }

    #[test]
    fn other_sound_is_refused() {
        assert!(matches!(audio(&[0x11]), Err(What::Malformed(Malformed::Box(_)))));
        assert!(matches!(
            audio(&[0x09, 0x90]),
            Err(What::Unsupported(Unsupported::AudioObject(1)))
        ));
        // USAC, behind the escape.
        assert!(matches!(
            audio(&[0xf9, 0x46, 0x40]),
            Err(What::Unsupported(Unsupported::AudioObject(42)))
        ));
        // HE-AAC over error-resilient AAC.
        assert!(matches!(
            audio(&[0x2b, 0x92, 0x44, 0x00]),
            Err(What::Unsupported(Unsupported::AudioObject(17)))
        ));
        assert!(matches!(audio(&[0x11, 0xf8]), Err(What::Malformed(Malformed::Value(_)))));
    }

    /// An `esds` of an object type indication, with a configuration of AAC where it is AAC.
    fn esds(object_type_indication: u8) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 3, 25, 0, 0, 0, 4, 17, object_type_indication];
        out.extend([0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x11, 0x90, 6, 1, 2]);
        out
    }

    #[test]
    fn mp3_is_described_by_the_sample_entry() {
        assert_eq!(parse(&sound_entry(b"esds", &esds(0x40))).unwrap(), track(2, 48_000));
        for object_type_indication in [0x69, 0x6b] {
            let read = parse(&sound_entry(b"esds", &esds(object_type_indication))).unwrap();
            assert_eq!(read.codec, AudioCodec::Mp3 { object_type_indication });
            assert_eq!((read.sample_rate, read.channels), (44_100, 2));
        }
        let other = parse(&sound_entry(b"esds", &esds(0xdd)));
        assert!(matches!(other, Err(What::Unsupported(Unsupported::Feature(_)))));
        for len in 0..26 {
            let cut = parse(&sound_entry(b"esds", &esds(0x40)[..len]));
            assert!(matches!(cut, Err(What::Malformed(_))), "{len}");
        }
    }
}
