//! Checks Common Access Tokens, for the own edge.
//!
//! Strict where the formats leave room, because what two readers read in two ways is a hole:
//! one spelling of each token but for the optional tag of a CWT (deterministic encoding, RFC
//! 8949, 4.2, which knows no indefinite lengths), the algorithm in the protected header and the
//! one of the key, no header and no claim that is not understood here.

use super::super::SharedSecret;
use super::{
    CATGEOISO3166, CATM, CATU, CATV, CTI, CWT_TAG, EXACT, EXP, IAT, ISS, NBF, PATH, PREFIX,
    RENDITION, VERSION,
};
use crate::{EdgePass, PassRefused};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coset::cbor::Value;
use coset::iana::Algorithm;
use coset::{
    AsCborValue as _, CborSerializable as _, CoseMac0, CoseSign1, Header, ProtectedHeader,
    RegisteredLabelWithPrivate, TaggedCborSerializable as _,
};
use model::{ContentId, Country, Dialect, PlaybackSessionId, Timestamp, TrackClass, TrackClasses};

/// Longest token that is looked at, characters.
const MAX_TOKEN: usize = 2048;
/// Most claims, and most entries of one of them.
const MAX_ENTRIES: usize = 32;

/// A key that tokens are checked with.
#[derive(Debug)]
pub enum CatKey {
    /// ES256: X and Y of the public key.
    Es256([u8; 64]),
    /// HMAC-SHA-256.
    Hs256(SharedSecret),
}

/// Whose tokens are taken, under which key.
#[derive(Debug)]
pub struct TrustedIssuer {
    /// The claim `iss`.
    pub issuer: String,
    /// The header `kid`.
    pub key_id: String,
    /// The key.
    pub key: CatKey,
}

/// Checks the tokens of a few issuers.
#[derive(Debug)]
pub struct CatVerifier(Vec<TrustedIssuer>);

/// What is asked for with a token.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The path of the URL, as it came.
    pub path: &'a str,
    /// The title that the path names.
    pub content_id: &'a ContentId,
    /// The method.
    pub method: &'a str,
    /// Where the caller is, as far as known.
    pub country: Option<Country>,
    /// What time it is.
    pub now: Timestamp,
}

/// A token taken apart, nothing of it checked.
struct Taken {
    algorithm: Algorithm,
    key_id: Vec<u8>,
    claims: Vec<u8>,
    signature: Vec<u8>,
    signed: Vec<u8>,
}

impl CatVerifier {
    /// A verifier of the tokens of these issuers.
    #[must_use]
    pub const fn new(issuers: Vec<TrustedIssuer>) -> Self {
        Self(issuers)
    }

    /// Whether no token would be taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens a token as the pass that it is: without our own claim of a rendition one for media
    /// alone, because manifests are rendered for classes, and it names none.
    ///
    /// Errors: [`PassRefused`]; one reason for all that is wrong but the end of a good token.
    /// Limits: 2048 characters, 32 entries.
    pub fn open(&self, token: &str, asked: &Asked<'_>) -> Result<EdgePass, PassRefused> {
        let taken = take_apart(token).ok_or(PassRefused::Invalid)?;
        let issuer = self.0.iter().find(|issuer| issuer.has_signed(&taken));
        let issuer = issuer.ok_or(PassRefused::Invalid)?;
        let claims = Claims::read(&taken.claims).ok_or(PassRefused::Invalid)?;
        if !claims.allow(issuer, asked) {
            return Err(PassRefused::Invalid);
        }
        // The end is the first second that is refused (RFC 8392, 3.1.4).
        if asked.now.as_s() >= claims.expires_s {
            return Err(PassRefused::Expired);
        }
        let (dialect, classes) =
            claims.rendition.unwrap_or((Dialect::ClearKey, TrackClasses::NONE));
        Ok(EdgePass {
            content_id: asked.content_id.clone(),
            session: claims.session,
            classes,
            dialect,
            expires: Timestamp(claims.expires_s.saturating_mul(1000)),
        })
    }
}

impl TrustedIssuer {
    fn has_signed(&self, taken: &Taken) -> bool {
        let Taken { algorithm, key_id, signature, signed, .. } = taken;
        if key_id != self.key_id.as_bytes() {
            return false;
        }
        match (&self.key, algorithm) {
            (CatKey::Es256(point), Algorithm::ES256) => {
                let sec1 = [&[4], point.as_slice()].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, sec1);
                key.verify(signed, signature).is_ok()
            }
            (CatKey::Hs256(secret), Algorithm::HMAC_256_256) => {
                secret.has_signed(signed, signature)
            }
            _ => false,
        }
    }
}

fn take_apart(token: &str) -> Option<Taken> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (tag, message) = match deterministic(&bytes)? {
        Value::Tag(CWT_TAG, inner) => match *inner {
            Value::Tag(tag, message) => (tag, message),
            _ => return None,
        },
        Value::Tag(tag, message) => (tag, message),
        _ => return None,
    };
    match tag {
        CoseSign1::TAG => {
            let message = CoseSign1::from_cbor_value(*message).ok()?;
            let signed = message.tbs_data(&[]);
            let (algorithm, key_id) = headers(message.protected, message.unprotected)?;
            let (claims, signature) = (message.payload?, message.signature);
            (algorithm == Algorithm::ES256).then_some(Taken {
                algorithm,
                key_id,
                claims,
                signature,
                signed,
            })
        }
        CoseMac0::TAG => {
            let message = CoseMac0::from_cbor_value(*message).ok()?;
            let mut signed = vec![];
            let nothing = |_: &[u8], told: &[u8]| {
                signed = told.to_vec();
                Some(()).ok_or(())
            };
            message.verify_payload_tag(&[], || (), nothing).ok()?;
            let (algorithm, key_id) = headers(message.protected, message.unprotected)?;
            let (claims, signature) = (message.payload?, message.tag);
            (algorithm == Algorithm::HMAC_256_256).then_some(Taken {
                algorithm,
                key_id,
                claims,
                signature,
                signed,
            })
        }
        _ => None,
    }
}

/// The algorithm, protected; the key's id, protected or not; nothing else.
fn headers(protected: ProtectedHeader, open: Header) -> Option<(Algorithm, Vec<u8>)> {
    deterministic(protected.original_data.as_deref()?)?;
    let Some(RegisteredLabelWithPrivate::Assigned(algorithm)) = protected.header.alg else {
        return None;
    };
    let (closed_id, open_id) = (protected.header.key_id.clone(), open.key_id.clone());
    let allowed = Header { alg: protected.header.alg.clone(), ..with_key_id(&closed_id) };
    if protected.header != allowed || open != with_key_id(&open_id) {
        return None;
    }
    match (closed_id.is_empty(), open_id.is_empty()) {
        (false, true) => Some((algorithm, closed_id)),
        (true, false) => Some((algorithm, open_id)),
        _ => None,
    }
}

fn with_key_id(key_id: &[u8]) -> Header {
    Header { key_id: key_id.to_vec(), ..Header::default() }
}

/// Reads CBOR that is written as its writer would write it again: definite lengths, shortest
/// numbers, nothing behind it.
fn deterministic(bytes: &[u8]) -> Option<Value> {
    let value = Value::from_slice(bytes).ok()?;
    (value.clone().to_vec().ok()? == bytes).then_some(value)
}

/// The claims that are understood.
struct Claims {
    issuer: String,
    expires_s: u64,
    not_before_s: u64,
    session: PlaybackSessionId,
    path: (i64, String),
    methods: Option<Vec<String>>,
    countries: Option<Vec<String>>,
    rendition: Option<(Dialect, TrackClasses)>,
}

impl Claims {
    /// Reads the claims; `None` where one is missing, twice there, of another type or unknown.
    fn read(bytes: &[u8]) -> Option<Self> {
        let Value::Map(entries) = deterministic(bytes)? else { return None };
        if entries.len() > MAX_ENTRIES {
            return None;
        }
        let mut seen: Vec<i64> = vec![];
        let (mut issuer, mut expires_s, mut not_before_s) = (None, None, 0);
        let (mut session, mut path, mut version) = (None, None, None);
        let (mut methods, mut countries, mut rendition) = (None, None, None);
        for (name, value) in entries {
            let name = i64::try_from(name.as_integer()?).ok()?;
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match name {
                ISS => issuer = Some(value.into_text().ok()?),
                EXP => expires_s = Some(seconds(&value)?),
                NBF => not_before_s = seconds(&value)?,
                IAT => drop(seconds(&value)?),
                CTI => session = Some(value.into_bytes().ok()?.try_into().ok()?),
                CATV => version = Some(i64::try_from(value.as_integer()?).ok()?),
                CATU => path = Some(path_rule(value)?),
                CATM => methods = Some(texts(value)?),
                CATGEOISO3166 => countries = Some(texts(value)?),
                RENDITION => rendition = Some(rendition_of(&texts(value)?)?),
                _ => return None,
            }
        }
        version.filter(|version| *version == VERSION)?;
        Some(Self {
            issuer: issuer?,
            expires_s: expires_s?,
            not_before_s,
            session: PlaybackSessionId::from_bytes(session?),
            path: path?,
            methods,
            countries,
            rendition,
        })
    }

    /// Whether they cover what is asked, but for their end.
    fn allow(&self, issuer: &TrustedIssuer, asked: &Asked<'_>) -> bool {
        let (how, path) = &self.path;
        let covers_path = match *how {
            EXACT => asked.path == path,
            // A folder: what begins alike in the middle of a name is another.
            PREFIX => path.ends_with('/') && asked.path.starts_with(path.as_str()),
            _ => false,
        };
        let has_method = |methods: &Vec<String>| methods.iter().any(|one| one == asked.method);
        let country = asked.country.map(|country| country.to_string());
        let has_country =
            |countries: &Vec<String>| country.is_some_and(|country| countries.contains(&country));
        self.issuer == issuer.issuer
            && asked.now.as_s() >= self.not_before_s
            && covers_path
            && self.methods.as_ref().is_none_or(has_method)
            && self.countries.as_ref().is_none_or(has_country)
    }
}

/// A point in time in whole seconds.
fn seconds(value: &Value) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok()
}

fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    if values.len() > MAX_ENTRIES {
        return None;
    }
    values.into_iter().map(|value| value.into_text().ok()).collect()
}

/// `catu` with the path alone, compared in one way.
fn path_rule(value: Value) -> Option<(i64, String)> {
    let rule = only_entry(value, PATH)?.into_map().ok()?;
    let [(how, path)] = <[_; 1]>::try_from(rule).ok()?;
    Some((i64::try_from(how.as_integer()?).ok()?, path.into_text().ok()?))
}

fn only_entry(value: Value, key: i64) -> Option<Value> {
    let [(name, value)] = <[_; 1]>::try_from(value.into_map().ok()?).ok()?;
    (name == Value::from(key)).then_some(value)
}

fn rendition_of(names: &[String]) -> Option<(Dialect, TrackClasses)> {
    let (dialect, classes) = names.split_first()?;
    let classes = classes.iter().map(|name| TrackClass::parse(name));
    Some((Dialect::parse(dialect)?, classes.collect::<Option<Vec<_>>>()?.into_iter().collect()))
}
