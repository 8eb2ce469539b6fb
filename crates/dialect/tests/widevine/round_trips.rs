//! What the client asks for arrives, in each form and both modes.

use crate::wire;
use crate::world::*;
use dialect::widevine::client::{
    Ask, AskedContent, SERVICE_CERTIFICATE_REQUEST, ServiceCertificate,
};
use dialect::widevine::{LicenseType, Request, RootFile};
use keys::SystemEntropy;
use model::{Scheme, SecurityLevel};

fn pssh_box(payload: &[u8]) -> Vec<u8> {
    let system_id = *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";
    let size = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let body = [&[0; 4][..], &system_id, &size(payload.len()), payload].concat();
    [&size(body.len() + 8)[..], b"pssh", &body].concat()
}

#[test]
fn a_service_certificate_request_is_answered_with_the_imported_certificate() {
    assert!(matches!(WORLD.parse(&SERVICE_CERTIFICATE_REQUEST), Ok(Request::ServiceCertificate)));
    let answer = WORLD.credentials.service_certificate();
    assert_eq!(wire::bytes_of(&answer, 2), WORLD.root.service_certificate);
    assert_eq!(wire::fields(&answer)[0], (1, wire::Value::Number(5)));
    let under_another = RootFile::PublicKey(&WORLD.stranger.root_public);
    assert!(ServiceCertificate::open(&answer, under_another, NOW).is_err());
}

#[test]
fn every_kind_of_content_arrives_in_both_modes_and_schemes() {
    let payload = payload(&[1, 2]);
    let payloads = [&payload[..]];
    let boxes = pssh_box(&payload);
    let forms = [
        (AskedContent::PsshData(&payloads), vec![kid(1), kid(2)]),
        (AskedContent::Boxes(&boxes), vec![kid(1), kid(2)]),
        (AskedContent::WebmInitData(kid(1)), vec![kid(1)]),
        (AskedContent::WebmKeyId(kid(1)), vec![kid(1)]),
    ];
    for (content, kids) in forms {
        for privacy in [None, Some(&WORLD.service)] {
            for scheme in Scheme::ALL {
                let asked = Ask { privacy, ..ask(content) };
                let (pending, body) = WORLD.l1.ask(&asked, NOW, &mut SystemEntropy);
                let challenge = WORLD.challenge(&body);
                assert_eq!(challenge.kids(), kids);
                assert_eq!(challenge.license_type(), LicenseType::Streaming);
                let keys = kids.iter().map(|kid| licensed(kid.as_bytes()[0])).collect();
                let terms = Default::default();
                let issue = WORLD.issue(&terms, scheme);
                let answer = challenge.answer(&issue, keys, &mut SystemEntropy);
                let (license, _) = pending.open(answer.as_bytes()).unwrap();
                assert_eq!(license.scheme, Some(scheme));
                assert_eq!(license.started_s, NOW.as_s());
                assert_eq!(license.id.request_id, b"request 1");
                let arrived: Vec<_> = license.keys.iter().map(|key| key.kid).collect();
                assert_eq!(arrived, kids);
                for key in &license.keys {
                    let own = content_key(key.kid.as_bytes()[0]);
                    assert_eq!(fingerprint(&key.key), fingerprint(&own));
                }
            }
        }
    }
}

#[test]
fn a_content_id_period_and_scheme_are_told() {
    let payload = [
        wire::bytes(4, b"film"),
        wire::number(7, 42),
        wire::number(9, u64::from(u32::from_be_bytes(*b"cenc"))),
    ]
    .concat();
    let payloads = [&payload[..]];
    let content = ask(AskedContent::PsshData(&payloads));
    let asked = Ask { license_type: LicenseType::Offline, ..content };
    let (pending, body) = WORLD.l2.ask(&asked, NOW, &mut SystemEntropy);
    let challenge = WORLD.challenge(&body);
    assert_eq!(challenge.content_id(), Some(&b"film"[..]));
    assert_eq!((challenge.crypto_period(), challenge.scheme()), (Some(42), Some(Scheme::Cenc)));
    assert_eq!((challenge.kids(), challenge.license_type()), (&[][..], LicenseType::Offline));
    // Which keys a content id means is the caller's to say.
    let answer = WORLD.answer(&body, vec![licensed(5)]);
    let (license, _) = pending.open(answer.as_bytes()).unwrap();
    assert_eq!(license.keys[0].kid, kid(5));
    assert_eq!(license.id.license_type, LicenseType::Offline);
}

#[test]
fn the_level_is_the_lists_and_not_the_clients() {
    let level = |device| WORLD.challenge(&ask_kids(device, &[1]).1).device().level;
    assert_eq!(level(&WORLD.l1), SecurityLevel::L1);
    assert_eq!(level(&WORLD.l2), SecurityLevel::L2);
    assert_eq!(level(&WORLD.l3), SecurityLevel::L3);
    let (_, body) = ask_privately(&WORLD.l2, &[1]);
    assert_eq!(WORLD.challenge(&body).device().level, SecurityLevel::L2);
}

#[test]
fn privacy_mode_hides_the_identity() {
    let body = ask_privately(&WORLD.l1, &[1]).1;
    let serial = WORLD.challenge(&body).device().serial.clone();
    let holds = |body: &[u8]| body.windows(serial.len()).any(|window| window == serial);
    assert!(!holds(&body));
    assert!(holds(&ask_kids(&WORLD.l1, &[1]).1));
}

#[test]
fn no_two_challenges_and_no_two_licenses_are_equal() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (pending, body) = ask_kids(&WORLD.l1, &[1]);
        let answer = WORLD.answer(&body, vec![licensed(1)]);
        assert!(pending.open(answer.as_bytes()).is_ok());
        assert!(seen.insert(answer.as_bytes().to_vec()) && seen.insert(body));
    }
}
