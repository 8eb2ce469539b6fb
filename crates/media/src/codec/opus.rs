//! Opus: `Opus` with `dOps` (Encapsulation of Opus in ISO Base Media File Format, 4.3.2; RFC 7845).

use super::{AudioCodec, AudioTrack, ChannelLayout, SoundEntry, child};
use crate::bmff::Fields;
use crate::input::{Malformed, Unsupported, What};

/// Every Opus decoder puts out samples at this rate (RFC 6716, 2).
const SAMPLE_RATE: u32 = 48_000;
/// A channel of the mapping that is silent (RFC 7845, 5.1.1).
const SILENT: u8 = 255;

/// Reads the body of an `Opus` sample entry.
pub(super) fn parse(body: &[u8]) -> Result<AudioTrack, What> {
    let mut fields = Fields::new(child(SoundEntry::parse(body)?.children, b"dOps")?);
    if fields.u8()? != 0 {
        return Err(Unsupported::Feature("a 'dOps' of another version").into());
    }
    let channels = fields.u8()?;
    // Pre-skip, rate of the original, gain.
    fields.take(8)?;
    let family = fields.u8()?;
    if channels == 0 {
        return Err(Malformed::Value("the number of channels").into());
    }
    if family == 0 {
        if channels > 2 {
            return Err(Malformed::Value("the channel mapping in 'dOps'").into());
        }
    } else {
        let (streams, coupled) = (fields.u8()?, fields.u8()?);
        let mapping = fields.take(usize::from(channels))?;
        let decoded = u16::from(streams) + u16::from(coupled);
        let is_decoded = |channel: &u8| *channel == SILENT || u16::from(*channel) < decoded;
        if streams == 0 || coupled > streams || !mapping.iter().all(is_decoded) {
            return Err(Malformed::Value("the channel mapping in 'dOps'").into());
        }
    }
    let channels = u16::from(channels);
    let layout = match family {
        0 | 1 => ChannelLayout::of_xiph(channels),
        _ => ChannelLayout::Unknown,
    };
    Ok(AudioTrack { codec: AudioCodec::Opus, sample_rate: SAMPLE_RATE, channels, layout })
}

#[cfg(test)]
mod tests {
    use super::super::tests::sound_entry;
    use super::*;

    /// As ffmpeg writes 5.1.
    const SURROUND: [u8; 19] = [0, 6, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5];

    fn opus(config: &[u8]) -> Result<AudioTrack, What> {
        parse(&sound_entry(b"dOps", config))
    }

    #[test]
    fn mono_to_surround() {
        for channels in [1, 2] {
            let read = opus(&[0, channels, 1, 0x38, 0, 0, 0x3e, 0x80, 0, 0, 0]).unwrap();
            assert_eq!((read.codec, read.sample_rate), (AudioCodec::Opus, 48_000));
            assert_eq!(read.channels, u16::from(channels));
            assert_eq!(read.layout, ChannelLayout::Mpeg(channels));
        }
        let read = opus(&SURROUND).unwrap();
        assert_eq!((read.channels, read.layout), (6, ChannelLayout::Mpeg(6)));
        // Discrete channels, one of them silent: a number and no places.
        let mut discrete = SURROUND;
        (discrete[10], discrete[18]) = (255, 255);
        let read = opus(&discrete).unwrap();
        assert_eq!((read.channels, read.layout), (6, ChannelLayout::Unknown));
    }

    #[test]
    fn mappings_that_lie_and_cut_ones_are_refused() {
        for len in 0..SURROUND.len() {
            assert!(matches!(opus(&SURROUND[..len]), Err(What::Malformed(_))), "{len}");
        }
        // No channel; three in family 0; no stream; more coupled than there are; a channel of none.
        for (at, value) in [(1, 0), (10, 0), (11, 0), (12, 5), (18, 6)] {
            let mut config = SURROUND;
            config[at] = value;
            assert!(matches!(opus(&config), Err(What::Malformed(_))), "{at}");
        }
        let mut config = SURROUND;
        config[0] = 1;
        assert!(matches!(opus(&config), Err(What::Unsupported(_))));
    }
}
