//! `[limits]`: what one session may ask, and how much of the refused is remembered.

use super::ConfigError;
use serde::Deserialize;

/// Most rows of the log of outcomes, of each kind: some gigabytes.
const MAX_KEPT: u32 = 10_000_000;
/// Longest window, seconds.
const MAX_WINDOW_S: u32 = 3600;

/// What one session may ask, and how much of the refused is remembered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests of one session in one window, for token calls and license requests apart; 0:
    /// any number.
    pub session_requests: u32,
    /// Length of a window, seconds.
    pub session_window_s: u32,
    /// Newest refusals that are kept for `explain`, and as many allowed token calls; 0: none.
    pub outcomes_kept: u32,
}

impl Default for Limits {
    /// The stormiest player that was measured sends 27 license requests in 12 seconds, after
    /// errors; a start with six keys, each asked for alone and tried four times, is 24.
    fn default() -> Self {
        Self { session_requests: 100, session_window_s: 10, outcomes_kept: 100_000 }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if !(1..=MAX_WINDOW_S).contains(&self.session_window_s) {
            return refuse("limits.session_window_s", "a window is 1 second to an hour");
        }
        if (1..30).contains(&self.session_requests) {
            return refuse("limits.session_requests", "sound players send up to 30; 0: no limit");
        }
        if self.outcomes_kept > MAX_KEPT {
            return refuse("limits.outcomes_kept", "10000000 outcomes are kept at most");
        }
        Ok(())
    }
}
