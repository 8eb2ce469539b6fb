//! An issuer's keys: when they are asked for, how long they serve, and that nothing is accepted
//! without them.

use crate::issuer::{Issuer, me};
use crate::signer::Signer;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn keys_are_asked_for_once_and_anew_when_their_time_is_over() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    assert_eq!(issuer.questions(), 0, "nobody is asked before it is needed");
    for _ in 0..5 {
        me(&house, &issuer.token("grace")).await.assert_granted();
    }
    assert_eq!(issuer.questions(), 1);
    house.clock.advance_ms(599_000);
    let late = issuer.token_with("grace", &json!({"exp": crate::house::NOW.as_s() + 3000}));
    me(&house, &late).await.assert_granted();
    assert_eq!(issuer.questions(), 1, "its answer lives 600 seconds");
    house.clock.advance_ms(2000);
    me(&house, &late).await.assert_granted();
    questions_become(&issuer, 2).await;
}

/// What is asked beside a request arrives in its own time.
async fn questions_become(issuer: &Issuer, count: u64) {
    for _ in 0..200 {
        if issuer.questions() == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(issuer.questions(), count);
}

#[tokio::test]
async fn a_new_key_is_fetched_once_in_an_interval_however_many_tokens_name_one() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    me(&house, &issuer.token("grace")).await.assert_granted();
    let second = Signer::rsa();
    issuer.publish(BTreeMap::from([("one", &issuer.signer), ("two", &second)]));
    let by_second = second.token(&json!({"alg": "RS256", "kid": "two"}), &issuer.claims("grace"));
    let unknown = |at: u32| {
        let header = json!({"alg": "ES256", "kid": format!("no {at}"), "typ": "JWT"});
        issuer.signer.token(&header, &issuer.claims("grace"))
    };
    // The interval since the first question is not over yet.
    me(&house, &by_second).await.assert_refused(401, "token_invalid");
    assert_eq!(issuer.questions(), 1);
    house.clock.advance_ms(30_000);
    let asked: Vec<String> = (0..20).map(unknown).collect();
    for token in &asked {
        me(&house, token).await.assert_refused(401, "token_invalid");
    }
    assert_eq!(issuer.questions(), 2);
    me(&house, &by_second).await.assert_granted();
    me(&house, &issuer.token("grace")).await.assert_granted();
    // Many at once share one question, too.
    house.clock.advance_ms(30_000);
    let replies = asked.iter().map(|token| me(&house, token));
    let replies = futures_of(replies).await;
    for reply in replies {
        reply.assert_refused(401, "token_invalid");
    }
    assert_eq!(issuer.questions(), 3);
}

/// Waits for all, each polled in turn.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut done = vec![];
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn a_key_counts_as_long_as_the_set_says() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let old = issuer.token_with("grace", &json!({"exp": crate::house::NOW.as_s() + 3000}));
    me(&house, &old).await.assert_granted();
    let second = Signer::ed25519();
    issuer.publish(BTreeMap::from([("two", &second)]));
    house.clock.advance_ms(30_000);
    me(&house, &old).await.assert_granted();
    let new = second.token(&json!({"alg": "EdDSA", "kid": "two"}), &issuer.claims("grace"));
    me(&house, &new).await.assert_granted();
    me(&house, &old).await.assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn an_issuer_that_is_away_stops_nobody_it_has_vouched_for_until_the_bound() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|settings| settings.outage_s = 1000).await;
    let token = issuer.token_with("grace", &json!({"exp": crate::house::NOW.as_s() + 9000}));
    me(&house, &token).await.assert_granted();
    issuer.answer(500, "max-age=600", None);
    house.clock.advance_ms(601_000);
    me(&house, &token).await.assert_granted();
    questions_become(&issuer, 2).await;
    // A key that nobody knows, while nobody can be asked, is no reason to refuse for good.
    let other = Signer::p256().token(&json!({"alg": "ES256", "kid": "two"}), &issuer.claims("eve"));
    house.clock.advance_ms(30_000);
    me(&house, &other).await.assert_refused(401, "token_invalid");
    let unexpired = json!({"exp": crate::house::NOW.as_s() + 9000, "sub": "eve", "aud": "tv-app",
        "iss": issuer.url, "iat": crate::house::NOW.as_s()});
    let other = Signer::p256().token(&json!({"alg": "ES256", "kid": "two"}), &unexpired);
    me(&house, &other).await.assert_refused(503, "provider_unavailable");
    house.clock.advance_ms(968_000);
    me(&house, &token).await.assert_granted();
    house.clock.advance_ms(1001);
    me(&house, &token).await.assert_refused(503, "provider_unavailable");
    issuer.answer(200, "max-age=600", None);
    house.clock.advance_ms(30_000);
    me(&house, &token).await.assert_granted();
}

#[tokio::test]
async fn what_is_no_key_set_is_never_taken_for_one() {
    let issuer = Issuer::start().await;
    let good = json!({"keys": [issuer.signer.jwk("one")]});
    for (status, body) in [
        (404, good.clone()),
        (500, good.clone()),
        (204, good.clone()),
        (200, json!({"keys": []})),
        (200, json!([])),
        (200, json!({"keys": [{"kty": "oct", "kid": "one", "k": "AAAA"}]})),
        (200, json!({"keys": [issuer.signer.jwk("one")], "pad": "x".repeat(70_000)})),
    ] {
        issuer.answer(status, "", Some(body.clone()));
        let house = issuer.house(|_| {}).await;
        let reply = me(&house, &issuer.token("grace")).await;
        reply.assert_refused(503, "provider_unavailable");
        issuer.answer(200, "", Some(good.clone()));
        house.clock.advance_ms(29_999);
        me(&house, &issuer.token("grace")).await.assert_refused(503, "provider_unavailable");
        house.clock.advance_ms(1);
        me(&house, &issuer.token("grace")).await.assert_granted();
    }
    let redirected = format!("{}/elsewhere", issuer.url);
    let house = issuer.house(|settings| settings.jwks_url = Some(redirected)).await;
    me(&house, &issuer.token("grace")).await.assert_refused(503, "provider_unavailable");
    let keys = format!("{}/keys", issuer.url);
    let house = issuer.house(|settings| settings.jwks_url = Some(keys)).await;
    me(&house, &issuer.token("grace")).await.assert_granted();
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_names_no_keys() {
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    // The same host, another issuer by one letter.
    let url = format!("{}/", issuer.url);
    let house = issuer.house(|settings| settings.url = url.clone()).await;
    let token = issuer.token_with("grace", &json!({"iss": url}));
    me(&house, &token).await.assert_refused(503, "provider_unavailable");
    assert_eq!((issuer.questions(), other.questions()), (0, 0));
    // A token of one issuer is none of another, whatever its key is called.
    let house = issuer.house(|_| {}).await;
    me(&house, &other.token("grace")).await.assert_refused(401, "token_invalid");
    let posing = other.token_with("grace", &json!({"iss": issuer.url}));
    me(&house, &posing).await.assert_refused(401, "token_invalid");
    assert_eq!(other.questions(), 0);
}
