//! `[edge]`: what the own edge answers, and whose tokens it takes beside its own passes.

use super::ConfigError;
use super::cdn::Algorithm;
use serde::Deserialize;
use std::path::PathBuf;

/// Most issuers of tokens.
const MAX_ISSUERS: usize = 16;
/// What a refused URL is answered with: as today, and as players of 2009 know it.
const STATUSES: [u16; 2] = [403, 400];

/// The own edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// Status of an expired or forged URL: 403, or 400 for old players.
    pub legacy_expired_status: u16,
    /// Whose Common Access Tokens are taken; none: no one's.
    pub cat: Vec<CatIssuer>,
}

impl Default for Edge {
    fn default() -> Self {
        Self { legacy_expired_status: 403, cat: vec![] }
    }
}

/// An issuer of Common Access Tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatIssuer {
    /// Claim `iss`.
    pub issuer: String,
    /// Header `kid`.
    pub key_id: String,
    /// Algorithm.
    pub algorithm: Algorithm,
    /// File with the key: PEM of the public key (`ES256`), hex digits of the secret (`HS256`);
    /// or a variable.
    pub key_file: Option<PathBuf>,
    /// Name of the environment variable with that key; or a file.
    pub key_env: Option<String>,
}

impl Edge {
    /// Whether refused URLs are answered with the status of old.
    #[must_use]
    pub const fn answers_as_of_old(&self) -> bool {
        self.legacy_expired_status == 400
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if !STATUSES.contains(&self.legacy_expired_status) {
            return refuse("edge.legacy_expired_status", "403, or 400 for old players");
        }
        if self.cat.len() > MAX_ISSUERS {
            return refuse("edge.cat", "at most 16 issuers");
        }
        for one in &self.cat {
            let refuse =
                |key, why| Err(ConfigError::RefusedEntry { key, entry: one.key_id.clone(), why });
            if one.issuer.is_empty() || one.key_id.is_empty() {
                return refuse("edge.cat.issuer", "name the issuer and the id of its key");
            }
            if one.key_file.is_some() == one.key_env.is_some() {
                return refuse("edge.cat.key_file", "name one: a file or a variable");
            }
            if self.cat.iter().filter(|other| other.key_id == one.key_id).count() > 1 {
                return refuse("edge.cat.key_id", "two keys have one id");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn said(text: &str) -> Option<String> {
        Config::parse(text, "file", std::iter::empty()).err().map(|error| error.to_string())
    }

    const ISSUER: &str =
        "[[edge.cat]]\nissuer = \"tv\"\nkey_id = \"1\"\nalgorithm = \"HS256\"\nkey_env = \"K\"\n";

    #[test]
    fn status_and_issuers_are_checked() {
        for good in
            ["", "[edge]\nlegacy_expired_status = 400\n", "[edge]\nlegacy_expired_status = 403\n"]
        {
            assert_eq!(said(&format!("{good}{ISSUER}")), None);
        }
        for (text, key) in [
            ("[edge]\nlegacy_expired_status = 200\n".to_owned(), "edge.legacy_expired_status"),
            (ISSUER.replace("\"tv\"", "\"\""), "edge.cat.issuer"),
            (ISSUER.replace("key_env = \"K\"\n", ""), "edge.cat.key_file"),
            (format!("{ISSUER}key_file = \"k\"\n"), "edge.cat.key_file"),
            (format!("{ISSUER}{ISSUER}"), "edge.cat.key_id"),
            (ISSUER.replace("HS256", "RS256"), "RS256"),
            (format!("{ISSUER}key = \"00\"\n"), "key"),
        ] {
            let said = said(&text).expect(&text);
            assert!(said.contains(key), "{text}: {said}");
        }
        let variable = [("STRONGROOM_EDGE_LEGACY_EXPIRED_STATUS".to_owned(), "400".to_owned())];
        let config = Config::parse("", "file", variable.into_iter()).unwrap();
        assert!(config.edge.answers_as_of_old() && !Config::default().edge.answers_as_of_old());
    }
}
