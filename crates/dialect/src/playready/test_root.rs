//! A root of one's own: root, service, signer, issuer and devices in the formats that
//! `credentials import playready` reads. No real device trusts it, and it trusts none.

pub use super::certificate::{kind, usage};
use super::chain::security_level_of;
use keys::P256PrivateKey;
use model::{Entropy, SecurityLevel};
use zeroize::Zeroizing;

pub use super::draft::{Attribute, CertificateDraft, chain_of, sign};

/// A device: what a client is given.
#[derive(Debug)]
pub struct TestDevice {
    /// `chain.bin`.
    pub chain: Vec<u8>,
    /// `signing_private.pem`: PKCS#8.
    pub signing_private_pem: Zeroizing<String>,
    /// `encryption_private.pem`: PKCS#8.
    pub encryption_private_pem: Zeroizing<String>,
}

impl TestDevice {
    /// The files of a device's folder: names and contents.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &[u8]); 3] {
        [
            ("chain.bin", &self.chain),
            ("signing_private.pem", self.signing_private_pem.as_bytes()),
            ("encryption_private.pem", self.encryption_private_pem.as_bytes()),
        ]
    }
}

/// The files of DESIGN §5, the root's private key, and an issuer of devices.
#[derive(Debug)]
pub struct TestRoot {
    /// The root's private key.
    pub key: P256PrivateKey,
    /// The same as PKCS#8 in PEM: whoever goes on certifying keeps it.
    pub private_pem: Zeroizing<String>,
    /// `root_public.bin`: X and Y.
    pub root_public: [u8; 64],
    /// `wmrm_private.pem`: PKCS#8.
    pub wmrm_private_pem: Zeroizing<String>,
    /// `wmrm_public.bin`: X and Y, which clients must know.
    pub wmrm_public: [u8; 64],
    /// `signing_chain.bin`.
    pub signing_chain: Vec<u8>,
    /// `signing_private.pem`: PKCS#8.
    pub signing_private_pem: Zeroizing<String>,
    /// `revocation.json`.
    pub revocation: String,
    /// The issuer of devices: its private key, and its certificate, which the root signed.
    pub issuer_key: P256PrivateKey,
    /// Its certificate.
    pub issuer_certificate: Vec<u8>,
}

impl TestRoot {
    /// Makes everything: four keys on P-256.
    pub fn make(entropy: &mut dyn Entropy) -> Self {
        let (key, pkcs8) = P256PrivateKey::generate();
        let (service, service_pkcs8) = P256PrivateKey::generate();
        let (signing, signing_pkcs8) = P256PrivateKey::generate();
        let (issuer_key, _) = P256PrivateKey::generate();
        let signer = CertificateDraft {
            keys: vec![(signing.public_key().to_bytes(), vec![usage::SIGN_RESPONSE])],
            ..CertificateDraft::new(kind::LICENSE_SIGNER, SL3000, entropy)
        };
        let issuer = CertificateDraft {
            keys: vec![(issuer_key.public_key().to_bytes(), vec![usage::ISSUE_DEVICE])],
            ..CertificateDraft::new(kind::ISSUER, SL3000, entropy)
        };
        Self {
            root_public: key.public_key().to_bytes(),
            private_pem: P256PrivateKey::pem_of(&pkcs8),
            wmrm_private_pem: P256PrivateKey::pem_of(&service_pkcs8),
            wmrm_public: service.public_key().to_bytes(),
            signing_chain: chain_of(&[&signer.sign(&key)]),
            signing_private_pem: P256PrivateKey::pem_of(&signing_pkcs8),
            revocation: "{\n  \"revoked_public_key_digests\": []\n}\n".to_owned(),
            issuer_certificate: issuer.sign(&key),
            issuer_key,
            key,
        }
    }

    /// The directory that `credentials import playready` reads: names and contents.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &[u8]); 5] {
        [
            ("root_public.bin", &self.root_public),
            ("wmrm_private.pem", self.wmrm_private_pem.as_bytes()),
            ("signing_chain.bin", &self.signing_chain),
            ("signing_private.pem", self.signing_private_pem.as_bytes()),
            ("revocation.json", self.revocation.as_bytes()),
        ]
    }

    /// Makes a device of a level, its two keys included.
    pub fn device(&self, level: SecurityLevel, entropy: &mut dyn Entropy) -> TestDevice {
        let (signing, signing_pkcs8) = P256PrivateKey::generate();
        let (encryption, encryption_pkcs8) = P256PrivateKey::generate();
        let draft = CertificateDraft {
            keys: vec![
                (signing.public_key().to_bytes(), vec![usage::SIGN]),
                (encryption.public_key().to_bytes(), vec![usage::ENCRYPT]),
            ],
            ..CertificateDraft::new(kind::DEVICE, security_level_of(level), entropy)
        };
        TestDevice {
            chain: chain_of(&[&draft.sign(&self.issuer_key), &self.issuer_certificate]),
            signing_private_pem: P256PrivateKey::pem_of(&signing_pkcs8),
            encryption_private_pem: P256PrivateKey::pem_of(&encryption_pkcs8),
        }
    }
}

const SL3000: u32 = 3000;
