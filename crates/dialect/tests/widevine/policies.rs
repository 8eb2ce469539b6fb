//! Neutral policies, compiled, written into licenses and decoded back.

use crate::policy_table::{policies, table};
use crate::world::*;
use dialect::terms::*;
use keys::SystemEntropy;
use model::{Scheme, TitlePolicy, TrackClass};

/// A key of each class, and one for all.
fn keys_of(policy: &TitlePolicy) -> Vec<LicensedKey> {
    let classes = TrackClass::ALL.into_iter().map(Some).chain([None]);
    classes
        .zip(1..)
        .map(|(class, byte)| LicensedKey { terms: KeyTerms::of(policy, class), ..licensed(byte) })
        .collect()
}

#[test]
fn the_decoded_license_equals_the_policy_that_was_compiled() {
    let policies = policies();
    assert!(policies.len() >= 40, "{}", policies.len());
    for (number, policy) in policies.iter().enumerate() {
        for persist in [false, true] {
            let scheme = Scheme::ALL[number % 2];
            let terms = LicenseTerms::of(policy, persist);
            let (pending, body) = ask_kids(&WORLD.l1, &[1, 2, 3, 4, 5]);
            let issue = WORLD.issue(&terms, scheme);
            let answer = WORLD.challenge(&body).answer(&issue, keys_of(policy), &mut SystemEntropy);
            let (license, _) = pending.open(answer.as_bytes()).unwrap();
            assert_eq!(license.terms, terms, "{policy:?}");
            let decoded: Vec<KeyTerms> = license.keys.iter().map(|key| key.terms).collect();
            let compiled: Vec<KeyTerms> = keys_of(policy).iter().map(|key| key.terms).collect();
            assert_eq!(decoded, compiled, "{policy:?}");
            says_what_the_policy_says(&license.terms, &decoded, policy, persist);
        }
    }
}

/// The grant, field by field: what the decoded license says is what the policy says.
fn says_what_the_policy_says(
    terms: &LicenseTerms,
    keys: &[KeyTerms],
    policy: &TitlePolicy,
    persist: bool,
) {
    let kept = persist && policy.offline.allowed;
    let span = |own: Seconds, general: Seconds| if kept && own.is_some() { own } else { general };
    assert_eq!((terms.can_play, terms.can_persist), (true, kept));
    assert_eq!(terms.license_s, span(policy.offline.license_s, Some(policy.license_s)));
    assert_eq!(terms.rental_s, span(policy.offline.rental_s, policy.rental_s));
    assert_eq!(terms.playback_s, span(policy.offline.playback_s, policy.playback_s));
    assert_eq!(terms.play_start_grace_s, policy.play_start_grace_s);
    let ends = (terms.rental_end, terms.playback_end);
    assert_eq!(ends, (policy.rental_end, policy.playback_end));
    assert_eq!(terms.can_renew, policy.renewal.allowed && !kept);
    if terms.can_renew {
        let (said, asked) = (&terms.renewal, policy.renewal);
        assert_eq!((said.delay_s, said.retry_s), (asked.delay_s, asked.retry_s));
        assert_eq!(said.recovery_s, asked.recovery_s);
        let said = (said.on_first_use, said.with_identity);
        assert_eq!(said, (asked.on_first_use, asked.with_identity));
    }
    for (key, class) in keys.iter().zip(TrackClass::ALL) {
        let rule = policy.outputs.of(class);
        assert!(key.hdcp >= rule.hdcp && key.analog >= rule.analog);
        assert!(Some(key.robustness) >= rule.robustness);
        if policy.capture_protected && class != TrackClass::Audio {
            assert!(key.hdcp >= Hdcp::V1 && key.robustness >= Robustness::HardwareDecoding);
            assert_eq!(key.analog, AnalogOutput::Refused);
        }
        assert_eq!(key.track_class, Some(class));
        let any = keys.last().unwrap();
        assert!(any.hdcp >= key.hdcp && any.analog >= key.analog, "{any:?}");
        assert!(any.robustness >= key.robustness && any.track_class.is_none(), "{any:?}");
    }
}

#[test]
fn each_field_changes_the_license() {
    let policies = policies();
    let said = |policy: &TitlePolicy| {
        let keys: Vec<KeyTerms> = keys_of(policy).iter().map(|key| key.terms).collect();
        format!("{:?}{:?}{keys:?}", LicenseTerms::of(policy, false), LicenseTerms::of(policy, true))
    };
    let mut seen = std::collections::BTreeMap::new();
    for (policy, text) in policies.iter().zip(table()) {
        if let Some(earlier) = seen.insert(said(policy), text.clone()) {
            panic!("the same license under\n{earlier}\nand\n{text}");
        }
    }
}
