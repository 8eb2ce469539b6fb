//! `[vault]`: where encryptors and admin tools reach the vault, and who they may be.

use super::{ConfigError, Mode};
use axum::http::HeaderName;
use ipnet::IpNet;
use model::ContentId;
use playback::{ContentLimit, Scope};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Most clients that are named.
const MAX_CLIENTS: usize = 1000;
/// Most certificates that sign questions.
const MAX_SIGNERS: usize = 64;
/// Stands for every title.
const EVERY: &str = "*";

/// The vault's routes: key exchange by SPEKE and CPIX.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vault {
    /// Address of the vault's own listener; absent: in development its routes answer on the
    /// viewer's, in production nowhere.
    pub address: Option<SocketAddr>,
    /// PEM chain of the listener's certificate; absent: plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// PEM private key of the certificate.
    pub tls_private_key: Option<PathBuf>,
    /// Whether a proxy in front terminates TLS.
    pub behind_proxy: bool,
    /// PEM certificates under which clients have theirs; absent: client certificates are not
    /// asked for.
    pub client_ca: Option<PathBuf>,
    /// Who may ask without a token: by the subject of a certificate, or by the header of a
    /// proxy.
    pub clients: Vec<Client>,
    /// Header in which a trusted proxy names the client that it has authenticated.
    pub proxy_header: Option<String>,
    /// Networks of the proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether keys leave only encrypted for a recipient; absent: in production they do.
    pub require_encrypted_delivery: Option<bool>,
    /// Certificates (PEM or DER), one of which must have signed each question to `/cpix`; none:
    /// signatures are not looked at. SPEKE knows no signatures.
    pub request_signers: Vec<PathBuf>,
}

/// A client that may ask without a token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Subject of its certificate, such as `CN=encoder-1, O=Example`, or what the proxy's
    /// header says.
    pub subject: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The titles it may do it with; `"*"` for every one.
    pub content: Vec<String>,
}

impl Client {
    /// The titles it may ask for.
    #[must_use]
    pub fn limit(&self) -> ContentLimit {
        if self.content.iter().any(|title| title == EVERY) {
            return ContentLimit::Every;
        }
        let titles = self.content.iter().filter_map(|title| ContentId::parse(title).ok());
        ContentLimit::Only(titles.collect())
    }
}

impl Vault {
    /// Whether keys leave only encrypted for a recipient.
    #[must_use]
    pub fn demands_recipients(&self, mode: Mode) -> bool {
        self.require_encrypted_delivery.unwrap_or(mode == Mode::Production)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if self.tls_certificate.is_some() != self.tls_private_key.is_some() {
            return refuse("vault.tls_certificate", "a certificate and its key go together");
        }
        if self.address.is_none() && self.tls_certificate.is_some() {
            return refuse("vault.address", "a certificate needs a listener of the vault's own");
        }
        if self.client_ca.is_some() && self.tls_certificate.is_none() {
            return refuse("vault.client_ca", "client certificates need TLS on this listener");
        }
        if self.proxy_header.is_some() == self.trusted_proxies.is_empty() {
            return refuse(
                "vault.proxy_header",
                "a header and the proxies that set it go together",
            );
        }
        let header = self.proxy_header.as_deref().map(str::parse::<HeaderName>).transpose();
        if !matches!(&header, Ok(name) if name.as_ref().is_none_or(|n| *n != "authorization")) {
            return refuse("vault.proxy_header", "this is no name of a header for a client's name");
        }
        let can_be_met = self.client_ca.is_some() || self.proxy_header.is_some();
        if !self.clients.is_empty() && !can_be_met {
            return refuse(
                "vault.clients",
                "nobody proves to be one: set client_ca or proxy_header",
            );
        }
        if self.request_signers.len() > MAX_SIGNERS {
            return refuse("vault.request_signers", "at most 64 certificates");
        }
        if self.clients.len() > MAX_CLIENTS {
            return refuse("vault.clients", "at most 1000 clients; use tokens for more");
        }
        let is_title = |title: &String| title == EVERY || ContentId::parse(title).is_ok();
        if !self.clients.iter().all(|client| client.content.iter().all(is_title)) {
            return refuse(
                "vault.clients",
                "content is a list of title ids, or \"*\" for every one",
            );
        }
        let is_whole = |one: &Client| {
            ![one.subject.is_empty(), one.scopes.is_empty(), one.content.is_empty()].contains(&true)
        };
        if !self.clients.iter().all(is_whole) {
            return refuse("vault.clients", "a client has a subject, scopes and content");
        }
        let named = |client: &&Client| {
            self.clients.iter().filter(|c| c.subject == client.subject).count() > 1
        };
        if self.clients.iter().any(|client| named(&client)) {
            return refuse("vault.clients", "two clients have one subject");
        }
        Ok(())
    }

    pub(super) fn check_production(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if self.address.is_some() && self.tls_certificate.is_none() && !self.behind_proxy {
            return refuse(
                "vault.tls_certificate",
                "production needs TLS: give a certificate, or say behind_proxy = true",
            );
        }
        if self.require_encrypted_delivery == Some(false) {
            return refuse(
                "vault.require_encrypted_delivery",
                "in production keys leave only encrypted for a recipient",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key path of the refusal, where there is one.
    fn refusal(text: &str, mode: Mode) -> Option<&'static str> {
        let vault: Vault = toml::from_str(text).unwrap();
        let checked = vault.check().and_then(|()| match mode {
            Mode::Development => Ok(()),
            Mode::Production => vault.check_production(),
        });
        match checked {
            Ok(()) => None,
            Err(ConfigError::Refused { key, .. }) => Some(key),
            Err(_) => Some("another error"),
        }
    }

    const TLS: &str =
        "address = \"127.0.0.1:1\"\ntls_certificate = \"c\"\ntls_private_key = \"k\"\n";

    fn with_clients(clients: &str) -> String {
        format!("{TLS}client_ca = \"ca\"\nclients = [{clients}]")
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_its_key() {
        let development = |text: &str| refusal(text, Mode::Development);
        let client = r#"{ subject = "CN=a", scopes = ["speke"], content = ["film"] }"#;
        assert_eq!(development(""), None);
        assert_eq!(development(TLS), None);
        assert_eq!(development(&with_clients(client)), None);
        for (text, key) in [
            (
                "address = \"127.0.0.1:1\"\ntls_certificate = \"c\"".to_owned(),
                "vault.tls_certificate",
            ),
            ("tls_certificate = \"c\"\ntls_private_key = \"k\"".to_owned(), "vault.address"),
            ("address = \"127.0.0.1:1\"\nclient_ca = \"c\"".to_owned(), "vault.client_ca"),
            ("proxy_header = \"x-client\"".to_owned(), "vault.proxy_header"),
            ("trusted_proxies = [\"10.0.0.0/8\"]".to_owned(), "vault.proxy_header"),
            (
                "proxy_header = \"a b\"\ntrusted_proxies = [\"10.0.0.0/8\"]".to_owned(),
                "vault.proxy_header",
            ),
            (
                "proxy_header = \"Authorization\"\ntrusted_proxies = [\"10.0.0.0/8\"]".to_owned(),
                "vault.proxy_header",
            ),
            (format!("clients = [{client}]"), "vault.clients"),
            (with_clients(&format!("{client}, {client}")), "vault.clients"),
            (
                with_clients(r#"{ subject = "", scopes = ["speke"], content = ["*"] }"#),
                "vault.clients",
            ),
            (
                with_clients(r#"{ subject = "CN=a", scopes = [], content = ["*"] }"#),
                "vault.clients",
            ),
            (
                with_clients(r#"{ subject = "CN=a", scopes = ["speke"], content = [] }"#),
                "vault.clients",
            ),
            (
                with_clients(r#"{ subject = "CN=a", scopes = ["speke"], content = ["../a"] }"#),
                "vault.clients",
            ),
        ] {
            assert_eq!(development(&text), Some(key), "{text}");
        }
        for unknown in [
            "adress = \"127.0.0.1:1\"",
            "clients = [{ subject = \"a\", scopes = [\"root\"], content = [] }]",
        ] {
            assert!(toml::from_str::<Vault>(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn production_has_tls_and_encrypted_keys() {
        let production = |text: &str| refusal(text, Mode::Production);
        assert_eq!(production(""), None);
        assert_eq!(production(TLS), None);
        assert_eq!(production("address = \"127.0.0.1:1\""), Some("vault.tls_certificate"));
        assert_eq!(production("address = \"127.0.0.1:1\"\nbehind_proxy = true"), None);
        let clear = "require_encrypted_delivery = false";
        assert_eq!(production(clear), Some("vault.require_encrypted_delivery"));
        let settings = |text: &str| toml::from_str::<Vault>(text).unwrap();
        assert!(settings("").demands_recipients(Mode::Production));
        assert!(!settings("").demands_recipients(Mode::Development));
        assert!(
            settings("require_encrypted_delivery = true").demands_recipients(Mode::Development)
        );
    }

    #[test]
    fn a_client_has_the_titles_that_are_named() {
        let limit = |content: &str| {
            let text = format!("subject = \"a\"\nscopes = [\"cpix\"]\ncontent = {content}");
            toml::from_str::<Client>(&text).unwrap().limit()
        };
        assert_eq!(limit("[\"*\"]"), ContentLimit::Every);
        let film = ContentId::parse("film").unwrap();
        assert_eq!(limit("[\"film\"]"), ContentLimit::Only(vec![film]));
        assert_eq!(limit("[]"), ContentLimit::Only(vec![]));
    }
}
