//! A suspended account is refused at the next heartbeat, license and renewal, and it can be seen
//! why.

use crate::house::{House, Reply, challenge, path_of, post};
use crate::outcomes::remembered;
use model::Subscription;
use playback::Rule;
use serde_json::{Value, json};
use store::Ended;

/// A playing viewer: credential, license URL, session.
async fn playing(house: &House) -> (String, String, String) {
    let token = house.sign_in("ada").await;
    let playback = house.playback(&token, "film").await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (token, text(&playback["license"]["clearkey"]), text(&playback["session_id"]))
}

async fn send(house: &House, token: &str, path: &str, body: &Value) -> Reply {
    let mut request = post(path, body);
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    house.send(request).await
}

async fn set(house: &House, subscription: Subscription) {
    let account = house.account_id("ada").await;
    assert!(house.store.set_subscription(account, subscription).await.unwrap());
}

fn beat() -> Value {
    json!({"position_s": 3, "state": "playing"})
}

#[tokio::test]
async fn the_next_heartbeat_of_a_suspended_account_is_refused_and_its_trace_says_why() {
    let house = House::furnished().await;
    let (token, _, session) = playing(&house).await;
    let path = format!("/api/v1/playback/{session}/heartbeat");
    send(&house, &token, &path, &beat()).await.assert_granted();
    set(&house, Subscription::Suspended).await;
    let refused = send(&house, &token, &path, &beat()).await;
    refused.assert_refused(410, "subscription_inactive");
    assert_eq!(refused.json()["reason"], "suspended");
    assert_told(&house, &refused).await;
    set(&house, Subscription::Active).await;
    send(&house, &token, &path, &beat()).await.assert_granted();
    // Who holds no sign-in, or sends too many, pushes nothing out of what is remembered.
    let unsigned = send(&house, "x", &path, &beat()).await;
    unsigned.assert_refused(401, "token_invalid");
    assert!(remembered(&house, &unsigned).await.is_none());
    let mut last = send(&house, &token, &path, &beat()).await;
    for _ in 0..200 {
        last = send(&house, &token, &path, &beat()).await;
    }
    last.assert_refused(429, "rate_limited");
    assert!(remembered(&house, &last).await.is_none());
}

#[tokio::test]
async fn the_next_license_of_a_suspended_account_is_refused_and_its_trace_says_why() {
    let house = House::furnished().await;
    let (_, url, _) = playing(&house).await;
    set(&house, Subscription::Suspended).await;
    let refused = house.license(&url, &challenge("film", &["SD"])).await;
    refused.assert_refused(403, "subscription_inactive");
    assert_told(&house, &refused).await;
    set(&house, Subscription::Active).await;
    house.license(&url, &challenge("film", &["SD"])).await.assert_granted();
}

#[tokio::test]
async fn the_next_renewal_of_a_suspended_account_is_refused_and_its_trace_says_why() {
    let house = House::furnished().await;
    let (token, url, session) = playing(&house).await;
    house.license(&url, &challenge("film", &["SD"])).await.assert_granted();
    let path = format!("/license/clearkey?session={session}");
    send(&house, &token, &path, &challenge("film", &["SD"])).await.assert_granted();
    set(&house, Subscription::Suspended).await;
    let refused = send(&house, &token, &path, &challenge("film", &["SD"])).await;
    refused.assert_refused(403, "subscription_inactive");
    assert_told(&house, &refused).await;
    let again = send(&house, &token, path_of(&url), &challenge("film", &["HD"])).await;
    again.assert_refused(403, "subscription_inactive");
}

/// What is kept of a refused request names the rule, the reason and the account.
async fn assert_told(house: &House, refused: &Reply) {
    let outcome = remembered(house, refused).await.expect("the refusal is kept");
    assert_eq!(outcome.account, Some(house.account_id("ada").await));
    let (code, reason) = ("subscription_inactive".to_owned(), "subscription_not_active".to_owned());
    assert_eq!(outcome.ended, Ended::Refused { code, reason });
    assert_eq!(outcome.trace.decided_by(), Some(Rule::Subscription));
}
