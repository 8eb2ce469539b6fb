//! What an operator imports: each file that is wrong has its reason.

use crate::world::*;
use dialect::fairplay::client::{Ask, ClientDevice, DeviceError};
use dialect::fairplay::test_root::TestRoot;
use dialect::fairplay::{
    ApplicationFiles, Challenge, ChallengeError, Credentials, Desk, Framing, ImportError,
    KeySecurityModule,
};
use keys::fairplay::ApplicationCertificateError as Certificate;
use keys::{RsaKeyError, SystemEntropy};
use model::Timestamp;

fn refusal(files: &ApplicationFiles<'_>) -> Option<ImportError> {
    Credentials::import(files, NOW).err()
}

/// The directory that `make-test-root` writes is the one that is imported.
#[test]
fn the_files_of_a_test_root_are_imported() {
    let root = TestRoot::make(&mut SystemEntropy);
    let file = |name: &str| root.files().into_iter().find(|(own, _)| *own == name).unwrap().1;
    let text = |name: &str| std::str::from_utf8(file(name)).unwrap();
    let files = ApplicationFiles {
        certificate: file("app_cert.der"),
        private_pem: text("app_private.pem"),
        secret_hex: text("ask.hex"),
        derivation: &format!("{}\n", text("d_function")),
    };
    let credentials = Credentials::import(&files, NOW).unwrap();
    assert!(credentials.is_for_tests());
    let module = KeySecurityModule::from(credentials);
    assert!(module.is_for_tests());
    assert_eq!(module.certificate(), Some(file("app_cert.der")));
    assert_eq!(module.as_module().name(), "strongroom");
    // And a device's are read.
    let device = root.make_device(&mut SystemEntropy);
    assert_eq!(device.files().map(|(name, _)| name), ["device.hex", "ask.hex"]);
    assert!(device.client().is_ok());
}

#[test]
fn each_wrong_file_has_its_reason() {
    let right = files(&WORLD.root);
    let other = files(&WORLD.older);
    let cut = right.certificate.split_last().unwrap().1;
    for (expected, files) in [
        (
            ImportError::Certificate(Certificate::Malformed),
            ApplicationFiles { certificate: cut, ..right },
        ),
        (
            ImportError::Certificate(Certificate::Malformed),
            ApplicationFiles { certificate: &[], ..right },
        ),
        (
            ImportError::PrivateKeyOfAnother,
            ApplicationFiles { private_pem: other.private_pem, ..right },
        ),
        (
            ImportError::PrivateKey(RsaKeyError::Malformed),
            ApplicationFiles { private_pem: "", ..right },
        ),
        (ImportError::Secret, ApplicationFiles { secret_hex: "00", ..right }),
        (ImportError::Secret, ApplicationFiles { secret_hex: &"zz".repeat(16), ..right }),
        (ImportError::Derivation, ApplicationFiles { derivation: "", ..right }),
        (ImportError::Derivation, ApplicationFiles { derivation: "standin-d-v2", ..right }),
    ] {
        assert_eq!(refusal(&files), Some(expected));
        assert!(!expected.to_string().is_empty());
    }
    let (_, pkcs8) = keys::RsaPrivateKey::generate();
    let pem = keys::RsaPrivateKey::pem_of(&pkcs8);
    // A key of 2048 bits may be an application's, only not this one's.
    let files = ApplicationFiles { private_pem: &pem, ..right };
    assert_eq!(refusal(&files), Some(ImportError::PrivateKeyOfAnother));
}

/// A certificate of 2048 bits is taken, but what version 1 of the container wraps under it is
/// nothing: such devices send newer containers.
#[test]
fn under_2048_bits_no_container_of_version_1_opens() {
    let decode = |name: &str| {
        let text = text(&format!("vectors/cpix/certificates/{name}.b64"));
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.trim()).unwrap()
    };
    let certificate = decode("rsa2048.cert");
    let pem = keys::RsaPrivateKey::pem_of(&decode("rsa2048.key").into());
    let files =
        ApplicationFiles { certificate: &certificate, private_pem: &pem, ..files(&WORLD.root) };
    let module = KeySecurityModule::from(Credentials::import(&files, NOW).unwrap());
    let digest = *keys::fairplay::ApplicationCertificate::parse(&certificate).unwrap().digest();
    let mut spc = ask_kid(&WORLD.device, 1).1;
    spc.splice(152..172, digest);
    let read = Challenge::parse(&spc, &Desk { module: &module }, NOW);
    assert_eq!(read.err(), Some(ChallengeError::PayloadKey));
}

#[test]
fn a_certificate_has_its_dates() {
    let files = files(&WORLD.root);
    let at = |now| Credentials::import(&files, now).err();
    assert_eq!(at(Timestamp(0)), Some(ImportError::NotYetValid));
    assert_eq!(at(Timestamp(1_577_836_799_000)), Some(ImportError::NotYetValid));
    assert_eq!(at(Timestamp(1_577_836_800_000)), None);
    assert_eq!(at(Timestamp(2_524_608_000_000)), None);
    assert_eq!(at(Timestamp(2_524_608_001_000)), Some(ImportError::Expired));
}

#[test]
fn a_certificate_is_imported_once() {
    let credentials = Credentials::import(&files(&WORLD.root), NOW).unwrap();
    let again = credentials.and_application(&files(&WORLD.root), NOW);
    assert_eq!(again.err(), Some(ImportError::CertificateTwice));
}

#[test]
fn nothing_of_credentials_is_printed() {
    let shown = format!("{:?} {:?} {:?}", WORLD.module, WORLD.device, files(&WORLD.root));
    for secret in [&WORLD.root.secret_hex, &WORLD.older.secret_hex] {
        assert!(!shown.contains(secret.as_str()));
    }
    assert!(shown.contains("ApplicationKey(..)") && shown.contains("ApplicationSecret(..)"));
}

#[test]
fn a_devices_files_are_checked() {
    let device = WORLD.root.make_device(&mut SystemEntropy);
    let (hash, secret) = (device.hardware_hex.as_str(), device.secret_hex.as_str());
    for hardware in ["", &hash[2..], &hash[1..], &"zz".repeat(20)] {
        let refusal = ClientDevice::read(hardware, secret).err();
        assert_eq!(refusal, Some(DeviceError::Hardware));
    }
    assert_eq!(ClientDevice::read(hash, "00").err(), Some(DeviceError::Secret));
    assert!(ClientDevice::read(&format!("{hash}\n"), &format!("{secret}\n")).is_ok());
}

fn file(path: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(path: &str) -> String {
    String::from_utf8(file(path)).unwrap()
}

/// What a device draws: sevens.
struct Sevens;

impl model::Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

#[test]
fn the_seeds_are_messages_between_the_vectors_device_and_application() {
    let of = |name: &str| format!("vectors/fairplay/{name}");
    let certificate = file(&of("app_cert.der"));
    let files = ApplicationFiles {
        certificate: &certificate,
        private_pem: &text(&of("app_private.pem")),
        secret_hex: &text(&of("ask.hex")),
        derivation: &text(&of("d_function")),
    };
    let module = KeySecurityModule::from(Credentials::import(&files, NOW).unwrap());
    let device = ClientDevice::read(&text(&of("device.hex")), files.secret_hex).unwrap();
    let certificate = keys::fairplay::ApplicationCertificate::parse(&certificate).unwrap();
    for (framing, name) in Framing::ALL.into_iter().zip(["octets", "form", "json"]) {
        let body = file(&format!("fuzz/corpus/fairplay_spc/{name}"));
        let challenge = Challenge::parse(&body, &Desk { module: &module }, NOW).unwrap();
        assert_eq!((challenge.framing(), challenge.kid()), (framing, kid(1)));
        let asset = asset(1);
        let asked = Ask { certificate: &certificate, framing, ..ask(&asset) };
        let (pending, _) = device.ask(&asked, &mut Sevens);
        let answer = file(&format!("fuzz/corpus/fairplay_ckc/{name}"));
        assert_eq!(pending.open(&answer, NOW).unwrap().keys[0].kid, kid(1));
    }
}
