//! The keys of one issuer as they were last fetched, and when to fetch them again.

use model::Timestamp;
use playback::issuer::KeySet;
use std::sync::Arc;

/// How long keys are fresh where their answer does not say, seconds.
const FRESH_S: u64 = 3600;
/// However short an answer says it lives: an issuer is not asked more often without need.
const SHORTEST_S: u64 = 300;
/// However long an answer says it lives: a key that the issuer took back counts no longer.
const LONGEST_S: u64 = 86_400;

/// Keys, and the last question for them.
#[derive(Default)]
pub struct KeyCache {
    held: Option<Held>,
    asked: Option<Timestamp>,
    is_away: bool,
}

struct Held {
    keys: Arc<KeySet>,
    fresh_until: Timestamp,
    usable_until: Timestamp,
}

impl KeyCache {
    /// Keys that may check a token now.
    pub fn usable(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        self.held.as_ref().filter(|held| now < held.usable_until).map(|held| Arc::clone(&held.keys))
    }

    /// Whether nothing needs to be asked.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.held.as_ref().is_some_and(|held| now < held.fresh_until)
    }

    /// Whether the last question met no answer.
    pub const fn is_away(&self) -> bool {
        self.is_away
    }

    /// Whether the issuer may be asked: not within `every_s` of the last question, whatever
    /// tokens say. A clock that was set back does not keep it from being asked.
    pub fn may_ask(&self, now: Timestamp, every_s: u64) -> bool {
        self.asked.is_none_or(|asked| asked.0.abs_diff(now.0) >= every_s.saturating_mul(1000))
    }

    /// Notes a question.
    pub const fn ask(&mut self, now: Timestamp) {
        self.asked = Some(now);
    }

    /// Takes an answer: these keys and no others. They serve `outage_s` beyond their time where
    /// the issuer cannot be asked then.
    pub fn take(&mut self, keys: KeySet, max_age_s: Option<u64>, outage_s: u64, now: Timestamp) {
        let fresh_s = max_age_s.unwrap_or(FRESH_S).clamp(SHORTEST_S, LONGEST_S);
        let fresh_until = now.plus_s(fresh_s);
        let usable_until = fresh_until.plus_s(outage_s);
        self.held = Some(Held { keys: Arc::new(keys), fresh_until, usable_until });
        self.is_away = false;
    }

    /// Notes that no answer came. What is held stays as long as it may.
    pub const fn miss(&mut self) {
        self.is_away = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn keys() -> KeySet {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{x}"}}]}}"#);
        KeySet::parse(set.as_bytes()).unwrap()
    }

    #[test]
    fn the_life_of_keys_is_bounded_below_and_above() {
        for (said, fresh_s) in [
            (None, 3600),
            (Some(0), 300),
            (Some(299), 300),
            (Some(1000), 1000),
            (Some(u64::MAX), 86_400),
        ] {
            let mut cache = KeyCache::default();
            cache.take(keys(), said, 60, NOW);
            assert!(cache.is_fresh(Timestamp(NOW.plus_s(fresh_s).0 - 1)), "{said:?}");
            assert!(!cache.is_fresh(NOW.plus_s(fresh_s)), "{said:?}");
            assert!(cache.usable(Timestamp(NOW.plus_s(fresh_s + 60).0 - 1)).is_some(), "{said:?}");
            assert!(cache.usable(NOW.plus_s(fresh_s + 60)).is_none(), "{said:?}");
        }
    }

    #[test]
    fn the_issuer_is_asked_once_in_an_interval() {
        let mut cache = KeyCache::default();
        assert!(cache.may_ask(NOW, 30));
        cache.ask(NOW);
        cache.miss();
        assert!(cache.is_away() && cache.usable(NOW).is_none());
        assert!(!cache.may_ask(Timestamp(NOW.plus_s(30).0 - 1), 30));
        assert!(cache.may_ask(NOW.plus_s(30), 30));
        assert!(cache.may_ask(Timestamp(NOW.0 - 86_400_000), 30), "the clock was set back");
        cache.take(keys(), None, 60, NOW.plus_s(30));
        assert!(!cache.is_away());
    }

    #[test]
    fn an_issuer_that_is_away_takes_no_keys_with_it() {
        let mut cache = KeyCache::default();
        cache.take(keys(), Some(300), 3600, NOW);
        cache.miss();
        assert!(cache.usable(NOW.plus_s(3899)).is_some());
        assert!(cache.usable(NOW.plus_s(3900)).is_none());
    }
}
