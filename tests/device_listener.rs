//! The listener of boxes: mutual TLS under the platform's device root, and nothing of the browsers'
//! (R071).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "../crates/playback/tests/device_key/mod.rs"]
mod device_key;
#[path = "support/mutual_tls.rs"]
mod mutual_tls;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/service.rs"]
mod service;

use binary::{done, strongroom};
use device_key::DeviceKey;
use mutual_tls::{Identity, Issuer, authority, client, server_pems};
use serde_json::{Value, json};
use service::Service;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A service with both listeners.
struct House {
    folder: tempfile::TempDir,
    server: Issuer,
    boxes: Issuer,
    _service: Service,
}

/// An answer: status and body.
type Answer = Result<(u16, Value), String>;

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, boxes) = (authority("server authority"), authority("device root"));
        let (chain, private) = server_pems(&server);
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (chain, private) = (write("chain.pem", &chain), write("key.pem", &private));
        let root = write("device-root.pem", &boxes.pem());
        let settings = write(
            "strongroom.toml",
            &format!(
                "[listen]\ntls_certificate = \"{chain}\"\ntls_private_key = \"{private}\"\n\
                 device = \"127.0.0.1:0\"\ndevice_ca = \"{root}\"\n"
            ),
        );
        let data = folder.path().join("data");
        let mut add = strongroom(&data);
        add.args(["account", "add", "ada", "--password-stdin"]);
        with_input(&mut add, "correct horse battery staple\n");
        let mut serve = strongroom(&data);
        serve.env("STRONGROOM_CONFIG", settings);
        let service = Service::start(&mut serve, &folder.path().join("serve.log"));
        Self { folder, server, boxes, _service: service }
    }

    fn address(&self, of: &str) -> String {
        let url = fs::read_to_string(self.folder.path().join("data/run").join(of)).unwrap();
        url.trim().strip_prefix("https://").unwrap().to_owned()
    }

    /// Asks over TLS; why there was no answer, where there was none.
    fn ask(
        &self,
        of: &str,
        identity: Option<&Identity>,
        line: &str,
        headers: &[String],
        body: &str,
    ) -> Answer {
        let mut head = format!("{line} HTTP/1.0\r\nHost: localhost\r\n");
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head += &format!("{header}\r\n");
        }
        let request = format!("{head}\r\n{body}");
        let (status, body) = mutual_tls::ask(&self.address(of), &self.server, identity, &request)?;
        Ok((status, serde_json::from_str(&body).unwrap_or_default()))
    }

    fn browser(&self, line: &str, headers: &[String], body: &str) -> (u16, Value) {
        self.ask("url", None, line, headers, body).unwrap()
    }
}

fn with_input(command: &mut Command, text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    command.stdin(fs::File::open(file.path()).unwrap());
    done(command);
}

fn proof(key: &DeviceKey, method: &str, path: &str, id: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the running service has the system's clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let url = format!("https://localhost{path}");
    format!("DPoP: {}", key.proof(method, &url, now.as_secs(), id))
}

/// No certificate, and one under another root of the same name, end the handshake.
fn strangers_are_refused(house: &House) {
    let forged = client(&authority("device root"), "a box");
    for stranger in [None, Some(&forged)] {
        let answer = house.ask("device-url", stranger, "GET /api/v1/time", &[], "");
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[test]
fn boxes_and_browsers_have_each_their_own() {
    let house = House::new();
    strangers_are_refused(&house);
    let identity = client(&house.boxes, "a box");
    let of_box_at = |line: &str, headers: &[String], body: &str| {
        house.ask("device-url", Some(&identity), line, headers, body)
    };
    assert_eq!(of_box_at("GET /api/v1/time", &[], "").unwrap().0, 200);
    // Nothing of the browsers'.
    let credentials =
        json!({"name": "ada", "password": "correct horse battery staple"}).to_string();
    for place in ["", "sign-in", "watch/film", "openapi.json", "metrics", "cpix"] {
        let line = format!("GET /{place}");
        assert_eq!(of_box_at(&line, &[], "").unwrap().0, 404, "{line}");
    }
    assert_eq!(of_box_at("POST /api/v1/sessions", &[], &credentials).unwrap().0, 404);
    let (status, signed_in) = house.browser("POST /api/v1/sessions", &[], &credentials);
    assert_eq!(status, 200);
    let token = signed_in["token"].as_str().unwrap();
    let cookie = vec![
        format!("Cookie: __Host-strongroom-session={token}"),
        "Sec-Fetch-Site: same-origin".to_owned(),
    ];
    assert_eq!(house.browser("GET /api/v1/me", &cookie, "").0, 200);
    assert_eq!(of_box_at("GET /api/v1/me", &cookie, "").unwrap().0, 401, "no cookie counts");
    // A box registers at its listener and nowhere else, and stays there.
    let (key, bearer) = (DeviceKey::new(), format!("Authorization: Bearer {token}"));
    let with = |method, path: &str, id| vec![bearer.clone(), proof(&key, method, path, id)];
    let path = "/api/v1/devices";
    let body = json!({"name": "box", "kind": "device"}).to_string();
    let line = format!("POST {path}");
    let (status, refused) = house.browser(&line, &with("POST", path, "1"), &body);
    assert_eq!((status, refused["code"].as_str()), (403, Some("other_listener")));
    let (status, box_) = of_box_at(&line, &with("POST", path, "2"), &body).unwrap();
    assert_eq!((status, box_["interval_s"].as_u64()), (201, Some(30)), "{box_}");
    let renew = format!("{path}/{}/renew", box_["device_id"].as_str().unwrap());
    let line = format!("POST {renew}");
    let (status, refused) = house.browser(&line, &with("POST", &renew, "3"), "");
    assert_eq!((status, refused["code"].as_str()), (403, Some("other_listener")));
    let (status, renewed) = of_box_at(&line, &with("POST", &renew, "4"), "").unwrap();
    assert_eq!(status, 200);
    // Its ticket plays there: what it hears is about the title, and at the other listener not.
    let path = "/api/v1/playback/token/film";
    let ticket = format!("X-Device-Ticket: {}", renewed["ticket"].as_str().unwrap());
    let play = |id, number: u32| {
        let mut headers = with("GET", path, id);
        headers.extend([ticket.clone(), format!("X-Device-Sequence: {number}")]);
        headers
    };
    let line = format!("GET {path}");
    let (status, answer) = of_box_at(&line, &play("5", 1), "").unwrap();
    assert_eq!((status, answer["code"].as_str()), (404, Some("title_not_found")));
    let (status, answer) = house.browser(&line, &play("6", 2), "");
    assert_eq!((status, answer["code"].as_str()), (403, Some("other_listener")));
    // A sign-in alone is no box.
    let (status, answer) = of_box_at(&line, std::slice::from_ref(&bearer), "").unwrap();
    assert_eq!((status, answer["code"].as_str()), (403, Some("device_not_registered")));
    // The operator sees it and takes it away.
    let data = house.folder.path().join("data");
    let list = || {
        let text = done(strongroom(&data).args(["--json", "device", "list", "--account", "ada"]));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(list()[0]["device_id"], box_["device_id"]);
    let id = box_["device_id"].as_str().unwrap();
    let remove = ["device", "remove", "--account", "ada", "--device", id];
    done(strongroom(&data).args(remove));
    assert_eq!(list(), json!([]));
    assert_eq!(strongroom(&data).args(remove).output().unwrap().status.code(), Some(1));
    let (status, answer) = of_box_at(&line, &play("7", 3), "").unwrap();
    assert_eq!((status, answer["code"].as_str()), (410, Some("device_inactive")));
}
