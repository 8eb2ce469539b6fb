//! What holds on every route: problems, CORS, headers, the document of the surface.

use crate::house::{House, ORIGIN, get, post};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

const LISTED: &str = "https://player.example";

async fn listed() -> House {
    House::with(|config| config.cors.allowed_origins = vec![LISTED.into()], |_| {}).await
}

fn preflight(path: &str, origin: &str) -> Request<Body> {
    Request::options(path)
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type,x-cmcd")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_listed_origin_passes_its_preflight_everywhere() {
    let house = listed().await;
    for path in ["/license/clearkey?token=x", "/api/v1/sessions", "/v/film/~x/manifest.mpd"] {
        let reply = house.send(preflight(path, LISTED)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(reply.header("access-control-allow-origin"), LISTED);
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
        assert_eq!(
            reply.header("access-control-allow-headers"),
            "authorization,content-type,x-cmcd"
        );
        assert_eq!(reply.header("access-control-max-age"), "7200");
        assert!(reply.header("access-control-allow-methods").contains("POST"));
        assert!(reply.header("vary").contains("Origin"));
    }
}

/// On every route that viewers have, a listed origin is let in and no other; the vault's routes
/// are no page's.
#[tokio::test]
async fn preflights_are_answered_by_the_list_on_every_route_of_the_document() {
    let house = listed().await;
    let document: Value = serde_json::from_str(server::openapi()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let sample = path.replace(['{', '}'], "");
        let is_vaults = methods.as_object().unwrap().values().any(|operation| {
            operation["tags"].as_array().unwrap().contains(&json!("key exchange"))
        });
        for (origin, is_listed) in
            [(LISTED, true), ("https://evil.example", false), ("null", false)]
        {
            let reply = house.send(preflight(&sample, origin)).await;
            let allowed = reply.header("access-control-allow-origin");
            let expected = if is_listed && !is_vaults { LISTED } else { "" };
            assert_eq!(allowed, expected, "{path} {origin}");
            let with_credentials = reply.header("access-control-allow-credentials");
            assert_eq!(with_credentials.is_empty(), expected.is_empty(), "{path} {origin}");
        }
    }
}

#[tokio::test]
async fn another_origin_gets_nothing_to_read_by() {
    let house = listed().await;
    for origin in [
        "https://evil.example",
        "http://player.example",
        "https://player.example:444",
        "null",
        "https://player.example.evil.example",
        "https://PLAYER.example",
        "*",
        "https://player.example ",
        "https://player.example/",
        ORIGIN,
    ] {
        for request in [
            preflight("/license/clearkey", origin),
            get("/api/v1/me").header(header::ORIGIN, origin).body(Body::empty()).unwrap(),
        ] {
            let reply = house.send(request).await;
            for name in reply.headers.keys() {
                assert!(!name.as_str().starts_with("access-control-"), "{origin} {name}");
            }
            assert!(reply.header("vary").contains("Origin"));
        }
    }
}

#[tokio::test]
async fn a_listed_origin_can_read_refusals_and_what_a_player_needs() {
    let house = listed().await;
    let request = get("/api/v1/me").header(header::ORIGIN, LISTED).body(Body::empty()).unwrap();
    let reply = house.send(request).await;
    reply.assert_refused(401, "token_invalid");
    assert_eq!(reply.header("access-control-allow-origin"), LISTED);
    assert_eq!(reply.header("access-control-allow-credentials"), "true");
    let exposed = reply.header("access-control-expose-headers");
    for name in [
        "Retry-After",
        "X-Correlation-Id",
        "Content-Range",
        "X-Strongroom-Security-Level",
        "X-Strongroom-Track-Classes",
        "X-Strongroom-License-Expires",
    ] {
        assert!(exposed.contains(name), "{name}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems_too() {
    let house = House::new().await;
    for path in
        ["/nothing", "/api/v1/nothing", "/api/v2/me", "/assets/nothing.js", "/watch/", "/%00"]
    {
        house.get(path).await.assert_refused(404, "not_found");
    }
    for (method, path) in [
        (Method::GET, "/license/clearkey"),
        (Method::PUT, "/api/v1/me"),
        (Method::POST, "/api/v1/playback/token/film"),
        (Method::DELETE, "/v/film/x"),
        (Method::TRACE, "/api/v1/me"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        house.send(request).await.assert_refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let house = House::new().await;
    for path in ["/", "/sign-in", "/healthz", "/readyz", "/openapi.json", "/nothing"] {
        let reply = house.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
    let behind = House::with(|config| config.listen.behind_proxy = true, |_| {}).await;
    assert!(behind.get("/healthz").await.header("strict-transport-security").contains("max-age="));
}

#[tokio::test]
async fn a_strange_host_is_not_echoed_into_urls() {
    let house = House::furnished().await;
    let token = house.sign_in("ada").await;
    for host in ["tv.example/evil", "tv example", "tv.example\"", "<b>", "user@tv.example", ""] {
        let request = get("/api/v1/playback/token/film")
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        house
            .send(request.body(Body::empty()).unwrap())
            .await
            .assert_refused(400, "malformed_request");
    }
    let public =
        House::with(|c| c.listen.public_origin = Some("https://tv.example".into()), |_| {}).await;
    public.account("ada", "standard").await;
    public.title("film").await;
    let token = public.sign_in("ada").await;
    let request = get("/api/v1/playback/token/film")
        .header(header::HOST, "evil.example")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    let reply = public.send(request.body(Body::empty()).unwrap()).await;
    let url = reply.json()["license"]["clearkey"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://tv.example/license/"), "{url}");
}

#[tokio::test]
async fn figures_are_for_this_machine_only() {
    let house = House::new().await;
    let request = || get("/metrics").body(Body::empty()).unwrap();
    house.send_from("198.51.100.7:1", request()).await.assert_refused(404, "not_found");
    let mut forged = request();
    forged.headers_mut().insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
    house.send_from("198.51.100.7:1", forged).await.assert_refused(404, "not_found");
    assert_eq!(house.send_from("127.0.0.1:1", request()).await.status, StatusCode::OK);
}

/// The document and the router name the same routes and methods.
#[tokio::test]
async fn the_document_is_the_surface() {
    let document: Value = serde_json::from_str(server::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let sources = [
        include_str!("../../src/http/router.rs"),
        include_str!("../../src/vault/exchange/routes.rs"),
    ];
    let routed: Vec<&str> = sources
        .iter()
        .flat_map(|source| source.split(".route(\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .map(|route| if route == "/v/{*path}" { "/v/{path}" } else { route })
        .collect();
    let paths = document["paths"].as_object().unwrap();
    let mut documented: Vec<&str> = paths.keys().map(String::as_str).collect();
    let mut sorted = routed.clone();
    sorted.sort_unstable();
    // Boxes have some of them on a listener of their own.
    sorted.dedup();
    documented.sort_unstable();
    assert_eq!(documented, sorted);
    let house = House::new().await;
    for (path, methods) in paths {
        let sample = path.replace(['{', '}'], "");
        for method in ["get", "post", "delete", "put", "patch"] {
            let method_name: Method = method.to_uppercase().parse().unwrap();
            let mut request = post(&sample, &json!({}));
            *request.method_mut() = method_name;
            let is_routed = house.send(request).await.status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_routed, methods.get(method).is_some(), "{method} {path}");
        }
    }
}

/// Every code that the service can say is in the document.
#[test]
fn the_document_names_every_code() {
    let document = server::openapi();
    let sources = [
        include_str!("../../src/http/problem.rs"),
        include_str!("../../../playback/src/denial.rs"),
        include_str!("../../../playback/src/device.rs"),
    ];
    for source in sources {
        for word in source.split('"').skip(1).step_by(2) {
            let is_code =
                word.contains('_') && word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
            let is_field = ["correlation_id", "snake_case"].contains(&word);
            if is_code && !is_field && !["body_timeout", "method_not_allowed"].contains(&word) {
                assert!(document.contains(&format!("`{word}`")), "{word}");
            }
        }
    }
}
