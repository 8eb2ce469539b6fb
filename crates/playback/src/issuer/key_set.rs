//! The public keys of an identity provider: its JSON Web Key Set (RFC 7517, 7518, 8037).
//!
//! Only keys that can check a signature are kept: RSA of 2048 to 8192 bits, P-256, P-384 and
//! Ed25519. A symmetric key, a private one, one for encryption and one of two that share a name
//! are passed over, so that nothing that a token says can make them count.

use super::algorithm::{Algorithm, Family};
use super::strict_json;
use aws_lc_rs::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Longest key set that is read, bytes.
pub const MAX_SET_BYTES: usize = 64 << 10;
/// Most keys of a set that are looked at.
pub const MAX_KEYS: usize = 64;
/// Longest name of a key, bytes.
pub const MAX_KID: usize = 256;
/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Longest RSA exponent, bytes; 65537 has three.
const MAX_EXPONENT: usize = 4;

/// Why a key set is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetRefused {
    /// Longer than [`MAX_SET_BYTES`], or more than [`MAX_KEYS`] keys.
    #[error("the key set is too large")]
    TooLarge,
    /// Not a JSON object with a list `keys` of objects.
    #[error("this is no JSON Web Key Set")]
    Malformed,
    /// No key of it can check a signature.
    #[error("the key set has no key that can check a signature")]
    NoKey,
}

/// The keys that an issuer signs with now.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<IssuerKey>);

#[derive(Clone, Debug)]
struct IssuerKey {
    kid: String,
    /// The one algorithm that the key is for, where the set says so.
    only: Option<Algorithm>,
    public: PublicKey,
}

#[derive(Clone, Debug)]
enum PublicKey {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point on the curve, uncompressed; or the 32 bytes of an Ed25519 key.
    Bytes(Family, Vec<u8>),
}

impl KeySet {
    /// Reads a set.
    ///
    /// Errors: [`KeySetRefused`]. Limits: [`MAX_SET_BYTES`], [`MAX_KEYS`], [`MAX_KID`].
    pub fn parse(text: &[u8]) -> Result<Self, KeySetRefused> {
        if text.len() > MAX_SET_BYTES {
            return Err(KeySetRefused::TooLarge);
        }
        let set = strict_json::object(text).ok_or(KeySetRefused::Malformed)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeySetRefused::Malformed)?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetRefused::TooLarge);
        }
        if !listed.iter().all(Value::is_object) {
            return Err(KeySetRefused::Malformed);
        }
        let read: Vec<IssuerKey> =
            listed.iter().filter_map(Value::as_object).filter_map(IssuerKey::read).collect();
        let is_alone = |key: &&IssuerKey| {
            read.iter()
                .filter(|other| other.kid == key.kid && other.family() == key.family())
                .count()
                == 1
        };
        let keys: Vec<IssuerKey> = read.iter().filter(is_alone).cloned().collect();
        if keys.is_empty() { Err(KeySetRefused::NoKey) } else { Ok(Self(keys)) }
    }

    /// Whether the set has a key of this name for this algorithm.
    #[must_use]
    pub fn has(&self, kid: &str, algorithm: Algorithm) -> bool {
        self.key(kid, algorithm).is_some()
    }

    /// Whether the signature of `message` is that of the key. False without such a key.
    pub(super) fn verify(
        &self,
        kid: &str,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(key) = self.key(kid, algorithm) else { return false };
        match &key.public {
            PublicKey::Rsa { n, e } => algorithm.rsa().is_some_and(|parameters| {
                let public = RsaPublicKeyComponents { n, e };
                public.verify(parameters, message, signature).is_ok()
            }),
            PublicKey::Bytes(_, bytes) => algorithm.curve().is_some_and(|curve| {
                UnparsedPublicKey::new(curve, bytes).verify(message, signature).is_ok()
            }),
        }
    }

    /// The kind of key follows from the algorithm, so that no key serves one that it is not for.
    fn key(&self, kid: &str, algorithm: Algorithm) -> Option<&IssuerKey> {
        self.0.iter().find(|key| {
            key.kid == kid
                && key.family() == algorithm.family()
                && key.only.is_none_or(|only| only == algorithm)
        })
    }
}

impl IssuerKey {
    const fn family(&self) -> Family {
        match &self.public {
            PublicKey::Rsa { .. } => Family::Rsa,
            PublicKey::Bytes(family, _) => *family,
        }
    }

    /// `None` for a key that cannot check a signature, or is not meant to.
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID)?;
        // What should have stayed with the issuer is no key any more.
        if ["d", "p", "q", "k"].iter().any(|private| jwk.contains_key(*private)) {
            return None;
        }
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        let verifies = |operations: &Value| {
            operations.as_array().is_some_and(|list| list.iter().any(|one| one == "verify"))
        };
        if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
            return None;
        }
        let only = match jwk.get("alg") {
            None => None,
            Some(name) => Some(name.as_str().and_then(Algorithm::parse)?),
        };
        let public = PublicKey::read(text("kty")?, jwk)?;
        let key = Self { kid: kid.to_owned(), only, public };
        only.is_none_or(|only| only.family() == key.family()).then_some(key)
    }
}

impl PublicKey {
    fn read(kind: &str, jwk: &Map<String, Value>) -> Option<Self> {
        let bytes = |name: &str| {
            jwk.get(name).and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        };
        let curve = jwk.get("crv").and_then(Value::as_str);
        match (kind, curve) {
            ("RSA", None) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                let is_whole = n.first().is_some_and(|first| *first >= 0x80 || n.len() > 256)
                    && n.first() != Some(&0)
                    && MODULUS_BYTES.contains(&n.len());
                let is_usual = (1..=MAX_EXPONENT).contains(&e.len()) && e.first() != Some(&0);
                (is_whole && is_usual).then_some(Self::Rsa { n, e })
            }
            ("EC", Some("P-256")) => point(Family::P256, &bytes("x")?, &bytes("y")?),
            ("EC", Some("P-384")) => point(Family::P384, &bytes("x")?, &bytes("y")?),
            ("OKP", Some("Ed25519")) => {
                let x = bytes("x").filter(|x| x.len() == 32)?;
                Some(Self::Bytes(Family::Ed25519, x))
            }
            _ => None,
        }
    }
}

/// SEC 1, 2.3.3: the form without compression. Whether it lies on the curve is asked at each use.
fn point(family: Family, x: &[u8], y: &[u8]) -> Option<PublicKey> {
    let length = if family == Family::P256 { 32 } else { 48 };
    let is_whole = x.len() == length && y.len() == length;
    is_whole.then(|| PublicKey::Bytes(family, [&[4], x, y].concat()))
}
