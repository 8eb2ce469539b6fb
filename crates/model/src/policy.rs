//! What a title's owner allows, in terms no DRM system owns.

use crate::{SecurityLevel, TrackClass, TrackClasses};
use serde::{Deserialize, Serialize};

/// The policy of one title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TitlePolicy {
    /// Highest class that ClearKey, which attests nothing, may get. Above SD only where the
    /// title has no security floor (DESIGN §4).
    pub clearkey_max: TrackClass,
    /// How long a license may be used, seconds.
    pub license_s: u32,
}

impl Default for TitlePolicy {
    fn default() -> Self {
        Self { clearkey_max: TrackClass::Sd, license_s: 86_400 }
    }
}

impl TitlePolicy {
    /// The policy of an imported title: open to ClearKey at every resolution.
    #[must_use]
    pub fn without_floor() -> Self {
        Self { clearkey_max: TrackClass::Uhd, ..Self::default() }
    }

    /// Classes whose keys an attested device of `level` may get.
    #[must_use]
    pub fn track_classes(&self, level: SecurityLevel) -> TrackClasses {
        level.track_classes()
    }

    /// Classes whose keys a ClearKey client may get: unattested, so as L3, unless the
    /// policy says more or less.
    #[must_use]
    pub fn clearkey_track_classes(&self) -> TrackClasses {
        TrackClasses::up_to(self.clearkey_max)
    }
}
