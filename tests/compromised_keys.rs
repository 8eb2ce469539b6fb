//! A key that strangers know leaves in no license from the next request on (R038), and nobody
//! learns from the answers which keys there are (R039).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests sign in")]
mod service;

use binary::{done, said, strongroom};
use serde_json::Value;
use service::{Answer, Service};
use std::path::{Path, PathBuf};

const SOUND: &str = "0000000000000000000000000000000a";
const PICTURE: &str = "0000000000000000000000000000000b";
const OTHER: &str = "0000000000000000000000000000000c";

fn home(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    done(strongroom(&data).args(["account", "add", "viewer"]));
    done(strongroom(&data).args(["title", "add", "match", "--category", "sport"]));
    let key = |kid: &str, title: &str, label: &str| {
        let key = kid.replace('0', "d");
        serde_json::json!({"kid": kid, "key": key, "content_id": title, "label": label})
    };
    let keys = [key(SOUND, "film", "AUDIO"), key(PICTURE, "film", "SD"), key(OTHER, "match", "SD")];
    let file = folder.join("keys.json");
    std::fs::write(&file, Value::from(keys.to_vec()).to_string()).expect("the folder is ours");
    done(strongroom(&data).args(["keys", "import"]).arg(&file));
    data
}

fn ask(data: &Path, service: &Service, title: &str, kids: &[&str]) -> Answer {
    let mut command = strongroom(data);
    command.args(["license-url", "--content", title, "--account", "viewer"]);
    let url = done(command.args(["--dialect", "clearkey"]));
    let kids = kids.iter().map(|kid| model::KeyId::parse(kid).expect("a KID").to_base64url());
    let challenge = serde_json::json!({"kids": kids.collect::<Vec<_>>(), "type": "temporary"});
    service.ask("POST", url.trim(), &[], challenge.to_string().as_bytes())
}

#[track_caller]
fn assert_code(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json()["code"]), (status, &Value::from(code)));
}

fn json(data: &Path, line: &[&str]) -> Value {
    serde_json::from_str(&done(strongroom(data).arg("--json").args(line))).expect("JSON")
}

#[test]
fn a_known_kek_blocks_its_titles_at_the_next_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let log = folder.path().join("serve.log");
    let service = Service::start(&mut strongroom(&data), &log);
    assert_eq!(ask(&data, &service, "film", &[SOUND, PICTURE]).status, 200);

    let unsure =
        strongroom(&data).args(["keys", "compromise", "default", "--version", "1"]).output();
    let unsure = unsure.expect("the binary runs");
    assert_eq!(unsure.status.code(), Some(2), "{}", said(&unsure));
    assert_eq!(ask(&data, &service, "film", &[SOUND, PICTURE]).status, 200, "nothing yet");

    let line = ["--json", "keys", "compromise", "default", "--version", "1", "--yes"];
    let blocked = strongroom(&data).args(line).output().expect("the binary runs");
    assert!(said(&blocked).contains("alert=\"kek_compromised\""), "{}", said(&blocked));
    let blocked: Value = serde_json::from_slice(&blocked.stdout).expect("JSON");
    assert_eq!(blocked, serde_json::json!({"blocked": true, "titles": ["film"]}));
    assert_code(&ask(&data, &service, "film", &[SOUND, PICTURE]), 404, "cek_not_found");
    assert_eq!(ask(&data, &service, "match", &[OTHER]).status, 200, "another category");
    // To a player, a key of another title and one that does not exist are one answer.
    let foreign = ask(&data, &service, "match", &[PICTURE]);
    let unknown = ask(&data, &service, "match", &["000000000000000000000000000000ff"]);
    assert_code(&foreign, 403, "kid_not_in_content");
    assert_code(&unknown, 403, "kid_not_in_content");

    let waiting = json(&data, &["keys", "list", "--compromised"]);
    assert_eq!(waiting["waiting"][0]["content_id"], "film");
    assert_eq!(waiting["waiting"].as_array().map(Vec::len), Some(1));
    // Wrapped anew and its KEK destroyed, it stays blocked.
    done(strongroom(&data).args(["keys", "rewrap"]));
    done(strongroom(&data).args(["keys", "destroy", "default", "--version", "1", "--yes"]));
    assert_code(&ask(&data, &service, "film", &[PICTURE]), 404, "cek_not_found");
    let keks = json(&data, &["keys", "show", "default"]);
    assert_eq!(
        (&keks["keks"][0]["state"], &keks["keks"][1]["state"]),
        (&"destroyed".into(), &"active".into())
    );
    let unknown = strongroom(&data)
        .args(["keys", "compromise", "default", "--version", "9", "--yes"])
        .output();
    assert_eq!(unknown.expect("runs").status.code(), Some(1));
    assert!(done(strongroom(&data).args(["keys", "verify-audit"])).contains("chain whole"));
}

#[test]
fn a_known_content_key_is_withheld_and_the_rest_plays() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let service = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let blocked = json(&data, &["keys", "compromise", "--kid", PICTURE, "--yes"]);
    assert_eq!(blocked["titles"][0], "film");
    let answer = ask(&data, &service, "film", &[SOUND, PICTURE]);
    assert_eq!((answer.status, answer.json()["keys"].as_array().map(Vec::len)), (200, Some(1)));
    assert_code(&ask(&data, &service, "film", &[PICTURE]), 404, "cek_not_found");
    let rows = json(&data, &["keys", "show", PICTURE]);
    assert_eq!(rows["state"], "compromised");
    let unknown = "000000000000000000000000000000ff";
    let refused =
        strongroom(&data).args(["keys", "compromise", "--kid", unknown, "--yes"]).output();
    assert_eq!(refused.expect("runs").status.code(), Some(1));
    let both = ["keys", "compromise", "default", "--version", "1", "--kid", PICTURE, "--yes"];
    assert_eq!(strongroom(&data).args(both).output().expect("runs").status.code(), Some(2));
}
