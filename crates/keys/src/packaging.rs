//! The keys of one packaging job.

use crate::ContentKey;
use model::{KeyId, Scheme, TrackClass, TrackClasses};
use std::collections::BTreeMap;

/// One key and what it encrypts.
#[derive(Debug)]
pub struct PackagingKey {
    /// The key's public name.
    pub kid: KeyId,
    /// The key.
    pub key: ContentKey,
    /// Constant IV under `cbcs`; first sample IV under `cenc`, where an IV of 8 bytes is
    /// followed by 8 zero bytes. Absent: the packager draws one.
    pub iv: Option<[u8; 16]>,
    /// The class it encrypts; absent: every class.
    pub track_class: Option<TrackClass>,
    /// The scheme it is used under; absent: both.
    pub scheme: Option<Scheme>,
    /// The period it serves; absent: it does not rotate.
    pub period: Option<u32>,
}

impl PackagingKey {
    /// The same key once for each of several classes.
    pub fn for_classes(self, classes: TrackClasses) -> impl Iterator<Item = Self> {
        classes.iter().map(move |class| Self {
            key: ContentKey::build(|bytes| bytes.copy_from_slice(self.key.bytes())),
            track_class: Some(class),
            ..self
        })
    }
}

/// The keys of one packaging job, those of each period together. Wiped on drop, as each key is.
#[derive(Debug, Default)]
pub struct PackagingKeys(BTreeMap<Option<u32>, Vec<PackagingKey>>);

impl PackagingKeys {
    /// Takes over the keys.
    #[must_use]
    pub fn new(keys: Vec<PackagingKey>) -> Self {
        let mut of_periods: BTreeMap<Option<u32>, Vec<PackagingKey>> = BTreeMap::new();
        for key in keys {
            of_periods.entry(key.period).or_default().push(key);
        }
        Self(of_periods)
    }

    /// The key for a track of `class` under `scheme`: the one that names both before the one
    /// that names the class, that before the one that names the scheme, last the one for all.
    #[must_use]
    pub fn find(&self, class: TrackClass, scheme: Scheme) -> Option<&PackagingKey> {
        self.find_in(None, class, scheme)
    }

    /// The same among the keys of one period.
    #[must_use]
    pub fn find_in(
        &self,
        period: Option<u32>,
        class: TrackClass,
        scheme: Scheme,
    ) -> Option<&PackagingKey> {
        let fits = |key: &&PackagingKey| {
            key.track_class.is_none_or(|own| own == class)
                && key.scheme.is_none_or(|own| own == scheme)
        };
        let rank = |key: &&PackagingKey| (key.track_class.is_some(), key.scheme.is_some());
        self.0.get(&period)?.iter().filter(fits).max_by_key(rank)
    }

    /// More keys beside these: those of later periods.
    pub fn extend(&mut self, more: Self) {
        for (period, keys) in more.0 {
            self.0.entry(period).or_default().extend(keys);
        }
    }

    /// Every key: those without a period, then those of each in its turn.
    pub fn iter(&self) -> impl Iterator<Item = &PackagingKey> {
        self.0.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, track_class: Option<TrackClass>, scheme: Option<Scheme>) -> PackagingKey {
        let key = ContentKey::generate(&mut crate::SystemEntropy);
        let kid = KeyId::from_bytes([id; 16]);
        PackagingKey { kid, key, iv: None, track_class, scheme, period: None }
    }

    #[test]
    fn the_most_specific_key_is_found() {
        let keys = PackagingKeys::new(vec![
            key(0, None, None),
            key(1, None, Some(Scheme::Cbcs)),
            key(2, Some(TrackClass::Sd), None),
            key(3, Some(TrackClass::Sd), Some(Scheme::Cbcs)),
        ]);
        let found = |class, scheme| keys.find(class, scheme).map(|key| key.kid.as_bytes()[0]);
        assert_eq!(found(TrackClass::Sd, Scheme::Cbcs), Some(3));
        assert_eq!(found(TrackClass::Sd, Scheme::Cenc), Some(2));
        assert_eq!(found(TrackClass::Hd, Scheme::Cbcs), Some(1));
        assert_eq!(found(TrackClass::Hd, Scheme::Cenc), Some(0));
    }

    #[test]
    fn a_key_for_several_classes_is_found_for_each_and_for_no_other() {
        let classes = [TrackClass::Sd, TrackClass::Hd].into_iter().collect();
        let keys = PackagingKeys::new(key(7, None, None).for_classes(classes).collect());
        let found = |class| keys.find(class, Scheme::Cbcs).map(|key| key.key.bytes().to_vec());
        assert!(found(TrackClass::Sd).is_some());
        assert_eq!(found(TrackClass::Sd), found(TrackClass::Hd));
        assert_eq!((found(TrackClass::Uhd), found(TrackClass::Audio)), (None, None));
    }

    #[test]
    fn a_key_of_a_period_serves_that_one_and_no_other() {
        let of = |id, period| PackagingKey { period, ..key(id, Some(TrackClass::Sd), None) };
        let mut keys = PackagingKeys::new(vec![of(1, Some(1)), of(9, None)]);
        keys.extend(PackagingKeys::new(vec![of(2, Some(2))]));
        let found = |period| {
            let found = keys.find_in(period, TrackClass::Sd, Scheme::Cbcs);
            found.map(|key| key.kid.as_bytes()[0])
        };
        assert_eq!([None, Some(1), Some(2), Some(3)].map(found), [Some(9), Some(1), Some(2), None]);
        assert_eq!(found(None), keys.find(TrackClass::Sd, Scheme::Cbcs).map(|_| 9));
    }

    #[test]
    fn a_key_of_another_class_is_never_found() {
        let keys = PackagingKeys::new(vec![key(0, Some(TrackClass::Hd), None)]);
        assert!(keys.find(TrackClass::Sd, Scheme::Cbcs).is_none());
    }
}
