//! Licenses that devices keep: how many, until when, and how they are given back (R114-R117).

use crate::house::*;
use crate::playing::*;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use dialect::terms::LicenseTerms;
use dialect::widevine::client::{Ask, AskedContent, ClientDevice, ClientSession};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{LicenseType, OpenedLicense, RenewalKind};
use keys::SystemEntropy;
use model::{Dialect, KeyId, Plan, PlanName, SecurityLevel, Subscription, Timestamp};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

static ROOT: LazyLock<TestRoot> =
    LazyLock::new(|| TestRoot::make("strongroom.test", &mut SystemEntropy));
static DEVICE: LazyLock<ClientDevice> = LazyLock::new(|| {
    ROOT.model(SecurityLevel::L1).make_device(&mut SystemEntropy).client().unwrap()
});

const KEEPS: &str = "license_s = 1000\n[offline]\nallowed = true\nlicense_s = 500\n";

/// Account `ada`, title `film`, which may be kept for 500 seconds, and a plan with so many places.
async fn house(max_offline: u32) -> House {
    let house = House::with(|config| config.limits.session_requests = 0, |_| {}).await;
    let name = PlanName::parse("standard").unwrap();
    let plan =
        Plan { name, includes_streaming: true, max_streams: 100, max_offline, max_devices: 100 };
    house.store.put_plan(&plan).await.unwrap();
    house.account("ada", "standard").await;
    house.title("film").await;
    house.import_widevine(&ROOT).await;
    put_policy(&house, KEEPS).await;
    house
}

fn ask(license_type: LicenseType) -> (dialect::widevine::client::Pending<'static>, Vec<u8>) {
    let field = |kid: &KeyId| [&[0x12, 16][..], kid.as_bytes()].concat();
    let payload: Vec<u8> = kids(&["SD"]).iter().flat_map(field).collect();
    let payloads = [&payload[..]];
    let content = AskedContent::PsshData(&payloads);
    let asked = Ask { content, license_type, request_id: b"request", privacy: None };
    DEVICE.ask(&asked, NOW, &mut SystemEntropy)
}

async fn post_bytes(house: &House, path: &str, bearer: Option<&str>, body: &[u8]) -> Reply {
    let request = Request::post(path);
    let request = match bearer {
        Some(token) => with_bearer(request, token),
        None => request,
    };
    house.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

/// Asks for a license of `film` under the playback's URL.
async fn licensed(
    house: &House,
    playing: &Playing,
    license_type: LicenseType,
) -> (OpenedLicense, ClientSession, Reply) {
    let (pending, body) = ask(license_type);
    let reply = post_bytes(house, path_of(&playing.url), None, &body).await;
    reply.assert_granted();
    let (license, session) = pending.open(&reply.body).unwrap();
    (license, session, reply)
}

/// A new sign-in is another device: begins to play there and asks to keep.
async fn keep_elsewhere(house: &House) -> Reply {
    let playing = Playing::begin(house, Dialect::Widevine).await;
    post_bytes(house, path_of(&playing.url), None, &ask(LicenseType::Offline).1).await
}

async fn listed(house: &House, signed_in: &str) -> Value {
    let request = with_bearer(get("/api/v1/offline"), signed_in);
    let reply = house.send(request.body(Body::empty()).unwrap()).await;
    reply.assert_granted();
    reply.json()
}

async fn forget(house: &House, signed_in: &str, path: &str) -> Reply {
    let request = with_bearer(Request::delete(format!("/api/v1/offline/{path}")), signed_in);
    house.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_kept_license_ends_by_its_own_term_and_takes_a_place_until_then() {
    let house = house(1).await;
    let policy = put_policy(
        &house,
        "license_s = 1000\nrental_s = 900\n[offline]\nallowed = true\nlicense_s = 500\n\
         rental_s = 400\nplayback_s = 300\n",
    )
    .await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (license, _, reply) = licensed(&house, &playing, LicenseType::Offline).await;
    assert_eq!(license.terms, LicenseTerms::of(&policy, true));
    let spans = [license.terms.license_s, license.terms.rental_s, license.terms.playback_s];
    assert_eq!(spans.map(|span| span.map_or(0, NonZeroU32::get)), [500, 400, 300]);
    let ends = NOW.plus_s(500);
    assert_eq!(reply.header("x-strongroom-license-expires"), ends.0.to_string());
    let list = listed(&house, &playing.signed_in).await;
    assert_eq!(list["max_offline"], 1);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let row = &list["items"][0];
    assert_eq!((&row["content_id"], &row["ends_at"]), (&json!("film"), &json!(ends.0)));
    assert_eq!((&row["issued_at"], &row["is_this_device"]), (&json!(NOW.0), &json!(true)));
    // One second before its end it takes the place; at its end the place is free.
    house.clock.advance_ms(499_000);
    let refused = keep_elsewhere(&house).await;
    refused.assert_refused(403, "offline_not_allowed");
    assert!(refused.text().contains("one title kept"), "{}", refused.text());
    assert_eq!(reason_of(&house, &refused).await, "offline_limit");
    house.clock.advance_ms(1000);
    keep_elsewhere(&house).await.assert_granted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_requests_keep_as_many_as_the_plan_says() {
    let house = Arc::new(house(2).await);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let playing = Playing::begin(&house, Dialect::Widevine).await;
        let (house, body) = (Arc::clone(&house), ask(LicenseType::Offline).1);
        let ask = async move { post_bytes(&house, path_of(&playing.url), None, &body).await };
        asking.spawn(ask);
    }
    let (granted, refused): (Vec<_>, Vec<_>) =
        asking.join_all().await.into_iter().partition(|reply| reply.status == StatusCode::OK);
    assert_eq!((granted.len(), refused.len()), (2, 6));
    refused.iter().for_each(|reply| reply.assert_refused(403, "offline_not_allowed"));
}

#[tokio::test]
async fn a_title_or_a_plan_without_the_right_gives_none_and_streams_go_on() {
    for (max_offline, document, reason) in [
        (25, "license_s = 1000\n", "title_gives_no_offline_license"),
        (0, KEEPS, "plan_gives_no_offline_license"),
    ] {
        let house = house(max_offline).await;
        put_policy(&house, document).await;
        let refused = keep_elsewhere(&house).await;
        refused.assert_refused(403, "offline_not_allowed");
        assert_eq!(reason_of(&house, &refused).await, reason);
        let playing = Playing::begin(&house, Dialect::Widevine).await;
        let (license, ..) = licensed(&house, &playing, LicenseType::Streaming).await;
        assert!(!license.terms.can_persist);
        assert_eq!(listed(&house, &playing.signed_in).await["items"], json!([]));
    }
}

#[tokio::test]
async fn asking_anew_on_the_same_device_takes_no_other_place() {
    let house = house(1).await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    licensed(&house, &playing, LicenseType::Offline).await;
    house.clock.advance_ms(10_000);
    let reply = send_in_session(&house, &playing, &ask(LicenseType::Offline).1).await;
    reply.assert_granted();
    let list = listed(&house, &playing.signed_in).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["ends_at"], json!(NOW.plus_s(510).0));
}

#[tokio::test]
async fn a_viewer_frees_his_places_and_nobody_elses() {
    let house = house(1).await;
    house.account("grace", "standard").await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    licensed(&house, &playing, LicenseType::Offline).await;
    let device = listed(&house, &playing.signed_in).await["items"][0]["device"].clone();
    let device = device.as_str().unwrap().to_owned();
    let (grace, other) = (house.sign_in("grace").await, house.sign_in("ada").await);
    let named = format!("film?device={device}");
    // Nothing of theirs: answered alike, and nothing is freed.
    assert_eq!(forget(&house, &grace, &named).await.status, StatusCode::NO_CONTENT);
    assert_eq!(forget(&house, &other, "film").await.status, StatusCode::NO_CONTENT);
    keep_elsewhere(&house).await.assert_refused(403, "offline_not_allowed");
    forget(&house, &other, "film?device=x").await.assert_refused(400, "malformed_request");
    let unsigned = house.send(Request::delete("/api/v1/offline/film").body(Body::empty()).unwrap());
    unsigned.await.assert_refused(401, "token_invalid");
    house.get("/api/v1/offline").await.assert_refused(401, "token_invalid");
    assert_eq!(forget(&house, &other, &named).await.status, StatusCode::NO_CONTENT);
    assert_eq!(listed(&house, &playing.signed_in).await["items"], json!([]));
    keep_elsewhere(&house).await.assert_granted();
}

/// Days later: the sign-in, the stream and the subscription are over, and so is the license.
#[tokio::test]
async fn a_release_is_taken_from_whoever_owns_the_license_and_acknowledged_again() {
    let house = house(1).await;
    let ada = house.account_id("ada").await;
    house.account("grace", "standard").await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (_, mut session, _) = licensed(&house, &playing, LicenseType::Offline).await;
    house.clock.advance_ms(300_000);
    let made = house.clock.now();
    let release = session.ask(RenewalKind::Release, 200, 50, made);
    // Another account's sign-in frees nothing.
    let grace = house.sign_in("grace").await;
    let refused = post_bytes(&house, "/license/widevine", Some(&grace), &release).await;
    refused.assert_refused(403, "challenge_refused");
    let unsigned = post_bytes(&house, "/license/widevine", None, &release).await;
    unsigned.assert_refused(401, "token_invalid");
    assert!(house.store.usage_records(ada).await.unwrap().is_empty());
    house.clock.advance_ms(5 * 24 * 3600 * 1000);
    house.store.set_subscription(ada, Subscription::Suspended).await.unwrap();
    let again = house.sign_in("ada").await;
    let path = format!("/license/widevine?session={}", playing.session);
    let first = post_bytes(&house, &path, Some(&again), &release).await;
    first.assert_granted();
    assert_eq!(first.header("x-strongroom-license-expires"), "");
    let repeated = post_bytes(&house, "/license/widevine", Some(&again), &release).await;
    repeated.assert_granted();
    let acknowledged = session.open(&repeated.body).unwrap();
    assert!(!acknowledged.terms.can_play && acknowledged.keys.is_empty());
    let records = house.store.usage_records(ada).await.unwrap();
    assert_eq!(records.len(), 1, "stored once");
    let back = |s| Some(Timestamp((made.as_s() - s) * 1000));
    assert_eq!((records[0].first_played, records[0].last_played), (back(200), back(50)));
    assert_eq!(records[0].session.to_string(), playing.session);
}

#[tokio::test]
async fn a_release_frees_the_place_of_its_own_license_only() {
    let house = house(1).await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (_, old, _) = licensed(&house, &playing, LicenseType::Offline).await;
    let (pending, body) = ask(LicenseType::Offline);
    let reply = send_in_session(&house, &playing, &body).await;
    let (_, new) = pending.open(&reply.body).unwrap();
    let give_back = async |session: &ClientSession| {
        let body = session.ask(RenewalKind::Release, 0, 0, house.clock.now());
        send_in_session(&house, &playing, &body).await.assert_granted();
    };
    give_back(&old).await;
    keep_elsewhere(&house).await.assert_refused(403, "offline_not_allowed");
    give_back(&new).await;
    keep_elsewhere(&house).await.assert_granted();
}

/// A streamed license that is given back is a usage record (R115, C11).
#[tokio::test]
async fn a_streamed_license_that_is_given_back_leaves_a_record_of_use() {
    let house = house(1).await;
    let ada = house.account_id("ada").await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (_, session, _) = licensed(&house, &playing, LicenseType::Streaming).await;
    house.clock.advance_ms(60_000);
    let now = house.clock.now();
    // A client that played nothing says so; more than there was is cut at the license's begin.
    let nothing = session.ask(RenewalKind::Release, 0, 0, now);
    send_in_session(&house, &playing, &nothing).await.assert_granted();
    let records = house.store.usage_records(ada).await.unwrap();
    assert_eq!((records[0].first_played, records[0].last_played), (None, None));
    let second = Playing::begin(&house, Dialect::Widevine).await;
    let (_, session, _) = licensed(&house, &second, LicenseType::Streaming).await;
    let much = session.ask(RenewalKind::Release, 9_999, 3, now.plus_s(7200));
    send_in_session(&house, &second, &much).await.assert_granted();
    let records = house.store.usage_records(ada).await.unwrap();
    let of_second = records.iter().find(|one| one.session.to_string() == second.session).unwrap();
    let begin = Timestamp(now.as_s() * 1000);
    assert_eq!((of_second.first_played, of_second.last_played), (Some(begin), Some(begin)));
}

/// Renewals up to five minutes after the license's end (R088), to the second.
#[tokio::test]
async fn a_license_is_renewed_shortly_after_its_end_and_not_later() {
    let renews = "license_s = 100\n[renewal]\nallowed = true\ndelay_s = 50\n";
    for (grace, late_s, is_renewed) in
        [(300, 399, true), (300, 400, false), (0, 99, true), (0, 100, false)]
    {
        let house = House::with(
            |config| {
                config.limits.session_requests = 0;
                config.licenses.renewal_grace_s = grace;
            },
            |_| {},
        )
        .await;
        house.account("ada", "standard").await;
        house.title("film").await;
        house.import_widevine(&ROOT).await;
        put_policy(&house, renews).await;
        let playing = Playing::begin(&house, Dialect::Widevine).await;
        let (_, mut session, _) = licensed(&house, &playing, LicenseType::Streaming).await;
        house.clock.advance_ms(late_s * 1000);
        let body = session.ask(RenewalKind::Renew, 10, 1, house.clock.now());
        let reply = send_in_session(&house, &playing, &body).await;
        if is_renewed {
            reply.assert_granted();
            let terms = session.open(&reply.body).unwrap().terms;
            assert_eq!(terms.license_s, NonZeroU32::new(100), "{grace} {late_s}");
        } else {
            reply.assert_refused(403, "challenge_refused");
            assert_eq!(reason_of(&house, &reply).await, "license_ended_too_long_ago");
            // The same player goes on with a new license under the viewer's session.
            let (pending, body) = ask(LicenseType::Streaming);
            let reply = send_in_session(&house, &playing, &body).await;
            reply.assert_granted();
            pending.open(&reply.body).unwrap();
        }
    }
}

/// R088: paused for an hour, then on with the license that the player has.
#[tokio::test]
async fn a_player_that_paused_an_hour_renews_its_license() {
    let house = house(1).await;
    put_policy(&house, "license_s = 7200\n[renewal]\nallowed = true\ndelay_s = 60\n").await;
    let playing = Playing::begin(&house, Dialect::Widevine).await;
    let (_, mut session, _) = licensed(&house, &playing, LicenseType::Streaming).await;
    house.clock.advance_ms(3_600_000);
    let body = session.ask(RenewalKind::Renew, 3_600, 3_590, house.clock.now());
    let reply = send_in_session(&house, &playing, &body).await;
    reply.assert_granted();
    assert!(session.open(&reply.body).unwrap().terms.can_play);
}
