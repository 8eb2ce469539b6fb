//! The root key in a KMS over HTTP: licenses with it, none without it, and licenses again when it
//! is back (R033, R173). OpenBao is a real server; moto stands for AWS KMS.

#![cfg(all(feature = "aws-kms", feature = "vault"))]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/kms_servers.rs"]
mod kms_servers;
#[path = "support/service.rs"]
mod service;
#[path = "support/viewer.rs"]
mod viewer;

use binary::{done, said, strongroom};
use kms_servers::{Moto, OpenBao, TOKEN};
use service::Service;
use std::path::Path;
use std::process::Command;
use viewer::{Viewer, add_titles, assert_issued, assert_put_off};

/// Titles, each of a category of its own: each needs the root key once.
const TITLES: u32 = 6;

fn on_vault(data: &Path, bao: &OpenBao) -> Command {
    let mut command = strongroom(data);
    command
        .env("STRONGROOM_KEYS_BACKEND", "vault")
        .env("STRONGROOM_KEYS_VAULT_ADDRESS", bao.url())
        .env("STRONGROOM_KEYS_VAULT_TOKEN_ENV", "KMS_TOKEN")
        .env("KMS_TOKEN", TOKEN);
    command
}

#[test]
fn a_sealed_openbao_puts_licenses_off_until_it_is_unsealed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bao) = OpenBao::start(folder.path()) else { return };
    let (data, log) = (folder.path().join("data"), folder.path().join("serve.log"));
    let binary = || on_vault(&data, &bao);
    let refused = binary().args(["keys", "list"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "no transit engine yet");
    assert!(said(&refused).contains("keys.vault: the KMS refuses"), "{}", said(&refused));
    bao.tell(&["secrets", "enable", "transit"]);
    bao.tell(&["write", "-f", "transit/keys/strongroom"]);
    add_titles(TITLES, &binary, folder.path());
    assert!(!data.join("secrets/master.key").exists(), "no root key in software");

    let service = Service::start(&mut binary(), &log);
    let viewer = Viewer::new(&binary, &service, 0);
    assert_issued(&viewer.license(0).0);
    let metrics = service.ask("GET", "/metrics", &[], b"");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let counted = r#"strongroom_kms_calls_total{backend="vault",operation="unwrap",outcome="ok"}"#;
    assert!(metrics.contains(counted), "{metrics}");

    bao.tell(&["operator", "seal"]);
    for title in 1..TITLES {
        let (answer, took) = viewer.license(title);
        assert_put_off(&answer, took);
    }
    bao.tell(&["operator", "unseal", &bao.unseal_key()]);
    viewer.license_soon(1);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(!log.contains(TOKEN), "the token is logged");
}

#[test]
fn a_key_of_aws_kms_opens_what_it_wrapped_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let Some(moto) = Moto::start() else { return };
    let data = folder.path().join("data");
    let (key, other) = (moto.make_key(), moto.make_key());
    let of_key = |key: &str| {
        let mut command = strongroom(&data);
        command
            .env("STRONGROOM_KEYS_BACKEND", "aws-kms")
            .env("STRONGROOM_KEYS_AWS_KEY_ID", key)
            .env("STRONGROOM_KEYS_AWS_REGION", "eu-west-1")
            .env("STRONGROOM_KEYS_AWS_ENDPOINT", moto.url())
            .env("AWS_ACCESS_KEY_ID", "id-of-tests")
            .env("AWS_SECRET_ACCESS_KEY", "secret-of-tests");
        command
    };
    let binary = || of_key(&key);
    add_titles(TITLES, &binary, folder.path());
    let kid = done(binary().args(["--json", "keys", "list"]));
    let kid: serde_json::Value = serde_json::from_str(&kid).unwrap();
    let kid = kid["keys"][0]["kid"].as_str().unwrap();
    let shown = done(binary().args(["--json", "keys", "show", kid]));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["root_key"], "aws-kms");

    let log = folder.path().join("serve.log");
    let service = Service::start(&mut binary(), &log);
    assert_issued(&Viewer::new(&binary, &service, 0).license(0).0);
    drop(service);
    assert!(!std::fs::read_to_string(&log).unwrap().contains("secret-of-tests"));

    // Everything but the key.
    let refused = of_key(&other).arg("audit-leaks").arg(&log).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let refused = of_key("no-such-key").args(["keys", "list"]).output().unwrap();
    assert!(said(&refused).contains("keys.aws: the KMS refuses"), "{}", said(&refused));
}
