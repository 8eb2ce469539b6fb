//! From challenge to keys, and who cannot get that far.

use crate::headers::{list, v4_0, v4_1};
use crate::world::{
    NOW, WORLD, ask, ask_kids, client, content_key, credentials, fingerprint, kid, licensed, utf16,
};
use dialect::playready::client::{Ask, ClientDevice, DeviceError, Service};
use dialect::playready::{
    ChainError, Header, Issue, LicenseError, MAX_BYTES, XmrError, carried_key_terms, carried_terms,
};
use dialect::terms::{LicenseTerms, LicensedKey};
use keys::SystemEntropy;
use model::{KeyId, Scheme, SecurityLevel};
use std::num::NonZeroU32;

const CTR: &str = "ALGID=\"AESCTR\"";
const CBC: &str = "ALGID=\"AESCBC\"";

fn terms() -> LicenseTerms {
    LicenseTerms {
        can_play: true,
        license_s: NonZeroU32::new(3600),
        playback_s: NonZeroU32::new(600),
        ..LicenseTerms::default()
    }
}

#[test]
fn each_header_and_encoding_gets_its_keys() {
    for (header, bytes, scheme) in [
        (v4_0(""), &[1][..], Scheme::Cenc),
        (v4_1(""), &[1], Scheme::Cenc),
        (list("4.2", &[(1, CTR), (2, CTR)]), &[1, 2], Scheme::Cenc),
        (list("4.3", &[(1, CBC), (2, CBC), (3, CBC)]), &[1, 2, 3], Scheme::Cbcs),
    ] {
        for encoding in 0..3 {
            let (pending, body) = ask(&WORLD.l2, &[header.as_bytes()]);
            let text = String::from_utf8(body).unwrap();
            let body = match encoding {
                0 => text.into_bytes(),
                1 => utf16(&text, u16::to_le_bytes),
                _ => [&[0xfe, 0xff], &*utf16(&text, u16::to_be_bytes)].concat(),
            };
            let terms = terms();
            let issue = WORLD.issue(&terms, scheme);
            let keys: Vec<LicensedKey> = bytes.iter().copied().map(licensed).collect();
            let answer = WORLD.challenge(&body).answer(&issue, keys, &mut SystemEntropy);
            let read = answer.read_back().unwrap();
            let (opened, acknowledgement) = pending.open(answer.as_bytes()).unwrap();
            assert!(acknowledgement.is_none());
            for opened in [&read, &opened] {
                assert_eq!(opened.terms, carried_terms(&terms));
                assert_eq!((opened.scheme, opened.started_s), (Some(scheme), NOW.as_s()));
                assert_eq!(opened.keys.len(), bytes.len());
                for (key, byte) in opened.keys.iter().zip(bytes) {
                    assert_eq!(key.kid, kid(*byte));
                    assert_eq!(fingerprint(&key.key), fingerprint(&content_key(*byte)));
                    assert_eq!(key.terms, carried_key_terms(&licensed(*byte).terms));
                }
            }
        }
    }
}

#[test]
fn only_keys_that_were_asked_for_are_given() {
    let (pending, body) = ask_kids(&WORLD.l1, &[1, 2]);
    let answer = WORLD.answer(&body, vec![licensed(3), licensed(2), licensed(4)]);
    let (opened, _) = pending.open(answer.as_bytes()).unwrap();
    let kids: Vec<_> = opened.keys.iter().map(|key| key.kid).collect();
    assert_eq!(kids, [kid(2)]);
}

/// The vault refuses before; what would be written then is no response.
#[test]
fn a_response_without_licenses_is_none() {
    let (pending, body) = ask_kids(&WORLD.l1, &[1]);
    let answer = WORLD.answer(&body, vec![licensed(3)]);
    assert_eq!(answer.read_back().unwrap_err(), LicenseError::Malformed);
    assert_eq!(pending.open(answer.as_bytes()).unwrap_err(), LicenseError::Malformed);
}

#[test]
fn a_response_is_one_devices_and_one_requests() {
    let (pending, body) = ask_kids(&WORLD.l1, &[1]);
    let (later, _) = ask_kids(&WORLD.l1, &[1]);
    let answer = WORLD.answer(&body, vec![licensed(1)]);
    assert_eq!(later.open(answer.as_bytes()).unwrap_err(), LicenseError::Nonce);
    let nonce = pending.nonce();
    let stolen = WORLD.other_l1.await_answer(WORLD.service, nonce, NOW);
    let refused = stolen.open(answer.as_bytes()).unwrap_err();
    assert!(matches!(refused, LicenseError::License(XmrError::OtherDevice)), "{refused:?}");
    assert!(pending.open(answer.as_bytes()).is_ok());
    assert!(WORLD.l1.await_answer(WORLD.service, nonce, NOW).open(answer.as_bytes()).is_ok());
}

/// A client believes its own root only.
#[test]
fn a_response_of_another_service_is_refused() {
    let (pending, body) = ask_kids(&WORLD.l1, &[1]);
    let other = credentials(&WORLD.stranger);
    let terms = terms();
    let issue = Issue { credentials: &other, ..WORLD.issue(&terms, Scheme::Cbcs) };
    let answer = WORLD.challenge(&body).answer(&issue, vec![licensed(1)], &mut SystemEntropy);
    let refused = pending.open(answer.as_bytes()).unwrap_err();
    assert_eq!(refused, LicenseError::Chain(ChainError::UnknownRoot));
}

/// Nor does a device's chain do for a signer's: its key has another use.
#[test]
fn a_device_cannot_sign_responses() {
    let device = WORLD.root.device(SecurityLevel::L1, &mut SystemEntropy);
    let imported = dialect::playready::Credentials::import(
        &WORLD.root.root_public,
        &WORLD.root.wmrm_private_pem,
        &device.chain,
        &device.signing_private_pem,
        NOW,
    );
    assert!(imported.is_err());
}

#[test]
fn a_device_is_read_from_its_files_and_no_others() {
    let one = WORLD.root.device(SecurityLevel::L1, &mut SystemEntropy);
    let other = WORLD.root.device(SecurityLevel::L1, &mut SystemEntropy);
    assert_eq!(client(&one).chain, one.chain);
    let (signing, encryption) = (&one.signing_private_pem, &one.encryption_private_pem);
    let refusal = |chain: &[u8], signing: &str, encryption: &str| {
        ClientDevice::read(chain, signing, encryption).unwrap_err()
    };
    let of_another = DeviceError::PrivateKeyOfAnother;
    assert_eq!(refusal(&one.chain, &other.signing_private_pem, encryption), of_another);
    assert_eq!(refusal(&one.chain, signing, &other.encryption_private_pem), of_another);
    assert_eq!(refusal(&one.chain, encryption, signing), of_another);
    assert!(matches!(refusal(&one.chain, "x", encryption), DeviceError::PrivateKey(_)));
    assert!(matches!(refusal(&[], signing, encryption), DeviceError::Chain(_)));
    assert!(Service::read(&one.chain, &WORLD.root.wmrm_public).is_none());
    assert!(Service::read(&[0; 64], &WORLD.root.wmrm_public).is_none());
}

#[test]
fn keys_are_the_services_as_points_or_in_pem() {
    let pem = keys::P256PublicKey::parse(&WORLD.root.root_public).unwrap().to_pem();
    let service = Service::read(pem.as_bytes(), &WORLD.root.wmrm_public).unwrap();
    let header = v4_0("");
    let ask = Ask { headers: &[header.as_bytes()], custom_data: None, service: &service };
    let (pending, body) = WORLD.l1.ask(&ask, NOW, &mut SystemEntropy).unwrap();
    let terms = terms();
    let issue = WORLD.issue(&terms, Scheme::Cenc);
    let answer = WORLD.challenge(&body).answer(&issue, vec![licensed(1)], &mut SystemEntropy);
    assert!(pending.open(answer.as_bytes()).is_ok());
}

#[test]
fn a_response_has_room_for_as_many_licenses_as_one_carries() {
    let kids: Vec<_> =
        (0..dialect::MAX_KEYS).map(|at| KeyId::from_bytes((at as u128).to_be_bytes())).collect();
    let (pending, body) = ask(&WORLD.l1, &[Header::of(&kids, Scheme::Cbcs).as_bytes()]);
    assert!(body.len() < MAX_BYTES, "{}", body.len());
    let keys = kids.iter().map(|kid| LicensedKey { kid: *kid, ..licensed(1) }).collect();
    let answer = WORLD.answer(&body, keys);
    assert_eq!(answer.read_back().unwrap().keys.len(), kids.len());
    let (license, _) = pending.open(answer.as_bytes()).unwrap();
    assert_eq!(license.keys.iter().map(|key| key.kid).collect::<Vec<_>>(), kids);
}
