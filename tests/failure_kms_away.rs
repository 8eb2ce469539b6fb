//! The token with the root key is taken away under load and comes back: licenses that need it
//! are refused at once and with a wait, and issued again without a restart (R173).

#![cfg(feature = "hsm")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]
#![expect(clippy::disallowed_methods, reason = "the service is measured from outside")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
mod service;
#[path = "support/softhsm.rs"]
mod softhsm;

use binary::{done, said, strongroom};
use service::{Answer, Service};
use softhsm::{MODULE, PIN, SoftHsm};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Titles, each of a category of its own: each needs the token once.
const TITLES: u32 = 17;
/// Viewers who ask at the same time.
const VIEWERS: u32 = 4;
/// Longest wait for a refusal (R173).
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Longest time from the token's return to the next license (R173).
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// The binary with the settings of the token.
fn on_token(data: &Path, hsm: &SoftHsm) -> Command {
    let mut command = strongroom(data);
    command
        .env("SOFTHSM2_CONF", hsm.settings())
        .env("STRONGROOM_KEYS_BACKEND", "pkcs11")
        .env("STRONGROOM_KEYS_PKCS11_MODULE", MODULE)
        .env("STRONGROOM_KEYS_PKCS11_TOKEN_LABEL", "strongroom")
        .env("STRONGROOM_KEYS_PKCS11_PIN_ENV", "TOKEN_PIN")
        .env("STRONGROOM_KEYS_PKCS11_CREATE", "true")
        .env("TOKEN_PIN", PIN);
    command
}

fn kid(title: u32) -> model::KeyId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&title.to_be_bytes());
    model::KeyId::from_bytes(bytes)
}

/// Titles of one key each, whose media is elsewhere.
fn fill(data: &Path, hsm: &SoftHsm, folder: &Path) {
    let mut keys = vec![];
    for title in 0..TITLES {
        let (content, category) = (format!("title-{title}"), format!("category-{title}"));
        done(on_token(data, hsm).args(["title", "add", &content, "--category", &category]));
        let key = format!("{:032x}", 0x0bad_cafe_u128 << 64 | u128::from(title));
        let kid = kid(title).to_string();
        keys.push(
            serde_json::json!({"kid": kid, "key": key, "content_id": content, "label": "SD"}),
        );
    }
    let file = folder.join("keys.json");
    std::fs::write(&file, serde_json::to_vec(&keys).unwrap()).unwrap();
    done(on_token(data, hsm).args(["keys", "import"]).arg(&file));
}

/// A viewer who is signed in.
struct Viewer<'a> {
    service: &'a Service,
    bearer: String,
}

impl<'a> Viewer<'a> {
    fn new(data: &Path, hsm: &SoftHsm, service: &'a Service, number: u32) -> Self {
        let name = format!("viewer-{number}");
        let account = done(on_token(data, hsm).args(["--json", "account", "add", &name]));
        let account: serde_json::Value = serde_json::from_str(&account).unwrap();
        let bearer = service.sign_in(&name, account["password"].as_str().unwrap());
        Self { service, bearer }
    }

    /// Asks for a license as a player would, and gives the stream back.
    fn license(&self, title: u32) -> (Answer, Duration) {
        let path = format!("/api/v1/playback/token/title-{title}");
        let token = self.service.ask("GET", &path, &[&self.bearer], b"").json();
        let url = token["license"]["clearkey"].as_str().unwrap_or_else(|| panic!("{token}"));
        let challenge =
            serde_json::json!({"kids": [kid(title).to_base64url()], "type": "temporary"});
        let begun = Instant::now();
        let answer = self.service.ask("POST", url, &[], challenge.to_string().as_bytes());
        let took = begun.elapsed();
        let session = token["session_id"].as_str().unwrap();
        let path = format!("/api/v1/playback/{session}");
        self.service.ask("DELETE", &path, &[&self.bearer], b"");
        (answer, took)
    }
}

fn assert_issued(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 1);
}

/// Refused for want of the root key: soon, with a wait, and without a key.
fn assert_put_off(answer: &Answer, took: Duration) {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 503, "{body}");
    assert_eq!(answer.json()["code"], "kms_unavailable");
    assert!(took < REFUSED_WITHIN, "{took:?}");
    let wait = answer.head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("retry-after").then(|| value.parse::<u32>().unwrap())
    });
    assert!(wait.is_some_and(|wait| (1..=30).contains(&wait)), "{}", answer.head);
    assert!(!body.contains("\"k\""), "{body}");
}

#[test]
fn a_token_taken_away_under_load_puts_licenses_off_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::find(folder.path()) else { return };
    hsm.make_token("strongroom");
    let (data, log) = (folder.path().join("data"), folder.path().join("serve.log"));
    fill(&data, &hsm, folder.path());
    let service = Service::start(&mut on_token(&data, &hsm), &log);
    let viewers: Vec<_> =
        (0..VIEWERS).map(|number| Viewer::new(&data, &hsm, &service, number)).collect();
    assert_issued(&viewers[0].license(0).0);

    let drawer = hsm.tokens().with_extension("drawer");
    std::fs::rename(hsm.tokens(), &drawer).unwrap();
    let put_off = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (viewer, first) in viewers.iter().zip(1..) {
            let put_off = &put_off;
            scope.spawn(move || {
                for title in (first..TITLES).step_by(VIEWERS as usize) {
                    let (answer, took) = viewer.license(title);
                    assert_put_off(&answer, took);
                    put_off.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(put_off.into_inner() + 1, TITLES as usize);
    let missing = on_token(&data, &hsm).args(["keys", "list"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(said(&missing).contains("cannot be used"), "{}", said(&missing));

    std::fs::rename(&drawer, hsm.tokens()).unwrap();
    let returned = Instant::now();
    std::thread::scope(|scope| {
        for (viewer, title) in viewers.iter().zip(1..) {
            scope.spawn(move || {
                loop {
                    let (answer, took) = viewer.license(title);
                    assert!(returned.elapsed() < BACK_WITHIN, "not back after {BACK_WITHIN:?}");
                    if answer.status == 200 {
                        return assert_issued(&answer);
                    }
                    assert_put_off(&answer, took);
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
    });
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(!log.contains(PIN), "the PIN is logged");
}
