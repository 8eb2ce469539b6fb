//! The vault's tokens: what is accepted, and everything that must not be (RFC 8725).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests may panic")]

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{AccountId, ContentId, SignInId, Timestamp, TokenId};
use playback::vault_token::{MAX_CONTENT, MAX_VAULT_TOKEN_S};
use playback::{
    ContentLimit, Scope, Scopes, SessionToken, TokenKey, TokenRefused, VaultToken, VaultTokenKey,
};
use serde_json::{Value, json};

const SECRET: [u8; 32] = [8; 32];
const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn key() -> VaultTokenKey {
    VaultTokenKey::from_bytes(&SECRET)
}

fn film(name: &str) -> ContentId {
    ContentId::parse(name).unwrap()
}

fn token() -> VaultToken {
    VaultToken {
        id: TokenId::from_bytes([1; 16]),
        scopes: [Scope::Speke, Scope::Cpix].into_iter().collect(),
        content: ContentLimit::Only(vec![film("film"), film("series.1")]),
        issued: NOW,
        expires: NOW.plus_s(3600),
    }
}

fn verify(text: &str) -> Result<VaultToken, TokenRefused> {
    VaultToken::verify(&key(), text, NOW.plus_s(1))
}

fn signed_with(secret: &[u8], header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// Signs anything as our own key would: the attacks that remain even then.
fn signed(header: &Value, claims: &Value) -> String {
    signed_with(&SECRET, header, claims)
}

fn header() -> Value {
    json!({"typ": "strongroom-vault+jwt", "alg": "HS256"})
}

fn claims() -> Value {
    let text = token().issue(&key());
    let body = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn changed(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

fn without(mut document: Value, name: &str) -> Value {
    document.as_object_mut().unwrap().remove(name);
    document
}

#[test]
fn tokens_read_back() {
    assert_eq!(verify(&token().issue(&key())), Ok(token()));
    assert_eq!(verify(&signed(&header(), &claims())), Ok(token()), "the test signs well");
    let every = VaultToken { content: ContentLimit::Every, ..token() };
    assert_eq!(verify(&every.issue(&key())), Ok(every));
    let longest = ContentLimit::Only(vec![film(&"x".repeat(64)); MAX_CONTENT]);
    let longest = VaultToken { content: longest, ..token() };
    assert_eq!(verify(&longest.issue(&key())), Ok(longest));
}

#[test]
fn scopes_and_titles_are_exactly_those_named() {
    let token = token();
    assert!(token.scopes.allow(Scope::Speke) && token.scopes.allow(Scope::Cpix));
    assert!(!token.scopes.allow(Scope::Keys) && !token.scopes.allow(Scope::Admin));
    assert!(token.content.allows(&film("film")) && !token.content.allows(&film("film2")));
    assert!(ContentLimit::Every.allows(&film("film2")));
    assert!(!ContentLimit::Only(vec![]).allows(&film("film")));
    assert!(!Scopes::default().allow(Scope::Admin));
    assert_eq!(Scope::ALL.map(|scope| Scope::parse(scope.name())), Scope::ALL.map(Some));
    assert_eq!(Scope::parse("Speke"), None);
}

#[test]
fn a_token_ends_to_the_second_and_never_begins_early() {
    let text = token().issue(&key());
    let at = |now| VaultToken::verify(&key(), &text, now).map(drop);
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(at(Timestamp(NOW.0 - 1)), Err(TokenRefused::Invalid));
    assert_eq!(at(Timestamp(token().expires.0 - 1)), Ok(()));
    assert_eq!(at(token().expires), Err(TokenRefused::Expired));
    let eternal = VaultToken { expires: NOW.plus_s(MAX_VAULT_TOKEN_S + 1), ..token() };
    assert_eq!(verify(&eternal.issue(&key())), Err(TokenRefused::Invalid));
}

#[test]
fn confused_tokens_are_refused() {
    let refused = |text: String| assert_eq!(verify(&text), Err(TokenRefused::Invalid), "{text}");
    for alg in ["none", "None", "HS384", "HS512", "RS256", "EdDSA", "ES256", ""] {
        refused(signed(&changed(header(), "alg", json!(alg)), &claims()));
        let text = signed(&changed(header(), "alg", json!(alg)), &claims());
        let (unsigned, _) = text.rsplit_once('.').unwrap();
        refused(format!("{unsigned}."));
        refused(unsigned.to_owned());
    }
    for typ in ["strongroom-session+jwt", "strongroom-license+jwt", "JWT"] {
        refused(signed(&changed(header(), "typ", json!(typ)), &claims()));
    }
    for extra in ["kid", "jku", "jwk", "x5u", "crit", "cty"] {
        refused(signed(&changed(header(), extra, json!("x")), &claims()));
    }
    for (name, value) in [
        ("aud", json!("strongroom-license")),
        ("aud", json!("strongroom-session")),
        ("iss", json!("someone")),
        ("scope", json!(["root"])),
        ("scope", json!("speke")),
        ("content", json!(["../x"])),
        ("content", json!("film")),
        ("content", json!(vec!["x"; MAX_CONTENT + 1])),
        ("exp", json!("never")),
        ("extra", json!(1)),
    ] {
        refused(signed(&header(), &changed(claims(), name, value)));
    }
    for name in ["aud", "iss", "sub", "jti", "scope", "iat", "exp"] {
        refused(signed(&header(), &without(claims(), name)));
    }
    refused(signed_with(&[9; 32], &header(), &claims()));
    refused("x".repeat(10_000));
}

#[test]
fn a_viewers_token_is_none_of_the_vaults_even_under_its_key() {
    let session = SessionToken {
        account: AccountId::from_bytes([2; 16]),
        sign_in: SignInId::from_bytes([9; 16]),
        issued: NOW,
        expires: NOW.plus_s(3600),
    };
    let same_bytes = TokenKey::from_bytes(&SECRET);
    assert_eq!(verify(&session.issue(&same_bytes)), Err(TokenRefused::Invalid));
    let text = token().issue(&key());
    let read = SessionToken::verify(&same_bytes, &text, NOW.plus_s(1));
    assert_eq!(read, Err(TokenRefused::Invalid));
}

#[test]
fn every_flipped_letter_is_refused() {
    let text = token().issue(&key());
    for at in 0..text.len() - 1 {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(verify(&String::from_utf8(bytes).unwrap()).is_err(), "{at}");
    }
}
