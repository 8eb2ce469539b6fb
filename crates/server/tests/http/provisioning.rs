//! Provisioning over HTTP: one certificate for each key, refusals by their codes, and the bound.

use crate::house::{House, NOW, post};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use dialect::widevine::RootFile;
use dialect::widevine::provisioning::{ask, open_answer};
use dialect::widevine::test_root::TestRoot;
use keys::{RsaPrivateKey, SystemEntropy};
use serde_json::{Value, json};
use server::vault::WidevineFiles;
use std::sync::LazyLock;

const ROUTE: &str = "/provisioning/widevine";

static ROOT: LazyLock<TestRoot> =
    LazyLock::new(|| TestRoot::make("strongroom.test", &mut SystemEntropy));

/// Imports the root's files, but for those named; the running service has looked.
async fn import(house: &House, without: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in ROOT.files() {
        if !without.contains(&name) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
    }
    let files = WidevineFiles::read(folder.path()).unwrap();
    house.vault.import_widevine(files, NOW).await.unwrap();
    house.vault.look_at_credentials(NOW).await;
}

fn question(body: Vec<u8>) -> Request<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap();
    post(ROUTE, &body)
}

#[tokio::test]
async fn a_key_gets_one_certificate_and_the_same_again() {
    let house = House::new().await;
    import(&house, &[]).await;
    let (key, _) = RsaPrivateKey::generate();
    let first = house.send(question(ask(&key, NOW))).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("cache-control"), "no-store");
    let again = house.send_from("203.0.113.9:1", question(ask(&key, NOW.plus_s(599)))).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &first.body));
    let (other, _) = RsaPrivateKey::generate();
    let others = house.send(question(ask(&other, NOW))).await;
    assert_eq!(others.status, StatusCode::CREATED);
    let root = || RootFile::PublicKey(&ROOT.root_public);
    assert!(open_answer(&others.body, other, root(), NOW).is_ok());
    assert!(open_answer(&first.body, key, root(), NOW).is_ok());
}

#[tokio::test]
async fn what_is_no_proof_is_refused_by_its_code() {
    let house = House::new().await;
    let (key, _) = RsaPrivateKey::generate();
    let good: Value = serde_json::from_slice(&ask(&key, NOW)).unwrap();
    house.send(post(ROUTE, &good)).await.assert_refused(404, "provisioning_not_offered");
    import(&house, &["provisioning_cert.bin", "provisioning_private.pem"]).await;
    house.send(post(ROUTE, &good)).await.assert_refused(404, "provisioning_not_offered");
    import(&house, &[]).await;

    let with = |member: &str, value: Value| {
        let mut changed = good.clone();
        changed[member] = value;
        post(ROUTE, &changed)
    };
    let (other, _) = RsaPrivateKey::generate();
    let others: Value = serde_json::from_slice(&ask(&other, NOW)).unwrap();
    let cases = [
        (post(ROUTE, &json!([])), 400, "malformed_request"),
        (with("time_s", "now".into()), 400, "malformed_request"),
        (with("nonce", 1.into()), 400, "malformed_request"),
        (with("signature", "?".into()), 400, "malformed_request"),
        (with("public_key", "AAAA".into()), 400, "device_key_refused"),
        (with("time_s", (NOW.as_s() + 1).into()), 403, "key_not_proved"),
        (with("public_key", others["public_key"].clone()), 403, "key_not_proved"),
        (with("signature", others["signature"].clone()), 403, "key_not_proved"),
        (with("signature", "".into()), 403, "key_not_proved"),
        (question(ask(&key, NOW.plus_s(602))), 400, "clock_skewed"),
    ];
    for (number, (request, status, code)) in cases.into_iter().enumerate() {
        // Each from an address of its own: tries are counted.
        let peer = format!("203.0.113.{number}:1");
        house.send_from(&peer, request).await.assert_refused(status, code);
    }
}

#[tokio::test]
async fn the_eleventh_request_in_a_minute_waits() {
    let house = House::new().await;
    import(&house, &[]).await;
    let (key, _) = RsaPrivateKey::generate();
    for _ in 0..10 {
        assert!(house.send(question(ask(&key, NOW))).await.status.is_success());
    }
    house.send(question(ask(&key, NOW))).await.assert_refused(429, "rate_limited");
    let elsewhere = house.send_from("203.0.113.9:1", question(ask(&key, NOW))).await;
    assert_eq!(elsewhere.status, StatusCode::OK);
}
