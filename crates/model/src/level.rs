//! Security levels: what an attested device may be trusted with.

use crate::track::{TrackClass, TrackClasses};
use serde::{Deserialize, Serialize};

/// Security level after attestation. A level that was claimed but not attested is [`Self::L3`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SecurityLevel {
    /// Keys and decoding inside the trusted environment.
    L1,
    /// Keys inside the trusted environment, decoding outside.
    L2,
    /// No trusted environment, or none that was proved.
    L3,
}

impl SecurityLevel {
    /// The default table (R110): L1 up to UHD, L2 up to HD, L3 up to SD; audio always.
    #[must_use]
    pub fn track_classes(self) -> TrackClasses {
        TrackClasses::up_to(match self {
            Self::L1 => TrackClass::Uhd,
            Self::L2 => TrackClass::Hd,
            Self::L3 => TrackClass::Sd,
        })
    }

    /// Every level, the most secure first.
    pub const ALL: [Self; 3] = [Self::L1, Self::L2, Self::L3];

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == text)
    }

    /// The name in answers and rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

impl std::fmt::Display for SecurityLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
