//! Proofs of device keys and device tickets: what holds, and each way in which one does not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod device_key;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use device_key::DeviceKey;
use model::{AccountId, DeviceId, Entropy, Timestamp};
use playback::proof::{Asked, MAX_SKEW_S, Proof, ProofRefused, verify};
use playback::ticket::TICKET_CHARS;
use playback::{Ticket, TicketKey};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_800_000_000_500);
const URL: &str = "https://tv.example/api/v1/devices";

fn check(text: &str) -> Result<Proof, ProofRefused> {
    let asked = Asked { method: "POST", url: URL, credentials: &["ticket", "sign-in"] };
    verify(text, &asked, NOW)
}

/// A proof with other claims.
fn with_claims(key: &DeviceKey, edit: impl FnOnce(&mut Value)) -> Result<Proof, ProofRefused> {
    let mut claims = json!({"htm": "POST", "htu": URL, "iat": NOW.as_s(), "jti": "one"});
    edit(&mut claims);
    check(&key.sign(&key.header().to_string(), &claims.to_string()))
}

/// A proof with another header.
fn with_header(key: &DeviceKey, edit: impl FnOnce(&mut Value)) -> Result<Proof, ProofRefused> {
    let mut header = key.header();
    edit(&mut header);
    let claims = json!({"htm": "POST", "htu": URL, "iat": NOW.as_s(), "jti": "one"});
    check(&key.sign(&header.to_string(), &claims.to_string()))
}

#[test]
fn a_proof_names_its_key_and_itself() {
    let (one, other) = (DeviceKey::new(), DeviceKey::new());
    let prove = |key: &DeviceKey, id| check(&key.proof("POST", URL, NOW.as_s(), id)).unwrap();
    let first = prove(&one, "a");
    assert_eq!(first.key, prove(&one, "b").key);
    assert_ne!(first.key, prove(&other, "a").key);
    assert_ne!(first.id, prove(&one, "b").id);
    assert_ne!(first.id, prove(&other, "a").id, "one key uses up no id of another's");
    assert_eq!(first, prove(&one, "a"));
}

/// The thumbprint of the example of RFC 9449, 6.1, over the proof of its 4.1.
#[test]
fn the_example_of_the_standard_has_the_standards_thumbprint() {
    let proof = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0V",
        "jNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10Nn",
        "Y5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE",
        "9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-Gx",
        "A6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    );
    let url = "https://server.example.com/token";
    let asked = Asked { method: "POST", url, credentials: &[] };
    let proof = verify(proof, &asked, Timestamp(1_562_262_616_000)).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(proof.key);
    assert_eq!(thumbprint, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

#[test]
fn a_proof_is_for_one_request() {
    let key = DeviceKey::new();
    let refused = |method, url| check(&key.proof(method, url, NOW.as_s(), "one")).unwrap_err();
    for method in ["GET", "post", "", "POST "] {
        assert_eq!(refused(method, URL), ProofRefused::Method, "{method}");
    }
    for url in [
        "http://tv.example/api/v1/devices",
        "https://tv.example:444/api/v1/devices",
        "https://tv.example.evil/api/v1/devices",
        "https://evil@tv.example/api/v1/devices",
        "https://tv.example/api/v1/devices/",
        "https://tv.example/api/v1/Devices",
        "https://tv.example/api/v1/devices%",
        "https://tv.example/api/v1/devices%zz",
        "https://tv.example/api/v1%2fdevices",
        "https://tv.example",
        "tv.example/api/v1/devices",
        "ftp://tv.example/api/v1/devices",
        "https://",
        "",
    ] {
        assert_eq!(refused("POST", url), ProofRefused::Address, "{url}");
    }
    // The same address in another spelling, with or without a query.
    for url in [
        "HTTPS://TV.example:443/api/v1/devices?x=1#y",
        "https://tv.example:/api/v1/devices",
        "https://tv.example/api/v1/%64evices",
    ] {
        assert!(check(&key.proof("POST", url, NOW.as_s(), "one")).is_ok(), "{url}");
    }
}

#[test]
fn a_proof_is_of_its_minute() {
    let key = DeviceKey::new();
    let at = |at_s| check(&key.proof("POST", URL, at_s, "one"));
    let now_s = NOW.as_s();
    for at_s in [now_s - MAX_SKEW_S, now_s, now_s + MAX_SKEW_S] {
        assert!(at(at_s).is_ok(), "{at_s}");
    }
    for at_s in [0, now_s - MAX_SKEW_S - 1, now_s + MAX_SKEW_S + 1, u64::MAX] {
        assert_eq!(at(at_s), Err(ProofRefused::Time), "{at_s}");
    }
    // It is remembered as long as it could be used again.
    let oldest = at(now_s + MAX_SKEW_S).unwrap();
    assert!(oldest.ends() > NOW.plus_s(2 * MAX_SKEW_S));
}

#[test]
fn only_the_header_of_the_standard_is_accepted() {
    let key = DeviceKey::new();
    let refused = |edit: &dyn Fn(&mut Value)| with_header(&key, edit).unwrap_err();
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("es256")),
        ("typ", json!("JWT")),
        ("typ", json!("DPOP+JWT")),
    ] {
        let refusal = refused(&|header| header[name] = value.clone());
        assert_eq!(refusal, ProofRefused::Algorithm, "{name} {value}");
    }
    for name in ["kid", "jku", "x5u", "x5c", "crit", "b64", "cty", "zip", "enc"] {
        let refusal = refused(&|header| header[name] = json!("1"));
        assert_eq!(refusal, ProofRefused::Malformed, "{name}");
    }
    for name in ["typ", "alg", "jwk"] {
        let refusal = refused(&|header| drop(header.as_object_mut().unwrap().remove(name)));
        assert_eq!(refusal, ProofRefused::Malformed, "without {name}");
    }
    // A private part, and whatever else a key could say.
    for name in ["d", "k", "use", "key_ops", "ext", "kid", "x5c", "alg"] {
        let refusal = refused(&|header| header["jwk"][name] = json!("AA"));
        assert_eq!(refusal, ProofRefused::Malformed, "jwk {name}");
    }
    for (name, value) in [("kty", "RSA"), ("kty", "oct"), ("crv", "P-384"), ("crv", "secp256k1")] {
        let refusal = refused(&|header| header["jwk"][name] = json!(value));
        assert_eq!(refusal, ProofRefused::Algorithm, "jwk {name} {value}");
    }
    // Not a point of the curve, too short, another spelling of the same bytes.
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    let off = with_header(&key, |header| header["jwk"]["x"] = json!(zero));
    assert_eq!(off, Err(ProofRefused::Signature));
    let short = URL_SAFE_NO_PAD.encode([1; 31]);
    assert_eq!(refused(&|header| header["jwk"]["x"] = json!(short)), ProofRefused::Malformed);
    let padded = format!("{}=", key.jwk()["x"].as_str().unwrap());
    assert_eq!(refused(&|header| header["jwk"]["x"] = json!(padded)), ProofRefused::Malformed);
    // A name that stands twice.
    let twice = key.header().to_string().replacen('{', r#"{"alg":"ES256","#, 1);
    let claims = json!({"htm": "POST", "htu": URL, "iat": NOW.as_s(), "jti": "one"});
    let twice = check(&key.sign(&twice, &claims.to_string()));
    assert_eq!(twice, Err(ProofRefused::Malformed));
}

#[test]
fn only_the_claims_of_the_standard_are_accepted() {
    let key = DeviceKey::new();
    assert!(with_claims(&key, |_| {}).is_ok());
    for name in ["htm", "htu", "iat", "jti"] {
        let without =
            with_claims(&key, |claims| drop(claims.as_object_mut().unwrap().remove(name)));
        assert_eq!(without, Err(ProofRefused::Malformed), "without {name}");
    }
    for (name, value) in [
        ("jti", json!("")),
        ("jti", json!("x".repeat(129))),
        ("jti", json!(1)),
        ("iat", json!(-1)),
        ("iat", json!(1.5)),
        ("iat", json!("1800000000")),
        ("admin", json!(true)),
    ] {
        let refused = with_claims(&key, |claims| claims[name] = value.clone());
        assert_eq!(refused, Err(ProofRefused::Malformed), "{name} {value}");
    }
    // A proof that names a credential is for one that came along.
    let hash = |text: &str| {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        URL_SAFE_NO_PAD.encode(hash)
    };
    for (credential, is_accepted) in [("ticket", true), ("sign-in", true), ("other", false)] {
        let proof = with_claims(&key, |claims| claims["ath"] = json!(hash(credential)));
        assert_eq!(proof.is_ok(), is_accepted, "{credential}: {proof:?}");
    }
}

#[test]
fn what_was_not_signed_by_the_key_is_refused() {
    let (key, other) = (DeviceKey::new(), DeviceKey::new());
    let proof = key.proof("POST", URL, NOW.as_s(), "one");
    let claims = json!({"htm": "POST", "htu": URL, "iat": NOW.as_s(), "jti": "one"}).to_string();
    let foreign = other.sign(&key.header().to_string(), &claims);
    assert_eq!(check(&foreign), Err(ProofRefused::Signature));
    let parts: Vec<&str> = proof.split('.').collect();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(check(&unsigned), Err(ProofRefused::Signature));
    for text in ["", ".", "..", "...", "a.b.c", parts[0], &proof[1..], &format!("{proof}.x")] {
        assert!(check(text).is_err(), "{text}");
    }
    assert_eq!(check(&"a".repeat(5000)), Err(ProofRefused::Malformed));
    // Each letter counts.
    for at in 0..proof.len() {
        let mut text = proof.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        assert!(check(&text).is_err(), "letter {at}");
    }
}

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

const TICKET: Ticket = Ticket {
    device: DeviceId::from_bytes([0xd1; 16]),
    account: AccountId::from_bytes([0xac; 16]),
    key: [0x55; 32],
    epoch: 3,
    expires: Timestamp(1_800_043_200_000),
};

#[test]
fn a_ticket_opens_under_its_key_alone() {
    let key = TicketKey::from_bytes(&[1; 32]);
    let text = TICKET.seal(&key, &mut Sevens);
    assert_eq!(text.len(), TICKET_CHARS);
    assert_eq!(Ticket::open(&key, &text), Ok(TICKET));
    assert!(Ticket::open(&TicketKey::from_bytes(&[2; 32]), &text).is_err());
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(Ticket::open(&key, std::str::from_utf8(&other).unwrap()).is_err(), "letter {at}");
    }
    for other in ["", &text[1..], &format!("{text}A"), &format!("{text}=")] {
        assert!(Ticket::open(&key, other).is_err(), "{other}");
    }
}

#[test]
fn a_ticket_shows_nobody_whose_it_is() {
    let key = TicketKey::from_bytes(&[1; 32]);
    let sealed = URL_SAFE_NO_PAD.decode(TICKET.seal(&key, &mut Sevens)).unwrap();
    for part in [&TICKET.device.as_bytes()[..], TICKET.account.as_bytes(), &TICKET.key] {
        assert!(!sealed.windows(4).any(|four| four == &part[..4]));
    }
}

#[test]
fn a_ticket_is_for_one_account_and_one_key() {
    let other = AccountId::from_bytes([0xad; 16]);
    assert!(TICKET.check(TICKET.account, &TICKET.key).is_ok());
    assert!(TICKET.check(other, &TICKET.key).is_err());
    assert!(TICKET.check(TICKET.account, &[0x56; 32]).is_err());
    assert!(TICKET.check(other, &[0x56; 32]).is_err());
}
