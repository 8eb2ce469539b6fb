//! KEKs in the clear, for a short while: opening one may cost a call over the network.

use keys::Kek;
use model::{CategoryName, KekVersion, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long an opened KEK is kept. As long a KMS may be away unnoticed.
const KEPT_S: u64 = 300;
/// Most KEKs that are kept.
const CAPACITY: usize = 256;

type Name = (CategoryName, KekVersion);

/// Opened KEKs. Each is wiped when it leaves and nobody uses it any more.
#[derive(Default)]
pub struct KekCache(Mutex<HashMap<Name, (Timestamp, Arc<Kek>)>>);

impl KekCache {
    /// A KEK that was opened less than five minutes ago.
    pub fn get(&self, name: &Name, now: Timestamp) -> Option<Arc<Kek>> {
        let kept = self.lock();
        let (until, kek) = kept.get(name)?;
        (now < *until).then(|| Arc::clone(kek))
    }

    /// Keeps a KEK. All that ended leave; when it is still full, the one that ends first does.
    pub fn put(&self, name: Name, kek: Arc<Kek>, now: Timestamp) {
        let mut kept = self.lock();
        kept.retain(|_, (until, _)| now < *until);
        if kept.len() >= CAPACITY {
            let first = kept.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(first) = first.map(|(name, _)| name.clone()) {
                kept.remove(&first);
            }
        }
        kept.insert(name, (now.plus_s(KEPT_S), kek));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, (Timestamp, Arc<Kek>)>> {
        // Nothing in here panics half way: the map is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for KekCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KekCache(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::SystemEntropy;

    fn name(version: u32) -> Name {
        (CategoryName::parse("film").unwrap(), KekVersion(version))
    }

    fn kek() -> Arc<Kek> {
        Arc::new(Kek::generate(&mut SystemEntropy))
    }

    #[test]
    fn a_kek_is_kept_five_minutes() {
        let cache = KekCache::default();
        cache.put(name(1), kek(), Timestamp(0));
        assert!(cache.get(&name(1), Timestamp(299_999)).is_some());
        assert!(cache.get(&name(1), Timestamp(300_000)).is_none());
        assert!(cache.get(&name(2), Timestamp(0)).is_none());
    }

    #[test]
    fn the_cache_is_bounded_and_lets_go() {
        let cache = KekCache::default();
        let first = kek();
        cache.put(name(0), Arc::clone(&first), Timestamp(0));
        for version in 1..=CAPACITY {
            cache.put(name(u32::try_from(version).unwrap()), kek(), Timestamp(1));
        }
        assert_eq!(cache.lock().len(), CAPACITY);
        assert!(cache.get(&name(0), Timestamp(1)).is_none());
        assert_eq!(Arc::strong_count(&first), 1, "nobody else holds it");
    }
}
