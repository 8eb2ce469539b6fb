//! Which loudspeakers a track feeds, as far as its configuration says, in the terms of manifests.

/// Loudspeakers of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelLayout {
    /// `ChannelConfiguration` of ISO/IEC 23091-3, table 8 (as in ISO/IEC 14496-3, table 1.19).
    Mpeg(u8),
    /// Dolby's channel map (ETSI TS 102 366, E.1.3.1.8).
    Dolby {
        /// One bit for each location or pair of them, Left in the most significant one.
        map: u16,
        /// Decodable objects of joint object coding (ETSI TS 103 420), where it is used.
        joc_objects: Option<u8>,
    },
    /// Only their number is known.
    Unknown,
}

/// Bits of a Dolby channel map that stand for two loudspeakers: Lc/Rc, Lrs/Rrs, Lsd/Rsd, Lw/Rw,
/// Lvh/Rvh, Lts/Rts.
const DOLBY_PAIRS: u16 = 0x0674;

impl ChannelLayout {
    /// The layout of so many channels in Vorbis order, which Opus (RFC 7845, 5.1.1.2) and FLAC
    /// (RFC 9639, 9.1.3) share as far as loudspeakers go.
    pub(super) const fn of_xiph(channels: u16) -> Self {
        match channels {
            1 => Self::Mpeg(1),
            2 => Self::Mpeg(2),
            3 => Self::Mpeg(3),
            4 => Self::Mpeg(10),
            5 => Self::Mpeg(5),
            6 => Self::Mpeg(6),
            7 => Self::Mpeg(11),
            8 => Self::Mpeg(12),
            _ => Self::Unknown,
        }
    }

    /// Loudspeakers of a layout that counts them.
    pub(super) fn channels(self) -> Option<u16> {
        match self {
            Self::Mpeg(configuration @ 1..=6) => Some(u16::from(configuration)),
            Self::Mpeg(9) => Some(3),
            Self::Mpeg(10) => Some(4),
            Self::Mpeg(11) => Some(7),
            Self::Mpeg(7 | 12 | 14) => Some(8),
            Self::Dolby { map, .. } => {
                u16::try_from(map.count_ones() + (map & DOLBY_PAIRS).count_ones()).ok()
            }
            Self::Mpeg(_) | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_count_their_loudspeakers() {
        for channels in 1..=8 {
            assert_eq!(ChannelLayout::of_xiph(channels).channels(), Some(channels));
        }
        assert_eq!(ChannelLayout::of_xiph(9), ChannelLayout::Unknown);
        assert_eq!(ChannelLayout::Mpeg(13).channels(), None);
        for (map, channels) in [(0x4000, 1), (0xa000, 2), (0xf801, 6), (0xfa01, 8), (0xffff, 22)] {
            assert_eq!(ChannelLayout::Dolby { map, joc_objects: None }.channels(), Some(channels));
        }
    }
}
