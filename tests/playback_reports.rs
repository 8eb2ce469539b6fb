//! What a player told, as the operator reads it beside the running service: events in their order,
//! and logs that open with the service's own secret and nowhere but in their rows (R055, R151).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/rows.rs"]
#[expect(dead_code, reason = "other tests list columns")]
mod rows;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests read headers")]
mod service;

use binary::{done, said, strongroom};
use rows::change;
use serde_json::{Value, json};
use service::Service;

#[test]
fn the_operator_reads_events_and_logs_and_hears_of_one_that_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let account = done(strongroom(&data).args(["--json", "account", "add", "ada"]));
    let account: Value = serde_json::from_str(&account).unwrap();
    done(strongroom(&data).args(["title", "add", "film"]));
    let keys = json!([{"kid": "0000000000000000000000000000000a", "content_id": "film",
        "key": "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d00a", "label": "SD"}]);
    let file = folder.path().join("keys.json");
    std::fs::write(&file, keys.to_string()).unwrap();
    done(strongroom(&data).args(["keys", "import"]).arg(&file));
    let log = folder.path().join("serve.log");
    let service = Service::start(&mut strongroom(&data), &log);
    let bearer = service.sign_in("ada", account["password"].as_str().unwrap());
    let answer = service.ask("GET", "/api/v1/playback/token/film", &[&bearer], b"").json();
    let session = answer["session_id"].as_str().unwrap();
    let say = |path: &str, body: &Value| {
        let json = "Content-Type: application/json";
        service.ask("POST", path, &[&bearer, json], body.to_string().as_bytes()).status
    };
    let events = json!({"session_id": session, "events": [{"kind": "player_ready", "at": 2},
        {"kind": "capability_missing", "at": 1, "detail": "hevc"}]});
    assert_eq!(say("/api/v1/playback/events", &events), 204);
    let heartbeat = answer["heartbeat"]["url"].as_str().unwrap();
    for (seq, code) in [(1, "walrus_one"), (4, "walrus_two")] {
        let beat = json!({"position_s": 1, "state": "playing", "seq": seq,
            "log": [{"at": 5, "kind": "error", "code": code}]});
        assert_eq!(say(heartbeat, &beat), 200);
    }

    let shown = done(strongroom(&data).args(["playback", "events", session]));
    assert!(shown.contains("player_ready") && shown.contains("capability_missing hevc"), "{shown}");
    let told = done(strongroom(&data).args(["--json", "playback", "events", session]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told[1]["number"], &told[1]["kind"]), (&json!(2), &json!("capability_missing")));
    let logs = || {
        let output = strongroom(&data).args(["--json", "playback", "log", session]).output();
        let output = output.unwrap();
        let logs: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), logs)
    };
    let (code, read) = logs();
    assert_eq!(code, Some(0));
    assert_eq!(read[0]["entries"], json!([{"at": 5, "kind": "error", "code": "walrus_one"}]));
    assert_eq!(read[1]["seq"], 4);
    let shown = done(strongroom(&data).args(["playback", "log", session]));
    assert!(shown.contains("\"code\":\"walrus_two\""), "{shown}");

    let shown = done(strongroom(&data).args(["--json", "playback", "show", session]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["state"], &shown["missed"]), (&json!("running"), &json!(2)));
    let shown = done(strongroom(&data).args(["playback", "show", session]));
    assert!(shown.contains("heartbeat 4 was the last, 2 never came"), "{shown}");

    // A log that is put into another's place does not open, and the other still does.
    let swap = "UPDATE playback_logs SET sealed = (SELECT sealed FROM playback_logs other \
        WHERE other.seq < playback_logs.seq) WHERE seq = (SELECT MAX(seq) FROM playback_logs)";
    assert_eq!(change(&data, swap), 1);
    let (code, read) = logs();
    assert_eq!(code, Some(1));
    assert_eq!(
        (&read[0]["entries"][0]["code"], &read[1]["entries"]),
        (&json!("walrus_one"), &Value::Null)
    );

    let none = done(strongroom(&data).args(["playback", "log", &"0".repeat(32)]));
    assert_eq!(none.trim(), "no log is kept");
    let gone = strongroom(&data).args(["playback", "show", &"0".repeat(32)]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1), "{}", said(&gone));
    let wrong = strongroom(&data).args(["playback", "log", "xyz"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("walrus"), "no log of a player is in the service's");
}
