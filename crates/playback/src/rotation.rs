//! Licenses of a live event whose keys change: which keys a license carries now, and when the
//! viewer is to ask again (R122, R124, R125).
//!
//! A license reaches as far as the policy's horizon, so a viewer asks about once a horizon and
//! not once a key. The server says when ([`next_license_s`]), each viewer at a moment of its own:
//! nobody waits for the keys of a rotation to come near, and no second has all viewers in it.

use model::{Entropy, PeriodSpan, RotationRight, Timestamp, TitlePolicy};
use std::num::NonZeroU32;

/// How far ahead licenses carry keys; `None` is without end.
#[must_use]
pub fn horizon(policy: &TitlePolicy, now: Timestamp) -> Option<Timestamp> {
    let right = &policy.rotation;
    (!right.whole_event).then(|| now.plus_s(right.horizon_s.get().into()))
}

/// Whether a license made now carries the key of this period.
///
/// `carries_end`: whether the dialect's license has an end of its own, at the horizon or before.
/// Where it has none (Clear Key), only the span of a key limits what the viewer can see with it:
/// then no key is given that serves behind the horizon, but the one that is in use now.
/// Keys of past periods are given: there is time shift.
#[must_use]
pub fn is_given(
    span: &PeriodSpan,
    now: Timestamp,
    horizon: Option<Timestamp>,
    carries_end: bool,
) -> bool {
    let Some(horizon) = horizon else { return true };
    let is_current = span.begins <= now && now < span.ends;
    is_current || (span.begins < horizon && (carries_end || span.ends <= horizon))
}

/// The right as a dialect without an end fulfills it: its licenses surely reach one period less
/// far, because the last key of the horizon is not in them ([`is_given`]).
///
/// At least a tenth of the horizon stays: where a period is nearly as long as the horizon,
/// viewers would ask all the time. They then meet a period whose key they lack, and ask for it.
#[must_use]
pub fn without_end(right: &RotationRight, period_s: NonZeroU32) -> RotationRight {
    let horizon_s = right.horizon_s.get();
    let reach_s = horizon_s.saturating_sub(period_s.get()).max(horizon_s / 10);
    RotationRight { horizon_s: NonZeroU32::new(reach_s).unwrap_or(NonZeroU32::MIN), ..*right }
}

/// In how many seconds a viewer who gets a license now is to ask for the next one; `None` where
/// one license serves the whole event.
///
/// Shape: later licenses follow each other at a distance of the horizon without a margin. The
/// first of a session has a random distance, uniform above the margin and up to the same, so
/// that viewers who joined together never meet again.
///
/// In a dialect without an end, the right is [`without_end`].
#[must_use]
pub fn next_license_s(
    right: &RotationRight,
    is_first: bool,
    entropy: &mut (impl Entropy + ?Sized),
) -> Option<u32> {
    if right.whole_event {
        return None;
    }
    let (margin_s, horizon_s) = (margin_s(right), right.horizon_s.get());
    let later_s = horizon_s.saturating_sub(margin_s).max(1);
    let choices = later_s.saturating_sub(margin_s);
    if !is_first || choices == 0 {
        return Some(later_s);
    }
    let mut draw = [0; 8];
    entropy.fill(&mut draw);
    Some(later_s - below(choices, u64::from_le_bytes(draw)))
}

/// How long before its keys end a viewer asks for more: 1.5 % of the horizon, for the way there
/// and back, and for a second try.
fn margin_s(right: &RotationRight) -> u32 {
    let margin_s = u64::from(right.horizon_s.get()) * 3 / 200;
    u32::try_from(margin_s).unwrap_or(u32::MAX).max(1)
}

/// A number from 0 to below `bound`, from 64 random bits: their share of all that 64 bits can
/// be, of the bound. How often one number comes differs from another by less than 2^-32.
fn below(bound: u32, random: u64) -> u32 {
    let share = (u128::from(random) * u128::from(bound)) >> 64;
    u32::try_from(share).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rotation;
    use proptest::prelude::*;

    /// A linear congruential generator (Knuth's MMIX): seeded, and even over 64 bits.
    struct Seeded(u64);

    impl Entropy for Seeded {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 =
                    self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                *byte = self.0.to_be_bytes()[0];
            }
        }
    }

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn right(horizon_s: u32) -> RotationRight {
        RotationRight { horizon_s: number(horizon_s), whole_event: false }
    }

    fn policy(rotation: RotationRight) -> TitlePolicy {
        TitlePolicy { rotation, ..TitlePolicy::default() }
    }

    const WHOLE: RotationRight =
        RotationRight { horizon_s: RotationRight::HORIZON_S, whole_event: true };

    const BEGINS: Timestamp = Timestamp(1_790_000_000_000);

    fn periods_of(period_s: u32) -> Rotation {
        Rotation { period_s: number(period_s), batch_periods: number(10) }
    }

    #[test]
    fn the_whole_event_has_no_horizon_and_no_next_license() {
        assert_eq!(horizon(&policy(WHOLE), BEGINS), None);
        assert_eq!(next_license_s(&WHOLE, true, &mut Fixed(0)), None);
        assert_eq!(next_license_s(&WHOLE, false, &mut Fixed(0)), None);
        let far = periods_of(60).span_of(100_000, BEGINS);
        assert!(is_given(&far, BEGINS, None, true) && is_given(&far, BEGINS, None, false));
    }

    #[test]
    fn a_license_reaches_to_the_horizon_and_to_the_millisecond() {
        let horizon = horizon(&policy(right(600)), BEGINS);
        assert_eq!(horizon, Some(BEGINS.plus_s(600)));
        let span = |begins_ms: u64, ends_ms: u64| PeriodSpan {
            begins: Timestamp(BEGINS.0 + begins_ms),
            ends: Timestamp(BEGINS.0 + ends_ms),
        };
        let given = |span, carries_end| is_given(&span, BEGINS, horizon, carries_end);
        assert!(given(span(599_999, 659_999), true));
        assert!(!given(span(600_000, 660_000), true), "begins at the horizon");
        assert!(given(span(540_000, 600_000), false));
        assert!(!given(span(540_001, 600_001), false), "ends behind the horizon");
        assert!(given(span(0, 900_000), false), "the key of the moment, however long it serves");
        assert!(!given(span(1, 900_000), false), "not of the moment yet");
    }

    #[test]
    fn the_first_delay_is_drawn_between_the_margins_and_later_ones_are_the_longest() {
        let ask = |right, is_first, byte| next_license_s(&right, is_first, &mut Fixed(byte));
        assert_eq!(ask(right(600), false, 0), Some(591));
        assert_eq!(ask(right(600), true, 0), Some(591));
        assert_eq!(ask(right(600), true, 0xff), Some(10));
        assert_eq!(ask(right(3), true, 0xff), Some(2));
        assert_eq!(ask(right(1), true, 0xff), Some(1), "never at once");
        assert_eq!(ask(right(u32::MAX), true, 0xff), Some(64_424_510));
    }

    #[test]
    fn a_dialect_without_an_end_is_asked_a_period_earlier_and_never_all_the_time() {
        let reach =
            |horizon_s, period_s| without_end(&right(horizon_s), number(period_s)).horizon_s.get();
        assert_eq!(reach(600, 60), 540);
        assert_eq!(reach(600, 600), 60);
        assert_eq!(reach(600, u32::MAX), 60);
        assert_eq!(reach(1, 9), 1);
        assert!(without_end(&WHOLE, number(60)).whole_event);
    }

    #[test]
    fn the_draw_is_uniform() {
        const DRAWS: u32 = 582 * 1000;
        let mut entropy = Seeded(1);
        let mut counts = vec![0_u32; 592];
        for _ in 0..DRAWS {
            let delay_s = next_license_s(&right(600), true, &mut entropy).unwrap();
            counts[delay_s as usize] += 1;
        }
        assert!(counts[..10].iter().all(|count| *count == 0));
        // Chi squared with 581 degrees of freedom: mean 581, standard deviation 34.
        let far = |count: &u32| (f64::from(*count) - 1000.0).powi(2) / 1000.0;
        let chi_squared: f64 = counts[10..].iter().map(far).sum();
        assert!((400.0..750.0).contains(&chi_squared), "{chi_squared}");
    }

    proptest! {
        #[test]
        fn no_key_leaves_that_the_viewer_may_not_have_yet(
            period_s in 1_u32..2000,
            horizon_s in 1_u32..2000,
            period in 0_u32..500,
            at_ms in 0_u64..500_000_000,
            carries_end: bool,
        ) {
            let span = periods_of(period_s).span_of(period, BEGINS);
            let now = Timestamp(BEGINS.0 + at_ms);
            let end = now.plus_s(horizon_s.into());
            if is_given(&span, now, Some(end), carries_end) {
                prop_assert!(span.begins < end);
                let is_current = span.begins <= now && now < span.ends;
                prop_assert!(carries_end || is_current || span.ends <= end);
                prop_assert!(is_given(&span, now, Some(end), true), "an end never takes keys away");
            } else {
                prop_assert!(now < span.begins, "past keys and the current one are given");
            }
        }

        #[test]
        fn who_asks_when_told_never_lacks_the_key_of_the_moment(
            seed: u64,
            period_s in 2_u32..200,
            horizon_s in 20_u32..2000,
            joins_ms in 0_u64..2_000_000,
            carries_end: bool,
        ) {
            // Without an end, the horizon must be longer than a period and its margins.
            prop_assume!(carries_end || horizon_s >= 2 * period_s);
            let (rotation, right) = (periods_of(period_s), right(horizon_s));
            let told = if carries_end { right } else { without_end(&right, number(period_s)) };
            let (mut entropy, mut is_first) = (Seeded(seed), true);
            let mut now = Timestamp(BEGINS.0 + joins_ms);
            for _ in 0..50 {
                let end = horizon(&policy(right), now);
                let delay_s = next_license_s(&told, is_first, &mut entropy).unwrap();
                let next = now.plus_s(delay_s.into());
                is_first = false;
                // Every period that is on before the next license comes.
                let (first, last) = (rotation.period_at(now.0 - BEGINS.0), rotation.period_at(next.0 - BEGINS.0));
                for period in first..=last {
                    let span = rotation.span_of(period, BEGINS);
                    prop_assert!(is_given(&span, now, end, carries_end), "{period} of {first}..={last}");
                }
                // The license itself lives as long where it has an end.
                prop_assert!(next < end.unwrap());
                now = next;
            }
        }
    }
}
