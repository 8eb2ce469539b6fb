//! Opened content keys, for a short while, in memory that is never swapped out.
//!
//! A kept key answers only for the row it was opened from: same ciphertext, same facts. What an
//! operation gets is a copy of its own, which lives as long as that operation.

use crate::content_key::{ContentKey, KEY_BYTES};
use crate::context::KeyContext;
use model::{KeyId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize as _;

/// Bytes of a page.
const PAGE: usize = 4096;
const PER_PAGE: usize = PAGE / KEY_BYTES;

/// The system does not lock that much memory for this process (`ulimit -l`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory for content keys cannot be locked")]
pub struct MemoryNotLocked;

#[repr(align(4096))]
struct Page([[u8; KEY_BYTES]; PER_PAGE]);

/// A page of keys that stays in memory, wiped before it is unlocked.
struct Locked {
    page: Box<Page>,
    _guard: region::LockGuard,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.page.0.zeroize();
    }
}

struct Kept {
    slot: usize,
    until: Timestamp,
    /// The row it was opened from.
    row: Vec<u8>,
}

#[derive(Default)]
struct Keys {
    pages: Vec<Locked>,
    free: Vec<usize>,
    kept: HashMap<KeyId, Kept>,
}

/// Opened content keys.
pub struct CekCache {
    keys: Mutex<Keys>,
    ttl_s: u64,
}

impl CekCache {
    /// Room for `capacity` keys, each for `ttl_s` seconds.
    ///
    /// Errors: [`MemoryNotLocked`].
    pub fn new(ttl_s: u64, capacity: usize) -> Result<Self, MemoryNotLocked> {
        let mut pages = vec![];
        for _ in 0..capacity.div_ceil(PER_PAGE) {
            let page = Box::new(Page([[0; KEY_BYTES]; PER_PAGE]));
            let guard = region::lock(page.0.as_ptr(), PAGE).map_err(|_| MemoryNotLocked)?;
            pages.push(Locked { page, _guard: guard });
        }
        let keys = Keys { pages, free: (0..capacity).collect(), kept: HashMap::new() };
        Ok(Self { keys: Mutex::new(keys), ttl_s })
    }

    /// A copy of the key of this row, if it was opened a short while ago.
    #[must_use]
    pub fn copy(
        &self,
        context: &KeyContext<'_>,
        wrapped: &[u8],
        now: Timestamp,
    ) -> Option<ContentKey> {
        let keys = self.lock();
        let kept = keys.kept.get(&context.kid)?;
        if now >= kept.until || kept.row != row(context, wrapped) {
            return None;
        }
        let own = keys.slot(kept.slot)?;
        Some(ContentKey::build(|bytes| bytes.copy_from_slice(own)))
    }

    /// Keeps the key that was opened from this row. When there is no room, the one that ends
    /// first leaves.
    pub fn keep(&self, context: &KeyContext<'_>, wrapped: &[u8], key: &ContentKey, now: Timestamp) {
        let mut keys = self.lock();
        keys.remove(context.kid);
        if keys.free.is_empty() {
            let first = keys.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(kid, _)| *kid);
            if let Some(first) = first {
                keys.remove(first);
            }
        }
        let Some(slot) = keys.free.pop() else { return };
        if let Some(own) = keys.slot_mut(slot) {
            own.copy_from_slice(key.bytes());
        }
        let until = now.plus_s(self.ttl_s);
        keys.kept.insert(context.kid, Kept { slot, until, row: row(context, wrapped) });
    }

    /// Wipes what has ended.
    pub fn sweep(&self, now: Timestamp) {
        let mut keys = self.lock();
        let ended = keys.kept.iter().filter(|(_, kept)| now >= kept.until);
        let ended: Vec<KeyId> = ended.map(|(kid, _)| *kid).collect();
        ended.into_iter().for_each(|kid| keys.remove(kid));
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // Nothing in here panics half way.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn slot(&self, slot: usize) -> Option<&[u8; KEY_BYTES]> {
        self.pages.get(slot / PER_PAGE)?.page.0.get(slot % PER_PAGE)
    }

    fn slot_mut(&mut self, slot: usize) -> Option<&mut [u8; KEY_BYTES]> {
        self.pages.get_mut(slot / PER_PAGE)?.page.0.get_mut(slot % PER_PAGE)
    }

    fn remove(&mut self, kid: KeyId) {
        let Some(kept) = self.kept.remove(&kid) else { return };
        if let Some(own) = self.slot_mut(kept.slot) {
            own.zeroize();
        }
        self.free.push(kept.slot);
    }
}

impl std::fmt::Debug for CekCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CekCache(..)")
    }
}

/// Everything that a row says about a key. The AAD tells its own length.
fn row(context: &KeyContext<'_>, wrapped: &[u8]) -> Vec<u8> {
    let mut row = context.aad();
    row.extend(wrapped);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{CategoryName, ContentId, KekVersion};
    use zeroize::Zeroizing;

    struct Names(CategoryName, ContentId);

    fn names() -> Names {
        Names(CategoryName::parse("film").unwrap(), ContentId::parse("a").unwrap())
    }

    fn context(names: &Names, kid: u8) -> KeyContext<'_> {
        KeyContext {
            tenant: "default",
            category: &names.0,
            content_id: &names.1,
            kid: KeyId::from_bytes([kid; 16]),
            scheme: None,
            track_class: None,
            period: None,
            kek_version: KekVersion(1),
            first_kek_version: KekVersion(1),
            iv: None,
            created: Timestamp(0),
        }
    }

    fn key(byte: u8) -> ContentKey {
        ContentKey::from_bytes(Zeroizing::new([byte; 16]))
    }

    fn copied(cache: &CekCache, context: &KeyContext<'_>, now: u64) -> Option<u8> {
        cache.copy(context, &[7; 45], Timestamp(now)).map(|key| key.bytes()[0])
    }

    #[test]
    fn a_key_is_kept_for_its_time_and_its_row_only() {
        let (cache, names) = (CekCache::new(2, 300).unwrap(), names());
        let own = context(&names, 1);
        cache.keep(&own, &[7; 45], &key(9), Timestamp(0));
        assert_eq!(copied(&cache, &own, 1999), Some(9));
        assert_eq!(copied(&cache, &own, 2000), None, "ended");
        assert_eq!(copied(&cache, &context(&names, 2), 0), None);
        let moved = KeyContext { kek_version: KekVersion(2), ..own };
        assert_eq!(copied(&cache, &moved, 0), None, "a changed fact");
        assert!(cache.copy(&own, &[8; 45], Timestamp(0)).is_none(), "a changed ciphertext");
    }

    #[test]
    fn what_leaves_is_wiped_and_the_first_to_end_leaves_for_a_new_one() {
        let (cache, names) = (CekCache::new(2, 2).unwrap(), names());
        for (kid, at) in [(1, 0), (2, 1), (3, 2)] {
            cache.keep(&context(&names, kid), &[7; 45], &key(kid), Timestamp(at));
        }
        let kept = |kid| copied(&cache, &context(&names, kid), 3);
        assert_eq!([kept(1), kept(2), kept(3)], [None, Some(2), Some(3)]);
        cache.keep(&context(&names, 3), &[7; 45], &key(4), Timestamp(3));
        assert_eq!((kept(2), kept(3)), (Some(2), Some(4)), "kept anew, in its own place");
        cache.sweep(Timestamp(2001));
        assert_eq!((kept(2), kept(3)), (None, Some(4)));
        cache.sweep(Timestamp(9999));
        let keys = cache.lock();
        assert!(
            keys.pages.iter().all(|locked| locked.page.0.as_flattened().iter().all(|b| *b == 0))
        );
        assert_eq!((keys.free.len(), keys.kept.len()), (2, 0));
    }

    #[test]
    fn no_room_keeps_nothing() {
        let (cache, names) = (CekCache::new(2, 0).unwrap(), names());
        cache.keep(&context(&names, 1), &[7; 45], &key(1), Timestamp(0));
        assert_eq!(copied(&cache, &context(&names, 1), 0), None);
    }

    #[test]
    fn debug_shows_the_name_only() {
        assert_eq!(format!("{:?}", CekCache::new(2, 1).unwrap()), "CekCache(..)");
    }
}
