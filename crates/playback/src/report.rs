//! What a player tells of itself: the log beside a heartbeat (R151) and the events of a playback
//! (R055).
//!
//! Both are held to a schema that has no room for a key: kinds are of a closed set, numbers are 32
//! bits, and the only free text is a [`Word`], which is shorter than any spelling of 16 bytes.

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Most entries of one log.
pub const MAX_LOG_ENTRIES: usize = 64;
/// Most events of one request.
pub const MAX_EVENTS: usize = 32;
/// Longest word: 16 bytes take 22 characters in base64 and 32 in hex.
const MAX_WORD: usize = 20;

/// Why a report is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefused {
    /// Not of lower-case letters, digits and `_`, or not 1 to 20 of them.
    #[error("a word is 1 to 20 of a-z, 0-9 and _")]
    Word,
    /// No entry, or more than one report may have.
    #[error("too many entries, or none")]
    Entries,
}

/// A name of something: an error, a capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Word(String);

impl Word {
    /// Reads a word.
    ///
    /// Errors: [`ReportRefused::Word`].
    pub fn parse(text: &str) -> Result<Self, ReportRefused> {
        let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        if (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReportRefused::Word)
        }
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Word {
    type Error = ReportRefused;

    fn try_from(text: String) -> Result<Self, ReportRefused> {
        Self::parse(&text)
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        word.0
    }
}

/// What an entry of a log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// It plays.
    Playing,
    /// It was paused.
    Paused,
    /// It went to another position.
    Seeked,
    /// The buffer ran dry.
    Stalled,
    /// It goes on after a stall.
    Recovered,
    /// Another rendition plays.
    Rendition,
    /// A license was asked for or came.
    License,
    /// Frames were dropped.
    Dropped,
    /// Something failed.
    Error,
    /// The end was reached.
    Ended,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// When, by the player's clock, milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// What.
    pub kind: LogKind,
    /// Where in the title, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_s: Option<u32>,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// Bit rate of the rendition, kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_kbps: Option<u32>,
    /// Its height, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// What is buffered, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_ms: Option<u32>,
    /// Frames, bytes, tries: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Name of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Word>,
}

/// The log of one heartbeat: 1 to [`MAX_LOG_ENTRIES`] entries, in the player's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<LogEntry>", into = "Vec<LogEntry>")]
pub struct SessionLog(Vec<LogEntry>);

impl SessionLog {
    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[LogEntry] {
        &self.0
    }
}

impl TryFrom<Vec<LogEntry>> for SessionLog {
    type Error = ReportRefused;

    fn try_from(entries: Vec<LogEntry>) -> Result<Self, ReportRefused> {
        bounded(entries, MAX_LOG_ENTRIES).map(Self)
    }
}

impl From<SessionLog> for Vec<LogEntry> {
    fn from(log: SessionLog) -> Self {
        log.0
    }
}

/// What happened to a playback, by its player's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayerEventKind {
    /// The player is there and could begin.
    PlayerReady,
    /// The first picture is shown.
    PlaybackStarted,
    /// The viewer paused.
    PlaybackPaused,
    /// It goes on.
    PlaybackResumed,
    /// The viewer stopped, or the end was reached.
    PlaybackEnded,
    /// It broke; `detail` names why.
    PlaybackFailed,
    /// The platform lacks something; `detail` names what.
    CapabilityMissing,
}

impl PlayerEventKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::PlayerReady,
        Self::PlaybackStarted,
        Self::PlaybackPaused,
        Self::PlaybackResumed,
        Self::PlaybackEnded,
        Self::PlaybackFailed,
        Self::CapabilityMissing,
    ];

    /// The name in requests and rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlayerReady => "player_ready",
            Self::PlaybackStarted => "playback_started",
            Self::PlaybackPaused => "playback_paused",
            Self::PlaybackResumed => "playback_resumed",
            Self::PlaybackEnded => "playback_ended",
            Self::PlaybackFailed => "playback_failed",
            Self::CapabilityMissing => "capability_missing",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One event of a playback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlayerEvent {
    /// What happened.
    pub kind: PlayerEventKind,
    /// When, by the player's clock, milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// What is missing, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Word>,
}

/// The events of one request: 1 to [`MAX_EVENTS`], in the player's order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<PlayerEvent>")]
pub struct PlayerEvents(Vec<PlayerEvent>);

impl PlayerEvents {
    /// The events.
    #[must_use]
    pub fn events(&self) -> &[PlayerEvent] {
        &self.0
    }
}

impl TryFrom<Vec<PlayerEvent>> for PlayerEvents {
    type Error = ReportRefused;

    fn try_from(events: Vec<PlayerEvent>) -> Result<Self, ReportRefused> {
        bounded(events, MAX_EVENTS).map(Self)
    }
}

fn bounded<T>(entries: Vec<T>, most: usize) -> Result<Vec<T>, ReportRefused> {
    if (1..=most).contains(&entries.len()) { Ok(entries) } else { Err(ReportRefused::Entries) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry() -> Value {
        json!({"at": 1_800_000_000_000_u64, "kind": "stalled", "position_s": 61,
            "duration_ms": 800, "code": "buffer_empty"})
    }

    fn is_log(value: Value) -> bool {
        serde_json::from_value::<SessionLog>(value).is_ok()
    }

    #[test]
    fn a_log_reads_back_as_it_was_told() {
        let log = json!([entry(), {"at": 5, "kind": "playing"}]);
        let read: SessionLog = serde_json::from_value(log.clone()).unwrap();
        assert_eq!(read.entries().len(), 2);
        assert_eq!(serde_json::to_value(&read).unwrap(), log);
        assert!(is_log(Value::from(vec![entry(); MAX_LOG_ENTRIES])));
    }

    #[test]
    fn what_could_be_a_key_is_no_log() {
        let with = |name: &str, value: Value| {
            let mut entry = entry();
            entry[name] = value;
            json!([entry])
        };
        assert!(is_log(with("code", json!("a".repeat(20)))));
        for (name, value) in [
            ("key", json!("aa")),
            ("k", json!("AAECAwQFBgcICQoLDA0ODw")),
            ("code", json!("000102030405060708090a0b0c0d0e0f")),
            ("code", json!("aaecawqfbgcicqolda0odw")),
            ("code", json!("Upper")),
            ("code", json!("")),
            ("code", json!(["a"])),
            ("kind", json!("000102030405060708090a0b0c0d0e0f")),
            ("count", json!(1_u64 << 32)),
            ("count", json!(-1)),
            ("at", json!("now")),
            ("at", Value::Null),
        ] {
            assert!(!is_log(with(name, value.clone())), "{name}: {value}");
        }
        for other in [json!([]), json!({}), json!("text"), json!([[]]), Value::Null] {
            assert!(!is_log(other.clone()), "{other}");
        }
        assert!(!is_log(Value::from(vec![entry(); MAX_LOG_ENTRIES + 1])));
    }

    #[test]
    fn events_are_of_named_kinds_and_bounded() {
        let is_told = |value: Value| serde_json::from_value::<PlayerEvents>(value).is_ok();
        for kind in PlayerEventKind::ALL {
            assert!(is_told(json!([{"kind": kind.name(), "at": 1, "detail": "hevc"}])));
            assert_eq!(PlayerEventKind::from_name(kind.name()), Some(kind));
        }
        let one = json!({"kind": "player_ready", "at": 1});
        assert!(is_told(Value::from(vec![one.clone(); MAX_EVENTS])));
        assert!(!is_told(Value::from(vec![one; MAX_EVENTS + 1])));
        for other in [
            json!([]),
            json!([{"kind": "player_ready"}]),
            json!([{"kind": "dancing", "at": 1}]),
            json!([{"kind": "player_ready", "at": 1, "more": 1}]),
            json!([{"kind": "player_ready", "at": 1, "detail": "A key?"}]),
        ] {
            assert!(!is_told(other.clone()), "{other}");
        }
    }
}
