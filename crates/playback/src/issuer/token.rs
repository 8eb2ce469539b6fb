//! One token of an issuer: its shape, its claims, its signature.

use super::algorithm::Algorithm;
use super::key_set::{KeySet, MAX_KID};
use super::strict_json;
use crate::token::{MAX_TOKEN_BYTES, TokenRefused, seconds};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{SignInId, Timestamp};
use serde_json::{Map, Value};

/// Longest subject, bytes (OpenID Connect Core 1.0, 2).
pub const MAX_SUBJECT: usize = 255;

/// Names that a header may have. What is not here refuses the token: keys and the places of
/// keys (`jwk`, `jku`, `x5u`, `x5c`), rules to understand (`crit`, `b64`), nesting (`cty`).
const HEADER_NAMES: [&str; 5] = ["alg", "kid", "typ", "x5t", "x5t#S256"];

/// Claims of tokens that are no proof of who holds them: security events, a logout among them
/// (RFC 8417), and tokens that count only with a proof of their key (RFC 7800), which nobody
/// asks for here.
const FOREIGN_CLAIMS: [&str; 2] = ["events", "cnf"];

/// What the tokens of one issuer must say.
#[derive(Clone, Debug)]
pub struct IssuerRules {
    /// `iss`, letter by letter.
    pub issuer: String,
    /// Each audience of a token must be one of these.
    pub audiences: Vec<String>,
    /// How it signs.
    pub algorithms: Vec<Algorithm>,
    /// The kinds of token that count (`typ`, in lower case). A token without `typ` is a `jwt`.
    pub types: Vec<String>,
    /// How far the issuer's clock may be from ours, seconds.
    pub leeway_s: u64,
    /// Longest life of a token, seconds.
    pub max_life_s: u64,
}

/// A text of the right shape. Nothing in it is believed.
pub struct UncheckedToken<'a> {
    message: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: String,
    kind: Option<String>,
    claims: Map<String, Value>,
}

/// A token that claims what it must. Who made it is not known yet.
pub struct UnprovedToken<'a> {
    unchecked: UncheckedToken<'a>,
    subject: String,
    issued: Timestamp,
    expires: Timestamp,
    is_over: bool,
}

/// Why a token is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproved {
    /// The set has no such key; a newer set may.
    UnknownKey,
    /// It never will be.
    Refused(TokenRefused),
}

/// A token that its issuer signed for us and that counts now.
#[derive(Clone)]
pub struct IssuerToken {
    issuer: String,
    subject: String,
    issued: Timestamp,
    expires: Timestamp,
    sign_in: SignInId,
    claims: Map<String, Value>,
}

impl<'a> UncheckedToken<'a> {
    /// Reads the compact form (RFC 7515, 7.1).
    ///
    /// Errors: [`TokenRefused::Invalid`]. Limits: [`MAX_TOKEN_BYTES`], [`MAX_KID`].
    pub fn parse(text: &'a str) -> Result<Self, TokenRefused> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefused::Invalid);
        }
        Self::read(text).ok_or(TokenRefused::Invalid)
    }

    fn read(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header = strict_json::object(&decode(header)?)?;
        if !header.keys().all(|name| HEADER_NAMES.contains(&name.as_str())) {
            return None;
        }
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let kind = match header.get("typ") {
            None => None,
            Some(kind) => Some(kind.as_str()?.to_ascii_lowercase()),
        };
        let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID)?;
        Some(Self {
            message,
            signature: decode(signature).filter(|signature| !signature.is_empty())?,
            algorithm: Algorithm::parse(text("alg")?)?,
            kid: kid.to_owned(),
            kind,
            claims: strict_json::object(&decode(claims)?)?,
        })
    }

    /// Who it says made it: chooses the rules, and proves nothing.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Holds what it claims against the rules of its issuer. That its time is over is told only
    /// to who holds a signed one, so [`UnprovedToken::prove`] says it.
    ///
    /// Errors: [`TokenRefused::Invalid`].
    pub fn check(
        self,
        rules: &IssuerRules,
        now: Timestamp,
    ) -> Result<UnprovedToken<'a>, TokenRefused> {
        let Times { issued, expires, is_over } = Times::read(&self.claims, rules, now)?;
        let subject = self.subject(rules).ok_or(TokenRefused::Invalid)?.to_owned();
        Ok(UnprovedToken { subject, issued, expires, is_over, unchecked: self })
    }

    /// The subject, where all that says what the token is for is right.
    fn subject(&self, rules: &IssuerRules) -> Option<&str> {
        let claims = &self.claims;
        let is_ours = self.issuer() == Some(rules.issuer.as_str())
            && rules.algorithms.contains(&self.algorithm)
            && rules.types.iter().any(|kind| kind == self.kind.as_deref().unwrap_or("jwt"))
            && is_for(claims.get("aud")?, &rules.audiences)
            && !FOREIGN_CLAIMS.iter().any(|name| claims.contains_key(*name));
        let subject = claims.get("sub").and_then(Value::as_str).filter(|_| is_ours)?;
        let is_plain = !subject.is_empty()
            && subject.len() <= MAX_SUBJECT
            && !subject.chars().any(char::is_control);
        is_plain.then_some(subject)
    }
}

/// Whether every audience of a token is one of ours: one more would be someone else who may use
/// it here (OpenID Connect Core 1.0, 3.1.3.7).
fn is_for(audience: &Value, ours: &[String]) -> bool {
    let is_ours = |one: &Value| one.as_str().is_some_and(|one| ours.iter().any(|our| our == one));
    match audience {
        Value::Array(several) => !several.is_empty() && several.iter().all(is_ours),
        one => is_ours(one),
    }
}

struct Times {
    issued: Timestamp,
    expires: Timestamp,
    is_over: bool,
}

impl Times {
    /// Errors: [`TokenRefused::Invalid`] for times that are missing, in the future, or too far
    /// apart.
    fn read(
        claims: &Map<String, Value>,
        rules: &IssuerRules,
        now: Timestamp,
    ) -> Result<Self, TokenRefused> {
        let time = |value: &Value| value.as_u64().ok_or(TokenRefused::Invalid).and_then(seconds);
        let needed = |name: &str| claims.get(name).ok_or(TokenRefused::Invalid).and_then(time);
        let (issued, expires) = (needed("iat")?, needed("exp")?);
        let begins = claims.get("nbf").map(time).transpose()?.unwrap_or(issued);
        let soonest = now.plus_s(rules.leeway_s);
        let is_sound = issued <= soonest
            && begins <= soonest
            && issued < expires
            && expires <= issued.plus_s(rules.max_life_s);
        let is_over = expires.plus_s(rules.leeway_s) <= now;
        if is_sound { Ok(Self { issued, expires, is_over }) } else { Err(TokenRefused::Invalid) }
    }
}

impl UnprovedToken<'_> {
    /// Whether a set of keys that lacks this token's may be asked for anew: not for one that
    /// would be refused anyway.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the set has the key that it names.
    #[must_use]
    pub fn is_known_to(&self, keys: &KeySet) -> bool {
        keys.has(&self.unchecked.kid, self.unchecked.algorithm)
    }

    /// Checks the signature with the key that it names.
    ///
    /// Errors: [`Unproved`].
    pub fn prove(self, keys: &KeySet) -> Result<IssuerToken, Unproved> {
        if !self.is_known_to(keys) {
            return Err(Unproved::UnknownKey);
        }
        let UncheckedToken { message, signature, algorithm, kid, claims, .. } = self.unchecked;
        if !keys.verify(&kid, algorithm, message.as_bytes(), &signature) {
            return Err(Unproved::Refused(TokenRefused::Invalid));
        }
        if self.is_over {
            return Err(Unproved::Refused(TokenRefused::Expired));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let issuer = text("iss").unwrap_or_default();
        let session = text("sid").filter(|sid| !sid.is_empty());
        Ok(IssuerToken {
            sign_in: sign_in(issuer, &self.subject, session, message),
            issuer: issuer.to_owned(),
            subject: self.subject,
            issued: self.issued,
            expires: self.expires,
            claims,
        })
    }
}

/// The sign-in that a token stands for. Where the issuer names its session (`sid`), all tokens of
/// the session are one sign-in and so one device; without, each token is its own: two devices must
/// never pass for one.
fn sign_in(issuer: &str, subject: &str, session: Option<&str>, message: &str) -> SignInId {
    let last = session.map_or(["token", message], |session| ["session", session]);
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in ["strongroom sign-in of an issuer", issuer, subject].into_iter().chain(last) {
        hash.update(&part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finish();
    let first = hash.as_ref().first_chunk().copied();
    SignInId::from_bytes(first.expect("SHA-256 has 32 bytes"))
}

impl IssuerToken {
    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who it is about, by the issuer's own word.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The sign-in that the token stands for.
    #[must_use]
    pub const fn sign_in(&self) -> SignInId {
        self.sign_in
    }

    /// When it was issued.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// A claim that is text.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }
}

impl std::fmt::Debug for IssuerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuerToken(..)")
    }
}
