//! The license proxy: three credentials, thirty seconds, each KID once, and every refusal.

use crate::house::{House, NOW, Reply, challenge, kid, kids_in, path_of, post};
use axum::body::Body;
use axum::http::{Request, header};
use keys::kms::{Kms, KmsError, KmsFuture};
use keys::{Kek, KekContext};
use model::{ContentId, Country, PlaybackSessionId, RegionRule, Subscription, Timestamp};
use playback::{PlaybackToken, TokenKey};
use serde_json::{Value, json};
use server::vault::Vault;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A furnished house, ada's session token, and the license URL of a fresh token call.
async fn started() -> (House, String, String) {
    let house = House::furnished().await;
    let session = house.sign_in("ada").await;
    let url = license_url(&house, &session, "film").await;
    (house, session, url)
}

async fn license_url(house: &House, session: &str, title: &str) -> String {
    let reply = house.playback(session, title).await;
    reply.assert_granted();
    reply.json()["license"]["clearkey"].as_str().unwrap().to_owned()
}

fn base64url(labels: &[&str]) -> Vec<String> {
    let mut kids: Vec<String> = labels.iter().map(|l| kid("film", l).to_base64url()).collect();
    kids.sort();
    kids
}

#[tokio::test]
async fn a_license_carries_the_keys_of_the_level_and_says_so() {
    let (house, _, url) = started().await;
    let reply = house.license(&url, &challenge("film", &["AUDIO", "SD", "HD"])).await;
    reply.assert_granted();
    assert_eq!(kids_in(&reply), base64url(&["AUDIO", "SD"]), "HD is withheld from ClearKey");
    let mut expected = *kid("film", "SD").as_bytes();
    expected.iter_mut().for_each(|byte| *byte = !*byte);
    let expected = model::KeyId::from_bytes(expected).to_base64url();
    let keys = reply.json()["keys"].clone();
    assert!(keys.as_array().unwrap().iter().any(|key| key["k"] == expected), "{keys}");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("x-strongroom-security-level"), "L3");
    assert_eq!(reply.header("x-strongroom-track-classes"), "AUDIO,SD");
    let expires = NOW.plus_s(86_400).0.to_string();
    assert_eq!(reply.header("x-strongroom-license-expires"), expires);
}

#[tokio::test]
async fn a_license_url_is_taken_at_29_seconds_and_not_at_31() {
    let (house, session, url) = started().await;
    house.clock.advance_ms(29_000);
    house.license(&url, &challenge("film", &["SD"])).await.assert_granted();
    house.clock.advance_ms(2_000);
    let reply = house.license(&url, &challenge("film", &["SD"])).await;
    reply.assert_refused(401, "token_expired");
    let url = license_url(&house, &session, "film").await;
    house.license(&url, &challenge("film", &["SD"])).await.assert_granted();
}

#[tokio::test]
async fn each_kid_is_answered_once_and_the_same_challenge_again() {
    let (house, _, url) = started().await;
    let first = challenge("film", &["SD"]);
    let one = house.license(&url, &first).await;
    one.assert_granted();
    let again = house.license(&url, &first).await;
    again.assert_granted();
    assert_eq!(kids_in(&one), kids_in(&again));
    // The same KID in another challenge, alone and beside a fresh one.
    let mut other = first.clone();
    other["kids"].as_array_mut().unwrap().push(json!(kid("film", "AUDIO").to_base64url()));
    house.license(&url, &other).await.assert_refused(401, "token_replayed");
    // A byte more is another challenge.
    let spaced = Request::post(path_of(&url)).body(Body::from(format!("{first} "))).unwrap();
    house.send(spaced).await.assert_refused(401, "token_replayed");
    house.license(&url, &challenge("film", &["AUDIO"])).await.assert_granted();
    house.license(&url, &first).await.assert_granted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_parallel_uses_answer_each_kid_once() {
    let (house, _, url) = started().await;
    let house = Arc::new(house);
    let mut uses = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (house, url) = (Arc::clone(&house), url.clone());
        uses.spawn(async move {
            let labels: &[&str] = if number % 2 == 0 { &["SD"] } else { &["AUDIO"] };
            // Insignificant white space makes each of them a challenge of its own.
            let body = format!("{}{}", challenge("film", labels), " ".repeat(number));
            house.send(Request::post(path_of(&url)).body(Body::from(body)).unwrap()).await
        });
    }
    let replies: Vec<Reply> = uses.join_all().await;
    let mut answered: Vec<String> =
        replies.iter().filter(|reply| reply.status == 200).flat_map(kids_in).collect();
    answered.sort();
    assert_eq!(answered, base64url(&["AUDIO", "SD"]));
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.assert_refused(401, "token_replayed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_parallel_retries_of_one_challenge_are_all_answered() {
    let (house, _, url) = started().await;
    let house = Arc::new(house);
    let mut uses = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (house, url) = (Arc::clone(&house), url.clone());
        uses.spawn(async move { house.license(&url, &challenge("film", &["SD"])).await });
    }
    uses.join_all().await.iter().for_each(Reply::assert_granted);
}

#[tokio::test]
async fn one_foreign_kid_refuses_the_whole_request() {
    let (house, _, url) = started().await;
    house.title("other").await;
    let own = kid("film", "SD").to_base64url();
    let foreign = kid("other", "SD").to_base64url();
    let unknown = model::KeyId::from_bytes([0xee; 16]).to_base64url();
    for kids in [vec![&foreign], vec![&unknown], vec![&own, &foreign], vec![&own, &unknown]] {
        let reply = house.license(&url, &json!({"kids": kids, "type": "temporary"})).await;
        reply.assert_refused(403, "kid_not_in_content");
        assert!(!reply.text().contains("\"k\""));
    }
    // Refusals use nothing up.
    house.license(&url, &challenge("film", &["SD"])).await.assert_granted();
}

#[tokio::test]
async fn a_license_url_of_another_session_device_or_content_is_refused() {
    let (house, _, url) = started().await;
    house.account("eve", "standard").await;
    let eve = house.sign_in("eve").await;
    // In a player where someone else is signed in.
    let sd = challenge("film", &["SD"]);
    let mut request = post(path_of(&url), &sd);
    let cookie = format!("__Host-strongroom-session={eve}");
    request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    house.send(request).await.assert_refused(403, "device_account_mismatch");
    // With another playback session beside it.
    let other = format!("{url}&session={}", PlaybackSessionId::from_bytes([9; 16]));
    house.license(&other, &sd).await.assert_refused(403, "device_account_mismatch");
    house.title("other").await;
    let reply = house.license(&url, &challenge("other", &["SD"])).await;
    reply.assert_refused(403, "kid_not_in_content");
    house.license(&url, &sd).await.assert_granted();
}

#[tokio::test]
async fn no_byte_of_the_token_may_change() {
    let (house, _, url) = started().await;
    let sd = challenge("film", &["SD"]);
    let token_at = url.find("token=").unwrap() + 6;
    for at in (token_at..url.len()).step_by(7).chain([url.len() - 1]) {
        let mut other = url.clone();
        let flipped = if &other[at..=at] == "A" { "B" } else { "A" };
        other.replace_range(at..=at, flipped);
        house.license(&other, &sd).await.assert_refused(401, "token_invalid");
    }
    for query in ["", "?", "?token=", "?token=x", "?token=.", "?tokn=x", "?session=x"] {
        let path = format!("/license/clearkey{query}");
        house.license(&path, &sd).await.assert_refused(401, "token_invalid");
    }
    let twice = format!("{url}&token=x");
    let reply = house.license(&twice, &sd).await;
    reply.assert_refused(400, "malformed_request");
}

fn token(house: &House, edit: impl FnOnce(&mut PlaybackToken)) -> PlaybackToken {
    let mut token = PlaybackToken {
        id: model::TokenId::from_bytes([1; 16]),
        account: model::AccountId::from_bytes([2; 16]),
        device: model::DeviceId::from_bytes([3; 16]),
        session: PlaybackSessionId::from_bytes([4; 16]),
        content_id: ContentId::parse("film").unwrap(),
        covers: playback::Covers::Kids(vec![kid("film", "SD")]),
        decision: model::DecisionId::from_bytes([5; 16]),
        holds_slot: false,
        issued: house.clock.now(),
        expires: house.clock.now().plus_s(30),
    };
    edit(&mut token);
    token
}

#[tokio::test]
async fn tokens_of_another_kind_key_or_time_are_refused() {
    let (house, session, _) = started().await;
    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    let key = &house.service.token_key;
    let sd = challenge("film", &["SD"]);
    let ask =
        async |text: &str| house.license(&format!("/license/clearkey?token={text}"), &sd).await;
    let good = token(&house, |token| token.account = account);
    ask(&good.issue(key)).await.assert_granted();
    ask(&session).await.assert_refused(401, "token_invalid");
    ask(&good.issue(&TokenKey::from_bytes(&[0; 32]))).await.assert_refused(401, "token_invalid");
    ask(&token(&house, |_| {}).issue(key)).await.assert_refused(401, "token_invalid");
    let before_boot = Timestamp(house.service.boot.0 - 1);
    let old = token(&house, |token| {
        token.account = account;
        token.issued = before_boot;
    });
    ask(&old.issue(key)).await.assert_refused(401, "token_expired");
    let future = token(&house, |token| {
        token.account = account;
        token.issued = Timestamp(NOW.0 + 1);
    });
    ask(&future.issue(key)).await.assert_refused(401, "token_invalid");
    let eternal = token(&house, |token| token.expires = NOW.plus_s(121));
    ask(&eternal.issue(key)).await.assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn an_operators_token_takes_no_slot() {
    let house = House::new().await;
    house.plan("none", true, 0).await;
    let account = house.account("ada", "none").await;
    house.title("film").await;
    let minted = token(&house, |token| token.account = account).issue(&house.service.token_key);
    let url = format!("/license/clearkey?token={minted}");
    house.license(&url, &challenge("film", &["SD"])).await.assert_granted();
}

#[tokio::test]
async fn the_viewers_session_renews_by_bearer_and_by_cookie() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let session = house.playback(&token, "film").await.json()["session_id"].clone();
    let path = format!("/license/clearkey?session={}", session.as_str().unwrap());
    let sd = challenge("film", &["SD"]);
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = post(&path, &sd);
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        house.send(request).await
    };
    let bearer = format!("Bearer {token}");
    let cookie = format!("__Host-strongroom-session={token}");
    for _ in 0..3 {
        ask(&[("authorization", &bearer)]).await.assert_granted();
        ask(&[("cookie", &cookie), ("sec-fetch-site", "same-origin")]).await.assert_granted();
        ask(&[("cookie", &cookie), ("origin", "http://tv.example")]).await.assert_granted();
    }
    ask(&[]).await.assert_refused(401, "token_invalid");
    ask(&[("cookie", &cookie)]).await.assert_refused(403, "cross_site_request");
    let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    ask(&foreign).await.assert_refused(403, "cross_site_request");
    ask(&[("authorization", "Bearer x")]).await.assert_refused(401, "token_invalid");
    // An hour's pause, and then another sign-in with the same playback session.
    house.clock.advance_ms(3_600_000);
    ask(&[("authorization", &bearer)]).await.assert_granted();
    let other = format!("Bearer {}", house.sign_in("ada").await);
    ask(&[("authorization", &other)]).await.assert_refused(403, "device_account_mismatch");
    house.store.end_sign_in(sign_in_of(&house, &token)).await.unwrap();
    ask(&[("authorization", &bearer)]).await.assert_refused(401, "token_expired");
}

fn sign_in_of(house: &House, token: &str) -> model::SignInId {
    let now = house.clock.now();
    playback::SessionToken::verify(&house.service.token_key, token, now).unwrap().sign_in
}

#[tokio::test]
async fn rights_are_asked_again_at_the_license() {
    let (house, _, url) = started().await;
    let sd = challenge("film", &["SD"]);
    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    house.store.set_subscription(account, Subscription::Suspended).await.unwrap();
    house.license(&url, &sd).await.assert_refused(403, "subscription_inactive");
    house.store.set_subscription(account, Subscription::Active).await.unwrap();
    let film = house.title("film").await;
    let mut abroad = film.clone();
    abroad.regions = RegionRule::Only(vec![Country::parse("NL").unwrap()]);
    house.store.put_title(&abroad).await.unwrap();
    house.license(&url, &sd).await.assert_refused(451, "region_not_allowed");
    house.store.put_title(&film).await.unwrap();
    house.license(&url, &sd).await.assert_granted();
}

#[tokio::test]
async fn malformed_challenges_are_refused() {
    let (house, _, url) = started().await;
    let kid = kid("film", "SD").to_base64url();
    for body in [
        String::new(),
        "{".into(),
        "[]".into(),
        "null".into(),
        "{}".into(),
        "{\"kids\":[]}".into(),
        "{\"kids\":[\"x\"],\"type\":\"temporary\"}".into(),
        format!("{{\"kids\":[\"{kid}==\"],\"type\":\"temporary\"}}"),
        format!("{{\"kids\":\"{kid}\",\"type\":\"temporary\"}}"),
        format!("{{\"kids\":[\"{kid}\"],\"type\":\"forever\"}}"),
        "[".repeat(60_000),
        "\0".repeat(100),
    ] {
        let request = Request::post(path_of(&url)).body(Body::from(body.clone())).unwrap();
        let reply = house.send(request).await;
        assert_eq!(reply.status, 400, "{body:.60}");
        reply.assert_refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn a_megabyte_is_too_large_whatever_it_says_of_itself() {
    let (house, _, url) = started().await;
    let large = vec![b' '; 1 << 20];
    let declared = Request::post(path_of(&url))
        .header(header::CONTENT_LENGTH, large.len())
        .body(Body::from(large.clone()))
        .unwrap();
    house.send(declared).await.assert_refused(413, "body_too_large");
    let chunked = Request::post(path_of(&url)).body(Body::from(large)).unwrap();
    house.send(chunked).await.assert_refused(413, "body_too_large");
    let exact = Request::post(path_of(&url)).body(Body::from(vec![b' '; 65_537])).unwrap();
    house.send(exact).await.assert_refused(413, "body_too_large");
}

#[tokio::test]
async fn the_other_dialects_are_known_and_not_answered() {
    let (house, _, url) = started().await;
    let body = Value::from("x");
    for dialect in ["widevine", "playready", "fairplay"] {
        let url = url.replace("clearkey", dialect);
        house.license(&url, &body).await.assert_refused(404, "dialect_not_answered");
    }
    for dialect in ["clearkey2", "ClearKey", "..", "%2e%2e"] {
        let url = url.replace("clearkey", dialect);
        house.license(&url, &body).await.assert_refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_missing_key_row_is_not_found() {
    let house = House::furnished().await;
    let account = house.account("eve", "standard").await;
    let missing = model::KeyId::from_bytes([0xdd; 16]);
    let token = token(&house, |token| {
        token.account = account;
        token.covers = playback::Covers::Kids(vec![missing]);
    });
    let url = format!("/license/clearkey?token={}", token.issue(&house.service.token_key));
    let body = json!({"kids": [missing.to_base64url()], "type": "temporary"});
    house.license(&url, &body).await.assert_refused(404, "cek_not_found");
}

/// A root key that cannot be reached.
struct AwayKms;

impl Kms for AwayKms {
    fn wrap<'a>(&'a self, _: &'a Kek, _: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(async { Err(KmsError::Unavailable) })
    }

    fn unwrap<'a>(&'a self, _: &'a [u8], _: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(async { Err(KmsError::Unavailable) })
    }

    fn name(&self) -> &'static str {
        "away"
    }
}

#[tokio::test]
async fn without_the_kms_a_player_is_told_when_to_come_back() {
    let mut whole = None;
    let mut house = House::with(
        |_| {},
        |home| {
            whole = Some(Arc::clone(&home.vault));
            let fingerprint = Zeroizing::new([5; 32]);
            let (store, key) = (home.store.clone(), Arc::clone(&home.grant_key));
            let away = Vault::new(
                store,
                key,
                Arc::new(AwayKms),
                &fingerprint,
                &home.entropy,
                &home.config.keys.cache,
            );
            home.vault = Arc::new(away);
        },
    )
    .await;
    // The keys came while the KMS was there.
    house.vault = whole.unwrap();
    house.account("ada", "standard").await;
    house.title("film").await;
    let session = house.sign_in("ada").await;
    let url = license_url(&house, &session, "film").await;
    let reply = house.license(&url, &challenge("film", &["SD"])).await;
    reply.assert_refused(503, "kms_unavailable");
    let other = house.license(&url, &challenge("film", &["SD", "AUDIO"])).await;
    other.assert_refused(503, "kms_unavailable");
}
