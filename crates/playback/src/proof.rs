//! Proofs that a caller holds a device's key: DPoP (RFC 9449), ES256 only.
//!
//! A proof is a JWT that the device signs for one request. Accepted is exactly the header of
//! RFC 9449, 4.2, with the public key (RFC 7518, 6.2.1) and nothing beside it: no private part, no
//! second algorithm, and nothing that would have to be looked up. Whether a proof was used before
//! is the caller's word, by [`Proof::id`].

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use model::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest proof that is looked at.
pub const MAX_PROOF_BYTES: usize = 4096;

/// How far the device's clock may be from ours, either way.
pub const MAX_SKEW_S: u64 = 60;

/// Longest `jti`, bytes.
pub const MAX_ID_BYTES: usize = 128;

const TYPE: &str = "dpop+jwt";

/// The request that a proof must be for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its address, without query.
    pub url: &'a str,
    /// The credentials that came with it: a proof that names one (`ath`) must name one of these.
    pub credentials: &'a [&'a str],
}

/// A proof that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// SHA-256 thumbprint (RFC 7638) of the key.
    pub key: [u8; 32],
    /// SHA-256 of the key and the proof's own id, to be used once.
    pub id: [u8; 32],
    /// When the device says that it signed; whole seconds.
    pub issued: Timestamp,
}

impl Proof {
    /// Until when its id is to be remembered: no later may it be accepted.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        self.issued.plus_s(MAX_SKEW_S + 1)
    }
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefused {
    /// Not a signed JWT of these members, or too long.
    #[error("not a proof")]
    Malformed,
    /// Another type, algorithm or kind of key.
    #[error("not ES256 by a P-256 key")]
    Algorithm,
    /// The signature is not the key's.
    #[error("the signature does not hold")]
    Signature,
    /// For another method.
    #[error("for another method")]
    Method,
    /// For another address.
    #[error("for another address")]
    Address,
    /// Too old, or from the future.
    #[error("not of this moment")]
    Time,
    /// For another credential.
    #[error("for another credential")]
    Credential,
}

impl ProofRefused {
    /// A stable name for the operator.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "proof_malformed",
            Self::Algorithm => "proof_by_another_algorithm",
            Self::Signature => "proof_signature_wrong",
            Self::Method => "proof_for_another_method",
            Self::Address => "proof_for_another_address",
            Self::Time => "proof_of_another_moment",
            Self::Credential => "proof_for_another_credential",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    jwk: PublicKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKey {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    htm: String,
    htu: String,
    iat: u64,
    jti: String,
    ath: Option<String>,
}

/// Checks a proof for a request (RFC 9449, 4.3).
///
/// Errors: [`ProofRefused`]. Limits: [`MAX_PROOF_BYTES`], [`MAX_SKEW_S`], [`MAX_ID_BYTES`].
pub fn verify(text: &str, asked: &Asked<'_>, now: Timestamp) -> Result<Proof, ProofRefused> {
    if text.len() > MAX_PROOF_BYTES {
        return Err(ProofRefused::Malformed);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(ProofRefused::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(ProofRefused::Malformed)?;
    let header: Header = part(header)?;
    if header.typ != TYPE || header.alg != "ES256" {
        return Err(ProofRefused::Algorithm);
    }
    let key = header.jwk.check()?;
    let claims: Claims = part(claims)?;
    let holds = jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, Algorithm::ES256);
    if !holds.unwrap_or(false) {
        return Err(ProofRefused::Signature);
    }
    let issued = claims.check(asked, now)?;
    let key = header.jwk.thumbprint();
    let mut id = Context::new(&SHA256);
    id.update(&key);
    id.update(claims.jti.as_bytes());
    Ok(Proof { key, id: array(id.finish().as_ref()), issued })
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, ProofRefused> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ProofRefused::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| ProofRefused::Malformed)
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

impl PublicKey {
    fn check(&self) -> Result<DecodingKey, ProofRefused> {
        if self.kty != "EC" || self.crv != "P-256" {
            return Err(ProofRefused::Algorithm);
        }
        // Of 32 bytes each, in their only spelling: the thumbprint is over these letters.
        let is_coordinate =
            |text: &str| URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
        if !is_coordinate(&self.x) || !is_coordinate(&self.y) {
            return Err(ProofRefused::Malformed);
        }
        DecodingKey::from_ec_components(&self.x, &self.y).map_err(|_| ProofRefused::Malformed)
    }

    /// RFC 7638, 3: the required members, sorted by name, without white space.
    fn thumbprint(&self) -> [u8; 32] {
        let Self { x, y, .. } = self;
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        array(digest(&SHA256, text.as_bytes()).as_ref())
    }
}

impl Claims {
    fn check(&self, asked: &Asked<'_>, now: Timestamp) -> Result<Timestamp, ProofRefused> {
        if self.jti.is_empty() || self.jti.len() > MAX_ID_BYTES {
            return Err(ProofRefused::Malformed);
        }
        if self.htm != asked.method {
            return Err(ProofRefused::Method);
        }
        let place = Place::read(asked.url);
        if place.is_none() || Place::read(&self.htu) != place {
            return Err(ProofRefused::Address);
        }
        let issued = self.iat.checked_mul(1000).map(Timestamp).ok_or(ProofRefused::Time)?;
        if now.as_s().abs_diff(self.iat) > MAX_SKEW_S {
            return Err(ProofRefused::Time);
        }
        let names = |credential: &&str| {
            self.ath.as_ref().is_none_or(|ath| {
                *ath == URL_SAFE_NO_PAD.encode(digest(&SHA256, credential.as_bytes()))
            })
        };
        if self.ath.is_some() && !asked.credentials.iter().any(names) {
            return Err(ProofRefused::Credential);
        }
        Ok(issued)
    }
}

/// An address in its normal form (RFC 3986, 6.2.2.1, 6.2.2.2 and 6.2.3), without query and
/// fragment.
#[derive(PartialEq, Eq)]
struct Place {
    scheme: String,
    authority: String,
    path: String,
}

impl Place {
    /// `None`: not an address of HTTP, or one with a user in it.
    fn read(url: &str) -> Option<Self> {
        let url = url.split(['?', '#']).next()?;
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let authority = authority.to_ascii_lowercase();
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let plain = authority.strip_suffix(port).or_else(|| authority.strip_suffix(':'));
        let authority = plain.map_or_else(|| authority.clone(), str::to_owned);
        Some(Self { scheme, authority, path: normal_path(path)? })
    }
}

/// Escapes of letters that need none are resolved, the others written in capitals.
fn normal_path(path: &str) -> Option<String> {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let (digits, behind) = after.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.push_str(&digits.to_ascii_uppercase());
        }
        rest = behind;
    }
    normal.push_str(rest);
    Some(normal)
}
