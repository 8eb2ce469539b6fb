//! An identity provider on loopback: its keys change, it counts its questions, it can be away.

use crate::house::{House, NOW, Reply, get, with_bearer};
use crate::signer::Signer;
use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::routing::get as route;
use serde_json::{Value, json};
use server::Config;
use server::config::issuer;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What the provider's tokens are for.
pub const AUDIENCE: &str = "tv-app";

/// The provider.
pub struct Issuer {
    pub url: String,
    /// Its first key, `one`.
    pub signer: Signer,
    state: Arc<State>,
}

struct State {
    /// Status, `Cache-Control` and body of the next answers.
    answer: Mutex<(u16, String, Value)>,
    questions: AtomicU64,
}

impl Issuer {
    /// A provider whose discovery document names its keys.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::p256();
        let keys = json!({"keys": [signer.jwk("one")]});
        let answer = Mutex::new((200, "max-age=600".to_owned(), keys));
        let state = Arc::new(State { answer, questions: AtomicU64::new(0) });
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string();
        let asked = Arc::clone(&state);
        let routes = Router::new()
            .route("/.well-known/openid-configuration", route(async move || discovery))
            .route("/keys", route(async move || asked.answer()))
            .route(
                "/elsewhere",
                route(async || (StatusCode::FOUND, [(header::LOCATION, "/keys")])),
            );
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, signer, state }
    }

    /// Its section of the settings.
    pub fn settings(&self) -> issuer::Issuer {
        issuer::Issuer {
            url: self.url.clone(),
            audiences: vec![AUDIENCE.to_owned()],
            name_claim: "preferred_username".to_owned(),
            plan: Some("standard".to_owned()),
            provision: true,
            ..issuer::Issuer::default()
        }
    }

    /// A service that trusts it, with title `film` and the built-in account `ada`.
    pub async fn house(&self, edit: impl FnOnce(&mut issuer::Issuer)) -> House {
        let mut settings = self.settings();
        edit(&mut settings);
        let house = House::with(|config: &mut Config| config.issuer = vec![settings], |_| {}).await;
        house.account("ada", "standard").await;
        house.title("film").await;
        house
    }

    /// How often its keys were asked for.
    pub fn questions(&self) -> u64 {
        self.state.questions.load(Ordering::SeqCst)
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: BTreeMap<&str, &Signer>) {
        let keys: Vec<Value> = keys.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
        self.state.answer.lock().unwrap().2 = json!({"keys": keys});
    }

    /// Answers so from now on.
    pub fn answer(&self, status: u16, cache_control: &str, body: Option<Value>) {
        let mut answer = self.state.answer.lock().unwrap();
        answer.0 = status;
        answer.1 = cache_control.to_owned();
        if let Some(body) = body {
            answer.2 = body;
        }
    }

    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": "one", "typ": "JWT"})
    }

    /// Claims of a token that is issued now, for five minutes.
    pub fn claims(&self, subject: &str) -> Value {
        let now = NOW.as_s();
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300,
            "sid": format!("session of {subject}"), "preferred_username": subject,
        })
    }

    /// A token about a subject.
    pub fn token(&self, subject: &str) -> String {
        self.signer.token(&self.header(), &self.claims(subject))
    }

    /// A token with other claims.
    pub fn token_with(&self, subject: &str, changes: &Value) -> String {
        let mut claims = self.claims(subject);
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.signer.token(&self.header(), &claims)
    }
}

impl State {
    fn answer(&self) -> (StatusCode, [(header::HeaderName, String); 1], String) {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let (status, cache_control, body) = self.answer.lock().unwrap().clone();
        let status = StatusCode::from_u16(status).unwrap();
        (status, [(header::CACHE_CONTROL, cache_control)], body.to_string())
    }
}

/// Who a bearer token is, by the service's word.
pub async fn me(house: &House, token: &str) -> Reply {
    house.send(with_bearer(get("/api/v1/me"), token).body(Body::empty()).unwrap()).await
}
