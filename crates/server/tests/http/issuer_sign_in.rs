//! Signing in by an identity provider: bearer tokens, the exchange, accounts, plans, the end.

use crate::house::{House, NOW, PASSWORD, challenge, get, kids_in, post, with_bearer};
use crate::issuer::{Issuer, me};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use model::{PlanName, Subscription};
use serde_json::json;

async fn exchange(house: &House, token: &str) -> crate::house::Reply {
    house.send(post("/api/v1/sessions", &json!({"id_token": token}))).await
}

#[tokio::test]
async fn a_token_of_an_issuer_plays_a_title_from_the_first_call_to_the_last() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let token = issuer.token("grace");
    assert_eq!(me(&house, &token).await.json(), json!({"name": "grace", "plan": "standard"}));
    let playback = house.playback(&token, "film").await;
    playback.assert_granted();
    let playback = playback.json();
    let url = playback["license"]["clearkey"].as_str().unwrap();
    let license = house.license(url, &challenge("film", &["SD"])).await;
    license.assert_granted();
    assert_eq!(kids_in(&license).len(), 1);
    let session = playback["session_id"].as_str().unwrap();
    let beat = json!({"position_s": 7, "state": "playing"});
    let send = async |method: &str, path: String, token: &str, body: &serde_json::Value| {
        let mut request = post(&path, body);
        *request.method_mut() = method.parse().unwrap();
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        house.send(request).await
    };
    let heartbeat = format!("/api/v1/playback/{session}/heartbeat");
    send("POST", heartbeat.clone(), &token, &beat).await.assert_granted();
    // A refreshed token of the same session goes on where the first one stopped.
    let refreshed = issuer.token_with("grace", &json!({"exp": NOW.as_s() + 400}));
    send("POST", heartbeat.clone(), &refreshed, &beat).await.assert_granted();
    let renewal = format!("/license/clearkey?session={session}");
    send("POST", renewal, &refreshed, &challenge("film", &["SD"])).await.assert_granted();
    // Another device of the same account is another device.
    let elsewhere = issuer.token_with("grace", &json!({"sid": "other"}));
    let reply = send("POST", heartbeat, &elsewhere, &beat).await;
    reply.assert_refused(403, "device_account_mismatch");
    let end = send("DELETE", format!("/api/v1/playback/{session}"), &refreshed, &beat).await;
    assert_eq!(end.status, StatusCode::NO_CONTENT);
    for path in ["/api/v1/titles", "/api/v1/offline"] {
        let request = with_bearer(get(path), &token).body(Body::empty()).unwrap();
        house.send(request).await.assert_granted();
    }
}

#[tokio::test]
async fn a_license_url_is_of_no_use_beside_another_sign_in() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let playback = house.playback(&issuer.token("grace"), "film").await.json();
    let path = crate::house::path_of(playback["license"]["clearkey"].as_str().unwrap()).to_owned();
    let beside = async |token: &str| {
        let mut request = post(&path, &challenge("film", &["SD"]));
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        house.send(request).await
    };
    let stranger = beside(&issuer.token("eve")).await;
    stranger.assert_refused(403, "device_account_mismatch");
    beside(&issuer.token("grace")).await.assert_granted();
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_session_of_ours() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let reply = exchange(&house, &issuer.token("grace")).await;
    reply.assert_granted();
    let session = reply.json()["token"].as_str().unwrap().to_owned();
    let cookie = reply.header("set-cookie").to_owned();
    assert!(cookie.starts_with(&format!("__Host-strongroom-session={session}; ")), "{cookie}");
    assert_eq!(me(&house, &session).await.json()["name"], "grace");
    // It is ours: it outlives the token, and ends by itself.
    house.clock.advance_ms(3600 * 1000);
    me(&house, &issuer.token("grace")).await.assert_refused(401, "token_expired");
    me(&house, &session).await.assert_granted();
    let request = with_bearer(Request::delete("/api/v1/sessions"), &session);
    let reply = house.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    me(&house, &session).await.assert_refused(401, "token_expired");
}

#[tokio::test]
async fn an_exchange_takes_one_kind_of_credential_and_so_many_a_minute() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let token = issuer.token("grace");
    for body in [
        json!({}),
        json!({"id_token": null}),
        json!({"id_token": [token]}),
        json!({"id_token": token, "name": "ada"}),
        json!({"id_token": token, "name": "ada", "password": PASSWORD}),
        json!({"id_token": token, "provision": true}),
    ] {
        let reply = house.send(post("/api/v1/sessions", &body)).await;
        reply.assert_refused(400, "malformed_request");
    }
    for token in ["", "x", &house.sign_in("ada").await] {
        exchange(&house, token).await.assert_refused(401, "token_invalid");
    }
    for _ in 0..10 {
        exchange(&house, &token).await.assert_granted();
    }
    exchange(&house, &token).await.assert_refused(429, "rate_limited");
    exchange(&house, &issuer.token("hedy")).await.assert_granted();
}

#[tokio::test]
async fn a_name_that_is_taken_is_never_a_reason_to_be_that_account() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let built_in = house.account_id("ada").await;
    let reply = me(&house, &issuer.token("ada")).await;
    reply.assert_granted();
    let name = reply.json()["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("viewer "), "{name}");
    assert_ne!(house.account_id(&name).await, built_in);
    // The same subject is the same account from then on, whatever it calls itself.
    let renamed = issuer.token_with("ada", &json!({"preferred_username": "countess"}));
    assert_eq!(me(&house, &renamed).await.json()["name"], name);
    // No password opens an account of an issuer.
    for password in ["", "x", PASSWORD] {
        let body = json!({"name": name, "password": password});
        let reply = house.send(post("/api/v1/sessions", &body)).await;
        reply.assert_refused(401, "sign_in_failed");
    }
    for claim in [json!(""), json!("x".repeat(257)), json!(7), json!(null)] {
        let subject = format!("s{}", claim.to_string().len());
        let token = issuer.token_with(&subject, &json!({"preferred_username": claim}));
        assert_eq!(me(&house, &token).await.json()["name"], subject);
    }
}

#[tokio::test]
async fn without_provisioning_only_linked_subjects_have_accounts() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|settings| settings.provision = false).await;
    let token = issuer.token("grace");
    me(&house, &token).await.assert_refused(403, "account_unknown");
    exchange(&house, &token).await.assert_refused(403, "account_unknown");
    house.playback(&token, "film").await.assert_refused(403, "account_unknown");
    let ada = house.account_id("ada").await;
    house.store.link_subject((&issuer.url, "grace"), ada, NOW).await.unwrap();
    assert_eq!(me(&house, &token).await.json()["name"], "ada");
    me(&house, &issuer.token("Grace")).await.assert_refused(403, "account_unknown");
}

#[tokio::test]
async fn an_issuer_says_the_plan_where_the_settings_let_it() {
    let issuer = Issuer::start().await;
    let house = issuer
        .house(|settings| {
            settings.plan = None;
            settings.plan_claim = Some("tier".to_owned());
            settings.plans = [("gold".to_owned(), "premium".to_owned())].into();
            settings.plans.insert("free".to_owned(), "basic".to_owned());
            settings.plans.insert("lost".to_owned(), "gone".to_owned());
        })
        .await;
    house.plan("premium", true, 4).await;
    house.plan("basic", false, 1).await;
    let tier = |tier: &str, age_s: u64| {
        let iat = NOW.as_s() - age_s;
        issuer.token_with("grace", &json!({"tier": tier, "iat": iat}))
    };
    for nothing in [tier("silver", 9), tier("", 9), issuer.token("grace")] {
        me(&house, &nothing).await.assert_refused(403, "plan_not_entitled");
    }
    me(&house, &tier("lost", 9)).await.assert_refused(500, "internal");
    assert_eq!(me(&house, &tier("gold", 5)).await.json()["plan"], "premium");
    house.playback(&tier("gold", 5), "film").await.assert_granted();
    // An older token does not bring an older plan back, a newer one brings its own.
    assert_eq!(me(&house, &tier("free", 6)).await.json()["plan"], "premium");
    assert_eq!(me(&house, &tier("free", 4)).await.json()["plan"], "basic");
    house.playback(&tier("gold", 5), "film").await.assert_refused(403, "plan_not_entitled");
    let stored = house.account_id("grace").await;
    let stored = house.store.account(stored).await.unwrap().unwrap();
    assert_eq!(stored.plan, PlanName::parse("basic").unwrap());
}

#[tokio::test]
async fn a_sign_in_by_tokens_ends_here_for_all_tokens_of_its_session() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let (first, second) =
        (issuer.token("grace"), issuer.token_with("grace", &json!({"exp": NOW.as_s() + 200})));
    let other = issuer.token_with("grace", &json!({"sid": "other"}));
    for token in [&first, &second, &other] {
        me(&house, token).await.assert_granted();
    }
    let request = with_bearer(Request::delete("/api/v1/sessions"), &first);
    let reply = house.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    for token in [&first, &second] {
        me(&house, token).await.assert_refused(401, "token_expired");
        house.playback(token, "film").await.assert_refused(401, "token_expired");
    }
    me(&house, &other).await.assert_granted();
    house.clock.advance_ms(2000);
    let anew = issuer.token_with("grace", &json!({"iat": NOW.as_s() + 2}));
    me(&house, &anew).await.assert_granted();
    me(&house, &second).await.assert_refused(401, "token_expired");
}

#[tokio::test]
async fn a_suspended_account_plays_nothing_by_an_issuers_token_either() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let token = issuer.token("grace");
    let session = exchange(&house, &token).await.json()["token"].as_str().unwrap().to_owned();
    house.playback(&token, "film").await.assert_granted();
    let account = house.account_id("grace").await;
    house.store.set_subscription(account, Subscription::Suspended).await.unwrap();
    for credential in [&token, &session] {
        house.playback(credential, "film").await.assert_refused(403, "subscription_inactive");
    }
    house.store.set_subscription(account, Subscription::Active).await.unwrap();
    house.playback(&token, "film").await.assert_granted();
}

#[tokio::test]
async fn first_sights_at_once_make_one_account() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let tokens: Vec<String> = (0..16)
        .map(|at| issuer.token_with("grace", &json!({"sid": format!("device {at}")})))
        .collect();
    let mut calls = tokio::task::JoinSet::new();
    let house = std::sync::Arc::new(house);
    for token in tokens {
        let house = std::sync::Arc::clone(&house);
        calls.spawn(async move { me(&house, &token).await });
    }
    while let Some(reply) = calls.join_next().await {
        assert_eq!(reply.unwrap().json()["name"], "grace");
    }
    assert_eq!(issuer.questions(), 1);
}
