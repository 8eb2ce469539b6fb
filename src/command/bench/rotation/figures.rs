//! What a simulated event came to, and whether that is what DESIGN promises.

use super::crowd::{Crowd, Shape, Tally};
use serde::Serialize;

/// Requests of the busiest second around a rotation, as a multiple of the mean, at most (R124).
const PEAK: f64 = 3.0;
/// Licenses of a viewer where one license serves the whole event, at most (R122).
const WHOLE_EVENT: f64 = 1.2;

/// Licenses by why they were asked for.
#[derive(Debug, Serialize)]
pub struct Kinds {
    /// Playback began.
    pub first: u64,
    /// The server had said when.
    pub follow_up: u64,
    /// A key was lacking.
    pub lacking: u64,
}

impl Kinds {
    /// All of them.
    pub const fn all(&self) -> u64 {
        self.first + self.follow_up + self.lacking
    }
}

/// The figures of one event.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Licenses by kind.
    pub licenses: Kinds,
    /// Licenses of a viewer, in the mean.
    pub a_viewer: f64,
    /// The most that one viewer had.
    pub a_viewer_most: u32,
    /// What the mean may be.
    pub a_viewer_bound: f64,
    /// Licenses a second in the mean, first ones apart.
    pub mean_per_s: f64,
    /// The most in one second, first ones apart.
    pub peak_per_s: u32,
    /// The second of the peak, from the begin of its key period.
    pub peak_at_s: u32,
    /// How many times the mean the peak is; 0 where nobody asks again.
    pub peak_to_mean: f64,
    /// First licenses in the busiest second.
    pub joins_peak_per_s: u32,
    /// Bytes of a license, in the mean.
    pub license_bytes: f64,
    /// Bytes of all licenses.
    pub license_bytes_all: u64,
    /// Viewers who ever lacked the key of the moment.
    pub lacked: usize,
}

impl Figures {
    /// Of a crowd that has watched to the end. `reach_s`: how far ahead licenses surely carry keys;
    /// none where they carry all.
    pub fn of(crowd: &Crowd, shape: &Shape, reach_s: Option<u32>) -> Self {
        let Tally { joins, told, lacks, bytes } = crowd.tally();
        let all = |list: &[u32]| list.iter().map(|count| u64::from(*count)).sum::<u64>();
        let licenses = Kinds { first: all(joins), follow_up: all(told), lacking: all(lacks) };
        let again = told.iter().zip(lacks).map(|(told, lacks)| told + lacks);
        let (second, peak_per_s) =
            (0..).zip(again).max_by_key(|(_, count)| *count).unwrap_or_default();
        let mean_per_s =
            (licenses.follow_up + licenses.lacking) as f64 / f64::from(shape.event_s.max(1));
        let asked = licenses.all().max(1);
        Self {
            licenses,
            a_viewer: asked as f64 / f64::from(shape.viewers.max(1)),
            a_viewer_most: crowd.most_licenses(),
            a_viewer_bound: bound(shape, reach_s),
            mean_per_s,
            peak_per_s,
            peak_at_s: second % shape.period_s.get(),
            peak_to_mean: if peak_per_s == 0 { 0.0 } else { f64::from(peak_per_s) / mean_per_s },
            joins_peak_per_s: joins.iter().copied().max().unwrap_or(0),
            license_bytes: *bytes as f64 / asked as f64,
            license_bytes_all: *bytes,
            lacked: crowd.lacked(),
        }
    }

    /// What was promised and is not so.
    pub fn missed(&self) -> Vec<&'static str> {
        let checks = [
            (self.a_viewer <= self.a_viewer_bound, "licenses of a viewer"),
            (self.peak_to_mean <= PEAK, "the busiest second"),
            (self.lacked == 0, "viewers who lacked the key of the moment"),
            (self.licenses.lacking == 0, "licenses for a key that was lacking"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect()
    }
}

/// How many licenses a viewer may need in the mean: one, and one for each time that licenses reach;
/// 13 in two hours of ten minutes each.
fn bound(shape: &Shape, reach_s: Option<u32>) -> f64 {
    reach_s
        .map_or(WHOLE_EVENT, |reach_s| 1.0 + f64::from(shape.event_s) / f64::from(reach_s.max(1)))
}

#[cfg(test)]
mod tests {
    use super::super::crowd::{Kept, Why};
    use super::*;
    use model::{Entropy, Rotation, RotationRight, Timestamp};
    use playback::rotation::{is_given, next_license_s, without_end};
    use std::num::NonZeroU32;

    /// SplitMix64: the same in every run.
    struct Seeded(u64);

    impl Entropy for Seeded {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                *byte = (word ^ (word >> 27)).to_be_bytes()[0];
            }
        }
    }

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    /// A server that follows the rules of `playback::rotation`.
    struct Rules {
        horizon_s: Option<u32>,
        carries_end: bool,
        /// What it says in place of the rules.
        says_s: Option<u32>,
    }

    const HALF_HOUR: Shape = Shape {
        viewers: 6000,
        event_s: 1800,
        ramp_s: NonZeroU32::new(90).unwrap(),
        period_s: NonZeroU32::new(30).unwrap(),
        classes: 1,
        keys: 81,
        deaf_s: None,
    };

    fn watch(rules: &Rules, shape: Shape) -> Figures {
        let begins = Timestamp(1_800_000_000_000);
        let rotation = Rotation { period_s: shape.period_s, batch_periods: number(10) };
        let right = RotationRight {
            horizon_s: number(rules.horizon_s.unwrap_or(1)),
            whole_event: rules.horizon_s.is_none(),
        };
        let told = if rules.carries_end { right } else { without_end(&right, shape.period_s) };
        let mut entropy = Seeded(1);
        let mut crowd = Crowd::new(shape, &mut entropy);
        for second in 0..shape.event_s {
            let now = begins.plus_s(second.into());
            let end = rules.horizon_s.map(|horizon_s| now.plus_s(horizon_s.into()));
            for (viewer, why) in crowd.begin(second) {
                let given = |period: &usize| {
                    let span = rotation.span_of(u32::try_from(*period).unwrap(), begins);
                    is_given(&span, now, end, rules.carries_end)
                };
                let mut keys: Vec<usize> = (0..shape.keys - 1).filter(given).collect();
                keys.push(shape.keys - 1);
                let next = next_license_s(&told, why == Why::Joins, &mut entropy);
                let next_s = rules.says_s.or(next);
                let lives_s = rules.horizon_s.filter(|_| rules.carries_end);
                crowd.keep(viewer, second, why, &Kept { keys, lives_s, next_s, bytes: 100 });
            }
        }
        Figures::of(&crowd, &shape, rules.horizon_s.map(|_| told.horizon_s.get()))
    }

    #[test]
    fn by_the_rules_every_promise_is_kept() {
        let rules = Rules { horizon_s: Some(300), carries_end: true, says_s: None };
        let figures = watch(&rules, HALF_HOUR);
        assert!(figures.missed().is_empty(), "{figures:?}");
        assert!((6.5..7.0).contains(&figures.a_viewer), "{figures:?}");
        assert!(figures.a_viewer_most <= 8);
        assert_eq!(figures.licenses.first, 6000);
        assert_eq!(figures.license_bytes, 100.0);
        assert!(figures.peak_to_mean > 1.0);
    }

    #[test]
    fn without_an_end_a_license_reaches_a_period_less_far() {
        let rules = Rules { horizon_s: Some(300), carries_end: false, says_s: None };
        let figures = watch(&rules, HALF_HOUR);
        assert!(figures.missed().is_empty(), "{figures:?}");
        assert!((7.0..7.7).contains(&figures.a_viewer), "{figures:?}");
    }

    #[test]
    fn one_license_serves_the_whole_event_where_it_may() {
        let rules = Rules { horizon_s: None, carries_end: true, says_s: None };
        let figures = watch(&rules, HALF_HOUR);
        assert!(figures.missed().is_empty(), "{figures:?}");
        assert_eq!((figures.a_viewer, figures.peak_per_s), (1.0, 0));
    }

    #[test]
    fn the_same_delay_for_all_is_found_out() {
        // Who came together in 90 seconds asks together in 90 of 294.
        let rules = Rules { horizon_s: Some(300), carries_end: true, says_s: Some(294) };
        assert_eq!(watch(&rules, HALF_HOUR).missed(), ["the busiest second"]);
        let deaf = Shape { deaf_s: NonZeroU32::new(294), ..HALF_HOUR };
        let rules = Rules { says_s: None, ..rules };
        assert_eq!(watch(&rules, deaf).missed(), ["the busiest second"]);
    }

    #[test]
    fn a_delay_that_is_too_long_leaves_viewers_without_a_key() {
        for carries_end in [true, false] {
            let rules = Rules { horizon_s: Some(300), carries_end, says_s: Some(301) };
            let figures = watch(&rules, HALF_HOUR);
            assert!(figures.lacked > 5000, "{figures:?}");
            assert!(figures.missed().contains(&"viewers who lacked the key of the moment"));
        }
        // Whoever is told nothing asks when a key is lacking, all of them at once.
        let rules = Rules { horizon_s: Some(300), carries_end: true, says_s: Some(u32::MAX) };
        let figures = watch(&rules, HALF_HOUR);
        assert!(figures.peak_to_mean > 50.0 && figures.licenses.lacking > 0, "{figures:?}");
        assert_eq!(figures.peak_at_s, 0, "where a period begins");
    }

    #[test]
    fn a_key_that_names_a_track_is_needed_too() {
        let mut crowd = Crowd::new(Shape { viewers: 1, ..HALF_HOUR }, &mut Seeded(1));
        let second = (0..90).find(|second| !crowd.begin(*second).is_empty()).unwrap();
        let kept = Kept { keys: (0..80).collect(), ..Kept::default() };
        crowd.keep(0, second, Why::Joins, &kept);
        assert_eq!(crowd.lacked(), 1);
    }

    #[test]
    fn too_short_a_delay_is_more_licenses_than_promised() {
        let rules = Rules { horizon_s: Some(300), carries_end: true, says_s: Some(60) };
        assert!(watch(&rules, HALF_HOUR).missed().contains(&"licenses of a viewer"));
    }
}
