//! RENEWAL and RELEASE: signed under the session's key, bound to one license.

use crate::wire;
use crate::world::*;
use dialect::terms::{LicenseTerms, RenewalTerms};
use dialect::widevine::client::ClientSession;
use dialect::widevine::{
    ChallengeError, Desk, Device, DeviceList, LicenseError, Renewal, RenewalKind, Request,
};
use keys::{SessionSeal, SystemEntropy};
use model::{Scheme, SecurityLevel};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

fn session() -> ClientSession {
    let (pending, body) = ask_kids(&WORLD.l1, &[1]);
    let answer = WORLD.answer(&body, vec![licensed(1)]);
    pending.open(answer.as_bytes()).unwrap().1
}

fn renewal(body: &[u8]) -> Renewal {
    match WORLD.parse(body).unwrap() {
        Request::Existing(renewal) => *renewal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_license_is_renewed_again_and_again_and_given_back() {
    let mut session = session();
    for version in 1..4 {
        let renewal = renewal(&session.ask(RenewalKind::Renew, 60, 5, NOW));
        assert_eq!((renewal.kind(), renewal.memo()), (RenewalKind::Renew, &b"session 1"[..]));
        assert_eq!((renewal.since_started_s(), renewal.since_last_played_s()), (Some(60), Some(5)));
        assert_eq!(renewal.first_started_s(), NOW.as_s());
        let terms = LicenseTerms {
            can_play: true,
            can_renew: true,
            license_s: NonZeroU32::new(600 + u32::try_from(version).unwrap()),
            renewal: RenewalTerms { delay_s: NonZeroU32::new(300), ..RenewalTerms::default() },
            ..LicenseTerms::default()
        };
        let answer = renewal.answer(&WORLD.issue(&terms, Scheme::Cbcs), &mut SystemEntropy);
        assert_eq!(answer.read_back().unwrap().terms, terms);
        assert!(wire::fields(answer.as_bytes()).iter().all(|(field, _)| *field != 4));
        let license = session.open(answer.as_bytes()).unwrap();
        assert_eq!((license.id.version, license.keys.len()), (version, 0));
        assert_eq!(license.terms, terms);
        assert_eq!(session.open(answer.as_bytes()).err(), Some(LicenseError::Version));
    }
    let renewal = renewal(&session.ask(RenewalKind::Release, 600, 0, NOW));
    assert_eq!(renewal.kind(), RenewalKind::Release);
    let terms = LicenseTerms::default();
    let answer = renewal.answer(&WORLD.issue(&terms, Scheme::Cbcs), &mut SystemEntropy);
    assert!(!session.open(answer.as_bytes()).unwrap().terms.can_play);
}

#[test]
fn an_answer_of_another_session_is_refused() {
    let (mut first, second) = (session(), session());
    let renewal = renewal(&second.ask(RenewalKind::Renew, 1, 1, NOW));
    let terms = LicenseTerms::default();
    let answer = renewal.answer(&WORLD.issue(&terms, Scheme::Cbcs), &mut SystemEntropy);
    assert_eq!(first.open(answer.as_bytes()).err(), Some(LicenseError::Signature));
}

#[test]
fn every_flipped_byte_of_a_renewal_is_refused_or_changes_nothing() {
    let body = session().ask(RenewalKind::Renew, 60, 5, NOW);
    let request = wire::bytes_of(&body, 2);
    let mut reasons = std::collections::BTreeSet::new();
    for at in 0..body.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = body.clone();
            changed[at] ^= flip;
            match WORLD.parse(&changed) {
                Err(error) => drop(reasons.insert(error.to_string())),
                Ok(_) => assert_eq!(wire::bytes_of(&changed, 2), request, "byte {at}"),
            }
        }
    }
    for reason in [ChallengeError::UnknownSession, ChallengeError::SessionSignature] {
        assert!(reasons.contains(&reason.to_string()), "{reasons:?}");
    }
}

#[test]
fn a_token_is_good_under_its_own_key_only() {
    let body = session().ask(RenewalKind::Renew, 60, 5, NOW);
    let other = SessionSeal::from_bytes(&Zeroizing::new([8; 32]));
    let desk = Desk { sessions: &other, ..WORLD.desk() };
    let refused = Request::parse(&body, &desk, NOW);
    assert_eq!(refused.err(), Some(ChallengeError::UnknownSession));
}

#[test]
fn a_device_that_is_revoked_meanwhile_is_not_renewed() {
    let body = session().ask(RenewalKind::Renew, 60, 5, NOW);
    let system_id = WORLD.root.model(SecurityLevel::L1).system_id;
    let parse = |json: &str| {
        let devices = DeviceList::parse(json).unwrap();
        Request::parse(&body, &Desk { devices: &devices, ..WORLD.desk() }, NOW)
    };
    let revoking = format!(r#"{{"systems": [], "revoked_system_ids": [{system_id}]}}"#);
    assert_eq!(parse(&revoking).err(), Some(ChallengeError::Revoked));
    let refused = parse(r#"{"systems": [], "unlisted": "refuse"}"#);
    assert_eq!(refused.err(), Some(ChallengeError::Unlisted));
    let Request::Existing(lowered) = parse(r#"{"systems": []}"#).unwrap() else { panic!() };
    assert_eq!(lowered.level(), SecurityLevel::L3);
    let challenge = WORLD.challenge(&ask_kids(&WORLD.l1, &[1]).1);
    let Device { serial, model_serial, .. } = challenge.device();
    for serial in [serial, model_serial] {
        let hex: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        let revoking = format!(r#"{{"systems": [], "revoked_serials": ["{hex}"]}}"#);
        assert_eq!(parse(&revoking).err(), Some(ChallengeError::Revoked));
    }
}

#[test]
fn a_token_of_an_earlier_version_is_not_taken_for_a_later_one() {
    let body = session().ask(RenewalKind::Renew, 60, 5, NOW);
    let request = wire::bytes_of(&body, 2);
    let content = wire::bytes_of(&request, 2);
    let existing = wire::bytes_of(&content, 3);
    let id = wire::bytes_of(&existing, 1);
    let later = [wire::without(&id, 5), wire::number(5, 1)].concat();
    let existing = [wire::bytes(1, &later), wire::without(&existing, 1)].concat();
    let content = wire::bytes(2, &wire::bytes(3, &existing));
    let request = [content, wire::without(&request, 2)].concat();
    let body = [wire::number(1, 1), wire::bytes(2, &request), wire::bytes(3, &[1; 32])].concat();
    assert_eq!(WORLD.refusal(&body), ChallengeError::UnknownSession);
}
