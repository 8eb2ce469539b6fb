//! Requests without a credential that stands, and cookies that foreign pages send, on every route
//! of the document: a new route is covered by being in it.

use crate::house::{House, NOW, Reply};
use crate::issuer::Issuer;
use axum::body::Body;
use axum::http::{Request, header};
use playback::{SessionToken, TokenKey};
use serde_json::{Map, Value, json};

/// Operations without `security`: whoever asks is answered. One more is a decision.
const PUBLIC: [&str; 18] = [
    "post /api/v1/sessions",
    "post /provisioning/widevine",
    "get /license/{dialect}",
    "get /v/{path}",
    "get /api/v1/control/ping",
    "get /api/v1/steering/{content_id}/{pass}",
    "get /art/{name}",
    "get /",
    "get /sign-in",
    "get /watch/{content_id}",
    "get /service-worker.js",
    "get /assets/{name}",
    "get /api/v1/time",
    "get /healthz",
    "get /readyz",
    "get /metrics",
    "get /openapi.json",
    "get /speke/v1.0/heartbeat",
];

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    /// Names of the credentials that it takes.
    takes: Vec<String>,
    /// Whether it also answers without.
    is_optional: bool,
    body: Option<(&'static str, Vec<u8>)>,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(server::openapi()).unwrap();
    let mut all = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if !["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let name = format!("{method} {path}");
            let Some(security) = operation.get("security").and_then(Value::as_array) else {
                assert!(PUBLIC.contains(&name.as_str()), "{name} has no security");
                continue;
            };
            assert!(!PUBLIC.contains(&name.as_str()), "{name} has security");
            let schemes = security.iter().flat_map(|one| one.as_object().unwrap().keys());
            all.push(Operation {
                method: method.to_uppercase(),
                path: sample_path(path),
                takes: schemes.cloned().collect(),
                is_optional: security.contains(&json!({})),
                body: sample_body(&document, operation),
            });
        }
    }
    all
}

/// The path with something in each place that reads as what belongs there.
fn sample_path(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{content_id}" => "film".to_owned(),
        "{dialect}" => "clearkey".to_owned(),
        part if part.starts_with('{') => "5".repeat(32),
        part => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    // The one route that takes its session in the query.
    if path.starts_with("/license/") { format!("{path}?session={}", "5".repeat(32)) } else { path }
}

/// A body that the route understands, so that nothing but the credential refuses it.
fn sample_body(document: &Value, operation: &Value) -> Option<(&'static str, Vec<u8>)> {
    let content = operation["requestBody"]["content"].as_object()?;
    match content.get("application/json") {
        Some(json) => {
            let body = sample(document, &json["schema"]);
            Some(("application/json", body.to_string().into_bytes()))
        }
        None => Some(("application/octet-stream", b"x".to_vec())),
    }
}

/// The least value of a schema.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(place) = schema["$ref"].as_str() {
        return sample(document, document.pointer(place.trim_start_matches('#')).unwrap());
    }
    if let Some(first) = schema["oneOf"].get(0).or(schema["anyOf"].get(0)) {
        return sample(document, first);
    }
    let example = schema["examples"].get(0);
    if let Some(first) = schema["enum"].get(0).or(schema.get("const")).or(example) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
        Some("string") => json!("x"),
        Some("boolean") => json!(false),
        Some("array") if schema["minItems"] == 1 => json!([sample(document, &schema["items"])]),
        Some("array") => json!([]),
        _ => {
            let needed = schema["required"].as_array().into_iter().flatten();
            let member = |name: &Value| {
                let name = name.as_str().unwrap();
                (name.to_owned(), sample(document, &schema["properties"][name]))
            };
            Value::Object(needed.map(member).collect::<Map<_, _>>())
        }
    }
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    async fn send(&self, house: &House, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match &self.body {
            None => Body::empty(),
            Some((kind, bytes)) => {
                request = request.header(header::CONTENT_TYPE, *kind);
                Body::from(bytes.clone())
            }
        };
        house.send(request.body(body).unwrap()).await
    }
}

#[tokio::test]
async fn without_a_credential_that_stands_every_route_refuses() {
    let issuer = Issuer::start().await;
    let house = issuer.house(|_| {}).await;
    let account = house.account_id("ada").await;
    let own = |expires, secret: &[u8; 32]| {
        let sign_in = model::SignInId::from_bytes([1; 16]);
        let token = SessionToken { account, sign_in, issued: NOW, expires };
        token.issue(&TokenKey::from_bytes(secret))
    };
    let secret = server::secrets::load(&house.folder().join("secrets"), "token").unwrap();
    let ended = house.sign_in("ada").await;
    let request = Request::delete("/api/v1/sessions")
        .header(header::AUTHORIZATION, format!("Bearer {ended}"))
        .body(Body::empty());
    house.send(request.unwrap()).await.assert_granted();
    let now = NOW.as_s();
    let credentials = [
        String::new(),
        "x".to_owned(),
        "a".repeat(6000),
        own(NOW.plus_s(60), &[0; 32]),
        own(NOW.plus_s(60), &secret),
        own(NOW, &secret),
        ended,
        issuer.token_with("ada", &json!({"aud": "someone-else"})),
        issuer.token_with("ada", &json!({"iat": now - 900, "exp": now - 600})),
        issuer.token("ada").replace('.', ".x"),
    ];
    let operations = operations();
    assert!(operations.len() >= 11, "{}", operations.len());
    for operation in operations.iter().filter(|operation| !operation.is_optional) {
        assert_unsigned(operation, &operation.send(&house, &[]).await, "nothing");
        for credential in &credentials {
            for scheme in ["Bearer", "bearer", "Basic", "DPoP", ""] {
                let value = format!("{scheme} {credential}");
                let reply = operation.send(&house, &[("authorization", value.trim())]).await;
                assert_unsigned(operation, &reply, &value);
            }
            let cookie = format!("__Host-strongroom-session={credential}");
            let page = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
            assert_unsigned(operation, &operation.send(&house, &page).await, &cookie);
        }
    }
}

#[track_caller]
fn assert_unsigned(operation: &Operation, reply: &Reply, credential: &str) {
    let name = operation.name();
    assert_eq!(reply.status.as_u16(), 401, "{name} {credential:.80} {}", reply.text());
    let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
    assert!(["token_invalid", "token_expired"].contains(&code.as_str()), "{name} {code}");
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{name}");
}

#[tokio::test]
async fn a_cookie_counts_for_no_foreign_page_on_any_route_that_changes_something() {
    let house = House::furnished().await;
    let cookie = format!("__Host-strongroom-session={}", house.sign_in("ada").await);
    let mut changing = 0;
    for operation in operations().iter().filter(|one| one.takes.contains(&"cookie".to_owned())) {
        // A token call reserves a slot.
        let is_changing = operation.method != "GET" || operation.path.contains("/playback/token/");
        if !is_changing {
            continue;
        }
        changing += 1;
        for page in [
            &[][..],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://tv.example.evil.example")],
            &[("origin", "https://tv.example")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
        ] {
            let headers: Vec<_> =
                page.iter().copied().chain([("cookie", cookie.as_str())]).collect();
            let reply = operation.send(&house, &headers).await;
            assert_eq!(reply.status.as_u16(), 403, "{} {page:?}", operation.name());
            assert_eq!(reply.json()["code"], "cross_site_request", "{}", operation.name());
        }
    }
    assert!(changing >= 5, "{changing}");
    // The sign-in still stands, and its own page may act.
    let own = [("cookie", cookie.as_str()), ("origin", crate::house::ORIGIN)];
    let operations = operations();
    let token = operations.iter().find(|one| one.path.contains("/playback/token/")).unwrap();
    token.send(&house, &own).await.assert_granted();
}
