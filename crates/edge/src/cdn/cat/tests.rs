//! Tokens there and back, and what is no token.

use super::super::tests::{base, scope};
use super::super::{CannotSign, Scope, SharedSecret, Signer, SigningScheme};
use super::*;
use crate::{EdgePass, PassRefused};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coset::CborSerializable as _;
use coset::cbor::Value;
use model::{ContentId, Country, PlaybackSessionId, Timestamp, TrackClasses};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

const HS256: i64 = 5;
const ES256: i64 = -7;
const SIGN1: u64 = 18;
const MAC0: u64 = 17;

fn secret(digit: &str) -> SharedSecret {
    SharedSecret::parse(&digit.repeat(64)).unwrap()
}

fn pair() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

fn es256(message: &[u8]) -> Vec<u8> {
    let signature: Signature = pair().sign(message);
    signature.to_bytes().to_vec()
}

fn hs256(message: &[u8]) -> Vec<u8> {
    secret("a").sign(message)
}

fn point() -> [u8; 64] {
    let sec1 = pair().verifying_key().to_sec1_point(false);
    sec1.as_bytes()[1..].try_into().unwrap()
}

fn verifier() -> CatVerifier {
    let trusted = |key_id: &str, key| TrustedIssuer {
        issuer: "strongroom".to_owned(),
        key_id: key_id.to_owned(),
        key,
    };
    CatVerifier::new(vec![
        trusted("mac", CatKey::Hs256(secret("a"))),
        trusted("ec", CatKey::Es256(point())),
    ])
}

fn both() -> [CatSigner; 2] {
    let es256 = CatSigningKey::Es256(Box::new(es256));
    [
        CatSigner::new("strongroom", "mac", CatSigningKey::Hs256(secret("a"))).unwrap(),
        CatSigner::new("strongroom", "ec", es256).unwrap(),
    ]
}

fn token_of(signer: CatSigner, scope: &Scope) -> String {
    let place = Signer::new(base(), SigningScheme::Cat(signer)).sign(scope).unwrap();
    let token = place.query.unwrap().strip_prefix("CAT=").unwrap().to_owned();
    assert_eq!(place.cookies, [(HEADER.to_owned(), token.clone())]);
    token
}

struct Request {
    path: &'static str,
    method: &'static str,
    country: Option<&'static str>,
    now: Timestamp,
}

const PATH_ASKED: &str = "/v/film/cbcs/video/1.m4s";

fn request() -> Request {
    Request { path: PATH_ASKED, method: "GET", country: None, now: scope().issued }
}

fn open(token: &str, request: &Request) -> Result<EdgePass, PassRefused> {
    let asked = Asked {
        path: request.path,
        content_id: &ContentId::parse("film").unwrap(),
        method: request.method,
        country: request.country.and_then(Country::parse),
        now: request.now,
    };
    verifier().open(token, &asked)
}

#[test]
fn what_is_signed_opens_as_the_pass_that_was_meant() {
    for mut signer in both() {
        signer.names_rendition = true;
        let expires = Timestamp(scope().pass.expires.as_s() * 1000);
        let opened = open(&token_of(signer, &scope()), &request());
        assert_eq!(opened, Ok(EdgePass { expires, ..scope().pass }));
    }
    for signer in both() {
        let opened = open(&token_of(signer, &scope()), &request()).unwrap();
        assert_eq!(opened.session, scope().pass.session);
        assert_eq!(opened.classes, TrackClasses::NONE, "no manifest without our own claim");
    }
}

#[test]
fn another_path_method_or_time_is_refused() {
    for signer in both() {
        let token = token_of(signer, &scope());
        for path in
            ["/v/film", "/v/film2/1.m4s", "/v/Film/1.m4s", "/v/other/1.m4s", "/w/film/1", "", "/"]
        {
            let refused = open(&token, &Request { path, ..request() });
            assert_eq!(refused, Err(PassRefused::Invalid), "{path}");
        }
        for (method, allowed) in [("HEAD", true), ("POST", false), ("get", false), ("", false)] {
            let opened = open(&token, &Request { method, ..request() });
            assert_eq!(opened.is_ok(), allowed, "{method}");
        }
        let end = scope().pass.expires.as_s() * 1000;
        let at = |ms: u64| open(&token, &Request { now: Timestamp(ms), ..request() }).map(drop);
        assert_eq!(at(end - 1000), Ok(()));
        assert_eq!(at(end - 1), Ok(()));
        assert_eq!(at(end), Err(PassRefused::Expired));
        assert_eq!(at(end + 1000), Err(PassRefused::Expired));
        assert_eq!(at(u64::MAX), Err(PassRefused::Expired));
    }
}

#[test]
fn a_country_in_the_token_is_enforced() {
    for mut signer in both() {
        signer.is_bound_to_country = true;
        let from = |country: &str| Scope { country: Country::parse(country), ..scope() };
        let nowhere = Signer::new(base(), SigningScheme::Cat(both().into_iter().next().unwrap()));
        assert!(nowhere.sign(&scope()).is_ok());
        let token = token_of(signer, &from("DE"));
        for (country, allowed) in [(Some("DE"), true), (Some("FR"), false), (None, false)] {
            let opened = open(&token, &Request { country, ..request() });
            assert_eq!(opened.is_ok(), allowed, "{country:?}");
        }
    }
    let [mut signer, _] = both();
    signer.is_bound_to_country = true;
    let signer = Signer::new(base(), SigningScheme::Cat(signer));
    assert_eq!(signer.sign(&scope()), Err(CannotSign::Country));
}

#[test]
fn no_character_of_a_token_may_change() {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.%\0";
    for signer in both() {
        let token = token_of(signer, &scope());
        for at in 0..token.len() {
            // Every replacement for a few, one for the rest.
            let all = if at % 16 == 0 { alphabet.len() } else { 1 };
            for replacement in alphabet.iter().cycle().skip(at).take(all) {
                let mut other = token.clone().into_bytes();
                other[at] = *replacement;
                let other = String::from_utf8(other).unwrap();
                if other != token {
                    let opened = open(&other, &request());
                    assert_eq!(opened, Err(PassRefused::Invalid), "{at} {replacement}");
                }
            }
        }
        for length in 0..token.len() {
            assert_eq!(open(&token[..length], &request()), Err(PassRefused::Invalid), "{length}");
        }
        for longer in
            [format!("{token}A"), format!("{token}AA"), format!("{token}="), token.repeat(2)]
        {
            assert_eq!(open(&longer, &request()), Err(PassRefused::Invalid), "{longer}");
        }
    }
    assert_eq!(open(&"A".repeat(1 << 20), &request()), Err(PassRefused::Invalid));
}

/// A message made by hand, so that every part of it can be wrong; the signature is right.
struct Made {
    tags: Vec<u64>,
    protected: Vec<u8>,
    unprotected: Value,
    payload: Vec<u8>,
    context: &'static str,
    sign: fn(&[u8]) -> Vec<u8>,
}

fn map(entries: Vec<(i64, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn bytes(value: &[u8]) -> Value {
    Value::Bytes(value.to_vec())
}

fn claims() -> Vec<(i64, Value)> {
    vec![
        (ISS, "strongroom".into()),
        (EXP, scope().pass.expires.as_s().into()),
        (CTI, bytes(&[5; 16])),
        (CATV, 1.into()),
        (CATU, map(vec![(PATH, map(vec![(PREFIX, "/v/film/".into())]))])),
        (CATM, Value::Array(vec!["GET".into()])),
    ]
}

fn mac() -> Made {
    Made {
        tags: vec![MAC0],
        protected: map(vec![(1, HS256.into()), (4, bytes(b"mac"))]).to_vec().unwrap(),
        unprotected: map(vec![]),
        payload: map(claims()).to_vec().unwrap(),
        context: "MAC0",
        sign: hs256,
    }
}

fn ec() -> Made {
    let protected = map(vec![(1, ES256.into()), (4, bytes(b"ec"))]).to_vec().unwrap();
    Made { tags: vec![SIGN1], protected, context: "Signature1", sign: es256, ..mac() }
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let structure =
            vec![self.context.into(), bytes(&self.protected), bytes(b""), bytes(&self.payload)];
        let signature = (self.sign)(&Value::Array(structure).to_vec().unwrap());
        let message = Value::Array(vec![
            bytes(&self.protected),
            self.unprotected.clone(),
            bytes(&self.payload),
            Value::Bytes(signature),
        ]);
        let tag = |inner: Value, tag: &u64| Value::Tag(*tag, Box::new(inner));
        self.tags.iter().rev().fold(message, tag).to_vec().unwrap()
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes())
    }

    fn opens(&self) -> bool {
        open(&self.text(), &request()).is_ok()
    }
}

#[test]
fn a_token_made_by_hand_opens() {
    assert!(mac().opens() && ec().opens());
    for tags in [vec![CWT_TAG, MAC0], vec![MAC0]] {
        assert!(Made { tags, ..mac() }.opens());
    }
    let protected = map(vec![(1, HS256.into())]).to_vec().unwrap();
    assert!(Made { protected, unprotected: map(vec![(4, bytes(b"mac"))]), ..mac() }.opens());
}

#[test]
fn another_tag_is_refused() {
    for tags in [
        vec![],
        vec![SIGN1],
        vec![16],
        vec![96],
        vec![97],
        vec![98],
        vec![CWT_TAG],
        vec![CWT_TAG, CWT_TAG, MAC0],
        vec![MAC0, CWT_TAG],
        vec![MAC0, MAC0],
        vec![CWT_TAG, SIGN1],
        vec![55_799, MAC0],
    ] {
        assert!(!Made { tags: tags.clone(), ..mac() }.opens(), "{tags:?}");
    }
    assert!(!Made { tags: vec![MAC0], ..ec() }.opens());
    // The structure that is signed names the message's kind: one does not pass for another.
    for context in ["MAC", "Signature", "Signature1", "Encrypt0", ""] {
        assert!(!Made { context, ..mac() }.opens(), "{context}");
    }
    assert!(!Made { context: "MAC0", ..ec() }.opens());
}

#[test]
fn the_algorithm_is_protected_and_the_keys_own() {
    let mac_id = || (4, bytes(b"mac"));
    for (protected, unprotected) in [
        // Nowhere, in the open, in both.
        (vec![mac_id()], vec![]),
        (vec![mac_id()], vec![(1, HS256.into())]),
        (vec![(1, HS256.into()), mac_id()], vec![(1, HS256.into())]),
        // Another of the same family, of another, none, by name.
        (vec![(1, 4.into()), mac_id()], vec![]),
        (vec![(1, 6.into()), mac_id()], vec![]),
        (vec![(1, ES256.into()), mac_id()], vec![]),
        (vec![(1, 0.into()), mac_id()], vec![]),
        (vec![(1, "HS256".into()), mac_id()], vec![]),
        (vec![(1, Value::Null), mac_id()], vec![]),
        // The key of the other algorithm, an unknown one, none, two.
        (vec![(1, HS256.into()), (4, bytes(b"ec"))], vec![]),
        (vec![(1, HS256.into()), (4, bytes(b"mac\0"))], vec![]),
        (vec![(1, HS256.into()), (4, bytes(b"../mac"))], vec![]),
        (vec![(1, HS256.into()), (4, "mac".into())], vec![]),
        (vec![(1, HS256.into())], vec![]),
        (vec![(1, HS256.into()), mac_id()], vec![mac_id()]),
        // What is critical, empty or not, and what is not understood.
        (vec![(1, HS256.into()), (2, Value::Array(vec![])), mac_id()], vec![]),
        (vec![(1, HS256.into()), (2, Value::Array(vec![1.into()])), mac_id()], vec![]),
        (vec![(1, HS256.into()), (2, Value::Array(vec![99.into()])), mac_id()], vec![]),
        (vec![(1, HS256.into()), mac_id()], vec![(2, Value::Array(vec![1.into()]))]),
        (vec![(1, HS256.into()), (3, 61.into()), mac_id()], vec![]),
        (vec![(1, HS256.into()), mac_id(), (5, bytes(b"iv"))], vec![]),
        (vec![(1, HS256.into()), mac_id()], vec![(33, bytes(b"certificate"))]),
        (vec![(1, HS256.into()), mac_id()], vec![(99, 1.into())]),
        (vec![(1, HS256.into()), (1, HS256.into()), mac_id()], vec![]),
        (vec![(1, HS256.into()), mac_id(), mac_id()], vec![]),
    ] {
        let told = format!("{protected:?} {unprotected:?}");
        let protected = map(protected).to_vec().unwrap();
        assert!(!Made { protected, unprotected: map(unprotected), ..mac() }.opens(), "{told}");
    }
    for protected in [vec![], vec![0xa0], vec![0xf6], vec![0x80], b"\xa1\x01\x05\x00".to_vec()] {
        assert!(!Made { protected: protected.clone(), ..mac() }.opens(), "{protected:?}");
    }
    // HMAC under what everybody has: the public key.
    fn confused(message: &[u8]) -> Vec<u8> {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &point());
        aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
    }
    let protected = map(vec![(1, HS256.into()), (4, bytes(b"ec"))]).to_vec().unwrap();
    assert!(!Made { protected, sign: confused, ..mac() }.opens());
    for sign in [(|_| vec![]) as fn(&[u8]) -> Vec<u8>, |_| vec![0; 32], |_| vec![0; 64]] {
        assert!(!Made { sign, ..mac() }.opens() && !Made { sign, ..ec() }.opens());
    }
    // DER where r and s are due, and a tag cut short.
    fn der(message: &[u8]) -> Vec<u8> {
        let signature: Signature = pair().sign(message);
        signature.to_der().as_bytes().to_vec()
    }
    assert!(!Made { sign: der, ..ec() }.opens());
    assert!(!Made { sign: |message| hs256(message)[..8].to_vec(), ..mac() }.opens());
}

#[test]
fn each_claim_is_there_once_understood_and_of_its_type() {
    let with = |name: i64, value: Option<Value>| {
        let mut entries = claims();
        entries.retain(|(other, _)| *other != name);
        entries.extend(value.map(|value| (name, value)));
        Made { payload: map(entries).to_vec().unwrap(), ..mac() }
    };
    for missing in [ISS, EXP, CTI, CATV, CATU] {
        assert!(!with(missing, None).opens(), "{missing}");
    }
    assert!(with(CATM, None).opens(), "methods may be left open");
    let path = |how: i64, path: &str| map(vec![(PATH, map(vec![(how, path.into())]))]);
    let now = scope().issued.as_s();
    for (name, value, opens) in [
        (ISS, "another".into(), false),
        (ISS, bytes(b"strongroom"), false),
        (EXP, "1790000060".into(), false),
        (EXP, (-1).into(), false),
        (EXP, Value::Float(1.79e9), false),
        (EXP, u64::MAX.into(), true),
        (EXP, now.into(), false),
        (EXP, (now + 1).into(), true),
        (NBF, now.into(), true),
        (NBF, (now + 1).into(), false),
        (IAT, now.into(), true),
        (IAT, "now".into(), false),
        (CTI, bytes(&[5; 15]), false),
        (CTI, bytes(&[5; 17]), false),
        (CTI, "0505050505050505".into(), false),
        (CATV, 2.into(), false),
        (CATU, map(vec![]), false),
        (CATU, path(PREFIX, "/v/film/"), true),
        (CATU, path(PREFIX, "/v/film"), false),
        (CATU, path(PREFIX, ""), false),
        (CATU, path(PREFIX, "/"), true),
        (CATU, path(EXACT, PATH_ASKED), true),
        (CATU, path(EXACT, "/v/film/"), false),
        (CATU, path(2, ".m4s"), false),
        (CATU, path(3, "film"), false),
        (CATU, path(4, ".*"), false),
        (CATU, map(vec![(0, map(vec![(EXACT, "https".into())]))]), false),
        (CATU, Value::Array(vec![]), false),
        (CATM, Value::Array(vec![]), false),
        (CATM, Value::Array(vec!["POST".into()]), false),
        (CATM, "GET".into(), false),
        (CATM, Value::Array(vec!["GET".into(); 33]), false),
        (CATGEOISO3166, Value::Array(vec!["DE".into()]), false),
        (RENDITION, Value::Array(vec![]), false),
        (RENDITION, Value::Array(vec!["another".into()]), false),
        (RENDITION, Value::Array(vec!["widevine".into(), "8K".into()]), false),
        (RENDITION, Value::Array(vec!["widevine".into(), "SD".into()]), true),
        // catreplay, catnip, cath, catdpop, an audience, a stranger's.
        (308, 1.into(), false),
        (311, Value::Array(vec![]), false),
        (315, map(vec![]), false),
        (321, map(vec![]), false),
        (3, "cdn".into(), false),
        (-70_000, 1.into(), false),
    ] {
        assert_eq!(with(name, Some(value.clone())).opens(), opens, "{name} {value:?}");
    }
    let mut twice = claims();
    twice.push((EXP, u64::MAX.into()));
    assert!(!Made { payload: map(twice).to_vec().unwrap(), ..mac() }.opens());
    let mut named = map(claims()).into_map().unwrap();
    named.push(("exp".into(), u64::MAX.into()));
    assert!(!Made { payload: Value::Map(named).to_vec().unwrap(), ..mac() }.opens());
    let nested = (0..200).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    assert!(!with(400, Some(nested)).opens());
}

#[test]
fn a_session_is_the_tokens_own() {
    let mut scope = scope();
    scope.pass.session = PlaybackSessionId::from_bytes([6; 16]);
    let [signer, _] = both();
    let opened = open(&token_of(signer, &scope), &request()).unwrap();
    assert_eq!(opened.session, PlaybackSessionId::from_bytes([6; 16]));
}

/// The same values in other bytes, each under a right signature where it is signed.
#[test]
fn one_spelling_is_taken() {
    let refused = |bytes: &[u8], told: &str| {
        let opened = open(&URL_SAFE_NO_PAD.encode(bytes), &request());
        assert_eq!(opened, Err(PassRefused::Invalid), "{told}");
    };
    let whole = mac().bytes();
    assert!(open(&URL_SAFE_NO_PAD.encode(&whole), &request()).is_ok());
    let (head, rest) = whole.split_at(2);
    assert_eq!(head, [0xd1, 0x84]);
    refused(&[&[0xd1, 0x9f], rest, &[0xff]].concat(), "an array without a length");
    refused(&[&[0xd8, 0x11, 0x84], rest].concat(), "a tag in two bytes");
    refused(&[&[0xd1, 0x98, 0x04], rest].concat(), "a length in two bytes");
    refused(&[whole.as_slice(), &[0]].concat(), "something behind it");
    refused(&[whole.as_slice(), whole.as_slice()].concat(), "another behind it");
    let payload = map(claims()).to_vec().unwrap();
    let (count, entries) = payload.split_first().unwrap();
    for (payload, told) in [
        ([&[0xbf], entries, &[0xff]].concat(), "claims without a count"),
        ([&[0xb8, count & 0x1f], entries].concat(), "a count in two bytes"),
        ([payload.as_slice(), &[0xf6]].concat(), "something behind the claims"),
        ([&[0xd8, 61], payload.as_slice()].concat(), "claims under a tag"),
        (entries.to_vec(), "claims without a head"),
        (vec![], "no claims"),
        (vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "claims without end"),
    ] {
        refused(&Made { payload, ..mac() }.bytes(), told);
    }
    let protected = mac().protected;
    let (count, entries) = protected.split_first().unwrap();
    for (protected, told) in [
        ([&[0xbf], entries, &[0xff]].concat(), "headers without a count"),
        ([&[0xb8, count & 0x1f], entries].concat(), "a count of headers in two bytes"),
    ] {
        refused(&Made { protected, ..mac() }.bytes(), told);
    }
    refused(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "an array without end");
    refused(&[0x81; 1500], "arrays in arrays");
    refused(&[0xc1; 1500], "tags on tags");
}
