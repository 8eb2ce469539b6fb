//! Tokens of identity providers and their key sets: what nobody signed is refused, without panicking.

use model::Timestamp;
use playback::issuer::{Algorithm, IssuerRules, KeySet, UncheckedToken};

/// Reads the first line of `bytes` as a token and the rest as the keys of its issuer.
///
/// The key sets among the seeds are those of nobody, so no change of a token makes it a good one.
pub fn run(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (token, keys) = bytes.split_at(line);
    let keys = KeySet::parse(keys.get(1..).unwrap_or_default());
    let Ok(token) = std::str::from_utf8(token) else { return };
    let rules = IssuerRules {
        issuer: "https://login.example".to_owned(),
        audiences: vec!["tv".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        types: vec!["jwt".to_owned()],
        leeway_s: 30,
        max_life_s: 3600,
    };
    let now = Timestamp(1_800_000_000_000);
    let checked = UncheckedToken::parse(token).and_then(|token| token.check(&rules, now));
    if let (Ok(token), Ok(keys)) = (checked, keys) {
        assert!(token.prove(&keys).is_err());
    }
}
