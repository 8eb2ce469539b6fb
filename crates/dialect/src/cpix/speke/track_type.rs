//! `intendedTrackType`: the names that SPEKE 2 gives to tracks, alone or joined by plus signs,
//! and their presets (SPEKE API 2.0, encryption contract).

use crate::cpix::rule::{AudioFilter, KnownFilters, Range, VideoFilter};
use model::{TrackClass, TrackClasses};

/// The largest picture, in pixels, of SD, HD1, HD2 and UHD1; UHD2 has no bound.
const PIXELS: [u64; 4] = [589_824, 921_600, 2_073_600, 8_847_360];
/// The most channels of stereo and of `MULTICHANNEL_AUDIO_3_6`.
const CHANNELS: [u64; 2] = [2, 6];
/// Bits of the smallest kinds, below those of audio.
const VIDEO_KINDS: u32 = 5;

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
    /// Every track.
    pub const ALL: Self = Self { tracks: Name::All.tracks() };

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

    /// The names of the tracks, as few as there can be.
    #[must_use]
    pub fn name(self) -> String {
        // The wide names stand before the narrow ones that they hold.
        let mut left = self.tracks;
        let mut names = Vec::new();
        for (name, text) in Name::ALL {
            if left & name.tracks() == name.tracks() && left != 0 {
                left &= !name.tracks();
                names.push(text);
            }
        }
        names.join("+")
    }

    /// The filters that the presets give to these tracks.
    #[must_use]
    pub fn filters(self) -> KnownFilters {
        let (video, audio) = (self.tracks & Name::Video.tracks(), self.tracks >> VIDEO_KINDS);
        let video = runs(video, &PIXELS).map(|pixels| VideoFilter { pixels, ..Default::default() });
        let audio = runs(audio, &CHANNELS).map(|channels| AudioFilter { channels });
        let (videos, audios) = (video.collect(), audio.collect());
        KnownFilters { videos, audios, ..KnownFilters::default() }
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

/// A range for each run of neighboring kinds; the kinds end at `ends`, the last one nowhere.
fn runs(kinds: u8, ends: &[u64]) -> impl Iterator<Item = Range> {
    let is_in = move |kind: usize| kinds >> kind & 1 == 1;
    let starts =
        (0..=ends.len()).filter(move |kind| is_in(*kind) && (*kind == 0 || !is_in(kind - 1)));
    starts.filter_map(move |first| {
        let last = (first..ends.len()).find(|kind| !is_in(kind + 1));
        let min = first.checked_sub(1).and_then(|before| ends.get(before)).map(|end| end + 1);
        Range::from_ends(min, last.and_then(|last| ends.get(last)).copied())
    })
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
    fn every_type_has_a_name_that_reads_back() {
        for tracks in 1..=u8::MAX {
            let track_type = TrackType { tracks };
            assert_eq!(TrackType::parse(&track_type.name()), Some(track_type), "{tracks:b}");
        }
        let name = |text| TrackType::parse(text).unwrap().name();
        assert_eq!(name("HD2+SD+HD1"), "SD+HD");
        assert_eq!(name("STEREO_AUDIO+MULTICHANNEL_AUDIO"), "AUDIO");
        assert_eq!(name("VIDEO+AUDIO"), "ALL");
    }

    #[test]
    fn filters_are_those_of_the_presets() {
        let videos = |text| -> Vec<(Option<u64>, Option<u64>)> {
            let filters = TrackType::parse(text).unwrap().filters();
            filters.videos.iter().map(|filter| (filter.pixels.min(), filter.pixels.max())).collect()
        };
        assert_eq!(videos("SD"), [(None, Some(589_824))]);
        assert_eq!(videos("HD1"), [(Some(589_825), Some(921_600))]);
        assert_eq!(videos("HD"), [(Some(589_825), Some(2_073_600))]);
        assert_eq!(videos("UHD1"), [(Some(2_073_601), Some(8_847_360))]);
        assert_eq!(videos("UHD"), [(Some(2_073_601), None)]);
        assert_eq!(videos("VIDEO"), [(None, None)]);
        assert_eq!(videos("SD+UHD2"), [(None, Some(589_824)), (Some(8_847_361), None)]);
        assert_eq!(videos("AUDIO"), []);
        let audios = |text| -> Vec<(Option<u64>, Option<u64>)> {
            let filters = TrackType::parse(text).unwrap().filters();
            filters.audios.iter().map(|f| (f.channels.min(), f.channels.max())).collect()
        };
        assert_eq!(audios("STEREO_AUDIO"), [(None, Some(2))]);
        assert_eq!(audios("MULTICHANNEL_AUDIO_3_6"), [(Some(3), Some(6))]);
        assert_eq!(audios("MULTICHANNEL_AUDIO"), [(Some(3), None)]);
        assert_eq!(audios("ALL"), [(None, None)]);
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
