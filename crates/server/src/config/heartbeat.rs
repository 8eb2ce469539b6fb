//! `[heartbeat]`: how often players report, and how long their reports are kept (R150, R151).

use super::ConfigError;
use model::{DeviceKind, Timestamp};
use playback::lease::{BROWSER_BEAT_S, DEVICE_BEAT_S};
use serde::Deserialize;

/// Longest interval: a lost player holds its slot three times as long.
const MAX_INTERVAL_S: u32 = 600;
/// Longest time that reports are kept, days.
const MAX_DAYS: u32 = 3660;

/// How often players report, and how long their reports are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// Interval of browsers, seconds.
    pub browser_s: u32,
    /// Interval of devices, seconds.
    pub device_s: u32,
    /// Days that logs and events of players are kept; 0: none are kept.
    pub reports_kept_days: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { browser_s: BROWSER_BEAT_S, device_s: DEVICE_BEAT_S, reports_kept_days: 30 }
    }
}

impl Heartbeat {
    /// How often a player on such a device reports, seconds.
    #[must_use]
    pub const fn interval_s(&self, kind: DeviceKind) -> u32 {
        match kind {
            DeviceKind::Browser => self.browser_s,
            DeviceKind::Device => self.device_s,
        }
    }

    /// From when on reports are kept.
    #[must_use]
    pub fn kept_since(&self, now: Timestamp) -> Timestamp {
        let kept_ms = u64::from(self.reports_kept_days) * 86_400_000;
        Timestamp(now.0.saturating_sub(kept_ms))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        let interval = 5..=MAX_INTERVAL_S;
        if !interval.contains(&self.browser_s) {
            return refuse("heartbeat.browser_s", "a player reports every 5 to 600 seconds");
        }
        if !interval.contains(&self.device_s) {
            return refuse("heartbeat.device_s", "a player reports every 5 to 600 seconds");
        }
        if self.reports_kept_days > MAX_DAYS {
            return refuse("heartbeat.reports_kept_days", "reports are kept for ten years at most");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_bounded() {
        let is_taken = |browser_s, device_s, reports_kept_days| {
            Heartbeat { browser_s, device_s, reports_kept_days }.check().is_ok()
        };
        assert!(Heartbeat::default().check().is_ok());
        assert!(is_taken(5, 5, 0) && is_taken(600, 600, 3660));
        assert!(!is_taken(4, 30, 1) && !is_taken(60, 4, 1) && !is_taken(601, 30, 1));
        assert!(!is_taken(60, 601, 1) && !is_taken(60, 30, 3661));
        let settings = Heartbeat::default();
        assert_eq!(settings.kept_since(Timestamp(31 * 86_400_000)), Timestamp(86_400_000));
        assert_eq!(settings.kept_since(Timestamp(5)), Timestamp(0));
    }
}
