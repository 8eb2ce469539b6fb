//! SPEKE: what an encryptor and a key service owe each other beyond CPIX (SPEKE API 1.0, 2.0
//! and 2.1).
//!
//! [`SpekeVersion::of_header`] reads the version, [`Request::check`] holds a document to its
//! contract, [`Request::answer`] fills it. A document that breaks the contract is refused
//! before any key is touched, with the words that encryptors know.

mod answer;
mod ask;
mod track_type;

pub use answer::{AnswerError, GivenKey, Signaling};
pub use ask::{Ask, ContractPart, PresetError, WantedKey, contract};
pub use track_type::TrackType;

use super::delivery::SealError;
use super::document::{Document, KeyEntry, KeyValue, Parts, ProtectionScheme, Version};
use super::drm_system::SystemId;
use super::period::KeyPeriod;
use super::rule::{Filters, KnownFilters, UsageRule};
use super::value::Text;
use model::{KeyId, Scheme, Timestamp, TrackClasses};
use std::collections::{HashMap, HashSet};

/// Request and answer header that names the version, since SPEKE 2.0.
pub const VERSION_HEADER: &str = "X-Speke-Version";
/// HTTP status of a document that breaks the contract.
pub const REFUSED_STATUS: u16 = 422;

/// A version of SPEKE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpekeVersion {
    /// 1.0: CPIX 2.0, one key.
    V1_0,
    /// 2.0: CPIX 2.3, a key for each track type.
    V2_0,
    /// 2.1: CPIX 2.4.
    V2_1,
}

impl SpekeVersion {
    /// Reads the header [`VERSION_HEADER`]; SPEKE 1.0 sends none.
    ///
    /// Errors: [`ContractError::SpekeVersion`]: the document is not looked at.
    pub fn of_header(value: Option<&str>) -> Result<Self, ContractError> {
        match value.map(str::trim) {
            None | Some("1.0") => Ok(Self::V1_0),
            Some("2.0") => Ok(Self::V2_0),
            Some("2.1") => Ok(Self::V2_1),
            Some(_) => Err(ContractError::SpekeVersion),
        }
    }

    /// The value of [`VERSION_HEADER`] in an answer.
    #[must_use]
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::V1_0 => None,
            Self::V2_0 => Some("2.0"),
            Self::V2_1 => Some("2.1"),
        }
    }

    /// The answer header that names the key service.
    #[must_use]
    pub const fn user_agent_header(self) -> &'static str {
        match self {
            Self::V1_0 => "Speke-User-Agent",
            Self::V2_0 | Self::V2_1 => "X-Speke-User-Agent",
        }
    }

    const fn document_version(self) -> Option<Version> {
        match self {
            Self::V1_0 => None,
            Self::V2_0 => Some(Version::V2_3),
            Self::V2_1 => Some(Version::V2_4),
        }
    }
}

/// How a document breaks the contract of its version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The header names another version.
    #[error("Unsupported SPEKE version")]
    SpekeVersion,
    /// No content is named.
    #[error("Missing CPIX@{0}")]
    Missing(&'static str),
    /// The document is of a CPIX version that this version of SPEKE does not use.
    #[error("Unsupported CPIX@version")]
    DocumentVersion,
    /// A list is missing or empty.
    #[error("Missing {0}")]
    MissingElement(&'static str),
    /// A key has no scheme.
    #[error("Missing ContentKey@commonEncryptionScheme for KID {}", .0.to_uuid())]
    MissingScheme(KeyId),
    /// Keys have several schemes, or FairPlay one that it cannot play.
    #[error("Non compliant ContentKey@commonEncryptionScheme combination")]
    Schemes,
    /// A scheme that Strongroom does not write.
    #[error("Unsupported ContentKey@commonEncryptionScheme for KID {}", .0.to_uuid())]
    UnsupportedScheme(KeyId),
    /// SPEKE 1.0 has one key.
    #[error("SPEKE 1.0 has one ContentKey")]
    SeveralKeys,
    /// A request brings a key along, or depends on one.
    #[error("The request carries a key or a key hierarchy for KID {}", .0.to_uuid())]
    CarriesKey(KeyId),
    /// A key of SPEKE 2 has not exactly one rule.
    #[error("Not exactly one ContentKeyUsageRule for KID {}", .0.to_uuid())]
    RulesOfKey(KeyId),
    /// A rule has a filter that nobody understands.
    #[error("Unsupported filter in ContentKeyUsageRule for KID {}", .0.to_uuid())]
    UnknownFilter(KeyId),
    /// A rule has no track type, or one that SPEKE does not name.
    #[error("Missing or unsupported ContentKeyUsageRule@intendedTrackType for KID {}", .0.to_uuid())]
    TrackType(KeyId),
    /// A rule lacks the filter of its track type.
    #[error("Missing filter for the intendedTrackType in ContentKeyUsageRule for KID {}", .0.to_uuid())]
    MissingFilter(KeyId),
    /// Two rules of one period have the same track type, or `ALL` meets another.
    #[error("Non compliant ContentKeyUsageRule@intendedTrackType combination")]
    TrackTypes,
    /// A recipient's certificate is refused.
    #[error(transparent)]
    Recipient(#[from] SealError),
}

/// One key that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedKey {
    /// The key's public name, chosen by the encryptor.
    pub kid: KeyId,
    /// The classes of the tracks that it encrypts.
    pub classes: TrackClasses,
    /// The scheme; SPEKE 1.0 states none.
    pub scheme: Option<Scheme>,
    /// The periods that it is for; none: it does not rotate.
    pub periods: Vec<KeyPeriod>,
    /// The DRM systems that signal it.
    pub systems: Vec<SystemId>,
    /// The IV that the encryptor chose for all samples, where it did.
    pub explicit_iv: Option<[u8; 16]>,
}

/// A request that keeps its contract. Only [`Self::check`] makes one; it is answered once.
#[derive(Debug)]
pub struct Request {
    document: Document,
    version: SpekeVersion,
    content_id: Text,
    asked: Vec<AskedKey>,
    now: Timestamp,
}

impl Request {
    /// Holds a document to the contract of `version`.
    ///
    /// Errors: [`ContractError`]; its text is the answer's body, under [`REFUSED_STATUS`].
    pub fn check(
        document: Document,
        version: SpekeVersion,
        now: Timestamp,
    ) -> Result<Self, ContractError> {
        let parts = document.parts();
        let content_id = match version {
            SpekeVersion::V1_0 => parts.id.clone().or_else(|| parts.content_id.clone()),
            SpekeVersion::V2_0 | SpekeVersion::V2_1 => parts.content_id.clone(),
        };
        let name = if version == SpekeVersion::V1_0 { "id" } else { "contentId" };
        let content_id = content_id.ok_or(ContractError::Missing(name))?;
        let asked = match version.document_version() {
            None => check_v1(parts)?,
            Some(needed) => check_v2(parts, needed)?,
        };
        document.recipients(now)?;
        Ok(Self { document, version, content_id, asked, now })
    }

    /// The content.
    #[must_use]
    pub const fn content_id(&self) -> &Text {
        &self.content_id
    }

    /// The version that the answer's headers name.
    #[must_use]
    pub const fn version(&self) -> SpekeVersion {
        self.version
    }

    /// Whether it names recipients: then the answer's keys are encrypted for them.
    #[must_use]
    pub fn has_recipients(&self) -> bool {
        !self.document.parts().deliveries.is_empty()
    }

    /// The keys, in the request's order.
    #[must_use]
    pub fn asked(&self) -> &[AskedKey] {
        &self.asked
    }
}

fn check_v1(parts: &Parts) -> Result<Vec<AskedKey>, ContractError> {
    match parts.keys.as_slice() {
        [] => Err(ContractError::MissingElement("ContentKey")),
        [key] => {
            check_is_asked(key)?;
            check_systems(parts)?;
            let scheme = match key.scheme() {
                None => None,
                Some(scheme) => Some(check_scheme(key.kid, scheme)?),
            };
            let classes = TrackClasses::up_to(model::TrackClass::Uhd);
            Ok(vec![asked(parts, key, classes, scheme, parts.periods.clone())])
        }
        _ => Err(ContractError::SeveralKeys),
    }
}

fn check_v2(parts: &Parts, version: Version) -> Result<Vec<AskedKey>, ContractError> {
    match parts.version {
        None => return Err(ContractError::Missing("version")),
        Some(own) if own != version => return Err(ContractError::DocumentVersion),
        Some(_) => {}
    }
    if parts.keys.is_empty() {
        return Err(ContractError::MissingElement("ContentKey"));
    }
    check_systems(parts)?;
    if parts.rules.is_empty() {
        return Err(ContractError::MissingElement("ContentKeyUsageRule"));
    }
    let scheme = check_schemes(parts)?;
    let rules = check_rules(parts)?;
    let periods: HashMap<&Text, &KeyPeriod> =
        parts.periods.iter().filter_map(|period| Some((period.id.as_ref()?, period))).collect();
    let mut all = Vec::with_capacity(parts.keys.len());
    for key in &parts.keys {
        check_is_asked(key)?;
        let (track_type, filters) =
            rules.get(&key.kid).ok_or(ContractError::RulesOfKey(key.kid))?;
        let periods = filters.periods.iter().filter_map(|id| periods.get(id).copied().cloned());
        all.push(asked(parts, key, track_type.classes(), Some(scheme), periods.collect()));
    }
    Ok(all)
}

fn asked(
    parts: &Parts,
    key: &KeyEntry,
    classes: TrackClasses,
    scheme: Option<Scheme>,
    periods: Vec<KeyPeriod>,
) -> AskedKey {
    let systems = parts.systems.iter().filter(|system| system.kid == key.kid);
    let systems = systems.map(|one| one.system).collect();
    let periods = if rotate(parts) { periods } else { vec![] };
    AskedKey { kid: key.kid, classes, scheme, periods, systems, explicit_iv: key.explicit_iv }
}

/// Whether the keys of a document change. The period of number 0, alone and without a time, is
/// how some encryptors say that they do not.
fn rotate(parts: &Parts) -> bool {
    let [only] = parts.periods.as_slice() else { return true };
    only.index != Some(0) || only.span.is_some()
}

fn check_is_asked(key: &KeyEntry) -> Result<(), ContractError> {
    let is_root = matches!(key.role, super::document::KeyRole::Root { .. });
    if is_root && matches!(key.value, KeyValue::Absent) {
        return Ok(());
    }
    Err(ContractError::CarriesKey(key.kid))
}

fn check_systems(parts: &Parts) -> Result<(), ContractError> {
    if parts.systems.is_empty() {
        return Err(ContractError::MissingElement("DRMSystem"));
    }
    Ok(())
}

fn check_scheme(kid: KeyId, scheme: ProtectionScheme) -> Result<Scheme, ContractError> {
    match scheme {
        ProtectionScheme::Common(scheme) => Ok(scheme),
        _ => Err(ContractError::UnsupportedScheme(kid)),
    }
}

/// One scheme for all keys; FairPlay plays `cbcs` only.
fn check_schemes(parts: &Parts) -> Result<Scheme, ContractError> {
    let mut one = None;
    for key in &parts.keys {
        let scheme = key.scheme().ok_or(ContractError::MissingScheme(key.kid))?;
        if one.is_some_and(|(_, earlier)| earlier != scheme) {
            return Err(ContractError::Schemes);
        }
        one = Some((key.kid, scheme));
    }
    let (kid, scheme) = one.ok_or(ContractError::MissingElement("ContentKey"))?;
    let scheme = check_scheme(kid, scheme)?;
    let has_fairplay = parts.systems.iter().any(|system| system.system == SystemId::FAIRPLAY);
    if has_fairplay && scheme != Scheme::Cbcs { Err(ContractError::Schemes) } else { Ok(scheme) }
}

type Rules<'a> = HashMap<KeyId, (TrackType, &'a KnownFilters)>;

/// Each key has one rule with one track type, which is unique among the rules of its period;
/// `ALL` stands alone.
fn check_rules(parts: &Parts) -> Result<Rules<'_>, ContractError> {
    let mut rules = Rules::with_capacity(parts.rules.len());
    let mut of_periods: HashMap<Vec<&Text>, HashSet<TrackType>> = HashMap::new();
    for rule in &parts.rules {
        let (track_type, filters) = check_rule(rule)?;
        if rules.insert(rule.kid, (track_type, filters)).is_some() {
            return Err(ContractError::RulesOfKey(rule.kid));
        }
        let mut periods: Vec<&Text> = filters.periods.iter().collect();
        periods.sort();
        let types = of_periods.entry(periods).or_default();
        let shares = types.iter().any(|other| other.shares_tracks(track_type));
        if shares || !types.insert(track_type) {
            return Err(ContractError::TrackTypes);
        }
    }
    Ok(rules)
}

fn check_rule(rule: &UsageRule) -> Result<(TrackType, &KnownFilters), ContractError> {
    let kid = rule.kid;
    let Filters::Known(filters) = &rule.filters else {
        return Err(ContractError::UnknownFilter(kid));
    };
    let track_type = rule.track_type.as_ref().and_then(|text| TrackType::parse(text.as_str()));
    let track_type = track_type.ok_or(ContractError::TrackType(kid))?;
    let (has_video, has_audio) = (!filters.videos.is_empty(), !filters.audios.is_empty());
    if track_type.has_video() && !has_video || track_type.has_audio() && !has_audio {
        return Err(ContractError::MissingFilter(kid));
    }
    Ok((track_type, filters))
}

#[cfg(test)]
mod tests;
