//! Provisioning: software that made its own key asks for a certificate, once (R100).
//!
//! Widevine's own provisioning is not public, so this protocol is ours, and only clients of ours
//! speak it. One question, one answer, both JSON:
//!
//! - `{"public_key", "time_s", "signature"}`. `public_key`: PKCS#1 or `SubjectPublicKeyInfo`,
//!   DER, base64url without padding. `signature`: RSASSA-PSS with SHA-1, as the key signs its
//!   license requests too, over the label `strongroom widevine provisioning 1`, a zero byte,
//!   `time_s` (u64, big endian) and the SHA-256 of the key's PKCS#1 DER.
//! - `{"certificate"}`: a SignedDrmCertificate of type DEVICE with its model's inside, base64url.
//!
//! The signature proves that who asks holds the private key, so that nobody gets a certificate
//! in another's name. The client alone composes what it signs: a server that could choose bytes
//! for it to sign could have it sign a license request. What was overheard is worth nothing to
//! others: the same question gets the same certificate, which is public, and after ten minutes
//! it gets none.

use super::certificate::{Certificate, Root, VerifiedModels, verify_device};
use super::client::ClientDevice;
use super::draft::{CertificateDraft, CertificateKind};
use super::messages::certificate_type;
use super::{ChallengeError, DeviceList, ImportError, RootFile};
use crate::terms::Hdcp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::{RsaKeyError, RsaPrivateKey, RsaPublicKey, sha256};
use model::{Entropy, SecurityLevel, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest question or answer, bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// How far the client's clock may be from the server's, seconds.
pub const CLOCK_S: u64 = 600;

const LABEL: &[u8] = b"strongroom widevine provisioning 1\0";

/// Why a model does not issue certificates here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It is no certificate of a device model.
    #[error("the provisioning certificate: {0}")]
    Certificate(ChallengeError),
    /// The root did not sign it.
    #[error("the provisioning certificate is not signed by the root")]
    Signature,
    /// It has expired.
    #[error("the provisioning certificate has expired")]
    Expired,
    /// The device list revokes it, or refuses what it does not name.
    #[error("the device list revokes or does not name the provisioning model's system {0}")]
    Withdrawn(u32),
    /// What software says of itself is worth L3 and no more.
    #[error("the device list does not have system {0} at L3, and software is no more")]
    Level(u32),
    /// The private key.
    #[error("the provisioning private key: {0}")]
    PrivateKey(RsaKeyError),
    /// The private key is another certificate's.
    #[error("the provisioning private key is not its certificate's")]
    PrivateKeyOfAnother,
}

/// A device model that certifies software of its own: `provisioning_cert.bin` and its key.
/// The private key is wiped on drop and never printed.
pub struct ProvisioningModel {
    certificate: Vec<u8>,
    system_id: u32,
    expires: Option<Timestamp>,
    key: RsaPrivateKey,
}

impl ProvisioningModel {
    /// Checks a DEVICE_MODEL certificate under the root, with its private key (PKCS#8 in PEM).
    ///
    /// Errors: [`ModelError`].
    pub fn import(
        root: RootFile<'_>,
        certificate: &[u8],
        private_pem: &str,
        devices: &DeviceList,
        now: Timestamp,
    ) -> Result<Self, ModelError> {
        let unsigned = |_: ImportError| ModelError::Signature;
        let root = root.public_key().map_err(unsigned)?;
        let read = Certificate::read(certificate).map_err(ModelError::Certificate)?;
        if read.kind != certificate_type::DEVICE_MODEL {
            return Err(ModelError::Certificate(ChallengeError::CertificateType));
        }
        let system_id =
            read.system_id.ok_or(ModelError::Certificate(ChallengeError::Certificate))?;
        if !read.is_signed_by(&root) {
            return Err(ModelError::Signature);
        }
        if read.has_expired(now) {
            return Err(ModelError::Expired);
        }
        match devices.level_of(system_id, &read.serial) {
            Err(_) => return Err(ModelError::Withdrawn(system_id)),
            Ok(SecurityLevel::L1 | SecurityLevel::L2) => return Err(ModelError::Level(system_id)),
            Ok(SecurityLevel::L3) => {}
        }
        let public = read.key().map_err(ModelError::Certificate)?;
        let key = RsaPrivateKey::parse_pem(private_pem).map_err(ModelError::PrivateKey)?;
        if key.public_key().to_pkcs1() != public.to_pkcs1() {
            return Err(ModelError::PrivateKeyOfAnother);
        }
        Ok(Self { certificate: certificate.to_vec(), system_id, expires: read.expires(), key })
    }

    /// SHA-256 of its certificate: tells models apart.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }

    /// Certifies a key whose holder asked for it; `None` once the model has expired.
    pub fn certify(
        &self,
        asked: &ProvisioningRequest,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Option<Vec<u8>> {
        if self.expires.is_some_and(|expires| now >= expires) {
            return None;
        }
        let draft = CertificateDraft {
            system_id: Some(self.system_id),
            created_s: u32::try_from(now.as_s()).unwrap_or(u32::MAX),
            ..CertificateDraft::new(CertificateKind::Device, &asked.key, entropy)
        };
        Some(draft.sign(&self.key, Some(&self.certificate)))
    }
}

impl std::fmt::Debug for ProvisioningModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvisioningModel(system {})", self.system_id)
    }
}

/// Why a question gets no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisioningError {
    /// Not the JSON of a question.
    #[error("not a provisioning request")]
    Malformed,
    /// The public key is none that a device may have.
    #[error("the device's public key: {0}")]
    Key(RsaKeyError),
    /// The client's clock is not the server's.
    #[error("the request's time is not within ten minutes of the server's")]
    Time,
    /// The signature is not the key's.
    #[error("the request's signature is not the key's")]
    Signature,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Question {
    public_key: String,
    time_s: u64,
    signature: String,
}

#[derive(Deserialize, Serialize)]
struct CertificateAnswer {
    certificate: String,
}

/// A question whose sender holds the private key.
#[derive(Debug)]
pub struct ProvisioningRequest {
    key: RsaPublicKey,
}

impl ProvisioningRequest {
    /// Reads a question and checks its time and signature.
    ///
    /// Errors: [`ProvisioningError`]. Limits: [`MAX_BYTES`].
    pub fn parse(body: &[u8], now: Timestamp) -> Result<Self, ProvisioningError> {
        if body.len() > MAX_BYTES {
            return Err(ProvisioningError::Malformed);
        }
        let question: Question =
            serde_json::from_slice(body).map_err(|_| ProvisioningError::Malformed)?;
        let bytes =
            |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| ProvisioningError::Malformed);
        let (key, signature) = (bytes(&question.public_key)?, bytes(&question.signature)?);
        if question.time_s.abs_diff(now.as_s()) > CLOCK_S {
            return Err(ProvisioningError::Time);
        }
        let key = RsaPublicKey::parse(&key).map_err(ProvisioningError::Key)?;
        if !key.verify_pss_sha1(&signed(&key, question.time_s), &signature) {
            return Err(ProvisioningError::Signature);
        }
        Ok(Self { key })
    }

    /// SHA-256 of the key's PKCS#1 DER: tells devices apart.
    #[must_use]
    pub fn key_sha256(&self) -> [u8; 32] {
        sha256(&self.key.to_pkcs1())
    }
}

/// The answer that carries a certificate.
#[must_use]
pub fn answer(certificate: &[u8]) -> Vec<u8> {
    let certificate = URL_SAFE_NO_PAD.encode(certificate);
    serde_json::json!(CertificateAnswer { certificate }).to_string().into_bytes()
}

/// The client's question, for the key that it made; its body.
#[must_use]
pub fn ask(key: &RsaPrivateKey, now: Timestamp) -> Vec<u8> {
    let (public, time_s) = (key.public_key(), now.as_s());
    let question = Question {
        public_key: URL_SAFE_NO_PAD.encode(public.to_pkcs1()),
        time_s,
        signature: URL_SAFE_NO_PAD.encode(key.sign_pss_sha1(&signed(&public, time_s))),
    };
    serde_json::json!(question).to_string().into_bytes()
}

/// Why an answer makes no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not the JSON of an answer.
    #[error("not an answer to a provisioning request")]
    Malformed,
    /// The root is none.
    #[error(transparent)]
    Root(#[from] ImportError),
    /// The chain.
    #[error("the device's certificate: {0}")]
    Certificate(#[from] ChallengeError),
    /// The certificate is another key's.
    #[error("the certificate is not for the device's key")]
    KeyOfAnother,
}

/// Takes the certificate out of an answer, once it is for this key and under the client's root.
///
/// Errors: [`AnswerError`]. Limits: [`MAX_BYTES`].
pub fn open_answer(
    answer: &[u8],
    key: RsaPrivateKey,
    root: RootFile<'_>,
    now: Timestamp,
) -> Result<ClientDevice, AnswerError> {
    if answer.len() > MAX_BYTES {
        return Err(AnswerError::Malformed);
    }
    let answer: CertificateAnswer =
        serde_json::from_slice(answer).map_err(|_| AnswerError::Malformed)?;
    let certificate =
        URL_SAFE_NO_PAD.decode(&answer.certificate).map_err(|_| AnswerError::Malformed)?;
    let root = Root::new(root.public_key()?);
    let (models, devices) = (VerifiedModels::default(), DeviceList::default());
    let device = verify_device(&certificate, &root, &models, &devices, now)?;
    if device.key.to_pkcs1() != key.public_key().to_pkcs1() {
        return Err(AnswerError::KeyOfAnother);
    }
    Ok(ClientDevice { certificate, key, max_hdcp: Hdcp::V2_3 })
}

fn signed(key: &RsaPublicKey, time_s: u64) -> Vec<u8> {
    [LABEL, &time_s.to_be_bytes(), &sha256(&key.to_pkcs1())].concat()
}
