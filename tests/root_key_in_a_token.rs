//! The root key in a token: a license with it, and nothing without it (R030, R031).

#![cfg(feature = "hsm")]
#![expect(clippy::panic, reason = "a test may panic, and so may what it starts")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/softhsm.rs"]
mod softhsm;
#[path = "support/token_binary.rs"]
mod token_binary;

use binary::{done, said, strongroom};
use clip::clip;
use softhsm::{PIN, SoftHsm};
use std::process::Command;
use token_binary::on_token;

#[test]
fn without_the_token_a_copy_of_everything_else_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hsm) = SoftHsm::find(folder.path()) else { return };
    hsm.make_token("strongroom");
    let data = folder.path().join("data");
    let Some(clip) = clip(folder.path(), "320x180", 4, "") else { return };

    let refused = on_token(&data, &hsm).args(["keys", "list"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("no key with the label"), "{}", said(&refused));

    let create = ("STRONGROOM_KEYS_PKCS11_CREATE", "true");
    done(on_token(&data, &hsm).env(create.0, create.1).args(["keys", "list"]));
    done(on_token(&data, &hsm).args(["package", "--content", "film"]).arg(&clip));
    let rows = done(on_token(&data, &hsm).args(["--json", "keys", "list"]));
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    let kid = rows["keys"][0]["kid"].as_str().unwrap().to_owned();
    let shown = done(on_token(&data, &hsm).args(["--json", "keys", "show", &kid]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["root_key"], "pkcs11");
    assert!(!data.join("secrets/master.key").exists(), "no root key in software");
    // Every stored key opens.
    done(on_token(&data, &hsm).arg("audit-leaks").arg(&clip));

    // A new version of the root key, and all as before.
    let rotated = done(on_token(&data, &hsm).args(["--json", "keys", "rotate-root"]));
    let rotated: serde_json::Value = serde_json::from_str(&rotated).unwrap();
    let expected = serde_json::json!({"root_key": "pkcs11", "version": 2, "moved": 1, "broken": 0});
    assert_eq!(rotated, expected);
    done(on_token(&data, &hsm).arg("audit-leaks").arg(&clip));

    // A thief's machine: the whole data folder and the settings, and an empty token reader.
    let thief = folder.path().join("thief");
    std::fs::create_dir(&thief).unwrap();
    let empty = SoftHsm::find(&thief).unwrap();
    let copied = Command::new("cp").arg("-a").arg(&data).arg(thief.join("data")).status();
    assert!(copied.unwrap().success());
    let refused = on_token(&thief.join("data"), &empty).arg("audit-leaks").arg(&clip).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("no token with the label \"strongroom\""),
        "{}",
        said(&refused)
    );
    assert!(!said(&refused).contains(PIN));

    // A token of the same name with a root key of its own, and a root key in a file.
    empty.make_token("strongroom");
    let mut other = on_token(&thief.join("data"), &empty);
    let refused = other.env(create.0, create.1).arg("audit-leaks").arg(&clip).output().unwrap();
    assert!(said(&refused).contains("not bound to its row and root key"), "{}", said(&refused));
    let refused = strongroom(&thief.join("data")).arg("audit-leaks").arg(&clip).output().unwrap();
    assert!(said(&refused).contains("not bound to its row and root key"), "{}", said(&refused));
}
