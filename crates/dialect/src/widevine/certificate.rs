//! Certificates and the chain of a device: DEVICE, signed by DEVICE_MODEL, signed by the root.

use super::messages::{
    DrmCertificate, SignedDrmCertificate, certificate_type, hash_algorithm, key_algorithm,
};
use super::{ChallengeError, DeviceList, DeviceStatus, decode};
use crate::terms::Hdcp;
use keys::{RsaKeyError, RsaPublicKey, sha256};
use model::{SecurityLevel, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Most device models that [`VerifiedModels`] remembers.
const MAX_MODELS: usize = 4096;
/// Most devices that it remembers.
const MAX_DEVICES: usize = 8192;

/// A device whose chain, status and signature were checked.
#[derive(Debug)]
pub struct Device {
    /// The number of its make and model.
    pub system_id: u32,
    /// The serial number of its certificate.
    pub serial: Vec<u8>,
    /// The serial number of its model's certificate.
    pub model_serial: Vec<u8>,
    /// The list's level for its system; L3 where the list does not name it.
    pub level: SecurityLevel,
    /// The list's status; `None` where the list does not name its system.
    pub status: Option<DeviceStatus>,
    /// The link protection that its outputs reach, by its own word.
    pub max_hdcp: Option<Hdcp>,
    /// By its own word.
    pub oem_crypto_api_version: Option<u32>,
    /// By its own word.
    pub resource_rating_tier: Option<u32>,
    pub(super) key: Arc<RsaPublicKey>,
}

/// A certificate, read and not yet believed.
pub(super) struct Certificate {
    pub(super) kind: i32,
    pub(super) serial: Vec<u8>,
    pub(super) system_id: Option<u32>,
    pub(super) provider_id: Vec<u8>,
    public_key: Vec<u8>,
    expires_s: u32,
    /// What is signed: the exact bytes.
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// The issuer's certificate, where one came along.
    pub(super) signer: Option<Vec<u8>>,
}

impl Certificate {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ChallengeError> {
        let malformed = ChallengeError::Certificate;
        let envelope: SignedDrmCertificate = decode(bytes).ok_or(malformed)?;
        let signed = envelope.drm_certificate.ok_or(malformed)?;
        let body: DrmCertificate = decode(&signed).ok_or(malformed)?;
        let hash = envelope.hash_algorithm.unwrap_or(hash_algorithm::UNSPECIFIED);
        if ![hash_algorithm::UNSPECIFIED, hash_algorithm::SHA_1].contains(&hash) {
            return Err(ChallengeError::HashAlgorithm);
        }
        let algorithm = body.algorithm.unwrap_or(key_algorithm::UNKNOWN);
        if ![key_algorithm::UNKNOWN, key_algorithm::RSA].contains(&algorithm) {
            return Err(ChallengeError::KeyAlgorithm);
        }
        Ok(Self {
            // Absent is ROOT, which no chain may hold.
            kind: body.kind.unwrap_or(certificate_type::ROOT),
            serial: body.serial_number.unwrap_or_default(),
            system_id: body.system_id,
            provider_id: body.provider_id.unwrap_or_default(),
            public_key: body.public_key.ok_or(malformed)?,
            expires_s: body.expiration_time_seconds.unwrap_or(0),
            signed,
            signature: envelope.signature.unwrap_or_default(),
            signer: envelope.signer,
        })
    }

    pub(super) fn is_signed_by(&self, issuer: &RsaPublicKey) -> bool {
        issuer.verify_pss_sha1(&self.signed, &self.signature)
    }

    pub(super) fn key(&self) -> Result<RsaPublicKey, ChallengeError> {
        RsaPublicKey::parse(&self.public_key).map_err(|error| match error {
            RsaKeyError::Bits => ChallengeError::WeakKey,
            RsaKeyError::Malformed => ChallengeError::Certificate,
        })
    }

    /// Whether the certificate has run out; one without an end has not.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        has_expired(self.expires_s, now)
    }

    /// When it ends.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        (self.expires_s != 0).then(|| Timestamp(u64::from(self.expires_s) * 1000))
    }
}

fn has_expired(expires_s: u32, now: Timestamp) -> bool {
    expires_s != 0 && now.as_s() >= u64::from(expires_s)
}

/// A certificate under which everything else is believed.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) key: RsaPublicKey,
    /// SHA-256 of the key: tells roots apart.
    hash: [u8; 32],
}

impl Root {
    pub(super) fn new(key: RsaPublicKey) -> Self {
        let hash = sha256(&key.to_pkcs1());
        Self { key, hash }
    }

    /// What a certificate under this root is known by.
    fn name_of(&self, certificate: &[u8]) -> [u8; 32] {
        sha256(&[&self.hash, certificate].concat())
    }
}

/// A device model's certificate that the root signed.
#[derive(Debug)]
struct Model {
    system_id: u32,
    serial: Vec<u8>,
    expires_s: u32,
    key: RsaPublicKey,
}

impl Model {
    /// Reads what issued a device's certificate; its signature is still to be checked.
    fn read(bytes: &[u8]) -> Result<(Self, Certificate), ChallengeError> {
        let certificate = Certificate::read(bytes)?;
        match certificate.kind {
            certificate_type::DEVICE_MODEL => {}
            certificate_type::DEVICE => return Err(ChallengeError::LeafIssuedLeaf),
            _ => return Err(ChallengeError::CertificateType),
        }
        if certificate.signer.is_some() {
            return Err(ChallengeError::ChainDepth);
        }
        let system_id = certificate.system_id.ok_or(ChallengeError::Certificate)?;
        let (serial, key) = (certificate.serial.clone(), certificate.key()?);
        Ok((Self { system_id, serial, expires_s: certificate.expires_s, key }, certificate))
    }
}

/// A device's certificate that its model signed.
#[derive(Debug)]
struct Leaf {
    system_id: u32,
    serial: Vec<u8>,
    expires_s: u32,
    key: Arc<RsaPublicKey>,
    model: Arc<Model>,
}

/// Remembers which certificates were verified: of device models, which thousands of devices
/// share, and of devices, which come again.
///
/// A certificate is known by the SHA-256 of its bytes together with its root's, so the memory
/// may outlive an import of other credentials. Dates and revocations are looked at each time.
/// Limits: 4096 models, 8192 devices; beyond that all are forgotten. Only what hangs from the
/// root takes room.
#[derive(Debug, Default)]
pub struct VerifiedModels {
    models: Known<Model>,
    devices: Known<Leaf>,
}

/// What was verified, by the hash of its bytes and its root's.
#[derive(Debug)]
struct Known<T>(RwLock<HashMap<[u8; 32], Arc<T>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Known<T> {
    fn get(&self, name: &[u8; 32]) -> Option<Arc<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep(&self, name: [u8; 32], verified: T, most: usize) -> Arc<T> {
        let verified = Arc::new(verified);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= most {
            known.clear();
        }
        known.insert(name, Arc::clone(&verified));
        verified
    }
}

impl VerifiedModels {
    fn model(&self, bytes: &[u8], root: &Root) -> Result<Arc<Model>, ChallengeError> {
        let name = root.name_of(bytes);
        if let Some(model) = self.models.get(&name) {
            return Ok(model);
        }
        let (model, certificate) = Model::read(bytes)?;
        if !certificate.is_signed_by(&root.key) {
            return Err(ChallengeError::UnknownRoot);
        }
        Ok(self.models.keep(name, model, MAX_MODELS))
    }
}

impl Leaf {
    /// Dates and the list: what may have changed since the chain was verified.
    fn admit(
        &self,
        list: &DeviceList,
        now: Timestamp,
    ) -> Result<(SecurityLevel, Option<DeviceStatus>), ChallengeError> {
        if has_expired(self.expires_s, now) || has_expired(self.model.expires_s, now) {
            return Err(ChallengeError::Expired);
        }
        list.admit(self.system_id, [&self.serial, &self.model.serial])
    }
}

/// Verifies the chain of a device: types, depth, systems, dates, status, both signatures.
pub(super) fn verify_device(
    token: &[u8],
    root: &Root,
    known: &VerifiedModels,
    list: &DeviceList,
    now: Timestamp,
) -> Result<Device, ChallengeError> {
    let name = root.name_of(token);
    let (leaf, (level, status)) = match known.devices.get(&name) {
        Some(leaf) => {
            let admitted = leaf.admit(list, now)?;
            (leaf, admitted)
        }
        None => {
            let (leaf, certificate) = read_leaf(token, root, known)?;
            // Cheaper than the signature, and the one that is not on the list comes most often.
            let admitted = leaf.admit(list, now)?;
            if !certificate.is_signed_by(&leaf.model.key) {
                return Err(ChallengeError::BrokenChain);
            }
            (known.devices.keep(name, leaf, MAX_DEVICES), admitted)
        }
    };
    Ok(Device {
        system_id: leaf.system_id,
        serial: leaf.serial.clone(),
        model_serial: leaf.model.serial.clone(),
        level,
        status,
        max_hdcp: None,
        oem_crypto_api_version: None,
        resource_rating_tier: None,
        key: Arc::clone(&leaf.key),
    })
}

/// Reads a device's certificate; its signature is still to be checked.
fn read_leaf(
    token: &[u8],
    root: &Root,
    known: &VerifiedModels,
) -> Result<(Leaf, Certificate), ChallengeError> {
    let certificate = Certificate::read(token)?;
    if certificate.kind != certificate_type::DEVICE {
        return Err(ChallengeError::CertificateType);
    }
    if certificate.serial.is_empty() {
        return Err(ChallengeError::Certificate);
    }
    let system_id = certificate.system_id.ok_or(ChallengeError::Certificate)?;
    let issuer = certificate.signer.as_deref().ok_or(ChallengeError::ChainDepth)?;
    let model = known.model(issuer, root)?;
    if model.system_id != system_id {
        return Err(ChallengeError::SystemIds);
    }
    let (serial, expires_s) = (certificate.serial.clone(), certificate.expires_s);
    let key = Arc::new(certificate.key()?);
    Ok((Leaf { system_id, serial, expires_s, key, model }, certificate))
}
