//! Reading a document: bytes → [`Document`]. Lists and children may stand in any order, as
//! SPEKE 1.0 sends them; what is not CPIX is passed over.

use super::document::{
    Delivered, DeliveredKey, Delivery, Document, DocumentError, KeyEntry, KeyRole, KeyValue, Parts,
    ProtectionScheme, Version,
};
use super::drm_system::{
    ContentProtection, DrmSystem, Hls, MediaName, MultivariantName, Slot, SystemId,
};
use super::period::{KeyPeriod, Span};
use super::rule::{
    AudioFilter, BitrateFilter, Filters, FrameRange, KnownFilters, Range, UsageRule, VideoFilter,
};
use super::value::{Blob, Text, base64};
use super::write::{AES_256_CBC, HMAC_SHA512, RSA_OAEP};
use super::xml::Namespace::{Cpix, Pskc, Speke, XmlDsig, XmlEnc};
use super::xml::{self, Element, Namespace, XmlError};
use keys::{ContentKey, EncryptedKey};
use model::KeyId;
use zeroize::Zeroizing;

/// Why bytes are not a document. Names elements and attributes, never what stands in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not the XML that is read here.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The root element is not `CPIX`.
    #[error("the root element is not CPIX")]
    NotCpix,
    /// `CPIX@version` is none that is known. The words are those that SPEKE's clients know.
    #[error("Unsupported CPIX@version")]
    Version,
    /// Something is wrong in one element.
    #[error("{element}: {problem}")]
    Element {
        /// The element.
        element: &'static str,
        /// What is wrong.
        problem: Problem,
    },
    /// The elements do not fit together.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// What is wrong with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An attribute or a child is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An attribute, a child or the text does not have the form that CPIX gives it.
    #[error("{0} does not have the form that CPIX gives it")]
    Form(&'static str),
    /// A child that may stand once stands twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// An algorithm that CPIX does not use here.
    #[error("the algorithm is not the one of CPIX")]
    Algorithm,
    /// Start, end and duration do not make a span of time.
    #[error("start, end and duration do not make a span of time")]
    Span,
}

type Read<T> = Result<T, ReadError>;

/// An element and what errors call it.
#[derive(Clone, Copy)]
struct Place<'a> {
    element: &'a Element,
    name: &'static str,
}

impl Document {
    /// Reads a document.
    ///
    /// Errors: [`ReadError`]. Limits: the constants of [`super`], [`super::MAX_BYTES`] first.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let root = xml::parse(bytes)?;
        if !root.is(Cpix, "CPIX") {
            return Err(ReadError::NotCpix);
        }
        let root = Place { element: &root, name: "CPIX" };
        let version = match root.raw("version") {
            None => None,
            Some(text) => Some(Version::parse(text.trim()).ok_or(ReadError::Version)?),
        };
        let parts = Parts {
            version,
            id: root.text("id")?,
            content_id: root.text("contentId")?,
            name: root.text("name")?,
            deliveries: root.list("DeliveryDataList", "DeliveryData", delivery)?,
            keys: root.list("ContentKeyList", "ContentKey", content_key)?,
            systems: root.list("DRMSystemList", "DRMSystem", drm_system)?,
            periods: root.list("ContentKeyPeriodList", "ContentKeyPeriod", period)?,
            rules: root.list("ContentKeyUsageRuleList", "ContentKeyUsageRule", usage_rule)?,
        };
        Ok(Self::new(parts)?)
    }
}

impl<'a> Place<'a> {
    fn error(self, problem: Problem) -> ReadError {
        ReadError::Element { element: self.name, problem }
    }

    /// An attribute; an empty one says as much as none.
    fn raw(self, name: &str) -> Option<&'a str> {
        self.element.attribute(name).filter(|value| !value.is_empty())
    }

    fn value<T>(self, name: &'static str, read: impl Fn(&'a str) -> Option<T>) -> Read<Option<T>> {
        let value = self.raw(name).map(|text| read(text).ok_or(self.error(Problem::Form(name))));
        value.transpose()
    }

    fn needed<T>(self, name: &'static str, read: impl Fn(&'a str) -> Option<T>) -> Read<T> {
        self.value(name, read)?.ok_or(self.error(Problem::Missing(name)))
    }

    fn text(self, name: &'static str) -> Read<Option<Text>> {
        self.value(name, Text::parse)
    }

    /// The one child of this name, where it is there.
    fn child(self, space: Namespace, name: &'static str) -> Read<Option<Self>> {
        let mut found = self.element.named(space, name);
        let child = found.next().map(|element| Self { element, name });
        if found.next().is_some() { Err(self.error(Problem::Twice(name))) } else { Ok(child) }
    }

    fn needed_child(self, space: Namespace, name: &'static str) -> Read<Self> {
        self.child(space, name)?.ok_or(self.error(Problem::Missing(name)))
    }

    fn list<T>(
        self,
        list: &'static str,
        name: &'static str,
        read: impl Fn(Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let Some(list) = self.child(Cpix, list)? else { return Ok(Vec::new()) };
        list.element.named(Cpix, name).map(|element| read(Self { element, name })).collect()
    }

    /// The bytes of a base64 text; they may be a key.
    fn bytes(self) -> Read<Zeroizing<Vec<u8>>> {
        base64(&self.element.text).ok_or(self.error(Problem::Form("base64 text")))
    }

    /// The bytes of a base64 text; `None` where there is none.
    fn blob(self) -> Read<Option<Blob>> {
        Ok(Blob::from_bytes(std::mem::take(&mut *self.bytes()?)))
    }

    fn needed_blob(self) -> Read<Blob> {
        self.blob()?.ok_or(self.error(Problem::Missing("base64 text")))
    }

    fn slot(self, space: Namespace, name: &'static str) -> Read<Slot> {
        let Some(child) = self.child(space, name)? else { return Ok(Slot::Absent) };
        Ok(child.blob()?.map_or(Slot::Asked, Slot::Filled))
    }

    fn kid(self, name: &'static str) -> Read<KeyId> {
        self.needed(name, |text| KeyId::parse(text).ok())
    }
}

fn delivery(place: Place<'_>) -> Read<Delivery> {
    let certificate = place
        .needed_child(Cpix, "DeliveryKey")?
        .needed_child(XmlDsig, "X509Data")?
        .needed_child(XmlDsig, "X509Certificate")?
        .needed_blob()?;
    let document_keys = place.element.named(Cpix, "DocumentKey");
    let document_keys: Vec<DeliveredKey> = document_keys
        .map(|element| document_key(Place { element, name: "DocumentKey" }))
        .collect::<Read<_>>()?;
    let delivered = match (place.child(Cpix, "MACMethod")?, document_keys.is_empty()) {
        (None, true) => None,
        (Some(mac), false) => Some(Delivered { document_keys, mac_key: mac_key(mac)? }),
        (None, false) => return Err(place.error(Problem::Missing("MACMethod"))),
        (Some(_), true) => return Err(place.error(Problem::Missing("DocumentKey"))),
    };
    Ok(Delivery { id: place.text("id")?, name: place.text("name")?, certificate, delivered })
}

fn document_key(place: Place<'_>) -> Read<DeliveredKey> {
    let secret = place.needed_child(Cpix, "Data")?.needed_child(Pskc, "Secret")?;
    let wrapped = encrypted(secret.needed_child(Pskc, "EncryptedValue")?, RSA_OAEP)?;
    let kids = |text: &str| -> Option<Vec<KeyId>> {
        text.split_ascii_whitespace().map(|kid| KeyId::parse(kid).ok()).collect()
    };
    let encrypts = place.value("encryptsKey", kids)?.unwrap_or_default();
    Ok(DeliveredKey { wrapped, encrypts })
}

/// The schema calls the element `pskc:MACKey`; two implementations write `cpix:Key`.
fn mac_key(place: Place<'_>) -> Read<Blob> {
    if place.raw("Algorithm") != Some(HMAC_SHA512) {
        return Err(place.error(Problem::Algorithm));
    }
    match (place.child(Pskc, "MACKey")?, place.child(Cpix, "Key")?) {
        (Some(key), None) | (None, Some(key)) => encrypted(key, RSA_OAEP),
        (None, None) => Err(place.error(Problem::Missing("MACKey"))),
        (Some(_), Some(_)) => Err(place.error(Problem::Twice("MACKey"))),
    }
}

fn encrypted(place: Place<'_>, algorithm: &str) -> Read<Blob> {
    let method = place.needed_child(XmlEnc, "EncryptionMethod")?;
    if method.raw("Algorithm") != Some(algorithm) {
        return Err(method.error(Problem::Algorithm));
    }
    place.needed_child(XmlEnc, "CipherData")?.needed_child(XmlEnc, "CipherValue")?.needed_blob()
}

fn content_key(place: Place<'_>) -> Read<KeyEntry> {
    let scheme = place.value("commonEncryptionScheme", ProtectionScheme::parse)?;
    let content_id = place.text("contentId")?;
    let hdcp = place.child(Cpix, "HDCPData")?;
    let role = match place.value("dependsOnKey", |text| KeyId::parse(text).ok())? {
        Some(depends_on) => {
            for (is_there, name) in [
                (scheme.is_some(), "commonEncryptionScheme"),
                (content_id.is_some(), "contentId"),
                (hdcp.is_some(), "HDCPData"),
            ] {
                if is_there {
                    return Err(place.error(Problem::Form(name)));
                }
            }
            KeyRole::Leaf { depends_on }
        }
        None => {
            let protection = hdcp.map(|hdcp| hdcp.child(Cpix, "HDCPOutputProtectionData"));
            let protection = protection.transpose()?.flatten().map(Place::needed_blob);
            KeyRole::Root {
                scheme,
                content_id,
                hls_hdcp_level: hdcp.map(|hdcp| hdcp.text("HLSHDCPLevel")).transpose()?.flatten(),
                hdcp_output_protection: protection.transpose()?,
            }
        }
    };
    let iv = |text: &str| <[u8; 16]>::try_from(base64(text)?.as_slice()).ok();
    Ok(KeyEntry {
        id: place.text("id")?,
        kid: place.kid("kid")?,
        explicit_iv: place.value("explicitIV", iv)?,
        role,
        value: key_value(place)?,
    })
}

fn key_value(place: Place<'_>) -> Read<KeyValue> {
    let secret = match place.child(Cpix, "Data")? {
        Some(data) => data.child(Pskc, "Secret")?,
        None => None,
    };
    let Some(secret) = secret else { return Ok(KeyValue::Absent) };
    let value = secret.child(Pskc, "EncryptedValue")?;
    match (secret.child(Pskc, "PlainValue")?, value) {
        (None, None) => Ok(KeyValue::Absent),
        (Some(_), Some(_)) => Err(secret.error(Problem::Twice("value"))),
        (Some(plain), None) => {
            let bytes = plain.bytes()?;
            if bytes.is_empty() {
                return Ok(KeyValue::Absent);
            }
            let mut key = Zeroizing::new([0; 16]);
            if bytes.len() != key.len() {
                return Err(plain.error(Problem::Form("an AES-128 key")));
            }
            key.copy_from_slice(&bytes);
            Ok(KeyValue::Clear(ContentKey::from_bytes(key)))
        }
        (None, Some(value)) => {
            let text = encrypted(value, AES_256_CBC)?;
            let mac = secret.needed_child(Pskc, "ValueMAC")?.needed_blob()?;
            EncryptedKey::from_parts(text.as_bytes(), mac.as_bytes())
                .map(KeyValue::Encrypted)
                .ok_or(secret.error(Problem::Form("an encrypted AES-128 key")))
        }
    }
}

fn drm_system(place: Place<'_>) -> Read<DrmSystem> {
    let system = place.needed("systemId", SystemId::parse)?;
    let protection = match place.child(Cpix, "ContentProtectionData")? {
        None => None,
        Some(child) => {
            Some(ContentProtection { value: child.blob()?, robustness: child.text("robustness")? })
        }
    };
    let mut read = DrmSystem {
        id: place.text("id")?,
        name: place.text("name")?,
        pssh: place.slot(Cpix, "PSSH")?,
        content_protection: protection,
        smooth_streaming: place.slot(Cpix, "SmoothStreamingProtectionHeaderData")?,
        hls_allowed_cpc: place.text("HLSAllowedCPC")?,
        uri_ext_x_key: place.slot(Cpix, "URIExtXKey")?,
        key_format: place.slot(Speke, "KeyFormat")?,
        key_format_versions: place.slot(Speke, "KeyFormatVersions")?,
        protection_header: place.slot(Speke, "ProtectionHeader")?,
        ..DrmSystem::new(system, place.kid("kid")?)
    };
    for element in place.element.named(Cpix, "HLSSignalingData") {
        hls(Place { element, name: "HLSSignalingData" }, &mut read)?;
    }
    Ok(read)
}

fn hls(place: Place<'_>, system: &mut DrmSystem) -> Read<()> {
    let value = place.blob()?;
    let media = |name| Hls { name, value: value.clone() };
    let multivariant = |name| Hls { name, value: value.clone() };
    let is_twice = match place.raw("playlist") {
        None => system.hls_media.replace(media(MediaName::Absent)).is_some(),
        Some("media") => system.hls_media.replace(media(MediaName::Media)).is_some(),
        Some("master") => {
            system.hls_multivariant.replace(multivariant(MultivariantName::Master)).is_some()
        }
        Some("multiVariant") => {
            system.hls_multivariant.replace(multivariant(MultivariantName::MultiVariant)).is_some()
        }
        Some(_) => return Err(place.error(Problem::Form("playlist"))),
    };
    if is_twice { Err(place.error(Problem::Twice("playlist"))) } else { Ok(()) }
}

fn period(place: Place<'_>) -> Read<KeyPeriod> {
    let span = Span::read(|name| place.raw(name).map(str::to_owned));
    Ok(KeyPeriod {
        id: place.text("id")?,
        label: place.text("label")?,
        index: place.value("index", |text| whole(text)?.try_into().ok())?,
        span: span.ok_or(place.error(Problem::Span))?,
    })
}

fn usage_rule(place: Place<'_>) -> Read<UsageRule> {
    let mut filters = Some(KnownFilters::default());
    for element in &place.element.children {
        filters = match filters {
            Some(known) => filter(element, known)?,
            None => None,
        };
    }
    Ok(UsageRule {
        id: place.text("id")?,
        kid: place.kid("kid")?,
        track_type: place.text("intendedTrackType")?,
        filters: filters.map_or(Filters::Unknown, Filters::Known),
    })
}

/// Adds a filter; `None` where it is not understood.
fn filter(element: &Element, mut filters: KnownFilters) -> Read<Option<KnownFilters>> {
    const KNOWN: [(&str, &[&str]); 5] = [
        ("KeyPeriodFilter", &["periodId"]),
        ("LabelFilter", &["label"]),
        ("VideoFilter", &["minPixels", "maxPixels", "hdr", "wcg", "minFps", "maxFps"]),
        ("AudioFilter", &["minChannels", "maxChannels"]),
        ("BitrateFilter", &["minBitrate", "maxBitrate"]),
    ];
    let known = KNOWN.into_iter().find(|(name, _)| element.is(Cpix, name));
    let Some((name, attributes)) = known else { return Ok(None) };
    let is_known = |(key, _): &(Box<str>, Box<str>)| attributes.contains(&&**key);
    if !element.attributes.iter().all(is_known) || !element.children.is_empty() {
        return Ok(None);
    }
    let place = Place { element, name };
    match name {
        "KeyPeriodFilter" => filters.periods.push(place.needed("periodId", Text::parse)?),
        "LabelFilter" => filters.labels.push(place.needed("label", Text::parse)?),
        "VideoFilter" => filters.videos.push(VideoFilter {
            pixels: range(place, "minPixels", "maxPixels")?,
            frames: frame_range(place)?,
            hdr: place.value("hdr", flag)?,
            wcg: place.value("wcg", flag)?,
        }),
        "AudioFilter" => {
            let channels = range(place, "minChannels", "maxChannels")?;
            filters.audios.push(AudioFilter { channels });
        }
        _ => {
            let bits_per_s = range(place, "minBitrate", "maxBitrate")?;
            filters.bitrates.push(BitrateFilter { bits_per_s });
        }
    }
    Ok(Some(filters))
}

fn range(place: Place<'_>, min: &'static str, max: &'static str) -> Read<Range> {
    Range::from_ends(place.value(min, whole)?, place.value(max, whole)?)
        .ok_or(place.error(Problem::Form(max)))
}

fn frame_range(place: Place<'_>) -> Read<FrameRange> {
    let rate = |text: &str| whole(text)?.try_into().ok();
    FrameRange::from_ends(place.value("minFps", rate)?, place.value("maxFps", rate)?)
        .ok_or(place.error(Problem::Form("maxFps")))
}

/// `xs:integer` that is not negative.
fn whole(text: &str) -> Option<u64> {
    let digits = text.trim().strip_prefix('+').unwrap_or(text.trim());
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// `xs:boolean`.
fn flag(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
