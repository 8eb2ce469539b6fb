//! AAC: `mp4a` with `esds` (ISO/IEC 14496-14) and AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).

use super::{AUDIO_FIELDS, AudioCodec, AudioTrack, child};
use crate::bmff::{BoxError, Fields};
use crate::input::{Malformed, Unsupported, What};

/// Reads the body of an `mp4a` sample entry.
pub(super) fn parse(body: &[u8]) -> Result<AudioTrack, What> {
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
    Ok(AudioTrack { codec: AudioCodec::Aac { object_type }, sample_rate, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(object_type: u8, sample_rate: u32) -> AudioTrack {
        AudioTrack { codec: AudioCodec::Aac { object_type }, sample_rate, channels: 2 }
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
