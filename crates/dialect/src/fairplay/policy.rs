//! Neutral terms to a license's duration and HDCP blocks and back. The license says less than the
//! terms: what it cannot say it says stricter, and a key for which it cannot is not written.

use crate::terms::{
    AnalogOutput, Hdcp, KeyTerms, LicenseTerms, RenewalTerms, Robustness, Seconds, SpanEnd,
};
use std::num::NonZeroU32;

/// What a CKC says beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// How long the key serves.
    pub duration: KeyDuration,
    /// The link protection of outputs.
    pub hdcp: HdcpRule,
}

/// How long a key serves, seconds from the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDuration {
    /// No duration is said: until the player ends its session.
    Session,
    /// Until then; playback stops.
    Lease(NonZeroU32),
    /// Playback begins until then.
    Rental(NonZeroU32),
    /// Both.
    LeaseAndRental {
        /// As [`Self::Lease`].
        lease_s: NonZeroU32,
        /// As [`Self::Rental`].
        rental_s: NonZeroU32,
    },
    /// It is kept, without end.
    Persistent,
    /// It is kept until then.
    PersistentFor(NonZeroU32),
}

/// The link protection of digital outputs. Either type keeps pictures from analog outputs, which
/// have no such protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HdcpRule {
    /// Any output.
    Unneeded,
    /// Any version of HDCP.
    Type0,
    /// HDCP 2.2 or later.
    Type1,
}

/// How a device of this system holds keys: the license cannot ask for more, nor for less.
const ROBUSTNESS: Robustness = Robustness::least_of(super::LEVEL);

/// What a license says of terms, in neutral words: the same, or stricter.
///
/// A streamed license is a lease of the shortest span; a kept one serves for the shortest span. Its
/// renewal is the player's own.
#[must_use]
pub fn carried_terms(terms: &LicenseTerms) -> LicenseTerms {
    LicenseTerms { can_play: terms.can_play, ..terms_of(duration_of(terms)) }
}

/// What a license says of a key's terms, in neutral words: the same, or stricter, where
/// [`can_say`] holds. Nothing that does not is licensed.
#[must_use]
pub fn carried_key_terms(terms: &KeyTerms) -> KeyTerms {
    key_terms_of(hdcp_of(terms))
}

/// Whether a license says at least these terms. It cannot say HDCP 2.3, no digital output, or more
/// than keys in hardware: such a key is not for these devices.
#[must_use]
pub fn can_say(terms: &KeyTerms) -> bool {
    let carried = carried_key_terms(terms);
    carried.hdcp >= terms.hdcp
        && carried.analog >= terms.analog
        && carried.robustness >= terms.robustness
}

pub(super) fn duration_of(terms: &LicenseTerms) -> KeyDuration {
    let shortest = [terms.license_s, terms.rental_s, terms.playback_s].into_iter().flatten().min();
    let is_rental = terms.license_s.or(terms.playback_s).is_none();
    match (shortest, terms.rental_s) {
        (None, _) if terms.can_persist => KeyDuration::Persistent,
        (None, _) => KeyDuration::Session,
        (Some(shortest_s), _) if terms.can_persist => KeyDuration::PersistentFor(shortest_s),
        (Some(_), Some(rental_s)) if is_rental && terms.rental_end == SpanEnd::PlaysOn => {
            KeyDuration::Rental(rental_s)
        }
        (Some(lease_s), Some(rental_s)) => KeyDuration::LeaseAndRental { lease_s, rental_s },
        (Some(lease_s), None) => KeyDuration::Lease(lease_s),
    }
}

pub(super) fn hdcp_of(terms: &KeyTerms) -> HdcpRule {
    match (terms.hdcp, terms.analog) {
        (Hdcp::Unneeded, AnalogOutput::Allowed) => HdcpRule::Unneeded,
        (Hdcp::Unneeded | Hdcp::V1, _) => HdcpRule::Type0,
        (Hdcp::V2 | Hdcp::V2_1 | Hdcp::V2_2 | Hdcp::V2_3 | Hdcp::NoDigitalOutput, _) => {
            HdcpRule::Type1
        }
    }
}

pub(super) fn terms_of(duration: KeyDuration) -> LicenseTerms {
    let (license_s, rental_s): (Seconds, Seconds) = match duration {
        KeyDuration::Session | KeyDuration::Persistent => (None, None),
        KeyDuration::Lease(s) | KeyDuration::PersistentFor(s) => (Some(s), None),
        KeyDuration::Rental(s) => (None, Some(s)),
        KeyDuration::LeaseAndRental { lease_s, rental_s } => (Some(lease_s), Some(rental_s)),
    };
    let is_rental = matches!(duration, KeyDuration::Rental(_));
    LicenseTerms {
        can_play: true,
        can_persist: matches!(duration, KeyDuration::Persistent | KeyDuration::PersistentFor(_)),
        can_renew: false,
        rental_s,
        playback_s: None,
        license_s,
        renewal: RenewalTerms::default(),
        play_start_grace_s: None,
        playback_end: SpanEnd::Stops,
        rental_end: if is_rental { SpanEnd::PlaysOn } else { SpanEnd::Stops },
    }
}

pub(super) const fn key_terms_of(hdcp: HdcpRule) -> KeyTerms {
    let (hdcp, analog) = match hdcp {
        HdcpRule::Unneeded => (Hdcp::Unneeded, AnalogOutput::Allowed),
        HdcpRule::Type0 => (Hdcp::V1, AnalogOutput::Refused),
        HdcpRule::Type1 => (Hdcp::V2_2, AnalogOutput::Refused),
    };
    KeyTerms { robustness: ROBUSTNESS, hdcp, analog, track_class: None }
}
