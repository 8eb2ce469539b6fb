//! The CDM's clock: it never goes back, and it never stands still while the CDM runs (R116).
//!
//! The device's clock belongs to the viewer. What it says counts where it is ahead of what the CDM
//! knows; where it is behind, the time that passes is added to what the CDM knows. So a clock that
//! is set back stretches nothing, and neither does one that was set forward before. Time that
//! passes while no CDM runs is counted by the device's clock alone: [`crate::Sessions`] keeps the
//! latest time with its records, so that the next run begins there at the earliest.

use model::Timestamp;

/// A clock that goes forward only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecureClock {
    /// What it shows.
    shows: Timestamp,
    /// What the device's clock said last; absent: it was not asked yet.
    told: Option<Timestamp>,
}

impl SecureClock {
    /// A clock that shows this time or a later one.
    pub(crate) const fn since(latest: Timestamp) -> Self {
        Self { shows: latest, told: None }
    }

    /// The time, now that the device's clock says `told`.
    pub(crate) fn tick(&mut self, told: Timestamp) -> Timestamp {
        let passed = self.told.map_or(0, |before| told.0.saturating_sub(before.0));
        self.told = Some(told);
        self.shows = Timestamp(self.shows.0.saturating_add(passed)).max(told);
        self.shows
    }

    /// What it shows.
    pub(crate) const fn shows(&self) -> Timestamp {
        self.shows
    }

    /// Somebody who knows says that it is at least this late; by how many milliseconds the clock
    /// was behind.
    pub(crate) fn is_at_least(&mut self, known: Timestamp) -> u64 {
        let behind = known.0.saturating_sub(self.shows.0);
        self.shows = self.shows.max(known);
        behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000_000).plus_s(seconds)
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let mut clock = SecureClock::since(at(0));
        assert_eq!(clock.tick(at(100)), at(100));
        assert_eq!(clock.tick(at(40)), at(100), "set back");
        assert_eq!(clock.tick(at(45)), at(105), "and time passes all the same");
        assert_eq!(clock.tick(at(1000)), at(1060));
    }

    #[test]
    fn a_clock_that_was_set_forward_stays_there() {
        let mut clock = SecureClock::since(at(0));
        assert_eq!(clock.tick(at(5000)), at(5000));
        assert_eq!(clock.tick(at(10)), at(5000));
        let mut next_run = SecureClock::since(clock.shows());
        assert_eq!(next_run.tick(at(20)), at(5000));
        assert_eq!(next_run.tick(at(30)), at(5010));
    }

    #[test]
    fn a_server_may_know_better() {
        let mut clock = SecureClock::since(at(0));
        clock.tick(at(10));
        assert_eq!(clock.is_at_least(at(9)), 0);
        assert_eq!(clock.is_at_least(at(70)), 60_000);
        assert_eq!((clock.tick(at(11)), clock.tick(at(12))), (at(71), at(72)));
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_never_passes_less_than_the_device(
            told in proptest::collection::vec(0_u64..100_000, 1..20),
        ) {
            let mut clock = SecureClock::since(Timestamp(0));
            let mut before: Option<(u64, u64)> = None;
            for now in told {
                let shown = clock.tick(Timestamp(now)).0;
                prop_assert!(shown >= now);
                if let Some((was_told, was_shown)) = before {
                    prop_assert!(shown - was_shown >= now.saturating_sub(was_told));
                }
                before = Some((now, shown));
            }
        }
    }
}
