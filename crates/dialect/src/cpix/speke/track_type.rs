//! `intendedTrackType`: the names that SPEKE 2 gives to tracks, alone or joined by plus signs,
//! and their presets (SPEKE API 2.0, encryption contract).

use model::{TrackClass, TrackClasses};

/// A name that stands for no others. Each is a bit, so that a [`TrackType`] is a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Name {
    All = 1,
    Video = 1 << 1,
    Sd = 1 << 2,
    Hd = 1 << 3,
    Hd1 = 1 << 4,
    Hd2 = 1 << 5,
    Uhd = 1 << 6,
    Uhd1 = 1 << 7,
    Uhd2 = 1 << 8,
    Audio = 1 << 9,
    Stereo = 1 << 10,
    Multichannel = 1 << 11,
    Multichannel3To6 = 1 << 12,
    Multichannel7 = 1 << 13,
}

impl Name {
    const ALL: [(Self, &'static str); 14] = [
        (Self::All, "ALL"),
        (Self::Video, "VIDEO"),
        (Self::Sd, "SD"),
        (Self::Hd, "HD"),
        (Self::Hd1, "HD1"),
        (Self::Hd2, "HD2"),
        (Self::Uhd, "UHD"),
        (Self::Uhd1, "UHD1"),
        (Self::Uhd2, "UHD2"),
        (Self::Audio, "AUDIO"),
        (Self::Stereo, "STEREO_AUDIO"),
        (Self::Multichannel, "MULTICHANNEL_AUDIO"),
        (Self::Multichannel3To6, "MULTICHANNEL_AUDIO_3_6"),
        (Self::Multichannel7, "MULTICHANNEL_AUDIO_7"),
    ];

    /// The tracks behind the name: one bit for each of the smallest kinds, SD, HD1, HD2, UHD1
    /// and UHD2, then stereo, 3 to 6 channels, and 7 and more.
    const fn tracks(self) -> u8 {
        match self {
            Self::All => 0b1111_1111,
            Self::Video => 0b0001_1111,
            Self::Sd => 0b0000_0001,
            Self::Hd => 0b0000_0110,
            Self::Hd1 => 0b0000_0010,
            Self::Hd2 => 0b0000_0100,
            Self::Uhd => 0b0001_1000,
            Self::Uhd1 => 0b0000_1000,
            Self::Uhd2 => 0b0001_0000,
            Self::Audio => 0b1110_0000,
            Self::Stereo => 0b0010_0000,
            Self::Multichannel => 0b1100_0000,
            Self::Multichannel3To6 => 0b0100_0000,
            Self::Multichannel7 => 0b1000_0000,
        }
    }
}

/// The tracks of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrackType {
    tracks: u8,
}

impl TrackType {
    /// Reads names joined by plus signs; `None` where one is unknown or two share tracks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut tracks = 0;
        for part in text.split('+') {
            let (name, _) = Name::ALL.into_iter().find(|(_, name)| *name == part.trim())?;
            if tracks & name.tracks() != 0 {
                return None;
            }
            tracks |= name.tracks();
        }
        Some(Self { tracks })
    }

    /// Whether a track could be of both types: then two keys would claim it.
    #[must_use]
    pub const fn shares_tracks(self, other: Self) -> bool {
        self.tracks & other.tracks != 0
    }

    /// Whether video tracks are among them.
    #[must_use]
    pub const fn has_video(self) -> bool {
        self.tracks & Name::Video.tracks() != 0
    }

    /// Whether audio tracks are among them.
    #[must_use]
    pub const fn has_audio(self) -> bool {
        self.tracks & Name::Audio.tracks() != 0
    }

    /// The track classes that the key is for.
    #[must_use]
    pub fn classes(self) -> TrackClasses {
        let of = |class: TrackClass| match class {
            TrackClass::Audio => Name::Audio,
            TrackClass::Sd => Name::Sd,
            TrackClass::Hd => Name::Hd,
            TrackClass::Uhd => Name::Uhd,
        };
        TrackClass::ALL.into_iter().filter(|class| self.tracks & of(*class).tracks() != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(text: &str) -> Vec<&'static str> {
        TrackType::parse(text).unwrap().classes().iter().map(TrackClass::name).collect()
    }

    #[test]
    fn names_stand_for_classes() {
        assert_eq!(classes("ALL"), ["AUDIO", "SD", "HD", "UHD"]);
        assert_eq!(classes("VIDEO"), ["SD", "HD", "UHD"]);
        assert_eq!(classes("SD+HD1"), ["SD", "HD"]);
        assert_eq!(classes("HD2"), ["HD"]);
        assert_eq!(classes("UHD1+UHD2"), ["UHD"]);
        assert_eq!(classes("MULTICHANNEL_AUDIO_3_6"), ["AUDIO"]);
        assert_eq!(classes("SD+STEREO_AUDIO"), ["AUDIO", "SD"]);
    }

    #[test]
    fn other_names_are_refused() {
        for text in ["", "sd", "SD+", "SD+SD", "HD+HD1", "ALL+SD", "UNENCRYPTED", "SD,HD"] {
            assert!(TrackType::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn types_that_share_tracks_exclude_each_other() {
        let shares = |one, other| {
            TrackType::parse(one).unwrap().shares_tracks(TrackType::parse(other).unwrap())
        };
        assert!(shares("ALL", "STEREO_AUDIO") && shares("HD", "HD2") && shares("VIDEO", "SD"));
        assert!(shares("MULTICHANNEL_AUDIO", "MULTICHANNEL_AUDIO_7"));
        assert!(!shares("SD+HD1", "HD2") && !shares("STEREO_AUDIO", "MULTICHANNEL_AUDIO"));
        assert!(!shares("VIDEO", "AUDIO") && !shares("UHD1", "UHD2"));
    }
}
