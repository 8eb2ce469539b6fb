//! A browser that keeps a device key, and what it sends.

use crate::device_key::DeviceKey;
use crate::house::{House, ORIGIN, Reply, challenge, get, path_of, with_bearer};
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// A browser that registered: key, sign-in, ticket, and how many messages it has sent.
pub struct Browser {
    pub key: DeviceKey,
    pub sign_in: String,
    pub device: String,
    pub ticket: String,
    pub sent: AtomicU64,
}

/// A request of a browser, each part of it to be changed by a test.
pub struct Ask<'a> {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub sign_in: &'a str,
    pub ticket: Option<&'a str>,
    pub number: Option<String>,
    pub proof: Option<String>,
}

static PROOFS: AtomicU64 = AtomicU64::new(0);

/// A proof for a request at the house's time, with an id of its own.
pub fn proof(house: &House, key: &DeviceKey, method: &Method, path: &str) -> String {
    let id = format!("proof-{}", PROOFS.fetch_add(1, Ordering::Relaxed));
    let url = format!("{ORIGIN}{path}");
    key.proof(method.as_str(), &url, house.clock.now().as_s(), &id)
}

impl Ask<'_> {
    pub async fn send(self, house: &House) -> Reply {
        let mut request =
            with_bearer(Request::builder().method(self.method).uri(self.path), self.sign_in);
        for (name, value) in [
            ("dpop", self.proof.as_deref()),
            ("x-device-ticket", self.ticket),
            ("x-device-sequence", self.number.as_deref()),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let body = self.body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        house.send(request.body(body).unwrap()).await
    }
}

pub async fn register(house: &House, key: &DeviceKey, sign_in: &str) -> Reply {
    let path = "/api/v1/devices";
    Ask {
        method: Method::POST,
        path: path.to_owned(),
        body: Some(json!({"name": "Firefox on Linux"})),
        sign_in,
        ticket: None,
        number: None,
        proof: Some(proof(house, key, &Method::POST, path)),
    }
    .send(house)
    .await
}

pub async fn renew(house: &House, key: &DeviceKey, sign_in: &str, device: &str) -> Reply {
    let path = format!("/api/v1/devices/{device}/renew");
    Ask {
        method: Method::POST,
        proof: Some(proof(house, key, &Method::POST, &path)),
        path,
        body: None,
        sign_in,
        ticket: None,
        number: None,
    }
    .send(house)
    .await
}

pub async fn remove(house: &House, sign_in: &str, device: &str) -> Reply {
    let path = format!("/api/v1/devices/{device}");
    let request = with_bearer(Request::delete(path), sign_in);
    house.send(request.body(Body::empty()).unwrap()).await
}

pub async fn listed(house: &House, sign_in: &str) -> Value {
    let reply =
        house.send(with_bearer(get("/api/v1/devices"), sign_in).body(Body::empty()).unwrap()).await;
    reply.assert_granted();
    reply.json()
}

impl Browser {
    /// Signs in and registers a key.
    pub async fn new(house: &House, account: &str) -> Self {
        let sign_in = house.sign_in(account).await;
        Self::with(house, DeviceKey::new(), sign_in).await
    }

    pub async fn with(house: &House, key: DeviceKey, sign_in: String) -> Self {
        let reply = register(house, &key, &sign_in).await;
        reply.assert_granted();
        let answer = reply.json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let (device, ticket) = (text("device_id"), text("ticket"));
        Self { key, sign_in, device, ticket, sent: AtomicU64::new(0) }
    }

    /// Takes another ticket.
    pub fn take(&mut self, reply: &Reply) {
        reply.assert_granted();
        self.ticket = reply.json()["ticket"].as_str().unwrap().to_owned();
        self.sent.store(0, Ordering::Relaxed);
    }

    /// The next message, whole.
    pub fn ask(&self, house: &House, method: Method, path: &str, body: Option<Value>) -> Ask<'_> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let alone = path.split('?').next().unwrap();
        Ask {
            proof: Some(proof(house, &self.key, &method, alone)),
            method,
            path: path.to_owned(),
            body,
            sign_in: &self.sign_in,
            ticket: Some(&self.ticket),
            number: Some(number.to_string()),
        }
    }

    pub fn token(&self, house: &House) -> Ask<'_> {
        self.ask(house, Method::GET, "/api/v1/playback/token/film", None)
    }

    pub async fn play(&self, house: &House) -> Value {
        let reply = self.token(house).send(house).await;
        reply.assert_granted();
        reply.json()
    }

    pub fn beat(&self, house: &House, playback: &Value) -> Ask<'_> {
        let path = path_of(playback["heartbeat"]["url"].as_str().unwrap()).to_owned();
        let body = json!({"position_s": 1, "state": "playing"});
        self.ask(house, Method::POST, &path, Some(body))
    }

    pub fn renewal(&self, house: &House, playback: &Value) -> Ask<'_> {
        let session = playback["session_id"].as_str().unwrap();
        let path = format!("/license/clearkey?session={session}");
        self.ask(house, Method::POST, &path, Some(challenge("film", &["SD"])))
    }
}
