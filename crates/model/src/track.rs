//! Track classes: the unit in which keys are made, given and withheld.

use serde::{Deserialize, Serialize};

/// Which content key a track uses. Higher classes are worth more; audio is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrackClass {
    /// Every audio track.
    Audio,
    /// Video up to 589 824 pixels (1024 × 576).
    Sd,
    /// Video up to 2 073 600 pixels (1920 × 1080).
    Hd,
    /// Video above HD.
    Uhd,
}

impl TrackClass {
    /// Every class, lowest first.
    pub const ALL: [Self; 4] = [Self::Audio, Self::Sd, Self::Hd, Self::Uhd];

    /// The class of a picture, by the pixel limits of the SPEKE 2.0 presets.
    #[must_use]
    pub fn of_picture(width: u32, height: u32) -> Self {
        match u64::from(width) * u64::from(height) {
            0..=589_824 => Self::Sd,
            589_825..=2_073_600 => Self::Hd,
            _ => Self::Uhd,
        }
    }

    /// The label in key files and rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "AUDIO",
            Self::Sd => "SD",
            Self::Hd => "HD",
            Self::Uhd => "UHD",
        }
    }

    /// Reads the label.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == text)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl std::fmt::Display for TrackClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of track classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackClasses(u8);

impl TrackClasses {
    /// No class at all.
    pub const NONE: Self = Self(0);

    /// Audio and every video class up to and including `highest`.
    #[must_use]
    pub fn up_to(highest: TrackClass) -> Self {
        TrackClass::ALL.into_iter().filter(|class| *class <= highest).collect()
    }

    /// Whether `class` is in the set.
    #[must_use]
    pub const fn contains(self, class: TrackClass) -> bool {
        self.0 & class.bit() != 0
    }

    /// What both sets hold.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The classes in the set, lowest first.
    pub fn iter(self) -> impl Iterator<Item = TrackClass> {
        TrackClass::ALL.into_iter().filter(move |class| self.contains(*class))
    }
}

impl FromIterator<TrackClass> for TrackClasses {
    fn from_iter<I: IntoIterator<Item = TrackClass>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |bits, class| bits | class.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixel_limits_are_inclusive() {
        assert_eq!(TrackClass::of_picture(1024, 576), TrackClass::Sd);
        assert_eq!(TrackClass::of_picture(1025, 576), TrackClass::Hd);
        assert_eq!(TrackClass::of_picture(1920, 1080), TrackClass::Hd);
        assert_eq!(TrackClass::of_picture(1920, 1081), TrackClass::Uhd);
        assert_eq!(TrackClass::of_picture(u32::MAX, u32::MAX), TrackClass::Uhd);
    }

    #[test]
    fn up_to_always_holds_audio() {
        let classes = TrackClasses::up_to(TrackClass::Sd);
        assert!(classes.contains(TrackClass::Audio) && classes.contains(TrackClass::Sd));
        assert!(!classes.contains(TrackClass::Hd) && !classes.contains(TrackClass::Uhd));
        assert_eq!(classes.iter().count(), 2);
    }
}
