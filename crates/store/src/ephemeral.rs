//! Short-lived state in memory: what may be used once.
//!
//! It ends with the process. What was issued before the boot mark is refused, so nothing can
//! be used a second time after a restart (`Store::raise_boot_mark`).

mod answered_kids;

pub use answered_kids::{AnsweredKids, KidsClaim, KidsHold};

use model::{GrantId, PlaybackSessionId, Timestamp, TokenId};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// SHA-256 of a challenge.
pub type ChallengeHash = [u8; 32];

/// Under which credential a challenge came: a message that a device made for one license brings
/// one.
pub type SeenChallenges = Claims<ChallengeHash, Asker>;

/// The credential of a license request: the playback session, and the token where one came.
pub type Asker = (PlaybackSessionId, Option<TokenId>);

/// What is used once: a key that serves one value, and no other after it was answered.
///
/// Clones share their state. Entries leave when they end.
pub struct Claims<K: Copy + Ord + Hash, V>(Arc<Mutex<Claimed<K, V>>>);

struct Claimed<K, V> {
    used: Expiring<K, Use<V>>,
    when_full: WhenFull,
}

/// What a full memory does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Promises nothing: whoever asks is refused and comes again.
    Refuse,
    /// Forgets what ends first.
    ForgetOldest,
}

struct Use<V> {
    value: V,
    since: Timestamp,
    /// Claims that neither were answered nor have failed yet.
    open: u32,
    is_answered: bool,
}

/// Whether a key may serve a value.
#[derive(Debug)]
#[must_use]
pub enum Claim<K: Copy + Ord + Hash, V> {
    /// Not asked before.
    Fresh(ClaimHold<K, V>),
    /// The same value was served, or is being served, first at this moment: serve it anew.
    Same(ClaimHold<K, V>, Timestamp),
    /// Another value was served, or is being served: refuse.
    Replayed,
    /// Too many are remembered: nothing can be promised, so refuse and let the player retry.
    Full,
}

/// Holds a key while its answer is made. Dropping it gives the key back, so every failure, and
/// a request that is given up half way, leaves things as they were.
#[must_use]
pub struct ClaimHold<K: Copy + Ord + Hash, V> {
    owner: Claims<K, V>,
    key: K,
    is_answered: bool,
}

impl<K: Copy + Ord + Hash, V: Copy + PartialEq> Claims<K, V> {
    /// Remembers at most `capacity` keys.
    #[must_use]
    pub fn new(capacity: usize, when_full: WhenFull) -> Self {
        let used = Expiring::new(capacity);
        Self(Arc::new(Mutex::new(Claimed { used, when_full })))
    }

    /// Claims `key` for one value, to be remembered until `ends`.
    pub fn claim(&self, key: K, value: V, ends: Timestamp, now: Timestamp) -> Claim<K, V> {
        let mut claimed = lock(&self.0);
        claimed.used.forget(now);
        if let Some(known) = claimed.used.get(&key) {
            if known.value != value {
                return Claim::Replayed;
            }
            known.open = known.open.saturating_add(1);
            return Claim::Same(self.hold(key), known.since);
        }
        if claimed.when_full == WhenFull::ForgetOldest && claimed.used.is_full() {
            claimed.used.forget_oldest();
        }
        if claimed.used.insert(key, ends, Use { value, since: now, open: 1, is_answered: false }) {
            Claim::Fresh(self.hold(key))
        } else {
            Claim::Full
        }
    }

    fn hold(&self, key: K) -> ClaimHold<K, V> {
        ClaimHold { owner: self.clone(), key, is_answered: false }
    }
}

impl<K: Copy + Ord + Hash, V> Clone for Claims<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Copy + Ord + Hash, V> std::fmt::Debug for Claims<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claims(..)")
    }
}

impl<K: Copy + Ord + Hash, V> std::fmt::Debug for ClaimHold<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimHold(..)")
    }
}

impl<K: Copy + Ord + Hash, V> ClaimHold<K, V> {
    /// The answer leaves: the key is used up for every other value.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl<K: Copy + Ord + Hash, V> Drop for ClaimHold<K, V> {
    fn drop(&mut self) {
        let mut claimed = lock(&self.owner.0);
        let Some(entry) = claimed.used.get(&self.key) else { return };
        entry.open = entry.open.saturating_sub(1);
        entry.is_answered |= self.is_answered;
        if entry.open == 0 && !entry.is_answered {
            claimed.used.remove(&self.key);
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
        self.forget_each(now, drop);
    }

    /// Hands out what ended at or before `now`.
    fn forget_each(&mut self, now: Timestamp, mut gone: impl FnMut(V)) {
        while let Some((end, key)) = self.by_end.first().copied() {
            if end > now {
                break;
            }
            self.by_end.pop_first();
            if let Some((_, value)) = self.entries.remove(&key) {
                gone(value);
            }
        }
    }

    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    /// Drops what ends first.
    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.by_end.pop_first() {
            self.entries.remove(&key);
        }
    }

    /// False: full. The key is not there yet.
    fn insert(&mut self, key: K, end: Timestamp, value: V) -> bool {
        if self.is_full() {
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
    use model::KeyId;

    const NOW: Timestamp = Timestamp(1_000_000);
    const TOKEN: TokenId = TokenId::from_bytes([1; 16]);
    const KID: KeyId = KeyId::from_bytes([2; 16]);

    type SingleUse = Claims<(TokenId, KeyId), ChallengeHash>;
    type KidClaim = Claim<(TokenId, KeyId), ChallengeHash>;
    type KidHold = ClaimHold<(TokenId, KeyId), ChallengeHash>;

    fn claim(used: &SingleUse, challenge: u8) -> KidClaim {
        used.claim((TOKEN, KID), [challenge; 32], NOW.plus_s(30), NOW)
    }

    fn fresh(claim: KidClaim) -> KidHold {
        match claim {
            Claim::Fresh(hold) => hold,
            other => panic!("{other:?}"),
        }
    }

    fn same(claim: KidClaim) -> KidHold {
        match claim {
            Claim::Same(hold, NOW) => hold,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answered_kid_is_used_up_for_other_challenges_only() {
        let used = SingleUse::new(10, WhenFull::Refuse);
        fresh(claim(&used, 1)).answered();
        assert!(matches!(claim(&used, 2), Claim::Replayed));
        same(claim(&used, 1)).answered();
        // A repeated answer that fails does not give back what was answered.
        drop(same(claim(&used, 1)));
        assert!(matches!(claim(&used, 2), Claim::Replayed));
        let other_kid = KeyId::from_bytes([3; 16]);
        fresh(used.claim((TOKEN, other_kid), [2; 32], NOW.plus_s(30), NOW)).answered();
        let other_token = TokenId::from_bytes([3; 16]);
        fresh(used.claim((other_token, KID), [2; 32], NOW.plus_s(30), NOW)).answered();
    }

    #[test]
    fn a_failed_answer_gives_the_kid_back() {
        let used = SingleUse::new(10, WhenFull::Refuse);
        let hold = fresh(claim(&used, 1));
        assert!(matches!(claim(&used, 2), Claim::Replayed), "while the first is being answered");
        drop(hold);
        fresh(claim(&used, 2)).answered();
        assert!(matches!(claim(&used, 1), Claim::Replayed));
    }

    #[test]
    fn a_failure_beside_an_answer_gives_nothing_back() {
        let used = SingleUse::new(10, WhenFull::Refuse);
        let (first, second) = (fresh(claim(&used, 1)), same(claim(&used, 1)));
        drop(first);
        assert!(matches!(claim(&used, 2), Claim::Replayed), "the second is being answered");
        second.answered();
        assert!(matches!(claim(&used, 2), Claim::Replayed));
    }

    #[test]
    fn entries_leave_when_their_token_expires() {
        let used = SingleUse::new(1, WhenFull::Refuse);
        let hold = fresh(claim(&used, 1));
        let other = TokenId::from_bytes([9; 16]);
        let end = NOW.plus_s(30);
        let ask = |now| used.claim((other, KID), [1; 32], end.plus_s(30), now);
        assert!(matches!(ask(Timestamp(end.0 - 1)), Claim::Full));
        let next = fresh(ask(end));
        // The end of a claim that was forgotten meanwhile touches nobody else's.
        hold.answered();
        assert!(matches!(ask(end), Claim::Same(..)));
        drop(next);
    }

    #[test]
    fn of_many_threads_with_different_challenges_one_is_fresh() {
        let used = SingleUse::new(10, WhenFull::Refuse);
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
    fn a_full_memory_may_forget_what_ends_first() {
        let seen = SeenChallenges::new(2, WhenFull::ForgetOldest);
        let asker = |session| (PlaybackSessionId::from_bytes([session; 16]), Some(TOKEN));
        let claim = |challenge: u8, session, at: Timestamp| match seen.claim(
            [challenge; 32],
            asker(session),
            at.plus_s(100),
            at,
        ) {
            Claim::Fresh(hold) | Claim::Same(hold, _) => {
                hold.answered();
                true
            }
            Claim::Replayed | Claim::Full => false,
        };
        assert!(claim(1, 1, NOW) && claim(2, 1, NOW.plus_s(1)));
        assert!(!claim(1, 2, NOW.plus_s(2)) && claim(1, 1, NOW.plus_s(2)));
        assert!(claim(3, 1, NOW.plus_s(3)), "the first is forgotten");
        assert!(!claim(2, 2, NOW.plus_s(3)) && claim(1, 2, NOW.plus_s(3)));
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
