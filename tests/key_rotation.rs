//! KEKs rotate, retire and end, by the commands of an operator.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/rows.rs"]
#[expect(dead_code, reason = "other tests ask for the columns")]
mod rows;

use binary::{done, said, strongroom};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const BROKEN: &str = "00000000000000000000000000000001";

/// A data folder with three keys of one title.
fn home(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let key = |(number, label): (u32, &str)| {
        serde_json::json!({
            "kid": format!("{number:032x}"), "key": format!("{:032x}", number + 77),
            "content_id": "film", "label": label,
        })
    };
    let keys = [(1, "AUDIO"), (2, "SD"), (3, "HD")].map(key);
    let file = folder.join("keys.json");
    std::fs::write(&file, Value::from(keys.to_vec()).to_string()).expect("ours");
    done(strongroom(&data).args(["keys", "import"]).arg(&file));
    data
}

fn json(data: &Path, line: &[&str]) -> Value {
    serde_json::from_str(&done(strongroom(data).arg("--json").args(line))).expect("JSON")
}

/// Version, state and pending keys of each KEK.
fn keks(data: &Path) -> Vec<(u64, String, u64)> {
    let listed = json(data, &["keys", "list", "--keks"]);
    let row = |row: &Value| {
        let number = |name: &str| row[name].as_u64().expect("a number");
        (number("version"), row["state"].as_str().expect("a state").to_owned(), number("pending"))
    };
    listed["keks"].as_array().expect("a list").iter().map(row).collect()
}

fn state(version: u64, state: &str, pending: u64) -> (u64, String, u64) {
    (version, state.to_owned(), pending)
}

#[test]
fn a_kek_is_superseded_retires_and_is_destroyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    assert_eq!(keks(&data), [state(1, "active", 0)]);
    let rotated = json(&data, &["keys", "rotate", "default"]);
    assert_eq!(rotated, json(&data, &["keys", "show", "default"]));
    assert_eq!(keks(&data), [state(1, "superseded", 3), state(2, "active", 0)]);
    let destroy = ["keys", "destroy", "default", "--version", "1", "--yes"];
    let refused = strongroom(&data).args(destroy).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    rows::change(&data, "CREATE TABLE backup AS SELECT * FROM content_keys");
    let rewrapped = json(&data, &["keys", "rewrap", "default"]);
    assert_eq!((&rewrapped["moved"], &rewrapped["broken"]), (&3.into(), &0.into()));
    assert_eq!(keks(&data), [state(1, "retired", 0), state(2, "active", 0)]);
    assert_eq!(json(&data, &["keys", "rewrap"])["moved"], 0, "nothing is done twice");
    // Rows come back from a backup: the retired KEK still opens them.
    let restore = "UPDATE content_keys SET kek_version = 1, \
        wrapped = (SELECT wrapped FROM backup WHERE backup.kid = content_keys.kid)";
    assert_eq!(rows::change(&data, restore), 3);
    assert_eq!(keks(&data), [state(1, "retired", 3), state(2, "active", 0)]);
    assert_eq!(json(&data, &["keys", "rewrap"])["moved"], 3);
    let unsure = strongroom(&data).args(&destroy[..5]).output().expect("runs");
    assert_eq!(unsure.status.code(), Some(2), "{}", said(&unsure));
    done(strongroom(&data).args(destroy));
    assert_eq!(keks(&data), [state(1, "destroyed", 0), state(2, "active", 0)]);
    for line in [["rotate", "sport"], ["rewrap", "sport"], ["show", "sport"]] {
        let refused = strongroom(&data).arg("keys").args(line).output().expect("runs");
        assert_eq!(refused.status.code(), Some(1), "{line:?}: {}", said(&refused));
    }
    assert!(done(strongroom(&data).args(["keys", "verify-audit"])).contains("chain whole"));
}

#[test]
fn processes_that_rotate_at_once_make_one_clean_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let start = || {
        let mut command = strongroom(&data);
        command.args(["keys", "rotate", "default"]).stdout(Stdio::null());
        command.spawn().expect("the binary runs")
    };
    let rotating: Vec<_> = (0..4).map(|_| start()).collect();
    for mut process in rotating {
        assert!(process.wait().expect("it ends").success());
    }
    let keks = keks(&data);
    let newest = keks.len() as u64;
    assert!((2..=5).contains(&newest), "{keks:?}");
    for ((version, state, _), expected) in keks.iter().zip(1..) {
        assert_eq!(*version, expected, "no version is left out");
        assert_eq!(state, if *version == newest { "active" } else { "superseded" });
    }
    json(&data, &["keys", "rewrap"]);
    assert!(done(strongroom(&data).args(["keys", "verify-audit"])).contains("chain whole"));
}

#[test]
fn a_key_that_does_not_open_is_told_and_keeps_its_kek() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = home(folder.path());
    let sql = format!("UPDATE content_keys SET wrapped = zeroblob(45) WHERE kid = x'{BROKEN}'");
    assert_eq!(rows::change(&data, &sql), 1);
    done(strongroom(&data).args(["keys", "rotate", "default"]));
    let refused = strongroom(&data).args(["keys", "rewrap"]).output().expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("alert=\"key_integrity\""), "{}", said(&refused));
    assert!(said(&refused).contains(BROKEN), "{}", said(&refused));
    assert_eq!(keks(&data), [state(1, "superseded", 1), state(2, "active", 0)]);
}
