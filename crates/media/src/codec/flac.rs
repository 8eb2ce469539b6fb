//! FLAC: `fLaC` with `dfLa` (Encapsulation of FLAC in ISO Base Media File Format, 3.3.2; RFC 9639).

use super::config_bits::ConfigBits;
use super::{AudioCodec, AudioTrack, ChannelLayout, SoundEntry, child};
use crate::bmff::Fields;
use crate::input::{Malformed, What};

/// Bytes of STREAMINFO (RFC 9639, 8.2).
const STREAM_INFO: usize = 34;

/// Reads the body of an `fLaC` sample entry.
pub(super) fn parse(body: &[u8]) -> Result<AudioTrack, What> {
    let mut fields = Fields::new(child(SoundEntry::parse(body)?.children, b"dfLa")?);
    fields.version_and_flags()?;
    let mut info = None;
    // Blocks up to the one that says it is the last.
    loop {
        let [head, a, b, c] = fields.array()?;
        let len = u32::from_be_bytes([0, a, b, c]);
        let block = fields.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        if info.is_none() {
            if head & 0x7f != 0 || block.len() != STREAM_INFO {
                return Err(Malformed::Value("the first block in 'dfLa'").into());
            }
            info = Some(block);
        }
        if head & 0x80 != 0 {
            break;
        }
    }
    let mut bits = ConfigBits::new(info.unwrap_or_default());
    // Block and frame sizes.
    bits.take(32)?;
    bits.take(32)?;
    bits.take(16)?;
    let sample_rate = bits.take(20)?;
    if sample_rate == 0 {
        return Err(Malformed::Value("the sampling rate").into());
    }
    let channels = u16::from(bits.small(3)?) + 1;
    let layout = ChannelLayout::of_xiph(channels);
    Ok(AudioTrack { codec: AudioCodec::Flac, sample_rate, channels, layout })
}

#[cfg(test)]
mod tests {
    use super::super::tests::sound_entry;
    use super::*;

    fn flac(config: &[u8]) -> Result<AudioTrack, What> {
        parse(&sound_entry(b"dfLa", config))
    }

    /// Version and flags, then STREAMINFO of rate and channels, which says whether it is the last.
    fn config(rate: u64, channels: u64, is_last: bool) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, if is_last { 0x80 } else { 0 }, 0, 0, 34];
        out.extend([0x12, 0, 0x12, 0, 0, 3, 0x5e, 0, 4, 0xf3]);
        out.extend((rate << 44 | (channels - 1) << 41 | 15 << 36 | 192_000).to_be_bytes());
        out.extend([0x5a; 16]);
        out
    }

    #[test]
    fn rates_and_channels_come_from_the_stream() {
        for (rate, channels, layout) in [(48_000, 1, 1), (44_100, 2, 2), (192_000, 6, 6)] {
            let read = flac(&config(rate, channels, true)).unwrap();
            assert_eq!(read.codec, AudioCodec::Flac);
            assert_eq!((u64::from(read.sample_rate), u64::from(read.channels)), (rate, channels));
            assert_eq!(read.layout, ChannelLayout::Mpeg(layout));
        }
        // Another block behind.
        let more = [&config(655_350, 8, false)[..], &[0x84, 0, 0, 2, 1, 1]].concat();
        let read = flac(&more).unwrap();
        assert_eq!((read.sample_rate, read.channels), (655_350, 8));
    }

    #[test]
    fn blocks_that_lie_and_cut_ones_are_refused() {
        let more = [&config(48_000, 8, false)[..], &[0x84, 0, 0, 2, 1, 1]].concat();
        for len in 0..more.len() {
            assert!(matches!(flac(&more[..len]), Err(What::Malformed(_))), "{len}");
        }
        // Another first block, one too long, one of another length, no rate.
        for (at, value) in [(4, 0x84), (5, 0xff), (7, 33)] {
            let mut config = config(48_000, 2, true);
            config[at] = value;
            assert!(matches!(flac(&config), Err(What::Malformed(_))), "{at}");
        }
        assert!(matches!(flac(&config(0, 2, true)), Err(What::Malformed(_))));
    }
}
