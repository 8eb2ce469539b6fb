//! Registered devices: the limit, renewal, tickets, the order of messages, removal (R060 to R070).

use crate::browser::{Ask, Browser, listed, proof, register, remove, renew};
use crate::device_key::DeviceKey;
use crate::house::{House, NOW, ORIGIN, challenge, get, path_of, post, with_bearer};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use model::{AccountId, DeviceId, Plan, PlanName, Timestamp};
use playback::device::Deauthorize;
use serde_json::{Value, json};

/// Lets the time come.
fn until(house: &House, moment: Timestamp) {
    house.clock.advance_ms(moment.0 - house.clock.now().0);
}

async fn house() -> House {
    let house = House::furnished().await;
    devices_of_plan(&house, 6).await;
    house
}

async fn devices_of_plan(house: &House, max_devices: u32) {
    let name = PlanName::parse("standard").unwrap();
    let plan =
        Plan { name, includes_streaming: true, max_streams: 100, max_offline: 25, max_devices };
    house.store.put_plan(&plan).await.unwrap();
}

#[tokio::test]
async fn a_seventh_device_is_refused_and_cannot_play() {
    let house = house().await;
    let sign_in = house.sign_in("ada").await;
    for _ in 0..6 {
        let reply = register(&house, &DeviceKey::new(), &sign_in).await;
        assert_eq!(reply.status, StatusCode::CREATED);
    }
    register(&house, &DeviceKey::new(), &sign_in).await.assert_refused(409, "device_limit_reached");
    // Neither does one play that registers none.
    house.playback(&sign_in, "film").await.assert_refused(409, "device_limit_reached");
    let devices = listed(&house, &sign_in).await;
    assert_eq!(devices["max_devices"], 6);
    assert_eq!(devices["items"].as_array().unwrap().len(), 6);
    let first = devices["items"][0]["device_id"].as_str().unwrap();
    assert_eq!(remove(&house, &sign_in, first).await.status, StatusCode::NO_CONTENT);
    register(&house, &DeviceKey::new(), &sign_in).await.assert_granted();
}

#[tokio::test]
async fn one_key_is_one_device_whatever_browser_shows_it() {
    let house = house().await;
    let mut first = Browser::new(&house, "ada").await;
    let other_sign_in = house.sign_in("ada").await;
    let again = register(&house, &first.key, &other_sign_in).await;
    assert_eq!(again.status, StatusCode::OK);
    let answer = again.json();
    assert_eq!(answer["device_id"], first.device);
    assert_eq!(answer["interval_s"], 60);
    assert_eq!(answer["expires_at"], NOW.plus_s(12 * 3600).0);
    assert_eq!(listed(&house, &other_sign_in).await["items"].as_array().unwrap().len(), 1);
    // Both tickets count, each with numbers of its own.
    first.play(&house).await;
    first.take(&again);
    first.sign_in = other_sign_in;
    first.play(&house).await;
    let third = Browser::new(&house, "ada").await;
    assert_ne!(third.device, first.device);
}

#[tokio::test]
async fn a_ticket_lives_twelve_hours_and_is_renewed_without_a_question() {
    let house = House::with(|config| config.tokens.session_s = 86_400, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let mut browser = Browser::new(&house, "ada").await;
    until(&house, NOW.plus_s(12 * 3600 - 60));
    browser.play(&house).await;
    until(&house, NOW.plus_s(12 * 3600 + 60));
    browser.token(&house).send(&house).await.assert_refused(401, "registration_expired");
    let renewed = renew(&house, &browser.key, &browser.sign_in, &browser.device).await;
    assert_eq!(renewed.status, StatusCode::OK);
    assert_eq!(renewed.json()["device_id"], browser.device);
    browser.take(&renewed);
    browser.play(&house).await;
}

#[tokio::test]
async fn nobody_renews_uses_or_removes_anothers_device() {
    let house = house().await;
    house.account("bob", "standard").await;
    let ada = Browser::new(&house, "ada").await;
    let mut bob = Browser::new(&house, "bob").await;
    let id = DeviceId::parse(&ada.device).unwrap();
    let before = house.store.device(id).await.unwrap();
    let mismatch = "device_account_mismatch";
    renew(&house, &bob.key, &bob.sign_in, &ada.device).await.assert_refused(403, mismatch);
    renew(&house, &ada.key, &bob.sign_in, &ada.device).await.assert_refused(403, mismatch);
    renew(&house, &bob.key, &ada.sign_in, &ada.device).await.assert_refused(403, mismatch);
    remove(&house, &bob.sign_in, &ada.device).await.assert_refused(404, "not_found");
    let unknown = "00112233445566778899aabbccddeeff";
    let reply = renew(&house, &bob.key, &bob.sign_in, unknown).await;
    reply.assert_refused(403, "device_not_registered");
    assert_eq!(house.store.device(id).await.unwrap(), before, "nothing changed for the owner");
    ada.play(&house).await;
    // Her ticket is worth nothing in his browser, nor beside his sign-in, nor with his key.
    for (sign_in, key) in
        [(&bob.sign_in, &bob.key), (&bob.sign_in, &ada.key), (&ada.sign_in, &bob.key)]
    {
        let mut ask = ada.token(&house);
        (ask.sign_in, ask.proof) = (sign_in, Some(proof(&house, key, &ask.method, &ask.path)));
        ask.send(&house).await.assert_refused(401, "ticket_invalid");
    }
    // He recovers by registering, on the very browser: the same key is another device of his.
    let recovered = register(&house, &ada.key, &bob.sign_in).await;
    assert_eq!(recovered.status, StatusCode::CREATED);
    assert_ne!(recovered.json()["device_id"], ada.device);
    bob.take(&register(&house, &bob.key, &bob.sign_in).await);
    bob.play(&house).await;
    ada.play(&house).await;
}

#[tokio::test]
async fn a_ticket_counts_only_whole_and_with_its_proof() {
    let house = house().await;
    let browser = Browser::new(&house, "ada").await;
    let middle = browser.ticket.len() / 2;
    let (before, after) = browser.ticket.split_at(middle);
    let other = if after.starts_with('A') { 'B' } else { 'A' };
    let damaged = format!("{before}{other}{}", &after[1..]);
    for ticket in [damaged.as_str(), "", "x", &browser.ticket[1..]] {
        let mut ask = browser.token(&house);
        ask.ticket = Some(ticket);
        ask.send(&house).await.assert_refused(401, "ticket_invalid");
    }
    let mut ask = browser.token(&house);
    ask.proof = None;
    let reply = ask.send(&house).await;
    reply.assert_refused(401, "proof_invalid");
    assert!(reply.header("www-authenticate").starts_with("DPoP "));
    // For another request, and of another time.
    for (method, path, at_s) in [
        ("GET", "/api/v1/playback/token/film", NOW.as_s() - 61),
        ("GET", "/api/v1/playback/token/film", NOW.as_s() + 61),
        ("POST", "/api/v1/playback/token/film", NOW.as_s()),
        ("GET", "/api/v1/playback/token/other", NOW.as_s()),
    ] {
        let mut ask = browser.token(&house);
        ask.proof = Some(browser.key.proof(method, &format!("{ORIGIN}{path}"), at_s, "other"));
        ask.send(&house).await.assert_refused(401, "proof_invalid");
    }
    // Twice the same proof.
    let ask = browser.token(&house);
    let used = ask.proof.clone();
    ask.send(&house).await.assert_granted();
    let mut ask = browser.token(&house);
    ask.proof = used;
    ask.send(&house).await.assert_refused(401, "token_replayed");
    // A proof that two headers carry is none.
    let ask = browser.token(&house);
    let request = with_bearer(get(&ask.path), ask.sign_in)
        .header("x-device-ticket", &browser.ticket)
        .header("x-device-sequence", "90")
        .header("dpop", ask.proof.clone().unwrap())
        .header("dpop", ask.proof.unwrap());
    let reply = house.send(request.body(Body::empty()).unwrap()).await;
    reply.assert_refused(401, "proof_invalid");
    browser.play(&house).await;
}

#[tokio::test]
async fn messages_have_growing_numbers_and_a_client_recovers_by_registering() {
    let house = house().await;
    let mut browser = Browser::new(&house, "ada").await;
    let with = async |browser: &Browser, number: Option<&str>| {
        let mut ask = browser.token(&house);
        ask.number = number.map(str::to_owned);
        ask.send(&house).await
    };
    with(&browser, Some("5")).await.assert_granted();
    for number in ["5", "4", "1", "0", "18446744073709551615", "99999999999999999999", "20000"] {
        with(&browser, Some(number)).await.assert_refused(409, "sequence_out_of_order");
    }
    for number in [None, Some(""), Some("-1"), Some("+6"), Some("6.0"), Some("0x6"), Some(" 6a")] {
        with(&browser, number).await.assert_refused(400, "malformed_request");
    }
    with(&browser, Some("6")).await.assert_granted();
    browser.take(&register(&house, &browser.key, &browser.sign_in).await);
    browser.play(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_racing_messages_with_one_number_one_is_answered() {
    let house = house().await;
    let browser = Browser::new(&house, "ada").await;
    for number in 1..=20 {
        let ask = || {
            let mut ask = browser.token(&house);
            ask.number = Some(number.to_string());
            ask.send(&house)
        };
        let (one, other) = tokio::join!(ask(), ask());
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{number}");
    }
}

#[tokio::test]
async fn a_removed_device_is_refused_at_its_next_message() {
    let house = house().await;
    let mut browser = Browser::new(&house, "ada").await;
    let other = house.sign_in("ada").await;
    let playback = browser.play(&house).await;
    let url = playback["license"]["clearkey"].as_str().unwrap();
    house.license(url, &challenge("film", &["AUDIO"])).await.assert_granted();
    browser.beat(&house, &playback).send(&house).await.assert_granted();
    browser.renewal(&house, &playback).send(&house).await.assert_granted();
    assert_eq!(remove(&house, &other, &browser.device).await.status, StatusCode::NO_CONTENT);
    remove(&house, &other, &browser.device).await.assert_refused(404, "not_found");
    browser.beat(&house, &playback).send(&house).await.assert_refused(410, "device_inactive");
    browser.renewal(&house, &playback).send(&house).await.assert_refused(410, "device_inactive");
    browser.token(&house).send(&house).await.assert_refused(410, "device_inactive");
    let again = house.license(url, &challenge("film", &["SD"])).await;
    again.assert_refused(410, "device_inactive");
    let renewal = renew(&house, &browser.key, &browser.sign_in, &browser.device).await;
    renewal.assert_refused(410, "device_inactive");
    // Audited, with whose it was and who did it.
    let account = house.account_id("ada").await;
    let row = house.store.newest_audit_entry().await.unwrap().expect("an audit row");
    assert_eq!((row.action, row.actor), ("device.removed".into(), format!("account:{account}")));
    assert!(row.detail.contains(&browser.device));
    // It comes back where a place is free, with a new ticket; the old one stays dead.
    let old = std::mem::take(&mut browser.ticket);
    let back = register(&house, &browser.key, &browser.sign_in).await;
    assert_eq!(back.json()["device_id"], browser.device);
    let mut ask = browser.token(&house);
    ask.ticket = Some(&old);
    ask.send(&house).await.assert_refused(401, "registration_expired");
    browser.take(&back);
    browser.play(&house).await;
}

#[tokio::test]
async fn a_removed_device_plays_to_its_end_where_the_operator_says_so() {
    let house = House::with(
        |config| {
            config.devices.deauthorize = Deauthorize::AtExpiry;
            config.tokens.session_s = 86_400;
        },
        |_| {},
    )
    .await;
    house.account("ada", "standard").await;
    house.title("film").await;
    devices_of_plan(&house, 1).await;
    let browser = Browser::new(&house, "ada").await;
    let playback = browser.play(&house).await;
    let url = playback["license"]["clearkey"].as_str().unwrap();
    house.license(url, &challenge("film", &["AUDIO"])).await.assert_granted();
    assert!(remove(&house, &browser.sign_in, &browser.device).await.status.is_success());
    browser.beat(&house, &playback).send(&house).await.assert_granted();
    until(&house, NOW.plus_s(12 * 3600 - 1));
    browser.beat(&house, &playback).send(&house).await.assert_granted();
    browser.renewal(&house, &playback).send(&house).await.assert_granted();
    let renewal = renew(&house, &browser.key, &browser.sign_in, &browser.device).await;
    renewal.assert_refused(410, "device_inactive");
    until(&house, NOW.plus_s(12 * 3600));
    browser.beat(&house, &playback).send(&house).await.assert_refused(410, "device_inactive");
    // Back again only where a place is free.
    let other = Browser::new(&house, "ada").await;
    let refused = register(&house, &browser.key, &browser.sign_in).await;
    refused.assert_refused(409, "device_limit_reached");
    assert!(remove(&house, &other.sign_in, &other.device).await.status.is_success());
    register(&house, &browser.key, &browser.sign_in).await.assert_granted();
}

/// R068: a first play needs no step of the viewer's, and takes a place.
#[tokio::test]
async fn a_browser_that_registered_nothing_is_registered_at_its_first_play() {
    let house = house().await;
    devices_of_plan(&house, 1).await;
    let (first, second) = (house.sign_in("ada").await, house.sign_in("ada").await);
    let playback = house.playback(&first, "film").await;
    playback.assert_granted();
    let url = playback.json()["license"]["clearkey"].as_str().unwrap().to_owned();
    house.license(&url, &challenge("film", &["AUDIO"])).await.assert_granted();
    let devices = listed(&house, &first).await;
    assert_eq!(devices["items"].as_array().unwrap().len(), 1);
    let device = &devices["items"][0];
    assert_eq!((&device["has_key"], &device["is_this_device"]), (&json!(false), &json!(true)));
    house.playback(&first, "film").await.assert_granted();
    house.playback(&second, "film").await.assert_refused(409, "device_limit_reached");
    // Its place is free when it is removed; it stays away until it signs in anew.
    let id = device["device_id"].as_str().unwrap();
    assert!(remove(&house, &second, id).await.status.is_success());
    house.playback(&first, "film").await.assert_refused(410, "device_inactive");
    house.license(&url, &challenge("film", &["SD"])).await.assert_refused(410, "device_inactive");
    house.playback(&second, "film").await.assert_granted();
    // Signing out frees it too.
    let out = with_bearer(Request::delete("/api/v1/sessions"), &second);
    assert!(house.send(out.body(Body::empty()).unwrap()).await.status.is_success());
    let third = house.sign_in("ada").await;
    house.playback(&third, "film").await.assert_granted();
}

#[tokio::test]
async fn registering_frees_the_place_of_the_sign_in() {
    let house = house().await;
    devices_of_plan(&house, 1).await;
    let sign_in = house.sign_in("ada").await;
    house.playback(&sign_in, "film").await.assert_granted();
    let browser = Browser::with(&house, DeviceKey::new(), sign_in).await;
    let devices = listed(&house, &browser.sign_in).await;
    assert_eq!(devices["items"].as_array().unwrap().len(), 1);
    assert_eq!(devices["items"][0]["has_key"], true);
    browser.play(&house).await;
}

#[tokio::test]
async fn an_operator_may_want_registered_devices_only() {
    let house = House::with(|config| config.devices.auto_register = false, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let sign_in = house.sign_in("ada").await;
    house.playback(&sign_in, "film").await.assert_refused(403, "device_not_registered");
    let browser = Browser::with(&house, DeviceKey::new(), sign_in).await;
    browser.play(&house).await;
}

/// R070: what a registered device finds at its power-on.
#[tokio::test]
async fn the_four_ways_of_a_power_on() {
    let house = House::with(|config| config.tokens.session_s = 5 * 86_400, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let mut own = Browser::new(&house, "ada").await;
    // Its registration is good: nothing to do.
    own.play(&house).await;
    // It has ended: renewed.
    until(&house, NOW.plus_s(86_400));
    own.token(&house).send(&house).await.assert_refused(401, "registration_expired");
    own.take(&renew(&house, &own.key, &own.sign_in, &own.device).await);
    own.play(&house).await;
    // The limit is checked: a plan that shrank keeps the devices that came first.
    let second = Browser::new(&house, "ada").await;
    devices_of_plan(&house, 1).await;
    let renewal = renew(&house, &second.key, &second.sign_in, &second.device).await;
    renewal.assert_refused(409, "device_limit_reached");
    own.take(&renew(&house, &own.key, &own.sign_in, &own.device).await);
    // It is no longer active: back to the start.
    assert!(remove(&house, &second.sign_in, &own.device).await.status.is_success());
    let renewal = renew(&house, &own.key, &own.sign_in, &own.device).await;
    renewal.assert_refused(410, "device_inactive");
}

#[tokio::test]
async fn registrations_that_are_wrong_change_nothing() {
    let house = house().await;
    let sign_in = house.sign_in("ada").await;
    let (key, path) = (DeviceKey::new(), "/api/v1/devices");
    let send = async |body: Value, sign_in: &str, proof: Option<String>| {
        let method = Method::POST;
        let (path, body) = (path.to_owned(), Some(body));
        Ask { method, path, body, sign_in, ticket: None, number: None, proof }.send(&house).await
    };
    let good = || Some(proof(&house, &key, &Method::POST, path));
    let named = json!({"name": "x"});
    send(named.clone(), "nobody", good()).await.assert_refused(401, "token_invalid");
    send(named.clone(), &sign_in, None).await.assert_refused(401, "proof_invalid");
    send(named.clone(), &sign_in, Some("x".into())).await.assert_refused(401, "proof_invalid");
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "  "}),
        json!({"name": "a\u{7}b"}),
        json!({"name": "a\nb"}),
        json!({"name": "x".repeat(65)}),
        json!({"name": 1}),
        json!({"name": "x", "id": "1"}),
        json!({"name": "x", "kind": "fridge"}),
    ] {
        send(body, &sign_in, good()).await.assert_refused(400, "malformed_request");
    }
    // A box registers at the listener of boxes.
    let body = json!({"name": "x", "kind": "device"});
    send(body, &sign_in, good()).await.assert_refused(403, "other_listener");
    assert_eq!(listed(&house, &sign_in).await["items"], json!([]));
    // A cookie counts only on a request of our own page.
    let request = Request::post(path)
        .header(header::COOKIE, format!("__Host-strongroom-session={sign_in}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("dpop", good().unwrap())
        .body(Body::from(named.to_string()))
        .unwrap();
    house.send(request).await.assert_refused(403, "cross_site_request");
    assert_eq!(listed(&house, &sign_in).await["items"], json!([]));
    for device in ["x", "..", "00"] {
        renew(&house, &key, &sign_in, device).await.assert_refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_license_url_of_a_registered_device_is_of_no_use_to_another_account() {
    let house = house().await;
    house.account("bob", "standard").await;
    let browser = Browser::new(&house, "ada").await;
    let bob = house.sign_in("bob").await;
    let playback = browser.play(&house).await;
    let url = path_of(playback["license"]["clearkey"].as_str().unwrap());
    let asked = challenge("film", &["AUDIO"]);
    let mut request = post(url, &asked);
    request.headers_mut().insert("authorization", format!("Bearer {bob}").parse().unwrap());
    house.send(request).await.assert_refused(403, "device_account_mismatch");
    // Her own player need not attach the ticket to license requests, and may.
    let mut request = post(url, &asked);
    let own = format!("Bearer {}", browser.sign_in).parse().unwrap();
    request.headers_mut().insert("authorization", own);
    house.send(request).await.assert_granted();
    // A session belongs to the device: the sign-in alone does not renew it.
    let mut ask = browser.renewal(&house, &playback);
    (ask.ticket, ask.number, ask.proof) = (None, None, None);
    ask.send(&house).await.assert_refused(403, "device_account_mismatch");
    // A license may be asked for beside a heartbeat: it needs the proof, and no number.
    let mut ask = browser.renewal(&house, &playback);
    ask.number = None;
    ask.send(&house).await.assert_granted();
}

/// R166: the service's own part of it.
#[tokio::test]
async fn a_registration_outlives_a_restart_and_a_used_proof_does_not() {
    let house = house().await;
    let browser = Browser::new(&house, "ada").await;
    let used = browser.token(&house);
    let (number, proof) = (used.number.clone(), used.proof.clone());
    used.send(&house).await.assert_granted();
    house.clock.advance_ms(2000);
    let house = house.started_again().await;
    let mut replayed = browser.token(&house);
    replayed.proof = proof;
    replayed.send(&house).await.assert_refused(401, "proof_invalid");
    let mut replayed = browser.token(&house);
    replayed.number = number;
    replayed.send(&house).await.assert_refused(409, "sequence_out_of_order");
    browser.play(&house).await;
    // What the device itself lost it gets by its key.
    let again = register(&house, &browser.key, &browser.sign_in).await;
    assert_eq!(
        (again.status, &again.json()["device_id"]),
        (StatusCode::OK, &json!(browser.device))
    );
    // Nothing in the ticket can be read.
    let account: AccountId = house.account_id("ada").await;
    for part in [browser.device, account.to_string()] {
        assert!(!browser.ticket.contains(&part));
    }
}
