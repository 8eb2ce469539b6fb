//! Sessions with the running service over HTTP, beyond the first license: a FairPlay lease is
//! renewed in time under the viewer's sign-in, and a PlayReady license that is kept is acknowledged
//! (R095, R096, R114).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use binary::{done, strongroom};
use cdm::{KeyStatus, MessageKind, Sessions, System};
use dialect::playready::client::{Ask, ClientDevice, Service as Signer};
use dialect::playready::{Header, PERSISTENT};
use keys::SystemEntropy;
use model::{KeyId, Scheme, Timestamp};
use service::{Answer, Service};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

const LEASE_S: u64 = 8;
const POLICY: &str = "license_s = 8\n[offline]\nallowed = true\nlicense_s = 500\n";

/// The running service with a title of one key, whose media is elsewhere, and a viewer.
struct House {
    folder: TempDir,
    service: Service,
    bearer: String,
}

/// What a token call gives.
struct Playback {
    license: serde_json::Value,
    session: String,
}

fn kid() -> KeyId {
    KeyId::from_bytes([0x5d; 16])
}

impl House {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let run = |arguments: &[&str]| done(strongroom(&data).args(arguments));
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name).to_str().unwrap().to_owned()
        };
        let lab = folder.path().join("lab");
        run(&["credentials", "make-test-root", lab.to_str().unwrap()]);
        for system in ["playready", "fairplay"] {
            run(&["credentials", "import", system, lab.join(system).to_str().unwrap()]);
        }
        run(&["policy", "set", "short", "--file", &write("policy.toml", POLICY)]);
        run(&["title", "add", "film", "--policy", "short"]);
        let key = serde_json::json!([{
            "content_id": "film", "kid": kid().to_string(), "label": "SD", "scheme": "cbcs",
            "key": "5c1f93e670ab2d48d704be618a3fc901",
        }]);
        run(&["keys", "import", &write("keys.json", &key.to_string())]);
        let account: serde_json::Value =
            serde_json::from_str(&run(&["--json", "account", "add", "viewer"])).unwrap();
        let service = Service::start(&mut strongroom(&data), &folder.path().join("log"));
        let bearer = service.sign_in("viewer", account["password"].as_str().unwrap());
        Self { folder, service, bearer }
    }

    fn lab(&self, system: &str) -> PathBuf {
        self.folder.path().join("lab").join(system)
    }

    fn playback(&self) -> Playback {
        let path = "/api/v1/playback/token/film";
        let token = self.service.ask("GET", path, &[&self.bearer], b"");
        let token = said(token).json();
        let session = token["session_id"].as_str().unwrap().to_owned();
        Playback { license: token["license"].clone(), session }
    }

    /// Sends the first request of a playback, with its token.
    fn first(&self, playback: &Playback, system: &str, body: &[u8]) -> Answer {
        self.service.ask("POST", playback.license[system].as_str().unwrap(), &[], body)
    }

    /// Sends a later one, with the viewer's sign-in where there is one.
    fn later(&self, playback: &Playback, headers: &[&str], body: &[u8]) -> Answer {
        let path = format!("/license/fairplay?session={}", playback.session);
        self.service.ask("POST", &path, headers, body)
    }
}

/// An answer that is no refusal.
#[track_caller]
fn said(answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn fairplay(folder: &Path) -> Sessions {
    let own = folder.join("devices/L2");
    let (hardware, secret) = (text(&own, "device.hex"), text(&own, "ask.hex"));
    let profile = cdm::fairplay::Profile { hardware_hex: &hardware, secret_hex: &secret };
    let device = cdm::fairplay::Device::parse(&profile).unwrap();
    Sessions::new(System::FairPlay(Box::new(device)))
}

#[test]
fn a_fairplay_lease_is_renewed_in_time_with_the_viewers_sign_in() {
    let house = House::open();
    let mut sessions = fairplay(&house.lab("fairplay"));
    let entropy = &mut SystemEntropy;
    let playback = house.playback();
    let began = now();
    let uri = format!("skd://film?kid={}", kid());
    let (id, message) = sessions.request(uri.as_bytes(), began, entropy).unwrap();
    assert_eq!(message.kind, MessageKind::CertificateRequest);
    let certificate = said(house.service.ask("GET", "/license/fairplay", &[], b"")).body;
    let message = sessions.update(id, &certificate, began, entropy).unwrap().message.unwrap();
    let license = said(house.first(&playback, "fairplay", &message.body)).body;
    let usable = [(kid(), KeyStatus::Usable)];
    assert_eq!(sessions.update(id, &license, now(), entropy).unwrap().keys, usable);
    let expired = [(kid(), KeyStatus::Expired)];
    sleep(Duration::from_secs(LEASE_S * 3 / 4));
    let due = sessions.renew(id, now(), entropy).unwrap().expect("three quarters are over");
    assert_eq!(due.kind, MessageKind::LicenseRenewal);
    // The viewer's sign-in renews, and nothing less.
    for headers in [&[][..], &["Authorization: Bearer none"]] {
        assert_eq!(house.later(&playback, headers, &due.body).status, 401);
    }
    let renewed = said(house.later(&playback, &[&house.bearer], &due.body)).body;
    assert_eq!(sessions.update(id, &renewed, now(), entropy).unwrap().keys, usable);
    // The first lease is over, and what the second one says holds.
    let first_end = began.plus_s(LEASE_S + 1);
    assert_eq!(sessions.statuses(id, first_end).unwrap(), usable);
    assert_eq!(sessions.renew(id, first_end, entropy), Ok(None), "it is not due again yet");
    assert_eq!(sessions.statuses(id, now().plus_s(LEASE_S)).unwrap(), expired);
}

#[test]
fn a_playready_license_that_is_kept_is_acknowledged() {
    let house = House::open();
    let lab = house.lab("playready");
    let read = |name: &str| fs::read(lab.join(name)).unwrap();
    let signer = Signer::read(&read("root_public.bin"), &read("wmrm_public.bin")).unwrap();
    let own = lab.join("devices/L1");
    let device = ClientDevice::read(
        &read("devices/L1/chain.bin"),
        &text(&own, "signing_private.pem"),
        &text(&own, "encryption_private.pem"),
    );
    let device = device.unwrap();
    let header = Header::of(&[kid()], Scheme::Cbcs);
    let headers = &[header.as_bytes()][..];
    for (custom_data, is_kept) in [(Some(PERSISTENT), true), (None, false)] {
        let playback = house.playback();
        let ask = Ask { headers, custom_data, service: &signer };
        let (pending, body) = device.ask(&ask, now(), &mut SystemEntropy).unwrap();
        let license = said(house.first(&playback, "playready", &body)).body;
        let (license, acknowledgement) = pending.open(&license).unwrap();
        let kids: Vec<_> = license.keys.iter().map(|key| key.kid).collect();
        assert_eq!((kids, license.terms.can_persist), (vec![kid()], is_kept));
        assert_eq!(acknowledgement.is_some(), is_kept);
        let Some(body) = acknowledgement else { continue };
        let answer = said(house.first(&playback, "playready", &body)).body;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("AcknowledgeLicenseResponse"), "{answer}");
    }
}

fn now() -> Timestamp {
    server::clock::Clock::System.now()
}
