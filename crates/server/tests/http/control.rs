//! The control plane: ping, what titles are, what viewers keep (R072–R074, R077).

use crate::delivery::package_film;
use crate::house::{House, NOW, ORIGIN, Reply, get, path_of, post, put};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use model::{ArtKind, TitleDescription, TitleState};
use serde_json::{Value, json};
use store::ArtFolder;

fn read(path: &str) -> Request<Body> {
    get(path).body(Body::empty()).unwrap()
}

fn delete(path: &str) -> Request<Body> {
    Request::delete(path).body(Body::empty()).unwrap()
}

/// A house whose title `film` is packaged, described and has a poster.
async fn described() -> (House, String) {
    let house = House::furnished().await;
    let event = package_film(&house);
    let film = event.content_id.clone();
    let state = TitleState::Published { package: event.package_id };
    house.store.publish_package(&state, &event, NOW).await.unwrap();
    let said = TitleDescription {
        synopsis: "A ship meets a storm.".to_owned(),
        cast: vec!["First Person".to_owned(), "Second Person".to_owned()],
        year: Some(1927),
        duration_s: Some(1),
    };
    house.store.describe_title(&film, &said).await.unwrap();
    let art = ArtFolder::beside(&house.objects).put(b"\x89PNG\r\n\x1a\n picture").unwrap();
    house.store.put_art(&film, ArtKind::Poster, art).await.unwrap();
    let token = house.sign_in("ada").await;
    (house, token)
}

#[tokio::test]
async fn a_ping_tells_the_time_to_anyone_who_is_ready_to_serve() {
    let house = House::new().await;
    let reply = house.get("/api/v1/control/ping").await;
    reply.assert_granted();
    assert_eq!(reply.json(), json!({"now": NOW.0}));
    assert_eq!(reply.header("cache-control"), "no-store");
    house.clock.advance_ms(7000);
    assert_eq!(house.get("/api/v1/control/ping").await.json()["now"], NOW.plus_s(7).0);
}

#[tokio::test]
async fn a_title_says_what_it_is_and_what_it_comes_in() {
    let (house, token) = described().await;
    let reply = house.send_as(&token, read("/api/v1/titles/film")).await;
    reply.assert_granted();
    let title = reply.json();
    assert_eq!((&title["content_id"], &title["name"]), (&json!("film"), &json!("film")));
    assert_eq!(title["synopsis"], "A ship meets a storm.");
    assert_eq!(title["cast"], json!(["First Person", "Second Person"]));
    assert_eq!((&title["year"], &title["state"]), (&json!(1927), &json!("published")));
    // What the package measured goes before what was said.
    assert_eq!((&title["duration_s"], &title["live"]), (&json!(12), &json!(false)));
    let renditions = &title["renditions"];
    assert_eq!(renditions["video"], json!(["1280 × 720 (HD)", "640 × 360 (SD)"]));
    assert_eq!(renditions["audio"], json!(["en"]));
    assert_eq!(renditions["subtitles"], json!(["en"]));
    let none = house.send_as(&token, read("/api/v1/titles/nothing")).await;
    none.assert_refused(404, "title_not_found");
    let odd = house.send_as(&token, read("/api/v1/titles/%2e%2e")).await;
    odd.assert_refused(404, "not_found");
    house.get("/api/v1/titles/film").await.assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn a_picture_is_served_to_whoever_was_told_its_name_and_may_be_kept() {
    let (house, token) = described().await;
    let title = house.send_as(&token, read("/api/v1/titles/film")).await.json();
    let url = title["art"]["poster"].as_str().unwrap();
    assert!(url.starts_with(&format!("{ORIGIN}/art/")), "{url}");
    let picture = house.get(path_of(url)).await;
    picture.assert_granted();
    assert_eq!(picture.body, b"\x89PNG\r\n\x1a\n picture");
    assert_eq!(picture.header("content-type"), "image/png");
    assert_eq!(picture.header("cache-control"), "public, max-age=31536000, immutable");
    let again = get(path_of(url)).header(header::IF_NONE_MATCH, picture.header("etag"));
    let again = house.send(again.body(Body::empty()).unwrap()).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    let other = path_of(url).replace(".png", ".jpg");
    for path in [&other, "/art/x.png", "/art/..%2fsecret", "/art/"] {
        let refused = house.get(path).await;
        refused.assert_refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_batch_answers_for_each_id_and_not_for_too_many() {
    let (house, token) = described().await;
    let ask = async |body: Value| -> Reply {
        house.send_as(&token, post("/api/v1/titles:batch", &body)).await
    };
    let reply = ask(json!({"content_ids": ["film", "nothing", "../film", "film"]})).await;
    reply.assert_granted();
    let answer = reply.json();
    let titles = answer["titles"].as_object().unwrap();
    assert_eq!(titles.len(), 3);
    assert!(titles["nothing"].is_null() && titles["../film"].is_null());
    let alone = house.send_as(&token, read("/api/v1/titles/film")).await.json();
    assert_eq!(titles["film"], alone);
    let ids = |count: usize| -> Vec<String> { (0..count).map(|n| format!("f{n}")).collect() };
    let most = ask(json!({"content_ids": ids(100)})).await;
    assert_eq!(most.json()["titles"].as_object().unwrap().len(), 100);
    ask(json!({"content_ids": ids(101)})).await.assert_refused(400, "malformed_request");
    for wrong in [json!({}), json!([]), json!({"content_ids": [1]}), json!({"ids": []})] {
        ask(wrong).await.assert_refused(400, "malformed_request");
    }
    let empty = ask(json!({"content_ids": []})).await;
    assert_eq!(empty.json(), json!({"titles": {}}));
}

#[tokio::test]
async fn the_catalog_comes_in_pages_to_who_asks_for_them() {
    let house = House::furnished().await;
    for name in ["a", "b", "c", "d"] {
        house.title(name).await;
    }
    let token = house.sign_in("ada").await;
    let ids = |reply: &Reply| -> Vec<String> {
        let titles = reply.json()["titles"].as_array().unwrap().clone();
        titles.iter().map(|t| t["content_id"].as_str().unwrap().to_owned()).collect()
    };
    let whole = house.send_as(&token, read("/api/v1/titles")).await;
    assert_eq!(ids(&whole), ["a", "b", "c", "d", "film"]);
    assert_eq!(whole.json().as_object().unwrap().len(), 1, "as ever: {}", whole.text());
    let (mut seen, mut path) = (vec![], "/api/v1/titles?limit=2".to_owned());
    let mut pages = 0;
    loop {
        let page = house.send_as(&token, read(&path)).await;
        page.assert_granted();
        seen.extend(ids(&page));
        pages += 1;
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else { break };
        path = format!("/api/v1/titles?limit=2&after={next}");
    }
    assert_eq!((seen, pages), (ids(&whole), 3));
    for query in ["limit=0", "limit=1001", "limit=x", "limit=-1", "after=", "after=%2e%2e"] {
        let refused = house.send_as(&token, read(&format!("/api/v1/titles?{query}"))).await;
        refused.assert_refused(400, "malformed_request");
    }
}

#[tokio::test]
async fn an_account_knows_its_plan_and_its_limits() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let account = house.send_as(&token, read("/api/v1/account")).await.json();
    assert_eq!((&account["name"], &account["subscription"]), (&json!("ada"), &json!("active")));
    assert_eq!(account["plan"]["name"], "standard");
    assert_eq!(account["plan"]["max_streams"], 4);
    assert_eq!(account["plan"]["max_offline"], 25);
    assert!(!account.to_string().contains("argon2"));
    house.get("/api/v1/account").await.assert_refused(401, "token_invalid");
}

#[tokio::test]
async fn a_viewer_resumes_on_another_device_where_he_left() {
    let (house, token) = described().await;
    let never = house.send_as(&token, read("/api/v1/me/titles/film")).await.json();
    assert_eq!(never["resume_s"], Value::Null);
    assert_eq!((&never["version"], &never["viewings"]), (&json!(0), &json!([])));
    let playback = house.playback(&token, "film").await.json();
    let heartbeat = playback["heartbeat"]["url"].as_str().unwrap();
    for (ms, position_s, state) in [(30_000, 30, "playing"), (31_000, 61, "stopped")] {
        house.clock.advance_ms(ms);
        let beat = post(path_of(heartbeat), &json!({"position_s": position_s, "state": state}));
        house.send_as(&token, beat).await.assert_granted();
    }
    let other_device = house.sign_in("ada").await;
    let left = house.send_as(&other_device, read("/api/v1/me/titles/film")).await.json();
    assert_eq!((&left["resume_s"], &left["version"]), (&json!(61), &json!(2)));
    let viewing = json!({
        "started_at": NOW.0, "seen_at": NOW.plus_s(61).0, "position_s": 61,
    });
    assert_eq!(left["viewings"], json!([viewing]));
    let again = house.playback(&other_device, "film").await.json();
    assert_eq!(again["resume_s"], 61);
    // Another account knows nothing of it.
    house.account("bob", "standard").await;
    let bob = house.sign_in("bob").await;
    let his = house.send_as(&bob, read("/api/v1/me/titles/film")).await.json();
    assert_eq!((&his["resume_s"], &his["viewings"]), (&Value::Null, &json!([])));
    let none = house.send_as(&token, read("/api/v1/me/titles/nothing")).await;
    none.assert_refused(404, "title_not_found");
}

#[tokio::test]
async fn of_two_devices_that_change_what_they_read_one_wins() {
    let (house, token) = described().await;
    let change = async |body: Value| -> Reply {
        house.send_as(&token, put("/api/v1/me/titles/film", &body)).await
    };
    let first = change(json!({"resume_s": 10, "version": 0})).await.json();
    assert_eq!((&first["resume_s"], &first["version"]), (&json!(10), &json!(1)));
    change(json!({"resume_s": 20, "version": 0})).await.assert_refused(409, "version_outdated");
    change(json!({"resume_s": 20, "version": 7})).await.assert_refused(409, "version_outdated");
    assert_eq!(change(json!({"resume_s": 30, "version": 1})).await.json()["version"], 2);
    assert_eq!(change(json!({"resume_s": 40})).await.json()["version"], 3);
    for wrong in [json!({}), json!({"resume_s": -1}), json!({"resume_s": 1, "x": 1})] {
        change(wrong).await.assert_refused(400, "malformed_request");
    }
    let nothing = put("/api/v1/me/titles/nothing", &json!({"resume_s": 1}));
    house.send_as(&token, nothing).await.assert_refused(404, "title_not_found");
}

#[tokio::test]
async fn a_queue_is_the_viewers_own_ordered_list() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let change = async |body: Value| -> Reply {
        house.send_as(&token, put("/api/v1/me/queue", &body)).await
    };
    let empty = house.send_as(&token, read("/api/v1/me/queue")).await.json();
    assert_eq!(empty, json!({"version": 0, "content_ids": []}));
    let ordered = change(json!({"content_ids": ["z", "film", "a", "film"], "version": 0})).await;
    assert_eq!(ordered.json(), json!({"version": 1, "content_ids": ["z", "film", "a"]}));
    let outdated = change(json!({"content_ids": [], "version": 0})).await;
    outdated.assert_refused(409, "version_outdated");
    let many: Vec<String> = (0..501).map(|n| format!("f{n}")).collect();
    change(json!({"content_ids": many})).await.assert_refused(400, "malformed_request");
    change(json!({"content_ids": ["../x"]})).await.assert_refused(400, "malformed_request");
    let kept = house.send_as(&token, read("/api/v1/me/queue")).await.json();
    assert_eq!(kept, ordered.json());
    let gone = house.send_as(&token, delete("/api/v1/me/queue")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let empty = house.send_as(&token, read("/api/v1/me/queue")).await.json();
    assert_eq!(empty, json!({"version": 2, "content_ids": []}));
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_by_a_cookie() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let cookie = format!("__Host-strongroom-session={token}");
    for (method, path, body) in [
        (Method::PUT, "/api/v1/me/queue", json!({"content_ids": ["film"]})),
        (Method::DELETE, "/api/v1/me/queue", json!({})),
        (Method::PUT, "/api/v1/me/titles/film", json!({"resume_s": 1})),
        (Method::POST, "/api/v1/playback/film/authorization", json!({})),
    ] {
        let mut request = post(path, &body);
        *request.method_mut() = method.clone();
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        house.send(request).await.assert_refused(403, "cross_site_request");
        let mut unsigned = post(path, &body);
        *unsigned.method_mut() = method;
        house.send(unsigned).await.assert_refused(401, "token_invalid");
    }
}
