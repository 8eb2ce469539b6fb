//! Every refusal of a token call and of a license request is remembered with the rule that
//! decided and its inner reason; a storm is turned away.

use crate::house::{House, NOW, Reply, challenge, get, kid, path_of, post, with_bearer};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use model::{
    ContentId, CorrelationId, Country, PlanAccess, PlanName, RegionRule, Subscription, TokenId,
};
use playback::lease::StreamEnd;
use playback::{PlaybackToken, Rule, Said};
use serde_json::{Value, json};
use server::vault::ToldLicense;
use store::{AskedRoute, Ended, RequestOutcome};

/// How a request ended, where that is remembered.
pub async fn remembered(house: &House, reply: &Reply) -> Option<RequestOutcome> {
    house.service.outcomes.flush().await;
    let correlation = CorrelationId::parse(reply.header("x-correlation-id")).unwrap();
    house.store.outcome(correlation).await.unwrap()
}

/// Asserts the refusal as its caller and as `explain` see it.
async fn assert_told(
    house: &House,
    reply: &Reply,
    said: (u16, &str),
    (rule, reason): (Rule, &str),
) -> RequestOutcome {
    reply.assert_refused(said.0, said.1);
    let row = remembered(house, reply).await.expect(reason);
    let refused = Ended::Refused { code: said.1.to_owned(), reason: reason.to_owned() };
    assert_eq!(row.ended, refused);
    assert_eq!(row.trace.decided_by(), Some(rule), "{:?}", row.trace);
    assert_eq!(row.at, house.clock.now());
    let text = serde_json::to_string(&row.trace).unwrap();
    assert!(!text.contains("eyJ"), "a token in {text}");
    row
}

async fn license_url(house: &House, session: &str, title: &str) -> String {
    let reply = house.playback(session, title).await;
    reply.assert_granted();
    reply.json()["license"]["clearkey"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_refusal_of_a_token_call_is_told_with_its_rule() {
    let house = House::furnished().await;
    house.plan("discs", false, 4).await;
    house.plan("solo", true, 1).await;
    house.account("bob", "discs").await;
    house.account("eve", "solo").await;
    let (ada, bob, eve) =
        (house.sign_in("ada").await, house.sign_in("bob").await, house.sign_in("eve").await);
    let film = house.title("film").await;

    let reply = house.playback("x", "film").await;
    let rule = (Rule::Token, "token_not_accepted");
    let row = assert_told(&house, &reply, (401, "token_invalid"), rule).await;
    assert_eq!((row.route, row.account, row.decision), (AskedRoute::Token, None, None));
    assert_eq!(row.content_id, Some(film.content_id.clone()));

    let cookie = format!("__Host-strongroom-session={ada}");
    let request = get("/api/v1/playback/token/film").header(header::COOKIE, cookie);
    let reply = house.send(request.body(Body::empty()).unwrap()).await;
    let rule = (Rule::Token, "cookie_from_a_foreign_page");
    assert_told(&house, &reply, (403, "cross_site_request"), rule).await;

    let reply = house.playback(&ada, "nothing").await;
    let rule = (Rule::Title, "title_unknown_or_unpublished");
    let row = assert_told(&house, &reply, (404, "title_not_found"), rule).await;
    assert_eq!(row.trace.step(Rule::Title).unwrap().input, "not in the catalog");

    let reply = house.playback(&bob, "film").await;
    let rule = (Rule::Plan, "plan_without_streaming");
    let row = assert_told(&house, &reply, (403, "plan_not_entitled"), rule).await;
    assert!(row.account.is_some() && row.decision.is_some());
    let rules: Vec<_> = row.trace.steps().iter().map(|step| (step.rule, step.result)).collect();
    let passed = |rule| (rule, Said::Passed);
    let expected = [
        passed(Rule::Token),
        passed(Rule::Title),
        passed(Rule::Subscription),
        (Rule::Plan, Said::Refused),
        passed(Rule::Access),
        passed(Rule::Region),
    ];
    assert_eq!(rules, expected);
    assert_eq!(row.trace.step(Rule::Plan).unwrap().input, "discs, without streaming");

    let mut title = film.clone();
    title.access = PlanAccess::Only(vec![PlanName::parse("gold").unwrap()]);
    house.store.put_title(&title).await.unwrap();
    let reply = house.playback(&ada, "film").await;
    let rule = (Rule::Access, "title_in_other_plans");
    assert_told(&house, &reply, (403, "title_not_in_plan"), rule).await;

    let mut title = film.clone();
    title.regions = RegionRule::Only(vec![Country::parse("NL").unwrap()]);
    house.store.put_title(&title).await.unwrap();
    let reply = house.playback(&ada, "film").await;
    let rule = (Rule::Region, "country_outside_or_unknown");
    let row = assert_told(&house, &reply, (451, "region_not_allowed"), rule).await;
    let input = &row.trace.step(Rule::Region).unwrap().input;
    assert_eq!(input, "unknown; the title is open in NL");
    house.store.put_title(&film).await.unwrap();

    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    house.store.set_subscription(account, Subscription::Suspended).await.unwrap();
    let reply = house.playback(&ada, "film").await;
    let rule = (Rule::Subscription, "subscription_not_active");
    let row = assert_told(&house, &reply, (403, "subscription_inactive"), rule).await;
    assert_eq!(row.account, Some(account));

    house.title("other").await;
    house.playback(&eve, "other").await.assert_granted();
    let reply = house.playback(&eve, "film").await;
    let rule = (Rule::Streams, "plan_is_full");
    let row = assert_told(&house, &reply, (409, "stream_limit_reached"), rule).await;
    assert_eq!(row.trace.step(Rule::Streams).unwrap().input, "at most 1 at once");

    let reply = house.playback(&ada, "..%2ffilm").await;
    assert_told(&house, &reply, (404, "not_found"), (Rule::Request, "no_such_place")).await;
}

#[tokio::test]
async fn each_refusal_of_a_license_is_told_with_its_rule() {
    let house = House::furnished().await;
    house.title("other").await;
    let ada = house.sign_in("ada").await;
    let url = license_url(&house, &ada, "film").await;
    let sd = challenge("film", &["SD"]);
    let keep = json!({"kids": [kid("film", "SD").to_base64url()], "type": "persistent-license"});
    let forever = json!({"kids": [kid("film", "SD").to_base64url()], "type": "forever"});
    let foreign = format!("{url}&session={}", "9".repeat(32));
    let widevine = url.replace("clearkey", "widevine");
    type Expected<'a> = (&'a str, &'a Value, (u16, &'a str), (Rule, &'a str));
    let table: [Expected; 10] = [
        ("/license/clearkey", &sd, (401, "token_invalid"), (Rule::Token, "token_not_accepted")),
        (
            "/license/clearkey?token=x",
            &sd,
            (401, "token_invalid"),
            (Rule::Token, "token_not_accepted"),
        ),
        (
            &foreign,
            &sd,
            (403, "device_account_mismatch"),
            (Rule::Session, "other_account_or_device"),
        ),
        (
            &url,
            &challenge("other", &["SD"]),
            (403, "kid_not_in_content"),
            (Rule::ContentKeys, "kid_of_another_title"),
        ),
        (&url, &keep, (403, "offline_not_allowed"), (Rule::Offline, "dialect_keeps_no_license")),
        (&url, &forever, (400, "malformed_request"), (Rule::Request, "challenge_malformed")),
        (&url, &json!({}), (400, "malformed_request"), (Rule::Request, "challenge_malformed")),
        (&widevine, &sd, (404, "dialect_not_answered"), (Rule::Request, "dialect_not_answered")),
        (
            "/license/clearkey?token=a&token=b",
            &sd,
            (400, "malformed_request"),
            (Rule::Request, "not_understood"),
        ),
        ("/license/psp?token=x", &sd, (404, "not_found"), (Rule::Request, "no_such_place")),
    ];
    for (url, body, said, rule) in table {
        let reply = house.license(url, body).await;
        let row = assert_told(&house, &reply, said, rule).await;
        assert_eq!(row.route, AskedRoute::License);
    }
    let large = Request::post(path_of(&url)).body(Body::from(vec![b' '; 65_537])).unwrap();
    let (reply, rule) = (house.send(large).await, (Rule::Request, "body_too_large"));
    assert_told(&house, &reply, (413, "body_too_large"), rule).await;
}

#[tokio::test]
async fn each_refusal_after_a_license_is_told_with_its_rule() {
    let house = House::furnished().await;
    house.account("eve", "standard").await;
    let (ada, eve) = (house.sign_in("ada").await, house.sign_in("eve").await);
    let (url, sd) = (license_url(&house, &ada, "film").await, challenge("film", &["SD"]));
    house.license(&url, &sd).await.assert_granted();
    let reply = house.license(&url, &challenge("film", &["SD", "AUDIO"])).await;
    let rule = (Rule::Token, "kid_answered_to_another_challenge");
    let row = assert_told(&house, &reply, (401, "token_replayed"), rule).await;
    assert!(row.session.is_some() && row.decision.is_some() && row.account.is_some());
    assert_eq!(row.dialect, Some(model::Dialect::ClearKey));
    let input = |rule| row.trace.step(rule).map(|step| step.input.as_str());
    assert_eq!(
        input(Rule::Token),
        Some("a playback token: the playback token or the challenge was used before")
    );
    assert_eq!(input(Rule::Streams), Some("at most 4 at once"));

    let renewal = format!("/license/clearkey?session={}", row.session.unwrap());
    let mut request = post(&renewal, &sd);
    let bearer = format!("Bearer {eve}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let reply = house.send(request).await;
    let rule = (Rule::Session, "other_account_or_device");
    assert_told(&house, &reply, (403, "device_account_mismatch"), rule).await;

    let (session, account) = (row.session.unwrap(), row.account.unwrap());
    let ended = house.store.end_stream(session, account, StreamEnd::Stopped, NOW).await;
    assert!(ended.unwrap());
    let reply = house.license(&url, &sd).await;
    let rule = (Rule::Session, "playback_session_ended");
    assert_told(&house, &reply, (401, "token_expired"), rule).await;
    house.clock.advance_ms(31_000);
    let reply = house.license(&url, &sd).await;
    let rule = (Rule::Token, "token_time_is_over");
    assert_told(&house, &reply, (401, "token_expired"), rule).await;
}

#[tokio::test]
async fn what_was_allowed_is_told_as_it_was_decided() {
    let house = House::furnished().await;
    let ada = house.sign_in("ada").await;
    let reply = house.playback(&ada, "film").await;
    let row = remembered(&house, &reply).await.unwrap();
    assert_eq!((row.ended, row.trace.decided_by()), (Ended::Allowed, None));
    assert_eq!(row.session.unwrap().to_string(), reply.json()["session_id"].as_str().unwrap());
    let rules: Vec<_> = row.trace.steps().iter().map(|step| step.rule).collect();
    let of_front = [
        Rule::Token,
        Rule::Title,
        Rule::Subscription,
        Rule::Plan,
        Rule::Access,
        Rule::Region,
        Rule::Streams,
    ];
    assert_eq!(rules, of_front);

    let url = reply.json()["license"]["clearkey"].as_str().unwrap().to_owned();
    let reply = house.license(&url, &challenge("film", &["AUDIO", "SD", "HD"])).await;
    reply.assert_granted();
    assert_eq!(remembered(&house, &reply).await, None, "a license has its audit row alone");
    let correlation = CorrelationId::parse(reply.header("x-correlation-id")).unwrap();
    // What holds now is not what was decided then.
    house.store.set_subscription(row.account.unwrap(), Subscription::Inactive).await.unwrap();
    let found = house.store.audit_of_request(correlation).await.unwrap();
    let [audit] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((audit.action.as_str(), audit.decision), ("license.issued", row.decision));
    let issued = ToldLicense::read(&audit.detail).unwrap();
    assert_eq!(issued.given.len(), 2);
    assert_eq!(issued.withheld, [kid("film", "HD")]);
    let input = |rule| issued.trace.step(rule).unwrap().input.clone();
    assert_eq!(input(Rule::Subscription), "active");
    assert_eq!(input(Rule::Plan), "standard");
    assert_eq!(input(Rule::SecurityLevel), "L3, nothing attested, which opens AUDIO, SD");
    assert_eq!(input(Rule::Resolution), "withheld 1 above the level: HD");
    assert!(issued.trace.decided_by().is_none());
    assert!(!audit.detail.contains("eyJ"), "{}", audit.detail);
}

#[tokio::test]
async fn the_newest_refusals_are_kept_and_no_more() {
    let house = House::with(|config| config.limits.outcomes_kept = 20, |_| {}).await;
    let mut replies = vec![];
    for _ in 0..200 {
        replies.push(house.license("/license/clearkey?token=x", &json!({})).await);
    }
    for (number, reply) in replies.iter().enumerate() {
        let is_kept = remembered(&house, reply).await.is_some();
        assert_eq!(is_kept, number >= 180, "{number}");
    }
}

/// Asks until turned away; how often it was not.
async fn storm(house: &House, url: &str, body: &Value, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        let reply = house.license(url, body).await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            reply.assert_refused(429, "rate_limited");
            assert_eq!(reply.header("retry-after"), "10");
        } else {
            passed += 1;
        }
    }
    passed
}

#[tokio::test]
async fn a_storm_is_turned_away_and_told_once() {
    let house = House::furnished().await;
    house.account("eve", "standard").await;
    let (ada, eve) = (house.sign_in("ada").await, house.sign_in("eve").await);
    let (url, other) =
        (license_url(&house, &ada, "film").await, license_url(&house, &eve, "film").await);
    let (sd, foreign) = (challenge("film", &["SD"]), challenge("nothing", &["SD"]));
    // Refused or answered, identical or not: what counts is how many.
    assert_eq!(storm(&house, &url, &foreign, 60).await, 60);
    assert_eq!(storm(&house, &url, &sd, 140).await, 40);
    house.license(&other, &sd).await.assert_granted();
    // A new license URL of the same session is of no use, and the next one costs no signature.
    let fresh = license_url(&house, &ada, "film").await;
    let first = house.license(&fresh, &sd).await;
    let row = assert_told(&house, &first, (429, "rate_limited"), (Rule::Rate, "too_many_requests"));
    assert_eq!(row.await.account, None, "before any row is read");
    let second = house.license(&fresh, &sd).await;
    second.assert_refused(429, "rate_limited");
    assert_eq!(remembered(&house, &second).await, None, "a repetition says nothing new");
    house.clock.advance_ms(10_000);
    house.license(&fresh, &sd).await.assert_granted();
}

#[tokio::test]
async fn nobody_gets_anothers_session_limited() {
    let house = House::furnished().await;
    house.account("eve", "standard").await;
    let (ada, eve) = (house.sign_in("ada").await, house.sign_in("eve").await);
    let answer = house.playback(&ada, "film").await.json();
    let (url, session) = (&answer["license"]["clearkey"], answer["session_id"].as_str().unwrap());
    let (url, sd) = (url.as_str().unwrap(), challenge("film", &["SD"]));
    // Forged license URLs of the session, its id under a stranger's sign-in, a foreign page.
    let now = house.clock.now();
    let text = url.split_once("token=").unwrap().1;
    let (key, boot) = (&house.service.token_key, house.service.boot);
    let token = PlaybackToken::verify(key, text, now, boot).unwrap();
    let forger = playback::TokenKey::from_bytes(&[9; 32]);
    for number in 0..150 {
        let id = TokenId::from_bytes([number; 16]);
        let forged = PlaybackToken { id, ..token.clone() }.issue(&forger);
        let path = format!("/license/clearkey?token={forged}");
        house.license(&path, &sd).await.assert_refused(401, "token_invalid");
        let path = format!("/license/clearkey?session={session}");
        let mut request = post(&path, &sd);
        let bearer = format!("Bearer {eve}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let reply = house.send(request).await;
        assert!([403, 429].contains(&reply.status.as_u16()), "{}", reply.text());
        let foreign = get("/api/v1/playback/token/film")
            .header(header::COOKIE, format!("__Host-strongroom-session={ada}"))
            .header(header::ORIGIN, "https://evil.example");
        let reply = house.send(foreign.body(Body::empty()).unwrap()).await;
        reply.assert_refused(403, "cross_site_request");
    }
    house.license(url, &sd).await.assert_granted();
    house.playback(&ada, "film").await.assert_granted();
}

#[tokio::test]
async fn token_calls_and_renewals_are_limited_by_sign_in_and_operators_are_not() {
    let house = House::furnished().await;
    let ada = house.sign_in("ada").await;
    let session = house.playback(&ada, "film").await.json()["session_id"].clone();
    for number in 1..150 {
        let reply = house.playback(&ada, "film").await;
        assert_eq!(reply.status == 429, number >= 100, "{number}: {}", reply.text());
    }
    let sd = challenge("film", &["SD"]);
    let path = format!("/license/clearkey?session={}", session.as_str().unwrap());
    for number in 0..150 {
        let request = with_bearer(Request::post(&path), &ada);
        let reply = house.send(request.body(Body::from(sd.to_string())).unwrap()).await;
        assert_eq!(reply.status == 429, number >= 100, "{number}: {}", reply.text());
    }
    house.playback(&house.sign_in("ada").await, "film").await.assert_granted();

    let account = house.store.account_by_name("ada").await.unwrap().unwrap().0.id;
    let minted = PlaybackToken {
        id: TokenId::from_bytes([1; 16]),
        account,
        device: model::DeviceId::from_bytes([3; 16]),
        session: model::PlaybackSessionId::from_bytes([4; 16]),
        content_id: ContentId::parse("film").unwrap(),
        covers: playback::Covers::Kids(vec![kid("film", "SD")]),
        decision: model::DecisionId::from_bytes([5; 16]),
        holds_slot: false,
        issued: house.clock.now(),
        expires: house.clock.now().plus_s(30),
    };
    let url = format!("/license/clearkey?token={}", minted.issue(&house.service.token_key));
    assert_eq!(storm(&house, &url, &sd, 150).await, 150);
}
