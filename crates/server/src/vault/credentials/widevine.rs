//! Widevine's credentials: the folder that an operator imports, checked, and what serves of it.

use super::change::{CredentialError, Import, digest, hex};
use super::folder::{self, FileRefused, bytes, needed_bytes, needed_text, refused, text, unread};
use super::held::{System, Unusable};
use super::sealed::{ONLY, Opened, text_of};
use crate::config::Mode;
use crate::vault::license::count_alert;
use dialect::widevine::provisioning::{ModelError, ProvisioningModel};
use dialect::widevine::{
    Credentials, Desk, DeviceList, ImportError, RootFile, ServiceFacts, VerifiedModels,
};
use keys::SessionSeal;
use model::{Dialect, Timestamp};
use std::path::Path;
use std::sync::Arc;
use store::CredentialKind;
use zeroize::Zeroizing;

const ROOT_PUBLIC: &str = "root_public.der";
const ROOT_CERTIFICATE: &str = "root_cert.bin";
const SERVICE_CERTIFICATE: &str = "service_cert.bin";
const SERVICE_PRIVATE: &str = "service_private.pem";
const DEVICE_LIST: &str = "device_list.json";
const PROVISIONING_CERTIFICATE: &str = "provisioning_cert.bin";
const PROVISIONING_PRIVATE: &str = "provisioning_private.pem";

/// A Widevine folder, read. Private keys are wiped on drop.
pub struct WidevineFiles {
    root_public: Option<Vec<u8>>,
    root_certificate: Option<Vec<u8>>,
    service_certificate: Vec<u8>,
    service_private: Zeroizing<String>,
    device_list: String,
    provisioning: Option<(Vec<u8>, Zeroizing<String>)>,
}

impl WidevineFiles {
    /// Reads a folder.
    ///
    /// Shape: `root_public.der` or `root_cert.bin`, or both; `service_cert.bin`,
    /// `service_private.pem`, `device_list.json`; `provisioning_cert.bin` with
    /// `provisioning_private.pem`, or neither. Other files are left alone.
    /// Errors: [`FileRefused`]. Limits: 64 KiB a certificate or key, 16 MiB the list.
    pub fn read(folder: &Path) -> Result<Self, FileRefused> {
        let (root_public, root_certificate) =
            (bytes(folder, ROOT_PUBLIC)?, bytes(folder, ROOT_CERTIFICATE)?);
        if root_public.is_none() && root_certificate.is_none() {
            return Err(unread(ROOT_PUBLIC, "there is neither this file nor root_cert.bin"));
        }
        let service_certificate = needed_bytes(folder, SERVICE_CERTIFICATE)?;
        let service_private = needed_text(folder, SERVICE_PRIVATE)?;
        let device_list = Self::read_device_list(&folder.join(DEVICE_LIST))?;
        let certificate = bytes(folder, PROVISIONING_CERTIFICATE)?;
        let private = text(folder, PROVISIONING_PRIVATE)?;
        let provisioning = match (certificate, private) {
            (None, None) => None,
            (Some(certificate), Some(private)) => Some((certificate, private)),
            (None, Some(_)) => {
                return Err(unread(PROVISIONING_CERTIFICATE, "there is only its private key"));
            }
            (Some(_), None) => {
                return Err(unread(PROVISIONING_PRIVATE, "there is only its certificate"));
            }
        };
        Ok(Self {
            root_public,
            root_certificate,
            service_certificate,
            service_private,
            device_list,
            provisioning,
        })
    }

    /// Reads and checks a device list of any name.
    ///
    /// Errors: [`FileRefused`].
    pub fn read_device_list(path: &Path) -> Result<String, FileRefused> {
        let list = folder::list(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        DeviceList::parse(&list).map_err(|cause| refused(&name, cause))?;
        Ok(list)
    }

    /// Checks everything, and makes rows of it.
    ///
    /// Errors: [`FileRefused`].
    pub(super) fn check(self, now: Timestamp) -> Result<Import, FileRefused> {
        use CredentialKind as K;
        let root = self.root()?;
        let root_file = RootFile::PublicKey(&root);
        let (certificate, private) = (&self.service_certificate, &self.service_private);
        Credentials::import(root_file, certificate, private, now)
            .map_err(|cause| refused(file_of(cause), cause))?;
        let service =
            ServiceFacts::read(certificate).map_err(|cause| refused(SERVICE_CERTIFICATE, cause))?;
        let list = self.device_list.as_bytes();
        let devices =
            DeviceList::parse(&self.device_list).map_err(|cause| refused(DEVICE_LIST, cause))?;
        if let Some((certificate, private)) = &self.provisioning {
            ProvisioningModel::import(root_file, certificate, private, &devices, now)
                .map_err(|cause| refused(file_of_model(cause), cause))?;
        }
        let serial = hex(&service.serial);
        let (of_root, of_list) = (digest(&root), digest(list));
        let mut import = Import::new(Dialect::Widevine, serial.clone());
        import.detail = format!("root {of_root} service {serial} devices {of_list}");
        import.listed = devices.counts().0;
        import.is_provisioning = self.provisioning.is_some();
        import.draws_sessions = true;
        import.put(K::Root, ONLY, &root, &[]);
        import.put(K::Service, &serial, certificate, private.as_bytes());
        import.put(K::Devices, ONLY, list, &[]);
        match &self.provisioning {
            Some((certificate, private)) => {
                import.put(K::Provisioning, ONLY, certificate, private.as_bytes());
            }
            None => import.absent.push((K::Provisioning, ONLY.to_owned())),
        }
        Ok(import)
    }

    fn root(&self) -> Result<Vec<u8>, FileRefused> {
        let key = |name: &str, file: RootFile<'_>| {
            file.public_key().map(|key| key.to_pkcs1()).map_err(|cause| refused(name, cause))
        };
        let public = self.root_public.as_deref().map(RootFile::PublicKey);
        let public = public.map(|file| key(ROOT_PUBLIC, file)).transpose()?;
        let certified = self.root_certificate.as_deref().map(RootFile::Certificate);
        let certified = certified.map(|file| key(ROOT_CERTIFICATE, file)).transpose()?;
        match (public, certified) {
            (Some(public), Some(certified)) if public != certified => {
                Err(refused(ROOT_CERTIFICATE, "it is of another key than root_public.der"))
            }
            (Some(root), _) | (None, Some(root)) => Ok(root),
            (None, None) => Err(refused(ROOT_PUBLIC, ImportError::Root)),
        }
    }
}

/// Everything that Widevine's requests are checked against and answered with.
#[derive(Debug)]
pub struct Widevine {
    /// Root and service certificates, with their private keys.
    pub credentials: Credentials,
    /// Device models that were verified before, under any credentials.
    pub models: Arc<VerifiedModels>,
    /// Levels and revocations.
    pub devices: DeviceList,
    /// Seals what clients keep of their sessions; the same in every vault on this store.
    pub sessions: SessionSeal,
    /// Certifies software that made its own key, where that was imported.
    pub provisioning: Option<ProvisioningModel>,
}

impl Widevine {
    /// What a request is read against.
    #[must_use]
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            credentials: &self.credentials,
            models: &self.models,
            devices: &self.devices,
            sessions: &self.sessions,
        }
    }
}

impl System for Widevine {
    const DIALECT: Dialect = Dialect::Widevine;

    /// Of the service certificates that have not run out, the newest is handed out.
    fn open(opened: &Opened<'_>, _: Mode, now: Timestamp) -> Result<Self, Unusable> {
        let (root, _) = opened.one(CredentialKind::Root)?.ok_or(Unusable::Missing("root"))?;
        let root = RootFile::PublicKey(root);
        let mut credentials: Option<Credentials> = None;
        for row in opened.of(CredentialKind::Service) {
            let pem = text_of(opened.secret(row)?)?;
            let facts = ServiceFacts::read(&row.public).map_err(ImportError::ServiceCertificate)?;
            if facts.has_expired(now) {
                tracing::warn!(serial = row.name, "a service certificate has expired");
                continue;
            }
            credentials = Some(match credentials {
                None => Credentials::import(root, &row.public, &pem, now)?,
                Some(newer) => newer.and_service(&row.public, &pem, now)?,
            });
        }
        let (list, _) =
            opened.one(CredentialKind::Devices)?.ok_or(Unusable::Missing("device list"))?;
        let list = std::str::from_utf8(list).map_err(|_| Unusable::Shape)?;
        let (_, sessions) =
            opened.one(CredentialKind::Sessions)?.ok_or(Unusable::Missing("session key"))?;
        let sessions: &[u8; 32] = sessions.as_slice().try_into().map_err(|_| Unusable::Shape)?;
        let devices = DeviceList::parse(list)?;
        let provisioning = match opened.one(CredentialKind::Provisioning)? {
            None => None,
            Some((certificate, pem)) => {
                let pem = text_of(pem)?;
                issuing(ProvisioningModel::import(root, certificate, &pem, &devices, now))
            }
        };
        Ok(Self {
            credentials: credentials.ok_or(Unusable::Expired)?,
            models: Arc::default(),
            devices,
            sessions: SessionSeal::from_bytes(&Zeroizing::new(*sessions)),
            provisioning,
        })
    }

    fn succeed(&mut self, before: &Self) {
        self.models = Arc::clone(&before.models);
    }

    fn counts(&self) -> String {
        let (systems, revoked) = self.devices.counts();
        format!("{systems} systems, {revoked} revoked serial numbers")
    }
}

/// Another device list, checked against what is there: how many systems it names.
///
/// Errors: [`CredentialError`].
pub(super) fn listed(
    opened: &Opened<'_>,
    list: &str,
    now: Timestamp,
) -> Result<usize, CredentialError> {
    let devices = DeviceList::parse(list).map_err(Unusable::from)?;
    let root = opened.one(CredentialKind::Root)?.ok_or(Unusable::Missing("root"))?.0;
    if let Some((certificate, pem)) = opened.one(CredentialKind::Provisioning)? {
        let pem = text_of(pem)?;
        let root = RootFile::PublicKey(root);
        let model = ProvisioningModel::import(root, certificate, &pem, &devices, now);
        // A list may end provisioning; it may not make more of software than it is.
        if let Err(error @ ModelError::Level(_)) = model {
            return Err(CredentialError::Provisioning(error));
        }
    }
    Ok(devices.counts().0)
}

/// A model that no longer issues ends provisioning, and nothing else.
fn issuing(model: Result<ProvisioningModel, ModelError>) -> Option<ProvisioningModel> {
    model
        .inspect_err(|error| {
            tracing::error!(alert = "provisioning_ended", %error, "no device is provisioned");
            count_alert("provisioning_ended");
        })
        .ok()
}

/// Which file an error is about.
const fn file_of(error: ImportError) -> &'static str {
    match error {
        ImportError::Root => ROOT_PUBLIC,
        ImportError::ServiceCertificate(_)
        | ImportError::ServiceUnnamed
        | ImportError::ServiceSignature
        | ImportError::ServiceExpired
        | ImportError::SerialTwice => SERVICE_CERTIFICATE,
        ImportError::PrivateKey(_) | ImportError::PrivateKeyOfAnother => SERVICE_PRIVATE,
    }
}

const fn file_of_model(error: ModelError) -> &'static str {
    match error {
        ModelError::Certificate(_)
        | ModelError::Signature
        | ModelError::Expired
        | ModelError::Withdrawn(_)
        | ModelError::Level(_) => PROVISIONING_CERTIFICATE,
        ModelError::PrivateKey(_) | ModelError::PrivateKeyOfAnother => PROVISIONING_PRIVATE,
    }
}
