//! Every refusal has a reason of its own.

use crate::wire::{bytes, bytes_of, number, without};
use crate::world::*;
use dialect::widevine::ChallengeError as Error;
use dialect::widevine::client::{Ask, AskedContent, ClientDevice};
use dialect::widevine::test_root::{CertificateDraft, CertificateKind, TestModel, make_model};
use dialect::widevine::{Credentials, Desk, DeviceList, ImportError, Request, RootFile};
use dialect::widevine::{MAX_BYTES, VerifiedModels};
use keys::{RsaPrivateKey, SystemEntropy};
use model::{SecurityLevel, Timestamp};
use std::collections::BTreeSet;

fn l1_model() -> &'static TestModel {
    WORLD.root.model(SecurityLevel::L1)
}

/// A certificate for the device's key under the model's system.
fn draft(kind: CertificateKind) -> CertificateDraft {
    CertificateDraft {
        system_id: Some(l1_model().system_id),
        ..CertificateDraft::new(kind, &WORLD.l1.key.public_key(), &mut SystemEntropy)
    }
}

/// A request of the first device, under another certificate.
fn under(certificate: Vec<u8>) -> Vec<u8> {
    with_identity(&identity(1, &certificate))
}

fn identity(kind: u64, token: &[u8]) -> Vec<u8> {
    [number(1, kind), bytes(2, token)].concat()
}

/// A request, signed by the first device, that carries these fields as its identity.
fn with_identity(identity: &[u8]) -> Vec<u8> {
    request_of(&[bytes(1, identity), content(&payload(&[1]))].concat())
}

fn content(payload: &[u8]) -> Vec<u8> {
    bytes(2, &bytes(1, &bytes(1, payload)))
}

fn request_of(fields: &[u8]) -> Vec<u8> {
    WORLD.l1.sign(&[fields, &number(3, 1)].concat())
}

fn own_identity() -> Vec<u8> {
    identity(1, &WORLD.l1.certificate)
}

/// A device's own model, with its certificate made anew.
fn model_with(change: impl FnOnce(&mut CertificateDraft), signer: Option<&[u8]>) -> Vec<u8> {
    let model = l1_model();
    let mut draft = CertificateDraft {
        system_id: Some(model.system_id),
        ..CertificateDraft::new(
            CertificateKind::DeviceModel,
            &model.key.public_key(),
            &mut SystemEntropy,
        )
    };
    change(&mut draft);
    let model_certificate = draft.sign(&WORLD.root.key, signer);
    self::draft(CertificateKind::Device).sign(&model.key, Some(&model_certificate))
}

fn leaf_with(change: impl FnOnce(&mut CertificateDraft)) -> Vec<u8> {
    let mut leaf = draft(CertificateKind::Device);
    change(&mut leaf);
    leaf.sign(&l1_model().key, Some(&l1_model().certificate))
}

/// Chains: all that facts demand of one, each broken alone.
fn chains() -> Vec<(Error, Vec<u8>)> {
    let model = l1_model();
    let leaf = draft(CertificateKind::Device);
    let other = WORLD.root.model(SecurityLevel::L2);
    vec![
        (Error::UnknownRoot, WORLD.strange.certificate.clone()),
        (Error::BrokenChain, leaf.sign(&other.key, Some(&model.certificate))),
        (Error::LeafIssuedLeaf, leaf.sign(&WORLD.other_l1.key, Some(&WORLD.other_l1.certificate))),
        (Error::ChainDepth, leaf.sign(&WORLD.root.key, None)),
        (Error::ChainDepth, model_with(|_| {}, Some(&WORLD.root.root_certificate))),
        (Error::CertificateType, model.certificate.clone()),
        (Error::CertificateType, WORLD.root.service_certificate.clone()),
        (Error::CertificateType, leaf.sign(&WORLD.root.key, Some(&WORLD.root.root_certificate))),
        (Error::SystemIds, leaf_with(|leaf| leaf.system_id = Some(other.system_id))),
        (Error::Certificate, leaf_with(|leaf| leaf.system_id = None)),
        (Error::Certificate, leaf_with(|leaf| leaf.serial.clear())),
        (Error::Certificate, leaf_with(|leaf| leaf.public_key.truncate(200))),
        (Error::Certificate, model_with(|model| model.system_id = None, None)),
        (Error::Certificate, b"no certificate".to_vec()),
        (Error::KeyAlgorithm, leaf_with(|leaf| leaf.algorithms.0 = 2)),
        (Error::KeyAlgorithm, model_with(|model| model.algorithms.0 = 3, None)),
        (Error::HashAlgorithm, leaf_with(|leaf| leaf.algorithms.1 = 2)),
        (Error::HashAlgorithm, model_with(|model| model.algorithms.1 = 3, None)),
        (Error::WeakKey, leaf_with(|leaf| leaf.public_key = key_of_1024_bits())),
        (Error::Expired, leaf_with(|leaf| leaf.expires_s = Some(NOW_S))),
        (Error::Expired, model_with(|model| model.expires_s = Some(NOW_S), None)),
    ]
}

/// `RSAPublicKey`: a modulus of 1024 bits and the exponent 65537.
fn key_of_1024_bits() -> Vec<u8> {
    let modulus = [&[2, 0x81, 129, 0][..], &[0xa5; 128]].concat();
    let body = [&modulus[..], &[2, 3, 1, 0, 1]].concat();
    [&[0x30, 0x81, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

#[test]
fn every_broken_chain_is_refused_by_its_reason() {
    for (reason, certificate) in chains() {
        assert_eq!(WORLD.refusal(&under(certificate)), reason);
    }
    // The same construction, unbroken.
    assert!(WORLD.parse(&under(leaf_with(|_| {}))).is_ok());
    assert!(WORLD.parse(&under(model_with(|_| {}, None))).is_ok());
    let later = |leaf: &mut CertificateDraft| leaf.expires_s = Some(NOW_S + 1);
    assert!(WORLD.parse(&under(leaf_with(later))).is_ok());
}

/// Messages: identity, signature, content.
fn messages() -> Vec<(Error, Vec<u8>)> {
    let good = ask_kids(&WORLD.l1, &[1]).1;
    let private = ask_privately(&WORLD.l1, &[1]).1;
    let request = bytes_of(&private, 2);
    let sealed = bytes_of(&request, 8);
    let resealed =
        |sealed: &[u8]| WORLD.l1.sign(&[without(&request, 8), bytes(8, sealed)].concat());
    let replaced = |field: u64, value: &[u8]| {
        resealed(&[without(&sealed, field), bytes(field, value)].concat())
    };
    let asked =
        |content: &[u8]| request_of(&[bytes(1, &own_identity()), content.to_vec()].concat());
    let both = [bytes(1, &own_identity()), bytes(8, &sealed), content(&payload(&[1]))].concat();
    let kid = |at: usize| bytes(2, &(at as u128).to_be_bytes());
    let kids: Vec<u8> = (0..=dialect::MAX_KEYS).flat_map(kid).collect();
    let of_another = WORLD.other_l1.sign(&bytes_of(&good, 2));
    vec![
        (Error::Unsigned, without(&good, 3)),
        (Error::Unsigned, [without(&good, 3), bytes(3, b"")].concat()),
        (Error::Signature, of_another),
        (Error::IdentityTwice, request_of(&both)),
        (Error::IdentityMissing, request_of(&content(&payload(&[1])))),
        (Error::Keybox, with_identity(&identity(0, b"keybox"))),
        (Error::Keybox, with_identity(&bytes(2, &WORLD.l1.certificate))),
        (Error::RemoteAttestation, with_identity(&identity(2, &WORLD.l1.certificate))),
        (Error::OemCertificate, with_identity(&identity(3, &WORLD.l1.certificate))),
        (Error::IdentityType, with_identity(&identity(4, &WORLD.l1.certificate))),
        (Error::UnknownService, replaced(2, &[1; 16])),
        (Error::UnknownService, replaced(1, b"stranger.test")),
        (Error::UnknownService, resealed(&without(&sealed, 2))),
        (Error::PrivacyKey, replaced(5, &[1; 256])),
        (Error::PrivacyKey, replaced(4, &[1; 15])),
        (Error::PrivacyKey, replaced(3, &[1; 15])),
        (Error::MessageType, [number(1, 2), without(&good, 1)].concat()),
        (Error::MessageType, without(&good, 1)),
        (Error::RequestType, WORLD.l1.sign(&without(&bytes_of(&good, 2), 3))),
        (Error::RequestType, asked(&bytes(2, &bytes(3, b"")))),
        (Error::ContentMissing, asked(b"")),
        (Error::ContentMissing, asked(&bytes(2, b""))),
        (Error::ContentTwice, asked(&bytes(2, &[bytes(1, b""), bytes(2, b"")].concat()))),
        (Error::ContentMalformed, asked(&content(&bytes(2, &[1; 15])))),
        (Error::TooManyKids, asked(&content(&kids))),
        (Error::Entitlement, asked(&content(&number(11, 1)))),
        (Error::Malformed, without(&good, 2)),
        (Error::Malformed, b"\xff".to_vec()),
        (Error::TooLarge, vec![0; MAX_BYTES + 1]),
        (Error::UnknownSession, WORLD.l1.sign(&existing_license(2))),
        (Error::UnknownSession, WORLD.l1.sign(&existing_license(3))),
    ]
}

fn existing_license(kind: u64) -> Vec<u8> {
    [bytes(2, &bytes(3, &bytes(1, &bytes(6, &[1; 120])))), number(3, kind)].concat()
}

#[test]
fn every_bad_message_is_refused_by_its_reason() {
    for (at, (reason, body)) in messages().into_iter().enumerate() {
        assert_eq!(WORLD.refusal(&body), reason, "row {at}");
    }
}

#[test]
fn reasons_are_distinct() {
    let reasons: BTreeSet<String> = chains()
        .into_iter()
        .chain(messages())
        .map(|(reason, _)| format!("{reason:?}: {reason}"))
        .collect();
    let words: BTreeSet<&str> = reasons.iter().filter_map(|line| line.split(": ").nth(1)).collect();
    // All but `Revoked`, `Unlisted` and `SessionSignature`, which stand in tests of their own.
    assert_eq!((reasons.len(), words.len()), (31, 31), "{reasons:#?}");
}

fn with_list(json: &str, body: &[u8]) -> Result<Request, Error> {
    let devices = DeviceList::parse(json).unwrap();
    Request::parse(body, &Desk { devices: &devices, ..WORLD.desk() }, NOW)
}

#[test]
fn what_the_list_revokes_is_refused_and_what_it_does_not_name_is_l3_at_most() {
    let body = ask_kids(&WORLD.l1, &[1]).1;
    let system = l1_model().system_id;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let serial = hex(&WORLD.challenge(&body).device().serial);
    let model_serial = hex(&bytes_of(&bytes_of(&l1_model().certificate, 1), 2));
    for json in [
        format!(r#"{{"systems": [], "revoked_system_ids": [{system}]}}"#),
        format!(r#"{{"systems": [], "revoked_serials": ["{serial}"]}}"#),
        format!(r#"{{"systems": [], "revoked_serials": ["{model_serial}"]}}"#),
        format!(
            r#"{{"systems": [{{"system_id": {system}, "security_level": 1, "status": "revoked"}}]}}"#
        ),
    ] {
        assert_eq!(with_list(&json, &body).err(), Some(Error::Revoked), "{json}");
    }
    let refused = with_list(r#"{"systems": [], "unlisted": "refuse"}"#, &body);
    assert_eq!(refused.err(), Some(Error::Unlisted));
    for json in [r#"{"systems": [], "unlisted": "L3"}"#, r#"{"systems": []}"#] {
        let Request::New(challenge) = with_list(json, &body).unwrap() else { panic!() };
        assert_eq!(challenge.device().level, SecurityLevel::L3);
        assert_eq!(challenge.device().status, None);
    }
}

#[test]
fn a_remembered_model_is_still_checked_for_date_and_revocation() {
    let models = VerifiedModels::default();
    let model = make_model(&WORLD.root.key, 9000, &mut SystemEntropy);
    let device = model.make_device(&mut SystemEntropy).client().unwrap();
    let body = ask_kids(&device, &[1]).1;
    let parse = |devices: &DeviceList, now| {
        Request::parse(&body, &Desk { models: &models, devices, ..WORLD.desk() }, now)
    };
    assert!(parse(&WORLD.list, NOW).is_ok());
    let revoking = DeviceList::parse(r#"{"systems": [], "revoked_system_ids": [9000]}"#).unwrap();
    assert_eq!(parse(&revoking, NOW).err(), Some(Error::Revoked));
    // Under other credentials the same memory believes nothing.
    let credentials = Credentials::import(
        RootFile::PublicKey(&WORLD.stranger.root_public),
        &WORLD.stranger.service_certificate,
        &WORLD.stranger.service_private_pem,
        NOW,
    )
    .unwrap();
    let desk = Desk { credentials: &credentials, models: &models, ..WORLD.desk() };
    assert_eq!(Request::parse(&body, &desk, NOW).err(), Some(Error::UnknownRoot));
}

#[test]
fn an_older_service_certificate_still_opens_what_is_encrypted_for_it() {
    let (certificate, pem) = dialect::widevine::test_root::make_service(
        &WORLD.root.key,
        "strongroom.test",
        &mut SystemEntropy,
    );
    let root = RootFile::PublicKey(&WORLD.root.root_public);
    let credentials = Credentials::import(root, &certificate, &pem, NOW).unwrap();
    let body = ask_privately(&WORLD.l1, &[1]).1;
    let desk = Desk { credentials: &credentials, ..WORLD.desk() };
    assert_eq!(Request::parse(&body, &desk, NOW).err(), Some(Error::UnknownService));
    let old = (&WORLD.root.service_certificate, &WORLD.root.service_private_pem);
    let credentials = credentials.and_service(old.0, old.1, NOW).unwrap();
    let desk = Desk { credentials: &credentials, ..WORLD.desk() };
    assert!(Request::parse(&body, &desk, NOW).is_ok());
    let twice = credentials.and_service(old.0, old.1, NOW);
    assert_eq!(twice.err(), Some(ImportError::SerialTwice));
}

#[test]
fn credentials_that_do_not_belong_together_are_not_imported() {
    let (root, stranger) = (&WORLD.root, &WORLD.stranger);
    let import = |root: RootFile<'_>, certificate: &[u8], pem: &str, now: Timestamp| {
        Credentials::import(root, certificate, pem, now).map(drop)
    };
    let own = RootFile::PublicKey(&root.root_public);
    let pem = root.service_private_pem.as_str();
    let certificate = &root.service_certificate;
    assert_eq!(import(own, certificate, pem, NOW), Ok(()));
    let as_certificate = RootFile::Certificate(&root.root_certificate);
    assert_eq!(import(as_certificate, certificate, pem, NOW), Ok(()));
    let (key, _) = RsaPrivateKey::generate();
    let named = |change: fn(&mut CertificateDraft)| {
        let mut draft = CertificateDraft::new(
            CertificateKind::Service,
            &RsaPrivateKey::parse_pem(pem).unwrap().public_key(),
            &mut SystemEntropy,
        );
        draft.provider_id = Some("strongroom.test".to_owned());
        change(&mut draft);
        draft.sign(&root.key, None)
    };
    let not_signed_by_itself =
        CertificateDraft::new(CertificateKind::Root, &key.public_key(), &mut SystemEntropy)
            .sign(&root.key, None);
    let refused = [
        (import(RootFile::PublicKey(b"key"), certificate, pem, NOW), ImportError::Root),
        (import(RootFile::Certificate(certificate), certificate, pem, NOW), ImportError::Root),
        (
            import(RootFile::Certificate(&not_signed_by_itself), certificate, pem, NOW),
            ImportError::Root,
        ),
        (import(own, &stranger.service_certificate, pem, NOW), ImportError::ServiceSignature),
        (
            import(own, certificate, &stranger.service_private_pem, NOW),
            ImportError::PrivateKeyOfAnother,
        ),
        (
            import(own, &root.root_certificate, pem, NOW),
            ImportError::ServiceCertificate(Error::CertificateType),
        ),
        (
            import(own, &named(|draft| draft.provider_id = None), pem, NOW),
            ImportError::ServiceUnnamed,
        ),
        (import(own, &named(|draft| draft.serial.clear()), pem, NOW), ImportError::ServiceUnnamed),
        (
            import(own, &named(|draft| draft.expires_s = Some(NOW_S)), pem, NOW),
            ImportError::ServiceExpired,
        ),
        (
            import(own, certificate, "no key", NOW),
            ImportError::PrivateKey(keys::RsaKeyError::Malformed),
        ),
    ];
    for (at, (result, reason)) in refused.into_iter().enumerate() {
        assert_eq!(result, Err(reason), "row {at}");
    }
    assert_eq!(format!("{:?}", WORLD.credentials), "Credentials(..)");
}

/// A client's own words about itself make no level.
#[test]
fn a_claimed_level_counts_for_nothing() {
    let claims = ["security_level", "L1"];
    let name_value = [bytes(1, claims[0].as_bytes()), bytes(2, claims[1].as_bytes())].concat();
    let certificate = leaf_of(&WORLD.l3);
    let identity = [identity(1, &certificate), bytes(3, &name_value)].concat();
    let request = [bytes(1, &identity), content(&payload(&[1])), number(3, 1)].concat();
    let challenge = WORLD.challenge(&WORLD.l3.sign(&request));
    assert_eq!(challenge.device().level, SecurityLevel::L3);
}

fn leaf_of(device: &ClientDevice) -> Vec<u8> {
    device.certificate.clone()
}

#[test]
fn a_request_id_beyond_its_bound_is_refused() {
    let payload = payload(&[1]);
    let payloads = [&payload[..]];
    let sent = |request_id: &[u8]| {
        let asked = Ask { request_id, ..ask(AskedContent::PsshData(&payloads)) };
        WORLD.parse(&WORLD.l1.ask(&asked, NOW, &mut SystemEntropy).1).map(drop)
    };
    assert_eq!(sent(&[1; 256]), Ok(()));
    assert_eq!(sent(&[1; 257]), Err(Error::Malformed));
}
