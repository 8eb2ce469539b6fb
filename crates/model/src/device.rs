//! Registered devices (R060, R061).

use crate::{AccountId, DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

/// A device of an account.
///
/// What makes it one is its key: whoever proves the same key under the same account is the same
/// device, and keeps its id and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The device.
    pub id: DeviceId,
    /// Whose it is.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// SHA-256 thumbprint (RFC 7638) of the key that it keeps; absent for a browser that has none
    /// and stands as its sign-in.
    pub key: Option<[u8; 32]>,
    /// When it was registered.
    pub registered: Timestamp,
    /// When it was renewed last.
    pub renewed: Timestamp,
    /// When the registration ends unless it is renewed.
    pub expires: Timestamp,
    /// When it was taken away.
    pub removed: Option<Timestamp>,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A browser or an app, at the listener of viewers.
    Browser,
    /// A box, at the listener of devices.
    Device,
}

impl DeviceKind {
    /// The name in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Device => "device",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Browser, Self::Device].into_iter().find(|kind| kind.name() == text)
    }
}
