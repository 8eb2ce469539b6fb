//! Where keys and pictures must stay: robustness on the device, protection on its outputs.

use crate::SecurityLevel;
use serde::{Deserialize, Serialize};

/// Where keys and pictures must stay, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Robustness {
    /// Keys in obfuscated software.
    SoftwareKeys,
    /// Keys and decoding in obfuscated software.
    SoftwareDecoding,
    /// Keys in a trusted environment.
    HardwareKeys,
    /// Keys and decoding in a trusted environment.
    HardwareDecoding,
    /// Keys, decoding and everything behind it in a trusted environment.
    HardwareAll,
}

impl Robustness {
    /// The most that a device of this level can be: what needs more is of no use to it.
    #[must_use]
    pub const fn most_of(level: SecurityLevel) -> Self {
        match level {
            SecurityLevel::L1 => Self::HardwareAll,
            SecurityLevel::L2 => Self::HardwareKeys,
            SecurityLevel::L3 => Self::SoftwareDecoding,
        }
    }

    /// What every device of this level is.
    #[must_use]
    pub const fn least_of(level: SecurityLevel) -> Self {
        match level {
            SecurityLevel::L1 => Self::HardwareDecoding,
            SecurityLevel::L2 => Self::HardwareKeys,
            SecurityLevel::L3 => Self::SoftwareKeys,
        }
    }
}

/// The link protection that a digital output needs, weakest first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Hdcp {
    /// Any output.
    #[default]
    #[serde(rename = "none")]
    Unneeded,
    /// HDCP 1.x.
    #[serde(rename = "1.x")]
    V1,
    /// HDCP 2.0.
    #[serde(rename = "2.0")]
    V2,
    /// HDCP 2.1.
    #[serde(rename = "2.1")]
    V2_1,
    /// HDCP 2.2.
    #[serde(rename = "2.2")]
    V2_2,
    /// HDCP 2.3.
    #[serde(rename = "2.3")]
    V2_3,
    /// No digital output at all.
    #[serde(rename = "no-digital-output")]
    NoDigitalOutput,
}

/// Whether the picture may leave by an analog output.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum AnalogOutput {
    /// It may.
    #[default]
    Allowed,
    /// It may not.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_can_be_what_each_of_its_devices_is() {
        let levels = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3];
        for level in levels {
            assert!(Robustness::least_of(level) <= Robustness::most_of(level));
        }
        for [better, worse] in [[levels[0], levels[1]], [levels[1], levels[2]]] {
            assert!(Robustness::most_of(worse) < Robustness::least_of(better));
        }
    }
}
