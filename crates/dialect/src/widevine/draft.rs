//! Certificates that are made here: of a root of one's own, and of devices that are provisioned.

use super::messages::{
    DrmCertificate, SignedDrmCertificate, certificate_type, hash_algorithm, key_algorithm,
};
use keys::{RsaPrivateKey, RsaPublicKey};
use model::Entropy;
use prost::Message as _;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// Signs device models and services.
    Root,
    /// Signs devices.
    DeviceModel,
    /// Signs requests.
    Device,
    /// Takes encrypted identities.
    Service,
}

/// A certificate that is not signed yet.
#[derive(Clone, Debug)]
pub struct CertificateDraft {
    /// What it is for.
    pub kind: CertificateKind,
    /// Its serial number.
    pub serial: Vec<u8>,
    /// The system's number, of models and devices.
    pub system_id: Option<u32>,
    /// The provider, of services.
    pub provider_id: Option<String>,
    /// The public key, PKCS#1.
    pub public_key: Vec<u8>,
    /// When it was made, seconds since 1970.
    pub created_s: u32,
    /// When it ends, seconds since 1970.
    pub expires_s: Option<u32>,
    /// `Algorithm` and `HashAlgorithmProto` by number; ours are 1 (RSA) and 1 (SHA-1).
    pub algorithms: (i32, i32),
}

impl CertificateDraft {
    /// A certificate for a key, under a drawn serial number of 16 bytes.
    pub fn new(kind: CertificateKind, key: &RsaPublicKey, entropy: &mut dyn Entropy) -> Self {
        let mut serial = vec![0; 16];
        entropy.fill(&mut serial);
        Self {
            kind,
            serial,
            system_id: None,
            provider_id: None,
            public_key: key.to_pkcs1(),
            created_s: 0,
            expires_s: None,
            algorithms: (key_algorithm::RSA, hash_algorithm::SHA_1),
        }
    }

    /// Signs it: a SignedDrmCertificate, with its issuer's inside where one is given.
    #[must_use]
    pub fn sign(&self, issuer: &RsaPrivateKey, signer: Option<&[u8]>) -> Vec<u8> {
        let kind = match self.kind {
            CertificateKind::Root => certificate_type::ROOT,
            CertificateKind::DeviceModel => certificate_type::DEVICE_MODEL,
            CertificateKind::Device => certificate_type::DEVICE,
            CertificateKind::Service => certificate_type::SERVICE,
        };
        let (algorithm, hash) = self.algorithms;
        let body = DrmCertificate {
            kind: Some(kind),
            serial_number: Some(self.serial.clone()),
            creation_time_seconds: Some(self.created_s),
            public_key: Some(self.public_key.clone()),
            system_id: self.system_id,
            provider_id: self.provider_id.as_ref().map(|id| id.clone().into_bytes()),
            algorithm: Some(algorithm),
            expiration_time_seconds: self.expires_s,
        }
        .encode_to_vec();
        SignedDrmCertificate {
            signature: Some(issuer.sign_pss_sha1(&body)),
            drm_certificate: Some(body),
            signer: signer.map(<[u8]>::to_vec),
            hash_algorithm: Some(hash),
        }
        .encode_to_vec()
    }
}
