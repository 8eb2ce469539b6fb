//! The edge as a process of its own delivers a title and holds none of its keys (R001).

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

use binary::{done, said, strongroom};
use clip::clip;
use serde_json::{Value, json};
use service::Service;
use std::path::Path;
use std::process::Output;

/// Keys of this test's own, so that one can be planted.
const KEY: &str = "5ac3f00d1b2e4d7789abcdef02468ace";

fn search(data: &Path, process: u32) -> Output {
    let pid = process.to_string();
    strongroom(data).args(["--json", "audit-leaks", "--process", &pid]).output().unwrap()
}

#[test]
fn an_edge_that_delivered_everything_holds_no_content_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "320x180", 4, "") else { return };
    let keys = folder.path().join("keys.json");
    let key =
        json!([{"kid": "00112233445566778899aabbccddeeff", "key": KEY, "content_id": "film"}]);
    std::fs::write(&keys, key.to_string()).unwrap();
    done(strongroom(&data).args(["package", "--content", "film"]).arg(&clip));
    let account = done(strongroom(&data).args(["--json", "account", "add", "viewer"]));
    let account: Value = serde_json::from_str(&account).unwrap();
    let password = account["password"].as_str().unwrap();

    let whole = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let edge = Service::start_role("edge", &mut strongroom(&data), &folder.path().join("edge.log"));
    let bearer = whole.sign_in("viewer", password);
    let token = whole.ask("GET", "/api/v1/playback/token/film", &[&bearer], b"").json();
    let mpd = token["manifest"]["dash"].as_str().unwrap().strip_prefix(&whole.url).unwrap();
    let manifest = edge.ask("GET", mpd, &[], b"");
    assert_eq!(manifest.status, 200, "{}", manifest.head);
    let base = mpd.rsplit_once('/').unwrap().0;
    let text = String::from_utf8(manifest.body).unwrap();
    let init = text.split(" initialization=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(edge.ask("GET", &format!("{base}/{init}"), &[], b"").status, 200);
    for absent in ["/", "/api/v1/titles", "/license/clearkey", "/openapi.json"] {
        assert_eq!(edge.ask("GET", absent, &[], b"").status, 404, "{absent} is not the edge's");
    }

    let clean = search(&data, edge.child.id());
    assert_eq!(clean.status.code(), Some(0), "{}", said(&clean));
    let report: Value = serde_json::from_slice(&clean.stdout).unwrap();
    assert_eq!(report["processes"], 1);
    assert!(report["secrets"].as_u64().unwrap() >= 2, "it knows what to look for: {report}");
}

#[test]
fn a_key_planted_in_the_memory_of_an_edge_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let keys = folder.path().join("keys.json");
    let key =
        json!([{"kid": "00112233445566778899aabbccddeeff", "key": KEY, "content_id": "film"}]);
    std::fs::write(&keys, key.to_string()).unwrap();
    done(strongroom(&data).args(["keys", "import"]).arg(&keys));
    // The environment of a process is part of its memory.
    let log = folder.path().join("edge.log");
    let edge = Service::start_role("edge", strongroom(&data).env("PLANTED", KEY), &log);
    let found = search(&data, edge.child.id());
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report["findings"][0]["form"], "hex", "{report}");
    assert!(!said(&found).contains(KEY), "the report does not repeat it");

    let gone = edge.child.id();
    drop(edge);
    assert_eq!(search(&data, gone).status.code(), Some(2), "no such process");
}

#[test]
fn an_edge_without_the_key_of_the_passes_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        strongroom(&folder.path().join("data")).args(["serve", "--role", "edge"]).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("edge.key"), "{}", said(&refused));
}
