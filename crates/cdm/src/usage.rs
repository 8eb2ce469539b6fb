//! What a license allows, held against a clock: the spans of its policy, when it is renewed, and
//! what each key demands of the device (R118).
//!
//! Spans are counted by the CDM's own clock from the moment of the request, which is never later
//! than the server's start of the license: a wrong clock of either side gives no longer right.

use crate::sessions::KeyStatus;
use dialect::terms::{Hdcp, KeyTerms, LicenseTerms, RenewalTerms, Robustness, Seconds, SpanEnd};
use model::{SecurityLevel, Timestamp};
use serde::{Deserialize, Serialize};

/// What this CDM can keep safe, and where its pictures may go. It has no analog output, so that
/// whatever a key says of one is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) robustness: Robustness,
    pub(crate) max_hdcp: Hdcp,
}

impl Reach {
    /// What a level stands for: L1 keeps keys, decoding and what is behind it inside, L2 the
    /// keys, L3 nothing but obfuscated software.
    pub(crate) const fn of_level(level: SecurityLevel, max_hdcp: Hdcp) -> Self {
        let robustness = match level {
            SecurityLevel::L1 => Robustness::HardwareAll,
            SecurityLevel::L2 => Robustness::HardwareKeys,
            SecurityLevel::L3 => Robustness::SoftwareDecoding,
        };
        Self { robustness, max_hdcp }
    }

    fn allows(self, key: &KeyTerms) -> KeyStatus {
        if key.robustness > self.robustness {
            return KeyStatus::InternalError;
        }
        if key.hdcp > self.max_hdcp { KeyStatus::OutputRestricted } else { KeyStatus::Usable }
    }
}

/// A license in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    terms: LicenseTerms,
    /// When it was asked for.
    asked: Timestamp,
    /// The first decryption.
    begun: Option<Timestamp>,
    /// The latest one.
    last_played: Option<Timestamp>,
    renewal: Renewal,
}

/// Requests for more time that were not answered yet.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Usage {
    pub(crate) fn new(terms: LicenseTerms, asked: Timestamp) -> Self {
        Self { terms, asked, begun: None, last_played: None, renewal: Renewal::default() }
    }

    /// The clock was behind by so many milliseconds when the license was asked for.
    pub(crate) const fn was_behind(&mut self, ms: u64) {
        self.asked = Timestamp(self.asked.0.saturating_add(ms));
    }

    /// Whether something was decrypted.
    pub(crate) const fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// A license without an end: what Clear Key has.
    pub(crate) fn endless(asked: Timestamp) -> Self {
        Self::new(LicenseTerms { can_play: true, ..LicenseTerms::default() }, asked)
    }

    /// What a key may do now.
    pub(crate) fn status(&self, key: &KeyTerms, reach: Reach, now: Timestamp) -> KeyStatus {
        if !self.terms.can_play {
            return KeyStatus::InternalError;
        }
        if self.has_ended(now) { KeyStatus::Expired } else { reach.allows(key) }
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        let terms = &self.terms;
        let is_over = |from, span| ends(from, span).is_some_and(|end| now >= end);
        // The rental span decides whether playback may begin; its own end says what becomes of
        // playback that did.
        let rental_counts = self.begun.is_none() || terms.rental_end == SpanEnd::Stops;
        let begun = self.begun.filter(|_| terms.playback_end == SpanEnd::Stops);
        is_over(self.asked, terms.license_s)
            || rental_counts && is_over(self.asked, terms.rental_s)
            || begun.is_some_and(|begun| is_over(begun, terms.playback_s))
            || self.renewal.first.is_some_and(|first| is_over(first, terms.renewal.recovery_s))
    }

    /// Something is decrypted.
    pub(crate) fn plays(&mut self, now: Timestamp) {
        self.begun.get_or_insert(now);
        self.last_played = Some(now);
    }

    /// Whether it is time to ask for more time.
    pub(crate) fn is_renewal_due(&self, now: Timestamp) -> bool {
        let RenewalTerms { delay_s, retry_s, on_first_use, .. } = self.terms.renewal;
        if !self.terms.can_renew {
            return false;
        }
        if let Some(last) = self.renewal.last {
            // Without an interval the one request stands.
            return ends(last, retry_s).is_some_and(|again| now >= again);
        }
        on_first_use && self.begun.is_some_and(|begun| begun >= self.asked)
            || ends(self.asked, delay_s).is_some_and(|due| now >= due)
    }

    /// More time was asked for.
    pub(crate) fn asks(&mut self, now: Timestamp) {
        self.renewal.first.get_or_insert(now);
        self.renewal.last = Some(now);
    }

    /// Whether a request for more time is on its way.
    pub(crate) const fn is_asking(&self) -> bool {
        self.renewal.last.is_some()
    }

    /// More time was given. It counts from the first request that may have been answered.
    pub(crate) fn renew(&mut self, terms: LicenseTerms) {
        self.asked = self.renewal.first.unwrap_or(self.asked);
        // What played before has been told; the next renewal waits for its delay.
        self.terms = LicenseTerms {
            renewal: RenewalTerms { on_first_use: false, ..terms.renewal },
            ..terms
        };
        self.renewal = Renewal::default();
    }

    /// Seconds since playback began, and since something played last.
    pub(crate) fn played_s(&self, now: Timestamp) -> (u32, u32) {
        let since = |moment: Option<Timestamp>| {
            let seconds = moment.map_or(0, |moment| now.as_s().saturating_sub(moment.as_s()));
            u32::try_from(seconds).unwrap_or(u32::MAX)
        };
        (since(self.begun), since(self.last_played))
    }
}

/// The end of a span; `None` is without one.
fn ends(from: Timestamp, span: Seconds) -> Option<Timestamp> {
    span.map(|seconds| from.plus_s(seconds.get().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialect::terms::AnalogOutput;
    use std::num::NonZeroU32;

    const KEY: KeyTerms = KeyTerms {
        robustness: Robustness::SoftwareKeys,
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: None,
    };

    const fn s(seconds: u32) -> Seconds {
        NonZeroU32::new(seconds)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000_000).plus_s(seconds)
    }

    fn terms() -> LicenseTerms {
        LicenseTerms { can_play: true, can_renew: true, ..LicenseTerms::default() }
    }

    fn status(usage: &Usage, seconds: u64) -> KeyStatus {
        usage.status(&KEY, Reach::of_level(SecurityLevel::L3, Hdcp::V2_3), at(seconds))
    }

    #[test]
    fn a_license_ends_to_the_second() {
        let usage = Usage::new(LicenseTerms { license_s: s(60), ..terms() }, at(0));
        assert_eq!(
            [status(&usage, 59), status(&usage, 60)],
            [KeyStatus::Usable, KeyStatus::Expired]
        );
        assert_eq!(status(&Usage::endless(at(0)), 1 << 40), KeyStatus::Usable);
    }

    #[test]
    fn playback_begins_within_the_rental_and_goes_on_as_its_end_says() {
        for (rental_end, later) in
            [(SpanEnd::Stops, KeyStatus::Expired), (SpanEnd::PlaysOn, KeyStatus::Usable)]
        {
            let rental = LicenseTerms { rental_s: s(60), rental_end, ..terms() };
            let mut usage = Usage::new(rental, at(0));
            assert_eq!(status(&usage, 60), KeyStatus::Expired, "it never began");
            usage.plays(at(59));
            assert_eq!(status(&usage, 61), later);
        }
    }

    #[test]
    fn the_playback_span_counts_from_the_first_picture() {
        for (playback_end, later) in
            [(SpanEnd::Stops, KeyStatus::Expired), (SpanEnd::PlaysOn, KeyStatus::Usable)]
        {
            let span = LicenseTerms { playback_s: s(10), playback_end, ..terms() };
            let mut usage = Usage::new(span, at(0));
            assert_eq!(status(&usage, 1000), KeyStatus::Usable);
            usage.plays(at(1000));
            usage.plays(at(1009));
            assert_eq!([status(&usage, 1009), status(&usage, 1010)], [KeyStatus::Usable, later]);
            assert_eq!(usage.played_s(at(1012)), (12, 3));
        }
    }

    #[test]
    fn more_time_is_asked_for_by_the_policy() {
        let renewal = RenewalTerms {
            delay_s: s(40),
            retry_s: s(5),
            recovery_s: s(12),
            ..RenewalTerms::default()
        };
        let terms = LicenseTerms { license_s: s(60), renewal, ..terms() };
        let mut usage = Usage::new(terms.clone(), at(0));
        assert!(!usage.is_renewal_due(at(39)) && usage.is_renewal_due(at(40)));
        usage.asks(at(41));
        assert!(!usage.is_renewal_due(at(45)) && usage.is_renewal_due(at(46)));
        usage.asks(at(46));
        assert_eq!(status(&usage, 52), KeyStatus::Usable);
        assert_eq!(status(&usage, 53), KeyStatus::Expired, "no answer within the recovery");
        usage.renew(terms);
        assert_eq!(
            [status(&usage, 100), status(&usage, 101)],
            [KeyStatus::Usable, KeyStatus::Expired]
        );
        assert!(!usage.is_renewal_due(at(80)) && usage.is_renewal_due(at(81)));
    }

    #[test]
    fn the_first_use_may_have_to_be_told() {
        let renewal = RenewalTerms { on_first_use: true, ..RenewalTerms::default() };
        let terms = LicenseTerms { renewal, ..terms() };
        let mut usage = Usage::new(terms.clone(), at(0));
        assert!(!usage.is_renewal_due(at(9)));
        usage.plays(at(9));
        assert!(usage.is_renewal_due(at(9)));
        usage.asks(at(9));
        usage.renew(terms.clone());
        assert!(!usage.is_renewal_due(at(1000)), "once");
        let mut silent = Usage::new(LicenseTerms { can_renew: false, ..terms }, at(0));
        silent.plays(at(9));
        assert!(!silent.is_renewal_due(at(9)));
    }

    #[test]
    fn a_key_demands_more_than_the_device_has() {
        let usage = Usage::endless(at(0));
        let of = |key: KeyTerms, level, max_hdcp| {
            usage.status(&key, Reach::of_level(level, max_hdcp), at(0))
        };
        use KeyStatus::{InternalError, OutputRestricted, Usable};
        for (robustness, [l1, l2, l3]) in [
            (Robustness::SoftwareDecoding, [Usable, Usable, Usable]),
            (Robustness::HardwareKeys, [Usable, Usable, InternalError]),
            (Robustness::HardwareDecoding, [Usable, InternalError, InternalError]),
            (Robustness::HardwareAll, [Usable, InternalError, InternalError]),
        ] {
            let key = KeyTerms { robustness, ..KEY };
            assert_eq!(of(key, SecurityLevel::L1, Hdcp::V2_3), l1);
            assert_eq!(of(key, SecurityLevel::L2, Hdcp::V2_3), l2);
            assert_eq!(of(key, SecurityLevel::L3, Hdcp::V2_3), l3);
        }
        let hdcp = KeyTerms { hdcp: Hdcp::V2_2, ..KEY };
        assert_eq!(of(hdcp, SecurityLevel::L1, Hdcp::V2_1), OutputRestricted);
        assert_eq!(of(hdcp, SecurityLevel::L1, Hdcp::V2_2), Usable);
        let none = KeyTerms { hdcp: Hdcp::NoDigitalOutput, ..KEY };
        assert_eq!(of(none, SecurityLevel::L1, Hdcp::V2_3), OutputRestricted);
        let nothing = Usage::new(LicenseTerms::default(), at(0));
        assert_eq!(status(&nothing, 0), InternalError, "a license that plays nothing");
    }
}
