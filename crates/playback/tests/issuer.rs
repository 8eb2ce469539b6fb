//! Tokens of identity providers: which are accepted, and everything that must not be (RFC 8725).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests may panic")]

#[path = "support/signer.rs"]
mod signer;

use model::Timestamp;
use playback::TokenRefused;
use playback::issuer::{
    Algorithm, IssuerRules, IssuerToken, KeySet, KeySetRefused, MAX_KEYS, MAX_SET_BYTES,
    MAX_SUBJECT, UncheckedToken, Unproved,
};
use serde_json::{Value, json};
use signer::Signer;

const NOW: Timestamp = Timestamp(1_800_000_000_500);
const ISSUER: &str = "https://login.example/realm";

fn rules() -> IssuerRules {
    IssuerRules {
        issuer: ISSUER.to_owned(),
        audiences: vec!["tv".to_owned(), "tv-app".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        types: vec!["jwt".to_owned(), "at+jwt".to_owned()],
        leeway_s: 30,
        max_life_s: 3600,
    }
}

fn header(algorithm: &str) -> Value {
    json!({"alg": algorithm, "kid": "1", "typ": "JWT"})
}

fn claims() -> Value {
    let now = NOW.as_s();
    json!({"iss": ISSUER, "aud": "tv", "sub": "ada", "iat": now - 10, "exp": now + 300})
}

fn changed(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

fn keys(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": jwks}).to_string().as_bytes()).unwrap()
}

fn verify_by(rules: &IssuerRules, text: &str, keys: &KeySet) -> Result<IssuerToken, Unproved> {
    let refused = Unproved::Refused;
    UncheckedToken::parse(text).map_err(refused)?.check(rules, NOW).map_err(refused)?.prove(keys)
}

fn verify(text: &str, keys: &KeySet) -> Result<IssuerToken, Unproved> {
    verify_by(&rules(), text, keys)
}

const INVALID: Unproved = Unproved::Refused(TokenRefused::Invalid);
const EXPIRED: Unproved = Unproved::Refused(TokenRefused::Expired);

#[test]
fn every_algorithm_signs_with_its_kind_of_key_and_no_other() {
    let signers = [Signer::rsa(), Signer::p256(), Signer::p384(), Signer::ed25519()];
    let serves = |signer: usize, algorithm: Algorithm| match algorithm {
        Algorithm::Es256 => signer == 1,
        Algorithm::Es384 => signer == 2,
        Algorithm::EdDsa => signer == 3,
        _ => signer == 0,
    };
    for (at, signer) in signers.iter().enumerate() {
        let keys = keys(&[signer.jwk("1")]);
        for algorithm in Algorithm::ALL {
            let token = signer.token(&header(algorithm.name()), &claims());
            let read = verify(&token, &keys);
            if serves(at, algorithm) {
                assert_eq!(read.unwrap().subject(), "ada");
                let mut strict = rules();
                strict.algorithms.retain(|allowed| *allowed != algorithm);
                assert_eq!(verify_by(&strict, &token, &keys).unwrap_err(), INVALID);
            } else {
                assert!(read.is_err(), "{at} {algorithm:?}");
            }
        }
    }
}

#[test]
fn a_token_says_who_and_until_when() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    let claims = changed(claims(), "tier", json!("gold"));
    let token = verify(&signer.token(&header("EdDSA"), &claims), &keys).unwrap();
    assert_eq!((token.issuer(), token.subject()), (ISSUER, "ada"));
    assert_eq!(token.issued(), Timestamp((NOW.as_s() - 10) * 1000));
    assert_eq!(token.expires(), Timestamp((NOW.as_s() + 300) * 1000));
    assert_eq!(
        (token.text("tier"), token.text("iat"), token.text("x")),
        (Some("gold"), None, None)
    );
    for kind in [json!("at+JWT"), json!("jwt")] {
        let header = changed(header("EdDSA"), "typ", kind);
        assert!(verify(&signer.token(&header, &claims), &keys).is_ok());
    }
    let untyped = json!({"alg": "EdDSA", "kid": "1", "x5t": "AAAA"});
    assert!(verify(&signer.token(&untyped, &claims), &keys).is_ok());
    let typed = IssuerRules { types: vec!["at+jwt".to_owned()], ..rules() };
    let text = signer.token(&untyped, &claims);
    assert_eq!(verify_by(&typed, &text, &keys).unwrap_err(), INVALID);
}

#[test]
fn tokens_of_one_session_are_one_sign_in_and_others_are_not() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    let sign_in =
        |claims: &Value| verify(&signer.token(&header("EdDSA"), claims), &keys).unwrap().sign_in();
    let session = changed(claims(), "sid", json!("s1"));
    let later = changed(session.clone(), "exp", json!(NOW.as_s() + 400));
    assert_eq!(sign_in(&session), sign_in(&later));
    assert_ne!(sign_in(&session), sign_in(&changed(session.clone(), "sid", json!("s2"))));
    assert_ne!(sign_in(&session), sign_in(&changed(session.clone(), "sub", json!("eve"))));
    let (one, other) = (claims(), changed(claims(), "jti", json!("2")));
    assert_eq!(sign_in(&one), sign_in(&one));
    assert_ne!(sign_in(&one), sign_in(&other), "no session is named");
    // What joins the names must not be movable from one to the next.
    let joined = changed(changed(claims(), "sub", json!("adas")), "sid", json!("1"));
    assert_ne!(sign_in(&session), sign_in(&joined));
}

#[test]
fn time_is_what_the_issuer_says_with_a_bounded_leeway() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    let now = NOW.as_s();
    for (times, expected) in [
        (json!({"iat": now, "exp": now + 3600}), None),
        (json!({"iat": now, "exp": now + 3601}), Some(INVALID)),
        (json!({"iat": now + 30, "exp": now + 60}), None),
        (json!({"iat": now + 31, "exp": now + 60}), Some(INVALID)),
        (json!({"iat": now - 60, "exp": now - 29}), None),
        (json!({"iat": now - 60, "exp": now - 30}), Some(EXPIRED)),
        (json!({"iat": now - 60, "exp": now + 60, "nbf": now + 30}), None),
        (json!({"iat": now - 60, "exp": now + 60, "nbf": now + 31}), Some(INVALID)),
        (json!({"iat": now, "exp": now}), Some(INVALID)),
        (json!({"iat": now, "exp": now - 1}), Some(INVALID)),
        (json!({"iat": 0, "exp": now + 60}), Some(INVALID)),
        (json!({"iat": now, "exp": u64::MAX}), Some(INVALID)),
        (json!({"iat": u64::MAX, "exp": u64::MAX}), Some(INVALID)),
        (json!({"iat": now, "exp": 1e300}), Some(INVALID)),
        (json!({"iat": now, "exp": "soon"}), Some(INVALID)),
        (json!({"iat": -1, "exp": now + 60}), Some(INVALID)),
        (json!({"iat": null, "exp": now + 60}), Some(INVALID)),
        (json!({"iat": now, "exp": now + 60, "nbf": null}), Some(INVALID)),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        let read = verify(&signer.token(&header("EdDSA"), &claims), &keys);
        assert_eq!(read.err(), expected, "{times}");
    }
    // That its time is over learns only who holds a signed one.
    let old = changed(changed(claims(), "iat", json!(now - 99)), "exp", json!(now - 60));
    let forged = Signer::ed25519().token(&header("EdDSA"), &old);
    assert_eq!(verify(&forged, &keys).unwrap_err(), INVALID);
}

#[test]
fn an_audience_is_ours_or_the_token_is_none() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    for (audience, is_ours) in [
        (json!("tv-app"), true),
        (json!(["tv"]), true),
        (json!(["tv", "tv-app"]), true),
        (json!(["tv", "bank"]), false),
        (json!("TV"), false),
        (json!("tv "), false),
        (json!(""), false),
        (json!([]), false),
        (json!([["tv"]]), false),
        (json!({"tv": 1}), false),
        (json!(null), false),
    ] {
        let claims = changed(claims(), "aud", audience.clone());
        let read = verify(&signer.token(&header("EdDSA"), &claims), &keys);
        assert_eq!(read.is_ok(), is_ours, "{audience}");
    }
}

#[test]
fn a_header_says_nothing_but_the_algorithm_and_which_key() {
    let signer = Signer::p256();
    let keys = keys(&[signer.jwk("1")]);
    assert!(verify(&signer.token(&header("ES256"), &claims()), &keys).is_ok());
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("nOnE")),
        ("alg", json!("HS256")),
        ("alg", json!("es256")),
        ("alg", json!(["ES256"])),
        ("alg", json!(null)),
        ("alg", json!("ES512")),
        ("alg", json!("ES256K")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!("x".repeat(257))),
        ("cty", json!("JWT")),
        ("jwk", signer.jwk("1")),
        ("jku", json!("https://login.example/keys")),
        ("x5u", json!("https://login.example/cert")),
        ("x5c", json!(["MII="])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("nonce", json!("1")),
    ] {
        let header = changed(header("ES256"), name, value);
        assert_eq!(
            verify(&signer.token(&header, &claims()), &keys).unwrap_err(),
            INVALID,
            "{header}"
        );
    }
    for kid in ["2", "../1", "1\u{0}", "https://evil.example/1", "1' OR '1'='1"] {
        let header = changed(header("ES256"), "kid", json!(kid));
        let read = verify(&signer.token(&header, &claims()), &keys);
        assert_eq!(read.unwrap_err(), Unproved::UnknownKey, "{kid}");
    }
}

#[test]
fn claims_of_another_use_or_person_are_refused() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    let mut vectors = vec![];
    for (name, value) in [
        ("iss", json!("https://login.example/realm/")),
        ("iss", json!("https://LOGIN.example/realm")),
        ("iss", json!([ISSUER])),
        ("iss", json!(null)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\u{0}da")),
        ("sub", json!("x".repeat(MAX_SUBJECT + 1))),
        ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        ("cnf", json!({"jkt": "x"})),
    ] {
        vectors.push(changed(claims(), name, value));
    }
    for name in ["iss", "aud", "sub", "iat", "exp"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        vectors.push(without);
    }
    for claims in vectors {
        let read = verify(&signer.token(&header("EdDSA"), &claims), &keys);
        assert_eq!(read.unwrap_err(), INVALID, "{claims}");
    }
    let most = changed(claims(), "sub", json!("x".repeat(MAX_SUBJECT)));
    assert!(verify(&signer.token(&header("EdDSA"), &most), &keys).is_ok());
}

#[test]
fn a_name_that_stands_twice_is_refused_even_when_signed() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    let (header, claims) = (header("EdDSA"), claims());
    let twice = |document: &Value, name: &str| {
        format!("{{\"{name}\":{},{}", document[name], &document.to_string()[1..])
    };
    for name in ["iss", "aud", "sub", "iat", "exp"] {
        let token = signer.token_of_text(&header.to_string(), &twice(&claims, name));
        assert_eq!(verify(&token, &keys).unwrap_err(), INVALID, "{name}");
    }
    for name in ["alg", "kid", "typ"] {
        let token = signer.token_of_text(&twice(&header, name), &claims.to_string());
        assert_eq!(verify(&token, &keys).unwrap_err(), INVALID, "{name}");
    }
}

#[test]
fn no_byte_of_a_token_may_change_and_no_other_shape_counts() {
    let signer = Signer::ed25519();
    let keys = keys(&[signer.jwk("1")]);
    let good = signer.token(&header("EdDSA"), &claims());
    assert!(verify(&good, &keys).is_ok());
    for at in 0..good.len() {
        for replacement in ["A", "_", ".", "=", ""] {
            let mut other = good.clone();
            other.replace_range(at..=at, replacement);
            assert!(other == good || verify(&other, &keys).is_err(), "{at} {replacement}");
        }
    }
    let (message, signature) = good.rsplit_once('.').unwrap();
    for text in [
        String::new(),
        "..".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!("{good}="),
        format!("{good}.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        json!({"protected": message, "signature": signature}).to_string(),
        "a".repeat(1 << 20),
        signer.token(&header("EdDSA"), &changed(claims(), "pad", json!("x".repeat(5000)))),
        signer.token_of_text(&header("EdDSA").to_string(), &good),
    ] {
        assert_eq!(verify(&text, &keys).unwrap_err(), INVALID, "{text:.60}");
    }
}

#[test]
fn a_key_set_keeps_only_what_can_check_a_signature() {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::p256(), Signer::ed25519());
    let parse = |keys: Value| KeySet::parse(json!({"keys": keys}).to_string().as_bytes());
    let good = ed.jwk("1");
    for passed_over in [
        json!({"kty": "oct", "kid": "1", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}),
        json!({"kty": "OKP", "crv": "X25519", "kid": "1", "x": good["x"]}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "1", "x": "AA", "y": "AA"}),
        changed(good.clone(), "use", json!("enc")),
        changed(good.clone(), "use", json!(null)),
        changed(good.clone(), "key_ops", json!(["sign"])),
        changed(good.clone(), "alg", json!("HS256")),
        changed(good.clone(), "alg", json!("RS256")),
        changed(good.clone(), "d", json!("AAAA")),
        changed(good.clone(), "x", json!("AAAA")),
        changed(good.clone(), "kid", json!("")),
        changed(good.clone(), "kid", json!("x".repeat(257))),
        changed(ec.jwk("1"), "x", json!("AAAA")),
        changed(rsa.jwk("1"), "n", json!("AQAB")),
        changed(rsa.jwk("1"), "n", json!("A".repeat(2000))),
        changed(rsa.jwk("1"), "e", json!("")),
        changed(rsa.jwk("1"), "e", json!("AAAAAAAAAAAA")),
        json!({"kid": "1"}),
    ] {
        assert_eq!(parse(json!([passed_over])).unwrap_err(), KeySetRefused::NoKey, "{passed_over}");
        let mixed = parse(json!([passed_over, rsa.jwk("2")])).unwrap();
        assert!(mixed.has("2", Algorithm::Rs256) && !mixed.has("1", Algorithm::EdDsa));
    }
    // Two that share a name: neither, for it is not known which one is meant.
    let twins = parse(json!([ed.jwk("1"), Signer::ed25519().jwk("1"), ec.jwk("1")])).unwrap();
    assert!(!twins.has("1", Algorithm::EdDsa) && twins.has("1", Algorithm::Es256));
    let only = parse(json!([changed(rsa.jwk("1"), "alg", json!("PS256"))])).unwrap();
    assert!(only.has("1", Algorithm::Ps256) && !only.has("1", Algorithm::Rs256));
}

#[test]
fn a_text_that_is_no_key_set_is_refused() {
    for text in
        ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[1]}", "{\"keys\":[],\"keys\":[]}", "<html>"]
    {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), KeySetRefused::Malformed, "{text}");
    }
    let none = KeySet::parse(br#"{"keys":[]}"#).unwrap_err();
    assert_eq!(none, KeySetRefused::NoKey);
    let many = json!({"keys": vec![Signer::ed25519().jwk("1"); MAX_KEYS + 1]}).to_string();
    assert_eq!(KeySet::parse(many.as_bytes()).unwrap_err(), KeySetRefused::TooLarge);
    let long = vec![b' '; MAX_SET_BYTES + 1];
    assert_eq!(KeySet::parse(&long).unwrap_err(), KeySetRefused::TooLarge);
}
