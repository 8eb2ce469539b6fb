//! The message formats a license request may speak.

use serde::{Deserialize, Serialize};

/// Message format of one DRM system. Closed: a new one is a new arm everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// W3C Clear Key (EME, section 9.1).
    ClearKey,
    /// Widevine protobuf messages.
    Widevine,
    /// PlayReady SOAP messages.
    PlayReady,
    /// FairPlay Streaming SPC and CKC.
    FairPlay,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::ClearKey, Self::Widevine, Self::PlayReady, Self::FairPlay];

    /// The name in routes, tokens and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClearKey => "clearkey",
            Self::Widevine => "widevine",
            Self::PlayReady => "playready",
            Self::FairPlay => "fairplay",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
