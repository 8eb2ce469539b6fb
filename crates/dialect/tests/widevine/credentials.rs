//! Made credentials import, those of `vectors/widevine` too, and the seeds of the fuzz corpus are
//! what they say they are.

use crate::world::{NOW, WORLD, ask_kids};
use dialect::terms::Hdcp;
use dialect::widevine::client::{ClientDevice, ServiceCertificate};
use dialect::widevine::provisioning::{ProvisioningRequest, open_answer};
use dialect::widevine::test_root::TestModel;
use dialect::widevine::{Credentials, Desk, DeviceList, Request, RootFile, VerifiedModels};
use keys::{RsaPrivateKey, SessionSeal, SystemEntropy};
use model::SecurityLevel;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
}

#[test]
fn a_model_that_was_kept_provisions_a_device_that_made_its_own_key() {
    let kept = WORLD.root.model(SecurityLevel::L2);
    let model = TestModel::read(&kept.certificate, &kept.private_pem).unwrap();
    let (key, _) = RsaPrivateKey::generate();
    let certificate = model.certify(&key.public_key(), &mut SystemEntropy);
    let device = ClientDevice { certificate, key, max_hdcp: Hdcp::V1 };
    let challenge = WORLD.challenge(&ask_kids(&device, &[1]).1);
    assert_eq!(challenge.device().level, SecurityLevel::L2);
    assert_eq!(challenge.device().max_hdcp, Some(Hdcp::V1));
    let other = WORLD.root.model(SecurityLevel::L1);
    assert!(TestModel::read(&kept.certificate, &other.private_pem).is_none());
    let service = (&WORLD.root.service_certificate, &WORLD.root.service_private_pem);
    assert!(TestModel::read(service.0, service.1).is_none());
}

#[test]
fn the_files_of_a_test_root_import() {
    let files: BTreeMap<_, _> = WORLD.root.files().into_iter().collect();
    let text = |name: &str| std::str::from_utf8(files[name]).unwrap();
    for root in [
        RootFile::PublicKey(files["root_public.der"]),
        RootFile::Certificate(files["root_cert.bin"]),
    ] {
        let (certificate, pem) = (files["service_cert.bin"], text("service_private.pem"));
        assert!(Credentials::import(root, certificate, pem, NOW).is_ok());
    }
    assert!(DeviceList::parse(text("device_list.json")).is_ok());
}

#[test]
fn the_seeds_are_messages_between_the_vectors_device_and_service() {
    let root_file = file("vectors/widevine/root_cert.bin");
    let credentials = Credentials::import(
        RootFile::Certificate(&root_file),
        &file("vectors/widevine/service_cert.bin"),
        &text("vectors/widevine/service_private.pem"),
        NOW,
    )
    .unwrap();
    let (models, sessions) =
        (VerifiedModels::default(), SessionSeal::from_bytes(&Zeroizing::new([7; 32])));
    let devices = DeviceList::parse(&text("vectors/widevine/device_list.json")).unwrap();
    let desk =
        Desk { credentials: &credentials, models: &models, devices: &devices, sessions: &sessions };
    let device = ClientDevice {
        certificate: file("vectors/widevine/device.bin"),
        key: RsaPrivateKey::parse_pem(&text("vectors/widevine/device_private.pem")).unwrap(),
        max_hdcp: Hdcp::V2_3,
    };
    for name in ["pssh", "box", "webm", "webm-init-data", "privacy"] {
        let body = file(&format!("fuzz/corpus/widevine/challenge-{name}"));
        let Request::New(challenge) = Request::parse(&body, &desk, NOW).unwrap() else { panic!() };
        assert_eq!(challenge.device().level, SecurityLevel::L1);
        let request = file(&format!("fuzz/corpus/widevine/request-{name}"));
        assert!(Request::parse(&device.sign(&request), &desk, NOW).is_ok());
    }
    let pending = device.await_answer(&file("fuzz/corpus/widevine/request-pssh"), b"request 1");
    let (license, _) = pending.open(&file("fuzz/corpus/widevine/license")).unwrap();
    assert_eq!(license.keys.len(), 2);
    let renewal = Request::parse(&file("fuzz/corpus/widevine/renewal"), &desk, NOW).unwrap();
    assert!(matches!(renewal, Request::Existing(_)));
    let answer = file("fuzz/corpus/widevine/service-certificate");
    assert!(ServiceCertificate::open(&answer, RootFile::Certificate(&root_file), NOW).is_ok());
    let question = file("fuzz/corpus/widevine/provisioning-request");
    assert!(ProvisioningRequest::parse(&question, NOW).is_ok());
    let answer = file("fuzz/corpus/widevine/provisioning-answer");
    assert!(open_answer(&answer, device.key, RootFile::Certificate(&root_file), NOW).is_ok());
}
