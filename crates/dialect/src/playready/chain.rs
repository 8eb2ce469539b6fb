//! Whether a chain of certificates is believed: a device's, or that of one who signs answers.

use super::ChainError;
use super::certificate::{Certificate, MAX_CHAIN_BYTES, has_expired, kind, read_chain, usage};
use super::revocation::RevocationList;
use keys::{P256PublicKey, sha256};
use model::{SecurityLevel, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Most devices that [`VerifiedChains`] remembers.
const MAX_DEVICES: usize = 8192;
/// Most chains of issuers that it remembers.
const MAX_ISSUERS: usize = 4096;

/// A device whose chain was checked.
#[derive(Clone, Debug)]
pub struct Device {
    /// The neutral name of its security level.
    pub level: SecurityLevel,
    /// Its security level: 150, 2000 or 3000.
    pub security_level: u32,
    /// Its certificate's client id.
    pub client_id: [u8; 16],
    /// SHA-256 of its public key: by this it is revoked.
    pub digest: [u8; 32],
    /// Manufacturer, model and number, by its certificate.
    pub names: [String; 3],
    /// The features that its certificate lists.
    pub features: Vec<u32>,
    /// Under which it signs.
    pub(super) signing: P256PublicKey,
    /// For which keys are encrypted.
    pub(super) encryption: P256PublicKey,
}

/// A verified chain, and what may change about it.
#[derive(Debug)]
struct Verified {
    device: Device,
    /// When the first of its certificates ends.
    expires_s: u32,
    /// SHA-256 of every key of the chain.
    digests: Vec<[u8; 32]>,
}

impl Verified {
    /// Dates, revocations and settings: what may have changed since the chain was verified.
    fn admit(&self, admission: Admission<'_>) -> Result<(), ChainError> {
        let Admission { revoked, allows_test_level, now } = admission;
        if has_expired(self.expires_s, now) {
            return Err(ChainError::Expired);
        }
        if self.digests.iter().any(|digest| revoked.revokes(digest)) {
            return Err(ChainError::Revoked);
        }
        if self.device.security_level == TEST_LEVEL && !allows_test_level {
            return Err(ChainError::TestLevel);
        }
        Ok(())
    }
}

const TEST_LEVEL: u32 = 150;

/// SL3000 is L1, SL2000 is L2, SL150, a test level, is L3.
pub(super) const fn level_of(security_level: u32) -> Option<SecurityLevel> {
    match security_level {
        3000 => Some(SecurityLevel::L1),
        2000 => Some(SecurityLevel::L2),
        TEST_LEVEL => Some(SecurityLevel::L3),
        _ => None,
    }
}

/// The other way.
pub(super) const fn security_level_of(level: SecurityLevel) -> u32 {
    match level {
        SecurityLevel::L1 => 3000,
        SecurityLevel::L2 => 2000,
        SecurityLevel::L3 => TEST_LEVEL,
    }
}

/// The key under which every chain must end.
#[derive(Debug)]
pub(super) struct Root {
    key: P256PublicKey,
    /// SHA-256 of the key: tells roots apart.
    hash: [u8; 32],
}

impl Root {
    pub(super) fn new(key: P256PublicKey) -> Self {
        Self { key, hash: sha256(&key.to_bytes()) }
    }

    /// What a chain under this root is known by.
    fn name_of(&self, chain: &[u8]) -> [u8; 32] {
        sha256(&[&self.hash, chain].concat())
    }
}

/// Remembers which chains were verified: of devices, which come again, and of their issuers,
/// which thousands of devices share.
///
/// A chain is known by the SHA-256 of its bytes together with its root's, so the memory may
/// outlive an import of other credentials. Dates and revocations are looked at each time.
/// Limits: 8192 devices, 4096 chains of issuers; beyond that all are forgotten. Only what hangs
/// from the root takes room.
#[derive(Debug, Default)]
pub struct VerifiedChains {
    devices: RwLock<HashMap<[u8; 32], Arc<Verified>>>,
    issuers: RwLock<HashSet<[u8; 32]>>,
}

impl VerifiedChains {
    fn device(&self, name: &[u8; 32]) -> Option<Arc<Verified>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep_device(&self, name: [u8; 32], verified: Verified) {
        let mut known = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_DEVICES {
            known.clear();
        }
        known.insert(name, Arc::new(verified));
    }

    fn knows_issuers(&self, name: &[u8; 32]) -> bool {
        self.issuers.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn keep_issuers(&self, name: [u8; 32]) {
        let mut known = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ISSUERS {
            known.clear();
        }
        known.insert(name);
    }
}

/// Under what a device's chain is looked at, this time.
#[derive(Clone, Copy)]
pub(super) struct Admission<'a> {
    pub(super) revoked: &'a RevocationList,
    /// Whether devices of SL150 may come: never in production.
    pub(super) allows_test_level: bool,
    pub(super) now: Timestamp,
}

/// Verifies the chain of a device: its shape, levels, keys and digests, its root, its dates and
/// the revocations; at last, what costs most, its signatures.
///
/// Errors: [`ChainError`].
pub(super) fn verify_device(
    bytes: &[u8],
    root: &Root,
    known: &VerifiedChains,
    admission: Admission<'_>,
) -> Result<Device, ChainError> {
    if bytes.len() > MAX_CHAIN_BYTES {
        return Err(ChainError::TooLarge);
    }
    let name = root.name_of(bytes);
    if let Some(verified) = known.device(&name) {
        verified.admit(admission)?;
        return Ok(verified.device.clone());
    }
    let chain = read_chain(bytes)?;
    let leaf = leaf_of(&chain, &[kind::DEVICE, kind::PC, kind::APPLICATION])?;
    let level = level_of(leaf.level).ok_or(ChainError::Level)?;
    check_links(&chain, root, Some(usage::ISSUE_DEVICE))?;
    let verified = Verified {
        device: Device {
            level,
            security_level: leaf.level,
            client_id: leaf.client_id,
            digest: leaf.digest,
            names: leaf.names.clone(),
            features: leaf.features.clone(),
            signing: leaf.key_for(usage::SIGN)?,
            encryption: leaf.key_for(usage::ENCRYPT)?,
        },
        expires_s: earliest_end(&chain),
        digests: digests_of(&chain),
    };
    verified.admit(admission)?;
    verify_signatures(&chain, root, known)?;
    let device = verified.device.clone();
    known.keep_device(name, verified);
    Ok(device)
}

/// Verifies the chain of one who signs answers: its key for that.
///
/// Errors: [`ChainError`].
pub(super) fn verify_signer(
    bytes: &[u8],
    root: &Root,
    now: Timestamp,
) -> Result<P256PublicKey, ChainError> {
    let chain = read_chain(bytes)?;
    let leaf = leaf_of(&chain, &[kind::LICENSE_SIGNER, kind::SERVER])?;
    check_links(&chain, root, None)?;
    let key = leaf.key_for(usage::SIGN_RESPONSE)?;
    if has_expired(earliest_end(&chain), now) {
        return Err(ChainError::Expired);
    }
    if chain.iter().all(|(certificate, _)| certificate.is_signed()) {
        Ok(key)
    } else {
        Err(ChainError::Signature)
    }
}

/// A chain as it was read: each certificate with all bytes from it on.
type Chain<'a> = [(Certificate<'a>, &'a [u8])];

fn leaf_of<'c, 'a>(chain: &'c Chain<'a>, kinds: &[u32]) -> Result<&'c Certificate<'a>, ChainError> {
    let (leaf, _) = chain.first().ok_or(ChainError::Depth)?;
    if kinds.contains(&leaf.kind) { Ok(leaf) } else { Err(ChainError::LeafKind) }
}

/// Each certificate's digest is its key's, each signer's key one of the next certificate's, which
/// is an issuer's of no lower level; the last signer is the root.
fn check_links(chain: &Chain<'_>, root: &Root, usage: Option<u32>) -> Result<(), ChainError> {
    let issuers = chain.iter().skip(1).map(Some).chain([None]);
    for ((certificate, _), issuer) in chain.iter().zip(issuers) {
        if !certificate.digest_is_its_own() {
            return Err(ChainError::Digest);
        }
        match issuer {
            None if certificate.signer != root.key.to_bytes() => {
                return Err(ChainError::UnknownRoot);
            }
            None => {}
            Some((issuer, _)) if issuer.kind != kind::ISSUER => {
                return Err(ChainError::IssuerKind);
            }
            Some((issuer, _)) if certificate.level > issuer.level => {
                return Err(ChainError::Level);
            }
            Some((issuer, _)) if !issuer.has_key(&certificate.signer, usage) => {
                return Err(ChainError::BrokenChain);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Without an end is the latest of all.
fn earliest_end(chain: &Chain<'_>) -> u32 {
    chain.iter().map(|(certificate, _)| certificate.expires_s).min().unwrap_or(0)
}

fn digests_of(chain: &Chain<'_>) -> Vec<[u8; 32]> {
    let keys = chain.iter().flat_map(|(certificate, _)| &certificate.keys);
    keys.map(|key| sha256(&key.bytes)).collect()
}

/// The signatures of issuers are looked at once.
fn verify_signatures(
    chain: &Chain<'_>,
    root: &Root,
    known: &VerifiedChains,
) -> Result<(), ChainError> {
    let (leaf, issuers) = chain.split_first().ok_or(ChainError::Depth)?;
    if let Some((_, from_here)) = issuers.first() {
        let name = root.name_of(from_here);
        if !known.knows_issuers(&name) {
            if !issuers.iter().all(|(certificate, _)| certificate.is_signed()) {
                return Err(ChainError::Signature);
            }
            known.keep_issuers(name);
        }
    }
    if leaf.0.is_signed() { Ok(()) } else { Err(ChainError::Signature) }
}

#[cfg(test)]
mod tests;
