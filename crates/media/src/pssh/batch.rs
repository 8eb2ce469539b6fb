//! The boxes of a title whose keys change: which keys each names (ISO/IEC 23001-7:2016, 8.1).
//!
//! Every fragment of a batch carries the same bytes in every track, and they name the keys of the
//! batch and of the one behind it, so that a player asks for a license once a batch and has its
//! answer before the keys are needed. There is one box for each system and not one for each batch:
//! Chromium reads the first common box alone.

use super::{PsshError, common, playready_list, widevine};
use model::{KeyId, Rotation, Scheme, TrackClass};
use std::collections::BTreeMap;
use std::ops::Range;

/// A key as boxes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedKey {
    /// Its public name.
    pub kid: KeyId,
    /// `ContentKey::playready_checksum`; only PlayReady headers of `cenc` carry it.
    pub checksum: Option<[u8; 8]>,
}

/// The names of a rotating title's keys in one scheme. They are public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    /// The scheme.
    pub scheme: Scheme,
    /// The keys that name the tracks and encrypt nothing.
    pub tracks: BTreeMap<TrackClass, NamedKey>,
    /// The keys of the periods that there are.
    pub periods: BTreeMap<u32, BTreeMap<TrackClass, NamedKey>>,
}

impl KeyNames {
    /// The key of a class in a period.
    #[must_use]
    pub fn in_period(&self, period: u32, class: TrackClass) -> Option<NamedKey> {
        self.periods.get(&period)?.get(&class).copied()
    }

    /// What the fragments of a batch name: the keys of the tracks, then those of all periods of the
    /// batch and of the next one, as far as there are such periods. Each once.
    #[must_use]
    pub fn batch(&self, rotation: Rotation, batch: u32) -> Vec<NamedKey> {
        let Range { start, .. } = rotation.periods_of(batch);
        let Range { end, .. } = rotation.periods_of(batch.saturating_add(1));
        let of_periods = self.periods.range(start..end.max(start)).flat_map(|(_, keys)| keys);
        let mut named = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (_, key) in self.tracks.iter().chain(of_periods) {
            if seen.insert(key.kid) {
                named.push(*key);
            }
        }
        named
    }

    /// What inits name: the keys of the tracks; but where the title is known to have one batch
    /// only, all that its fragments name, so that one request does for all.
    #[must_use]
    pub fn init(&self, rotation: Rotation, is_whole: bool) -> Vec<NamedKey> {
        let last = self.periods.keys().next_back().copied().unwrap_or(0);
        if is_whole && rotation.batch_of(last) == 0 {
            return self.batch(rotation, 0);
        }
        let none = BTreeMap::new();
        Self { periods: none, ..self.clone() }.batch(rotation, 0)
    }
}

/// Writes a box for each system, all of which name `keys`: common, Widevine, PlayReady.
///
/// Errors: [`PsshError::TooLarge`] where a PlayReady header cannot hold so many.
pub fn boxes_of(keys: &[NamedKey], scheme: Scheme) -> Result<Vec<u8>, PsshError> {
    let kids: Vec<KeyId> = keys.iter().map(|key| key.kid).collect();
    let boxes = [common(&kids), widevine(&kids, scheme), playready_list(keys, scheme)?];
    Ok(boxes.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pssh::{SystemId, parse_all};
    use std::num::NonZeroU32;

    fn key(id: u16) -> NamedKey {
        let mut kid = [0; 16];
        kid[14..].copy_from_slice(&id.to_be_bytes());
        NamedKey { kid: KeyId::from_bytes(kid), checksum: Some([7; 8]) }
    }

    fn names(periods: u16) -> KeyNames {
        let of = |first: u16| {
            BTreeMap::from([(TrackClass::Audio, key(first)), (TrackClass::Sd, key(first + 1))])
        };
        let periods = (0..periods).map(|period| (u32::from(period), of(10 + 2 * period)));
        KeyNames { scheme: Scheme::Cenc, tracks: of(0), periods: periods.collect() }
    }

    fn rotation() -> Rotation {
        let number = |n| NonZeroU32::new(n).unwrap();
        Rotation { period_s: number(60), batch_periods: number(2) }
    }

    fn ids(keys: &[NamedKey]) -> Vec<u16> {
        let id =
            |key: &NamedKey| u16::from_be_bytes([key.kid.as_bytes()[14], key.kid.as_bytes()[15]]);
        keys.iter().map(id).collect()
    }

    #[test]
    fn a_batch_names_tracks_its_own_periods_and_those_of_the_next() {
        let names = names(5);
        assert_eq!(ids(&names.batch(rotation(), 0)), [0, 1, 10, 11, 12, 13, 14, 15, 16, 17]);
        assert_eq!(ids(&names.batch(rotation(), 1)), [0, 1, 14, 15, 16, 17, 18, 19]);
        assert_eq!(ids(&names.batch(rotation(), 2)), [0, 1, 18, 19]);
        assert_eq!(ids(&names.init(rotation(), true)), [0, 1]);
        assert_eq!(names.in_period(4, TrackClass::Sd), Some(key(19)));
        assert_eq!(names.in_period(5, TrackClass::Sd), None);
    }

    #[test]
    fn an_init_names_all_where_one_batch_is_the_whole_title() {
        let names = names(2);
        assert_eq!(names.init(rotation(), true), names.batch(rotation(), 0));
        // While an event goes on, nobody knows that.
        assert_eq!(ids(&names.init(rotation(), false)), [0, 1]);
        let all = Rotation { batch_periods: NonZeroU32::MAX, ..rotation() };
        assert_eq!(ids(&names.batch(all, 0)), [0, 1, 10, 11, 12, 13]);
    }

    #[test]
    fn a_key_that_serves_two_classes_is_named_once() {
        let mut names = names(1);
        names.periods.insert(0, TrackClass::ALL.map(|class| (class, key(9))).into());
        assert_eq!(ids(&names.batch(rotation(), 0)), [0, 1, 9]);
    }

    #[test]
    fn every_system_names_the_same_keys_in_both_schemes() {
        let keys = names(5).batch(rotation(), 0);
        for scheme in Scheme::ALL {
            let boxes = parse_all(&boxes_of(&keys, scheme).unwrap()).unwrap();
            let boxes: Vec<_> = boxes.into_iter().map(Result::unwrap).collect();
            let systems: Vec<_> = boxes.iter().map(|one| one.system).collect();
            assert_eq!(systems, [SystemId::COMMON, SystemId::WIDEVINE, SystemId::PLAYREADY]);
            for one in boxes {
                assert_eq!(one.all_kids(), keys.iter().map(|key| key.kid).collect::<Vec<_>>());
            }
        }
    }
}
