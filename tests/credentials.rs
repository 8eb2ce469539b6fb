//! `strongroom credentials` as an operator runs it: what is taken, every refusal with the name of
//! its file, and a service that runs meanwhile.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use binary::{done, said, strongroom};
use dialect::terms::Hdcp;
use dialect::widevine::RootFile;
use dialect::widevine::client::ClientDevice;
use dialect::widevine::provisioning::{ask, open_answer};
use dialect::widevine::test_root::{CertificateDraft, CertificateKind, TestRoot};
use keys::{RsaPrivateKey, SystemEntropy};
use model::{SecurityLevel, Timestamp};
use serde_json::Value;
use service::Service;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

static ROOT: LazyLock<TestRoot> =
    LazyLock::new(|| TestRoot::make("strongroom.test", &mut SystemEntropy));

/// A data folder, and beside it a folder to import.
struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(house.import_folder()).unwrap();
        for (name, bytes) in ROOT.files() {
            house.put(name, bytes);
        }
        house
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn import_folder(&self) -> PathBuf {
        self.folder.path().join("widevine")
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.import_folder().join(name), bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Value {
        let output = done(strongroom(&self.data()).arg("--json").args(arguments));
        serde_json::from_str(&output).unwrap()
    }

    fn import(&self) -> Value {
        self.run(&["credentials", "import", "widevine", self.import_folder().to_str().unwrap()])
    }

    /// Imports what must be refused, under this file's name.
    #[track_caller]
    fn import_refused(&self, exit: i32, file: &str, why: &str) {
        let mut command = strongroom(&self.data());
        command.args(["credentials", "import", "widevine"]).arg(self.import_folder());
        let output = command.output().unwrap();
        let said = said(&output);
        let expected = format!("{}: ", self.import_folder().join(file).display());
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(said.contains(&expected) && said.contains(why), "{said}");
        for line in ROOT.service_private_pem.lines().filter(|line| line.len() == 64) {
            assert!(!said.contains(line), "a private key is printed");
        }
    }
}

fn draft(kind: CertificateKind, key: &RsaPrivateKey) -> CertificateDraft {
    CertificateDraft::new(kind, &key.public_key(), &mut SystemEntropy)
}

#[test]
fn a_folder_is_imported_listed_and_removed() {
    let house = House::new();
    assert_eq!(house.run(&["credentials", "list"]), Value::Array(vec![]));
    let first = house.import();
    assert_eq!((&first["systems"], &first["provisioning"]), (&4.into(), &true.into()));
    assert_eq!(house.import(), first, "the same again");
    let listed = house.run(&["credentials", "list"]);
    let service = listed.as_array().unwrap().iter().find(|row| row["kind"] == "service").unwrap();
    assert_eq!(service["name"], first["service_serial"]);
    assert_eq!(
        (&service["provider"], &service["current"]),
        (&"strongroom.test".into(), &true.into())
    );
    assert!(!listed.to_string().contains("PRIVATE"));
    let audit = house.run(&["keys", "verify-audit"]);
    assert_eq!((&audit["is_whole"], &audit["rows"]), (&true.into(), &2.into()), "{audit}");
    house.run(&["credentials", "remove", "widevine"]);
    assert_eq!(house.run(&["credentials", "list"]), Value::Array(vec![]));
    let again = strongroom(&house.data()).args(["credentials", "remove", "widevine"]).output();
    let again = again.unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("no credentials were imported"), "{}", said(&again));
}

#[test]
fn what_is_missing_or_unreadable_is_said_by_its_name() {
    for name in ["service_cert.bin", "service_private.pem", "device_list.json"] {
        let house = House::new();
        fs::remove_file(house.import_folder().join(name)).unwrap();
        house.import_refused(2, name, "there is no such file");
    }
    let house = House::new();
    let at = |name: &str| house.import_folder().join(name);
    fs::remove_file(at("provisioning_private.pem")).unwrap();
    house.import_refused(2, "provisioning_private.pem", "there is only its certificate");
    fs::remove_file(at("provisioning_cert.bin")).unwrap();
    assert_eq!(house.import()["provisioning"], false, "both are optional");
    fs::remove_file(at("root_public.der")).unwrap();
    house.import();
    fs::remove_file(at("root_cert.bin")).unwrap();
    house.import_refused(2, "root_public.der", "neither this file nor root_cert.bin");
    fs::create_dir(at("root_public.der")).unwrap();
    house.import_refused(2, "root_public.der", "not a file");
    fs::remove_dir(at("root_public.der")).unwrap();
    house.put("root_public.der", &ROOT.root_public);
    house.put("service_cert.bin", vec![0; 64 * 1024 + 1]);
    house.import_refused(1, "service_cert.bin", "longer than");
}

#[test]
fn what_does_not_belong_together_is_refused_by_its_name() {
    let house = House::new();
    let stranger = RsaPrivateKey::generate();
    let stranger_pem = RsaPrivateKey::pem_of(&stranger.1);
    house.put("root_cert.bin", draft(CertificateKind::Root, &stranger.0).sign(&stranger.0, None));
    house.import_refused(1, "root_cert.bin", "of another key than root_public.der");
    house.put("root_cert.bin", draft(CertificateKind::Root, &stranger.0).sign(&ROOT.key, None));
    house.import_refused(1, "root_cert.bin", "neither an RSA public key nor");
    house.put("root_cert.bin", &ROOT.root_certificate);
    house.put("root_public.der", stranger.0.public_key().to_pkcs1());
    fs::remove_file(house.import_folder().join("root_cert.bin")).unwrap();
    house.import_refused(1, "service_cert.bin", "not signed by the root");
    house.put("root_public.der", &ROOT.root_public);

    house.put("service_private.pem", &*stranger_pem);
    house.import_refused(1, "service_private.pem", "not its certificate's");
    house.put("service_private.pem", "-----BEGIN RSA PRIVATE KEY-----\n");
    house.import_refused(1, "service_private.pem", "not an RSA key");
    house.put("service_private.pem", &*ROOT.service_private_pem);

    let service = |expires_s| {
        let draft = CertificateDraft {
            provider_id: Some("strongroom.test".to_owned()),
            expires_s,
            ..draft(CertificateKind::Service, &stranger.0)
        };
        draft.sign(&ROOT.key, None)
    };
    house.put("service_private.pem", &*stranger_pem);
    house.put("service_cert.bin", service(Some(1_000_000_000)));
    house.import_refused(1, "service_cert.bin", "expired");
    house.put("service_cert.bin", b"\xff");
    house.import_refused(1, "service_cert.bin", "damaged");
    house.put("service_cert.bin", &ROOT.provisioning.certificate);
    house.import_refused(1, "service_cert.bin", "wrong type");
    house.put("service_cert.bin", service(None));
    house.import();

    house.put("device_list.json", r#"{"systems": [{"system_id": 1}]}"#);
    house.import_refused(1, "device_list.json", "security_level");
    house.put("device_list.json", ROOT.device_list.replace("7001", "7004"));
    house.import_refused(1, "device_list.json", "listed twice");
    house.put("device_list.json", &ROOT.device_list);
    let l1 = ROOT.model(SecurityLevel::L1);
    house.put("provisioning_cert.bin", &l1.certificate);
    house.import_refused(1, "provisioning_cert.bin", "software is no more");
    house.put("provisioning_cert.bin", &ROOT.provisioning.certificate);
    house.put("provisioning_private.pem", &*l1.private_pem);
    house.import_refused(1, "provisioning_private.pem", "not its certificate's");
}

/// Imports `folder` for a system and returns what was said, with the exit code.
fn import_of(house: &House, system: &str, folder: &std::path::Path) -> (Option<i32>, String) {
    let mut command = strongroom(&house.data());
    let output = command.args(["credentials", "import", system]).arg(folder).output().unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn playreadys_and_fairplays_folders_are_imported_listed_and_removed() {
    let house = House::new();
    let made = house.folder.path().join("made");
    done(strongroom(&house.data()).args(["credentials", "make-test-root"]).arg(&made));
    let at = |system: &str| made.join(system);
    let path = |system: &str| at(system).to_str().unwrap().to_owned();
    let imported = house.run(&["credentials", "import", "playready", &path("playready")]);
    assert_eq!((&imported["revoked"], &imported["new_root"]), (&0.into(), &false.into()));
    let imported = house.run(&["credentials", "import", "fairplay", &path("fairplay")]);
    let serial = imported["service_serial"].as_str().unwrap().to_owned();
    let listed = house.run(&["credentials", "list"]);
    let kinds = |dialect: &str| {
        let rows = listed.as_array().unwrap().iter().filter(|row| row["dialect"] == dialect);
        rows.map(|row| row["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("playready").len(), 4, "{listed}");
    assert_eq!(kinds("fairplay").len(), 2, "{listed}");
    assert!(listed.to_string().contains(&serial) && !listed.to_string().contains("PRIVATE"));
    let list = at("playready").join("revocation.json");
    let digest = "ab".repeat(32);
    fs::write(&list, format!(r#"{{"revoked_public_key_digests": ["{digest}"]}}"#)).unwrap();
    let replaced = house.run(&["credentials", "revoked", list.to_str().unwrap()]);
    assert_eq!(replaced["revoked"], 1);
    // The audit for leaks knows what is secret of both: sealed here, in the clear there.
    let clean = house.run(&["audit-leaks", house.data().to_str().unwrap()]);
    assert_eq!(clean["findings"], Value::Array(vec![]));
    for (system, names) in [
        ("playready", &["wmrm_private.pem", "signing_private.pem"][..]),
        ("fairplay", &["app_private.pem", "ask.hex"]),
    ] {
        let mut command = strongroom(&house.data());
        let found = command.args(["--json", "audit-leaks"]).arg(at(system)).output().unwrap();
        assert_eq!(found.status.code(), Some(1));
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        let paths: Vec<_> =
            found["findings"].as_array().unwrap().iter().map(|f| &f["path"]).collect();
        for name in names {
            let path = at(system).join(name);
            assert!(paths.iter().any(|found| *found == path.to_str().unwrap()), "{name} {paths:?}");
        }
    }
    for system in ["playready", "fairplay"] {
        house.run(&["credentials", "remove", system]);
    }
    assert_eq!(house.run(&["credentials", "list"]), Value::Array(vec![]));
}

#[test]
fn a_file_of_playreadys_or_fairplays_is_refused_by_its_name() {
    let house = House::new();
    let made = house.folder.path().join("made");
    done(strongroom(&house.data()).args(["credentials", "make-test-root"]).arg(&made));
    for (system, name, wrong) in [
        ("playready", "root_public.bin", &b"no point"[..]),
        ("playready", "wmrm_private.pem", b"-----BEGIN PRIVATE KEY-----"),
        ("playready", "signing_chain.bin", b"CHAI"),
        ("playready", "signing_private.pem", b""),
        ("playready", "revocation.json", b"{}"),
        ("fairplay", "app_cert.der", b"0"),
        ("fairplay", "app_private.pem", b""),
        ("fairplay", "ask.hex", b"00"),
        ("fairplay", "d_function", b"another"),
    ] {
        let (folder, path) = (made.join(system), made.join(system).join(name));
        let good = fs::read(&path).unwrap();
        fs::write(&path, wrong).unwrap();
        let (exit, text) = import_of(&house, system, &folder);
        assert_eq!(exit, Some(1), "{name}: {text}");
        assert!(text.contains(&format!("{}: ", path.display())), "{name}: {text}");
        fs::remove_file(&path).unwrap();
        let (exit, text) = import_of(&house, system, &folder);
        assert_eq!(exit, Some(2), "{name}: {text}");
        assert!(text.contains(name), "{text}");
        fs::write(&path, good).unwrap();
        let (exit, text) = import_of(&house, system, &folder);
        assert_eq!(exit, Some(0), "{name}: {text}");
    }
}

/// The stand-in neither enters production nor lets it start.
#[test]
fn a_stand_in_is_refused_in_production() {
    let house = House::new();
    let made = house.folder.path().join("made");
    done(strongroom(&house.data()).args(["credentials", "make-test-root"]).arg(&made));
    let production = |command: &mut std::process::Command| {
        command
            .env("STRONGROOM_MODE", "production")
            .env("STRONGROOM_LISTEN_BEHIND_PROXY", "true")
            .env("STRONGROOM_LISTEN_ADDRESS", "127.0.0.1:0")
            .env("STRONGROOM_KEYS_ALLOW_FILE_IN_PRODUCTION", "true")
            .output()
            .unwrap()
    };
    let mut import = strongroom(&house.data());
    import.args(["credentials", "import", "fairplay"]).arg(made.join("fairplay"));
    let refused = production(&mut import);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("d_function: standin-d-v1 is for tests only"));
    assert_eq!(import_of(&house, "fairplay", &made.join("fairplay")).0, Some(0));
    let refused = production(strongroom(&house.data()).arg("serve"));
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("standin-d-v1 is for tests only"), "{}", said(&refused));
}

#[test]
fn a_test_root_is_made_for_its_owner_only_and_imports() {
    let house = House::new();
    let made = house.folder.path().join("made");
    let path = made.to_str().unwrap();
    let text = done(strongroom(&house.data()).args(["credentials", "make-test-root", path]));
    let next = text.lines().find(|line| line.contains("credentials import widevine")).unwrap();
    assert!(!house.data().exists(), "nothing was opened");
    let widevine = made.join("widevine");
    assert_eq!(next, format!("strongroom credentials import widevine {}", widevine.display()));
    for name in ["root_private.pem", "service_private.pem", "provisioning_private.pem"] {
        let mode = fs::metadata(widevine.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    for level in ["L1", "L2", "L3"] {
        let own = widevine.join("devices").join(level);
        let private = own.join("private.pem");
        let mode = fs::metadata(&private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{level}");
        let certificate = fs::read(own.join("certificate.bin")).unwrap();
        assert!(
            ClientDevice::read(&certificate, &fs::read_to_string(private).unwrap(), Hdcp::V2_3)
                .is_ok()
        );
    }
    assert!(fs::read_to_string(made.join("README.txt")).unwrap().contains("no vendor's device"));
    let imported = house.run(&["credentials", "import", "widevine", widevine.to_str().unwrap()]);
    assert_eq!(imported["provisioning"], true);

    let again = strongroom(&house.data()).args(["credentials", "make-test-root", path]).output();
    let again = again.unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("the folder is not empty"), "{}", said(&again));

    // The audit for leaks knows the keys that were imported: sealed here, in the clear there.
    let clean = house.run(&["audit-leaks", house.data().to_str().unwrap()]);
    assert_eq!(clean["findings"], Value::Array(vec![]));
    let mut found = strongroom(&house.data());
    let found = found.args(["--json", "audit-leaks"]).arg(&widevine).output().unwrap();
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let paths: Vec<_> = found["findings"].as_array().unwrap().iter().map(|f| &f["path"]).collect();
    for name in ["service_private.pem", "provisioning_private.pem"] {
        let path = widevine.join(name);
        assert!(paths.iter().any(|found| *found == path.to_str().unwrap()), "{name}: {paths:?}");
    }
}

#[test]
fn a_running_service_follows_within_seconds() {
    let house = House::new();
    let log = house.folder.path().join("log");
    let service = Service::start(&mut strongroom(&house.data()), &log);
    let (key, _) = RsaPrivateKey::generate();
    let (status, body) = provision(&service, &key);
    assert_eq!(status, 404, "{body}");
    assert!(body.contains("provisioning_not_offered"));
    house.import();
    let body = wait_for(&service, &key, 201);
    let root = RootFile::PublicKey(&ROOT.root_public);
    let device = open_answer(body.as_bytes(), key, root, now()).unwrap();
    let revoked =
        ROOT.device_list.replace("\"revoked_system_ids\": []", "\"revoked_system_ids\": [7004]");
    assert_ne!(revoked, ROOT.device_list);
    let list = house.folder.path().join("revoked.json");
    fs::write(&list, revoked).unwrap();
    house.run(&["credentials", "devices", list.to_str().unwrap()]);
    wait_for(&service, &device.key, 404);
    house.run(&[
        "credentials",
        "devices",
        house.import_folder().join("device_list.json").to_str().unwrap(),
    ]);
    assert_eq!(wait_for(&service, &device.key, 200), body, "the same certificate again");
    house.run(&["credentials", "remove", "widevine"]);
    wait_for(&service, &device.key, 404);
    let list = list.to_str().unwrap();
    let refused = strongroom(&house.data()).args(["credentials", "devices", list]).output();
    assert_eq!(refused.unwrap().status.code(), Some(1));
}

fn now() -> Timestamp {
    server::clock::Clock::System.now()
}

/// Asks the service for a certificate: status and body.
fn provision(service: &Service, key: &RsaPrivateKey) -> (u16, String) {
    let json = ["Content-Type: application/json"];
    let answer = service.ask("POST", "/provisioning/widevine", &json, &ask(key, now()));
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// Asks every two seconds and a half until it is answered so: on a machine with nothing else to do
/// the first time, and else within what the bound of ten a minute lets through.
fn wait_for(service: &Service, key: &RsaPrivateKey, expected: u16) -> String {
    let mut last = (0, String::new());
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(2500));
        last = provision(service, key);
        if last.0 == expected {
            return last.1;
        }
    }
    panic!("{last:?}");
}
