//! From a key service's answer to the keys of a packaging job.

use super::document::{Document, KeyEntry, KeyRole, KeyValue, ProtectionScheme};
use super::rule::{Filters, UsageRule};
use super::speke::TrackType;
use keys::{PackagingKey, PackagingKeys};
use model::{KeyId, Scheme, TrackClass, TrackClasses};

/// Why an answer is not packaged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackagingError {
    /// It has no key at all.
    #[error("the document has no content key")]
    NoKeys,
    /// A key is not there, or not in the clear: [`Document::open`] first.
    #[error("ContentKey: kid {0} has no key that can be read")]
    NoKey(KeyId),
    /// A scheme that Strongroom does not write.
    #[error("ContentKey: the scheme of kid {0} is not cenc or cbcs")]
    Scheme(KeyId),
    /// A key below another one: licenses for it are not made here.
    #[error("ContentKey: kid {0} is a leaf key")]
    Leaf(KeyId),
    /// A key has no rule, a rule that is not understood, or one without a known track type.
    #[error("ContentKeyUsageRule: the tracks of kid {0} are not known")]
    Tracks(KeyId),
    /// Two keys are for one class: the packager has one for each.
    #[error("ContentKeyUsageRule: two keys for the class {0}")]
    TwoKeys(TrackClass),
}

impl Document {
    /// Takes the keys out, each for the classes of its rules. Without any rule, the one key is
    /// for every track. Keys of several periods are refused, being several for one class.
    ///
    /// `explicitIV` is taken under `cbcs` only: under `cenc` a title has more tracks than the
    /// one IV, and the packager draws one for each.
    ///
    /// Errors: [`PackagingError`].
    pub fn into_packaging_keys(self) -> Result<PackagingKeys, PackagingError> {
        self.into_packaging_key_list().map(PackagingKeys::new)
    }

    /// The same keys one by one: a title in two schemes has them from two documents.
    ///
    /// Errors: [`PackagingError`].
    pub fn into_packaging_key_list(self) -> Result<Vec<PackagingKey>, PackagingError> {
        let parts = self.into_parts();
        let mut taken = TrackClasses::NONE;
        let mut keys = Vec::new();
        for entry in parts.keys {
            let classes = classes(entry.kid, &parts.rules)?;
            if let Some(class) = taken.intersection(classes).iter().next() {
                return Err(PackagingError::TwoKeys(class));
            }
            taken = taken.iter().chain(classes.iter()).collect();
            keys.extend(packaging_key(entry)?.for_classes(classes));
        }
        if keys.is_empty() { Err(PackagingError::NoKeys) } else { Ok(keys) }
    }
}

fn classes(kid: KeyId, rules: &[UsageRule]) -> Result<TrackClasses, PackagingError> {
    if rules.is_empty() {
        return Ok(TrackClasses::up_to(TrackClass::Uhd));
    }
    let unknown = PackagingError::Tracks(kid);
    let mut classes = Vec::new();
    for rule in rules.iter().filter(|rule| rule.kid == kid) {
        let text = rule.track_type.as_ref().ok_or(unknown)?;
        let track_type = TrackType::parse(text.as_str()).ok_or(unknown)?;
        if rule.filters == Filters::Unknown {
            return Err(unknown);
        }
        classes.extend(track_type.classes().iter());
    }
    if classes.is_empty() { Err(unknown) } else { Ok(classes.into_iter().collect()) }
}

fn packaging_key(entry: KeyEntry) -> Result<PackagingKey, PackagingError> {
    let kid = entry.kid;
    let scheme = match entry.role {
        KeyRole::Leaf { .. } => return Err(PackagingError::Leaf(kid)),
        KeyRole::Root { scheme: None, .. } => None,
        KeyRole::Root { scheme: Some(ProtectionScheme::Common(scheme)), .. } => Some(scheme),
        KeyRole::Root { scheme: Some(_), .. } => return Err(PackagingError::Scheme(kid)),
    };
    let KeyValue::Clear(key) = entry.value else { return Err(PackagingError::NoKey(kid)) };
    let iv = entry.explicit_iv.filter(|_| scheme == Some(Scheme::Cbcs));
    Ok(PackagingKey { kid, key, iv, track_class: None, scheme, period: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r#"<Data><p:Secret><p:PlainValue>AAECAwQFBgcICQoLDA0ODw==</p:PlainValue></p:Secret></Data>"#;
    const IV: &str = r#"explicitIV="AAECAwQFBgcICQoLDA0ODw==""#;

    fn kid(n: usize) -> String {
        format!("00000000-0000-4000-8000-{n:012}")
    }

    /// Keys as `(attributes, content)`, rules as `(number of the key, track type)`.
    fn keys(
        keys: &[(&str, &str)],
        rules: &[(usize, &str)],
    ) -> Result<PackagingKeys, PackagingError> {
        let keys: String = (keys.iter().enumerate())
            .map(|(n, (attributes, content))| {
                format!(r#"<ContentKey kid="{}" {attributes}>{content}</ContentKey>"#, kid(n))
            })
            .collect();
        let rules: String = (rules.iter())
            .map(|(n, name)| {
                format!(r#"<ContentKeyUsageRule kid="{}" intendedTrackType="{name}"/>"#, kid(*n))
            })
            .collect();
        let text = format!(
            r#"<CPIX xmlns="urn:dashif:org:cpix" xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"><ContentKeyList>{keys}</ContentKeyList><ContentKeyUsageRuleList>{rules}</ContentKeyUsageRuleList></CPIX>"#
        );
        Document::parse(text.as_bytes()).unwrap().into_packaging_keys()
    }

    #[test]
    fn each_class_gets_its_key() {
        let cbcs = format!(r#"commonEncryptionScheme="cbcs" {IV}"#);
        let both = [(cbcs.as_str(), KEY), (cbcs.as_str(), KEY)];
        let found = keys(&both, &[(0, "VIDEO"), (1, "AUDIO")]).unwrap();
        let kid_of = |class| found.find(class, Scheme::Cbcs).map(|key| key.kid.to_uuid());
        assert_eq!(kid_of(TrackClass::Audio), Some(kid(1)));
        assert_eq!((kid_of(TrackClass::Sd), kid_of(TrackClass::Uhd)), (Some(kid(0)), Some(kid(0))));
        assert!(found.iter().all(|key| key.iv.is_some()));
        assert!(found.find(TrackClass::Sd, Scheme::Cenc).is_none());
    }

    #[test]
    fn tracks_that_no_rule_names_have_no_key() {
        let found = keys(&[("", KEY)], &[(0, "SD+HD")]).unwrap();
        assert!(found.find(TrackClass::Audio, Scheme::Cbcs).is_none());
        assert!(found.find(TrackClass::Uhd, Scheme::Cbcs).is_none());
        assert_eq!(keys(&[("", KEY)], &[]).unwrap().iter().count(), 4);
    }

    #[test]
    fn an_iv_is_for_cbcs() {
        let cenc = format!(r#"commonEncryptionScheme="cenc" {IV}"#);
        assert!(keys(&[(&cenc, KEY)], &[]).unwrap().iter().all(|key| key.iv.is_none()));
    }

    #[test]
    fn what_cannot_be_packaged_with_is_refused() {
        let refusal = |entries, rules| keys(entries, rules).unwrap_err();
        let first = KeyId::parse(&kid(0)).unwrap();
        let second = KeyId::parse(&kid(1)).unwrap();
        assert_eq!(keys(&[], &[]).unwrap_err(), PackagingError::NoKeys);
        assert_eq!(refusal(&[("", "")], &[]), PackagingError::NoKey(first));
        assert_eq!(
            refusal(&[("commonEncryptionScheme=\"cens\"", KEY)], &[]),
            PackagingError::Scheme(first)
        );
        assert_eq!(refusal(&[("", KEY), ("", KEY)], &[(0, "SD")]), PackagingError::Tracks(second));
        assert_eq!(refusal(&[("", KEY)], &[(0, "8K")]), PackagingError::Tracks(first));
        let two = PackagingError::TwoKeys(TrackClass::Hd);
        assert_eq!(refusal(&[("", KEY), ("", KEY)], &[(0, "HD1"), (1, "HD2")]), two);
        assert!(matches!(refusal(&[("", KEY), ("", KEY)], &[]), PackagingError::TwoKeys(_)));
    }

    #[test]
    fn a_leaf_key_is_refused() {
        let leaf = format!(r#"dependsOnKey="{}""#, kid(0));
        let refused = keys(&[("", KEY), (&leaf, KEY)], &[(1, "SD")]).unwrap_err();
        assert!(matches!(refused, PackagingError::Tracks(_) | PackagingError::Leaf(_)));
    }
}
