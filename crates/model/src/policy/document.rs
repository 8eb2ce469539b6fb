//! A policy as its owner writes it: a TOML document (TOML 1.0), read under limits and written
//! back. What it leaves out has the value that `docs/guide/policies.md` names.

use super::{
    LevelTable, OfflineRight, OutputTable, RenewalRight, RotationRight, TitlePolicy, class_or_none,
    is_default,
};
use crate::time::{Seconds, SpanEnd};
use crate::{PolicyName, SecurityLevel, TrackClass};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Longest document.
pub const MAX_POLICY_BYTES: usize = 16 * 1024;

/// Most of a line that an error shows.
const MAX_SHOWN: usize = 80;

/// Why text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than [`MAX_POLICY_BYTES`].
    #[error("longer than 16 KiB")]
    TooLong,
    /// Not TOML, a field of another name or type, or one that is missing.
    #[error("line {line}, `{text}`: {why}")]
    Line {
        /// The line, counted from one.
        line: usize,
        /// The line's beginning.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field that does not go with the others.
    #[error("{field}: {why}")]
    Field {
        /// The field, with its table.
        field: &'static str,
        /// Why it does not.
        why: &'static str,
    },
}

/// The document's fields. What is absent is decided by [`Document::into_policy`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    license_s: NonZeroU32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rental_s: Seconds,
    #[serde(default, skip_serializing_if = "is_default")]
    rental_end: SpanEnd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    playback_s: Seconds,
    #[serde(default, skip_serializing_if = "is_default")]
    playback_end: SpanEnd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    play_start_grace_s: Seconds,
    #[serde(default, skip_serializing_if = "is_default")]
    capture_protected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clearkey_max: Option<Highest>,
    #[serde(default)]
    levels: LevelTable,
    #[serde(default, skip_serializing_if = "is_default")]
    outputs: OutputTable,
    #[serde(default, skip_serializing_if = "is_default")]
    renewal: RenewalRight,
    #[serde(default, skip_serializing_if = "is_default")]
    offline: OfflineRight,
    #[serde(default, skip_serializing_if = "is_default")]
    rotation: RotationRight,
}

/// A class, or none; beside it a field can also be absent.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
struct Highest(#[serde(with = "class_or_none")] Option<TrackClass>);

impl TitlePolicy {
    /// Reads a policy's document.
    ///
    /// Errors: [`PolicyError`]. Limits: [`MAX_POLICY_BYTES`].
    pub fn parse(name: PolicyName, text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLong);
        }
        let document: Document = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            line_error(text, at, error.message())
        })?;
        document.check()?;
        Ok(document.into_policy(name))
    }

    /// Writes the document that reads as this policy. The title's own word on ClearKey is none
    /// of the policy's.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let document = Document {
            license_s: self.license_s,
            rental_s: self.rental_s,
            rental_end: self.rental_end,
            playback_s: self.playback_s,
            playback_end: self.playback_end,
            play_start_grace_s: self.play_start_grace_s,
            capture_protected: self.capture_protected,
            clearkey_max: Some(Highest(self.clearkey_max)),
            levels: self.levels,
            outputs: self.outputs,
            renewal: self.renewal,
            offline: self.offline,
            rotation: self.rotation,
        };
        toml::to_string(&document).expect("plain fields, then tables of plain fields")
    }
}

impl Document {
    fn check(&self) -> Result<(), PolicyError> {
        let LevelTable { l1, l2, l3 } = self.levels;
        let renewal = &self.renewal;
        let opens = |highest: &Highest| highest.0.is_some();
        let opens_clearkey = self.clearkey_max.as_ref().is_some_and(opens);
        let waits = |delay: NonZeroU32| delay >= self.license_s;
        let rules = [
            (l1.is_none(), "levels.L1", "nobody would get a key"),
            (l2 > l1, "levels.L2", "more than L1 gets"),
            (l3 > l2, "levels.L3", "more than L2 gets"),
            (
                opens_clearkey && l3.is_none(),
                "clearkey_max",
                "ClearKey is L3, which gets no key here",
            ),
            (
                opens_clearkey && self.capture_protected,
                "clearkey_max",
                "ClearKey protects nothing from capture",
            ),
            (
                !renewal.allowed && !is_default(renewal),
                "renewal.allowed",
                "not true, yet other fields say how renewal goes",
            ),
            (
                renewal.delay_s.is_some_and(waits),
                "renewal.delay_s",
                "not before the license ends (license_s)",
            ),
            (
                !self.offline.allowed && !is_default(&self.offline),
                "offline.allowed",
                "not true, yet other fields say how long a license is kept",
            ),
            (
                self.offline.allowed && self.offline.license_s.is_none(),
                "offline.license_s",
                "missing: how long is a license kept?",
            ),
        ];
        match rules.into_iter().find(|(is_broken, ..)| *is_broken) {
            Some((_, field, why)) => Err(PolicyError::Field { field, why }),
            None => Ok(()),
        }
    }

    fn into_policy(self, name: PolicyName) -> TitlePolicy {
        let as_l3 = self.levels.highest(SecurityLevel::L3).filter(|_| !self.capture_protected);
        TitlePolicy {
            name,
            clearkey_max: self.clearkey_max.map_or(as_l3, |highest| highest.0),
            clearkey_override: None,
            levels: self.levels,
            outputs: self.outputs,
            capture_protected: self.capture_protected,
            license_s: self.license_s,
            rental_s: self.rental_s,
            playback_s: self.playback_s,
            play_start_grace_s: self.play_start_grace_s,
            rental_end: self.rental_end,
            playback_end: self.playback_end,
            renewal: self.renewal,
            offline: self.offline,
            rotation: self.rotation,
        }
    }
}

/// The error at a byte of the text, with the line that it is in.
fn line_error(text: &str, at: usize, why: &str) -> PolicyError {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count();
    let shown = text.lines().nth(line).unwrap_or_default().trim();
    let shown: String = shown.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
    PolicyError::Line { line: line + 1, text: shown, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnalogOutput, Hdcp, Robustness};

    fn name() -> PolicyName {
        PolicyName::parse("mine").unwrap()
    }

    fn refusal(text: &str) -> String {
        TitlePolicy::parse(name(), text).unwrap_err().to_string()
    }

    const FULL: &str = r#"
license_s = 3600
rental_s = 2592000
rental_end = "plays-on"
playback_s = 172800
playback_end = "plays-on"
play_start_grace_s = 60
capture_protected = false
clearkey_max = "AUDIO"

[levels]
L1 = "HD"
L2 = "SD"
L3 = "AUDIO"

[outputs.HD]
hdcp = "2.2"
analog = "refused"
robustness = "hardware-all"

[renewal]
allowed = true
delay_s = 1800
retry_s = 30
recovery_s = 300
on_first_use = true
with_identity = true

[offline]
allowed = true
license_s = 604800
rental_s = 86400
playback_s = 7200

[rotation]
horizon_s = 300
whole_event = true
"#;

    #[test]
    fn every_field_is_read() {
        let seconds = NonZeroU32::new;
        let policy = TitlePolicy::parse(name(), FULL).unwrap();
        let (levels, outputs) = (policy.levels, policy.outputs);
        assert_eq!((levels.l1, levels.l2), (Some(TrackClass::Hd), Some(TrackClass::Sd)));
        assert_eq!((levels.l3, policy.clearkey_max), (Some(TrackClass::Audio), levels.l3));
        assert_eq!((outputs.hd.hdcp, outputs.hd.analog), (Hdcp::V2_2, AnalogOutput::Refused));
        assert_eq!(outputs.hd.robustness, Some(Robustness::HardwareAll));
        assert_eq!(Some(policy.license_s), seconds(3600));
        assert_eq!((policy.rental_s, policy.playback_s), (seconds(2_592_000), seconds(172_800)));
        assert_eq!((policy.rental_end, policy.playback_end), (SpanEnd::PlaysOn, SpanEnd::PlaysOn));
        assert_eq!(policy.play_start_grace_s, seconds(60));
        let renewal = RenewalRight {
            allowed: true,
            delay_s: seconds(1800),
            retry_s: seconds(30),
            recovery_s: seconds(300),
            on_first_use: true,
            with_identity: true,
        };
        let offline = OfflineRight {
            allowed: true,
            license_s: seconds(604_800),
            rental_s: seconds(86_400),
            playback_s: seconds(7200),
        };
        assert_eq!((policy.renewal, policy.offline), (renewal, offline));
        assert_eq!(Some(policy.rotation.horizon_s), seconds(300));
        assert!(policy.rotation.whole_event);
        assert_eq!(TitlePolicy::parse(name(), &policy.to_toml()).unwrap(), policy);
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        let policy = TitlePolicy::parse(name(), "license_s = 86400").unwrap();
        assert_eq!(policy, TitlePolicy { name: name(), ..TitlePolicy::default() });
    }

    #[test]
    fn clearkey_is_l3_unless_the_document_says_more() {
        let clearkey = |text: &str| TitlePolicy::parse(name(), text).unwrap().clearkey_max;
        let levels = "[levels]\nL1 = \"UHD\"\nL2 = \"HD\"\n";
        assert_eq!(clearkey(&format!("license_s = 1\n{levels}L3 = \"HD\"")), Some(TrackClass::Hd));
        assert_eq!(clearkey(&format!("license_s = 1\n{levels}L3 = \"none\"")), None);
        assert_eq!(clearkey("license_s = 1\ncapture_protected = true"), None);
        let more = format!("license_s = 1\nclearkey_max = \"UHD\"\n{levels}L3 = \"SD\"");
        assert_eq!(clearkey(&more), Some(TrackClass::Uhd));
    }

    #[test]
    fn an_error_names_the_field() {
        for (text, expected) in [
            ("", "line 1, ``: missing field `license_s`"),
            (
                "license_s = 0",
                "line 1, `license_s = 0`: invalid value: integer `0`, expected a nonzero u32",
            ),
            (
                "license_s = 60\nrental_s = -1",
                "line 2, `rental_s = -1`: invalid value: integer `-1`, expected a nonzero u32",
            ),
            (
                "license_s = 4294967296",
                "line 1, `license_s = 4294967296`: invalid value: integer `4294967296`, \
                 expected a nonzero u32",
            ),
            ("license_s = 60\n\n[level]\nL1 = \"HD\"", "line 3, `[level]`: unknown field `level`"),
            ("license_s = 60\n[outputs.4K]", "line 2, `[outputs.4K]`: unknown field `4K`"),
            (
                "license_s = 60\n[outputs.HD]\nhdcp = \"3\"",
                "line 3, `hdcp = \"3\"`: unknown variant",
            ),
            ("license_s = 60\n[levels]\nL1 = \"HD\"", "line 2, `[levels]`: missing field `L2`"),
            ("license_s = 60\nclearkey_max = \"8K\"", "line 2, `clearkey_max = \"8K\"`: invalid"),
            ("license_s = 60\nlicense_s = 60", "line 2, `license_s = 60`: duplicate key"),
            ("license_s = 60\n\u{1}", "line 2"),
        ] {
            let refused = refusal(text);
            assert!(refused.starts_with(expected), "{text:?}\n{refused}");
        }
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        let levels = |l1, l2, l3| {
            format!("license_s = 60\n[levels]\nL1 = \"{l1}\"\nL2 = \"{l2}\"\nL3 = \"{l3}\"\n")
        };
        let with = |rest: &str| format!("license_s = 60\n{rest}");
        let floor = format!("clearkey_max = \"SD\"\n{}", levels("HD", "HD", "none"));
        for (text, field) in [
            (levels("none", "none", "none"), "levels.L1"),
            (levels("SD", "HD", "SD"), "levels.L2"),
            (levels("HD", "none", "AUDIO"), "levels.L3"),
            (floor, "clearkey_max"),
            (with("capture_protected = true\nclearkey_max = \"SD\""), "clearkey_max"),
            (with("[renewal]\nretry_s = 5"), "renewal.allowed"),
            (with("[renewal]\nallowed = true\ndelay_s = 60"), "renewal.delay_s"),
            (with("[offline]\nlicense_s = 5"), "offline.allowed"),
            (with("[offline]\nallowed = true"), "offline.license_s"),
        ] {
            let refused = TitlePolicy::parse(name(), &text).unwrap_err();
            let PolicyError::Field { field: named, .. } = refused else { panic!("{refused}") };
            assert_eq!(named, field);
        }
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused() {
        let long = format!("license_s = 60\n#{}", "a".repeat(MAX_POLICY_BYTES));
        assert_eq!(TitlePolicy::parse(name(), &long), Err(PolicyError::TooLong));
        let deep = format!("license_s = {}", "[".repeat(16_000));
        assert!(refusal(&deep).starts_with("line 1, `license_s = [[["));
        assert!(refusal(&deep).len() < 300);
    }
}
