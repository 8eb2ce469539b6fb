//! What a track is for, in the words of the role scheme of DASH (ISO/IEC 23009-1, 5.8.5.5).

use serde::{Deserialize, Serialize};

/// The role of a track of sound or subtitles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackRole {
    /// What is played unless the viewer wants something else.
    Main,
    /// Another take of the main one.
    Alternate,
    /// In another language than the original.
    Dub,
    /// Somebody comments on the title.
    Commentary,
    /// The picture in words, for those who cannot see it.
    Description,
    /// All that is heard as text, for those who cannot hear it.
    Caption,
    /// What is said as text.
    Subtitle,
    /// Subtitles that are shown although the viewer asked for none.
    ForcedSubtitle,
    /// Sign language.
    Sign,
    /// Subtitles in plain words.
    Easyreader,
    /// Beside the main one.
    Supplementary,
}

impl TrackRole {
    /// Every role.
    pub const ALL: [Self; 11] = [
        Self::Main,
        Self::Alternate,
        Self::Dub,
        Self::Commentary,
        Self::Description,
        Self::Caption,
        Self::Subtitle,
        Self::ForcedSubtitle,
        Self::Sign,
        Self::Easyreader,
        Self::Supplementary,
    ];

    /// The value in `urn:mpeg:dash:role:2011`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Alternate => "alternate",
            Self::Dub => "dub",
            Self::Commentary => "commentary",
            Self::Description => "description",
            Self::Caption => "caption",
            Self::Subtitle => "subtitle",
            Self::ForcedSubtitle => "forced-subtitle",
            Self::Sign => "sign",
            Self::Easyreader => "easyreader",
            Self::Supplementary => "supplementary",
        }
    }

    /// Reads the value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }
}

impl std::fmt::Display for TrackRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_known_by_its_name() {
        for role in TrackRole::ALL {
            assert_eq!(TrackRole::parse(role.name()), Some(role));
        }
        assert_eq!(TrackRole::parse("Main"), None);
    }
}
