//! `[keys.cache]`: what stays opened, and for how long.

use super::ConfigError;
use serde::Deserialize;

/// Longest life of an opened content key, seconds.
const MAX_CEK_S: u64 = 300;
/// Most opened content keys: 4 MiB of locked memory, half of what a process usually may lock.
const MAX_CEKS: usize = 65_536;

/// Opened keys in memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyCache {
    /// How long an opened content key is kept, seconds; 0: it lives for one operation.
    pub cek_s: u64,
    /// Most opened content keys that are kept.
    pub ceks: usize,
    /// Whether opened keys still serve while the root key cannot be reached.
    pub serve_during_outage: bool,
}

impl Default for KeyCache {
    /// Off: under an opened KEK a content key opens in a microsecond, so that keeping it saves
    /// nothing that would be worth a clear key in memory.
    fn default() -> Self {
        Self { cek_s: 0, ceks: 4096, serve_during_outage: false }
    }
}

impl KeyCache {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if self.cek_s > MAX_CEK_S {
            return refuse("keys.cache.cek_s", "an opened key is kept 300 seconds at most; 0: not");
        }
        if self.ceks > MAX_CEKS {
            return refuse("keys.cache.ceks", "65536 opened keys are kept at most");
        }
        Ok(())
    }
}
