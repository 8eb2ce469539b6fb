//! JWT confusion (RFC 8725): one table of forged and twisted tokens against each kind of token
//! that the service takes. Each is 401 in the same words, and no place that one names is asked.

use crate::house::{House, challenge, get, post, with_bearer};
use crate::issuer::{Issuer, me};
use aws_lc_rs::hmac;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Vectors that the table has at least, for each kind of token.
const LEAST: usize = 60;

/// A place that nobody should ask: counts who does.
struct Canary {
    url: String,
    visits: Arc<AtomicU32>,
}

impl Canary {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let visits = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&visits);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, visits }
    }
}

type Sign = Box<dyn Fn(&str) -> Vec<u8>>;

/// One kind of token: what a good one has, and a signature by its own key over any text.
struct Kind {
    header: Value,
    claims: Value,
    sign: Sign,
    /// Texts of the public key, as secrets for HS256.
    public: Vec<Vec<u8>>,
}

impl Kind {
    /// A token of any two texts, signed by the kind's own key: the attacks that remain even then.
    fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode((self.sign)(&message)))
    }

    fn with_header(&self, changes: &Value) -> String {
        self.signed(&changed(&self.header, changes).to_string(), &self.claims.to_string())
    }

    fn with_claims(&self, changes: &Value) -> String {
        self.signed(&self.header.to_string(), &changed(&self.claims, changes).to_string())
    }
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn changed(document: &Value, changes: &Value) -> Value {
    let mut document = document.clone();
    document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    document
}

/// The object with one of its names once more in front.
fn twice(document: &Value, name: &str) -> String {
    format!("{{\"{name}\":{},{}", document[name], &document.to_string()[1..])
}

/// The table.
fn vectors(kind: &Kind, canary: &str) -> Vec<String> {
    let mut all = header_vectors(kind, canary);
    all.extend(claim_vectors(kind));
    all.extend(shape_vectors(kind));
    all
}

fn header_vectors(kind: &Kind, canary: &str) -> Vec<String> {
    let place = |path: &str| format!("{canary}/{path}");
    let key = json!({"kty": "oct", "k": encode("secret"), "kid": "1"});
    let mut all: Vec<String> = [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "nOnE"}),
        json!({"alg": ""}),
        json!({"alg": null}),
        json!({"alg": ["ES256", "HS256"]}),
        json!({"alg": "hs256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "HS512"}),
        json!({"alg": "PS256"}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "RSA-OAEP", "enc": "A256GCM"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": null}),
        json!({"cty": "JWT"}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' OR 1=1 --"}),
        json!({"kid": place("key")}),
        json!({"kid": "one\u{0}"}),
        json!({"kid": ["one"]}),
        json!({"jwk": key}),
        json!({"jku": place("jwks.json")}),
        json!({"jku": place("jwks.json"), "kid": "new"}),
        json!({"x5u": place("cert.pem")}),
        json!({"x5c": [STANDARD.encode([0x30; 64])]}),
        json!({"url": place("url")}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"crit": ["exp"]}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"zip": "DEF"}),
        json!({"p2c": 2_000_000_000, "p2s": "AAAA"}),
        json!({"anything": 1}),
    ]
    .iter()
    .map(|changes| kind.with_header(changes))
    .collect();
    all.push(kind.signed(&twice(&kind.header, "alg"), &kind.claims.to_string()));
    for text in ["{}", "[]", "null", "{\"alg\"", ""] {
        all.push(kind.signed(text, &kind.claims.to_string()));
    }
    all
}

fn claim_vectors(kind: &Kind) -> Vec<String> {
    let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    let mut all: Vec<String> = [
        json!({"aud": "someone-else"}),
        json!({"aud": [kind.claims["aud"], "someone-else"]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{}/", kind.claims["iss"].as_str().unwrap())}),
        json!({"iss": [kind.claims["iss"]]}),
        json!({"iss": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"exp": u64::MAX, "exp_ms": u64::MAX}),
        json!({"exp": 1e300, "exp_ms": 1e300}),
        json!({"exp": "2999-01-01", "exp_ms": "2999-01-01"}),
        json!({"iat": u64::MAX / 1000, "iat_ms": u64::MAX}),
        json!({"iat": -1, "iat_ms": -1}),
        json!({"nbf": 9_999_999_999_u64}),
        json!({"cnf": {"jkt": "AAAA"}}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
    ]
    .iter()
    .map(|changes| kind.with_claims(changes))
    .collect();
    for name in ["iss", "aud", "sub", "exp"] {
        let mut without = kind.claims.clone();
        without.as_object_mut().unwrap().remove(name);
        all.push(kind.signed(&kind.header.to_string(), &without.to_string()));
        all.push(kind.signed(&kind.header.to_string(), &twice(&kind.claims, name)));
    }
    for text in ["{}", "[]", "null", "\"film\"", "", deep.as_str()] {
        all.push(kind.signed(&kind.header.to_string(), text));
    }
    all
}

fn shape_vectors(kind: &Kind) -> Vec<String> {
    let good = kind.signed(&kind.header.to_string(), &kind.claims.to_string());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let none = encode(&changed(&kind.header, &json!({"alg": "none"})).to_string());
    let claims = encode(&kind.claims.to_string());
    let mut all = vec![
        format!("{message}."),
        message.to_owned(),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!("{good}.{signature}"),
        format!("{good}.{good}"),
        format!("{message}.{}", "A".repeat(signature.len())),
        format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{message}.{signature}{signature}"),
        "e30.e30.".to_owned(),
        "...".to_owned(),
        // Nested: a token as the claims of another.
        kind.signed(&kind.header.to_string(), &good),
        kind.signed(&changed(&kind.header, &json!({"cty": "JWT"})).to_string(), &good),
        // RFC 7515's other serialization.
        json!({"protected": message, "signature": signature}).to_string(),
        "a".repeat(20_000),
        kind.with_claims(&json!({"pad": "x".repeat(20_000)})),
    ];
    // The public key as a secret.
    for secret in &kind.public {
        let header = changed(&kind.header, &json!({"alg": "HS256"})).to_string();
        let message = format!("{}.{claims}", encode(&header));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        all.push(format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac)));
    }
    all
}

/// What a refusal says, without the number of its request.
fn words(reply: &crate::house::Reply) -> Value {
    reply.assert_refused(401, "token_invalid");
    let mut problem = reply.json();
    problem.as_object_mut().unwrap().remove("correlation_id");
    problem
}

/// The kind of an own token, by one that the service issued.
fn own(house: &House, token: &str) -> Kind {
    let part = |at: usize| {
        let text = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let folder = house.folder().join("secrets");
    let secret = server::secrets::load(&folder, "token").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice());
    let sign = move |message: &str| hmac::sign(&key, message.as_bytes()).as_ref().to_vec();
    let public = vec![vec![], b"secret".to_vec(), vec![0; 32]];
    Kind { header: part(0), claims: part(1), sign: Box::new(sign), public }
}

#[tokio::test]
async fn no_twisted_session_token_signs_in() {
    let (house, canary) = (House::furnished().await, Canary::start().await);
    let token = house.sign_in("ada").await;
    let kind = own(&house, &token);
    let again = kind.signed(&kind.header.to_string(), &kind.claims.to_string());
    me(&house, &again).await.assert_granted();
    let vectors = vectors(&kind, &canary.url);
    assert!(vectors.len() >= LEAST, "{}", vectors.len());
    let first = words(&me(&house, "x").await);
    for vector in &vectors {
        assert_eq!(words(&me(&house, vector).await), first, "{vector:.200}");
        let cookie = format!("__Host-strongroom-session={vector}");
        let request = get("/api/v1/titles").header("cookie", cookie);
        assert_eq!(words(&house.send(request.body(Body::empty()).unwrap()).await), first);
    }
    assert_eq!(canary.visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_twisted_playback_token_gets_a_license() {
    let (house, canary) = (House::furnished().await, Canary::start().await);
    let session = house.sign_in("ada").await;
    let playback = house.playback(&session, "film").await.json();
    let url = playback["license"]["clearkey"].as_str().unwrap();
    let kind = own(&house, url.split_once("?token=").unwrap().1);
    let ask = async |token: &str| {
        let escaped: String = token.bytes().map(escape).collect();
        let path = format!("/license/clearkey?token={escaped}");
        house.send(post(&path, &challenge("film", &["SD"]))).await
    };
    let vectors = vectors(&kind, &canary.url);
    assert!(vectors.len() >= LEAST, "{}", vectors.len());
    let first = words(&ask("x").await);
    for vector in &vectors {
        assert_eq!(words(&ask(vector).await), first, "{vector:.200}");
    }
    // None of them has spent the key or the slot.
    ask(&kind.signed(&kind.header.to_string(), &kind.claims.to_string())).await.assert_granted();
    assert_eq!(canary.visits.load(Ordering::SeqCst), 0);
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") }
}

#[tokio::test]
async fn no_twisted_token_of_an_issuer_signs_in() {
    let (issuer, canary) = (Issuer::start().await, Canary::start().await);
    let house = Arc::new(issuer.house(|_| {}).await);
    me(&house, &issuer.token("grace")).await.assert_granted();
    let jwk = issuer.signer.jwk("one");
    let point = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let sec1 = [&[4][..], &point("x"), &point("y")].concat();
    // RFC 5480: the head of every P-256 SubjectPublicKeyInfo.
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let head: Vec<u8> = (0..head.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&head[at..at + 2], 16).unwrap())
        .collect();
    let spki = [head, sec1.clone()].concat();
    let pem = STANDARD.encode(&spki);
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
        &pem[..64],
        &pem[64..]
    );
    let public =
        vec![sec1, spki, pem.trim_end().into(), pem.into(), jwk.to_string().into(), vec![]];
    let (header, claims) = (issuer.header(), issuer.claims("grace"));
    let url = issuer.url.clone();
    let signer = issuer.signer;
    let sign = move |message: &str| signer.sign("ES256", message.as_bytes());
    let kind = Kind { header, claims, sign: Box::new(sign), public };
    let again = kind.signed(&kind.header.to_string(), &kind.claims.to_string());
    me(&house, &again).await.assert_granted();
    let vectors = vectors(&kind, &canary.url);
    assert!(vectors.len() >= LEAST, "{}", vectors.len());
    let first = words(&me(&house, "x").await);
    for vector in &vectors {
        assert_eq!(words(&me(&house, vector).await), first, "{vector:.200} {url}");
        let exchange = house.send(post("/api/v1/sessions", &json!({"id_token": vector}))).await;
        assert_eq!(words(&exchange), first, "{vector:.200}");
    }
    let long = kind.with_claims(&json!({"pad": "x".repeat(1 << 20)}));
    let request = with_bearer(get("/api/v1/me"), &long).body(Body::empty()).unwrap();
    assert_eq!(words(&house.send(request).await), first);
    assert_eq!(canary.visits.load(Ordering::SeqCst), 0);
}
