//! FairPlay's credentials: the folder of one application that an operator imports, checked, and
//! what serves of all that were.

use super::change::{Import, digest, hex};
use super::folder::{FileRefused, needed_bytes, needed_text, refused};
use super::held::{System, Unusable};
use super::sealed::{Opened, text_of};
use crate::config::Mode;
use dialect::fairplay::{
    ApplicationFiles, Credentials, Desk, ImportError, KeySecurityModule, STANDIN_DERIVATION,
};
use keys::fairplay::ApplicationCertificate;
use model::{Dialect, Timestamp};
use std::path::Path;
use store::CredentialKind;
use zeroize::Zeroizing;

const CERTIFICATE: &str = "app_cert.der";
const PRIVATE: &str = "app_private.pem";
const SECRET: &str = "ask.hex";
const DERIVATION: &str = "d_function";

/// A FairPlay folder, read. Its secrets are wiped on drop.
pub struct FairPlayFiles {
    certificate: Vec<u8>,
    private: Zeroizing<String>,
    secret: Zeroizing<String>,
    derivation: String,
}

impl FairPlayFiles {
    /// Reads a folder.
    ///
    /// Shape: `app_cert.der`, `app_private.pem`, `ask.hex`, `d_function`. Other files are left
    /// alone.
    /// Errors: [`FileRefused`]. Limits: 64 KiB each.
    pub fn read(folder: &Path) -> Result<Self, FileRefused> {
        Ok(Self {
            certificate: needed_bytes(folder, CERTIFICATE)?,
            private: needed_text(folder, PRIVATE)?,
            secret: needed_text(folder, SECRET)?,
            derivation: needed_text(folder, DERIVATION)?.trim().to_owned(),
        })
    }

    fn application(&self) -> ApplicationFiles<'_> {
        ApplicationFiles {
            certificate: &self.certificate,
            private_pem: &self.private,
            secret_hex: &self.secret,
            derivation: &self.derivation,
        }
    }

    /// Checks everything, and makes rows of it.
    ///
    /// Errors: [`FileRefused`]; in production, what only stands in.
    pub(super) fn check(self, mode: Mode, now: Timestamp) -> Result<Import, FileRefused> {
        use CredentialKind as K;
        let credentials = Credentials::import(&self.application(), now)
            .map_err(|cause| refused(file_of(cause), cause))?;
        if mode == Mode::Production && credentials.is_for_tests() {
            return Err(refused(DERIVATION, Unusable::TestOnly(STANDIN_DERIVATION)));
        }
        let parsed = ApplicationCertificate::parse(&self.certificate);
        let parsed = parsed.map_err(|cause| refused(CERTIFICATE, cause))?;
        let serial = hex(parsed.digest());
        let Self { certificate, private, secret, derivation } = self;
        let mut import = Import::new(Dialect::FairPlay, serial.clone());
        let of_certificate = digest(&certificate);
        import.detail =
            format!("service {serial} certificate {of_certificate} derivation {derivation}");
        import.put(K::Service, &serial, &certificate, private.as_bytes());
        import.put(K::Derivation, &serial, derivation.as_bytes(), secret.trim().as_bytes());
        Ok(import)
    }
}

/// Which file an error is about.
const fn file_of(error: ImportError) -> &'static str {
    match error {
        ImportError::Certificate(_)
        | ImportError::NotYetValid
        | ImportError::Expired
        | ImportError::CertificateTwice => CERTIFICATE,
        ImportError::PrivateKey(_) | ImportError::PrivateKeyOfAnother => PRIVATE,
        ImportError::Secret => SECRET,
        ImportError::Derivation => DERIVATION,
    }
}

/// Everything that FairPlay's requests are checked against and answered with.
#[derive(Debug)]
pub struct FairPlay {
    /// Opens requests and writes their answers.
    pub module: KeySecurityModule,
}

impl FairPlay {
    /// What a request is read against.
    #[must_use]
    pub const fn desk(&self) -> Desk<'_> {
        Desk { module: &self.module }
    }
}

impl System for FairPlay {
    const DIALECT: Dialect = Dialect::FairPlay;

    /// Of the application certificates that have not run out, the newest is handed out.
    fn open(opened: &Opened<'_>, mode: Mode, now: Timestamp) -> Result<Self, Unusable> {
        let mut credentials: Option<Credentials> = None;
        for row in opened.of(CredentialKind::Service) {
            let certificate =
                ApplicationCertificate::parse(&row.public).map_err(ImportError::Certificate)?;
            if certificate.has_expired(now) {
                tracing::warn!(serial = row.name, "an application certificate has expired");
                continue;
            }
            let mut of = opened.of(CredentialKind::Derivation);
            let derivation = of.find(|own| own.name == row.name);
            let derivation = derivation.ok_or(Unusable::Missing("application secret"))?;
            let (private, secret) =
                (text_of(opened.secret(row)?)?, text_of(opened.secret(derivation)?)?);
            let files = ApplicationFiles {
                certificate: &row.public,
                private_pem: &private,
                secret_hex: &secret,
                derivation: std::str::from_utf8(&derivation.public).map_err(|_| Unusable::Shape)?,
            };
            credentials = Some(match credentials {
                None => Credentials::import(&files, now)?,
                Some(newer) => newer.and_application(&files, now)?,
            });
        }
        let credentials = credentials.ok_or(Unusable::Expired)?;
        if mode == Mode::Production && credentials.is_for_tests() {
            return Err(Unusable::TestOnly(STANDIN_DERIVATION));
        }
        Ok(Self { module: credentials.into() })
    }

    fn counts(&self) -> String {
        format!("answered by {}", self.module.as_module().name())
    }
}
