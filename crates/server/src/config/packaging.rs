//! `[packaging]`: what packaging uses.

use serde::Deserialize;
use std::path::PathBuf;

/// What packaging uses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packaging {
    /// Folder for nameless temporary files; absent: the system's (`TMPDIR`).
    pub temporary: Option<PathBuf>,
    /// How long ffmpeg may make no progress. The first picture of a large ladder takes minutes.
    pub stalled_seconds: u32,
    /// Allows `package --clear-lead` in production, where it is refused.
    pub allow_clear_lead_in_production: bool,
}

impl Default for Packaging {
    fn default() -> Self {
        Self { temporary: None, stalled_seconds: 300, allow_clear_lead_in_production: false }
    }
}
