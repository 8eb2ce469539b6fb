//! The device that a CDM was built into: its identity, its level, whom it trusts.

use crate::usage::Reach;
use dialect::terms::Hdcp;
use dialect::widevine::client::{ClientDevice, DeviceError, ServiceCertificate};
use dialect::widevine::{ImportError, RootFile};
use model::{SecurityLevel, Timestamp};

/// The files of a device profile.
#[derive(Clone, Copy)]
pub struct Profile<'a> {
    /// `certificate.bin`: its SignedDrmCertificate, its model's inside.
    pub certificate: &'a [u8],
    /// `private.pem`: the certificate's key, PKCS#8.
    pub private_pem: &'a str,
    /// Whom service certificates must come from.
    pub root: RootFile<'a>,
    /// What the CDM was built as. A license server does not take its word for it: it goes by
    /// the certificate.
    pub level: SecurityLevel,
}

/// A device with its private key, which never leaves the CDM.
#[derive(Debug)]
pub struct Device {
    pub(crate) client: ClientDevice,
    pub(crate) level: SecurityLevel,
    root: Root,
}

#[derive(Debug)]
enum Root {
    PublicKey(Vec<u8>),
    Certificate(Vec<u8>),
}

impl Device {
    /// Reads a profile.
    ///
    /// Errors: [`DeviceError`]. The root is read when it is needed.
    pub fn parse(profile: &Profile<'_>) -> Result<Self, DeviceError> {
        let Profile { certificate, private_pem, root, level } = *profile;
        Ok(Self {
            client: ClientDevice::read(certificate, private_pem, Hdcp::V2_3)?,
            level,
            root: match root {
                RootFile::PublicKey(bytes) => Root::PublicKey(bytes.to_vec()),
                RootFile::Certificate(bytes) => Root::Certificate(bytes.to_vec()),
            },
        })
    }

    /// Reads a service certificate message and verifies it under the device's root.
    pub(crate) fn service(
        &self,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<ServiceCertificate, ImportError> {
        let root = match &self.root {
            Root::PublicKey(bytes) => RootFile::PublicKey(bytes),
            Root::Certificate(bytes) => RootFile::Certificate(bytes),
        };
        ServiceCertificate::open(answer, root, now)
    }

    pub(crate) const fn reach(&self) -> Reach {
        Reach::of_level(self.level, self.client.max_hdcp)
    }
}
