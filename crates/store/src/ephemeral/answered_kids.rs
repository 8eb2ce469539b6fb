//! Which keys a playback token has been answered with: each KID once (DESIGN §4).
//!
//! A license of a title whose keys change has hundreds of keys, so what is remembered is the
//! requests of a token, each with its keys, and not each key with its request.

use super::{ChallengeHash, Expiring, lock};
use model::{KeyId, Timestamp, TokenId};
use std::fmt;
use std::sync::{Arc, Mutex};

/// What a request takes to remember beside its keys, bytes: an estimate from above.
const REQUEST_BYTES: usize = 256;

/// Answered KIDs, by token. Clones share their state. Entries leave when their token ends.
#[derive(Clone)]
pub struct AnsweredKids(Arc<Mutex<Tokens>>);

struct Tokens {
    requests: Expiring<TokenId, Vec<Request>>,
    most_bytes: usize,
    held_bytes: usize,
}

/// One challenge of a token, and the keys that are its own.
struct Request {
    challenge: ChallengeHash,
    /// In order, each once.
    kids: Vec<KeyId>,
    /// Claims that neither were answered nor have failed yet.
    open: u32,
    is_answered: bool,
}

/// Whether keys may be answered.
#[derive(Debug)]
#[must_use]
pub enum KidsClaim {
    /// They are this challenge's: no other asked for one of them, or this one did before.
    Own(KidsHold),
    /// One of them was answered to another challenge, or is being answered: refuse.
    Replayed,
    /// Too many are remembered: nothing can be promised, so refuse and let the player retry.
    Full,
}

/// Holds keys while their answer is made. Dropping it gives them back, so every failure, and a
/// request that is given up half way, leaves things as they were.
#[must_use]
pub struct KidsHold {
    owner: AnsweredKids,
    token: TokenId,
    challenge: ChallengeHash,
    is_answered: bool,
}

impl AnsweredKids {
    /// Remembers what takes about `most_bytes`.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        let requests = Expiring::new(most_bytes / REQUEST_BYTES);
        Self(Arc::new(Mutex::new(Tokens { requests, most_bytes, held_bytes: 0 })))
    }

    /// Claims keys for one challenge of a token, all of them or none, to be remembered until
    /// the token ends.
    pub fn claim(
        &self,
        token: TokenId,
        kids: impl IntoIterator<Item = KeyId>,
        challenge: ChallengeHash,
        ends: Timestamp,
        now: Timestamp,
    ) -> KidsClaim {
        let mut kids: Vec<KeyId> = kids.into_iter().collect();
        kids.sort_unstable();
        kids.dedup();
        let tokens = &mut *lock(&self.0);
        tokens.forget(now);
        if let Some(requests) = tokens.requests.get(&token) {
            let is_taken = |kid: &KeyId| kids.binary_search(kid).is_ok();
            let mut others = requests.iter().filter(|one| one.challenge != challenge);
            if others.any(|one| one.kids.iter().any(is_taken)) {
                return KidsClaim::Replayed;
            }
        } else if !tokens.requests.insert(token, ends, Vec::new()) {
            return KidsClaim::Full;
        }
        if tokens.hold(token, challenge, kids) {
            KidsClaim::Own(KidsHold { owner: self.clone(), token, challenge, is_answered: false })
        } else {
            // A token for which nothing is held takes no place.
            if tokens.requests.get(&token).is_some_and(|requests| requests.is_empty()) {
                tokens.requests.remove(&token);
            }
            KidsClaim::Full
        }
    }
}

impl Tokens {
    fn forget(&mut self, now: Timestamp) {
        let held_bytes = &mut self.held_bytes;
        self.requests.forget_each(now, |requests| {
            let bytes: usize = requests.iter().map(Request::bytes).sum();
            *held_bytes = held_bytes.saturating_sub(bytes);
        });
    }

    /// The challenge takes these keys beside those that it has. False: there is no room.
    fn hold(&mut self, token: TokenId, challenge: ChallengeHash, mut kids: Vec<KeyId>) -> bool {
        let Some(requests) = self.requests.get(&token) else { return false };
        let known = requests.iter_mut().find(|request| request.challenge == challenge);
        if let Some(known) = &known {
            kids.extend(&known.kids);
            kids.sort_unstable();
            kids.dedup();
        }
        let others_bytes = self.held_bytes - known.as_ref().map_or(0, |known| known.bytes());
        let request = Request { challenge, kids, open: 1, is_answered: false };
        let held_bytes = others_bytes.saturating_add(request.bytes());
        if held_bytes > self.most_bytes {
            return false;
        }
        self.held_bytes = held_bytes;
        match known {
            Some(known) => {
                known.kids = request.kids;
                known.open = known.open.saturating_add(1);
            }
            None => requests.push(request),
        }
        true
    }

    /// A claim has ended; whether its answer left.
    fn end(&mut self, hold: &KidsHold) {
        let Some(requests) = self.requests.get(&hold.token) else { return };
        let Some(at) = requests.iter().position(|one| one.challenge == hold.challenge) else {
            return;
        };
        let Some(request) = requests.get_mut(at) else { return };
        request.open = request.open.saturating_sub(1);
        request.is_answered |= hold.is_answered;
        if request.open == 0 && !request.is_answered {
            self.held_bytes = self.held_bytes.saturating_sub(request.bytes());
            requests.swap_remove(at);
        }
    }
}

impl Request {
    fn bytes(&self) -> usize {
        REQUEST_BYTES + size_of::<KeyId>() * self.kids.len()
    }
}

impl KidsHold {
    /// The answer leaves: the keys are used up for every other challenge.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for KidsHold {
    fn drop(&mut self) {
        lock(&self.owner.0).end(self);
    }
}

impl fmt::Debug for AnsweredKids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnsweredKids(..)")
    }
}

impl fmt::Debug for KidsHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KidsHold(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const END: Timestamp = NOW.plus_s(30);
    const TOKEN: TokenId = TokenId::from_bytes([1; 16]);
    const ROOM: usize = 4 * (REQUEST_BYTES + 16);

    fn kid(number: u8) -> KeyId {
        KeyId::from_bytes([number; 16])
    }

    fn claim(used: &AnsweredKids, challenge: u8, kids: &[u8]) -> KidsClaim {
        used.claim(TOKEN, kids.iter().map(|number| kid(*number)), [challenge; 32], END, NOW)
    }

    fn own(claim: KidsClaim) -> KidsHold {
        match claim {
            KidsClaim::Own(hold) => hold,
            other => panic!("{other:?}"),
        }
    }

    fn is_replayed(claim: &KidsClaim) -> bool {
        matches!(claim, KidsClaim::Replayed)
    }

    #[test]
    fn an_answered_kid_is_used_up_for_other_challenges_only() {
        let used = AnsweredKids::new(ROOM);
        own(claim(&used, 1, &[2])).answered();
        assert!(is_replayed(&claim(&used, 2, &[2])));
        own(claim(&used, 1, &[2])).answered();
        // A repeated answer that fails does not give back what was answered.
        drop(own(claim(&used, 1, &[2])));
        assert!(is_replayed(&claim(&used, 2, &[2])));
        own(claim(&used, 2, &[3])).answered();
        let other_token = TokenId::from_bytes([3; 16]);
        own(used.claim(other_token, [kid(2)], [2; 32], END, NOW)).answered();
    }

    #[test]
    fn of_keys_together_all_are_claimed_or_none() {
        let used = AnsweredKids::new(ROOM);
        own(claim(&used, 1, &[5, 2])).answered();
        assert!(is_replayed(&claim(&used, 2, &[9, 5, 1])));
        own(claim(&used, 3, &[1, 9])).answered();
        // What a challenge has may grow, and stays its own.
        own(claim(&used, 3, &[9, 7, 1])).answered();
        assert!(is_replayed(&claim(&used, 1, &[7])));
        assert!(is_replayed(&claim(&used, 2, &[7])));
    }

    #[test]
    fn a_failed_answer_gives_the_kids_back() {
        let used = AnsweredKids::new(ROOM);
        let hold = own(claim(&used, 1, &[2, 3]));
        assert!(is_replayed(&claim(&used, 2, &[3])), "while the first is being answered");
        drop(hold);
        own(claim(&used, 2, &[3, 2])).answered();
        assert!(is_replayed(&claim(&used, 1, &[2])));
    }

    #[test]
    fn a_failure_beside_an_answer_gives_nothing_back() {
        let used = AnsweredKids::new(ROOM);
        let (first, second) = (own(claim(&used, 1, &[2])), own(claim(&used, 1, &[2])));
        drop(first);
        assert!(is_replayed(&claim(&used, 2, &[2])), "the second is being answered");
        second.answered();
        assert!(is_replayed(&claim(&used, 2, &[2])));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_leaves_with_its_token() {
        let used = AnsweredKids::new(2 * (REQUEST_BYTES + 16));
        let hold = own(claim(&used, 1, &[1]));
        let ask = |token: u8, at| {
            used.claim(TokenId::from_bytes([token; 16]), [kid(1)], [1; 32], END.plus_s(30), at)
        };
        own(ask(2, NOW)).answered();
        assert!(matches!(ask(3, Timestamp(END.0 - 1)), KidsClaim::Full));
        assert!(matches!(claim(&used, 1, &[1, 2]), KidsClaim::Full));
        assert!(is_replayed(&claim(&used, 2, &[1])), "a full memory forgets nothing");
        let next = own(ask(3, END));
        // The end of a claim that was forgotten meanwhile touches nobody else's.
        hold.answered();
        assert!(is_replayed(&used.claim(
            TokenId::from_bytes([3; 16]),
            [kid(1)],
            [2; 32],
            END.plus_s(30),
            END
        )));
        drop(next);
        own(ask(3, END)).answered();
    }

    #[test]
    fn of_many_threads_with_different_challenges_one_gets_the_keys() {
        let used = AnsweredKids::new(1 << 20);
        let answered: usize = std::thread::scope(|scope| {
            let ask = |challenge: u8| match claim(&used, challenge, &[challenge, 200, 201]) {
                KidsClaim::Own(hold) => {
                    hold.answered();
                    1
                }
                KidsClaim::Replayed | KidsClaim::Full => 0,
            };
            let threads: Vec<_> =
                (0..64).map(|challenge| scope.spawn(move || ask(challenge))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(answered, 1);
    }
}
