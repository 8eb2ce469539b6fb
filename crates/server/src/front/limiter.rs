//! A client that storms: more requests of one session than a sound player ever sends.
//!
//! Two steps, so that the refusal of a storm costs neither a database read nor a check of a
//! signature, and a stranger can harm nobody:
//!
//! 1. Before anything, [`Limiter::turn_away`] asks whether this very credential is turned away:
//!    one look-up of a keyed hash of its text. Who does not hold the credential cannot name it.
//! 2. After the credential's signature and before any row is read, [`Limiter::count`] counts
//!    under the session that it proves, so that all credentials of a session share one measure.
//!    A forged credential never gets here: it can neither be counted against another's session
//!    nor fill the table.

use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use model::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Mutex, PoisonError};
use store::AskedRoute;

/// Sessions that are counted at once. Beyond that newcomers are not counted: this measure
/// guards the service's time and nobody's rights, so a full table lets them pass.
const MAX_WINDOWS: usize = 200_000;

/// What a player sends about itself, counted by its playback session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reported {
    /// A heartbeat.
    Heartbeat,
    /// Events of a playback.
    Events,
}

/// Counts requests of sessions.
pub struct Limiter {
    requests: u32,
    window_ms: u64,
    /// Keyed by chance at each start, so that nobody can compute what shares a window.
    hashes: RandomState,
    windows: Mutex<Windows>,
}

/// Two generations of windows: a look-up moves a window that still counts into the younger one,
/// and the elder is dropped whole, so that forgetting needs no walk.
struct Windows {
    turn: Timestamp,
    young: HashMap<u64, Window>,
    old: HashMap<u64, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    ends: Timestamp,
    requests: u32,
}

impl Limiter {
    /// Allows a session `requests` in `window_s` for each route; 0 allows any number.
    #[must_use]
    pub fn new(requests: u32, window_s: u32) -> Self {
        let window_ms = u64::from(window_s) * 1000;
        let windows = Windows { turn: Timestamp(0), young: HashMap::new(), old: HashMap::new() };
        Self { requests, window_ms, hashes: RandomState::new(), windows: Mutex::new(windows) }
    }

    /// Refuses a credential whose session was found to ask too often in this window.
    ///
    /// Errors: [`Refusal::RateLimited`].
    pub fn turn_away(
        &self,
        route: AskedRoute,
        credential: &str,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        match self.turned_away_until(route, credential, caller.now) {
            None => Ok(()),
            Some(end) => {
                caller.trail.tell(|told| told.is_repetition = true);
                Err(wait_for(end, caller.now))
            }
        }
    }

    fn turned_away_until(
        &self,
        route: AskedRoute,
        credential: &str,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let key = self.hashes.hash_one((route, credential));
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.find(key, self.window_ms, now).map(|window| window.ends)
    }

    /// Counts a request of the session that the credential proves.
    ///
    /// Errors: [`Refusal::RateLimited`] beyond the measure.
    pub fn count(
        &self,
        route: impl Hash + Copy,
        session: &[u8; 16],
        credential: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.requests == 0 {
            return Ok(());
        }
        let key = self.hashes.hash_one((route, session));
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window { ends: Timestamp(now.0.saturating_add(self.window_ms)), requests: 0 };
        let mut window = windows.find(key, self.window_ms, now).unwrap_or(fresh);
        if window.requests >= self.requests {
            windows.put(self.hashes.hash_one((route, credential)), window);
            return Err(wait_for(window.ends, now));
        }
        window.requests += 1;
        windows.put(key, window);
        Ok(())
    }
}

fn wait_for(end: Timestamp, now: Timestamp) -> Refusal {
    Refusal::RateLimited { retry_after_s: end.0.saturating_sub(now.0).div_ceil(1000).max(1) }
}

impl Windows {
    /// A window that has not ended. One that ends too far away is from before the clock was set
    /// back, and has ended too.
    fn find(&mut self, key: u64, window_ms: u64, now: Timestamp) -> Option<Window> {
        let next = Timestamp(now.0.saturating_add(window_ms));
        if now >= self.turn || self.turn > next {
            self.turn = next;
            self.old = std::mem::take(&mut self.young);
        }
        let window = self.young.get(&key).or_else(|| self.old.get(&key)).copied()?;
        (window.ends > now && window.ends <= next).then_some(window)
    }

    fn put(&mut self, key: u64, window: Window) {
        if self.young.len() < MAX_WINDOWS || self.young.contains_key(&key) {
            self.young.insert(key, window);
        } else {
            metrics::counter!("strongroom_limiter_full_total").increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AskedRoute::{License, Token};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// Asks as the license route does; the wait of a refusal.
    fn ask(limiter: &Limiter, session: u8, credential: &str, now: Timestamp) -> Option<u64> {
        if let Some(end) = limiter.turned_away_until(License, credential, now) {
            return Some((end.0 - now.0).div_ceil(1000));
        }
        match limiter.count(License, &[session; 16], credential, now) {
            Ok(()) => None,
            Err(Refusal::RateLimited { retry_after_s }) => Some(retry_after_s),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_storm_waits_for_its_window_and_nobody_else_does() {
        let limiter = Limiter::new(100, 10);
        for number in 0..100 {
            assert_eq!(ask(&limiter, 1, "a", Timestamp(NOW.0 + number * 10)), None, "{number}");
        }
        let later = NOW.plus_s(4);
        assert_eq!(ask(&limiter, 1, "a", later), Some(6));
        assert_eq!(limiter.turned_away_until(License, "a", later), Some(NOW.plus_s(10)));
        assert_eq!(ask(&limiter, 2, "b", later), None, "another session");
        // Another credential of the session shares its measure, and is then known too.
        assert_eq!(limiter.turned_away_until(License, "c", later), None);
        assert_eq!(ask(&limiter, 1, "c", later), Some(6));
        assert_eq!(limiter.turned_away_until(License, "c", later), Some(NOW.plus_s(10)));
        assert!(limiter.count(Token, &[1; 16], "a", later).is_ok(), "another route");
        assert_eq!(ask(&limiter, 1, "a", Timestamp(NOW.plus_s(10).0 - 1)), Some(1));
        assert_eq!(ask(&limiter, 1, "a", NOW.plus_s(10)), None, "the window is over");
    }

    /// The worst that was seen of sound players, and a start with every key asked for alone.
    #[test]
    fn sound_players_are_never_turned_away() {
        let limiter = Limiter::new(100, 10);
        // A start: six keys, each alone, four tries each, within a second.
        for number in 0..24 {
            assert_eq!(ask(&limiter, 1, "start", Timestamp(NOW.0 + number * 40)), None);
        }
        // The same session goes on through an outage: 27 tries in 12 seconds, again and again.
        for number in 0..270 {
            assert_eq!(ask(&limiter, 1, "start", Timestamp(NOW.0 + 1000 + number * 444)), None);
        }
        // Four streams under one sign-in, a key period of two seconds, each try twice.
        for second in 0..600 {
            for _ in 0..4 {
                assert_eq!(ask(&limiter, 2, "sign-in", NOW.plus_s(second)), None);
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = Limiter::new(30, 10);
        for _ in 0..31 {
            ask(&limiter, 1, "a", NOW);
        }
        assert!(ask(&limiter, 1, "a", NOW).is_some());
        assert_eq!(ask(&limiter, 1, "a", Timestamp(NOW.0 - 3_600_000)), None);
        let unlimited = Limiter::new(0, 10);
        assert!((0..1000).all(|_| ask(&unlimited, 1, "a", NOW).is_none()));
    }

    #[test]
    fn memory_is_bounded_and_a_full_table_lets_newcomers_pass() {
        let limiter = Limiter::new(30, 10);
        let session = |number: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        for number in 0..MAX_WINDOWS + 10 {
            assert!(limiter.count(License, &session(number), "x", NOW).is_ok());
        }
        let held = |limiter: &Limiter| {
            let windows = limiter.windows.lock().unwrap();
            (windows.young.len(), windows.old.len())
        };
        assert_eq!(held(&limiter), (MAX_WINDOWS, 0));
        let newcomer = session(MAX_WINDOWS + 99);
        assert!((0..50).all(|_| limiter.count(License, &newcomer, "y", NOW).is_ok()));
        // One that was there in time is still counted.
        let counted = (0..30).filter(|_| limiter.count(License, &session(0), "z", NOW).is_ok());
        assert_eq!(counted.count(), 29);
        limiter.count(License, &newcomer, "y", NOW.plus_s(10)).unwrap();
        assert_eq!(held(&limiter), (1, MAX_WINDOWS));
        limiter.count(License, &newcomer, "y", NOW.plus_s(20)).unwrap();
        assert_eq!(held(&limiter), (1, 1), "what ended is forgotten");
    }
}
