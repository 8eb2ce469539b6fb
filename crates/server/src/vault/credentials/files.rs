//! The folder that an operator imports (DESIGN: import formats), read and checked. What is wrong
//! is said with the file's name; what is in a file is never said.

use dialect::widevine::provisioning::{ModelError, ProvisioningModel};
use dialect::widevine::{Credentials, DeviceList, ImportError, RootFile, ServiceFacts};
use model::Timestamp;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use zeroize::Zeroizing;

const ROOT_PUBLIC: &str = "root_public.der";
const ROOT_CERTIFICATE: &str = "root_cert.bin";
const SERVICE_CERTIFICATE: &str = "service_cert.bin";
const SERVICE_PRIVATE: &str = "service_private.pem";
const DEVICE_LIST: &str = "device_list.json";
const PROVISIONING_CERTIFICATE: &str = "provisioning_cert.bin";
const PROVISIONING_PRIVATE: &str = "provisioning_private.pem";

/// Longest certificate or key that is read.
const MAX_KEY_BYTES: u64 = 64 * 1024;
/// Longest device list that is read; its parser takes no more either.
const MAX_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct FileRefused {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub cause: String,
    /// Whether it was read, and what is in it is wrong.
    pub is_read: bool,
}

fn refused(file: &str, cause: impl ToString) -> FileRefused {
    FileRefused { file: file.to_owned(), cause: cause.to_string(), is_read: true }
}

/// A file that is not there, or cannot be read.
fn unread(file: &str, cause: impl ToString) -> FileRefused {
    FileRefused { is_read: false, ..refused(file, cause) }
}

/// A Widevine folder, read. Private keys are wiped on drop.
pub struct WidevineFiles {
    root_public: Option<Vec<u8>>,
    root_certificate: Option<Vec<u8>>,
    service_certificate: Vec<u8>,
    service_private: Zeroizing<String>,
    device_list: String,
    provisioning: Option<(Vec<u8>, Zeroizing<String>)>,
}

/// A Widevine folder, checked.
pub(super) struct CheckedFiles {
    /// The root's public key, PKCS#1.
    pub root: Vec<u8>,
    pub service_certificate: Vec<u8>,
    pub service: ServiceFacts,
    pub service_private: Zeroizing<String>,
    pub device_list: String,
    pub provisioning: Option<(Vec<u8>, Zeroizing<String>)>,
}

impl WidevineFiles {
    /// Reads a folder.
    ///
    /// Shape: `root_public.der` or `root_cert.bin`, or both; `service_cert.bin`,
    /// `service_private.pem`, `device_list.json`; `provisioning_cert.bin` with
    /// `provisioning_private.pem`, or neither. Other files are left alone.
    /// Errors: [`FileRefused`]. Limits: 64 KiB a certificate or key, 16 MiB the list.
    pub fn read(folder: &Path) -> Result<Self, FileRefused> {
        let needed = |name: &str, read: Result<Option<_>, _>| {
            read.and_then(|found| found.ok_or_else(|| unread(name, "there is no such file")))
        };
        let (root_public, root_certificate) =
            (bytes(folder, ROOT_PUBLIC)?, bytes(folder, ROOT_CERTIFICATE)?);
        if root_public.is_none() && root_certificate.is_none() {
            return Err(unread(ROOT_PUBLIC, "there is neither this file nor root_cert.bin"));
        }
        let service_certificate = needed(SERVICE_CERTIFICATE, bytes(folder, SERVICE_CERTIFICATE))?;
        let service_private = text(folder, SERVICE_PRIVATE)?
            .ok_or_else(|| unread(SERVICE_PRIVATE, "there is no such file"))?;
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
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = read(path, &name, MAX_LIST_BYTES)?
            .ok_or_else(|| unread(&name, "there is no such file"))?;
        let list = std::str::from_utf8(&bytes).map_err(|_| refused(&name, "not UTF-8"))?;
        DeviceList::parse(list).map_err(|cause| refused(&name, cause))?;
        Ok(list.to_owned())
    }

    pub(super) fn check(self, now: Timestamp) -> Result<CheckedFiles, FileRefused> {
        let root = self.root()?;
        let root_file = RootFile::PublicKey(&root);
        let (certificate, private) = (&self.service_certificate, &self.service_private);
        Credentials::import(root_file, certificate, private, now)
            .map_err(|cause| refused(file_of(cause), cause))?;
        let service =
            ServiceFacts::read(certificate).map_err(|cause| refused(SERVICE_CERTIFICATE, cause))?;
        let devices =
            DeviceList::parse(&self.device_list).map_err(|cause| refused(DEVICE_LIST, cause))?;
        if let Some((certificate, private)) = &self.provisioning {
            ProvisioningModel::import(root_file, certificate, private, &devices, now)
                .map_err(|cause| refused(file_of_model(cause), cause))?;
        }
        let Self { service_certificate, service_private, device_list, provisioning, .. } = self;
        Ok(CheckedFiles {
            root,
            service_certificate,
            service,
            service_private,
            device_list,
            provisioning,
        })
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

fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, FileRefused> {
    let bytes = read(&folder.join(name), name, MAX_KEY_BYTES)?;
    Ok(bytes.map(|bytes| bytes.to_vec()))
}

fn text(folder: &Path, name: &str) -> Result<Option<Zeroizing<String>>, FileRefused> {
    let Some(bytes) = read(&folder.join(name), name, MAX_KEY_BYTES)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(name, "not PEM"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// A whole file; absent where there is none.
fn read(path: &Path, name: &str, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, FileRefused> {
    let said = |cause: io::Error| unread(name, cause);
    // Looked at before it is opened: a pipe would keep who opens it waiting.
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(said)?,
    };
    if !metadata.is_file() {
        return Err(unread(name, "not a file"));
    }
    let file = File::open(path).map_err(said)?;
    let length = metadata.len();
    if length > most {
        return Err(refused(name, format!("longer than {most} bytes")));
    }
    // Room for all of it at once: a growing vector would leave copies of a key behind.
    let room = usize::try_from(length).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(length).read_to_end(&mut bytes).map_err(said)?;
    Ok(Some(bytes))
}
