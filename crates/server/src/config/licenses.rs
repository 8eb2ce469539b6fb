//! `[licenses]`: how license requests are answered.

use super::ConfigError;
use serde::Deserialize;

/// How license requests are answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Licenses {
    /// The status of every refusal to a PlayReady client, 400 to 599; absent: the refusal's own.
    /// SOAP 1.1 (6.2) has 500 for every fault, and some clients read no fault under another.
    pub playready_fault_status: Option<u16>,
    /// How long after its end a license is renewed as if in time, seconds, so that a player that
    /// was held up goes on; 0: not at all.
    pub renewal_grace_s: u32,
}

/// Where nobody says another grace.
pub(crate) const RENEWAL_GRACE_S: u32 = 300;

impl Default for Licenses {
    fn default() -> Self {
        Self { playready_fault_status: None, renewal_grace_s: RENEWAL_GRACE_S }
    }
}

impl Licenses {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.playready_fault_status {
            None | Some(400..=599) => Ok(()),
            Some(_) => Err(ConfigError::Refused {
                key: "licenses.playready_fault_status",
                why: "a refusal has a status of 400 to 599",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_looks_like_a_license() {
        let is_taken = |playready_fault_status| {
            Licenses { playready_fault_status, ..Licenses::default() }.check().is_ok()
        };
        assert!([None, Some(400), Some(500), Some(599)].into_iter().all(is_taken));
        let others = [0, 100, 200, 302, 399, 600, u16::MAX];
        assert!(!others.map(Some).into_iter().any(is_taken));
    }
}
