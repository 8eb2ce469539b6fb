//! Provisioning between client and server, and what neither takes from a stranger.

use crate::world::{NOW, NOW_S, WORLD, ask_kids};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dialect::terms::Hdcp;
use dialect::widevine::client::{ClientDevice, DeviceError};
use dialect::widevine::provisioning::{
    AnswerError, CLOCK_S, MAX_BYTES, ModelError, ProvisioningError, ProvisioningModel,
    ProvisioningRequest, answer, ask, open_answer,
};
use dialect::widevine::test_root::{CertificateDraft, CertificateKind};
use dialect::widevine::{ChallengeError, DeviceList, RootFile};
use keys::{RsaKeyError, RsaPrivateKey, SystemEntropy};
use model::{SecurityLevel, Timestamp};
use serde_json::Value;

fn root() -> RootFile<'static> {
    RootFile::PublicKey(&WORLD.root.root_public)
}

fn import(certificate: &[u8], pem: &str, list: &str) -> Result<ProvisioningModel, ModelError> {
    let list = DeviceList::parse(list).unwrap();
    ProvisioningModel::import(root(), certificate, pem, &list, NOW)
}

fn model() -> ProvisioningModel {
    let own = &WORLD.root.provisioning;
    import(&own.certificate, &own.private_pem, &WORLD.root.device_list).unwrap()
}

fn key() -> RsaPrivateKey {
    RsaPrivateKey::generate().0
}

/// A question, its members changed.
fn changed(key: &RsaPrivateKey, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut question = serde_json::from_slice(&ask(key, NOW)).unwrap();
    change(&mut question);
    question.to_string().into_bytes()
}

#[test]
fn a_key_that_was_certified_asks_for_licenses_at_l3() {
    let (key, model) = (key(), model());
    let asked = ProvisioningRequest::parse(&ask(&key, NOW), NOW).unwrap();
    let certificate = model.certify(&asked, NOW, &mut SystemEntropy).unwrap();
    let device = open_answer(&answer(&certificate), key, root(), NOW).unwrap();
    let challenge = WORLD.challenge(&ask_kids(&device, &[1]).1);
    assert_eq!(challenge.device().level, SecurityLevel::L3);
    assert_eq!(challenge.device().system_id, WORLD.root.provisioning.system_id);
    assert_eq!(format!("{model:?}"), "ProvisioningModel(system 7004)");
}

#[test]
fn a_question_counts_for_its_key_and_its_moment() {
    let (own, other) = (key(), key());
    let refused = |body: &[u8]| ProvisioningRequest::parse(body, NOW).unwrap_err();
    let others: Value = serde_json::from_slice(&ask(&other, NOW)).unwrap();
    let swapped = changed(&own, |q| q["public_key"] = others["public_key"].clone());
    assert_eq!(refused(&swapped), ProvisioningError::Signature);
    let later = changed(&own, |q| q["time_s"] = (NOW.as_s() + 1).into());
    assert_eq!(refused(&later), ProvisioningError::Signature);
    // What the key signs as a license request is no proof here.
    let license = own.sign_pss_sha1(b"a license request");
    let borrowed = changed(&own, |q| q["signature"] = URL_SAFE_NO_PAD.encode(license).into());
    assert_eq!(refused(&borrowed), ProvisioningError::Signature);

    let at = |s: u64| ProvisioningRequest::parse(&ask(&own, NOW), Timestamp(s * 1000)).err();
    assert_eq!(at(NOW.as_s() + CLOCK_S), None);
    assert_eq!(at(NOW.as_s() - CLOCK_S), None);
    assert_eq!(at(NOW.as_s() + CLOCK_S + 1), Some(ProvisioningError::Time));
    assert_eq!(at(NOW.as_s() - CLOCK_S - 1), Some(ProvisioningError::Time));
    assert_eq!(refused(&changed(&own, |q| q["time_s"] = u64::MAX.into())), ProvisioningError::Time);
}

#[test]
fn damaged_questions_are_refused() {
    let own = key();
    let refused = |body: &[u8]| ProvisioningRequest::parse(body, NOW).unwrap_err();
    let malformed = ProvisioningError::Malformed;
    for body in [&b""[..], b"{}", b"[]", b"\xff", b"null"] {
        assert_eq!(refused(body), malformed);
    }
    assert_eq!(refused(&vec![b' '; MAX_BYTES + 1]), malformed);
    assert_eq!(refused(&changed(&own, |q| q["more"] = 1.into())), malformed);
    assert_eq!(refused(&changed(&own, |q| q["signature"] = "a+b/".into())), malformed);
    let no_key = changed(&own, |q| q["public_key"] = "AAAA".into());
    assert_eq!(refused(&no_key), ProvisioningError::Key(RsaKeyError::Malformed));
    let good = ask(&own, NOW);
    for end in 0..good.len() {
        assert!(ProvisioningRequest::parse(&good[..end], NOW).is_err(), "{end} bytes");
    }
}

#[test]
fn only_a_model_under_the_root_at_l3_provisions() {
    let own = &WORLD.root.provisioning;
    let (certificate, pem, list) = (&own.certificate, &own.private_pem, &WORLD.root.device_list);
    let l1 = WORLD.root.model(SecurityLevel::L1);
    let system = l1.system_id;
    assert_eq!(
        import(&l1.certificate, &l1.private_pem, list).err(),
        Some(ModelError::Level(system))
    );
    let not_its = import(certificate, &l1.private_pem, list).err();
    assert_eq!(not_its, Some(ModelError::PrivateKeyOfAnother));
    let no_key = import(certificate, "no key", list).err();
    assert_eq!(no_key, Some(ModelError::PrivateKey(RsaKeyError::Malformed)));
    let strange = &WORLD.stranger.provisioning;
    let strange = import(&strange.certificate, &strange.private_pem, list).err();
    assert_eq!(strange, Some(ModelError::Signature));
    let service = import(&WORLD.root.service_certificate, pem, list).err();
    let wrong_type = ModelError::Certificate(ChallengeError::CertificateType);
    assert_eq!(service, Some(wrong_type));
    let revoked = r#"{"systems": [], "revoked_system_ids": [7004]}"#;
    assert_eq!(import(certificate, pem, revoked).err(), Some(ModelError::Withdrawn(7004)));
    let unlisted = r#"{"systems": [], "unlisted": "refuse"}"#;
    assert_eq!(import(certificate, pem, unlisted).err(), Some(ModelError::Withdrawn(7004)));

    let ending = |expires_s| {
        let draft = CertificateDraft {
            system_id: Some(7004),
            expires_s: Some(expires_s),
            ..CertificateDraft::new(
                CertificateKind::DeviceModel,
                &own.key.public_key(),
                &mut SystemEntropy,
            )
        };
        import(&draft.sign(&WORLD.root.key, None), pem, list)
    };
    assert_eq!(ending(NOW_S).err(), Some(ModelError::Expired));
    let model = ending(NOW_S + 1).unwrap();
    let asked = ProvisioningRequest::parse(&ask(&key(), NOW), NOW).unwrap();
    assert!(model.certify(&asked, NOW, &mut SystemEntropy).is_some());
    assert!(model.certify(&asked, NOW.plus_s(1), &mut SystemEntropy).is_none(), "it has ended");
}

#[test]
fn a_client_takes_its_own_certificate_under_its_own_root_only() {
    let (pair, model) = (RsaPrivateKey::generate(), model());
    let own = || RsaPrivateKey::parse(&pair.1).unwrap();
    let asked = ProvisioningRequest::parse(&ask(&pair.0, NOW), NOW).unwrap();
    let certificate = model.certify(&asked, NOW, &mut SystemEntropy).unwrap();
    let body = answer(&certificate);
    assert!(open_answer(&body, own(), root(), NOW).is_ok());
    assert_eq!(open_answer(&body, key(), root(), NOW).unwrap_err(), AnswerError::KeyOfAnother);
    let strange = RootFile::PublicKey(&WORLD.stranger.root_public);
    let unknown = AnswerError::Certificate(ChallengeError::UnknownRoot);
    assert_eq!(open_answer(&body, own(), strange, NOW).unwrap_err(), unknown);
    for body in [&b"{}"[..], b"", br#"{"certificate": "?"}"#, &vec![b' '; MAX_BYTES + 1]] {
        assert_eq!(open_answer(body, own(), root(), NOW).unwrap_err(), AnswerError::Malformed);
    }
    let empty = open_answer(br#"{"certificate": ""}"#, own(), root(), NOW).unwrap_err();
    assert_eq!(empty, AnswerError::Certificate(ChallengeError::Certificate));
}

#[test]
fn a_device_is_read_back_from_its_files() {
    let device = WORLD.root.model(SecurityLevel::L2).make_device(&mut SystemEntropy);
    let read = |certificate: &[u8], pem: &str| ClientDevice::read(certificate, pem, Hdcp::V2_3);
    let own = read(&device.certificate, &device.private_pem).unwrap();
    let challenge = WORLD.challenge(&ask_kids(&own, &[1]).1);
    assert_eq!(challenge.device().level, SecurityLevel::L2);
    let refused = |certificate: &[u8], pem: &str| read(certificate, pem).unwrap_err();
    let other = WORLD.root.model(SecurityLevel::L2).make_device(&mut SystemEntropy);
    let not_its = refused(&device.certificate, &other.private_pem);
    assert_eq!(not_its, DeviceError::PrivateKeyOfAnother);
    let no_key = DeviceError::PrivateKey(RsaKeyError::Malformed);
    assert_eq!(refused(&device.certificate, ""), no_key);
    let model = &WORLD.root.provisioning;
    assert_eq!(refused(&model.certificate, &model.private_pem), DeviceError::Certificate);
    assert_eq!(refused(b"\xff", &device.private_pem), DeviceError::Certificate);
    let (key, pkcs8) = RsaPrivateKey::generate();
    let alone = CertificateDraft {
        system_id: Some(7003),
        ..CertificateDraft::new(CertificateKind::Device, &key.public_key(), &mut SystemEntropy)
    };
    let alone = alone.sign(&model.key, None);
    assert_eq!(refused(&alone, &RsaPrivateKey::pem_of(&pkcs8)), DeviceError::Certificate);
}
