//! Key rotation: a title's keys change at regular intervals, so that a key that leaks opens one
//! interval and no other (R120).

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// How the keys of a title change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long each key serves, seconds. Keys change where a segment begins.
    pub period_s: NonZeroU32,
    /// How many periods one batch has: the keys that a `pssh` names at once, so that a player
    /// asks once for all of them (R122).
    pub batch_periods: NonZeroU32,
}

impl Rotation {
    /// The period of a moment, milliseconds from the begin of the title.
    #[must_use]
    pub fn period_at(&self, ms: u64) -> u32 {
        let index = ms / (u64::from(self.period_s.get()) * 1000);
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// The batch of a period, counted from 0.
    #[must_use]
    pub const fn batch_of(&self, period: u32) -> u32 {
        period / self.batch_periods.get()
    }

    /// The periods of a batch.
    #[must_use]
    pub const fn periods_of(&self, batch: u32) -> std::ops::Range<u32> {
        let first = batch.saturating_mul(self.batch_periods.get());
        first..first.saturating_add(self.batch_periods.get())
    }

    /// When a period of a live event is: half-open, and right behind the one before it.
    #[must_use]
    pub fn span_of(&self, period: u32, event_begins: Timestamp) -> PeriodSpan {
        let period_s = u64::from(self.period_s.get());
        let begins = event_begins.plus_s(u64::from(period).saturating_mul(period_s));
        PeriodSpan { begins, ends: begins.plus_s(period_s) }
    }
}

/// The one period that a key serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyPeriod {
    /// Its number, counted from 0 through the title.
    pub index: u32,
    /// When it is; absent where a title is not live, so that each viewer has it at another time.
    pub span: Option<PeriodSpan>,
}

/// When a period is: from a moment until before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeriodSpan {
    /// The first moment.
    pub begins: Timestamp,
    /// The first moment behind it.
    pub ends: Timestamp,
}

impl PeriodSpan {
    /// How long it is, whole seconds, and no less than one.
    #[must_use]
    pub fn length_s(&self) -> NonZeroU32 {
        let length_s = self.ends.0.saturating_sub(self.begins.0) / 1000;
        u32::try_from(length_s)
            .map_or(NonZeroU32::MAX, |s| NonZeroU32::new(s).unwrap_or(NonZeroU32::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_follow_each_other_without_a_gap_and_batches_hold_each_once() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let rotation = Rotation { period_s: number(60), batch_periods: number(10) };
        assert_eq!([0, 59_999, 60_000, 7_199_999].map(|ms| rotation.period_at(ms)), [0, 0, 1, 119]);
        assert_eq!([0, 9, 10, 119].map(|period| rotation.batch_of(period)), [0, 0, 1, 11]);
        assert_eq!(rotation.periods_of(1), 10..20);
        assert_eq!(rotation.period_at(u64::MAX), u32::MAX);
        let begins = Timestamp(5);
        let spans = [0, 1].map(|period| rotation.span_of(period, begins));
        assert_eq!((spans[0].begins, spans[0].ends), (Timestamp(5), Timestamp(60_005)));
        assert_eq!(spans[1].begins, spans[0].ends);
        assert_eq!(spans[0].length_s(), number(60));
        let none = PeriodSpan { begins: Timestamp(1), ends: Timestamp(0) };
        assert_eq!(none.length_s(), number(1));
    }
}
