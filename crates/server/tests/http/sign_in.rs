//! Signing in and out, and the watch page's redirect.

use crate::house::{House, NOW, PASSWORD, get, post, with_bearer};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use model::{Country, RegionRule, TitleState};
use playback::{SessionToken, TokenKey};
use serde_json::json;

#[tokio::test]
async fn a_sign_in_gives_a_token_and_a_host_cookie() {
    let house = House::furnished().await;
    let reply =
        house.send(post("/api/v1/sessions", &json!({"name": "ada", "password": PASSWORD}))).await;
    reply.assert_granted();
    assert_eq!(reply.header("cache-control"), "no-store");
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    let cookie = reply.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with(&format!("__Host-strongroom-session={token}; Path=/; ")),
        "{cookie}"
    );
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let bearer =
        house.send(with_bearer(get("/api/v1/me"), &token).body(Body::empty()).unwrap()).await;
    assert_eq!(bearer.json(), json!({"name": "ada", "plan": "standard"}));
    let pair = cookie.split(';').next().unwrap();
    let request = get("/api/v1/titles").header(header::COOKIE, format!("x=1; {pair}; y=2"));
    let by_cookie = house.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(by_cookie.json()["titles"][0]["content_id"], "film");
    assert_eq!(by_cookie.json()["titles"][0]["state"], "published");
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let house = House::furnished().await;
    for (name, password) in [
        ("ada", "wrong"),
        ("ada", ""),
        ("Ada", PASSWORD),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("ada\0", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
    ] {
        let body = json!({"name": name, "password": password});
        let reply = house.send(post("/api/v1/sessions", &body)).await;
        reply.assert_refused(401, "sign_in_failed");
        assert_eq!(reply.header("set-cookie"), "");
    }
    let long = json!({"name": "ada", "password": "x".repeat(2000)});
    house.send(post("/api/v1/sessions", &long)).await.assert_refused(401, "sign_in_failed");
}

#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_known_one() {
    let house = House::furnished().await;
    // Both paths end in one Argon2 check; by wall time, because that is what a stranger sees.
    let mut spent = [std::time::Duration::ZERO; 2];
    for _ in 0..4 {
        for (at, name) in ["ada", "nobody"].into_iter().enumerate() {
            let begin = tokio::time::Instant::now();
            let body = json!({"name": name, "password": "wrong"});
            house.send(post("/api/v1/sessions", &body)).await.assert_refused(401, "sign_in_failed");
            spent[at] += begin.elapsed();
        }
    }
    let [known, unknown] = spent.map(|time| time.as_secs_f64());
    assert!(unknown > known / 3.0 && known > unknown / 3.0, "{known} s, {unknown} s");
}

#[tokio::test]
async fn too_many_tries_wait_a_minute() {
    let house = House::furnished().await;
    let wrong = json!({"name": "ada", "password": "wrong"});
    for _ in 0..10 {
        house.send(post("/api/v1/sessions", &wrong)).await.assert_refused(401, "sign_in_failed");
    }
    let right = json!({"name": "ada", "password": PASSWORD});
    let reply = house.send(post("/api/v1/sessions", &right)).await;
    reply.assert_refused(429, "rate_limited");
    assert_eq!(reply.header("retry-after"), "60");
    // A forged header does not make the same stranger another one.
    let mut forged = post("/api/v1/sessions", &right);
    forged.headers_mut().insert("x-forwarded-for", "203.0.113.1".parse().unwrap());
    house.send(forged).await.assert_refused(429, "rate_limited");
    house.send_from("198.51.100.8:1", post("/api/v1/sessions", &right)).await.assert_granted();
    house.clock.advance_ms(60_000);
    house.send(post("/api/v1/sessions", &right)).await.assert_granted();
}

#[tokio::test]
async fn malformed_sign_ins_are_refused() {
    let house = House::furnished().await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"name\":\"ada\"}",
        "{\"name\":1,\"password\":2}",
        "{\"name\":\"ada\",\"password\":\"x\",\"admin\":true}",
        "{\"name\":\"ada\",\"name\":\"bob\",\"password\":\"x\"}",
        "\u{feff}{}",
    ] {
        let request = Request::post("/api/v1/sessions")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(body))
            .unwrap();
        house.send(request).await.assert_refused(400, "malformed_request");
    }
    let nested = "[".repeat(60_000);
    let request = Request::post("/api/v1/sessions")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(nested))
        .unwrap();
    house.send(request).await.assert_refused(400, "malformed_request");
    // What a form of a foreign page can send.
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    {
        let request = Request::post("/api/v1/sessions")
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(json!({"name": "ada", "password": PASSWORD}).to_string()))
            .unwrap();
        house.send(request).await.assert_refused(415, "malformed_request");
    }
    let large = json!({"name": "ada", "password": "x".repeat(1 << 20)});
    house.send(post("/api/v1/sessions", &large)).await.assert_refused(413, "body_too_large");
}

#[tokio::test]
async fn no_credential_and_a_forged_one_are_refused_on_every_call() {
    let house = House::furnished().await;
    let account = house.account("bob", "standard").await;
    let good = house.sign_in("ada").await;
    let forged = SessionToken {
        account,
        sign_in: model::SignInId::from_bytes([1; 16]),
        issued: NOW,
        expires: NOW.plus_s(60),
    };
    let (head, rest) = good.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoic3Ryb25ncm9vbS1zZXNzaW9uK2p3dCJ9";
    let tokens = [
        String::new(),
        "x".to_owned(),
        forged.issue(&TokenKey::from_bytes(&[0; 32])),
        format!("{none}.{rest}"),
        format!("{none}.{}.", rest.split('.').next().unwrap()),
        format!("{head}.{}", rest.to_uppercase()),
        "a".repeat(60_000),
    ];
    for path in ["/api/v1/me", "/api/v1/titles", "/api/v1/playback/token/film"] {
        house.get(path).await.assert_refused(401, "token_invalid");
        for token in &tokens {
            let request = with_bearer(get(path), token).body(Body::empty()).unwrap();
            house.send(request).await.assert_refused(401, "token_invalid");
        }
        // A bad header is not mended by a good cookie.
        let request = get(path)
            .header(header::AUTHORIZATION, "Basic YWRhOng=")
            .header(header::COOKIE, format!("__Host-strongroom-session={good}"));
        house.send(request.body(Body::empty()).unwrap()).await.assert_refused(401, "token_invalid");
    }
}

#[tokio::test]
async fn a_sign_in_ends_with_sign_out_and_with_time() {
    let house = House::furnished().await;
    let (first, second) = (house.sign_in("ada").await, house.sign_in("ada").await);
    let me = async |token: &str| {
        house.send(with_bearer(get("/api/v1/me"), token).body(Body::empty()).unwrap()).await
    };
    let sign_out = Request::delete("/api/v1/sessions");
    let reply = house.send(with_bearer(sign_out, &first).body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    assert!(reply.header("set-cookie").starts_with("__Host-strongroom-session=; "));
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    me(&first).await.assert_refused(401, "token_expired");
    me(&second).await.assert_granted();
    house.clock.advance_ms(12 * 3600 * 1000);
    me(&second).await.assert_refused(401, "token_expired");
}

#[tokio::test]
async fn a_foreign_page_cannot_sign_a_viewer_out() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let cookie = format!("__Host-strongroom-session={token}");
    let request = |site: &str| {
        Request::delete("/api/v1/sessions")
            .header(header::COOKIE, &cookie)
            .header("sec-fetch-site", site)
            .body(Body::empty())
            .unwrap()
    };
    house.send(request("cross-site")).await.assert_refused(403, "cross_site_request");
    assert_eq!(house.send(request("same-origin")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_watch_page_leads_to_sign_in_and_never_to_another_origin() {
    let house = House::furnished().await;
    let reply = house.get("/watch/film").await;
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(reply.header("location"), "/sign-in?next=/watch/film");
    for path in [
        "/watch/%2f%2fevil.example",
        "/watch/..%2f..",
        "/watch/film?next=//evil.example",
        "/watch/https:%2f%2fevil.example",
        "/watch/%5c%5cevil.example",
        "/watch/a%0d%0aLocation:x",
    ] {
        let reply = house.get(path).await;
        let location = reply.header("location");
        assert!(
            location.is_empty() || location == "/sign-in?next=/watch/film",
            "{path} {location}"
        );
        assert!(reply.status == StatusCode::NOT_FOUND || reply.status == StatusCode::FOUND);
    }
}

#[tokio::test]
async fn the_watch_page_refuses_what_may_not_be_watched_here() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    let watch = async |id: &str| {
        let request = get(&format!("/watch/{id}"))
            .header(header::COOKIE, format!("__Host-strongroom-session={token}"));
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let page = watch("film").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(!page.header("content-security-policy").contains("unsafe"));
    assert_eq!(watch("nothing").await.status, StatusCode::NOT_FOUND);
    let mut title = house.title("abroad").await;
    title.regions = RegionRule::Only(vec![Country::parse("NL").unwrap()]);
    house.store.put_title(&title).await.unwrap();
    let page = watch("abroad").await;
    assert_eq!(page.status, StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
    assert!(page.text().contains("region_not_allowed"));
    title.state = TitleState::Draft;
    house.store.put_title(&title).await.unwrap();
    assert_eq!(watch("abroad").await.status, StatusCode::NOT_FOUND);
}
