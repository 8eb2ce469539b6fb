//! Neutral terms to the license's policy fields and back. Every field is written, so that no
//! client's idea of a default decides: `soft_enforce_rental_duration` is true where absent.

use super::messages::Policy;
use crate::terms::{Hdcp, LicenseTerms, RenewalTerms, Robustness, Seconds, SpanEnd};
use std::num::NonZeroU32;

/// Longest renewal address that is read.
const MAX_URL_BYTES: usize = 2048;

pub(super) fn policy_of(terms: &LicenseTerms) -> Policy {
    let renewal = &terms.renewal;
    Policy {
        can_play: Some(terms.can_play),
        can_persist: Some(terms.can_persist),
        can_renew: Some(terms.can_renew),
        rental_duration_seconds: seconds(terms.rental_s),
        playback_duration_seconds: seconds(terms.playback_s),
        license_duration_seconds: seconds(terms.license_s),
        renewal_recovery_duration_seconds: seconds(renewal.recovery_s),
        renewal_server_url: renewal.server_url.clone(),
        renewal_delay_seconds: seconds(renewal.delay_s),
        renewal_retry_interval_seconds: seconds(renewal.retry_s),
        renew_with_usage: Some(renewal.on_first_use),
        always_include_client_id: Some(renewal.with_identity),
        play_start_grace_period_seconds: seconds(terms.play_start_grace_s),
        soft_enforce_playback_duration: Some(terms.playback_end == SpanEnd::PlaysOn),
        soft_enforce_rental_duration: Some(terms.rental_end == SpanEnd::PlaysOn),
    }
}

/// `None` on a span that is negative or longer than 136 years, or an address too long.
pub(super) fn terms_of(policy: Policy) -> Option<LicenseTerms> {
    let server_url = policy.renewal_server_url.filter(|url| !url.is_empty());
    if server_url.as_ref().is_some_and(|url| url.len() > MAX_URL_BYTES) {
        return None;
    }
    Some(LicenseTerms {
        can_play: policy.can_play.unwrap_or(false),
        can_persist: policy.can_persist.unwrap_or(false),
        can_renew: policy.can_renew.unwrap_or(false),
        rental_s: span(policy.rental_duration_seconds)?,
        playback_s: span(policy.playback_duration_seconds)?,
        license_s: span(policy.license_duration_seconds)?,
        renewal: RenewalTerms {
            delay_s: span(policy.renewal_delay_seconds)?,
            retry_s: span(policy.renewal_retry_interval_seconds)?,
            recovery_s: span(policy.renewal_recovery_duration_seconds)?,
            server_url,
            on_first_use: policy.renew_with_usage.unwrap_or(false),
            with_identity: policy.always_include_client_id.unwrap_or(false),
        },
        play_start_grace_s: span(policy.play_start_grace_period_seconds)?,
        playback_end: end(policy.soft_enforce_playback_duration.unwrap_or(false)),
        rental_end: end(policy.soft_enforce_rental_duration.unwrap_or(true)),
    })
}

/// Without end is zero.
fn seconds(span: Seconds) -> Option<i64> {
    Some(span.map_or(0, |seconds| i64::from(seconds.get())))
}

fn span(seconds: Option<i64>) -> Option<Seconds> {
    u32::try_from(seconds.unwrap_or(0)).ok().map(NonZeroU32::new)
}

const fn end(is_soft: bool) -> SpanEnd {
    if is_soft { SpanEnd::PlaysOn } else { SpanEnd::Stops }
}

const HDCP: [(i32, Hdcp); 7] = [
    (0, Hdcp::Unneeded),
    (1, Hdcp::V1),
    (2, Hdcp::V2),
    (3, Hdcp::V2_1),
    (4, Hdcp::V2_2),
    (5, Hdcp::V2_3),
    (255, Hdcp::NoDigitalOutput),
];

pub(super) fn hdcp_of(number: i32) -> Option<Hdcp> {
    HDCP.iter().find(|(known, _)| *known == number).map(|(_, hdcp)| *hdcp)
}

pub(super) const fn number_of_hdcp(hdcp: Hdcp) -> i32 {
    match hdcp {
        Hdcp::Unneeded => 0,
        Hdcp::V1 => 1,
        Hdcp::V2 => 2,
        Hdcp::V2_1 => 3,
        Hdcp::V2_2 => 4,
        Hdcp::V2_3 => 5,
        Hdcp::NoDigitalOutput => 255,
    }
}

/// `SW_SECURE_CRYPTO` to `HW_SECURE_ALL`.
pub(super) const fn number_of_robustness(robustness: Robustness) -> i32 {
    match robustness {
        Robustness::SoftwareKeys => 1,
        Robustness::SoftwareDecoding => 2,
        Robustness::HardwareKeys => 3,
        Robustness::HardwareDecoding => 4,
        Robustness::HardwareAll => 5,
    }
}

/// Absent is `SW_SECURE_CRYPTO`.
pub(super) const fn robustness_of(level: Option<i32>) -> Option<Robustness> {
    match level {
        None | Some(1) => Some(Robustness::SoftwareKeys),
        Some(2) => Some(Robustness::SoftwareDecoding),
        Some(3) => Some(Robustness::HardwareKeys),
        Some(4) => Some(Robustness::HardwareDecoding),
        Some(5) => Some(Robustness::HardwareAll),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_allows_nothing_and_ends_softly_only_where_the_protocol_says() {
        let expected = LicenseTerms { rental_end: SpanEnd::PlaysOn, ..LicenseTerms::default() };
        assert_eq!(terms_of(Policy::default()), Some(expected));
    }

    #[test]
    fn every_field_is_written() {
        let policy = policy_of(&LicenseTerms::default());
        let written = format!("{policy:?}");
        // The address has no neutral value: an empty one would be an address.
        assert_eq!(written.matches("None").count(), 1, "{written}");
        assert_eq!(policy.soft_enforce_rental_duration, Some(false));
    }

    #[test]
    fn spans_that_make_no_sense_are_refused() {
        for seconds in [-1, i64::MIN, i64::from(u32::MAX) + 1] {
            let rental_duration_seconds = Some(seconds);
            assert_eq!(terms_of(Policy { rental_duration_seconds, ..Policy::default() }), None);
        }
        let renewal_server_url = Some("a".repeat(2049));
        assert_eq!(terms_of(Policy { renewal_server_url, ..Policy::default() }), None);
    }

    #[test]
    fn numbers_and_names_are_one_to_one() {
        for (number, hdcp) in HDCP {
            assert_eq!((number_of_hdcp(hdcp), hdcp_of(number)), (number, Some(hdcp)));
        }
        for number in 1..=5 {
            let robustness = robustness_of(Some(number)).unwrap();
            assert_eq!(number_of_robustness(robustness), number);
        }
        assert_eq!((robustness_of(Some(0)), robustness_of(Some(6))), (None, None));
        assert_eq!((hdcp_of(6), hdcp_of(-1)), (None, None));
    }
}
