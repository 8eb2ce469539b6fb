//! Short-lived state in memory: what may be used once.
//!
//! It ends with the process. What was issued before the boot mark is refused, so nothing can
//! be used a second time after a restart (`Store::raise_boot_mark`).

use model::{GrantId, KeyId, Timestamp, TokenId};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// SHA-256 of a challenge.
pub type ChallengeHash = [u8; 32];

/// Which keys a playback token has been answered with: each KID once (DESIGN §4).
///
/// Clones share their state. Entries leave when their token expires.
#[derive(Clone)]
pub struct SingleUse {
    used: Arc<Mutex<Expiring<(TokenId, KeyId), Use>>>,
}

struct Use {
    challenge: ChallengeHash,
    /// Claims that neither were answered nor have failed yet.
    open: u32,
    is_answered: bool,
}

/// Whether a KID may be answered under a token.
#[derive(Debug)]
#[must_use]
pub enum Claim {
    /// Not asked before.
    Fresh(ClaimHold),
    /// The same challenge was answered, or is being answered: answer it anew.
    SameChallenge(ClaimHold),
    /// Another challenge was answered, or is being answered: refuse.
    Replayed,
    /// Too many are remembered: nothing can be promised, so refuse and let the player retry.
    Full,
}

/// Holds a KID while its answer is made. Dropping it gives the KID back, so every failure, and
/// a request that is given up half way, leaves the token as it was.
#[derive(Debug)]
#[must_use]
pub struct ClaimHold {
    owner: SingleUse,
    key: (TokenId, KeyId),
    is_answered: bool,
}

impl SingleUse {
    /// Remembers at most `capacity` KIDs of live tokens.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { used: Arc::new(Mutex::new(Expiring::new(capacity))) }
    }

    /// Claims `kid` under `token`, which expires at `expires`, for one challenge.
    pub fn claim(
        &self,
        token: TokenId,
        kid: KeyId,
        challenge: ChallengeHash,
        expires: Timestamp,
        now: Timestamp,
    ) -> Claim {
        let key = (token, kid);
        let mut used = lock(&self.used);
        used.forget(now);
        if let Some(known) = used.get(&key) {
            if known.challenge != challenge {
                return Claim::Replayed;
            }
            known.open = known.open.saturating_add(1);
            return Claim::SameChallenge(self.hold(key));
        }
        if used.insert(key, expires, Use { challenge, open: 1, is_answered: false }) {
            Claim::Fresh(self.hold(key))
        } else {
            Claim::Full
        }
    }

    fn hold(&self, key: (TokenId, KeyId)) -> ClaimHold {
        ClaimHold { owner: self.clone(), key, is_answered: false }
    }
}

impl std::fmt::Debug for SingleUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SingleUse(..)")
    }
}

impl ClaimHold {
    /// The answer leaves: the KID is used up for every other challenge.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for ClaimHold {
    fn drop(&mut self) {
        let mut used = lock(&self.owner.used);
        let Some(entry) = used.get(&self.key) else { return };
        entry.open = entry.open.saturating_sub(1);
        entry.is_answered |= self.is_answered;
        if entry.open == 0 && !entry.is_answered {
            used.remove(&self.key);
        }
    }
}

/// Grants that were opened: each once.
#[derive(Clone)]
pub struct BurnedGrants {
    burned: Arc<Mutex<Expiring<GrantId, ()>>>,
}

impl BurnedGrants {
    /// Remembers at most `capacity` live grants.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { burned: Arc::new(Mutex::new(Expiring::new(capacity))) }
    }

    /// Burns a grant that expires at `expires`. False: it is burned already, or too many are
    /// remembered to promise that it is not.
    #[must_use]
    pub fn burn(&self, grant: GrantId, expires: Timestamp, now: Timestamp) -> bool {
        let mut burned = lock(&self.burned);
        burned.forget(now);
        burned.get(&grant).is_none() && burned.insert(grant, expires, ())
    }
}

/// Nothing in here panics while it holds the lock, so the state is whole even if another
/// thread did.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bounded map whose entries have an end.
struct Expiring<K, V> {
    capacity: usize,
    entries: HashMap<K, (Timestamp, V)>,
    by_end: BTreeSet<(Timestamp, K)>,
}

impl<K: Copy + Ord + Hash, V> Expiring<K, V> {
    fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), by_end: BTreeSet::new() }
    }

    /// Drops what ended at or before `now`.
    fn forget(&mut self, now: Timestamp) {
        while let Some((end, key)) = self.by_end.first().copied() {
            if end > now {
                break;
            }
            self.by_end.pop_first();
            self.entries.remove(&key);
        }
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// False: full. The key is not there yet.
    fn insert(&mut self, key: K, end: Timestamp, value: V) -> bool {
        if self.entries.len() >= self.capacity {
            return false;
        }
        self.entries.insert(key, (end, value));
        self.by_end.insert((end, key));
        true
    }

    fn remove(&mut self, key: &K) {
        if let Some((end, _)) = self.entries.remove(key) {
            self.by_end.remove(&(end, *key));
        }
    }
}
