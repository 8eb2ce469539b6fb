//! Tokens: what a signed-in viewer and a starting player hold (JWT, RFC 7519 and 8725).
//!
//! Both kinds are HS256 under one key and differ in `typ` and `aud`, so that neither passes
//! for the other. A token is accepted only with exactly the header and the claims that this
//! module writes: whatever else a header may name (`kid`, `jwk`, `jku`, `x5u`, `crit`, `b64`,
//! another `alg`) refuses it, and nothing is ever looked up because a token says so.

use crate::Covers;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use model::{
    AccountId, ContentId, DecisionId, DeviceId, PlaybackSessionId, SignInId, Timestamp, TokenId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::LazyLock;

/// Longest token that is looked at (the bound of DASH-IF's license request model).
pub const MAX_TOKEN_BYTES: usize = 5000;

/// Longest life of a sign-in.
pub const MAX_SESSION_S: u64 = 30 * 86_400;

/// Life of a license URL unless configured otherwise.
pub const PLAYBACK_S: u64 = 30;

/// Longest life of a license URL.
pub const MAX_PLAYBACK_S: u64 = 120;

pub(crate) const ISSUER: &str = "strongroom";

/// The key that signs and checks tokens.
pub struct TokenKey {
    signing: EncodingKey,
    checking: DecodingKey,
}

impl TokenKey {
    /// Makes the key of its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self { signing: EncodingKey::from_secret(bytes), checking: DecodingKey::from_secret(bytes) }
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Not a token of ours, of this kind, for this use.
    #[error("the token is not valid")]
    Invalid,
    /// Ours, but its time is over; a fresh one helps.
    #[error("the token has expired")]
    Expired,
}

/// Proof of a sign-in. Whether the sign-in still stands is the store's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionToken {
    /// The account.
    pub account: AccountId,
    /// The sign-in.
    pub sign_in: SignInId,
    /// When it was issued; whole seconds in the token.
    pub issued: Timestamp,
    /// When it ends; whole seconds in the token.
    pub expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionClaims {
    iss: String,
    aud: String,
    sub: AccountId,
    sid: SignInId,
    iat: u64,
    exp: u64,
}

impl Kind for SessionClaims {
    const TYPE: &'static str = "strongroom-session+jwt";
    const AUDIENCE: &'static str = "strongroom-session";

    fn rules() -> &'static Validation {
        static RULES: LazyLock<Validation> = LazyLock::new(|| rules(SessionClaims::AUDIENCE));
        &RULES
    }
}

impl SessionToken {
    /// Signs the token.
    #[must_use]
    pub fn issue(&self, key: &TokenKey) -> String {
        sign(
            key,
            &SessionClaims {
                iss: ISSUER.to_owned(),
                aud: SessionClaims::AUDIENCE.to_owned(),
                sub: self.account,
                sid: self.sign_in,
                iat: self.issued.as_s(),
                exp: self.expires.as_s(),
            },
        )
    }

    /// Reads a token that was issued here and has not ended.
    ///
    /// Errors: [`TokenRefused`]. Limits: [`MAX_TOKEN_BYTES`], [`MAX_SESSION_S`].
    pub fn verify(key: &TokenKey, text: &str, now: Timestamp) -> Result<Self, TokenRefused> {
        let claims: SessionClaims = read(key, text)?;
        let span = Span { issued: seconds(claims.iat)?, expires: seconds(claims.exp)? };
        span.check(MAX_SESSION_S, now)?;
        Ok(Self {
            account: claims.sub,
            sign_in: claims.sid,
            issued: span.issued,
            expires: span.expires,
        })
    }
}

/// What a license URL carries: one playback of one title, for a moment.
///
/// Its claims `iat_ms` and `exp_ms` are private names because the rule for tokens older than
/// the server needs milliseconds, where `iat` and `exp` are mostly read as whole seconds;
/// `exp` stands beside them for whoever audits that every token ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybackToken {
    /// This token; each of its KIDs is answered once.
    pub id: TokenId,
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// The playback session.
    pub session: PlaybackSessionId,
    /// The title.
    pub content_id: ContentId,
    /// The title's keys.
    pub covers: Covers,
    /// The decision behind it.
    pub decision: DecisionId,
    /// Whether the session holds a stream slot, which a license then turns into a lease. False
    /// for tokens that operators mint.
    pub holds_slot: bool,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaybackClaims {
    iss: String,
    aud: String,
    sub: AccountId,
    jti: TokenId,
    device: DeviceId,
    session: PlaybackSessionId,
    content: ContentId,
    kids: Covers,
    decision: DecisionId,
    slot: bool,
    /// The end for every other reader of tokens, whole seconds rounded up (R006).
    exp: u64,
    iat_ms: Timestamp,
    exp_ms: Timestamp,
}

impl Kind for PlaybackClaims {
    const TYPE: &'static str = "strongroom-license+jwt";
    const AUDIENCE: &'static str = "strongroom-license";

    fn rules() -> &'static Validation {
        static RULES: LazyLock<Validation> = LazyLock::new(|| rules(PlaybackClaims::AUDIENCE));
        &RULES
    }
}

impl PlaybackToken {
    /// Signs the token. The caller keeps the KIDs it names within [`crate::MAX_KIDS`]; a token with more
    /// would not be accepted.
    #[must_use]
    pub fn issue(&self, key: &TokenKey) -> String {
        sign(
            key,
            &PlaybackClaims {
                iss: ISSUER.to_owned(),
                aud: PlaybackClaims::AUDIENCE.to_owned(),
                sub: self.account,
                jti: self.id,
                device: self.device,
                session: self.session,
                content: self.content_id.clone(),
                kids: self.covers.clone(),
                decision: self.decision,
                slot: self.holds_slot,
                exp: self.expires.0.div_ceil(1000),
                iat_ms: self.issued,
                exp_ms: self.expires,
            },
        )
    }

    /// Reads a token that was issued here, after `boot`, and has not ended.
    ///
    /// A token from before `boot` counts as expired: which of its KIDs were answered was known
    /// only to the process that ended.
    ///
    /// Errors: [`TokenRefused`]. Limits: [`MAX_TOKEN_BYTES`], [`MAX_PLAYBACK_S`].
    pub fn verify(
        key: &TokenKey,
        text: &str,
        now: Timestamp,
        boot: Timestamp,
    ) -> Result<Self, TokenRefused> {
        let claims: PlaybackClaims = read(key, text)?;
        if claims.exp != claims.exp_ms.0.div_ceil(1000) {
            return Err(TokenRefused::Invalid);
        }
        let span = Span { issued: claims.iat_ms, expires: claims.exp_ms };
        span.check(MAX_PLAYBACK_S, now)?;
        if span.issued < boot {
            return Err(TokenRefused::Expired);
        }
        Ok(Self {
            id: claims.jti,
            account: claims.sub,
            device: claims.device,
            session: claims.session,
            content_id: claims.content,
            covers: claims.kids,
            decision: claims.decision,
            holds_slot: claims.slot,
            issued: span.issued,
            expires: span.expires,
        })
    }
}

/// The two names that tell one kind of token from the other.
pub(crate) trait Kind: Serialize + DeserializeOwned {
    const TYPE: &'static str;
    const AUDIENCE: &'static str;

    /// What the library checks; made once, for it is a dozen allocations.
    fn rules() -> &'static Validation;

    fn header() -> Header {
        Header { typ: Some(Self::TYPE.to_owned()), ..Header::new(Algorithm::HS256) }
    }
}

pub(crate) fn sign<C: Kind>(key: &TokenKey, claims: &C) -> String {
    encode(&C::header(), claims, &key.signing).expect("HS256 signs any JSON object")
}

pub(crate) fn rules(audience: &str) -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_required_spec_claims(&["aud", "iss", "sub"]);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[ISSUER]);
    // The library would ask the system's clock; `Span::check` asks the caller's.
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules
}

pub(crate) fn read<C: Kind>(key: &TokenKey, text: &str) -> Result<C, TokenRefused> {
    if text.len() > MAX_TOKEN_BYTES {
        return Err(TokenRefused::Invalid);
    }
    let token = decode::<C>(text, &key.checking, C::rules()).map_err(|_| TokenRefused::Invalid)?;
    if token.header == C::header() { Ok(token.claims) } else { Err(TokenRefused::Invalid) }
}

pub(crate) fn seconds(since_epoch: u64) -> Result<Timestamp, TokenRefused> {
    since_epoch.checked_mul(1000).map(Timestamp).ok_or(TokenRefused::Invalid)
}

/// From when to when a token says it counts.
pub(crate) struct Span {
    pub issued: Timestamp,
    pub expires: Timestamp,
}

impl Span {
    /// A token of ours never lives longer than its kind may and never starts in the future; one
    /// that says so was not made by this code with this clock.
    pub fn check(&self, longest_s: u64, now: Timestamp) -> Result<(), TokenRefused> {
        if self.issued > now || self.expires > self.issued.plus_s(longest_s) {
            return Err(TokenRefused::Invalid);
        }
        if self.expires <= now { Err(TokenRefused::Expired) } else { Ok(()) }
    }
}
