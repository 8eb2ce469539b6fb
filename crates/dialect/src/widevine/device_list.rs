//! The imported device list: which system has which security level, and who is revoked.
//!
//! A level comes from here and from nowhere else: a client's own words about itself are hints.

use super::ChallengeError;
use model::SecurityLevel;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Longest list that is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Longest serial number, bytes.
const MAX_SERIAL_BYTES: usize = 128;

/// Why a list is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceListError {
    /// Longer than 16 MiB.
    #[error("a device list has at most 16 MiB")]
    TooLarge,
    /// Not the JSON of a device list; the parser's words.
    #[error("not a device list: {0}")]
    Malformed(String),
    /// A level outside 1 to 3.
    #[error("system {0} has a security level outside 1 to 3")]
    Level(u32),
    /// Two rows for one system.
    #[error("system {0} is listed twice")]
    Twice(u32),
    /// A serial number that is not hexadecimal digits of whole bytes.
    #[error("revoked serial {0} is not hexadecimal")]
    Serial(usize),
}

/// What the list says about a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// In use.
    #[serde(alias = "released", alias = "valid")]
    Active,
    /// Not yet for sale.
    #[serde(alias = "test", alias = "in_testing", alias = "test_only")]
    Testing,
    /// Withdrawn.
    #[serde(alias = "deleted")]
    Revoked,
}

/// What becomes of a device whose system the list does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Unlisted {
    /// It is L3.
    #[default]
    #[serde(alias = "l3")]
    L3,
    /// It is refused.
    #[serde(rename = "refuse", alias = "refused", alias = "deny")]
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    systems: Vec<Row>,
    #[serde(default)]
    revoked_serials: Vec<String>,
    #[serde(default)]
    revoked_system_ids: BTreeSet<u32>,
    #[serde(default)]
    unlisted: Unlisted,
}

/// Make, model and the like may stand beside these.
#[derive(Deserialize)]
struct Row {
    system_id: u32,
    security_level: u8,
    status: DeviceStatus,
}

/// `device_list.json`, read.
#[derive(Debug, Default)]
pub struct DeviceList {
    systems: BTreeMap<u32, (SecurityLevel, DeviceStatus)>,
    revoked_serials: BTreeSet<Vec<u8>>,
    revoked_system_ids: BTreeSet<u32>,
    unlisted: Unlisted,
}

impl DeviceList {
    /// Reads the list.
    ///
    /// Shape: `{"systems": [{"system_id", "security_level": 1-3, "status": "active" | "testing" |
    /// "revoked"}], "revoked_serials": [hex], "revoked_system_ids": [], "unlisted": "L3" |
    /// "refuse"}`; only `systems` must be there, `unlisted` is `L3` where absent.
    /// Errors: [`DeviceListError`]. Limits: 16 MiB.
    pub fn parse(json: &str) -> Result<Self, DeviceListError> {
        if json.len() > MAX_BYTES {
            return Err(DeviceListError::TooLarge);
        }
        let file: File = serde_json::from_str(json)
            .map_err(|error| DeviceListError::Malformed(error.to_string()))?;
        let mut systems = BTreeMap::new();
        for row in file.systems {
            let level = match row.security_level {
                1 => SecurityLevel::L1,
                2 => SecurityLevel::L2,
                3 => SecurityLevel::L3,
                _ => return Err(DeviceListError::Level(row.system_id)),
            };
            if systems.insert(row.system_id, (level, row.status)).is_some() {
                return Err(DeviceListError::Twice(row.system_id));
            }
        }
        let mut revoked_serials = BTreeSet::new();
        for (at, text) in file.revoked_serials.iter().enumerate() {
            revoked_serials.insert(unhex(text).ok_or(DeviceListError::Serial(at))?);
        }
        let (revoked_system_ids, unlisted) = (file.revoked_system_ids, file.unlisted);
        Ok(Self { systems, revoked_serials, revoked_system_ids, unlisted })
    }

    /// The level of a system, where a certificate of this serial number may be used.
    ///
    /// Errors: [`ChallengeError::Revoked`], [`ChallengeError::Unlisted`].
    pub fn level_of(&self, system_id: u32, serial: &[u8]) -> Result<SecurityLevel, ChallengeError> {
        self.admit(system_id, [serial, serial]).map(|(level, _)| level)
    }

    /// How many systems it lists, and how many serial numbers it revokes.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.systems.len(), self.revoked_serials.len())
    }

    /// The level of a device; its status where it is listed.
    pub(super) fn admit(
        &self,
        system_id: u32,
        serials: [&[u8]; 2],
    ) -> Result<(SecurityLevel, Option<DeviceStatus>), ChallengeError> {
        let is_revoked = self.revoked_system_ids.contains(&system_id)
            || serials.iter().any(|serial| self.revoked_serials.contains(*serial));
        match (self.systems.get(&system_id), self.unlisted) {
            _ if is_revoked => Err(ChallengeError::Revoked),
            (Some((_, DeviceStatus::Revoked)), _) => Err(ChallengeError::Revoked),
            (Some((level, status)), _) => Ok((*level, Some(*status))),
            (None, Unlisted::L3) => Ok((SecurityLevel::L3, None)),
            (None, Unlisted::Refuse) => Err(ChallengeError::Unlisted),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > 2 * MAX_SERIAL_BYTES {
        return None;
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(json: &str) -> DeviceList {
        DeviceList::parse(json).unwrap()
    }

    #[test]
    fn levels_status_and_revocations_are_read() {
        let list = list(
            r#"{"systems": [{"system_id": 1, "security_level": 1, "status": "active", "make": "A"},
                {"system_id": 2, "security_level": 2, "status": "in_testing"},
                {"system_id": 3, "security_level": 3, "status": "revoked"}],
                "revoked_serials": ["0aFf"], "revoked_system_ids": [2]}"#,
        );
        let none: [&[u8]; 2] = [b"a", b"b"];
        assert_eq!(list.admit(1, none), Ok((SecurityLevel::L1, Some(DeviceStatus::Active))));
        assert_eq!(list.admit(2, none), Err(ChallengeError::Revoked));
        assert_eq!(list.admit(3, none), Err(ChallengeError::Revoked));
        assert_eq!(list.admit(1, [b"a", &[0x0a, 0xff]]), Err(ChallengeError::Revoked));
        assert_eq!(list.admit(1, [&[0x0a, 0xff], b"a"]), Err(ChallengeError::Revoked));
        assert_eq!(list.admit(9, none), Ok((SecurityLevel::L3, None)));
    }

    #[test]
    fn what_is_not_listed_is_l3_or_refused() {
        let refusing = list(r#"{"systems": [], "unlisted": "refuse"}"#);
        assert_eq!(refusing.admit(9, [b"a", b"b"]), Err(ChallengeError::Unlisted));
        let lenient = list(r#"{"systems": [], "unlisted": "L3"}"#);
        assert_eq!(lenient.admit(9, [b"a", b"b"]), Ok((SecurityLevel::L3, None)));
        assert_eq!(DeviceList::default().admit(9, [b"", b""]), Ok((SecurityLevel::L3, None)));
    }

    #[test]
    fn damaged_lists_are_refused() {
        let row = r#"{"system_id": 7, "security_level": 1, "status": "active"}"#;
        let refused = |json: &str| DeviceList::parse(json).unwrap_err();
        assert_eq!(
            refused(&format!(r#"{{"systems": [{row}, {row}]}}"#)),
            DeviceListError::Twice(7)
        );
        let level = row.replace('1', "4");
        assert_eq!(refused(&format!(r#"{{"systems": [{level}]}}"#)), DeviceListError::Level(7));
        for serial in ["", "0", "0g", "é0", "123"] {
            let json = format!(r#"{{"systems": [], "revoked_serials": ["00", "{serial}"]}}"#);
            assert_eq!(refused(&json), DeviceListError::Serial(1));
        }
        for json in [
            "",
            "[]",
            "{}",
            r#"{"systems": [], "revoked": []}"#,
            r#"{"systems": [], "unlisted": "L1"}"#,
        ] {
            assert!(matches!(refused(json), DeviceListError::Malformed(_)), "{json}");
        }
        let status = row.replace("active", "sold");
        assert!(DeviceList::parse(&format!(r#"{{"systems": [{status}]}}"#)).is_err());
    }
}
