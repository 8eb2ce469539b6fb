//! Tokens of machines and operators: what encoders and admin tools hold for the vault's routes
//! (JWT, RFC 7519 and 8725).
//!
//! They are signed by a key of their own, so nothing that a viewer holds passes for one, and
//! this key signs nothing for viewers. A token names what its holder may do, and the titles
//! that it may do it with.

use crate::token::{ISSUER, Kind, Span, TokenKey, TokenRefused, read, rules, seconds, sign};
use jsonwebtoken::Validation;
use model::{ContentId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Longest life of a token: a year and a day.
pub const MAX_VAULT_TOKEN_S: u64 = 366 * 86_400;

/// Most titles that one token names. Longer lists do not fit into a token.
pub const MAX_CONTENT: usize = 50;

/// What a token's holder may do at the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Ask for keys by SPEKE.
    Speke,
    /// Ask for keys by CPIX alone.
    Cpix,
    /// Rotate, rewrap and import keys; reads none.
    Keys,
    /// Everything else that operators do; reads no key.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Speke, Self::Cpix, Self::Keys, Self::Admin];

    /// The name in tokens and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Speke => "speke",
            Self::Cpix => "cpix",
            Self::Keys => "keys",
            Self::Admin => "admin",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == text)
    }
}

/// A set of scopes. None of them holds another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Whether `scope` is in the set.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
}

/// The titles that somebody may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentLimit {
    /// Every title, also those to come.
    Every,
    /// The named titles.
    Only(Vec<ContentId>),
}

impl ContentLimit {
    /// Whether it holds this title.
    #[must_use]
    pub fn allows(&self, content_id: &ContentId) -> bool {
        match self {
            Self::Every => true,
            Self::Only(titles) => titles.contains(content_id),
        }
    }
}

/// The key that signs and checks the vault's tokens: never the viewers'.
#[derive(Debug)]
pub struct VaultTokenKey(TokenKey);

impl VaultTokenKey {
    /// Makes the key of its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(TokenKey::from_bytes(bytes))
    }
}

/// What an encoder or an admin tool holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultToken {
    /// This token, as the audit names it.
    pub id: TokenId,
    /// What it is for.
    pub scopes: Scopes,
    /// Which titles it is for.
    pub content: ContentLimit,
    /// When it was issued; whole seconds in the token.
    pub issued: Timestamp,
    /// When it ends; whole seconds in the token.
    pub expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VaultClaims {
    iss: String,
    aud: String,
    /// Always "vault": who holds it is not known, only what it may do.
    sub: String,
    jti: TokenId,
    scope: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Vec<ContentId>>,
    iat: u64,
    exp: u64,
}

impl Kind for VaultClaims {
    const TYPE: &'static str = "strongroom-vault+jwt";
    const AUDIENCE: &'static str = "strongroom-vault";

    fn rules() -> &'static Validation {
        static RULES: LazyLock<Validation> = LazyLock::new(|| rules(VaultClaims::AUDIENCE));
        &RULES
    }
}

impl VaultToken {
    /// Signs the token. The caller keeps it within [`MAX_CONTENT`] titles and
    /// [`MAX_VAULT_TOKEN_S`]; another one would not be accepted.
    #[must_use]
    pub fn issue(&self, key: &VaultTokenKey) -> String {
        let content = match &self.content {
            ContentLimit::Every => None,
            ContentLimit::Only(titles) => Some(titles.clone()),
        };
        sign(
            &key.0,
            &VaultClaims {
                iss: ISSUER.to_owned(),
                aud: VaultClaims::AUDIENCE.to_owned(),
                sub: "vault".to_owned(),
                jti: self.id,
                scope: self.scopes.clone(),
                content,
                iat: self.issued.as_s(),
                exp: self.expires.as_s(),
            },
        )
    }

    /// Reads a token that was issued here and has not ended.
    ///
    /// Errors: [`TokenRefused`]. Limits: [`crate::token::MAX_TOKEN_BYTES`], [`MAX_CONTENT`],
    /// [`MAX_VAULT_TOKEN_S`].
    pub fn verify(key: &VaultTokenKey, text: &str, now: Timestamp) -> Result<Self, TokenRefused> {
        let claims: VaultClaims = read(&key.0, text)?;
        let span = Span { issued: seconds(claims.iat)?, expires: seconds(claims.exp)? };
        span.check(MAX_VAULT_TOKEN_S, now)?;
        let content = match claims.content {
            None => ContentLimit::Every,
            Some(titles) if titles.len() > MAX_CONTENT => return Err(TokenRefused::Invalid),
            Some(titles) => ContentLimit::Only(titles),
        };
        let (id, scopes) = (claims.jti, claims.scope);
        Ok(Self { id, scopes, content, issued: span.issued, expires: span.expires })
    }
}
