//! `package --rotate-seconds`: keys of the key service or of a file, and what `inspect` says of
//! them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;

use binary::{done, said, strongroom};
use clip::clip;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

fn package(home: &Path, out: &Path, film: &Path, options: &[&str]) -> Output {
    let mut command = strongroom(home);
    command.args(["--json", "package", "--content", "film"]);
    command.args(["--segment-seconds", "2", "--rotate-seconds", "2"]).args(options);
    command.arg("--out").arg(out).arg(film).output().unwrap()
}

fn document(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn period_kids(document: &Value) -> Vec<Value> {
    let variants = document["variants"].as_array().unwrap();
    variants.iter().flat_map(|one| one["period_kids"].as_array().unwrap().clone()).collect()
}

#[test]
fn the_key_service_keeps_the_keys_of_every_period() {
    let folder = tempfile::tempdir().unwrap();
    let Some(film) = clip(folder.path(), "640x360", 6, "") else { return };
    let (home, out) = (folder.path().join("home"), folder.path().join("out"));
    let first = document(&package(&home, &out, &film, &[]));
    // Three periods of picture and of sound.
    assert_eq!(first["rotation"], json!({ "period_s": 2, "batch_periods": 3 }));
    let kids = period_kids(&first);
    assert_eq!(kids.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(), 6);
    // Asked again, the same keys; by periods of manifests too.
    let again = folder.path().join("again");
    let options = ["--rotate-signal", "periods", "--rotate-batch", "2"];
    let second = document(&package(&home, &again, &film, &options));
    assert_eq!(second["rotation"]["batch_periods"], 2);
    assert_eq!(period_kids(&second), kids);
    assert!(again.join("cbcs/video-360p/init-2.mp4").is_file());
    let segment = out.join("cbcs/video-360p/2.m4s");
    let inspected = done(strongroom(&home).args(["--json", "inspect"]).arg(&segment));
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let run = &inspected["tracks"][0]["key_runs"][0];
    assert_eq!(run["kid"], first["variants"][0]["period_kids"][1]);
}

#[test]
fn keys_of_a_file_say_their_periods_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(film) = clip(folder.path(), "640x360", 6, "") else { return };
    let key = |byte: u8, period: Option<u32>| {
        let hex = format!("{byte:02x}").repeat(16);
        let mut entry = json!({ "content_id": "film", "kid": hex, "key": hex });
        if let Some(period) = period {
            entry["period"] = period.into();
        }
        entry
    };
    let file = folder.path().join("keys.json");
    let with = |keys: Vec<Value>| {
        std::fs::write(&file, Value::from(keys).to_string()).unwrap();
        let out = folder.path().join("out");
        let keys = ["--keys", file.to_str().unwrap()];
        package(&folder.path().join("home"), &out, &film, &keys)
    };
    let all = || vec![key(1, None), key(2, Some(0)), key(3, Some(1)), key(4, Some(2))];
    assert_eq!(period_kids(&document(&with(all()))).len(), 6);
    let missing = with(all()[..3].to_vec());
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("in the key period 2"), "{}", said(&missing));
    let mut shared = all();
    shared[3]["key"] = shared[1]["key"].clone();
    let shared = with(shared);
    assert!(said(&shared).contains("the key period 2 has a key"), "{}", said(&shared));
}
