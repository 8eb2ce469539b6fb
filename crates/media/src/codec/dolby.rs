//! AC-3 and E-AC-3: `dac3` and `dec3` (ETSI TS 102 366 V1.4.1, F.4 and F.6).

use super::config_bits::ConfigBits;
use super::{AudioCodec, AudioTrack, ChannelLayout, SoundEntry, child};
use crate::input::{Malformed, Unsupported, What};

/// Reads the body of an `ac-3` sample entry.
pub(super) fn parse_ac3(body: &[u8]) -> Result<AudioTrack, What> {
    let mut bits = ConfigBits::new(child(SoundEntry::parse(body)?.children, b"dac3")?);
    let sample_rate = sample_rate(&mut bits)?;
    // 9 and 10 halve and quarter the rate (Annex D of ATSC A/52): no player of ours tells so.
    if bits.small(5)? > 8 {
        return Err(Unsupported::Feature("AC-3 of a reduced sampling rate").into());
    }
    bits.take(3)?;
    let map = channel_map(&mut bits)?;
    bits.take(10)?;
    track(AudioCodec::Ac3, sample_rate, map, None)
}

/// Reads the body of an `ec-3` sample entry.
///
/// The first independent substream with its dependent ones is the program that is described;
/// others are other programs.
pub(super) fn parse_ec3(body: &[u8]) -> Result<AudioTrack, What> {
    let mut bits = ConfigBits::new(child(SoundEntry::parse(body)?.children, b"dec3")?);
    bits.take(13)?;
    let others = bits.small(3)?;
    let (sample_rate, map) = substream(&mut bits)?;
    for _ in 0..others {
        substream(&mut bits)?;
    }
    // A later addition (ETSI TS 103 420): 7 bits in reserve, a flag, the complexity index.
    let mut joc_objects = None;
    if bits.left() > 0 {
        bits.take(7)?;
        if bits.flag()? {
            let objects = bits.small(8)?;
            if !(1..=16).contains(&objects) {
                return Err(Malformed::Value("the number of objects in 'dec3'").into());
            }
            joc_objects = Some(objects);
        }
    }
    track(AudioCodec::Ec3, sample_rate, map, joc_objects)
}

/// An independent substream: its sampling rate, and the channel map with its dependent ones.
fn substream(bits: &mut ConfigBits<'_>) -> Result<(u32, u16), What> {
    let sample_rate = sample_rate(bits)?;
    if !(11..=16).contains(&bits.small(5)?) {
        return Err(Malformed::Value("the bit stream identification in 'dec3'").into());
    }
    bits.take(5)?;
    let mut map = channel_map(bits)?;
    bits.take(3)?;
    if bits.small(4)? == 0 {
        bits.flag()?;
        return Ok((sample_rate, map));
    }
    // Table F.6.1, from the most significant bit: LFE2, then the locations of the channel map
    // from Cvh back to Lc/Rc.
    if bits.flag()? {
        map |= 0x0002;
    }
    for location in 0..8 {
        if bits.flag()? {
            map |= 0x0008 << location;
        }
    }
    Ok((sample_rate, map))
}

/// `fscod` (4.4.1.3).
fn sample_rate(bits: &mut ConfigBits<'_>) -> Result<u32, What> {
    match bits.take(2)? {
        0 => Ok(48_000),
        1 => Ok(44_100),
        2 => Ok(32_000),
        _ => Err(Unsupported::Feature("Dolby sound of a reserved sampling rate").into()),
    }
}

/// `acmod` and `lfeon` (4.4.2.3) as a channel map.
fn channel_map(bits: &mut ConfigBits<'_>) -> Result<u16, What> {
    let map = match bits.take(3)? {
        1 => 0x4000,
        0 | 2 => 0xa000,
        3 => 0xe000,
        4 => 0xa100,
        5 => 0xe100,
        6 => 0xb800,
        _ => 0xf800,
    };
    Ok(map | u16::from(bits.flag()?))
}

fn track(
    codec: AudioCodec,
    sample_rate: u32,
    map: u16,
    joc_objects: Option<u8>,
) -> Result<AudioTrack, What> {
    let layout = ChannelLayout::Dolby { map, joc_objects };
    let channels = layout.channels().ok_or(Malformed::Value("the number of channels"))?;
    Ok(AudioTrack { codec, sample_rate, channels, layout })
}

#[cfg(test)]
mod tests {
    use super::super::tests::sound_entry;
    use super::*;

    fn ac3(config: &[u8]) -> Result<AudioTrack, What> {
        parse_ac3(&sound_entry(b"dac3", config))
    }

    fn ec3(config: &[u8]) -> Result<AudioTrack, What> {
        parse_ec3(&sound_entry(b"dec3", config))
    }

    fn dolby(codec: AudioCodec, sample_rate: u32, channels: u16, map: u16) -> AudioTrack {
        let layout = ChannelLayout::Dolby { map, joc_objects: None };
        AudioTrack { codec, sample_rate, channels, layout }
    }

    /// A `dac3` of rate code, `acmod` and `lfeon`.
    fn dac3(rate: u32, acmod: u32, lfe: u32) -> [u8; 3] {
        let word = rate << 22 | 8 << 17 | acmod << 11 | lfe << 10 | 15 << 5;
        let [_, bytes @ ..] = word.to_be_bytes();
        bytes
    }

    #[test]
    fn ac3_of_every_coding_mode() {
        // 5.1 as ffmpeg writes it.
        assert_eq!(ac3(&[0x10, 0x3d, 0xe0]).unwrap(), dolby(AudioCodec::Ac3, 48_000, 6, 0xf801));
        let modes = [
            (2, 0xa000),
            (1, 0x4000),
            (2, 0xa000),
            (3, 0xe000),
            (3, 0xa100),
            (4, 0xe100),
            (4, 0xb800),
            (5, 0xf800),
        ];
        for (acmod, (channels, map)) in (0..).zip(modes) {
            for lfe in 0..2 {
                let read = ac3(&dac3(1, acmod, lfe)).unwrap();
                let lfe = u16::try_from(lfe).unwrap();
                assert_eq!(read, dolby(AudioCodec::Ac3, 44_100, channels + lfe, map | lfe));
            }
        }
        assert_eq!(ac3(&dac3(2, 2, 0)).unwrap().sample_rate, 32_000);
    }

    #[test]
    fn ac3_that_cannot_be_described_is_refused() {
        assert!(matches!(ac3(&dac3(3, 7, 1)), Err(What::Unsupported(_))));
        assert!(matches!(ac3(&[0x14, 0x3d, 0xe0]), Err(What::Unsupported(_))));
        for len in 0..3 {
            assert!(matches!(ac3(&[0x10, 0x3d, 0xe0][..len]), Err(What::Malformed(_))));
        }
    }

    /// 5.1 at 48 kHz with one dependent substream at `chan_loc`.
    fn with_dependent(chan_loc: u32) -> [u8; 6] {
        let substream = 16 << 25 | 7 << 17 | 1 << 16 | 1 << 9 | chan_loc;
        let [a, b, c, d] = u32::to_be_bytes(substream);
        [0x18, 0x00, a, b, c, d]
    }

    #[test]
    fn eac3_with_dependent_substreams() {
        // 5.1 as ffmpeg writes it.
        assert_eq!(
            ec3(&[0x0e, 0x00, 0x20, 0x0f, 0x00]).unwrap(),
            dolby(AudioCodec::Ec3, 48_000, 6, 0xf801)
        );
        let locations = [0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010, 0x0008, 0x0002];
        for (bit, location) in locations.into_iter().enumerate() {
            let read = ec3(&with_dependent(1 << bit)).unwrap();
            let more = if [0, 1, 4, 5, 6].contains(&bit) { 2 } else { 1 };
            assert_eq!(read, dolby(AudioCodec::Ec3, 48_000, 6 + more, 0xf801 | location));
        }
    }

    #[test]
    fn eac3_with_objects_and_other_programs() {
        let atmos = [&[0x18, 0x00, 0x20, 0x0f, 0x00][..], &[0x01, 0x10]].concat();
        let layout = ChannelLayout::Dolby { map: 0xf801, joc_objects: Some(16) };
        assert_eq!(ec3(&atmos).unwrap().layout, layout);
        // The flag off; and no addition at all after a second program, which is mono.
        let plain = [&[0x18, 0x00, 0x20, 0x0f, 0x00][..], &[0x00, 0x10]].concat();
        let two = [0x18, 0x01, 0x20, 0x0f, 0x00, 0x20, 0x02, 0x00];
        for config in [&plain[..], &two] {
            assert_eq!(ec3(config).unwrap(), dolby(AudioCodec::Ec3, 48_000, 6, 0xf801));
        }
    }

    #[test]
    fn eac3_that_breaks_the_rules_is_refused() {
        let atmos = [&[0x18, 0x00, 0x20, 0x0f, 0x00][..], &[0x01, 0x10]].concat();
        for len in (0..atmos.len()).filter(|len| *len != 5) {
            assert!(matches!(ec3(&atmos[..len]), Err(What::Malformed(_))), "{len}");
        }
        for objects in [0, 17, 255] {
            let config = [&atmos[..6], &[objects]].concat();
            assert!(matches!(ec3(&config), Err(What::Malformed(_))));
        }
        // Eight programs declared, one there; AC-3's own identification; a reserved rate.
        assert!(matches!(ec3(&[0x18, 0x07, 0x20, 0x0f, 0x00]), Err(What::Malformed(_))));
        assert!(matches!(ec3(&[0x18, 0x00, 0x10, 0x0f, 0x00]), Err(What::Malformed(_))));
        assert!(matches!(ec3(&[0x18, 0x00, 0xe0, 0x0f, 0x00]), Err(What::Unsupported(_))));
    }
}
