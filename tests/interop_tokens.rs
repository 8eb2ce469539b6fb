//! Independent tools decide: the Python packages PyJWT and joserfc make an identity provider's keys
//! and tokens, which ours accepts as they are, and refuses with a bit turned.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

#[path = "support/python_peer.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod python_peer;

use model::Timestamp;
use playback::issuer::{Algorithm, IssuerRules, IssuerToken, KeySet, UncheckedToken};
use python_peer::PythonPeer;
use serde_json::Value;
use std::ffi::OsStr;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ISSUER: &str = "https://login.example";

/// What one package made.
struct Made {
    keys: KeySet,
    tokens: Vec<(Algorithm, String)>,
}

fn made(of: &Value) -> Made {
    let tokens =
        of["tokens"].as_object().unwrap().iter().map(|(name, token)| {
            (Algorithm::parse(name).unwrap(), token.as_str().unwrap().to_owned())
        });
    let keys = KeySet::parse(of["keys"].to_string().as_bytes()).unwrap();
    Made { keys, tokens: tokens.collect() }
}

fn verify(token: &str, algorithm: Algorithm, keys: &KeySet) -> Option<IssuerToken> {
    let rules = IssuerRules {
        issuer: ISSUER.to_owned(),
        audiences: vec!["tv".to_owned()],
        algorithms: vec![algorithm],
        types: vec!["jwt".to_owned(), "at+jwt".to_owned()],
        leeway_s: 0,
        max_life_s: 3600,
    };
    UncheckedToken::parse(token).ok()?.check(&rules, NOW).ok()?.prove(keys).ok()
}

#[test]
fn tokens_of_independent_makers_are_accepted_and_changed_ones_are_not() {
    let Some(peer) = PythonPeer::find_in(&[("jwt", "joserfc")], "issuer_peer.py") else { return };
    let now = NOW.as_s().to_string();
    let lines = peer.run(&[OsStr::new(&now), OsStr::new(ISSUER)]);
    let document: Value = serde_json::from_str(&lines.concat()).unwrap();
    let mut accepted = 0;
    let (one, other) = (made(&document["pyjwt"]), made(&document["joserfc"]));
    for (made, stranger) in [(&one, &other), (&other, &one)] {
        for (algorithm, token) in &made.tokens {
            let read = verify(token, *algorithm, &made.keys);
            let read = read.unwrap_or_else(|| panic!("{}: {token}", algorithm.name()));
            assert_eq!((read.issuer(), read.subject()), (ISSUER, "ada"));
            assert_eq!(read.expires(), NOW.plus_s(300));
            assert!(verify(token, *algorithm, &stranger.keys).is_none(), "{}", algorithm.name());
            for at in (0..token.len()).step_by(7) {
                let mut changed = token.clone().into_bytes();
                let byte = changed.get_mut(at).unwrap();
                *byte = if *byte == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).unwrap();
                assert!(verify(&changed, *algorithm, &made.keys).is_none(), "{at} of {changed}");
            }
            accepted += 1;
        }
    }
    assert_eq!(accepted, 9 + 5, "every algorithm by PyJWT, five by joserfc");
}
