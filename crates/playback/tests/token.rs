//! Tokens: what is accepted, and everything that must not be (RFC 8725, facts of JWT confusion).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests may panic")]

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use model::{
    AccountId, ContentId, DecisionId, DeviceId, KeyId, PlaybackSessionId, SignInId, Timestamp,
    TokenId,
};
use playback::token::{MAX_PLAYBACK_S, MAX_SESSION_S};
use playback::{Covers, MAX_KIDS, PlaybackToken, SessionToken, TokenKey, TokenRefused};
use serde_json::{Value, json};

const SECRET: [u8; 32] = [7; 32];
const NOW: Timestamp = Timestamp(1_790_000_000_900);
const BOOT: Timestamp = Timestamp(NOW.0 - 60_000);

fn key() -> TokenKey {
    TokenKey::from_bytes(&SECRET)
}

fn playback_token() -> PlaybackToken {
    PlaybackToken {
        id: TokenId::from_bytes([1; 16]),
        account: AccountId::from_bytes([2; 16]),
        device: DeviceId::from_bytes([3; 16]),
        session: PlaybackSessionId::from_bytes([4; 16]),
        content_id: ContentId::parse("film").unwrap(),
        covers: Covers::Kids(vec![KeyId::from_bytes([5; 16]), KeyId::from_bytes([6; 16])]),
        decision: DecisionId::from_bytes([7; 16]),
        holds_slot: true,
        issued: NOW,
        expires: NOW.plus_s(30),
    }
}

fn session_token() -> SessionToken {
    let issued = Timestamp(NOW.as_s() * 1000);
    SessionToken {
        account: AccountId::from_bytes([2; 16]),
        sign_in: SignInId::from_bytes([9; 16]),
        issued,
        expires: issued.plus_s(3600),
    }
}

fn verify(text: &str) -> Result<PlaybackToken, TokenRefused> {
    PlaybackToken::verify(&key(), text, NOW, BOOT)
}

fn header() -> Value {
    json!({"typ": "strongroom-license+jwt", "alg": "HS256"})
}

fn claims() -> Value {
    let text = playback_token().issue(&key());
    let body = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn changed(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

/// Signs any two texts as our own key would: the attacks that remain even then.
fn signed_text(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

fn signed(header: &Value, claims: &Value) -> String {
    signed_text(&header.to_string(), &claims.to_string())
}

#[test]
fn tokens_read_back() {
    assert_eq!(verify(&playback_token().issue(&key())), Ok(playback_token()));
    let session = session_token();
    assert_eq!(SessionToken::verify(&key(), &session.issue(&key()), NOW), Ok(session));
    assert_eq!(verify(&signed(&header(), &claims())), Ok(playback_token()), "the test signs well");
    let full = PlaybackToken {
        covers: Covers::Kids(vec![KeyId::from_bytes([5; 16]); MAX_KIDS]),
        ..playback_token()
    };
    assert_eq!(verify(&full.issue(&key())), Ok(full));
    let of_periods = PlaybackToken { covers: Covers::Periods, ..playback_token() };
    assert_eq!(verify(&of_periods.issue(&key())), Ok(of_periods));
}

#[test]
fn a_license_url_lives_30_seconds() {
    let text = playback_token().issue(&key());
    let at = |now| PlaybackToken::verify(&key(), &text, now, BOOT).map(drop);
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(NOW.plus_s(29)), Ok(()));
    assert_eq!(at(Timestamp(NOW.0 + 29_999)), Ok(()));
    assert_eq!(at(NOW.plus_s(30)), Err(TokenRefused::Expired));
    assert_eq!(at(NOW.plus_s(31)), Err(TokenRefused::Expired));
    assert_eq!(at(Timestamp(u64::MAX)), Err(TokenRefused::Expired));
}

#[test]
fn a_sign_in_ends_to_the_second() {
    let session = session_token();
    let text = session.issue(&key());
    let at = |now| SessionToken::verify(&key(), &text, now).map(drop);
    assert_eq!(at(Timestamp(session.expires.0 - 1)), Ok(()));
    assert_eq!(at(session.expires), Err(TokenRefused::Expired));
}

#[test]
fn a_token_from_before_the_server_started_is_spent() {
    let text = playback_token().issue(&key());
    let booted = |boot| PlaybackToken::verify(&key(), &text, NOW.plus_s(1), boot).map(drop);
    assert_eq!(booted(NOW), Ok(()));
    assert_eq!(booted(Timestamp(NOW.0 + 1)), Err(TokenRefused::Expired));
}

#[test]
fn a_token_from_the_future_or_with_a_long_life_is_none() {
    let with = |issued, expires| {
        verify(&PlaybackToken { issued, expires, ..playback_token() }.issue(&key())).map(drop)
    };
    assert_eq!(with(NOW, NOW.plus_s(MAX_PLAYBACK_S)), Ok(()));
    for (issued, expires) in [
        (Timestamp(NOW.0 + 1), NOW.plus_s(30)),
        (NOW, Timestamp(NOW.plus_s(MAX_PLAYBACK_S).0 + 1)),
        (NOW, Timestamp(u64::MAX)),
        (Timestamp(0), Timestamp(u64::MAX)),
        (Timestamp(u64::MAX), Timestamp(u64::MAX)),
    ] {
        assert_eq!(with(issued, expires), Err(TokenRefused::Invalid), "{issued:?} {expires:?}");
    }
    let session = |expires| {
        let token = SessionToken { expires, ..session_token() };
        SessionToken::verify(&key(), &token.issue(&key()), NOW).map(drop)
    };
    assert_eq!(session(session_token().issued.plus_s(MAX_SESSION_S)), Ok(()));
    assert_eq!(session(NOW.plus_s(MAX_SESSION_S + 1)), Err(TokenRefused::Invalid));
    assert_eq!(session(Timestamp(u64::MAX)), Err(TokenRefused::Invalid));
}

#[test]
fn one_kind_never_passes_for_the_other() {
    let playback = playback_token().issue(&key());
    let session = session_token().issue(&key());
    assert_eq!(SessionToken::verify(&key(), &playback, NOW), Err(TokenRefused::Invalid));
    assert_eq!(verify(&session), Err(TokenRefused::Invalid));
}

#[test]
fn a_token_of_another_key_is_none() {
    let text = playback_token().issue(&TokenKey::from_bytes(&[8; 32]));
    assert_eq!(verify(&text), Err(TokenRefused::Invalid));
}

#[test]
fn no_byte_of_a_token_may_change() {
    let text = playback_token().issue(&key());
    for at in 0..text.len() {
        for replacement in ["A", "B", "_", ".", "=", "%", ""] {
            let mut other = text.clone();
            other.replace_range(at..=at, replacement);
            if other != text {
                assert_eq!(verify(&other), Err(TokenRefused::Invalid), "{at} {replacement}");
            }
        }
    }
    for length in 0..text.len() {
        assert_eq!(verify(&text[..length]), Err(TokenRefused::Invalid), "cut at {length}");
    }
}

#[test]
fn a_header_with_anything_else_in_it_is_refused_even_when_signed() {
    let public_key = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "alg": "HS256"});
    let mut headers =
        vec![json!({}), json!([]), json!(null), json!("HS256"), json!({"alg": "HS256"})];
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("NONE")),
        ("alg", json!("nOnE")),
        ("alg", json!("")),
        ("alg", json!(null)),
        ("alg", json!(["HS256"])),
        ("alg", json!("hs256")),
        ("alg", json!("HS384")),
        ("alg", json!("HS512")),
        ("alg", json!("RS256")),
        ("alg", json!("PS256")),
        ("alg", json!("ES256")),
        ("alg", json!("EdDSA")),
        ("typ", json!("JWT")),
        ("typ", json!("jwt")),
        ("typ", json!("strongroom-session+jwt")),
        ("typ", json!("STRONGROOM-LICENSE+JWT")),
        ("typ", json!("application/strongroom-license+jwt")),
        ("typ", json!(null)),
        ("cty", json!("JWT")),
        ("kid", json!("1")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("http://127.0.0.1:9/key")),
        ("jwk", public_key),
        ("jku", json!("http://127.0.0.1:9/jwks.json")),
        ("x5u", json!("http://127.0.0.1:9/cert.pem")),
        ("x5c", json!([STANDARD.encode([0x30; 64])])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
        ("url", json!("http://127.0.0.1:9/")),
        ("nonce", json!("1")),
        ("iss", json!("strongroom")),
        ("anything", json!(1)),
    ] {
        headers.push(changed(header(), name, value));
    }
    for header in headers {
        assert_eq!(verify(&signed(&header, &claims())), Err(TokenRefused::Invalid), "{header}");
    }
}

#[test]
fn claims_with_anything_else_in_them_are_refused_even_when_signed() {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let mut vectors = vec![json!({}), json!([]), json!(null), json!("film")];
    for (name, value) in [
        ("aud", json!("strongroom-session")),
        ("aud", json!(["strongroom-license"])),
        ("aud", json!(["strongroom-license", "strongroom-session"])),
        ("aud", json!("STRONGROOM-LICENSE")),
        ("aud", json!(null)),
        ("iss", json!("someone-else")),
        ("iss", json!(["strongroom"])),
        ("iss", json!(null)),
        ("sub", json!("")),
        ("sub", json!("../1")),
        ("sub", json!(2)),
        ("jti", json!("x")),
        ("content", json!("../film")),
        ("content", json!("")),
        ("kids", json!([])),
        ("kids", json!("A")),
        ("kids", json!("AAAA")),
        ("kids", json!(URL_SAFE_NO_PAD.encode([0; 16 * (MAX_KIDS + 1)]))),
        ("slot", json!("true")),
        ("slot", json!(1)),
        ("iat_ms", json!(-1)),
        ("iat_ms", json!(1.5)),
        ("iat_ms", json!("0")),
        ("exp_ms", json!(1e300)),
        ("exp_ms", json!(u64::MAX)),
        ("exp_ms", json!(null)),
        ("exp_ms", deep),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(0)),
        ("admin", json!(true)),
        ("__proto__", json!({})),
    ] {
        vectors.push(changed(claims(), name, value));
    }
    for name in claims().as_object().unwrap().keys() {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        vectors.push(without);
    }
    for claims in vectors {
        assert_eq!(verify(&signed(&header(), &claims)), Err(TokenRefused::Invalid), "{claims}");
    }
}

#[test]
fn a_name_that_stands_twice_is_refused_even_when_signed() {
    let claims = claims();
    let twice = |document: &Value, name: &str| {
        let text = document.to_string();
        format!("{{\"{name}\":{},{}", document[name], &text[1..])
    };
    for name in claims.as_object().unwrap().keys() {
        let text = signed_text(&header().to_string(), &twice(&claims, name));
        assert_eq!(verify(&text), Err(TokenRefused::Invalid), "{name}");
    }
    for name in ["alg", "typ"] {
        let text = signed_text(&twice(&header(), name), &claims.to_string());
        assert_eq!(verify(&text), Err(TokenRefused::Invalid), "{name}");
    }
}

#[test]
fn other_shapes_of_text_are_refused() {
    let good = playback_token().issue(&key());
    let (message, mac) = good.rsplit_once('.').unwrap();
    let unsigned = |alg: &str| {
        let header = json!({"typ": "strongroom-license+jwt", "alg": alg}).to_string();
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims().to_string())
        )
    };
    let padded = format!("{message}.{mac}=");
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        good.repeat(2),
        format!("{good}."),
        format!(".{good}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("Bearer {good}"),
        format!("{good}.{mac}"),
        format!("{message}."),
        message.to_owned(),
        padded,
        unsigned("none"),
        unsigned("HS256"),
        // Nested: a token as another token's claims.
        signed_text(&header().to_string(), &good),
        signed(&changed(header(), "cty", json!("JWT")), &json!(good)),
        // JSON serialization of RFC 7515 instead of the compact one.
        json!({"protected": message, "signature": mac}).to_string(),
        signed_text("{\"typ\"", &claims().to_string()),
        signed_text(&header().to_string(), "\u{feff}{}"),
        "e30.e30.".to_owned(),
        "a".repeat(1 << 20),
        format!("{}.{}.{}", "a".repeat(1 << 19), "a".repeat(1 << 19), mac),
        signed(&header(), &changed(claims(), "pad", json!("x".repeat(1 << 20)))),
    ] {
        assert_eq!(verify(&text), Err(TokenRefused::Invalid), "{:.80}", text);
        assert_eq!(SessionToken::verify(&key(), &text, NOW), Err(TokenRefused::Invalid));
    }
}

#[test]
fn a_key_never_shows_itself() {
    assert_eq!(format!("{:?}", key()), "TokenKey(..)");
}
