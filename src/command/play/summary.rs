//! What was played.

use super::{Dialect, Level};
use cdm::KeyStatus;
use cdm::protocol::KeyState;
use media::manifest::listing::{Listed, Medium};
use model::{KeyId, Scheme};
use serde::Serialize;
use std::fmt;

/// The answer of `play`.
#[derive(Serialize)]
pub struct Summary {
    dialect: &'static str,
    level: &'static str,
    scheme: Scheme,
    tracks: Vec<Played>,
    keys: Keys,
    #[serde(flatten)]
    ended: Ended,
}

/// Where a playback ended, and what it took.
#[derive(Serialize)]
pub struct Ended {
    /// How much was played, milliseconds.
    #[serde(rename = "played_ms")]
    pub at_ms: u64,
    /// Where that is in the title, milliseconds; of playlists with dates, since 1970.
    #[serde(rename = "ended_at_ms")]
    pub title_ms: u64,
    /// Why.
    #[serde(rename = "ended")]
    pub why: String,
    /// Segments that were not there, or had no key, when it was their turn.
    pub stalls: usize,
    /// License requests.
    pub license_requests: usize,
}

/// What became of the keys that were asked for.
#[derive(Serialize)]
struct Keys {
    usable: Vec<KeyId>,
    /// In the license, and not usable on this device.
    not_usable: Vec<KeyState>,
    /// Not in the license.
    withheld: Vec<KeyId>,
}

/// A track that was played to its end.
#[derive(Serialize)]
pub struct Played {
    id: String,
    medium: &'static str,
    codecs: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<String>,
    bandwidth: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    kid: Option<KeyId>,
    segments: usize,
    /// Keys that its segments were under.
    key_count: usize,
    frames: usize,
    /// A line for each frame.
    #[serde(skip)]
    lines: String,
}

impl Played {
    /// A track, and its frames.
    pub fn new(one: &Listed, segments: usize, key_count: usize, frames: String) -> Self {
        let is_video = one.medium == Medium::Video;
        Self {
            id: one.id.clone(),
            medium: if is_video { "video" } else { "audio" },
            codecs: one.codecs.clone(),
            resolution: is_video.then(|| format!("{}x{}", one.width, one.height)),
            bandwidth: one.bandwidth,
            language: one.language.clone(),
            kid: one.protection.map(|(_, kid)| kid),
            segments,
            key_count,
            frames: frames.lines().count(),
            lines: frames,
        }
    }
}

impl Summary {
    /// What was played, by which keys of those that were asked for.
    pub fn new(
        (dialect, level, scheme): (Dialect, Level, Scheme),
        asked: &[KeyId],
        keys: &[KeyState],
        tracks: Vec<Played>,
        ended: Ended,
    ) -> Self {
        let (usable, not_usable): (Vec<&KeyState>, Vec<&KeyState>) =
            keys.iter().partition(|key| key.status == KeyStatus::Usable);
        let is_withheld = |kid: &&KeyId| keys.iter().all(|key| key.kid != **kid);
        let keys = Keys {
            usable: usable.iter().map(|key| key.kid).collect(),
            not_usable: not_usable.into_iter().copied().collect(),
            withheld: asked.iter().filter(is_withheld).copied().collect(),
        };
        Self { dialect: dialect.name(), level: level.name(), scheme, tracks, keys, ended }
    }

    /// Every frame: medium, number, bytes, MD5.
    pub fn frames(&self) -> String {
        let lines = |track: &Played| -> String {
            let numbered = track.lines.lines().enumerate();
            numbered.map(|(at, line)| format!("{} {at} {line}\n", track.medium)).collect()
        };
        self.tracks.iter().map(lines).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for track in &self.tracks {
            let Played { id, codecs, frames, segments, key_count, .. } = track;
            let resolution =
                track.resolution.as_ref().map_or_else(String::new, |size| format!(", {size}"));
            writeln!(
                f,
                "played {id} ({codecs}{resolution}): {segments} segments, {frames} frames, \
                 {key_count} keys"
            )?;
        }
        let Keys { usable, not_usable, withheld } = &self.keys;
        writeln!(
            f,
            "{} {} in {}: {} keys usable, {} not usable on this device, {} withheld",
            self.dialect,
            self.level,
            self.scheme,
            usable.len(),
            not_usable.len(),
            withheld.len()
        )?;
        let Ended { at_ms, why, stalls, license_requests, .. } = &self.ended;
        let (s, ms) = (at_ms / 1000, at_ms % 1000);
        writeln!(
            f,
            "ended after {s}.{ms:03} s: {why}; {license_requests} license requests, {stalls} stalls"
        )
    }
}
