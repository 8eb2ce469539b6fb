//! Races of streams and tokens through the whole router, on SQLite and on PostgreSQL: exact counts,
//! and no answer but the two that may be (R083, R085). Twenty rounds; a thousand with
//! `STRONGROOM_LONG=1`.

use crate::house::{House, Reply, challenge, kids_in, path_of, post, with_bearer};
use crate::postgres;
use axum::body::Body;
use axum::http::Request;
use model::{AccountId, SignInId};
use playback::SessionToken;
use serde_json::json;
use std::sync::Arc;

fn rounds() -> u32 {
    if std::env::var_os("STRONGROOM_LONG").is_some() { 1000 } else { 20 }
}

/// A service on PostgreSQL; none where it is not installed.
async fn on_postgres() -> Option<House> {
    let url = postgres::cluster()?.fresh_database();
    Some(House::with(|config| config.store.database = Some(url), |_| {}).await)
}

/// Another sign-in, which is another device, without the time of a password check.
async fn sign_in(house: &House, account: AccountId) -> String {
    let (entropy, now) = (&house.service.ground.entropy, house.clock.now());
    let (sign_in, expires) = (entropy.with(SignInId::random), now.plus_s(30 * 86_400));
    house.store.insert_sign_in(sign_in, account, expires, now).await.unwrap();
    SessionToken { account, sign_in, issued: now, expires }.issue(&house.service.token_key)
}

async fn all<F>(requests: impl Iterator<Item = F>) -> Vec<Reply>
where
    F: Future<Output = Reply> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    requests.for_each(|request| drop(tasks.spawn(request)));
    tasks.join_all().await
}

/// 200 devices start at once on a plan of five; then one is stopped, one is lost.
async fn starts_grant_exactly_the_plan(house: House) {
    const LIMIT: u32 = 5;
    let house = Arc::new(house);
    house.plan("five", true, LIMIT).await;
    let account = house.account("ada", "five").await;
    house.title("film").await;
    let mut devices = vec![];
    for _ in 0..200 {
        devices.push(sign_in(&house, account).await);
    }
    let start = |device: &String| {
        let (house, device) = (Arc::clone(&house), device.clone());
        async move { house.playback(&device, "film").await }
    };
    for round in 0..rounds() {
        let replies = all(devices.iter().map(start)).await;
        let granted: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
        assert_eq!(granted.len(), 5, "{round}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            reply.assert_refused(409, "stream_limit_reached");
            assert_eq!(reply.json()["streams"].as_array().unwrap().len(), 5, "{round}");
        }
        // An explicit stop frees its slot at once, for one of those that wait.
        let session = granted[0].json()["session_id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/playback/{session}");
        let end = with_bearer(Request::delete(path), &devices[0]).body(Body::empty()).unwrap();
        assert_eq!(house.send(end).await.status, 204);
        let newcomer = sign_in(&house, account).await;
        house.playback(&newcomer, "film").await.assert_granted();
        house
            .playback(&sign_in(&house, account).await, "film")
            .await
            .assert_refused(409, "stream_limit_reached");
        // One that is heard of holds its slot; the others are lost after three missed heartbeats.
        let running = house.store.running_streams(account, house.clock.now()).await.unwrap();
        for stream in &running {
            let (session, now) = (stream.row.stream.session, house.clock.now());
            assert!(house.store.lease_stream(session, LIMIT, now).await.unwrap(), "{round}");
        }
        house.clock.advance_ms(179_999);
        let late = sign_in(&house, account).await;
        house.playback(&late, "film").await.assert_refused(409, "stream_limit_reached");
        house.clock.advance_ms(1);
        house.playback(&late, "film").await.assert_granted();
        // Past the reservation and the limiter's window.
        house.clock.advance_ms(60_000);
    }
}

/// 64 uses of one license URL at once: each KID is answered once.
async fn a_token_answers_each_kid_once(house: House) {
    let house = Arc::new(house);
    let account = house.account("ada", "standard").await;
    house.title("film").await;
    let device = sign_in(&house, account).await;
    for round in 0..rounds() {
        let playback = house.playback(&device, "film").await;
        playback.assert_granted();
        let url = playback.json()["license"]["clearkey"].as_str().unwrap().to_owned();
        let replies = all((0..64).map(|number| {
            let (house, url) = (Arc::clone(&house), url.clone());
            async move {
                let labels: &[&str] = if number % 2 == 0 { &["SD"] } else { &["AUDIO"] };
                // Insignificant white space makes each of them a challenge of its own.
                let body = format!("{}{}", challenge("film", labels), " ".repeat(number));
                house.send(Request::post(path_of(&url)).body(Body::from(body)).unwrap()).await
            }
        }))
        .await;
        let answered = replies.iter().filter(|reply| reply.status == 200);
        assert_eq!(answered.flat_map(kids_in).count(), 2, "{round}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            reply.assert_refused(401, "token_replayed");
        }
        house.clock.advance_ms(180_000);
    }
}

/// Of heartbeats with one number at once one is taken.
async fn equal_numbers_are_taken_once(house: House) {
    let house = Arc::new(house);
    let account = house.account("ada", "standard").await;
    house.title("film").await;
    let device = sign_in(&house, account).await;
    let playback = house.playback(&device, "film").await.json();
    let path = path_of(playback["heartbeat"]["url"].as_str().unwrap()).to_owned();
    for seq in 0..rounds() {
        let replies = all((0..8).map(|_| {
            let (house, device, path) = (Arc::clone(&house), device.clone(), path.clone());
            async move {
                let body = json!({"position_s": 1, "state": "playing", "seq": seq});
                let mut request = post(&path, &body);
                let bearer = format!("Bearer {device}").parse().unwrap();
                request.headers_mut().insert("authorization", bearer);
                house.send(request).await
            }
        }))
        .await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1, "{seq}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            reply.assert_refused(409, "sequence_out_of_order");
        }
        house.clock.advance_ms(10_000);
    }
}

/// Runs each race on both databases.
macro_rules! on_both_databases {
    ($($race:ident,)+) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $race() {
                super::$race(crate::house::House::new().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $race() {
                if let Some(house) = super::on_postgres().await {
                    super::$race(house).await;
                }
            })+
        }
    };
}

on_both_databases! {
    starts_grant_exactly_the_plan,
    a_token_answers_each_kid_once,
    equal_numbers_are_taken_once,
}
