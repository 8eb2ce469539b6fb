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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const TOKEN: TokenId = TokenId::from_bytes([1; 16]);
    const KID: KeyId = KeyId::from_bytes([2; 16]);

    fn claim(used: &SingleUse, challenge: u8) -> Claim {
        used.claim(TOKEN, KID, [challenge; 32], NOW.plus_s(30), NOW)
    }

    fn fresh(claim: Claim) -> ClaimHold {
        match claim {
            Claim::Fresh(hold) => hold,
            other => panic!("{other:?}"),
        }
    }

    fn same(claim: Claim) -> ClaimHold {
        match claim {
            Claim::SameChallenge(hold) => hold,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answered_kid_is_used_up_for_other_challenges_only() {
        let used = SingleUse::new(10);
        fresh(claim(&used, 1)).answered();
        assert!(matches!(claim(&used, 2), Claim::Replayed));
        same(claim(&used, 1)).answered();
        // A repeated answer that fails does not give back what was answered.
        drop(same(claim(&used, 1)));
        assert!(matches!(claim(&used, 2), Claim::Replayed));
        let other_kid = KeyId::from_bytes([3; 16]);
        fresh(used.claim(TOKEN, other_kid, [2; 32], NOW.plus_s(30), NOW)).answered();
        let other_token = TokenId::from_bytes([3; 16]);
        fresh(used.claim(other_token, KID, [2; 32], NOW.plus_s(30), NOW)).answered();
    }

    #[test]
    fn a_failed_answer_gives_the_kid_back() {
        let used = SingleUse::new(10);
        let hold = fresh(claim(&used, 1));
        assert!(matches!(claim(&used, 2), Claim::Replayed), "while the first is being answered");
        drop(hold);
        fresh(claim(&used, 2)).answered();
        assert!(matches!(claim(&used, 1), Claim::Replayed));
    }

    #[test]
    fn a_failure_beside_an_answer_gives_nothing_back() {
        let used = SingleUse::new(10);
        let (first, second) = (fresh(claim(&used, 1)), same(claim(&used, 1)));
        drop(first);
        assert!(matches!(claim(&used, 2), Claim::Replayed), "the second is being answered");
        second.answered();
        assert!(matches!(claim(&used, 2), Claim::Replayed));
    }

    #[test]
    fn entries_leave_when_their_token_expires() {
        let used = SingleUse::new(1);
        let hold = fresh(claim(&used, 1));
        let other = TokenId::from_bytes([9; 16]);
        let end = NOW.plus_s(30);
        let ask = |now| used.claim(other, KID, [1; 32], end.plus_s(30), now);
        assert!(matches!(ask(Timestamp(end.0 - 1)), Claim::Full));
        let next = fresh(ask(end));
        // The end of a claim that was forgotten meanwhile touches nobody else's.
        hold.answered();
        assert!(matches!(ask(end), Claim::SameChallenge(_)));
        drop(next);
    }

    #[test]
    fn of_many_threads_with_different_challenges_one_is_fresh() {
        let used = SingleUse::new(10);
        let answered: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..64)
                .map(|challenge| {
                    let used = &used;
                    scope.spawn(move || match claim(used, challenge) {
                        Claim::Fresh(hold) => {
                            hold.answered();
                            1
                        }
                        _ => 0,
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(answered, 1);
    }

    #[test]
    fn a_grant_burns_once() {
        let burned = BurnedGrants::new(2);
        let burn = |number, now| burned.burn(GrantId::from_bytes([number; 16]), now, NOW);
        assert!(burn(1, NOW.plus_s(5)));
        assert!(!burn(1, NOW.plus_s(5)));
        assert!(burn(2, NOW.plus_s(5)));
        assert!(!burn(3, NOW.plus_s(5)), "full");
        assert!(burned.burn(GrantId::from_bytes([3; 16]), NOW.plus_s(9), NOW.plus_s(5)));
    }
}
