//! A key row that is gone is a data-integrity alert and a 404, whenever it went; no key is made
//! in its place (R175).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/service.rs"]
mod service;

use binary::{done, strongroom};
use clip::clip;
use service::Service;
use std::path::Path;

#[test]
fn a_deleted_key_row_is_missed_by_the_next_license() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "320x180", 4, "") else { return };
    done(strongroom(&data).args(["package", "--content", "film"]).arg(&clip));
    let account = done(strongroom(&data).args(["--json", "account", "add", "viewer"]));
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();
    let log = folder.path().join("serve.log");
    let service = Service::start(&mut strongroom(&data), &log);
    let bearer = service.sign_in("viewer", account["password"].as_str().unwrap());

    let kid = sound_key(&data);
    delete_row(&data, kid);
    let token = service.ask("GET", "/api/v1/playback/token/film", &[&bearer], b"").json();
    let license = token["license"]["clearkey"].as_str().unwrap();
    let challenge = serde_json::json!({"kids": [kid.to_base64url()], "type": "temporary"});
    let refused = service.ask("POST", license, &[], challenge.to_string().as_bytes());
    assert_eq!(refused.status, 404, "{}", String::from_utf8_lossy(&refused.body));
    assert_eq!(refused.json()["code"], "cek_not_found");
    assert!(refused.head.contains("no-store"), "{}", refused.head);
    assert!(std::fs::read_to_string(&log).unwrap().contains("alert=\"cek_not_found\""));
    assert!(!rows(&data).contains(&kid.to_string()), "no key is made in its place");
}

fn rows(data: &Path) -> String {
    done(strongroom(data).args(["--json", "keys", "list", "--content", "film"]))
}

fn sound_key(data: &Path) -> model::KeyId {
    let rows: serde_json::Value = serde_json::from_str(&rows(data)).unwrap();
    let rows = rows["keys"].as_array().unwrap();
    let sound = rows.iter().find(|row| row["track_class"] == "AUDIO").unwrap();
    model::KeyId::parse(sound["kid"].as_str().unwrap()).unwrap()
}

fn delete_row(data: &Path, kid: model::KeyId) {
    let rows = rusqlite::Connection::open(data.join("strongroom.db")).unwrap();
    let delete = "DELETE FROM content_keys WHERE kid = ?1";
    let deleted = rows.execute(delete, [kid.as_bytes().as_slice()]).unwrap();
    assert_eq!(deleted, 1);
}
