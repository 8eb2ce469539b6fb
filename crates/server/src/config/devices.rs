//! `[devices]`: registration and removal of viewers' devices.

use playback::device::Deauthorize;
use serde::Deserialize;

/// Registration and removal of viewers' devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Devices {
    /// Whether a browser without a registered device may play, as the device of its sign-in.
    pub auto_register: bool,
    /// What a removal does to what plays.
    pub deauthorize: Deauthorize,
}

impl Default for Devices {
    fn default() -> Self {
        Self { auto_register: true, deauthorize: Deauthorize::Immediate }
    }
}

impl Devices {
    /// Whether a removed device plays until its registration ends.
    #[must_use]
    pub fn plays_on(&self) -> bool {
        self.deauthorize == Deauthorize::AtExpiry
    }
}
