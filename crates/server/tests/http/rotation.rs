//! Licenses of a live event whose keys change: by ClearKey, and what all dialects share.

use crate::house::*;
use crate::outcomes::remembered;
use crate::playing::*;
use crate::rotating::*;
use model::{CorrelationId, Dialect, KeyId, Subscription, TrackClass};
use serde_json::json;
use std::collections::BTreeSet;

/// The KIDs of a ClearKey license, each with the right key.
fn carried(reply: &Reply) -> BTreeSet<KeyId> {
    reply.assert_granted();
    let keys = dialect::clearkey::read_license(&reply.body).unwrap();
    let fingerprints = keys::FingerprintKey::from_bytes(&zeroize::Zeroizing::new([1; 32]));
    let print = |key: &keys::ContentKey| key.fingerprint(&fingerprints);
    keys.iter().for_each(|(kid, key)| assert_eq!(print(key), print(&key_of(*kid)), "{kid}"));
    keys.into_iter().map(|(kid, _)| kid).collect()
}

/// What an unattested client gets of a batch: audio and SD.
fn expected(periods: impl Iterator<Item = u32>) -> BTreeSet<KeyId> {
    let classes = [TrackClass::Audio, TrackClass::Sd];
    let of_periods = periods.flat_map(|period| classes.map(|class| period_kid(class, period)));
    kids(&["AUDIO", "SD"]).into_iter().chain(of_periods).collect()
}

async fn begin(house: &House) -> Playing {
    Playing::begin(house, Dialect::ClearKey).await
}

async fn ask(house: &House, playing: &Playing, kids: &[KeyId]) -> Reply {
    house.license(&playing.url, &ask_for(kids)).await
}

async fn ask_again(house: &House, playing: &Playing, kids: &[KeyId]) -> Reply {
    send_in_session(house, playing, ask_for(kids).to_string().as_bytes()).await
}

#[tokio::test]
async fn a_license_carries_the_batch_up_to_the_horizon() {
    let house = house().await;
    let playing = begin(&house).await;
    let reply = ask(&house, &playing, &batch_kids(0..20)).await;
    // Period 5 is on; 14 is the last that ends within 600 s. What is past is given: time shift.
    assert_eq!(carried(&reply), expected(0..15));
    assert_eq!(reply.header("x-strongroom-track-classes"), "AUDIO,SD");
    assert_eq!(reply.header("x-strongroom-license-expires"), NOW.plus_s(600).0.to_string());
    // The first delay is drawn, and leaves room for the last period.
    let next = next_of(&reply).expect("a live event");
    assert!((9..=532).contains(&next), "{next}");

    house.clock.advance_ms(540_000);
    let reply = ask_again(&house, &playing, &batch_kids(10..30)).await;
    assert_eq!(carried(&reply), expected(10..24));
    assert_eq!(next_of(&reply), Some(532), "later ones follow at the same distance");
}

#[tokio::test]
async fn viewers_who_join_together_come_back_at_different_times() {
    let house = house().await;
    let signed_in = house.sign_in("ada").await;
    let mut told = BTreeSet::new();
    for _ in 0..20 {
        let url = house.playback(&signed_in, "film").await.json()["license"]["clearkey"].clone();
        let reply = house.license(url.as_str().unwrap(), &ask_for(&batch_kids(0..20))).await;
        told.insert(next_of(&reply).unwrap());
    }
    assert!(told.len() > 10, "{told:?}");
    // The license for the keys that name the tracks used the address up; the first one with keys of
    // periods comes in the session, and is the first all the same.
    let mut later = BTreeSet::new();
    let playing = begin(&house).await;
    let reply = ask(&house, &playing, &kids(&ALL)).await;
    assert_eq!((carried(&reply), next_of(&reply)), (expected(0..0), None));
    for _ in 0..5 {
        later.insert(next_of(&ask_again(&house, &playing, &batch_kids(0..20)).await).unwrap());
    }
    assert!(later.len() > 1, "{later:?}");
}

#[tokio::test]
async fn the_whole_event_is_given_where_the_policy_says_so_and_nobody_is_asked_back() {
    let house = house().await;
    put_horizon(&house, 60, true).await;
    let playing = begin(&house).await;
    let reply = ask(&house, &playing, &batch_kids(0..PERIODS)).await;
    assert_eq!(carried(&reply), expected(0..PERIODS));
    assert_eq!(next_of(&reply), None);
    assert_eq!(reply.header("x-strongroom-license-expires"), NOW.plus_s(86_400).0.to_string());
}

#[tokio::test]
async fn no_key_leaves_before_its_time_whatever_horizon_and_clock() {
    let house = house().await;
    let signed_in = house.sign_in("ada").await;
    let (mut random, mut moved_ms) = (17_u64, 0_u64);
    let mut draw = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..12 {
        let horizon_s = 1 + draw(1500);
        let by_ms = draw(90_000);
        house.clock.advance_ms(by_ms);
        moved_ms += by_ms;
        put_horizon(&house, u32::try_from(horizon_s).unwrap(), false).await;
        let url = house.playback(&signed_in, "film").await.json()["license"]["clearkey"].clone();
        let reply = house.license(url.as_str().unwrap(), &ask_for(&batch_kids(0..PERIODS))).await;
        let now = model::Timestamp(NOW.0 + moved_ms);
        let within = (0..PERIODS).filter(|period| is_within(*period, now, horizon_s, false));
        assert_eq!(carried(&reply), expected(within), "{horizon_s} s, {moved_ms} ms");
    }
}

#[tokio::test]
async fn a_kid_without_a_row_or_of_another_title_refuses_the_whole_request() {
    let house = house().await;
    house.title("other").await;
    let playing = begin(&house).await;
    for foreign in
        [kid("other", "SD"), period_kid(TrackClass::Sd, PERIODS), KeyId::from_bytes([7; 16])]
    {
        let mut kids = batch_kids(0..20);
        kids.push(foreign);
        ask(&house, &playing, &kids).await.assert_refused(403, "kid_not_in_content");
        ask(&house, &playing, &[foreign]).await.assert_refused(403, "kid_not_in_content");
        ask_again(&house, &playing, &kids).await.assert_refused(403, "kid_not_in_content");
    }
    // The rotating title's keys are not another title's either.
    let signed_in = house.sign_in("ada").await;
    let url = house.playback(&signed_in, "other").await.json()["license"]["clearkey"].clone();
    let reply = house.license(url.as_str().unwrap(), &ask_for(&batch_kids(5..6))).await;
    reply.assert_refused(403, "kid_not_in_content");
    assert_eq!(carried(&ask(&house, &playing, &batch_kids(0..20)).await), expected(0..15));
}

#[tokio::test]
async fn each_kid_of_a_token_is_answered_once_and_what_was_withheld_is_not_used_up() {
    let house = house().await;
    let playing = begin(&house).await;
    let sd = |period| period_kid(TrackClass::Sd, period);
    for _ in 0..2 {
        // The same bytes are answered anew.
        let reply = ask(&house, &playing, &[sd(5), sd(30)]).await;
        assert_eq!(carried(&reply), BTreeSet::from([sd(5)]));
    }
    ask(&house, &playing, &[sd(6), sd(5)]).await.assert_refused(401, "token_replayed");
    assert_eq!(carried(&ask(&house, &playing, &[sd(6)]).await), BTreeSet::from([sd(6)]));
    assert!(carried(&ask(&house, &playing, &[sd(31), sd(30)]).await).is_empty(), "too early");
    house.clock.advance_ms(31_000);
    ask(&house, &playing, &[sd(7)]).await.assert_refused(401, "token_expired");
    let reply = ask_again(&house, &playing, &[sd(5), sd(6)]).await;
    assert_eq!(carried(&reply), BTreeSet::from([sd(5), sd(6)]), "a session may ask again");
}

#[tokio::test]
async fn a_suspended_viewer_gets_no_next_license_and_holds_no_key_beyond_the_horizon() {
    let house = house().await;
    let playing = begin(&house).await;
    let held = carried(&ask(&house, &playing, &batch_kids(0..20)).await);
    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    house.store.set_subscription(account, Subscription::Suspended).await.unwrap();
    let reply = ask_again(&house, &playing, &batch_kids(0..20)).await;
    reply.assert_refused(403, "subscription_inactive");
    // A ClearKey license has no end: what limits the viewer is what the keys open.
    for period in 0..PERIODS {
        let ends = rotation().span_of(period, begins()).ends;
        let is_held = held.contains(&period_kid(TrackClass::Sd, period));
        assert!(!is_held || ends <= NOW.plus_s(600), "{period}");
    }
}

#[tokio::test]
async fn a_compromised_period_is_withheld_and_the_others_play() {
    let house = house().await;
    let sd = period_kid(TrackClass::Sd, 7);
    house.vault.compromise_key(sd, house.clock.now()).await.unwrap();
    let playing = begin(&house).await;
    let mut others = expected(0..15);
    others.remove(&sd);
    assert_eq!(carried(&ask(&house, &playing, &batch_kids(0..20)).await), others);
    ask_again(&house, &playing, &[sd]).await.assert_refused(404, "cek_not_found");
}

#[tokio::test]
async fn four_hundred_keys_are_asked_and_answered_and_one_more_than_a_license_has_is_not() {
    let house = house().await;
    put_horizon(&house, 60, true).await;
    let playing = begin(&house).await;
    let mut kids = batch_kids(0..PERIODS);
    let known = kids.len();
    kids.extend((0..dialect::MAX_KEYS).map(|number| {
        let mut bytes = [0xd0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        KeyId::from_bytes(bytes)
    }));
    kids.truncate(dialect::MAX_KEYS);
    ask(&house, &playing, &kids).await.assert_refused(403, "kid_not_in_content");
    kids.push(KeyId::from_bytes([0xd1; 16]));
    ask(&house, &playing, &kids).await.assert_refused(400, "malformed_request");
    assert_eq!(carried(&ask(&house, &playing, &kids[..known]).await).len(), 2 + 2 * 40);
}

#[tokio::test]
async fn the_audit_row_of_a_batch_is_short_and_explains_itself() {
    let house = house().await;
    let playing = begin(&house).await;
    let reply = ask(&house, &playing, &batch_kids(0..PERIODS)).await;
    reply.assert_granted();
    assert!(remembered(&house, &reply).await.is_none(), "a license is in the audit");
    let correlation = CorrelationId::parse(reply.header("x-correlation-id")).unwrap();
    let rows = house.store.audit_of_request(correlation).await.unwrap();
    let told = server::vault::ToldLicense::read(&rows[0].detail).unwrap();
    assert!(rows[0].detail.len() < 2500, "{}", rows[0].detail.len());
    assert_eq!(told.given, kids(&["AUDIO", "SD"]));
    assert_eq!(told.withheld, kids(&["HD"]));
    assert_eq!(told.periods_given, ["AUDIO/cbcs:0-14", "SD/cbcs:0-14"]);
    assert_eq!(told.periods_withheld, ["HD/cbcs:0-39"]);
    assert_eq!(told.periods_beyond, ["AUDIO/cbcs:15-39", "SD/cbcs:15-39"]);
    let step = told.trace.step(playback::Rule::Horizon).unwrap();
    assert_eq!(step.input, "600 s ahead: 30 keys of periods, 50 beyond it withheld");
    assert!(rows[0].detail.contains(" kids_sha256 "));
}

/// Publishes `film` as a package of this kind.
async fn publish(house: &House, number: u8, live: bool) {
    let id = model::PackageId::from_bytes([number; 16]);
    let event = model::PackagedEvent {
        event: model::PackagedEvent::EVENT.to_owned(),
        version: model::PackagedEvent::VERSION,
        content_id: model::ContentId::parse("film").unwrap(),
        package_id: id,
        schemes: vec![model::Scheme::Cbcs],
        variants: vec![],
        texts: vec![],
        images: vec![],
        dash: "manifest.mpd".to_owned(),
        hls: vec![],
        live,
        rotation: Some(rotation()),
        duration_ms: 0,
        size_bytes: 0,
        packager: "test".to_owned(),
        packaged_at: begins(),
    };
    let state = model::TitleState::Published { package: id };
    house.store.publish_package(&state, &event, NOW).await.unwrap();
}

#[tokio::test]
async fn a_player_is_told_that_it_is_live_and_how_keys_change() {
    let house = house().await;
    let signed_in = house.sign_in("ada").await;
    for (number, live, whole_event, horizon_s) in
        [(1, true, false, json!(300)), (2, true, true, json!(null)), (3, false, false, json!(null))]
    {
        publish(&house, number, live).await;
        put_horizon(&house, 300, whole_event).await;
        let playback = house.playback(&signed_in, "film").await.json();
        let expected = json!({"period_s": 60, "batch_periods": 10, "horizon_s": horizon_s});
        assert_eq!(playback["rotation"], expected);
        assert_eq!(playback.get("live").is_some_and(|live| live == true), live, "{playback}");
    }
}

#[tokio::test]
async fn the_header_is_for_pages_of_listed_origins_too() {
    let edit = |config: &mut server::Config| {
        config.cors.allowed_origins = vec!["https://tv.example".to_owned()];
    };
    let house = House::with(edit, |_| {}).await;
    let request = get("/healthz").header("origin", "https://tv.example");
    let reply = house.send(request.body(axum::body::Body::empty()).unwrap()).await;
    let exposed = reply.header("access-control-expose-headers").to_ascii_lowercase();
    assert!(exposed.contains("strongroom-next-license"), "{exposed}");
}

#[tokio::test]
async fn a_title_whose_keys_do_not_change_is_told_nothing_new() {
    let house = House::furnished().await;
    let signed_in = house.sign_in("ada").await;
    let playback = house.playback(&signed_in, "film").await.json();
    assert!(playback.get("live").is_none() && playback.get("rotation").is_none(), "{playback}");
    let url = playback["license"]["clearkey"].as_str().unwrap();
    let reply = house.license(url, &challenge("film", &["SD"])).await;
    reply.assert_granted();
    assert_eq!(next_of(&reply), None);
}
