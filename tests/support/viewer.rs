//! Titles that each need the root key once, and a viewer who asks for their licenses.

use crate::binary::done;
use crate::service::{Answer, Service};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest wait for a refusal (R173).
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Longest time from the root key's return to the next license (R173).
const BACK_WITHIN: Duration = Duration::from_secs(5);

fn kid(title: u32) -> model::KeyId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&title.to_be_bytes());
    model::KeyId::from_bytes(bytes)
}

/// Adds titles of one key each, each in a category of its own, whose media is elsewhere.
/// `strongroom` is the binary with its settings; `folder` takes the key file.
pub fn add_titles(titles: u32, strongroom: &dyn Fn() -> Command, folder: &Path) {
    let mut keys = vec![];
    for title in 0..titles {
        let (content, category) = (format!("title-{title}"), format!("category-{title}"));
        done(strongroom().args(["title", "add", &content, "--category", &category]));
        let key = format!("{:032x}", 0x0bad_cafe_u128 << 64 | u128::from(title));
        let kid = kid(title).to_string();
        keys.push(
            serde_json::json!({"kid": kid, "key": key, "content_id": content, "label": "SD"}),
        );
    }
    let file = folder.join("keys.json");
    std::fs::write(&file, serde_json::to_vec(&keys).unwrap()).unwrap();
    done(strongroom().args(["keys", "import"]).arg(&file));
}

/// A viewer who is signed in.
pub struct Viewer<'a> {
    service: &'a Service,
    bearer: String,
}

impl<'a> Viewer<'a> {
    /// Makes an account and signs in.
    pub fn new(strongroom: &dyn Fn() -> Command, service: &'a Service, number: u32) -> Self {
        let name = format!("viewer-{number}");
        let account = done(strongroom().args(["--json", "account", "add", &name]));
        let account: serde_json::Value = serde_json::from_str(&account).unwrap();
        let bearer = service.sign_in(&name, account["password"].as_str().unwrap());
        Self { service, bearer }
    }

    /// Asks for a license as a player would, and gives the stream back.
    pub fn license(&self, title: u32) -> (Answer, Duration) {
        let path = format!("/api/v1/playback/token/title-{title}");
        let token = self.service.ask("GET", &path, &[&self.bearer], b"").json();
        let url = token["license"]["clearkey"].as_str().unwrap_or_else(|| panic!("{token}"));
        let challenge =
            serde_json::json!({"kids": [kid(title).to_base64url()], "type": "temporary"});
        let begun = now();
        let answer = self.service.ask("POST", url, &[], challenge.to_string().as_bytes());
        let took = begun.elapsed();
        let session = token["session_id"].as_str().unwrap();
        let path = format!("/api/v1/playback/{session}");
        self.service.ask("DELETE", &path, &[&self.bearer], b"");
        (answer, took)
    }
}

/// A license with its one key.
pub fn assert_issued(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 1);
}

/// Refused for want of the root key: soon, with a wait, and without a key.
pub fn assert_put_off(answer: &Answer, took: Duration) {
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

impl Viewer<'_> {
    /// Asks until a license is issued, which must be soon.
    pub fn license_soon(&self, title: u32) {
        let returned = now();
        loop {
            let (answer, took) = self.license(title);
            assert!(returned.elapsed() < BACK_WITHIN, "not back after {BACK_WITHIN:?}");
            if answer.status == 200 {
                return assert_issued(&answer);
            }
            assert_put_off(&answer, took);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a promise about time is measured")]
fn now() -> Instant {
    Instant::now()
}
