//! Writing a document: compact, each list and each child in schema order, equal documents as
//! equal bytes.

use super::document::{Delivery, Document, KeyEntry, KeyRole, KeyValue, Parts};
use super::drm_system::{DrmSystem, MediaName, MultivariantName, Slot};
use super::period::KeyPeriod;
use super::rule::{AudioFilter, BitrateFilter, Filters, KnownFilters, UsageRule, VideoFilter};
use super::sink::{Name, Sink};
use super::value::{Blob, Text};
use super::xml::Namespace::{self, Cpix, Pskc, Speke, XmlDsig, XmlEnc};
use keys::ContentKey;
use zeroize::Zeroizing;

/// RSA-OAEP with SHA-1 (XML Encryption 1.1, 5.5.2).
pub(super) const RSA_OAEP: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
/// AES-256-CBC (XML Encryption 1.1, 5.2.2).
pub(super) const AES_256_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";
/// HMAC-SHA512 (RFC 9231, 2.2.2).
pub(super) const HMAC_SHA512: &str = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512";

/// A written document. It may hold keys in the clear: wiped on drop, never printed.
pub struct Written(Zeroizing<Vec<u8>>);

impl Written {
    /// The document, for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written(..)")
    }
}

impl Document {
    /// Writes the document. Keys in the clear stay in the clear: [`Self::seal`] first, where
    /// there are recipients. Rules that are not understood are left out.
    #[must_use]
    pub fn write(&self) -> Written {
        let mut sink = Sink::new();
        let parts = &self.parts;
        let root = (Cpix, "CPIX");
        let spaces = spaces(parts);
        let bound: Vec<String> =
            spaces.iter().map(|(_, prefix)| format!("xmlns:{prefix}")).collect();
        let mut attributes = vec![
            ("id", text(&parts.id)),
            ("contentId", text(&parts.content_id)),
            ("name", text(&parts.name)),
            ("version", parts.version.map(|version| version.name())),
        ];
        for (name, (space, _)) in bound.iter().zip(&spaces) {
            attributes.push((name, Some(space.name())));
        }
        sink.open(root, &attributes);
        list(&mut sink, "DeliveryDataList", &parts.deliveries, delivery);
        list(&mut sink, "ContentKeyList", &parts.keys, content_key);
        list(&mut sink, "DRMSystemList", &parts.systems, drm_system);
        list(&mut sink, "ContentKeyPeriodList", &parts.periods, period);
        let is_known = |rule: &&UsageRule| matches!(rule.filters, Filters::Known(_));
        let rules: Vec<&UsageRule> = parts.rules.iter().filter(is_known).collect();
        list(&mut sink, "ContentKeyUsageRuleList", &rules, |sink, rule| usage_rule(sink, rule));
        sink.close(root);
        Written(sink.into_bytes())
    }
}

/// The namespaces that the document needs: always those of keys, the others where used.
fn spaces(parts: &Parts) -> Vec<(Namespace, &'static str)> {
    let is_encrypted = !parts.deliveries.is_empty()
        || parts.keys.iter().any(|key| matches!(key.value, KeyValue::Encrypted(_)));
    let is_v1 = parts.systems.iter().any(|system| {
        [&system.key_format, &system.key_format_versions, &system.protection_header]
            .iter()
            .any(|slot| **slot != Slot::Absent)
    });
    let is_needed = |space: Namespace| match space {
        Cpix | Pskc => true,
        XmlEnc | XmlDsig => is_encrypted,
        Speke => is_v1,
        Namespace::None | Namespace::Other => false,
    };
    Namespace::WRITTEN.into_iter().filter(|(space, _)| is_needed(*space)).collect()
}

fn text(text: &Option<Text>) -> Option<&str> {
    text.as_ref().map(Text::as_str)
}

fn list<T>(sink: &mut Sink, name: &'static str, items: &[T], write: impl Fn(&mut Sink, &T)) {
    if items.is_empty() {
        return;
    }
    sink.open((Cpix, name), &[]);
    items.iter().for_each(|item| write(sink, item));
    sink.close((Cpix, name));
}

/// An element with base64 in it, or an empty one.
fn blob(sink: &mut Sink, name: Name, attributes: &[(&str, Option<&str>)], value: Option<&Blob>) {
    match value {
        None => sink.empty(name, attributes),
        Some(value) => {
            sink.open(name, attributes);
            sink.base64(value.as_bytes());
            sink.close(name);
        }
    }
}

fn slot(sink: &mut Sink, name: Name, slot: &Slot) {
    if *slot != Slot::Absent {
        blob(sink, name, &[], slot.value());
    }
}

fn delivery(sink: &mut Sink, delivery: &Delivery) {
    let (name, key, data) = ((Cpix, "DeliveryData"), (Cpix, "DeliveryKey"), (XmlDsig, "X509Data"));
    sink.open(name, &[("id", text(&delivery.id)), ("name", text(&delivery.name))]);
    sink.open(key, &[]);
    sink.open(data, &[]);
    blob(sink, (XmlDsig, "X509Certificate"), &[], Some(&delivery.certificate));
    sink.close(data);
    sink.close(key);
    if let Some(delivered) = &delivery.delivered {
        for key in &delivered.document_keys {
            let kids: Vec<String> = key.encrypts.iter().map(|kid| kid.to_uuid()).collect();
            let kids = (!kids.is_empty()).then(|| kids.join(" "));
            let name = (Cpix, "DocumentKey");
            sink.open(name, &[("encryptsKey", kids.as_deref())]);
            let (data, secret, value) =
                ((Cpix, "Data"), (Pskc, "Secret"), (Pskc, "EncryptedValue"));
            sink.open(data, &[]);
            sink.open(secret, &[]);
            encrypted(sink, value, RSA_OAEP, key.wrapped.as_bytes());
            sink.close(secret);
            sink.close(data);
            sink.close(name);
        }
        let mac = (Cpix, "MACMethod");
        sink.open(mac, &[("Algorithm", Some(HMAC_SHA512))]);
        encrypted(sink, (Pskc, "MACKey"), RSA_OAEP, delivered.mac_key.as_bytes());
        sink.close(mac);
    }
    sink.close(name);
}

fn encrypted(sink: &mut Sink, name: Name, algorithm: &str, value: &[u8]) {
    let (data, text) = ((XmlEnc, "CipherData"), (XmlEnc, "CipherValue"));
    sink.open(name, &[]);
    sink.empty((XmlEnc, "EncryptionMethod"), &[("Algorithm", Some(algorithm))]);
    sink.open(data, &[]);
    sink.open(text, &[]);
    sink.base64(value);
    sink.close(text);
    sink.close(data);
    sink.close(name);
}

fn content_key(sink: &mut Sink, key: &KeyEntry) {
    let name = (Cpix, "ContentKey");
    let kid = key.kid.to_uuid();
    let iv = key.explicit_iv.and_then(|iv| Blob::from_bytes(iv.to_vec())).map(|iv| iv.to_base64());
    let (scheme, content_id, depends_on) = match &key.role {
        KeyRole::Root { scheme, content_id, .. } => (*scheme, text(content_id), None),
        KeyRole::Leaf { depends_on } => (None, None, Some(depends_on.to_uuid())),
    };
    sink.open(
        name,
        &[
            ("id", text(&key.id)),
            ("kid", Some(&kid)),
            ("explicitIV", iv.as_deref()),
            ("dependsOnKey", depends_on.as_deref()),
            ("commonEncryptionScheme", scheme.map(|scheme| scheme.name())),
            ("contentId", content_id),
        ],
    );
    key_value(sink, &key.value);
    if let KeyRole::Root { hls_hdcp_level, hdcp_output_protection, .. } = &key.role
        && (hls_hdcp_level.is_some() || hdcp_output_protection.is_some())
    {
        let hdcp = (Cpix, "HDCPData");
        sink.open(hdcp, &[("HLSHDCPLevel", text(hls_hdcp_level))]);
        if hdcp_output_protection.is_some() {
            let name = (Cpix, "HDCPOutputProtectionData");
            blob(sink, name, &[], hdcp_output_protection.as_ref());
        }
        sink.close(hdcp);
    }
    sink.close(name);
}

fn key_value(sink: &mut Sink, value: &KeyValue) {
    let (data, secret) = ((Cpix, "Data"), (Pskc, "Secret"));
    if matches!(value, KeyValue::Absent) {
        return;
    }
    sink.open(data, &[]);
    sink.open(secret, &[]);
    match value {
        KeyValue::Absent => {}
        KeyValue::Clear(key) => plain_value(sink, key),
        KeyValue::Encrypted(key) => {
            encrypted(sink, (Pskc, "EncryptedValue"), AES_256_CBC, key.value());
            let mac = (Pskc, "ValueMAC");
            sink.open(mac, &[]);
            sink.base64(key.mac());
            sink.close(mac);
        }
    }
    sink.close(secret);
    sink.close(data);
}

fn plain_value(sink: &mut Sink, key: &ContentKey) {
    #[expect(
        clippy::disallowed_methods,
        reason = "CPIX without recipients carries the key in the clear, for the encryptor"
    )]
    let bytes = key.reveal();
    let name = (Pskc, "PlainValue");
    sink.open(name, &[]);
    sink.base64(bytes.as_slice());
    sink.close(name);
}

fn drm_system(sink: &mut Sink, system: &DrmSystem) {
    let (name, hls) = ((Cpix, "DRMSystem"), (Cpix, "HLSSignalingData"));
    let (id, kid) = (system.system.to_string(), system.kid.to_uuid());
    sink.open(
        name,
        &[
            ("id", text(&system.id)),
            ("systemId", Some(&id)),
            ("kid", Some(&kid)),
            ("name", text(&system.name)),
            ("HLSAllowedCPC", text(&system.hls_allowed_cpc)),
        ],
    );
    slot(sink, (Cpix, "PSSH"), &system.pssh);
    if let Some(protection) = &system.content_protection {
        let attributes = [("robustness", text(&protection.robustness))];
        blob(sink, (Cpix, "ContentProtectionData"), &attributes, protection.value.as_ref());
    }
    slot(sink, (Cpix, "URIExtXKey"), &system.uri_ext_x_key);
    if let Some(media) = &system.hls_media {
        let playlist = match media.name {
            MediaName::Absent => None,
            MediaName::Media => Some("media"),
        };
        blob(sink, hls, &[("playlist", playlist)], media.value.as_ref());
    }
    if let Some(multivariant) = &system.hls_multivariant {
        let playlist = match multivariant.name {
            MultivariantName::Master => "master",
            MultivariantName::MultiVariant => "multiVariant",
        };
        blob(sink, hls, &[("playlist", Some(playlist))], multivariant.value.as_ref());
    }
    slot(sink, (Cpix, "SmoothStreamingProtectionHeaderData"), &system.smooth_streaming);
    slot(sink, (Speke, "KeyFormat"), &system.key_format);
    slot(sink, (Speke, "KeyFormatVersions"), &system.key_format_versions);
    slot(sink, (Speke, "ProtectionHeader"), &system.protection_header);
    sink.close(name);
}

fn period(sink: &mut Sink, period: &KeyPeriod) {
    let index = period.index.map(|index| index.to_string());
    let span = period.span.map(|span| span.attributes());
    let mut attributes =
        vec![("id", text(&period.id)), ("index", index.as_deref()), ("label", text(&period.label))];
    for (name, value) in span.iter().flatten() {
        attributes.push((name, Some(value)));
    }
    sink.empty((Cpix, "ContentKeyPeriod"), &attributes);
}

fn usage_rule(sink: &mut Sink, rule: &UsageRule) {
    let Filters::Known(filters) = &rule.filters else { return };
    let name = (Cpix, "ContentKeyUsageRule");
    let kid = rule.kid.to_uuid();
    sink.open(
        name,
        &[
            ("id", text(&rule.id)),
            ("kid", Some(&kid)),
            ("intendedTrackType", text(&rule.track_type)),
        ],
    );
    write_filters(sink, filters);
    sink.close(name);
}

fn write_filters(sink: &mut Sink, filters: &KnownFilters) {
    for id in &filters.periods {
        sink.empty((Cpix, "KeyPeriodFilter"), &[("periodId", Some(id.as_str()))]);
    }
    for label in &filters.labels {
        sink.empty((Cpix, "LabelFilter"), &[("label", Some(label.as_str()))]);
    }
    for VideoFilter { pixels, frames, hdr, wcg } in &filters.videos {
        let flag = |flag: Option<bool>| flag.map(|is_set| if is_set { "true" } else { "false" });
        let [min, max] = [pixels.min(), pixels.max()].map(digits);
        let [above, most] = [frames.above(), frames.max()].map(|end| digits(end.map(u64::from)));
        let attributes = [
            ("minPixels", min.as_deref()),
            ("maxPixels", max.as_deref()),
            ("hdr", flag(*hdr)),
            ("wcg", flag(*wcg)),
            ("minFps", above.as_deref()),
            ("maxFps", most.as_deref()),
        ];
        sink.empty((Cpix, "VideoFilter"), &attributes);
    }
    for AudioFilter { channels } in &filters.audios {
        let [min, max] = [channels.min(), channels.max()].map(digits);
        let attributes = [("minChannels", min.as_deref()), ("maxChannels", max.as_deref())];
        sink.empty((Cpix, "AudioFilter"), &attributes);
    }
    for BitrateFilter { bits_per_s } in &filters.bitrates {
        let [min, max] = [bits_per_s.min(), bits_per_s.max()].map(digits);
        let attributes = [("minBitrate", min.as_deref()), ("maxBitrate", max.as_deref())];
        sink.empty((Cpix, "BitrateFilter"), &attributes);
    }
}

fn digits(number: Option<u64>) -> Option<String> {
    number.map(|number| number.to_string())
}
