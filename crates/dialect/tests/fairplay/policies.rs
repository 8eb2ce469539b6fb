//! Neutral policies, compiled, written into licenses and decoded back: what a license says is the
//! same or stricter, and a key of which it cannot say that is not in it.

use crate::policy_table::policies;
use crate::world::*;
use dialect::fairplay::client::{Ask, Draft};
use dialect::fairplay::{
    Capabilities, Framing, Issue, LicenseError, can_say, carried_key_terms, carried_terms,
};
use dialect::terms::*;
use keys::SystemEntropy;
use model::{TitlePolicy, TrackClass};
use proptest::prelude::*;
use std::num::NonZeroU32;

#[test]
fn the_decoded_license_is_what_is_carried_of_the_policy() {
    let policies = policies();
    assert!(policies.len() >= 40, "{}", policies.len());
    let (mut carried, mut withheld) = (0, 0);
    for policy in &policies {
        for persist in [false, true] {
            for class in TrackClass::ALL.into_iter().map(Some).chain([None]) {
                if decodes_back(policy, persist, class) { carried += 1 } else { withheld += 1 }
            }
        }
    }
    println!("{} policies: {carried} licenses, {withheld} keys withheld", policies.len());
    assert!(carried > 300 && withheld > 0, "{carried} {withheld}");
}

/// Whether there is a license; it is compared field by field.
fn decodes_back(policy: &TitlePolicy, persist: bool, class: Option<TrackClass>) -> bool {
    let terms = LicenseTerms::of(policy, persist);
    let key = LicensedKey { terms: KeyTerms::of(policy, class), ..licensed(1) };
    let asset = asset(1);
    let asked = Ask { persist, framing: Framing::Json, ..ask(&asset) };
    let (pending, body) = WORLD.device.ask(&asked, &mut SystemEntropy);
    let challenge = WORLD.challenge(&body);
    assert_eq!(challenge.can_keep(&key.terms), can_say(&key.terms));
    let (key_terms, issue) = (key.terms, Issue { terms: &terms, now: NOW });
    let answer = challenge.answer(&issue, key, &mut SystemEntropy);
    let read = pending.open(answer.as_bytes(), NOW);
    if !can_say(&key_terms) {
        assert_eq!(read.err(), Some(LicenseError::NoKey), "{key_terms:?}");
        assert_eq!(answer.read_back().err(), Some(LicenseError::NoKey));
        return false;
    }
    let license = read.unwrap();
    assert_eq!(license.terms, carried_terms(&terms), "{policy:?}");
    assert_eq!(license.keys[0].terms, carried_key_terms(&key_terms), "{policy:?}");
    assert_eq!(answer.read_back().unwrap().terms, license.terms);
    says_no_less(&license, policy, persist, class);
    true
}

/// The policy, field by field, against what the decoded license says.
fn says_no_less(
    license: &dialect::fairplay::OpenedLicense,
    policy: &TitlePolicy,
    persist: bool,
    class: Option<TrackClass>,
) {
    let (terms, key) = (&license.terms, license.keys[0].terms);
    let kept = persist && policy.offline.allowed;
    assert_eq!((terms.can_play, terms.can_persist, terms.can_renew), (true, kept, false));
    let span = |own: Seconds, general: Seconds| if kept && own.is_some() { own } else { general };
    let spans = [
        span(policy.offline.license_s, Some(policy.license_s)),
        span(policy.offline.rental_s, policy.rental_s),
        span(policy.offline.playback_s, policy.playback_s),
    ];
    assert_eq!(terms.license_s, spans.into_iter().flatten().min());
    assert_eq!((terms.rental_end, terms.playback_end), (SpanEnd::Stops, SpanEnd::Stops));
    for class in class.map_or(TrackClass::ALL.to_vec(), |class| vec![class]) {
        let rule = policy.outputs.of(class);
        assert!(key.hdcp >= rule.hdcp && key.analog >= rule.analog);
        assert!(Some(key.robustness) >= rule.robustness);
        if policy.capture_protected && class != TrackClass::Audio {
            panic!("what must not be captured needs more than is public: {policy:?}");
        }
    }
}

/// Type 1 is said only to a client that says it can enforce it.
#[test]
fn a_client_that_cannot_enforce_type_1_gets_no_key_that_needs_it() {
    let mut weak = WORLD.root.make_device(&mut SystemEntropy).client().unwrap();
    weak.capabilities = Capabilities::default();
    for (hdcp, is_kept) in
        [(Hdcp::Unneeded, true), (Hdcp::V1, true), (Hdcp::V2, false), (Hdcp::V2_2, false)]
    {
        let mut key = licensed(1);
        key.terms.hdcp = hdcp;
        let (pending, body) = ask_kid(&weak, 1);
        assert_eq!(WORLD.challenge(&body).can_keep(&key.terms), is_kept);
        let answer = WORLD.answer(&body, key);
        assert_eq!(pending.open(answer.as_bytes(), NOW).is_ok(), is_kept, "{hdcp:?}");
    }
    // Nor does one that says nothing.
    let mut silent: Draft = draft(1);
    silent.blocks.retain(|(tag, _)| ![tag::CAPABILITIES, tag::RETURN_REQUEST].contains(tag));
    assert!(!WORLD.challenge(&sent(silent).1).can_keep(&licensed(1).terms));
}

fn span() -> impl Strategy<Value = Seconds> {
    prop_oneof![Just(None), (1..1000_u32).prop_map(NonZeroU32::new)]
}

fn end() -> impl Strategy<Value = SpanEnd> {
    prop_oneof![Just(SpanEnd::Stops), Just(SpanEnd::PlaysOn)]
}

fn any_terms() -> impl Strategy<Value = LicenseTerms> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, span(), span(), span(), span(), end(), end()).prop_map(
        |((can_play, can_persist, can_renew), rental_s, playback_s, license_s, grace, a, b)| {
            LicenseTerms {
                can_play,
                can_persist,
                can_renew,
                rental_s,
                playback_s,
                license_s,
                renewal: RenewalTerms::default(),
                play_start_grace_s: grace,
                playback_end: a,
                rental_end: b,
            }
        },
    )
}

fn any_key_terms() -> impl Strategy<Value = KeyTerms> {
    let robustness = prop::sample::select(vec![
        Robustness::SoftwareKeys,
        Robustness::SoftwareDecoding,
        Robustness::HardwareKeys,
        Robustness::HardwareDecoding,
        Robustness::HardwareAll,
    ]);
    let hdcp = prop::sample::select(vec![
        Hdcp::Unneeded,
        Hdcp::V1,
        Hdcp::V2,
        Hdcp::V2_1,
        Hdcp::V2_2,
        Hdcp::V2_3,
        Hdcp::NoDigitalOutput,
    ]);
    let analog = prop::sample::select(vec![AnalogOutput::Allowed, AnalogOutput::Refused]);
    let class = prop::option::of(prop::sample::select(TrackClass::ALL.to_vec()));
    (robustness, hdcp, analog, class).prop_map(|(robustness, hdcp, analog, track_class)| KeyTerms {
        robustness,
        hdcp,
        analog,
        track_class,
    })
}

/// Whether playback that began at `began_s` may go on at `now_s`, both since the license's start.
fn may_play(terms: &LicenseTerms, began_s: u32, now_s: u32) -> bool {
    let is_over = |span: Seconds, s: u32| span.is_some_and(|span| span.get() <= s);
    let stops = |end: SpanEnd| end == SpanEnd::Stops;
    let grace_s = terms.play_start_grace_s.map_or(0, NonZeroU32::get);
    let playing_s = (now_s - began_s).saturating_sub(grace_s);
    let ends = [
        is_over(terms.license_s, now_s),
        is_over(terms.rental_s, began_s),
        stops(terms.rental_end) && is_over(terms.rental_s, now_s),
        stops(terms.playback_end) && is_over(terms.playback_s, playing_s),
    ];
    terms.can_play && !ends.contains(&true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_carried_is_never_laxer(terms in any_terms(), began_s in 0..1100_u32, on_s in 0..1100_u32) {
        let carried = carried_terms(&terms);
        prop_assert_eq!(&carried_terms(&carried), &carried);
        prop_assert_eq!(carried.can_persist, terms.can_persist);
        prop_assert!(!carried.can_renew || terms.can_renew);
        let now_s = began_s + on_s;
        prop_assert!(!may_play(&carried, began_s, now_s) || may_play(&terms, began_s, now_s));
    }

    #[test]
    fn what_is_carried_of_a_key_is_never_laxer(terms in any_key_terms()) {
        let carried = carried_key_terms(&terms);
        prop_assert_eq!(carried_key_terms(&carried), carried);
        prop_assert!(can_say(&carried) && carried.track_class.is_none());
        let is_no_laxer = carried.robustness >= terms.robustness
            && carried.hdcp >= terms.hdcp && carried.analog >= terms.analog;
        prop_assert_eq!(can_say(&terms), is_no_laxer);
        let is_public = terms.robustness <= Robustness::HardwareKeys && terms.hdcp <= Hdcp::V2_2;
        prop_assert_eq!(can_say(&terms), is_public);
    }

    /// Any terms, through a license.
    #[test]
    fn any_terms_decode_back(terms in any_terms(), key_terms in any_key_terms()) {
        let (pending, body) = ask_kid(&WORLD.device, 1);
        let issue = Issue { terms: &terms, now: NOW };
        let key = LicensedKey { terms: key_terms, ..licensed(1) };
        let answer = WORLD.challenge(&body).answer(&issue, key, &mut SystemEntropy);
        let read = pending.open(answer.as_bytes(), NOW);
        prop_assert_eq!(read.is_ok(), terms.can_play && can_say(&key_terms));
        if let Ok(license) = read {
            prop_assert_eq!(license.terms, carried_terms(&terms));
            prop_assert_eq!(license.keys[0].terms, carried_key_terms(&key_terms));
        }
    }
}
