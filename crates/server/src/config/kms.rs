//! `[keys.aws]`, `[keys.vault]`, `[keys.google]`: root keys in a KMS over HTTP.

use super::ConfigError;
use super::keys::{DEFAULT_DEADLINE_MS, check_deadline};
use serde::Deserialize;
use std::path::PathBuf;

/// A key of AWS KMS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Id, ARN or alias of the key.
    pub key_id: String,
    /// Region; absent: `AWS_REGION`.
    pub region: Option<String>,
    /// URL of the service; absent: Amazon's for the region.
    pub endpoint: Option<String>,
    /// Longest wait for an answer, milliseconds.
    pub deadline_ms: u64,
}

impl Default for Aws {
    fn default() -> Self {
        let (region, endpoint) = Default::default();
        Self { key_id: String::new(), region, endpoint, deadline_ms: DEFAULT_DEADLINE_MS }
    }
}

/// A key of the transit engine of Vault or OpenBao.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// URL of the server or its load balancer.
    pub address: String,
    /// Where the engine is mounted.
    pub mount: String,
    /// Name of the key.
    pub key: String,
    /// File with the token, which an agent may renew; or a variable.
    pub token_file: Option<PathBuf>,
    /// Name of the environment variable with the token; or a file.
    pub token_env: Option<String>,
    /// Namespace; absent: the root's.
    pub namespace: Option<String>,
    /// PEM file of the authorities that are trusted; absent: the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for an answer, milliseconds.
    pub deadline_ms: u64,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            address: String::new(),
            mount: "transit".to_owned(),
            key: "strongroom".to_owned(),
            token_file: None,
            token_env: None,
            namespace: None,
            ca_file: None,
            deadline_ms: DEFAULT_DEADLINE_MS,
        }
    }
}

/// A key of Google Cloud KMS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Google {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub key: String,
    /// JSON file of a service account; absent: the machine's own account.
    pub credentials_file: Option<PathBuf>,
    /// URL of the service; absent: Google's.
    pub endpoint: Option<String>,
    /// Longest wait for an answer, milliseconds.
    pub deadline_ms: u64,
}

impl Default for Google {
    fn default() -> Self {
        let (credentials_file, endpoint) = Default::default();
        Self { key: String::new(), credentials_file, endpoint, deadline_ms: DEFAULT_DEADLINE_MS }
    }
}

const NO_URL: &str = "an address begins with https:// or http://";
const NO_TLS: &str = "production asks the root key's server over https:// only";

impl Aws {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.key_id.is_empty() {
            return refuse("keys.aws.key_id", "name the key by its id, ARN or alias");
        }
        if self.endpoint.as_deref().is_some_and(|url| !is_url(url)) {
            return refuse("keys.aws.endpoint", NO_URL);
        }
        check_deadline("keys.aws.deadline_ms", self.deadline_ms)
    }

    pub(super) fn check_production(&self) -> Result<(), ConfigError> {
        let is_safe = self.endpoint.as_deref().is_none_or(is_https);
        if is_safe { Ok(()) } else { refuse("keys.aws.endpoint", NO_TLS) }
    }
}

impl Vault {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !is_url(&self.address) {
            return refuse("keys.vault.address", NO_URL);
        }
        if self.mount.is_empty() {
            return refuse("keys.vault.mount", "say where the transit engine is mounted");
        }
        if self.key.is_empty() {
            return refuse("keys.vault.key", "name the key");
        }
        if self.token_file.is_some() == self.token_env.is_some() {
            return refuse("keys.vault.token_file", "the token is in a file or in a variable");
        }
        check_deadline("keys.vault.deadline_ms", self.deadline_ms)
    }

    pub(super) fn check_production(&self) -> Result<(), ConfigError> {
        if is_https(&self.address) { Ok(()) } else { refuse("keys.vault.address", NO_TLS) }
    }
}

impl Google {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.key.is_empty() {
            return refuse(
                "keys.google.key",
                "name the key: projects/P/locations/L/keyRings/R/cryptoKeys/K",
            );
        }
        if self.endpoint.as_deref().is_some_and(|url| !is_url(url)) {
            return refuse("keys.google.endpoint", NO_URL);
        }
        check_deadline("keys.google.deadline_ms", self.deadline_ms)
    }

    pub(super) fn check_production(&self) -> Result<(), ConfigError> {
        let is_safe = self.endpoint.as_deref().is_none_or(is_https);
        if is_safe { Ok(()) } else { refuse("keys.google.endpoint", NO_TLS) }
    }
}

fn refuse(key: &'static str, why: &'static str) -> Result<(), ConfigError> {
    Err(ConfigError::Refused { key, why })
}

fn is_url(text: &str) -> bool {
    is_https(text) || text.starts_with("http://")
}

fn is_https(text: &str) -> bool {
    text.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use std::time::Duration;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::parse(text, "strongroom.toml", variables).map_err(|error| error.to_string())
    }

    const AWS: &str = "[keys]\nbackend = \"aws-kms\"\n[keys.aws]\nkey_id = \"alias/a\"\n";
    const VAULT: &str = "[keys]\nbackend = \"vault\"\n[keys.vault]\n\
        address = \"https://vault.example:8200\"\ntoken_file = \"/token\"\n";
    const GOOGLE: &str = "[keys]\nbackend = \"google-kms\"\n[keys.google]\n\
        key = \"projects/p/locations/l/keyRings/r/cryptoKeys/k\"\n";

    #[test]
    fn a_kms_is_described_whole_or_refused() {
        for whole in [AWS, VAULT, GOOGLE] {
            assert_eq!(parse(whole, &[]).unwrap().keys.deadline(), Duration::from_millis(700));
        }
        let without = |text: &str, line: &str| text.replace(line, "");
        for (text, says) in [
            ("[keys]\nbackend = \"aws\"".to_owned(), "aws"),
            ("[keys]\nbackend = \"aws-kms\"".to_owned(), "keys.aws"),
            ("[keys]\nbackend = \"vault\"".to_owned(), "keys.vault"),
            ("[keys]\nbackend = \"google-kms\"".to_owned(), "keys.google"),
            (AWS.replace("aws-kms", "file"), "keys.aws"),
            (VAULT.replace("\"vault\"", "\"file\""), "keys.vault"),
            (GOOGLE.replace("google-kms", "file"), "keys.google"),
            (format!("{AWS}[keys.vault]\naddress = \"https://v\""), "keys.vault"),
            (without(AWS, "key_id = \"alias/a\"\n"), "keys.aws.key_id"),
            (format!("{AWS}endpoint = \"kms.example\""), "keys.aws.endpoint"),
            (format!("{AWS}deadline_ms = 49"), "keys.aws.deadline_ms"),
            (format!("{AWS}secret_access_key = \"s\""), "unknown field `secret_access_key`"),
            (VAULT.replace("https://", ""), "keys.vault.address"),
            (format!("{VAULT}mount = \"\""), "keys.vault.mount"),
            (format!("{VAULT}key = \"\""), "keys.vault.key"),
            (without(VAULT, "token_file = \"/token\"\n"), "keys.vault.token_file"),
            (format!("{VAULT}token_env = \"T\""), "keys.vault.token_file"),
            (format!("{VAULT}token = \"s\""), "unknown field `token`"),
            (format!("{VAULT}deadline_ms = 801"), "keys.vault.deadline_ms"),
            (format!("{GOOGLE}endpoint = \"x\""), "keys.google.endpoint"),
            (format!("{GOOGLE}deadline_ms = 0"), "keys.google.deadline_ms"),
            (
                GOOGLE.replace("projects/p/locations/l/keyRings/r/cryptoKeys/k", ""),
                "keys.google.key",
            ),
        ] {
            let error = parse(&text, &[]).expect_err(&text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn variables_reach_every_kms() {
        let config = parse(
            AWS,
            &[
                ("STRONGROOM_KEYS_AWS_REGION", "eu-west-1"),
                ("STRONGROOM_KEYS_AWS_DEADLINE_MS", "90"),
            ],
        );
        let config = config.unwrap();
        assert_eq!(config.keys.deadline(), Duration::from_millis(90));
        assert_eq!(config.keys.aws.unwrap().region.as_deref(), Some("eu-west-1"));
        let config = parse(VAULT, &[("STRONGROOM_KEYS_VAULT_CA_FILE", "/ca.pem")]).unwrap();
        assert_eq!(config.keys.vault.unwrap().ca_file, Some("/ca.pem".into()));
        let config = parse(GOOGLE, &[("STRONGROOM_KEYS_GOOGLE_CREDENTIALS_FILE", "/a.json")]);
        assert_eq!(config.unwrap().keys.google.unwrap().credentials_file, Some("/a.json".into()));
    }

    #[test]
    fn production_asks_a_kms_over_tls_only() {
        let production =
            |text: &str| format!("mode = \"production\"\n[listen]\nbehind_proxy = true\n{text}");
        for safe in [AWS, VAULT, GOOGLE] {
            assert!(parse(&production(safe), &[]).is_ok(), "{safe}");
        }
        for (text, says) in [
            (format!("{AWS}endpoint = \"http://kms\""), "keys.aws.endpoint"),
            (VAULT.replace("https:", "http:"), "keys.vault.address"),
            (format!("{GOOGLE}endpoint = \"http://kms\""), "keys.google.endpoint"),
        ] {
            assert!(parse(&text, &[]).is_ok(), "{text}");
            let error = parse(&production(&text), &[]).expect_err(&text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
