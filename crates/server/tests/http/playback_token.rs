//! The token call, its denials, and the streams it counts.

use crate::house::{House, NOW, ORIGIN, challenge, get, path_of, post, with_bearer};
use crate::mmdb;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use model::{Country, PlanAccess, PlanName, RegionRule, Subscription, TitleState};
use serde_json::{Value, json};
use std::sync::Arc;

async fn beat(house: &House, token: &str, session: &str, body: Value) -> crate::house::Reply {
    let mut request = post(&format!("/api/v1/playback/{session}/heartbeat"), &body);
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    house.send(request).await
}

#[tokio::test]
async fn the_answer_holds_all_that_a_playback_needs() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let reply = house.playback(&token, "film").await;
    reply.assert_granted();
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.json();
    let session = answer["session_id"].as_str().unwrap();
    assert_eq!(session.len(), 32);
    assert_eq!(answer["expires_at"], NOW.plus_s(30).0);
    assert_eq!(answer["heartbeat"]["interval_s"], 60);
    assert_eq!(answer["resume_s"], Value::Null);
    let heartbeat = format!("{ORIGIN}/api/v1/playback/{session}/heartbeat");
    assert_eq!(answer["heartbeat"]["url"], heartbeat);
    let license = answer["license"].as_object().unwrap();
    assert_eq!(license.len(), 1);
    let clearkey = license["clearkey"].as_str().unwrap();
    assert!(clearkey.starts_with(&format!("{ORIGIN}/license/clearkey?token=eyJ")), "{clearkey}");
    assert!(answer["manifest"]["dash"].as_str().unwrap().ends_with("/manifest.mpd"));
    assert!(answer["manifest"]["hls"].as_str().unwrap().starts_with(&format!("{ORIGIN}/v/film/~")));
    let cookie = reply.header("set-cookie");
    assert!(cookie.contains("; Path=/v/film/; ") && cookie.contains("HttpOnly"), "{cookie}");
}

#[tokio::test]
async fn each_missing_right_has_its_own_code() {
    let house = House::furnished().await;
    house.plan("discs", false, 4).await;
    house.account("bob", "discs").await;
    let (ada, bob) = (house.sign_in("ada").await, house.sign_in("bob").await);
    house.playback(&ada, "nothing").await.assert_refused(404, "title_not_found");
    house.playback(&ada, "..%2ffilm").await.assert_refused(404, "not_found");
    house.playback(&bob, "film").await.assert_refused(403, "plan_not_entitled");
    let film = house.title("film").await;
    let mut title = film.clone();
    title.access = PlanAccess::Only(vec![PlanName::parse("gold").unwrap()]);
    house.store.put_title(&title).await.unwrap();
    house.playback(&ada, "film").await.assert_refused(403, "title_not_in_plan");
    title = film.clone();
    title.regions = RegionRule::Only(vec![Country::parse("NL").unwrap()]);
    house.store.put_title(&title).await.unwrap();
    house.playback(&ada, "film").await.assert_refused(451, "region_not_allowed");
    title = film.clone();
    title.state = TitleState::Draft;
    house.store.put_title(&title).await.unwrap();
    house.playback(&ada, "film").await.assert_refused(404, "title_not_found");
    house.store.put_title(&film).await.unwrap();
    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    for subscription in [Subscription::Inactive, Subscription::Suspended] {
        house.store.set_subscription(account, subscription).await.unwrap();
        house.playback(&ada, "film").await.assert_refused(403, "subscription_inactive");
    }
    house.store.set_subscription(account, Subscription::Active).await.unwrap();
    house.playback(&ada, "film").await.assert_granted();
}

#[tokio::test]
async fn a_cookie_counts_only_on_a_request_of_our_own_or_a_listed_page() {
    let listed = "https://player.example";
    let house =
        House::with(|config| config.cors.allowed_origins = vec![listed.into()], |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let cookie = format!("__Host-strongroom-session={}", house.sign_in("ada").await);
    for (name, value, is_granted) in [
        ("x-nothing", "", false),
        ("sec-fetch-site", "same-origin", true),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "none", false),
        ("origin", ORIGIN, true),
        ("origin", listed, true),
        ("origin", "https://evil.example", false),
        ("origin", "https://player.example.evil.example", false),
        ("origin", "null", false),
        ("referer", ORIGIN, false),
    ] {
        let request =
            get("/api/v1/playback/token/film").header(header::COOKIE, &cookie).header(name, value);
        let reply = house.send(request.body(Body::empty()).unwrap()).await;
        if is_granted {
            reply.assert_granted();
        } else {
            reply.assert_refused(403, "cross_site_request");
        }
    }
    // A listed page in a frame of an evil one: the origin decides, not the lesser header.
    let request = get("/api/v1/playback/token/film")
        .header(header::COOKIE, &cookie)
        .header("sec-fetch-site", "same-origin")
        .header("origin", "https://evil.example");
    let reply = house.send(request.body(Body::empty()).unwrap()).await;
    reply.assert_refused(403, "cross_site_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_parallel_starts_on_a_plan_of_two_grant_exactly_two() {
    let house = Arc::new(House::new().await);
    house.plan("duo", true, 2).await;
    house.account("ada", "duo").await;
    let mut tokens = vec![];
    for number in 0..20 {
        house.title(&format!("film-{number}")).await;
        // Ten tries a minute: that is another test's matter.
        house.clock.advance_ms(if number == 10 { 60_000 } else { 0 });
        tokens.push(house.sign_in("ada").await);
    }
    let mut starts = tokio::task::JoinSet::new();
    for (number, token) in tokens.into_iter().enumerate() {
        let house = Arc::clone(&house);
        starts.spawn(async move { house.playback(&token, &format!("film-{number}")).await });
    }
    let replies = starts.join_all().await;
    let granted = replies.iter().filter(|reply| reply.status == StatusCode::OK).count();
    assert_eq!(granted, 2);
    for reply in replies.iter().filter(|reply| reply.status != StatusCode::OK) {
        reply.assert_refused(409, "stream_limit_reached");
    }
}

/// An account on a plan of one stream, two sign-ins, two titles.
async fn one_stream() -> (House, [String; 2]) {
    let house = House::new().await;
    house.plan("solo", true, 1).await;
    house.account("ada", "solo").await;
    house.title("film").await;
    house.title("other").await;
    let tokens = [house.sign_in("ada").await, house.sign_in("ada").await];
    (house, tokens)
}

#[tokio::test]
async fn a_slot_is_reserved_for_thirty_seconds_and_leased_for_three_heartbeats() {
    let (house, [sofa, desk]) = one_stream().await;
    let answer = house.playback(&sofa, "film").await.json();
    house.playback(&desk, "film").await.assert_refused(409, "stream_limit_reached");
    house.clock.advance_ms(29_000);
    house.playback(&desk, "film").await.assert_refused(409, "stream_limit_reached");
    let url = answer["license"]["clearkey"].as_str().unwrap();
    house.license(url, &challenge("film", &["SD"])).await.assert_granted();
    house.clock.advance_ms(179_000);
    house.playback(&desk, "film").await.assert_refused(409, "stream_limit_reached");
    house.clock.advance_ms(1_000);
    house.playback(&desk, "film").await.assert_granted();
    // A reservation that no license followed.
    house.clock.advance_ms(30_000);
    house.playback(&sofa, "film").await.assert_granted();
}

#[tokio::test]
async fn the_same_device_and_title_reuse_their_slot() {
    let (house, [sofa, _]) = one_stream().await;
    let first = house.playback(&sofa, "film").await.json();
    let again = house.playback(&sofa, "film").await.json();
    assert_eq!(first["session_id"], again["session_id"]);
    assert_ne!(first["license"], again["license"], "each call has its own token");
    house.playback(&sofa, "other").await.assert_refused(409, "stream_limit_reached");
}

#[tokio::test]
async fn an_explicit_end_frees_the_slot_at_once() {
    let (house, [sofa, desk]) = one_stream().await;
    let answer = house.playback(&sofa, "film").await.json();
    let path = format!("/api/v1/playback/{}", answer["session_id"].as_str().unwrap());
    let end = async |token: &str| {
        let request = with_bearer(Request::delete(&path), token).body(Body::empty()).unwrap();
        house.send(request).await
    };
    house.account("eve", "solo").await;
    let eve = house.sign_in("eve").await;
    assert_eq!(end(&eve).await.status, StatusCode::NO_CONTENT);
    house.playback(&desk, "film").await.assert_refused(409, "stream_limit_reached");
    assert_eq!(end(&sofa).await.status, StatusCode::NO_CONTENT);
    assert_eq!(end(&sofa).await.status, StatusCode::NO_CONTENT, "again");
    house.playback(&desk, "film").await.assert_granted();
    let url = answer["license"]["clearkey"].as_str().unwrap();
    let late = house.license(url, &challenge("film", &["SD"])).await;
    late.assert_refused(401, "token_expired");
    house
        .send(Request::delete(&path).body(Body::empty()).unwrap())
        .await
        .assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn heartbeats_keep_the_slot_and_the_position() {
    let (house, [sofa, desk]) = one_stream().await;
    let answer = house.playback(&sofa, "film").await.json();
    let session = answer["session_id"].as_str().unwrap();
    assert_eq!(
        path_of(answer["heartbeat"]["url"].as_str().unwrap()),
        format!("/api/v1/playback/{session}/heartbeat")
    );
    for position in 0..10 {
        let reply =
            beat(&house, &sofa, session, json!({"position_s": position * 60, "state": "playing"}))
                .await;
        assert_eq!(reply.json(), json!({"interval_s": 60}));
        house.clock.advance_ms(60_000);
        house.playback(&desk, "film").await.assert_refused(409, "stream_limit_reached");
    }
    beat(&house, &sofa, session, json!({"position_s": 601, "state": "paused"}))
        .await
        .assert_granted();
    assert_eq!(house.playback(&sofa, "film").await.json()["resume_s"], 601);
    beat(&house, &desk, session, json!({"position_s": 1, "state": "playing"}))
        .await
        .assert_refused(403, "device_account_mismatch");
    let stopped = json!({"position_s": 605, "state": "stopped"});
    beat(&house, &sofa, session, stopped.clone()).await.assert_granted();
    beat(&house, &sofa, session, stopped).await.assert_granted();
    let other = house.playback(&desk, "film").await;
    other.assert_granted();
    assert_eq!(other.json()["resume_s"], 605, "on another device");
    beat(&house, &sofa, session, json!({"position_s": 1, "state": "playing"}))
        .await
        .assert_refused(401, "token_expired");
}

#[tokio::test]
async fn a_laptop_that_slept_gets_its_slot_back_only_where_one_is_free() {
    let (house, [sofa, desk]) = one_stream().await;
    let session =
        house.playback(&sofa, "film").await.json()["session_id"].as_str().unwrap().to_owned();
    let playing = json!({"position_s": 1, "state": "playing"});
    beat(&house, &sofa, &session, playing.clone()).await.assert_granted();
    house.clock.advance_ms(3_600_000);
    beat(&house, &sofa, &session, playing.clone()).await.assert_granted();
    house.playback(&desk, "film").await.assert_refused(409, "stream_limit_reached");
    house.clock.advance_ms(3_600_000);
    house.playback(&desk, "film").await.assert_granted();
    let refused = beat(&house, &sofa, &session, playing).await;
    refused.assert_refused(423, "stream_limit_reached");
}

#[tokio::test]
async fn a_heartbeat_hears_of_a_right_that_ended() {
    let (house, [sofa, _]) = one_stream().await;
    let session =
        house.playback(&sofa, "film").await.json()["session_id"].as_str().unwrap().to_owned();
    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    house.store.set_subscription(account, Subscription::Inactive).await.unwrap();
    let reply = beat(&house, &sofa, &session, json!({"position_s": 1, "state": "playing"})).await;
    reply.assert_refused(410, "subscription_inactive");
}

#[tokio::test]
async fn malformed_heartbeats_are_refused() {
    let (house, [sofa, _]) = one_stream().await;
    let session =
        house.playback(&sofa, "film").await.json()["session_id"].as_str().unwrap().to_owned();
    for body in [
        json!({}),
        json!({"position_s": -1, "state": "playing"}),
        json!({"position_s": 1.5, "state": "playing"}),
        json!({"position_s": 1_u64 << 32, "state": "playing"}),
        json!({"position_s": 1, "state": "dancing"}),
        json!({"position_s": 1, "state": "playing", "more": 1}),
    ] {
        beat(&house, &sofa, &session, body).await.assert_refused(400, "malformed_request");
    }
    let fine = json!({"position_s": 1, "state": "playing"});
    beat(&house, &sofa, "xyz", fine.clone()).await.assert_refused(404, "not_found");
    beat(&house, &sofa, &"0".repeat(32), fine).await.assert_refused(401, "token_expired");
}

#[tokio::test]
async fn the_region_is_the_trusted_address_and_a_forged_header_is_ignored() {
    let house = House::with(
        |config| {
            let path = config.data.join("country.mmdb");
            std::fs::write(&path, mmdb::country([203, 0, 113], "NL")).unwrap();
            config.region.database = Some(path);
            config.listen.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        },
        |_| {},
    )
    .await;
    house.account("ada", "standard").await;
    let mut title = house.title("film").await;
    title.regions = RegionRule::Only(vec![Country::parse("NL").unwrap()]);
    house.store.put_title(&title).await.unwrap();
    let token = house.sign_in("ada").await;
    for (peer, forwarded, is_granted) in [
        ("203.0.113.9:1", "", true),
        ("[::ffff:203.0.113.9]:1", "", true),
        ("198.51.100.7:1", "", false),
        ("198.51.100.7:1", "203.0.113.9", false),
        ("198.51.100.7:1", "10.0.0.1, 203.0.113.9", false),
        ("198.51.100.7:1", "::ffff:203.0.113.9", false),
        ("[::ffff:198.51.100.7]:1", "203.0.113.9", false),
        ("[::ffff:10.0.0.1]:1", "::ffff:203.0.113.9", true),
        ("[2001:db8::1]:1", "203.0.113.9", false),
        ("127.0.0.1:1", "203.0.113.9", false),
        ("10.0.0.1:1", "203.0.113.9", true),
        ("10.0.0.1:1", "198.51.100.7, 203.0.113.9", true),
        ("10.0.0.1:1", "203.0.113.9, 198.51.100.7", false),
        ("10.0.0.1:1", "203.0.113.9, 198.51.100.7, 10.0.0.2", false),
        ("10.0.0.1:1", "203.0.113.9, junk", false),
        ("10.0.0.1:1", "", false),
    ] {
        let request = with_bearer(get("/api/v1/playback/token/film"), &token)
            .header("x-forwarded-for", forwarded)
            .header("forwarded", "for=203.0.113.9")
            .header("x-real-ip", "203.0.113.9")
            .header("true-client-ip", "203.0.113.9")
            .header("x-client-ip", "203.0.113.9")
            .header("x-cluster-client-ip", "203.0.113.9")
            .header("fastly-client-ip", "203.0.113.9")
            .header("cloudfront-viewer-country", "NL")
            .header("cf-ipcountry", "NL")
            .header("via", "1.1 203.0.113.9")
            .header("cf-connecting-ip", "203.0.113.9");
        let reply = house.send_from(peer, request.body(Body::empty()).unwrap()).await;
        match is_granted {
            true => reply.assert_granted(),
            false => reply.assert_refused(451, "region_not_allowed"),
        }
    }
}
