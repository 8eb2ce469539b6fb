//! BCert, PlayReady's certificates: a chain (`CHAI`) of certificates (`CERT`), the holder's
//! first, each with attributes and signed by a key of the next. Everything is big-endian.
//!
//! Layout by its public readers; Microsoft's own description is its licensees'.

use super::ChainError;
use super::reader::Reader;
use keys::{P256PublicKey, sha256};
use model::Timestamp;

/// Longest chain that is read.
pub(super) const MAX_CHAIN_BYTES: usize = 64 * 1024;
/// Most certificates of a chain.
const MAX_DEPTH: usize = 6;
/// Most attributes of a certificate: there are 17 kinds.
const MAX_ATTRIBUTES: usize = 32;
/// Most keys of a certificate, and usages of a key.
const MAX_KEYS: usize = 16;
/// Most features that a certificate lists.
const MAX_FEATURES: usize = 32;
/// Longest name of a manufacturer, model or number.
const MAX_NAME_BYTES: usize = 256;
/// The only version, of chains and of certificates.
pub(super) const VERSION: u32 = 1;
/// A certificate without an end.
pub(super) const NEVER: u32 = u32::MAX;
/// Bits of X and Y; the only length of a key.
pub(super) const KEY_BITS: u16 = 512;
/// A key on P-256, a signature of its kind.
pub(super) const ECC_256: u16 = 1;
pub(super) const SIGNATURE_BYTES: u16 = 64;
/// Head of a chain, of a certificate, of an attribute.
pub(super) const CHAIN_HEAD: usize = 20;
pub(super) const CERTIFICATE_HEAD: usize = 16;
pub(super) const ATTRIBUTE_HEAD: usize = 8;

/// Flag of an attribute: who does not know it must not go on.
pub(super) const MUST_UNDERSTAND: u16 = 1;

/// Kinds of attributes.
pub(super) mod tag {
    pub(crate) const BASIC: u16 = 1;
    pub(crate) const DEVICE: u16 = 4;
    pub(crate) const FEATURES: u16 = 5;
    pub(crate) const KEYS: u16 = 6;
    pub(crate) const MANUFACTURER: u16 = 7;
    pub(crate) const SIGNATURE: u16 = 8;
    /// Domain, PC, Silverlight, metering, extended data with key and signature, server, security
    /// versions: known, and nothing of them is needed.
    pub(super) const UNREAD: [u16; 11] = [2, 3, 9, 10, 11, 12, 13, 14, 15, 16, 17];
}

/// Whose a certificate is.
pub mod kind {
    /// Software on a computer.
    pub const PC: u32 = 1;
    /// A device.
    pub const DEVICE: u32 = 2;
    /// One who issues certificates.
    pub const ISSUER: u32 = 4;
    /// A service.
    pub const SERVICE: u32 = 6;
    /// An application.
    pub const APPLICATION: u32 = 8;
    /// A license server.
    pub const SERVER: u32 = 11;
    /// One who signs a server's answers.
    pub const LICENSE_SIGNER: u32 = 12;
}

/// What a key may be used for.
pub mod usage {
    /// Signs requests.
    pub const SIGN: u32 = 1;
    /// Decrypts keys.
    pub const ENCRYPT: u32 = 2;
    /// Issues certificates of devices.
    pub const ISSUE_DEVICE: u32 = 6;
    /// Signs answers.
    pub const SIGN_RESPONSE: u32 = 0x14;
}

/// A key and what it may be used for.
#[derive(Debug)]
pub(super) struct CertifiedKey {
    pub(super) bytes: [u8; 64],
    usages: Vec<u32>,
}

/// A certificate, read and not yet believed.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    pub(super) level: u32,
    pub(super) kind: u32,
    pub(super) digest: [u8; 32],
    pub(super) expires_s: u32,
    pub(super) client_id: [u8; 16],
    pub(super) features: Vec<u32>,
    /// Manufacturer, model, number.
    pub(super) names: [String; 3],
    pub(super) keys: Vec<CertifiedKey>,
    /// What is signed: the exact bytes.
    signed: &'a [u8],
    signature: [u8; 64],
    pub(super) signer: [u8; 64],
}

impl Certificate<'_> {
    /// Whether the certificate's own word about its signer holds.
    pub(super) fn is_signed(&self) -> bool {
        P256PublicKey::parse(&self.signer)
            .is_some_and(|signer| signer.verify_sha256(self.signed, &self.signature))
    }

    /// Whether it has a key of these bytes, with this usage where one is asked for.
    pub(super) fn has_key(&self, bytes: &[u8; 64], usage: Option<u32>) -> bool {
        self.keys
            .iter()
            .any(|key| key.bytes == *bytes && usage.is_none_or(|usage| key.usages.contains(&usage)))
    }

    /// Its one key for a use.
    pub(super) fn key_for(&self, usage: u32) -> Result<P256PublicKey, ChainError> {
        let mut keys = self.keys.iter().filter(|key| key.usages.contains(&usage));
        match (keys.next(), keys.next()) {
            (Some(key), None) => P256PublicKey::parse(&key.bytes).ok_or(ChainError::Key),
            _ => Err(ChainError::Usage),
        }
    }

    /// Whether its digest is that of one of its keys.
    pub(super) fn digest_is_its_own(&self) -> bool {
        self.keys.iter().any(|key| sha256(&key.bytes) == self.digest)
    }
}

/// Whether something with this end is over.
pub(super) fn has_expired(expires_s: u32, now: Timestamp) -> bool {
    expires_s != NEVER && now.as_s() >= u64::from(expires_s)
}

/// A chain, read and not yet believed: its certificates, the holder's first, each with all bytes
/// behind the one before it.
pub(super) fn read_chain(bytes: &[u8]) -> Result<Vec<(Certificate<'_>, &[u8])>, ChainError> {
    if bytes.len() > MAX_CHAIN_BYTES {
        return Err(ChainError::TooLarge);
    }
    let mut head = Reader(bytes);
    let (magic, version, total, flags, count) =
        (|| Some((head.array()?, head.u32()?, head.size()?, head.u32()?, head.size()?)))()
            .ok_or(ChainError::Malformed)?;
    // No flag is known, and no signature covers them.
    if magic != *b"CHAI" || total != bytes.len() || flags != 0 {
        return Err(ChainError::Malformed);
    }
    if version != VERSION {
        return Err(ChainError::Version);
    }
    if !(1..=MAX_DEPTH).contains(&count) {
        return Err(ChainError::Depth);
    }
    let (mut rest, mut chain) = (head.0, Vec::with_capacity(count));
    for _ in 0..count {
        let from_here = rest;
        let mut length = Reader(rest.get(8..12).ok_or(ChainError::Certificate)?);
        let length = length.size().ok_or(ChainError::Certificate)?;
        let (own, behind) = rest.split_at_checked(length).ok_or(ChainError::Certificate)?;
        chain.push((read_certificate(own)?, from_here));
        rest = behind;
    }
    if rest.is_empty() { Ok(chain) } else { Err(ChainError::Malformed) }
}

#[derive(Default)]
struct Found<'a> {
    basic: Option<&'a [u8]>,
    device: Option<&'a [u8]>,
    features: Option<&'a [u8]>,
    keys: Option<&'a [u8]>,
    manufacturer: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

fn read_certificate(bytes: &[u8]) -> Result<Certificate<'_>, ChainError> {
    let damaged = ChainError::Certificate;
    let mut head = Reader(bytes);
    let (magic, version, total, signed) =
        (|| Some((head.array()?, head.u32()?, head.size()?, head.size()?)))().ok_or(damaged)?;
    if magic != *b"CERT" || total != bytes.len() {
        return Err(damaged);
    }
    if version != VERSION {
        return Err(ChainError::Version);
    }
    let found = read_attributes(head.0)?;
    let missing = ChainError::AttributeMissing;
    let signature = found.signature.ok_or(missing)?;
    // The signature is the last attribute, and covers everything before it.
    if signed.checked_add(ATTRIBUTE_HEAD + signature.len()) != Some(total) {
        return Err(damaged);
    }
    let basic = basic(found.basic.ok_or(missing)?).ok_or(ChainError::Attribute)?;
    if let Some(device) = found.device {
        // Lengths of licenses, headers and chains that the device can take.
        let is_whole = device.len() == 12;
        is_whole.then_some(()).ok_or(ChainError::Attribute)?;
    }
    let (signature, signer) = signature_of(signature)?;
    Ok(Certificate {
        level: basic.level,
        kind: basic.kind,
        digest: basic.digest,
        expires_s: basic.expires_s,
        client_id: basic.client_id,
        features: found.features.map_or(Ok(vec![]), features_of)?,
        names: found.manufacturer.map_or(Ok(Default::default()), names_of)?,
        keys: keys_of(found.keys.ok_or(missing)?)?,
        signed: bytes.get(..signed).ok_or(damaged)?,
        signature,
        signer,
    })
}

fn read_attributes(bytes: &[u8]) -> Result<Found<'_>, ChainError> {
    let mut rest = Reader(bytes);
    let mut found = Found::default();
    let mut seen = Vec::new();
    while !rest.0.is_empty() {
        if seen.len() == MAX_ATTRIBUTES {
            return Err(ChainError::TooMany);
        }
        if seen.contains(&tag::SIGNATURE) {
            return Err(ChainError::Certificate);
        }
        let (flags, tag, body) = (|| {
            let (flags, tag) = (rest.u16()?, rest.u16()?);
            let length = rest.size()?.checked_sub(ATTRIBUTE_HEAD)?;
            Some((flags, tag, rest.bytes(length)?))
        })()
        .ok_or(ChainError::Certificate)?;
        if seen.contains(&tag) {
            return Err(ChainError::AttributeTwice);
        }
        seen.push(tag);
        match tag {
            tag::BASIC => found.basic = Some(body),
            tag::DEVICE => found.device = Some(body),
            tag::FEATURES => found.features = Some(body),
            tag::KEYS => found.keys = Some(body),
            tag::MANUFACTURER => found.manufacturer = Some(body),
            // The only flags of its kind, which itself does not cover.
            tag::SIGNATURE if flags != MUST_UNDERSTAND => return Err(ChainError::Certificate),
            tag::SIGNATURE => found.signature = Some(body),
            _ if tag::UNREAD.contains(&tag) => {}
            _ if flags & MUST_UNDERSTAND != 0 => return Err(ChainError::UnknownAttribute),
            _ => {}
        }
    }
    Ok(found)
}

struct Basic {
    level: u32,
    kind: u32,
    digest: [u8; 32],
    expires_s: u32,
    client_id: [u8; 16],
}

fn basic(body: &[u8]) -> Option<Basic> {
    let mut body = Reader(body);
    let _id: [u8; 16] = body.array()?;
    let level = body.u32()?;
    let _flags = body.u32()?;
    let (kind, digest) = (body.u32()?, body.array()?);
    let (expires_s, client_id) = (body.u32()?, body.array()?);
    body.done(Basic { level, kind, digest, expires_s, client_id })
}

fn features_of(body: &[u8]) -> Result<Vec<u32>, ChainError> {
    let mut body = Reader(body);
    let count = body.size().ok_or(ChainError::Attribute)?;
    if count > MAX_FEATURES {
        return Err(ChainError::TooMany);
    }
    let features: Option<Vec<u32>> = (0..count).map(|_| body.u32()).collect();
    features.and_then(|features| body.done(features)).ok_or(ChainError::Attribute)
}

fn names_of(body: &[u8]) -> Result<[String; 3], ChainError> {
    let mut body = Reader(body);
    let _flags = body.u32().ok_or(ChainError::Attribute)?;
    let mut names = <[String; 3]>::default();
    for name in &mut names {
        let length = body.size().ok_or(ChainError::Attribute)?;
        if length > MAX_NAME_BYTES {
            return Err(ChainError::TooMany);
        }
        // Padded to whole words; some writers end the text with zeros of their own.
        let padded = body.bytes(length.next_multiple_of(4)).ok_or(ChainError::Attribute)?;
        let text = padded.get(..length).ok_or(ChainError::Attribute)?;
        *name = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect();
    }
    body.done(names).ok_or(ChainError::Attribute)
}

fn keys_of(body: &[u8]) -> Result<Vec<CertifiedKey>, ChainError> {
    let damaged = ChainError::Attribute;
    let mut body = Reader(body);
    let count = body.size().ok_or(damaged)?;
    if count > MAX_KEYS {
        return Err(ChainError::TooMany);
    }
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let (kind, bits) = (body.u16().ok_or(damaged)?, body.u16().ok_or(damaged)?);
        if (kind, bits) != (ECC_256, KEY_BITS) {
            return Err(ChainError::Key);
        }
        let _flags = body.u32().ok_or(damaged)?;
        let bytes = body.array().ok_or(damaged)?;
        let usages = body.size().ok_or(damaged)?;
        if usages > MAX_KEYS {
            return Err(ChainError::TooMany);
        }
        let usages: Option<Vec<u32>> = (0..usages).map(|_| body.u32()).collect();
        keys.push(CertifiedKey { bytes, usages: usages.ok_or(damaged)? });
    }
    body.done(keys).ok_or(damaged)
}

fn signature_of(body: &[u8]) -> Result<([u8; 64], [u8; 64]), ChainError> {
    let damaged = ChainError::Attribute;
    let mut body = Reader(body);
    let (kind, length) = (body.u16().ok_or(damaged)?, body.u16().ok_or(damaged)?);
    if (kind, length) != (ECC_256, SIGNATURE_BYTES) {
        return Err(ChainError::SignatureKind);
    }
    let signature = body.array().ok_or(damaged)?;
    if body.u32().ok_or(damaged)? != u32::from(KEY_BITS) {
        return Err(ChainError::SignatureKind);
    }
    let signer = body.array().ok_or(damaged)?;
    body.done((signature, signer)).ok_or(damaged)
}
