//! What an operator imports: the root, the service certificate and its private key (DESIGN §5).

use super::ChallengeError;
use super::certificate::{Certificate, Root};
use super::messages::{
    EncryptedClientIdentification, SignedMessage, certificate_type, message_type,
};
use keys::{RsaKeyError, RsaPrivateKey, RsaPublicKey, TransportKey};
use model::Timestamp;
use prost::Message as _;
use zeroize::Zeroizing;

/// Why credentials are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// `root_public.der` or `root_cert.bin`.
    #[error("the root is neither an RSA public key nor a root certificate that signed itself")]
    Root,
    /// `service_cert.bin`: why it is no certificate.
    #[error("the service certificate: {0}")]
    ServiceCertificate(ChallengeError),
    /// It has no serial number or no provider.
    #[error("the service certificate has no serial number or no provider")]
    ServiceUnnamed,
    /// The root did not sign it.
    #[error("the service certificate is not signed by the root")]
    ServiceSignature,
    /// It has expired.
    #[error("the service certificate has expired")]
    ServiceExpired,
    /// `service_private.pem`.
    #[error("the service's private key: {0}")]
    PrivateKey(RsaKeyError),
    /// The private key is another certificate's.
    #[error("the service's private key is not its certificate's")]
    PrivateKeyOfAnother,
    /// Two service certificates with one serial number.
    #[error("two service certificates have one serial number")]
    SerialTwice,
}

/// The root, in either format.
#[derive(Clone, Copy, Debug)]
pub enum RootFile<'a> {
    /// `root_public.der`: PKCS#1 `RSAPublicKey`, or `SubjectPublicKeyInfo`.
    PublicKey(&'a [u8]),
    /// `root_cert.bin`: a SignedDrmCertificate of type ROOT.
    Certificate(&'a [u8]),
}

impl RootFile<'_> {
    /// The root's public key.
    ///
    /// Errors: [`ImportError::Root`].
    pub fn public_key(self) -> Result<RsaPublicKey, ImportError> {
        self.read().map(|root| root.key)
    }

    pub(super) fn read(self) -> Result<Root, ImportError> {
        let bytes = match self {
            Self::PublicKey(bytes) => {
                return RsaPublicKey::parse(bytes).map(Root::new).map_err(|_| ImportError::Root);
            }
            Self::Certificate(bytes) => bytes,
        };
        let certificate = Certificate::read(bytes).map_err(|_| ImportError::Root)?;
        let key = certificate.key().map_err(|_| ImportError::Root)?;
        if certificate.kind != certificate_type::ROOT || !certificate.is_signed_by(&key) {
            return Err(ImportError::Root);
        }
        Ok(Root::new(key))
    }
}

/// What a service certificate says about itself; nothing of it is checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// Whose it is.
    pub provider_id: Vec<u8>,
    /// When it ends; absent: never.
    pub expires: Option<Timestamp>,
}

impl ServiceFacts {
    /// Reads them.
    ///
    /// Errors: [`ChallengeError`], where it is no certificate.
    pub fn read(certificate: &[u8]) -> Result<Self, ChallengeError> {
        let certificate = Certificate::read(certificate)?;
        let expires = certificate.expires();
        let Certificate { serial, provider_id, .. } = certificate;
        Ok(Self { serial, provider_id, expires })
    }

    /// Whether it has run out.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

struct Service {
    certificate: Vec<u8>,
    serial: Vec<u8>,
    provider_id: Vec<u8>,
    key: RsaPrivateKey,
}

/// Imported credentials. The private keys are wiped on drop and never printed.
pub struct Credentials {
    pub(super) root: Root,
    /// The first is handed out; clients may still hold the others.
    services: Vec<Service>,
}

impl Credentials {
    /// Checks a root and a service certificate (`service_cert.bin`) with its private key
    /// (`service_private.pem`, PKCS#8).
    ///
    /// Errors: [`ImportError`].
    pub fn import(
        root: RootFile<'_>,
        service_certificate: &[u8],
        service_private_pem: &str,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let own = Self { root: root.read()?, services: vec![] };
        own.and_service(service_certificate, service_private_pem, now)
    }

    /// Adds an older service certificate that clients may still encrypt for.
    ///
    /// Errors: [`ImportError`].
    pub fn and_service(
        mut self,
        certificate: &[u8],
        private_pem: &str,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let read = read_service(certificate, &self.root, now)?;
        let key = RsaPrivateKey::parse_pem(private_pem).map_err(ImportError::PrivateKey)?;
        let public = read.key().map_err(ImportError::ServiceCertificate)?;
        if key.public_key().to_pkcs1() != public.to_pkcs1() {
            return Err(ImportError::PrivateKeyOfAnother);
        }
        if self.services.iter().any(|service| service.serial == read.serial) {
            return Err(ImportError::SerialTwice);
        }
        self.services.push(Service {
            certificate: certificate.to_vec(),
            serial: read.serial,
            provider_id: read.provider_id,
            key,
        });
        Ok(self)
    }

    /// The answer to a service certificate request; players may also load it beforehand.
    #[must_use]
    pub fn service_certificate(&self) -> Vec<u8> {
        let certificate = self.services.first().map(|service| service.certificate.clone());
        SignedMessage {
            kind: Some(message_type::SERVICE_CERTIFICATE),
            msg: certificate,
            ..SignedMessage::default()
        }
        .encode_to_vec()
    }

    /// Opens an encrypted identity with the private key of the certificate that it names.
    pub(super) fn open_identity(
        &self,
        sealed: &EncryptedClientIdentification,
    ) -> Result<Zeroizing<Vec<u8>>, ChallengeError> {
        let serial = sealed.service_certificate_serial_number.as_deref().unwrap_or_default();
        let provider = sealed.provider_id.as_deref().unwrap_or_default();
        let service = self
            .services
            .iter()
            .find(|service| service.serial == serial && service.provider_id == provider)
            .ok_or(ChallengeError::UnknownService)?;
        let iv = sealed.encrypted_client_id_iv.as_deref().unwrap_or_default();
        let iv: [u8; 16] = iv.try_into().map_err(|_| ChallengeError::PrivacyKey)?;
        let wrapped = sealed.encrypted_privacy_key.as_deref().unwrap_or_default();
        let text = sealed.encrypted_client_id.as_deref().unwrap_or_default();
        TransportKey::unwrap(wrapped, &service.key)
            .and_then(|key| key.decrypt(text, iv))
            .ok_or(ChallengeError::PrivacyKey)
    }
}

/// Reads a service certificate and checks what a client checks too.
pub(super) fn read_service(
    bytes: &[u8],
    root: &Root,
    now: Timestamp,
) -> Result<Certificate, ImportError> {
    let certificate = Certificate::read(bytes).map_err(ImportError::ServiceCertificate)?;
    if certificate.kind != certificate_type::SERVICE {
        return Err(ImportError::ServiceCertificate(ChallengeError::CertificateType));
    }
    if certificate.serial.is_empty() || certificate.provider_id.is_empty() {
        return Err(ImportError::ServiceUnnamed);
    }
    if !certificate.is_signed_by(&root.key) {
        return Err(ImportError::ServiceSignature);
    }
    if certificate.has_expired(now) { Err(ImportError::ServiceExpired) } else { Ok(certificate) }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}
