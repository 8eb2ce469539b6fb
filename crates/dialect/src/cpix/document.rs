//! A CPIX document as a value: only one that is whole can be made (CPIX 2.4, document model).

use super::drm_system::{DrmSystem, SystemId};
use super::period::{KeyPeriod, Span};
use super::rule::{Filters, MappingError, Track, UsageRule, key_of};
use super::value::{Blob, Text};
use super::{
    MAX_DOCUMENT_KEYS, MAX_FILTERS, MAX_KEYS, MAX_PERIODS, MAX_RECIPIENTS, MAX_RULES, MAX_SYSTEMS,
};
use keys::{ContentKey, EncryptedKey};
use model::{KeyId, Scheme};
use std::collections::{HashMap, HashSet};

/// `CPIX@version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2.0.
    V2_0,
    /// 2.1.
    V2_1,
    /// 2.2.
    V2_2,
    /// 2.3.
    V2_3,
    /// 2.4.
    V2_4,
}

impl Version {
    const ALL: [Self; 5] = [Self::V2_0, Self::V2_1, Self::V2_2, Self::V2_3, Self::V2_4];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
            Self::V2_3 => "2.3",
            Self::V2_4 => "2.4",
        }
    }

    /// Reads what [`Self::name`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == text)
    }
}

/// `commonEncryptionScheme`: how samples are encrypted under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionScheme {
    /// A scheme that Strongroom writes.
    Common(Scheme),
    /// `cens` (ISO/IEC 23001-7, 10.3).
    Cens,
    /// `cbc1` (ISO/IEC 23001-7, 10.2).
    Cbc1,
    /// HLS `AES-128`: whole segments.
    Aes128,
    /// HLS `SAMPLE-AES`.
    SampleAes,
    /// HLS `SAMPLE-AES-CTR`.
    SampleAesCtr,
}

impl ProtectionScheme {
    const ALL: [Self; 7] = [
        Self::Common(Scheme::Cenc),
        Self::Common(Scheme::Cbcs),
        Self::Cens,
        Self::Cbc1,
        Self::Aes128,
        Self::SampleAes,
        Self::SampleAesCtr,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Common(scheme) => scheme.name(),
            Self::Cens => "cens",
            Self::Cbc1 => "cbc1",
            Self::Aes128 => "AES-128",
            Self::SampleAes => "SAMPLE-AES",
            Self::SampleAesCtr => "SAMPLE-AES-CTR",
        }
    }

    /// Reads what [`Self::name`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == text)
    }
}

/// The key of a [`KeyEntry`].
#[derive(Debug)]
pub enum KeyValue {
    /// Not there: a request asks for it.
    Absent,
    /// In the clear.
    Clear(ContentKey),
    /// Encrypted under a document key.
    Encrypted(EncryptedKey),
}

/// Where a key stands in the key hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// At the top, as nearly every key.
    Root {
        /// `commonEncryptionScheme`.
        scheme: Option<ProtectionScheme>,
        /// The content, where it is not that of the document.
        content_id: Option<Text>,
        /// `HLSHDCPLevel` of the key's `HDCPData`.
        hls_hdcp_level: Option<Text>,
        /// `HDCPOutputProtectionData` of the key's `HDCPData`.
        hdcp_output_protection: Option<Blob>,
    },
    /// Below a root key, from which it has everything else.
    Leaf {
        /// The root key.
        depends_on: KeyId,
    },
}

impl KeyRole {
    /// A root key under `scheme`.
    #[must_use]
    pub const fn root(scheme: Option<ProtectionScheme>) -> Self {
        let (content_id, hls_hdcp_level, hdcp_output_protection) = (None, None, None);
        Self::Root { scheme, content_id, hls_hdcp_level, hdcp_output_protection }
    }
}

/// `ContentKey`.
#[derive(Debug)]
pub struct KeyEntry {
    /// Name of the element in its document.
    pub id: Option<Text>,
    /// The key's public name.
    pub kid: KeyId,
    /// The IV that all samples begin with.
    pub explicit_iv: Option<[u8; 16]>,
    /// Its place in the key hierarchy.
    pub role: KeyRole,
    /// The key.
    pub value: KeyValue,
}

impl KeyEntry {
    /// The scheme that is stated for the key.
    #[must_use]
    pub const fn scheme(&self) -> Option<ProtectionScheme> {
        match &self.role {
            KeyRole::Root { scheme, .. } => *scheme,
            KeyRole::Leaf { .. } => None,
        }
    }
}

/// One document key, wrapped for a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredKey {
    /// The key under RSA-OAEP.
    pub wrapped: Blob,
    /// The content keys that it encrypts; none: all of them.
    pub encrypts: Vec<KeyId>,
}

/// What a recipient needs to decrypt content keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The document keys.
    pub document_keys: Vec<DeliveredKey>,
    /// The MAC key under RSA-OAEP.
    pub mac_key: Blob,
}

/// `DeliveryData`: one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Name of the element in its document.
    pub id: Option<Text>,
    /// What people call the recipient.
    pub name: Option<Text>,
    /// The recipient's X.509 certificate, DER, as it was sent.
    pub certificate: Blob,
    /// The keys; absent in a request.
    pub delivered: Option<Delivered>,
}

/// The parts of a document, before they are known to fit together.
#[derive(Debug, Default)]
pub struct Parts {
    /// `CPIX@version`.
    pub version: Option<Version>,
    /// `CPIX@id`: in SPEKE 1.0, the content.
    pub id: Option<Text>,
    /// `CPIX@contentId`.
    pub content_id: Option<Text>,
    /// `CPIX@name`.
    pub name: Option<Text>,
    /// Recipients of encrypted delivery.
    pub deliveries: Vec<Delivery>,
    /// Content keys.
    pub keys: Vec<KeyEntry>,
    /// DRM systems.
    pub systems: Vec<DrmSystem>,
    /// Key periods.
    pub periods: Vec<KeyPeriod>,
    /// Usage rules.
    pub rules: Vec<UsageRule>,
}

/// Why parts are no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// More of something than a document may have.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// Two content keys have the same KID.
    #[error("ContentKey: kid {0} is given twice")]
    KeyTwice(KeyId),
    /// A DRM system speaks of the same key twice.
    #[error("DRMSystem: {system} is given twice for kid {kid}")]
    SystemTwice {
        /// The DRM system.
        system: SystemId,
        /// The key.
        kid: KeyId,
    },
    /// Two elements have the same id.
    #[error("{0}: an id is given twice")]
    IdTwice(&'static str),
    /// An element speaks of a key that is not in the document.
    #[error("{element}: there is no ContentKey with kid {kid}")]
    UnknownKey {
        /// The element.
        element: &'static str,
        /// The key.
        kid: KeyId,
    },
    /// Content is named for the document and for a key.
    #[error("ContentKey: contentId is given for the document too")]
    ContentIdTwice,
    /// A leaf key depends on a key that is no root.
    #[error("ContentKey: kid {0} depends on a key that is not a root key")]
    NotARoot(KeyId),
    /// Something is said of a leaf key or of its root that may not be said of it.
    #[error("{element}: not allowed for kid {kid} in its key hierarchy")]
    Hierarchy {
        /// The element.
        element: &'static str,
        /// The key.
        kid: KeyId,
    },
    /// Two periods of one key share a moment.
    #[error("ContentKeyPeriod: periods of kid {0} overlap")]
    PeriodsOverlap(KeyId),
    /// A key is encrypted, and no recipient has a document key.
    #[error("ContentKey: kid {0} is encrypted and no DeliveryData has a DocumentKey")]
    NoDocumentKey(KeyId),
}

/// A document whose parts fit together. Only [`Self::new`] and [`Self::parse`] make one.
#[derive(Debug)]
pub struct Document {
    pub(super) parts: Parts,
}

impl Document {
    /// Checks that parts fit together.
    ///
    /// Errors: [`DocumentError`]. Limits: the constants of [`super`].
    pub fn new(parts: Parts) -> Result<Self, DocumentError> {
        check_counts(&parts)?;
        check_ids(&parts)?;
        let keys = check_keys(&parts)?;
        check_systems(&parts, &keys)?;
        check_rules(&parts, &keys)?;
        check_periods(&parts)?;
        check_delivery(&parts, &keys)?;
        Ok(Self { parts })
    }

    /// The parts.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Takes the document apart.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.parts
    }

    /// The key of a track, by the most specific usage rule; `None` where no rule fits.
    ///
    /// Errors: [`MappingError`].
    pub fn key_of(&self, track: &Track<'_>) -> Result<Option<KeyId>, MappingError> {
        key_of(&self.parts.rules, track)
    }
}

/// Each key and its role.
type Keys<'a> = HashMap<KeyId, &'a KeyRole>;

fn check_counts(parts: &Parts) -> Result<(), DocumentError> {
    let document_keys = |delivery: &Delivery| {
        delivery.delivered.as_ref().map_or(0, |delivered| delivered.document_keys.len())
    };
    let filters = |rule: &UsageRule| match &rule.filters {
        Filters::Known(filters) => filters.count(),
        Filters::Unknown => 0,
    };
    let most_document_keys = parts.deliveries.iter().map(document_keys).max().unwrap_or(0);
    let most_filters = parts.rules.iter().map(filters).max().unwrap_or(0);
    for (what, count, limit) in [
        ("recipients", parts.deliveries.len(), MAX_RECIPIENTS),
        ("document keys of one recipient", most_document_keys, MAX_DOCUMENT_KEYS),
        ("content keys", parts.keys.len(), MAX_KEYS),
        ("DRM systems", parts.systems.len(), MAX_SYSTEMS),
        ("key periods", parts.periods.len(), MAX_PERIODS),
        ("usage rules", parts.rules.len(), MAX_RULES),
        ("filters in one usage rule", most_filters, MAX_FILTERS),
    ] {
        if count > limit {
            return Err(DocumentError::TooMany { what, limit });
        }
    }
    Ok(())
}

/// Ids are unique in the whole document (XML 1.0, 3.3.1).
fn check_ids(parts: &Parts) -> Result<(), DocumentError> {
    let of_periods = parts.periods.iter().map(|period| ("ContentKeyPeriod", &period.id));
    let ids = (parts.deliveries.iter().map(|delivery| ("DeliveryData", &delivery.id)))
        .chain(parts.keys.iter().map(|key| ("ContentKey", &key.id)))
        .chain(parts.systems.iter().map(|system| ("DRMSystem", &system.id)))
        .chain(of_periods)
        .chain(parts.rules.iter().map(|rule| ("ContentKeyUsageRule", &rule.id)));
    let mut seen: HashSet<&Text> = parts.id.iter().collect();
    for (element, id) in ids {
        if id.as_ref().is_some_and(|id| !seen.insert(id)) {
            return Err(DocumentError::IdTwice(element));
        }
    }
    Ok(())
}

fn check_keys(parts: &Parts) -> Result<Keys<'_>, DocumentError> {
    let mut keys = Keys::with_capacity(parts.keys.len());
    for key in &parts.keys {
        if keys.insert(key.kid, &key.role).is_some() {
            return Err(DocumentError::KeyTwice(key.kid));
        }
        if let KeyRole::Root { content_id: Some(_), .. } = key.role
            && parts.content_id.is_some()
        {
            return Err(DocumentError::ContentIdTwice);
        }
    }
    for key in &parts.keys {
        let KeyRole::Leaf { depends_on } = key.role else { continue };
        if !matches!(keys.get(&depends_on), Some(KeyRole::Root { .. })) {
            return Err(DocumentError::NotARoot(key.kid));
        }
    }
    Ok(keys)
}

fn role<'a>(
    keys: &Keys<'a>,
    element: &'static str,
    kid: KeyId,
) -> Result<&'a KeyRole, DocumentError> {
    keys.get(&kid).copied().ok_or(DocumentError::UnknownKey { element, kid })
}

fn check_systems(parts: &Parts, keys: &Keys<'_>) -> Result<(), DocumentError> {
    let mut seen = HashSet::with_capacity(parts.systems.len());
    for DrmSystem { system, kid, .. } in &parts.systems {
        if !seen.insert((*system, *kid)) {
            return Err(DocumentError::SystemTwice { system: *system, kid: *kid });
        }
    }
    for system in &parts.systems {
        let (element, kid) = ("DRMSystem", system.kid);
        if matches!(role(keys, element, kid)?, KeyRole::Leaf { .. }) && !system.has_pssh_only() {
            return Err(DocumentError::Hierarchy { element, kid });
        }
    }
    Ok(())
}

/// Samples are encrypted with leaf keys, so a key that has leaves has no rule.
fn check_rules(parts: &Parts, keys: &Keys<'_>) -> Result<(), DocumentError> {
    let with_leaves: HashSet<KeyId> = keys
        .values()
        .filter_map(|role| match role {
            KeyRole::Leaf { depends_on } => Some(*depends_on),
            KeyRole::Root { .. } => None,
        })
        .collect();
    for rule in &parts.rules {
        let (element, kid) = ("ContentKeyUsageRule", rule.kid);
        role(keys, element, kid)?;
        if with_leaves.contains(&kid) {
            return Err(DocumentError::Hierarchy { element, kid });
        }
    }
    Ok(())
}

/// A filter may name a period that is not in the document: encryptors do that.
fn check_periods(parts: &Parts) -> Result<(), DocumentError> {
    let spans: HashMap<&Text, Span> = parts
        .periods
        .iter()
        .filter_map(|period| Some((period.id.as_ref()?, period.span?)))
        .collect();
    let mut of_keys: HashMap<KeyId, HashSet<&Text>> = HashMap::new();
    for rule in &parts.rules {
        if let Filters::Known(filters) = &rule.filters {
            of_keys.entry(rule.kid).or_default().extend(&filters.periods);
        }
    }
    for (kid, ids) in of_keys {
        let mut spans: Vec<Span> = ids.iter().filter_map(|id| spans.get(id).copied()).collect();
        spans.sort_by_key(|span| (span.clock() as u8, span.start_us()));
        // Sorted by start, two that overlap have two neighbors that do.
        let overlap = spans.array_windows().any(|[before, after]| before.overlaps(after));
        if overlap {
            return Err(DocumentError::PeriodsOverlap(kid));
        }
    }
    Ok(())
}

fn check_delivery(parts: &Parts, keys: &Keys<'_>) -> Result<(), DocumentError> {
    let delivered = || parts.deliveries.iter().filter_map(|delivery| delivery.delivered.as_ref());
    for kid in
        delivered().flat_map(|delivered| &delivered.document_keys).flat_map(|key| &key.encrypts)
    {
        role(keys, "DocumentKey", *kid)?;
    }
    let has_document_key = delivered().any(|delivered| !delivered.document_keys.is_empty());
    let encrypted = parts.keys.iter().find(|key| matches!(key.value, KeyValue::Encrypted(_)));
    match encrypted {
        Some(key) if !has_document_key => Err(DocumentError::NoDocumentKey(key.kid)),
        _ => Ok(()),
    }
}
