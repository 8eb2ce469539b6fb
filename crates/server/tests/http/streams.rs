//! Streams while they play: the list and the way out of a full plan, heartbeats and what they
//! bring and take back, events (R055, R074, R085, R088, R106, R150–R154).

use crate::house::{House, NOW, ORIGIN, Reply, challenge, get, path_of, post, with_bearer};
use axum::body::Body;
use axum::http::Request;
use model::{Plan, PlanName, PlaybackSessionId, Subscription, TitleState};
use playback::log_seal::{LogKey, open};
use serde_json::{Value, json};
use std::path::Path;

/// Account `ada` on a plan of so many streams, titles `film` and `other`.
pub async fn furnished(max_streams: u32) -> House {
    // Sign-ins that outlive a day of playing.
    let house = House::with(|config| config.tokens.session_s = 30 * 86_400, |_| {}).await;
    house.plan("few", true, max_streams).await;
    house.account("ada", "few").await;
    house.title("film").await;
    house.title("other").await;
    house
}

/// A playback that begins: its session and its answer.
async fn begin(house: &House, token: &str, title: &str) -> (String, Value) {
    let reply = house.playback(token, title).await;
    reply.assert_granted();
    let answer = reply.json();
    (answer["session_id"].as_str().unwrap().to_owned(), answer)
}

/// Posts what a player says with a viewer's session.
async fn say(house: &House, token: &str, path: &str, body: &Value) -> Reply {
    let mut request = post(path, body);
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    house.send(request).await
}

async fn beat(house: &House, token: &str, session: &str, body: &Value) -> Reply {
    say(house, token, &format!("/api/v1/playback/{session}/heartbeat"), body).await
}

async fn delete(house: &House, token: &str, path: &str) -> Reply {
    let request = with_bearer(Request::delete(path), token).body(Body::empty()).unwrap();
    house.send(request).await
}

async fn list(house: &House, token: &str) -> Value {
    let request = with_bearer(get("/api/v1/playback"), token).body(Body::empty()).unwrap();
    let reply = house.send(request).await;
    reply.assert_granted();
    reply.json()
}

fn playing(position_s: u32) -> Value {
    json!({"position_s": position_s, "state": "playing"})
}

fn numbered(seq: u64) -> Value {
    json!({"position_s": 1, "state": "playing", "seq": seq})
}

/// A playing client is told to stop: with this status, this code and this reason.
#[track_caller]
fn assert_told(reply: &Reply, status: u16, code: &str, reason: &str) {
    reply.assert_refused(status, code);
    assert_eq!(reply.json()["reason"], reason);
}

#[tokio::test]
async fn a_full_plan_lists_its_streams_and_one_of_them_can_be_ended() {
    let house = furnished(2).await;
    let [sofa, desk, bed] =
        [house.sign_in("ada").await, house.sign_in("ada").await, house.sign_in("ada").await];
    let (first, _) = begin(&house, &sofa, "film").await;
    house.clock.advance_ms(1000);
    let (second, _) = begin(&house, &desk, "other").await;
    house.account("eve", "standard").await;
    let eve = house.sign_in("eve").await;
    begin(&house, &eve, "film").await;

    let full = house.playback(&bed, "film").await;
    full.assert_refused(409, "stream_limit_reached");
    let problem = full.json();
    assert_eq!(problem["max_streams"], 2);
    let streams = problem["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2, "those of the account alone: {problem}");
    let expected = [(&first, "film", NOW.0), (&second, "other", NOW.0 + 1000)];
    for (stream, (session, title, since)) in streams.iter().zip(expected) {
        assert_eq!(stream["session_id"], **session);
        assert_eq!((&stream["content_id"], &stream["title"]), (&json!(title), &json!(title)));
        assert_eq!(stream["since"], since);
        assert_eq!(stream["end"], format!("{ORIGIN}/api/v1/playback/{session}"));
        assert_eq!(stream["device_id"].as_str().unwrap().len(), 32);
    }
    assert_eq!(list(&house, &bed).await, json!({"max_streams": 2, "streams": streams}));

    // Someone else's stream is not had by its name, and nothing is said of it.
    let end = path_of(streams[0]["end"].as_str().unwrap()).to_owned();
    assert_eq!(delete(&house, &eve, &end).await.status, 204);
    house.playback(&bed, "film").await.assert_refused(409, "stream_limit_reached");

    assert_eq!(delete(&house, &bed, &end).await.status, 204);
    house.playback(&bed, "film").await.assert_granted();
    let ended = beat(&house, &sofa, &first, &playing(1)).await;
    assert_told(&ended, 410, "playback_ended", "ended_by_account");
    beat(&house, &desk, &second, &playing(1)).await.assert_granted();
}

#[tokio::test]
async fn what_was_ended_gets_no_license_and_no_slot() {
    let house = furnished(2).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let (session, answer) = begin(&house, &sofa, "film").await;
    let url = answer["license"]["clearkey"].as_str().unwrap();
    let sd = challenge("film", &["SD"]);
    house.license(url, &sd).await.assert_granted();
    let renewal = format!("/license/clearkey?session={session}");
    say(&house, &sofa, &renewal, &sd).await.assert_granted();
    let end = format!("/api/v1/playback/{session}");
    assert_eq!(delete(&house, &desk, &end).await.status, 204);
    let refused = say(&house, &sofa, &renewal, &sd).await;
    assert_told(&refused, 410, "playback_ended", "ended_by_account");
    house.license(url, &challenge("film", &["AUDIO"])).await.assert_refused(401, "token_expired");
    // Its own end says no more, and the first end stays the end.
    assert_eq!(delete(&house, &sofa, &end).await.status, 204);
    let ended = beat(&house, &sofa, &session, &playing(1)).await;
    assert_told(&ended, 410, "playback_ended", "ended_by_account");
    // A new call is a new playback.
    let (anew, _) = begin(&house, &sofa, "film").await;
    assert_ne!(anew, session);
}

#[tokio::test]
async fn renewals_fail_once_the_viewer_is_signed_out_or_suspended() {
    let house = furnished(2).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let sd = challenge("film", &["SD"]);
    let (first, _) = begin(&house, &sofa, "film").await;
    let (second, _) = begin(&house, &desk, "film").await;
    let renew = async |token: &str, session: &str| {
        say(&house, token, &format!("/license/clearkey?session={session}"), &sd).await
    };
    renew(&sofa, &first).await.assert_granted();
    assert_eq!(delete(&house, &sofa, "/api/v1/sessions").await.status, 204);
    renew(&sofa, &first).await.assert_refused(401, "token_expired");
    beat(&house, &sofa, &first, &playing(1)).await.assert_refused(401, "token_expired");
    renew(&desk, &second).await.assert_granted();
    let account = house.account_id("ada").await;
    house.store.set_subscription(account, Subscription::Suspended).await.unwrap();
    renew(&desk, &second).await.assert_refused(403, "subscription_inactive");
}

#[tokio::test]
async fn the_server_says_how_often_and_a_lost_device_frees_its_slot() {
    let house = furnished(1).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let call = async |token: &str, query: &str| {
        let path = format!("/api/v1/playback/token/film?dialect=clearkey{query}");
        house.send(with_bearer(get(&path), token).body(Body::empty()).unwrap()).await
    };
    for (query, interval_s) in [("&platform=tv", 30), ("&platform=chrome", 60), ("", 60)] {
        let reply = call(&sofa, query).await;
        reply.assert_granted();
        let answer = reply.json();
        assert_eq!(answer["heartbeat"]["interval_s"], interval_s, "{query}");
        let session = answer["session_id"].as_str().unwrap();
        let dictated = beat(&house, &sofa, session, &playing(1)).await.json();
        assert_eq!(dictated, json!({"interval_s": interval_s}));
        house.clock.advance_ms(3 * interval_s * 1000 - 1);
        call(&desk, "").await.assert_refused(409, "stream_limit_reached");
        house.clock.advance_ms(1);
        call(&desk, "").await.assert_granted();
        house.clock.advance_ms(30_000);
    }
    let house = House::with(
        |config| (config.heartbeat.browser_s, config.heartbeat.device_s) = (20, 10),
        |_| {},
    );
    let house = house.await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let token = house.sign_in("ada").await;
    let (session, answer) = begin(&house, &token, "film").await;
    assert_eq!(answer["heartbeat"]["interval_s"], 20);
    let dictated = beat(&house, &token, &session, &playing(1)).await;
    assert_eq!(dictated.json(), json!({"interval_s": 20}));
}

#[tokio::test]
async fn a_paused_player_goes_on_after_an_hour_while_others_came_and_went() {
    let house = furnished(1).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let (session, _) = begin(&house, &sofa, "film").await;
    let paused = json!({"position_s": 600, "state": "paused"});
    beat(&house, &sofa, &session, &paused).await.assert_granted();
    house.clock.advance_ms(1_800_000);
    let (other, _) = begin(&house, &desk, "other").await;
    // While the other runs, the slot is its.
    let taken = beat(&house, &sofa, &session, &playing(600)).await;
    assert_told(&taken, 423, "stream_limit_reached", "slot_taken");
    assert_eq!(taken.json()["streams"][0]["session_id"], other);
    let stopped = json!({"position_s": 5, "state": "stopped"});
    beat(&house, &desk, &other, &stopped).await.assert_granted();
    house.clock.advance_ms(1_800_000);
    // The hour is over: heartbeat and license as if nothing had been.
    beat(&house, &sofa, &session, &playing(600)).await.assert_granted();
    let renewal = format!("/license/clearkey?session={session}");
    say(&house, &sofa, &renewal, &challenge("film", &["SD"])).await.assert_granted();
    house.playback(&desk, "other").await.assert_refused(409, "stream_limit_reached");
    // A day after its begin a playback is over, however alive it is.
    for _ in 0..22 * 60 + 59 {
        house.clock.advance_ms(60_000);
        beat(&house, &sofa, &session, &playing(600)).await.assert_granted();
    }
    house.clock.advance_ms(60_000);
    let over = beat(&house, &sofa, &session, &playing(600)).await;
    over.assert_refused(401, "token_expired");
}

#[tokio::test]
async fn another_device_goes_on_where_the_viewer_stopped() {
    let house = furnished(2).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let (session, answer) = begin(&house, &sofa, "film").await;
    assert_eq!(answer["resume_s"], Value::Null);
    for minute in 0..5 {
        let at = json!({"position_s": minute * 60, "state": "playing", "seq": minute + 1});
        beat(&house, &sofa, &session, &at).await.assert_granted();
        house.clock.advance_ms(60_000);
    }
    let stopped = json!({"position_s": 297, "state": "stopped", "seq": 6});
    beat(&house, &sofa, &session, &stopped).await.assert_granted();
    let (_, answer) = begin(&house, &desk, "film").await;
    let resume_s = answer["resume_s"].as_i64().unwrap();
    assert!((resume_s - 297).abs() <= 5, "{resume_s}");
    let (_, other) = begin(&house, &desk, "other").await;
    assert_eq!(other["resume_s"], Value::Null);
    house.account("eve", "standard").await;
    let (_, answer) = begin(&house, &house.sign_in("eve").await, "film").await;
    assert_eq!(answer["resume_s"], Value::Null, "another account's place is its own");
}

#[tokio::test]
async fn a_playing_client_hears_why_it_must_stop() {
    let house = furnished(2).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let account = house.account_id("ada").await;
    let (elder, _) = begin(&house, &sofa, "film").await;
    house.clock.advance_ms(1000);
    let (session, _) = begin(&house, &desk, "film").await;
    let told = async |status, code, reason| {
        let reply = beat(&house, &desk, &session, &playing(1)).await;
        assert_told(&reply, status, code, reason);
    };
    for (state, reason) in
        [(Subscription::Suspended, "suspended"), (Subscription::Inactive, "subscription_ended")]
    {
        house.store.set_subscription(account, state).await.unwrap();
        told(410, "subscription_inactive", reason).await;
    }
    house.store.set_subscription(account, Subscription::Active).await.unwrap();
    let mut title = house.title("film").await;
    title.state = TitleState::Draft;
    house.store.put_title(&title).await.unwrap();
    told(410, "title_not_found", "title_withdrawn").await;
    house.title("film").await;
    let name = PlanName::parse("few").unwrap();
    let plan = |includes_streaming, max_streams| Plan {
        name: name.clone(),
        includes_streaming,
        max_streams,
        max_devices: Plan::MAX_DEVICES,
        max_offline: Plan::MAX_OFFLINE,
    };
    house.store.put_plan(&plan(false, 2)).await.unwrap();
    told(410, "plan_not_entitled", "plan_changed").await;
    // Of two streams a plan of one leaves the elder.
    house.store.put_plan(&plan(true, 1)).await.unwrap();
    told(423, "stream_limit_reached", "limit_shrunk").await;
    beat(&house, &sofa, &elder, &playing(1)).await.assert_granted();
    let renewal = format!("/license/clearkey?session={session}");
    let refused = say(&house, &desk, &renewal, &challenge("film", &["SD"])).await;
    refused.assert_refused(409, "stream_limit_reached");
    // What has been given back in time goes on.
    house.store.put_plan(&plan(true, 2)).await.unwrap();
    beat(&house, &desk, &session, &playing(1)).await.assert_granted();
}

#[tokio::test]
async fn heartbeats_out_of_order_are_refused_and_change_nothing() {
    let house = furnished(1).await;
    let token = house.sign_in("ada").await;
    let (session, _) = begin(&house, &token, "film").await;
    let id = PlaybackSessionId::parse(&session).unwrap();
    for seq in [0, 1, 4, u64::MAX - 1] {
        beat(&house, &token, &session, &numbered(seq)).await.assert_granted();
    }
    let missed = house.store.stream(id).await.unwrap().unwrap().missed;
    assert_eq!(missed, 1_000_002, "two, and more than are counted");
    for seq in [u64::MAX - 1, 4, 2, 0] {
        let old = json!({"position_s": 99, "state": "stopped", "seq": seq});
        beat(&house, &token, &session, &old).await.assert_refused(409, "sequence_out_of_order");
    }
    beat(&house, &token, &session, &numbered(u64::MAX)).await.assert_granted();
    for seq in [0, 1, u64::MAX] {
        let reply = beat(&house, &token, &session, &numbered(seq)).await;
        reply.assert_refused(409, "sequence_out_of_order");
    }
    let account = house.account_id("ada").await;
    let film = model::ContentId::parse("film").unwrap();
    assert_eq!(house.store.resume(account, &film).await.unwrap(), Some(1));
    for seq in [json!(-1), json!(1.0), json!("1"), json!(1e30)] {
        let body = json!({"position_s": 1, "state": "playing", "seq": seq});
        beat(&house, &token, &session, &body).await.assert_refused(400, "malformed_request");
    }
    // Without a number as before, and from the begin after another token call.
    beat(&house, &token, &session, &playing(1)).await.assert_granted();
    begin(&house, &token, "film").await;
    beat(&house, &token, &session, &numbered(1)).await.assert_granted();
}

/// A log that says something that is nowhere else.
fn log(code: &str) -> Value {
    json!([{"at": NOW.0, "kind": "stalled", "position_s": 61, "duration_ms": 800, "code": code},
        {"at": NOW.0 + 1, "kind": "rendition", "bitrate_kbps": 3000, "height": 720}])
}

#[tokio::test]
async fn logs_lie_sealed_and_open_with_the_services_own_secret() {
    let house = furnished(1).await;
    let token = house.sign_in("ada").await;
    let (session, _) = begin(&house, &token, "film").await;
    for (seq, code) in [(1, "walrus_one"), (3, "walrus_two")] {
        let mut body = numbered(seq);
        body["log"] = log(code);
        beat(&house, &token, &session, &body).await.assert_granted();
        // What is refused for its number leaves no log.
        beat(&house, &token, &session, &body).await.assert_refused(409, "sequence_out_of_order");
    }
    let id = PlaybackSessionId::parse(&session).unwrap();
    let rows = house.store.logs_of(id).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.place.seq).collect::<Vec<_>>(), [1, 3]);
    let secret = std::fs::read(house.folder().join("secrets/session-log.key")).unwrap();
    let key = LogKey::from_bytes(&secret.try_into().unwrap());
    let opened = open(&key, rows[1].place, &rows[1].sealed).unwrap();
    assert_eq!(serde_json::to_value(&opened).unwrap(), log("walrus_two"));
    assert_eq!(open(&key, rows[0].place, &rows[1].sealed), None, "in its place alone");
    for file in ["strongroom.db", "strongroom.db-wal", "strongroom-audit.db"] {
        let bytes = std::fs::read(house.folder().join(Path::new(file))).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"walrus"), "{file}");
    }
    assert!(secret_is_private(&house.folder().join("secrets/session-log.key")));
}

fn secret_is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}

#[tokio::test]
async fn a_log_that_is_not_of_its_schema_is_refused_whole() {
    let house = furnished(1).await;
    let token = house.sign_in("ada").await;
    let (session, _) = begin(&house, &token, "film").await;
    let with = |log: Value| json!({"position_s": 1, "state": "playing", "seq": 1, "log": log});
    let entry = log("x")[0].clone();
    let key = "000102030405060708090a0b0c0d0e0f";
    for body in [
        with(json!([])),
        with(json!({})),
        with(json!("bG9n")),
        with(json!([{"at": 1, "kind": "stalled", "key": key}])),
        with(json!([{"at": 1, "kind": "stalled", "code": key}])),
        with(json!([{"at": 1, "kind": key}])),
        with(Value::from(vec![entry.clone(); 65])),
        json!({"position_s": 1, "state": "playing", "log": [entry.clone()]}),
    ] {
        beat(&house, &token, &session, &body).await.assert_refused(400, "malformed_request");
    }
    let vast = with(json!([{"at": 1, "kind": "error", "code": "a".repeat(70_000)}]));
    beat(&house, &token, &session, &vast).await.assert_refused(413, "body_too_large");
    beat(&house, &token, &session, &with(Value::from(vec![entry; 64]))).await.assert_granted();
}

#[tokio::test]
async fn a_player_that_storms_with_heartbeats_waits() {
    let house = furnished(2).await;
    let token = house.sign_in("ada").await;
    let (session, _) = begin(&house, &token, "film").await;
    let (other, _) = begin(&house, &token, "other").await;
    for seq in 0..120 {
        beat(&house, &token, &session, &numbered(seq)).await.assert_granted();
        // Slowly enough for one sign-in, and too fast for one playback.
        house.clock.advance_ms(200);
    }
    beat(&house, &token, &session, &numbered(120)).await.assert_refused(429, "rate_limited");
    beat(&house, &token, &other, &numbered(1)).await.assert_granted();
    house.clock.advance_ms(60_000);
    beat(&house, &token, &session, &numbered(120)).await.assert_granted();
}

#[tokio::test]
async fn events_are_stored_in_their_order_with_their_session() {
    let house = furnished(2).await;
    let [sofa, desk] = [house.sign_in("ada").await, house.sign_in("ada").await];
    let (session, _) = begin(&house, &sofa, "film").await;
    let told = |session: &str, events: Value| json!({"session_id": session, "events": events});
    let tell =
        async |token: &str, body: Value| say(&house, token, "/api/v1/playback/events", &body).await;
    let first = json!([{"kind": "player_ready", "at": 9},
        {"kind": "capability_missing", "at": 8, "detail": "hevc"}]);
    let second = json!([{"kind": "playback_started", "at": 7}]);
    for events in [first, second] {
        assert_eq!(tell(&sofa, told(&session, events)).await.status, 204);
    }
    let id = PlaybackSessionId::parse(&session).unwrap();
    let stored = house.store.events_of(id).await.unwrap();
    let kinds: Vec<_> = stored.iter().map(|one| (one.number, one.event.kind.name())).collect();
    let expected = [(1, "player_ready"), (2, "capability_missing"), (3, "playback_started")];
    assert_eq!(kinds, expected);
    assert_eq!(stored[1].event.detail.as_ref().unwrap().as_str(), "hevc");

    let one = json!([{"kind": "player_ready", "at": 1}]);
    for body in [
        json!({}),
        json!([]),
        told("xyz", one.clone()),
        told(&session, json!([])),
        told(&session, json!([{"kind": "dancing", "at": 1}])),
        told(&session, json!([{"kind": "player_ready", "at": 1, "name": "Ada"}])),
        told(&session, Value::from(vec![one[0].clone(); 33])),
    ] {
        tell(&sofa, body).await.assert_refused(400, "malformed_request");
    }
    let foreign = tell(&desk, told(&session, one.clone())).await;
    foreign.assert_refused(403, "device_account_mismatch");
    let none = tell(&sofa, told(&"0".repeat(32), one.clone())).await;
    none.assert_refused(401, "token_expired");
    let unsigned = house.send(post("/api/v1/playback/events", &told(&session, one.clone()))).await;
    unsigned.assert_refused(401, "token_invalid");
    for _ in 0..118 {
        assert_eq!(tell(&sofa, told(&session, one.clone())).await.status, 204);
    }
    tell(&sofa, told(&session, one.clone())).await.assert_refused(429, "rate_limited");
    assert_eq!(house.store.events_of(id).await.unwrap().len(), 121);
}

#[tokio::test]
async fn where_reports_are_not_kept_none_are() {
    let house = House::with(|config| config.heartbeat.reports_kept_days = 0, |_| {}).await;
    house.account("ada", "standard").await;
    house.title("film").await;
    let token = house.sign_in("ada").await;
    let (session, _) = begin(&house, &token, "film").await;
    let mut body = numbered(1);
    body["log"] = log("x");
    beat(&house, &token, &session, &body).await.assert_granted();
    let events = json!({"session_id": session, "events": [{"kind": "player_ready", "at": 1}]});
    let reply = say(&house, &token, "/api/v1/playback/events", &events).await;
    assert_eq!(reply.status, 204);
    let id = PlaybackSessionId::parse(&session).unwrap();
    assert!(house.store.logs_of(id).await.unwrap().is_empty());
    assert!(house.store.events_of(id).await.unwrap().is_empty());
}
