//! The credentials of `vectors/widevine` import, and the seeds of the fuzz corpus are what they
//! say they are.

use dialect::terms::Hdcp;
use dialect::widevine::client::{ClientDevice, ServiceCertificate};
use dialect::widevine::{Credentials, Desk, DeviceList, Request, RootFile, VerifiedModels};
use keys::{RsaPrivateKey, SessionSeal};
use model::{SecurityLevel, Timestamp};
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(file(name)).unwrap()
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
}
