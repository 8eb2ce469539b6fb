//! What an operator imports (DESIGN §5): application certificates, each with its private key, its
//! application secret and the name of its derivation.

use super::module::{Derivation, STANDIN_DERIVATION, StandinDerivation};
use keys::RsaKeyError;
use keys::fairplay::{
    ApplicationCertificate, ApplicationCertificateError, ApplicationKey, ApplicationSecret,
};
use model::Timestamp;
use std::sync::Arc;

/// Why credentials are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// `app_cert.der`.
    #[error("the application certificate: {0}")]
    Certificate(ApplicationCertificateError),
    /// It is not valid yet.
    #[error("the application certificate is not valid yet")]
    NotYetValid,
    /// It has expired.
    #[error("the application certificate has expired")]
    Expired,
    /// `app_private.pem`.
    #[error("the application's private key: {}", key_error(*.0))]
    PrivateKey(RsaKeyError),
    /// The private key is another certificate's.
    #[error("the application's private key is not its certificate's")]
    PrivateKeyOfAnother,
    /// `ask.hex`.
    #[error("the application secret is not 32 hex digits")]
    Secret,
    /// `d_function`.
    #[error("the derivation function is none that is linked into this binary")]
    Derivation,
    /// One certificate twice.
    #[error("the application certificate is there already")]
    CertificateTwice,
}

/// The sizes here are not those of other RSA keys.
const fn key_error(error: RsaKeyError) -> &'static str {
    match error {
        RsaKeyError::Malformed => "not an RSA key",
        RsaKeyError::Bits => "the RSA key does not have 1024 or 2048 bits",
    }
}

/// The files of one application.
#[derive(Clone, Copy)]
pub struct ApplicationFiles<'a> {
    /// `app_cert.der`.
    pub certificate: &'a [u8],
    /// `app_private.pem`: PKCS#8.
    pub private_pem: &'a str,
    /// `ask.hex`: 32 hex digits.
    pub secret_hex: &'a str,
    /// `d_function`: a name.
    pub derivation: &'a str,
}

impl std::fmt::Debug for ApplicationFiles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApplicationFiles(..)")
    }
}

/// One application.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) certificate: ApplicationCertificate,
    pub(super) key: ApplicationKey,
    pub(super) secret: ApplicationSecret,
    pub(super) derivation: Arc<dyn Derivation>,
}

/// Imported credentials. Keys and secrets are wiped on drop and never printed.
#[derive(Debug)]
pub struct Credentials {
    /// The first one's certificate is handed out; clients may still hold the others.
    applications: Vec<Application>,
}

impl Credentials {
    /// Checks the files of an application.
    ///
    /// Errors: [`ImportError`].
    pub fn import(files: &ApplicationFiles<'_>, now: Timestamp) -> Result<Self, ImportError> {
        Self::import_with(files, &[], now)
    }

    /// The same, where derivations of a licensee are linked into the binary.
    ///
    /// Errors: [`ImportError`].
    pub fn import_with(
        files: &ApplicationFiles<'_>,
        derivations: &[Arc<dyn Derivation>],
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        Self { applications: vec![] }.and_application_with(files, derivations, now)
    }

    /// Adds an older application, whose certificate clients may still hold.
    ///
    /// Errors: [`ImportError`].
    pub fn and_application(
        self,
        files: &ApplicationFiles<'_>,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        self.and_application_with(files, &[], now)
    }

    /// The same, where derivations of a licensee are linked into the binary.
    ///
    /// Errors: [`ImportError`].
    pub fn and_application_with(
        mut self,
        files: &ApplicationFiles<'_>,
        derivations: &[Arc<dyn Derivation>],
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let certificate =
            ApplicationCertificate::parse(files.certificate).map_err(ImportError::Certificate)?;
        if !certificate.has_begun(now) {
            return Err(ImportError::NotYetValid);
        }
        if certificate.has_expired(now) {
            return Err(ImportError::Expired);
        }
        let key = ApplicationKey::parse_pem(files.private_pem).map_err(ImportError::PrivateKey)?;
        if !key.is_of(&certificate) {
            return Err(ImportError::PrivateKeyOfAnother);
        }
        let secret = ApplicationSecret::parse_hex(files.secret_hex).ok_or(ImportError::Secret)?;
        let derivation = derivation_of(files.derivation.trim(), derivations)?;
        let is_there = |own: &Application| own.certificate.digest() == certificate.digest();
        if self.applications.iter().any(is_there) {
            return Err(ImportError::CertificateTwice);
        }
        self.applications.push(Application { certificate, key, secret, derivation });
        Ok(self)
    }

    /// Whether a derivation only stands in: production refuses such credentials.
    #[must_use]
    pub fn is_for_tests(&self) -> bool {
        self.applications().any(|application| application.derivation.is_for_tests())
    }

    pub(super) fn applications(&self) -> impl Iterator<Item = &Application> {
        self.applications.iter()
    }
}

/// A licensee's derivation, or the stand-in, whose name no other can take.
fn derivation_of(
    name: &str,
    linked: &[Arc<dyn Derivation>],
) -> Result<Arc<dyn Derivation>, ImportError> {
    if name == STANDIN_DERIVATION {
        return Ok(Arc::new(StandinDerivation));
    }
    let found = linked.iter().find(|derivation| derivation.name() == name);
    found.cloned().ok_or(ImportError::Derivation)
}
