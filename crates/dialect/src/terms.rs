//! What a license allows, in terms that no DRM system owns: the neutral policy, compiled. A
//! dialect writes them into its own fields and reads them back.

pub use model::{AnalogOutput, Hdcp, Robustness, Seconds, SpanEnd};

use keys::ContentKey;
use model::{KeyId, OfflineRight, RenewalRight, TitlePolicy, TrackClass};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// What a device may do with a license as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseTerms {
    /// Whether it plays at all.
    pub can_play: bool,
    /// Whether it may be kept on the device.
    pub can_persist: bool,
    /// Whether the device may ask for more time.
    pub can_renew: bool,
    /// How long playback may begin, from the license's start.
    pub rental_s: Seconds,
    /// How long playback may go on, once begun.
    pub playback_s: Seconds,
    /// How long the license lives, from its start.
    pub license_s: Seconds,
    /// How renewal goes.
    pub renewal: RenewalTerms,
    /// How long playback may run before the playback span counts as begun.
    pub play_start_grace_s: Seconds,
    /// What happens at the end of the playback span.
    pub playback_end: SpanEnd,
    /// What happens at the end of the rental span.
    pub rental_end: SpanEnd,
}

impl LicenseTerms {
    /// The terms of a license under the policy; `persist` where the device asked to keep it.
    ///
    /// Where the policy has no offline right, the terms say that nothing is kept, whatever was
    /// asked: a caller that wants to refuse does it before. A kept license is not renewed, as
    /// a device without network would fall silent; it is asked for anew.
    #[must_use]
    pub fn of(policy: &TitlePolicy, persist: bool) -> Self {
        let offline = Some(&policy.offline).filter(|offline| persist && offline.allowed);
        let own = |of: fn(&OfflineRight) -> Seconds| offline.and_then(of);
        let renews = policy.renewal.allowed && offline.is_none();
        Self {
            can_play: true,
            can_persist: offline.is_some(),
            can_renew: renews,
            rental_s: own(|offline| offline.rental_s).or(policy.rental_s),
            playback_s: own(|offline| offline.playback_s).or(policy.playback_s),
            license_s: own(|offline| offline.license_s).or(Some(policy.license_s)),
            renewal: if renews {
                RenewalTerms::of(&policy.renewal)
            } else {
                RenewalTerms::default()
            },
            play_start_grace_s: policy.play_start_grace_s,
            playback_end: policy.playback_end,
            rental_end: policy.rental_end,
        }
    }

    /// The same license, which lives no longer than to the horizon up to which it carries keys
    /// (R125).
    #[must_use]
    pub fn up_to(mut self, horizon_s: NonZeroU32) -> Self {
        self.license_s = Some(self.license_s.map_or(horizon_s, |span| span.min(horizon_s)));
        self
    }

    /// The terms of a license that is renewed: the rental span goes on from the first license's
    /// start, and playback from where it is. `None` where either is over.
    ///
    /// `age_s` is how long ago the first license started, `playing_s` how long ago playback began,
    /// where it did.
    #[must_use]
    pub fn renewed(
        policy: &TitlePolicy,
        persist: bool,
        age_s: u64,
        playing_s: Option<u64>,
    ) -> Option<Self> {
        let mut terms = Self::of(policy, persist);
        let is_over = |span: Seconds, s| span.is_some_and(|span| u64::from(span.get()) <= s);
        let has_played_out =
            playing_s.is_some_and(|playing_s| is_over(terms.playback_s, playing_s));
        if has_played_out && terms.playback_end == SpanEnd::Stops {
            return None;
        }
        let plays_on = playing_s.is_some() && terms.rental_end == SpanEnd::PlaysOn;
        if is_over(terms.rental_s, age_s) && !plays_on {
            return None;
        }
        // What plays on after its rental may not begin again: the shortest span that there is.
        let left = |span: NonZeroU32| {
            let left = u64::from(span.get()).saturating_sub(age_s);
            u32::try_from(left).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
        };
        terms.rental_s = terms.rental_s.map(left);
        Some(terms)
    }
}

/// How a device asks for more time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalTerms {
    /// When it asks first, after the license's start.
    pub delay_s: Seconds,
    /// When it asks again, after no answer.
    pub retry_s: Seconds,
    /// How long it may play on without an answer.
    pub recovery_s: Seconds,
    /// Where it asks; `None` leaves that to the player.
    pub server_url: Option<String>,
    /// Whether it asks when playback begins.
    pub on_first_use: bool,
    /// Whether it says again who it is.
    pub with_identity: bool,
}

impl RenewalTerms {
    /// The address is left to the player, whose proxy holds the session.
    fn of(right: &RenewalRight) -> Self {
        Self {
            delay_s: right.delay_s,
            retry_s: right.retry_s,
            recovery_s: right.recovery_s,
            server_url: None,
            on_first_use: right.on_first_use,
            with_identity: right.with_identity,
        }
    }
}

/// What a device may do with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTerms {
    /// The least robustness under which the key may be used.
    pub robustness: Robustness,
    /// The link protection that its pictures need.
    pub hdcp: Hdcp,
    /// Whether its pictures may leave by an analog output.
    pub analog: AnalogOutput,
    /// The class of its tracks, where it opens only one.
    pub track_class: Option<TrackClass>,
}

impl KeyTerms {
    /// The terms of a key under the policy. One without a class may open any, so that the
    /// strictest terms of all classes are its own.
    #[must_use]
    pub fn of(policy: &TitlePolicy, class: Option<TrackClass>) -> Self {
        let of_class = |class| Self {
            robustness: policy.robustness(class),
            hdcp: policy.hdcp(class),
            analog: policy.analog(class),
            track_class: Some(class),
        };
        match class {
            Some(class) => of_class(class),
            None => TrackClass::ALL.into_iter().map(of_class).fold(Self::OPEN, Self::stricter),
        }
    }

    /// Nothing is asked.
    const OPEN: Self = Self {
        robustness: Robustness::SoftwareKeys,
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: None,
    };

    fn stricter(self, other: Self) -> Self {
        Self {
            robustness: self.robustness.max(other.robustness),
            hdcp: self.hdcp.max(other.hdcp),
            analog: self.analog.max(other.analog),
            track_class: self.track_class,
        }
    }
}

/// A key on its way into a license, or out of one.
#[derive(Debug)]
pub struct LicensedKey {
    /// Its public name.
    pub kid: KeyId,
    /// The key.
    pub key: ContentKey,
    /// What may be done with it.
    pub terms: KeyTerms,
    /// The constant IV of its tracks (ISO/IEC 23001-7, 10.4), where they have one. Only FairPlay's
    /// licenses carry it; everywhere else the media does.
    pub iv: Option<[u8; 16]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_kept_is_not_kept_whatever_is_asked() {
        let policy = TitlePolicy::default();
        assert_eq!(LicenseTerms::of(&policy, true), LicenseTerms::of(&policy, false));
        assert!(!LicenseTerms::of(&policy, true).can_persist);
    }

    #[test]
    fn a_kept_license_has_its_own_spans_and_is_not_renewed() {
        let mut policy = TitlePolicy { rental_s: NonZeroU32::new(100), ..TitlePolicy::default() };
        policy.renewal =
            RenewalRight { allowed: true, delay_s: NonZeroU32::new(5), ..policy.renewal };
        policy.offline = OfflineRight {
            allowed: true,
            license_s: NonZeroU32::new(7),
            playback_s: NonZeroU32::new(3),
            ..policy.offline
        };
        let [streamed, kept] = [false, true].map(|persist| LicenseTerms::of(&policy, persist));
        assert_eq!(
            (streamed.license_s, kept.license_s),
            (NonZeroU32::new(86_400), NonZeroU32::new(7))
        );
        assert_eq!((streamed.playback_s, kept.playback_s), (None, NonZeroU32::new(3)));
        assert_eq!((streamed.rental_s, kept.rental_s), (policy.rental_s, policy.rental_s));
        assert_eq!((streamed.can_renew, kept.can_renew), (true, false));
        assert_eq!((streamed.can_persist, kept.can_persist), (false, true));
        assert_eq!(kept.renewal, RenewalTerms::default());
    }

    #[test]
    fn a_license_up_to_a_horizon_lives_no_longer_and_no_shorter_ones_grow() {
        let of = |license_s| LicenseTerms { license_s, ..LicenseTerms::default() };
        let horizon_s = NonZeroU32::new(600).unwrap();
        for (own, expected) in [(None, 600), (Some(86_400), 600), (Some(600), 600), (Some(7), 7)] {
            let capped = of(own.and_then(NonZeroU32::new)).up_to(horizon_s);
            assert_eq!(capped, of(NonZeroU32::new(expected)));
        }
    }

    #[test]
    fn a_renewal_gives_no_second_more_than_the_rental_and_the_playback_span() {
        let of = |rental_end, playback_end| TitlePolicy {
            rental_s: NonZeroU32::new(100),
            playback_s: NonZeroU32::new(50),
            rental_end,
            playback_end,
            ..TitlePolicy::default()
        };
        let left = |policy: &TitlePolicy, age_s, playing_s| {
            let terms = LicenseTerms::renewed(policy, false, age_s, playing_s);
            terms.map(|terms| terms.rental_s.map_or(0, NonZeroU32::get))
        };
        let (stops, plays_on) = (SpanEnd::Stops, SpanEnd::PlaysOn);
        let hard = of(stops, stops);
        assert_eq!([0, 99, 100].map(|age| left(&hard, age, None)), [Some(100), Some(1), None]);
        assert_eq!([49, 50].map(|playing| left(&hard, 60, Some(playing))), [Some(40), None]);
        assert_eq!(left(&hard, 100, Some(10)), None);
        let soft = of(plays_on, stops);
        assert_eq!([None, Some(10)].map(|playing| left(&soft, 100, playing)), [None, Some(1)]);
        assert_eq!(left(&soft, u64::MAX, Some(50)), None);
        assert_eq!(left(&of(stops, plays_on), 99, Some(50)), Some(1));
        let endless = TitlePolicy::default();
        assert_eq!(left(&endless, u64::MAX, Some(u64::MAX)), Some(0), "without a rental");
    }

    #[test]
    fn a_key_for_every_class_has_the_strictest_terms_of_all() {
        let mut policy = TitlePolicy::default();
        policy.outputs.sd.hdcp = Hdcp::V2_2;
        policy.outputs.hd.analog = AnalogOutput::Refused;
        policy.outputs.audio.robustness = Some(Robustness::HardwareAll);
        let expected = KeyTerms {
            robustness: Robustness::HardwareAll,
            hdcp: Hdcp::V2_2,
            analog: AnalogOutput::Refused,
            track_class: None,
        };
        assert_eq!(KeyTerms::of(&policy, None), expected);
        let audio = KeyTerms::of(&policy, Some(TrackClass::Audio));
        assert_eq!((audio.hdcp, audio.track_class), (Hdcp::Unneeded, Some(TrackClass::Audio)));
    }
}
