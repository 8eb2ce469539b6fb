//! The guard before every KMS: deadline, retries, breaker and bulkhead. A KMS in trouble costs a
//! caller a quick refusal, and meets no storm when it comes back (R173). A root key older than a
//! year wraps nothing more (R032).

use crate::clock::Clock;
use crate::entropy::EntropySource;
use keys::kms::{Kms, KmsError, KmsFuture, RootKey};
use keys::{Kek, KekContext};
use model::Timestamp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Calls at the KMS at the same time.
const CALLS: usize = 64;
/// Callers who wait for one of these places; more are turned away at once.
const CALLERS: usize = 4096;
/// Tries of one call. What takes long is not tried again: that would double the load of a KMS
/// that is slow already.
const TRIES: u32 = 3;
/// Longest pause before the second try; it doubles for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Calls in a row without an answer that open the breaker.
const MISSES: u32 = 5;
/// While the breaker is open, one call in this time may look whether the KMS is back.
const LOOK_EVERY_MS: u64 = 1000;

/// Days that a version of the root key wraps (R032). It opens for ever.
const ROOT_KEY_DAYS: u64 = 365;
const DAY_MS: u64 = 86_400_000;

/// A KMS behind its guard.
pub struct KmsGuard {
    inner: Arc<dyn Kms>,
    deadline: Duration,
    clock: Clock,
    entropy: EntropySource,
    breaker: Mutex<Breaker>,
    calls: Semaphore,
    callers: Semaphore,
    /// Whether it was said that the root key is too old; once for each version.
    said_expired: AtomicBool,
}

/// Whether calls go through.
#[derive(Debug)]
struct Breaker {
    /// Calls without an answer since the last answer.
    misses: u32,
    /// When the next call may look, while the breaker is open.
    next_look: Timestamp,
}

impl Breaker {
    /// Whether a call goes through: any while the KMS answers, else one a second, which looks.
    fn admits(&mut self, now: Timestamp) -> bool {
        if self.misses < MISSES {
            return true;
        }
        // A clock that was set back must not keep the breaker open.
        let is_due = now >= self.next_look || self.next_look.0 - now.0 > LOOK_EVERY_MS;
        if is_due {
            // Should this look be given up half way, another is due in a second.
            self.next_look = Timestamp(now.0.saturating_add(LOOK_EVERY_MS));
        }
        is_due
    }

    fn note(&mut self, is_answered: bool, now: Timestamp) {
        if is_answered {
            self.misses = 0;
            return;
        }
        self.misses = self.misses.saturating_add(1);
        if self.misses == MISSES {
            self.next_look = Timestamp(now.0.saturating_add(LOOK_EVERY_MS));
        }
    }
}

impl KmsGuard {
    /// Puts a guard before `inner`, whose calls may take `deadline` with all their retries.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Kms>,
        deadline: Duration,
        clock: Clock,
        entropy: EntropySource,
    ) -> Self {
        let (calls, callers) = (Semaphore::new(CALLS), Semaphore::new(CALLERS));
        let breaker = Mutex::new(Breaker { misses: 0, next_look: Timestamp(0) });
        let said_expired = AtomicBool::new(false);
        Self { inner, deadline, clock, entropy, breaker, calls, callers, said_expired }
    }

    async fn call<'a, T>(
        &'a self,
        operation: &'static str,
        call: impl Fn() -> KmsFuture<'a, T>,
    ) -> Result<T, KmsError> {
        let begun = tokio::time::Instant::now();
        let place = self.callers.try_acquire().ok();
        if place.is_none() || !self.breaker().admits(self.clock.now()) {
            self.count(operation, "shed");
            return Err(KmsError::Unavailable);
        }
        let tries = self.within(call);
        let outcome = tokio::time::timeout(self.deadline, tries).await;
        let outcome = outcome.unwrap_or(Err(KmsError::Unavailable));
        self.breaker().note(!matches!(outcome, Err(KmsError::Unavailable)), self.clock.now());
        self.count(
            operation,
            match &outcome {
                Ok(_) => "ok",
                Err(KmsError::Unavailable) => "unavailable",
                Err(KmsError::Refused) => "refused",
                Err(KmsError::Integrity) => "integrity",
                Err(KmsError::Expired) => "expired",
            },
        );
        let labels = [("backend", self.inner.name()), ("operation", operation)];
        metrics::histogram!("strongroom_kms_call_seconds", &labels).record(begun.elapsed());
        outcome
    }

    async fn within<'a, T>(&self, call: impl Fn() -> KmsFuture<'a, T>) -> Result<T, KmsError> {
        let Ok(_place) = self.calls.acquire().await else { return Err(KmsError::Unavailable) };
        let mut longest = FIRST_PAUSE;
        for _ in 1..TRIES {
            match call().await {
                // While nobody answers, more tries are more of the same.
                Err(KmsError::Unavailable) if self.breaker().misses < MISSES => {}
                outcome => return outcome,
            }
            tokio::time::sleep(self.part_of(longest)).await;
            longest *= 2;
        }
        call().await
    }

    /// Any time up to `longest`, so that callers who failed together do not return together.
    fn part_of(&self, longest: Duration) -> Duration {
        let mut drawn = [0];
        self.entropy.with(|entropy| entropy.fill(&mut drawn));
        let [part] = drawn;
        longest.mul_f64(f64::from(part) / 255.0)
    }

    /// Whether the root key is too old to wrap. Says so once, to whoever is on duty.
    fn is_expired(&self) -> bool {
        let RootKey::Versioned { version, made: Some(made) } = self.inner.root_key() else {
            return false;
        };
        let age_days = self.clock.now().0.saturating_sub(made.0) / DAY_MS;
        let is_expired = age_days > ROOT_KEY_DAYS;
        if is_expired && !self.said_expired.swap(true, Ordering::Relaxed) {
            let alert = "root_key_expired";
            tracing::error!(alert, version, age_days, "the root key wraps nothing more: rotate it");
            metrics::counter!("strongroom_alerts_total", "alert" => alert).increment(1);
        }
        is_expired
    }

    fn count(&self, operation: &'static str, outcome: &'static str) {
        let backend = self.inner.name();
        let labels = [("backend", backend), ("operation", operation), ("outcome", outcome)];
        metrics::counter!("strongroom_kms_calls_total", &labels).increment(1);
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        // Nothing in here panics half way.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kms for KmsGuard {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        if self.is_expired() {
            self.count("wrap", "expired");
            return Box::pin(async { Err(KmsError::Expired) });
        }
        Box::pin(self.call("wrap", || self.inner.wrap(kek, context)))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        // What hangs from it opens all the same; but it is known early that it must go.
        self.is_expired();
        Box::pin(self.call("unwrap", || {
            #[expect(clippy::disallowed_methods, reason = "the port in front of the port")]
            let opening = self.inner.unwrap(wrapped, context);
            opening
        }))
    }

    fn root_key(&self) -> RootKey {
        self.inner.root_key()
    }

    fn rotate(&self, now: Timestamp) -> KmsFuture<'_, RootKey> {
        Box::pin(async move {
            let rotated = self.inner.rotate(now).await?;
            self.said_expired.store(false, Ordering::Relaxed);
            Ok(rotated)
        })
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::tests::alerts;
    use keys::SystemEntropy;
    use model::{CategoryName, KekVersion};
    use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// A KMS whose next calls fail.
    #[derive(Default)]
    struct Ailing {
        failures_left: AtomicU32,
        hangs: AtomicBool,
        made: AtomicU64,
        calls: AtomicUsize,
        at_once: AtomicUsize,
        most_at_once: AtomicUsize,
    }

    impl Ailing {
        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }

        async fn answer(&self) -> Result<Vec<u8>, KmsError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let left = |left: u32| left.checked_sub(1);
            match self.failures_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
                Ok(_) => Err(KmsError::Unavailable),
                Err(_none) => Ok(vec![1]),
            }
        }
    }

    impl Kms for Ailing {
        fn wrap<'a>(&'a self, _: &'a Kek, _: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
            Box::pin(self.answer())
        }

        fn unwrap<'a>(&'a self, _: &'a [u8], _: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
            Box::pin(async { Err(KmsError::Refused) })
        }

        fn root_key(&self) -> RootKey {
            let made = Some(self.made.load(Ordering::SeqCst)).filter(|made| *made > 0);
            RootKey::Versioned { version: 1, made: made.map(Timestamp) }
        }

        fn rotate(&self, now: Timestamp) -> KmsFuture<'_, RootKey> {
            self.made.store(now.0, Ordering::SeqCst);
            Box::pin(async { Ok(self.root_key()) })
        }

        fn name(&self) -> &'static str {
            "ailing"
        }
    }

    struct House {
        kms: Arc<Ailing>,
        guard: KmsGuard,
        clock: Clock,
    }

    impl House {
        fn new(deadline: Duration) -> Self {
            let (kms, clock) = (Arc::new(Ailing::default()), Clock::fixed(NOW));
            let entropy = EntropySource::system();
            let guard = KmsGuard::new(Arc::clone(&kms) as _, deadline, clock.clone(), entropy);
            Self { kms, guard, clock }
        }

        async fn wrap(&self) -> Result<Vec<u8>, KmsError> {
            let film = CategoryName::parse("film").unwrap();
            let context = KekContext { tenant: "t", category: &film, version: KekVersion(1) };
            self.guard.wrap(&Kek::generate(&mut SystemEntropy), &context).await
        }

        #[expect(clippy::disallowed_methods, reason = "the port's own test")]
        async fn unwrap(&self) -> Result<Kek, KmsError> {
            let film = CategoryName::parse("film").unwrap();
            let context = KekContext { tenant: "t", category: &film, version: KekVersion(1) };
            self.guard.unwrap(&[], &context).await
        }

        fn fail(&self, calls: u32) {
            self.kms.failures_left.store(calls, Ordering::SeqCst);
        }
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_call_that_fails_twice_is_made_a_third_time_and_no_fourth() {
        let house = House::new(LONG);
        house.fail(2);
        assert!(house.wrap().await.is_ok());
        assert_eq!(house.kms.calls(), 3);
        house.fail(3);
        assert_eq!(house.wrap().await, Err(KmsError::Unavailable));
        assert_eq!(house.kms.calls(), 6);
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_is_not_asked_for_again() {
        let house = House::new(LONG);
        for _ in 0..3 * MISSES {
            assert_eq!(house.unwrap().await.unwrap_err(), KmsError::Refused);
        }
        assert!(house.wrap().await.is_ok(), "refusals open no breaker");
    }

    #[tokio::test]
    async fn a_kms_that_is_away_is_looked_for_once_a_second_and_found_again() {
        let house = House::new(LONG);
        house.fail(u32::MAX);
        for _ in 0..MISSES {
            assert!(house.wrap().await.is_err());
        }
        let before = house.kms.calls();
        for second in 1..=10 {
            for _ in 0..20 {
                assert_eq!(house.wrap().await, Err(KmsError::Unavailable));
            }
            house.clock.advance_ms(LOOK_EVERY_MS);
            assert_eq!(house.kms.calls(), before + second - 1, "one call a second, without retry");
        }
        house.fail(0);
        assert!(house.wrap().await.is_ok(), "the look that finds it");
        let before = house.kms.calls();
        for _ in 0..20 {
            assert!(house.wrap().await.is_ok());
        }
        assert_eq!(house.kms.calls(), before + 20);
    }

    #[tokio::test]
    async fn a_look_that_was_given_up_is_followed_by_another() {
        let house = House::new(Duration::from_millis(100));
        house.kms.hangs.store(true, Ordering::SeqCst);
        for _ in 0..MISSES {
            assert_eq!(house.wrap().await, Err(KmsError::Unavailable), "never beyond the deadline");
        }
        house.clock.advance_ms(LOOK_EVERY_MS);
        // The caller who looks goes away while it waits.
        let given_up = tokio::time::timeout(Duration::from_millis(1), house.wrap()).await;
        assert!(given_up.is_err());
        house.kms.hangs.store(false, Ordering::SeqCst);
        assert_eq!(house.wrap().await, Err(KmsError::Unavailable), "not twice in a second");
        house.clock.advance_ms(LOOK_EVERY_MS);
        assert!(house.wrap().await.is_ok());
    }

    #[tokio::test]
    async fn a_clock_set_back_does_not_keep_the_kms_away() {
        let house = House::new(LONG);
        house.fail(u32::MAX);
        for _ in 0..MISSES {
            assert!(house.wrap().await.is_err());
        }
        house.fail(0);
        if let Clock::Fixed(at) = &house.clock {
            at.store(1, Ordering::SeqCst);
        }
        assert!(house.wrap().await.is_ok());
    }

    #[tokio::test]
    async fn a_crowd_meets_a_slow_kms_in_small_groups() {
        let house = Arc::new(House::new(LONG));
        let crowd: Vec<_> = (0..4 * CALLS)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.wrap().await })
            })
            .collect();
        for call in crowd {
            assert!(call.await.unwrap().is_ok());
        }
        assert_eq!(house.kms.most_at_once.load(Ordering::SeqCst), CALLS);
    }

    #[tokio::test]
    async fn who_finds_no_room_to_wait_is_turned_away_at_once() {
        let house = Arc::new(House::new(LONG));
        house.kms.hangs.store(true, Ordering::SeqCst);
        let waiting: Vec<_> = (0..CALLERS)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.wrap().await })
            })
            .collect();
        while house.guard.callers.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let turned_away = tokio::time::timeout(Duration::from_secs(5), house.wrap()).await;
        assert_eq!(turned_away, Ok(Err(KmsError::Unavailable)));
        assert_eq!(house.kms.calls(), CALLS);
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }
    #[tokio::test]
    async fn a_root_key_older_than_a_year_opens_and_wraps_nothing_more() {
        let house = House::new(LONG);
        let (said, _guard) = alerts();
        let alerts = || {
            let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
            said.matches("root_key_expired").count()
        };
        house.kms.made.store(NOW.0, Ordering::SeqCst);
        house.clock.advance_ms(366 * DAY_MS - 1);
        assert!(house.wrap().await.is_ok());
        assert_eq!(alerts(), 0);
        house.clock.advance_ms(1);
        let calls = house.kms.calls();
        for _ in 0..3 {
            assert_eq!(house.wrap().await, Err(KmsError::Expired));
            assert_eq!(house.unwrap().await.unwrap_err(), KmsError::Refused, "it is asked");
        }
        assert_eq!((house.kms.calls(), alerts()), (calls, 1));
        house.guard.rotate(house.clock.now()).await.unwrap();
        assert!(house.wrap().await.is_ok());
        house.clock.advance_ms(366 * DAY_MS);
        // A look alone says it too.
        house.unwrap().await.unwrap_err();
        assert_eq!(alerts(), 2);
    }
}
