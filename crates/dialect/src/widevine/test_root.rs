//! A root of one's own: root, service certificate, device models and devices in the formats
//! that `credentials import widevine` reads. No real device trusts it, and it trusts none.

use super::certificate::Certificate;
use super::client::ClientDevice;
use super::messages::certificate_type;
use crate::terms::Hdcp;
use keys::{RsaPrivateKey, RsaPublicKey};
use model::{Entropy, SecurityLevel};
use zeroize::Zeroizing;

pub use super::draft::{CertificateDraft, CertificateKind};

/// A device model under the root: it signs its devices' certificates.
#[derive(Debug)]
pub struct TestModel {
    /// Its number, by which the device list knows its level.
    pub system_id: u32,
    /// Its SignedDrmCertificate.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: RsaPrivateKey,
    /// The same as PKCS#8 in PEM: whoever provisions devices keeps it.
    pub private_pem: Zeroizing<String>,
}

/// A device: what a client is given.
#[derive(Debug)]
pub struct TestDevice {
    /// `certificate.bin`: its SignedDrmCertificate, the model's inside.
    pub certificate: Vec<u8>,
    /// `private.pem`: PKCS#8.
    pub private_pem: Zeroizing<String>,
}

impl TestModel {
    /// Reads a model back; `None` where certificate and key do not belong together, or the
    /// certificate is of no device model.
    #[must_use]
    pub fn read(certificate: &[u8], private_pem: &str) -> Option<Self> {
        let read = Certificate::read(certificate).ok()?;
        let key = RsaPrivateKey::parse_pem(private_pem).ok()?;
        let belongs = key.public_key().to_pkcs1() == read.key().ok()?.to_pkcs1();
        (belongs && read.kind == certificate_type::DEVICE_MODEL).then_some(())?;
        Some(Self {
            system_id: read.system_id?,
            certificate: certificate.to_vec(),
            key,
            private_pem: Zeroizing::new(private_pem.to_owned()),
        })
    }

    /// Provisions a device that made its own key: its certificate, the model's inside.
    pub fn certify(&self, device: &RsaPublicKey, entropy: &mut dyn Entropy) -> Vec<u8> {
        let draft = CertificateDraft {
            system_id: Some(self.system_id),
            ..CertificateDraft::new(CertificateKind::Device, device, entropy)
        };
        draft.sign(&self.key, Some(&self.certificate))
    }

    /// Makes a device, its key included.
    pub fn make_device(&self, entropy: &mut dyn Entropy) -> TestDevice {
        let (key, pkcs8) = RsaPrivateKey::generate();
        let certificate = self.certify(&key.public_key(), entropy);
        TestDevice { certificate, private_pem: RsaPrivateKey::pem_of(&pkcs8) }
    }
}

impl TestDevice {
    /// The device as a client.
    ///
    /// Errors: [`keys::RsaKeyError`] where the private key is none.
    pub fn client(&self) -> Result<ClientDevice, keys::RsaKeyError> {
        let key = RsaPrivateKey::parse_pem(&self.private_pem)?;
        Ok(ClientDevice { certificate: self.certificate.clone(), key, max_hdcp: Hdcp::V2_3 })
    }
}

/// The files of DESIGN §5, the root's private key, and a device model of each level.
#[derive(Debug)]
pub struct TestRoot {
    /// The root's private key.
    pub key: RsaPrivateKey,
    /// The same as PKCS#8 in PEM: whoever goes on certifying keeps it.
    pub private_pem: Zeroizing<String>,
    /// `root_public.der`: PKCS#1.
    pub root_public: Vec<u8>,
    /// `root_cert.bin`.
    pub root_certificate: Vec<u8>,
    /// `service_cert.bin`.
    pub service_certificate: Vec<u8>,
    /// `service_private.pem`: PKCS#8.
    pub service_private_pem: Zeroizing<String>,
    /// Of L1, L2 and L3.
    pub models: [TestModel; 3],
    /// `provisioning_cert.bin`, `provisioning_private.pem`: software that makes its own key, L3.
    pub provisioning: TestModel,
    /// `device_list.json`.
    pub device_list: String,
}

/// The systems of a test root: from this number on, L1, L2, L3.
const FIRST_SYSTEM_ID: u32 = 7001;
/// The system of software that is provisioned.
const PROVISIONED_SYSTEM_ID: u32 = 7004;

impl TestRoot {
    /// Makes everything: six RSA keys.
    pub fn make(provider_id: &str, entropy: &mut dyn Entropy) -> Self {
        let (root, pkcs8) = RsaPrivateKey::generate();
        let draft = CertificateDraft::new(CertificateKind::Root, &root.public_key(), entropy);
        let root_certificate = draft.sign(&root, None);
        let (service_certificate, service_private_pem) = make_service(&root, provider_id, entropy);
        let levels = [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3];
        let mut system_ids = FIRST_SYSTEM_ID..;
        let models = levels.map(|_| {
            let system_id = system_ids.next().unwrap_or(FIRST_SYSTEM_ID);
            make_model(&root, system_id, entropy)
        });
        let provisioning = make_model(&root, PROVISIONED_SYSTEM_ID, entropy);
        let rows: Vec<serde_json::Value> = [1, 2, 3, 3]
            .into_iter()
            .zip(models.iter().chain([&provisioning]))
            .map(|(level, model)| {
                serde_json::json!({
                    "system_id": model.system_id, "security_level": level, "status": "active",
                })
            })
            .collect();
        let list = serde_json::json!({
            "systems": rows, "revoked_serials": [], "revoked_system_ids": [], "unlisted": "L3",
        });
        Self {
            root_public: root.public_key().to_pkcs1(),
            key: root,
            private_pem: RsaPrivateKey::pem_of(&pkcs8),
            root_certificate,
            service_certificate,
            service_private_pem,
            models,
            provisioning,
            device_list: format!("{list:#}\n"),
        }
    }

    /// The directory that `credentials import widevine` reads: names and contents.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &[u8]); 7] {
        [
            ("root_public.der", &self.root_public),
            ("root_cert.bin", &self.root_certificate),
            ("service_cert.bin", &self.service_certificate),
            ("service_private.pem", self.service_private_pem.as_bytes()),
            ("device_list.json", self.device_list.as_bytes()),
            ("provisioning_cert.bin", &self.provisioning.certificate),
            ("provisioning_private.pem", self.provisioning.private_pem.as_bytes()),
        ]
    }

    /// The device model of a level.
    #[must_use]
    pub const fn model(&self, level: SecurityLevel) -> &TestModel {
        let [l1, l2, l3] = &self.models;
        match level {
            SecurityLevel::L1 => l1,
            SecurityLevel::L2 => l2,
            SecurityLevel::L3 => l3,
        }
    }
}

/// A service certificate under `root`, with its private key in PEM.
pub fn make_service(
    root: &RsaPrivateKey,
    provider_id: &str,
    entropy: &mut dyn Entropy,
) -> (Vec<u8>, Zeroizing<String>) {
    let (key, pkcs8) = RsaPrivateKey::generate();
    let draft = CertificateDraft {
        provider_id: Some(provider_id.to_owned()),
        ..CertificateDraft::new(CertificateKind::Service, &key.public_key(), entropy)
    };
    (draft.sign(root, None), RsaPrivateKey::pem_of(&pkcs8))
}

/// A device model under `root`.
pub fn make_model(root: &RsaPrivateKey, system_id: u32, entropy: &mut dyn Entropy) -> TestModel {
    let (key, pkcs8) = RsaPrivateKey::generate();
    let draft = CertificateDraft {
        system_id: Some(system_id),
        ..CertificateDraft::new(CertificateKind::DeviceModel, &key.public_key(), entropy)
    };
    let private_pem = RsaPrivateKey::pem_of(&pkcs8);
    TestModel { system_id, certificate: draft.sign(root, None), key, private_pem }
}
