//! Who may ask the vault: the holder of a scoped token, a client with a certificate, or someone
//! whom a trusted proxy names.

use crate::config::vault::{Client, Vault as Settings};
use crate::entropy::EntropySource;
use model::{Timestamp, TokenId};
use playback::{ContentLimit, Scope, Scopes, TokenRefused, VaultToken, VaultTokenKey};
use std::net::IpAddr;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

/// Longest name of a client that is compared.
const MAX_NAME: usize = 512;

/// What a request brings along to say who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// `Authorization`; `Err` where it is there and is not text.
    pub authorization: Option<Result<&'a str, ()>>,
    /// The client's certificate, DER, whose chain the listener has checked.
    pub certificate: Option<&'a [u8]>,
    /// The header that the settings name.
    pub proxy_header: Option<&'a str>,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
}

/// Someone who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Who, as the audit names it.
    pub name: String,
    /// What they may do.
    pub scopes: Scopes,
    /// The titles they may do it with.
    pub content: ContentLimit,
}

/// Tells who sends a request.
#[derive(Debug)]
pub struct Gate {
    tokens: VaultTokenKey,
    clients: Vec<Client>,
    trusts: Vec<ipnet::IpNet>,
}

impl Gate {
    /// A gate of these settings.
    #[must_use]
    pub fn new(settings: &Settings, tokens: VaultTokenKey) -> Self {
        let (clients, trusts) = (settings.clients.clone(), settings.trusted_proxies.clone());
        Self { tokens, clients, trusts }
    }

    /// A gate that lets nobody in: its key is forgotten.
    #[must_use]
    pub fn closed(entropy: &EntropySource) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        entropy.with(|entropy| entropy.fill(&mut *key));
        Self::new(&Settings::default(), VaultTokenKey::from_bytes(&key))
    }

    /// Signs a token.
    #[must_use]
    pub fn issue(&self, token: &VaultToken) -> String {
        token.issue(&self.tokens)
    }

    /// Who sends a request. A token that is there decides alone: one that is refused is never
    /// made good by a certificate.
    ///
    /// Errors: [`TokenRefused`].
    pub fn identify(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Asker, TokenRefused> {
        if let Some(authorization) = credentials.authorization {
            let text = authorization.map_err(|()| TokenRefused::Invalid)?;
            let token = bearer(text).ok_or(TokenRefused::Invalid)?;
            let VaultToken { id, scopes, content, .. } =
                VaultToken::verify(&self.tokens, token, now)?;
            return Ok(Asker { name: token_name(id), scopes, content });
        }
        if let Some(subject) = credentials.certificate.and_then(subject) {
            return self.client("certificate", &subject);
        }
        let is_trusted = self.trusts.iter().any(|network| network.contains(&credentials.peer));
        match credentials.proxy_header.filter(|_| is_trusted) {
            Some(name) => self.client("proxy", name),
            None => Err(TokenRefused::Invalid),
        }
    }

    fn client(&self, kind: &str, subject: &str) -> Result<Asker, TokenRefused> {
        let is_short = subject.len() <= MAX_NAME;
        let client = self.clients.iter().find(|client| is_short && client.subject == subject);
        let client = client.ok_or(TokenRefused::Invalid)?;
        Ok(Asker {
            name: format!("{kind}:{subject}"),
            scopes: client.scopes.iter().copied().collect(),
            content: client.limit(),
        })
    }
}

impl Asker {
    /// Whether this is for what the asker may do.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }
}

fn token_name(id: TokenId) -> String {
    format!("token:{id}")
}

fn bearer(authorization: &str) -> Option<&str> {
    let (kind, token) = authorization.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The subject of a certificate as RFC 4514 lays it out, first part first: `CN=encoder-1`.
fn subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.subject().to_string()).filter(|subject| !subject.is_empty())
}
