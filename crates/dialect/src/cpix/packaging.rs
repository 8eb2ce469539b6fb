//! From a key service's answer to the keys of a packaging job.

use super::document::{Document, KeyEntry, KeyRole, KeyValue, ProtectionScheme};
use super::period::KeyPeriod;
use super::rule::{Filters, UsageRule};
use super::speke::TrackType;
use super::value::Text;
use keys::{PackagingKey, PackagingKeys};
use model::{KeyId, Scheme, TrackClass, TrackClasses};
use std::collections::{HashMap, HashSet};

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
    /// Two keys are for one class of one period: the packager has one for each.
    #[error("ContentKeyUsageRule: two keys for the class {0}")]
    TwoKeys(TrackClass),
    /// A key is for several periods, or for one that has no number.
    #[error("ContentKeyUsageRule: kid {0} is not for one period with an index")]
    Period(KeyId),
}

impl Document {
    /// Takes the keys out, each for the classes of its rules. Without any rule, the one key is
    /// for every track. A key that rules give to a period serves that one.
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
        let periods = of_document(&parts.periods);
        let mut taken: HashSet<(Option<u32>, TrackClass)> = HashSet::new();
        let mut keys = Vec::new();
        for entry in parts.keys {
            let (kid, classes) = (entry.kid, classes(entry.kid, &parts.rules)?);
            let period = period(kid, &parts.rules, periods.as_ref())?;
            if let Some(class) = classes.iter().find(|class| !taken.insert((period, *class))) {
                return Err(PackagingError::TwoKeys(class));
            }
            let key = PackagingKey { period, ..packaging_key(entry)? };
            keys.extend(key.for_classes(classes));
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

type Periods<'a> = HashMap<&'a Text, Option<u32>>;

/// The periods by what rules call them. The one of number 0, alone and without a time, is how
/// some say that keys do not rotate: then there are none.
fn of_document(periods: &[KeyPeriod]) -> Option<Periods<'_>> {
    if let [only] = periods
        && only.index == Some(0)
        && only.span.is_none()
    {
        return None;
    }
    Some(periods.iter().filter_map(|one| Some((one.id.as_ref()?, one.index))).collect())
}

/// The period that all rules of a key name.
fn period(
    kid: KeyId,
    rules: &[UsageRule],
    periods: Option<&Periods<'_>>,
) -> Result<Option<u32>, PackagingError> {
    let Some(periods) = periods else { return Ok(None) };
    let mut found = None;
    for rule in rules.iter().filter(|rule| rule.kid == kid) {
        let Filters::Known(filters) = &rule.filters else { continue };
        let own = match filters.periods.as_slice() {
            [] => None,
            [id] => Some(periods.get(id).copied().flatten().ok_or(PackagingError::Period(kid))?),
            [_, _, ..] => return Err(PackagingError::Period(kid)),
        };
        if found.is_some_and(|found| found != own) {
            return Err(PackagingError::Period(kid));
        }
        found = Some(own);
    }
    Ok(found.flatten())
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

    /// Keys as the periods that their rules name, all for SD.
    fn in_periods(periods: &str, filters: &[&[&str]]) -> Result<PackagingKeys, PackagingError> {
        let each = |write: &dyn Fn(usize, &&[&str]) -> String| -> String {
            filters.iter().enumerate().map(|(n, names)| write(n, names)).collect()
        };
        let keys = each(&|n, _| format!(r#"<ContentKey kid="{}">{KEY}</ContentKey>"#, kid(n)));
        let rules = each(&|n, names| {
            let filter = |name: &&str| format!(r#"<KeyPeriodFilter periodId="{name}"/>"#);
            let filters: String = names.iter().map(filter).collect();
            format!(
                r#"<ContentKeyUsageRule kid="{}" intendedTrackType="SD">{filters}<VideoFilter/></ContentKeyUsageRule>"#,
                kid(n)
            )
        });
        let text = format!(
            r#"<CPIX xmlns="urn:dashif:org:cpix" xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"><ContentKeyList>{keys}</ContentKeyList><ContentKeyPeriodList>{periods}</ContentKeyPeriodList><ContentKeyUsageRuleList>{rules}</ContentKeyUsageRuleList></CPIX>"#
        );
        Document::parse(text.as_bytes()).unwrap().into_packaging_keys()
    }

    #[test]
    fn a_key_serves_the_period_that_its_rule_names() {
        let periods = r#"<ContentKeyPeriod id="a" index="0"/><ContentKeyPeriod id="b" index="7"/>"#;
        let found = in_periods(periods, &[&["b"], &["a"], &[]]).unwrap();
        let kid_in = |period| {
            let found = found.find_in(period, TrackClass::Sd, Scheme::Cbcs);
            found.map(|key| key.kid.to_uuid())
        };
        let found = [Some(7), Some(0), None, Some(1)].map(kid_in);
        assert_eq!(found, [Some(kid(0)), Some(kid(1)), Some(kid(2)), None]);
        let refused = |filters: &[&[&str]]| in_periods(periods, filters).unwrap_err();
        assert_eq!(refused(&[&["a"], &["a"]]), PackagingError::TwoKeys(TrackClass::Sd));
        let first = PackagingError::Period(KeyId::parse(&kid(0)).unwrap());
        assert_eq!(refused(&[&["a", "b"]]), first, "several");
        assert_eq!(refused(&[&["c"]]), first, "one that is not there");
        let unnumbered = r#"<ContentKeyPeriod id="a" label="x"/>"#;
        assert_eq!(in_periods(unnumbered, &[&["a"]]).unwrap_err(), first);
        // The period of number 0 alone: the keys do not rotate.
        let lone = in_periods(r#"<ContentKeyPeriod id="a" index="0"/>"#, &[&["a"]]).unwrap();
        assert!(lone.find(TrackClass::Sd, Scheme::Cbcs).is_some());
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
