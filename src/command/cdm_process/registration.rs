//! The registration store (R166): a device's key and certificate in a folder of its own. A CDM
//! that has none makes its key here and asks for a certificate once (R100); devices that come with
//! theirs never ask.
//!
//! Killed at any moment, it asks again with the key that it has, and is given the same certificate.

use super::keeping::write_whole;
use super::profile::read;
use anyhow::{Context as _, anyhow};
use cdm::widevine::{Device, Profile};
use dialect::widevine::{RootFile, provisioning};
use keys::RsaPrivateKey;
use model::{SecurityLevel, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const CERTIFICATE: &str = "certificate.bin";
const PRIVATE: &str = "private.pem";

/// A device's folder, and whom it trusts.
pub struct Registration {
    folder: PathBuf,
    root: Root,
    level: SecurityLevel,
}

/// The root's public file.
enum Root {
    PublicKey(Zeroizing<Vec<u8>>),
    Certificate(Zeroizing<Vec<u8>>),
}

impl Registration {
    /// Reads the root. Errors: where it cannot be read.
    pub fn open(folder: &Path, root: &Path, level: SecurityLevel) -> anyhow::Result<Self> {
        let bytes = read(root)?;
        let is_certificate = root.extension().is_some_and(|extension| extension == "bin");
        let root = if is_certificate { Root::Certificate(bytes) } else { Root::PublicKey(bytes) };
        Ok(Self { folder: folder.to_owned(), root, level })
    }

    fn root(&self) -> RootFile<'_> {
        match &self.root {
            Root::PublicKey(bytes) => RootFile::PublicKey(bytes),
            Root::Certificate(bytes) => RootFile::Certificate(bytes),
        }
    }

    /// The device as its files say. Errors: where one is missing or does not read.
    pub fn device(&self) -> anyhow::Result<Device> {
        let certificate = read(&self.folder.join(CERTIFICATE))?;
        let private = read(&self.folder.join(PRIVATE))?;
        let device = Device::parse(&Profile {
            certificate: &certificate,
            private_pem: std::str::from_utf8(&private).context(PRIVATE)?,
            root: self.root(),
            level: self.level,
        });
        device.with_context(|| self.folder.display().to_string())
    }

    /// The device whose certificate is its key's, under the root, and not out of date.
    pub fn verified(&self, now: Timestamp) -> Option<Device> {
        let certificate = read(&self.folder.join(CERTIFICATE)).ok()?;
        let answer = provisioning::answer(&certificate);
        provisioning::open_answer(&answer, self.key()?, self.root(), now).ok()?;
        self.device().ok()
    }

    fn key(&self) -> Option<RsaPrivateKey> {
        let pem = read(&self.folder.join(PRIVATE)).ok()?;
        RsaPrivateKey::parse_pem(std::str::from_utf8(&pem).ok()?).ok()
    }

    /// The question for a certificate, for the key that is there or a new one.
    pub fn ask(&self, now: Timestamp) -> anyhow::Result<Vec<u8>> {
        if self.level != SecurityLevel::L3 {
            return Err(anyhow!("software is L3: a device of {} comes with its key", self.level));
        }
        let key = match self.key() {
            Some(key) => key,
            None => {
                let (key, pkcs8) = RsaPrivateKey::generate();
                self.write(PRIVATE, RsaPrivateKey::pem_of(&pkcs8).as_bytes())?;
                key
            }
        };
        Ok(provisioning::ask(&key, now))
    }

    /// Keeps the certificate of an answer.
    ///
    /// Errors: where it is not for the key, or not under the root: nothing is kept then.
    pub fn keep(&self, answer: &[u8], now: Timestamp) -> anyhow::Result<Device> {
        let key = self.key().context("the key has gone")?;
        let device = provisioning::open_answer(answer, key, self.root(), now)?;
        self.write(CERTIFICATE, &device.certificate)?;
        self.device()
    }

    /// Writes a file whole or not at all, for its owner alone.
    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        write_whole(&self.folder.join(name), bytes)
    }
}
