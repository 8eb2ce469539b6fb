//! The audit's signed checkpoints, as an operator meets them (R037).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/binary.rs"]
mod binary;

use binary::{done, said, strongroom};
use serde_json::{Value, json};
use std::path::Path;

/// A data folder with a key of a title in it, so that its audit has rows.
fn home(folder: &Path, name: &str) -> std::path::PathBuf {
    let data = folder.join(name);
    let keys = folder.join(format!("{name}.json"));
    let key = json!([{
        "kid": "00112233445566778899aabbccddeeff",
        "key": "0f0e0d0c0b0a09080706050403020100",
        "content_id": "film",
    }]);
    std::fs::write(&keys, key.to_string()).unwrap();
    done(strongroom(&data).args(["keys", "import"]).arg(&keys));
    data
}

#[test]
fn a_kept_checkpoint_fits_its_own_audit_only() {
    let folder = tempfile::tempdir().unwrap();
    let [own, other] = ["own", "other"].map(|name| home(folder.path(), name));
    let kept = folder.path().join("kept.jsonl");
    let line = done(strongroom(&own).args(["--json", "keys", "checkpoint"]));
    std::fs::write(&kept, &line).unwrap();
    assert_eq!(line, done(strongroom(&own).args(["--json", "keys", "checkpoint"])), "not again");

    let verify = |data: &Path| {
        strongroom(data).args(["--json", "keys", "verify-audit", "--against"]).arg(&kept).output()
    };
    let whole = verify(&own).unwrap();
    assert!(whole.status.success(), "{}", said(&whole));
    let report: Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!((&report["is_whole"], &report["checkpoints"]), (&json!(true), &json!(1)));
    assert_eq!(report["signed_to_row"], json!(report["rows"].as_u64().unwrap() - 1));

    let foreign = verify(&other).unwrap();
    assert_eq!(foreign.status.code(), Some(1));
    assert!(said(&foreign).contains("not signed by this vault's key"), "{}", said(&foreign));

    std::fs::write(&kept, "{\"seq\": 1}\n").unwrap();
    let garbage = verify(&own).unwrap();
    assert_eq!(garbage.status.code(), Some(2));
    assert!(said(&garbage).contains("line 1 is no checkpoint"), "{}", said(&garbage));
}
