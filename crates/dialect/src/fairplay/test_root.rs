//! A test root of one's own: an application with its certificate, key, secret and stand-in
//! derivation, in the formats that `credentials import fairplay` reads, and its devices. No real
//! device knows it.

use super::client::{ClientDevice, DeviceError};
use super::module::STANDIN_DERIVATION;
use keys::RsaPrivateKey;
use keys::fairplay::{ApplicationCertificate, ApplicationKey, HARDWARE_BYTES};
use model::Entropy;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// An application.
#[derive(Debug)]
pub struct TestRoot {
    /// `app_cert.der`: a certificate of RSA-1024.
    pub certificate: Vec<u8>,
    /// `app_private.pem`: PKCS#8.
    pub private_pem: Zeroizing<String>,
    /// `ask.hex`: the application secret.
    pub secret_hex: Zeroizing<String>,
}

/// A device: what a client is given.
#[derive(Debug)]
pub struct TestDevice {
    /// `device.hex`: the device's hash.
    pub hardware_hex: String,
    /// `ask.hex`: the secret of its application.
    pub secret_hex: Zeroizing<String>,
}

impl TestRoot {
    /// Makes an application.
    pub fn make(entropy: &mut dyn Entropy) -> Self {
        let (key, pkcs8) = ApplicationKey::generate();
        let mut secret = Zeroizing::new([0; 16]);
        entropy.fill(secret.as_mut_slice());
        Self {
            certificate: ApplicationCertificate::issue(&key, entropy),
            private_pem: RsaPrivateKey::pem_of(&pkcs8),
            secret_hex: hex(secret.as_slice()),
        }
    }

    /// The directory that `credentials import fairplay` reads: names and contents.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &[u8]); 4] {
        [
            ("app_cert.der", &self.certificate),
            ("app_private.pem", self.private_pem.as_bytes()),
            ("ask.hex", self.secret_hex.as_bytes()),
            ("d_function", STANDIN_DERIVATION.as_bytes()),
        ]
    }

    /// Makes a device of the application.
    pub fn make_device(&self, entropy: &mut dyn Entropy) -> TestDevice {
        let mut hardware = [0; HARDWARE_BYTES];
        entropy.fill(&mut hardware);
        let hardware_hex = hex(&hardware).to_string();
        TestDevice { hardware_hex, secret_hex: self.secret_hex.clone() }
    }
}

impl TestDevice {
    /// The directory of a device: names and contents.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &[u8]); 2] {
        [("device.hex", self.hardware_hex.as_bytes()), ("ask.hex", self.secret_hex.as_bytes())]
    }

    /// The device as a client.
    ///
    /// Errors: [`DeviceError`].
    pub fn client(&self) -> Result<ClientDevice, DeviceError> {
        ClientDevice::read(&self.hardware_hex, &self.secret_hex)
    }
}

/// Room for all of it at once: a growing text would leave copies of a secret behind.
fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every write");
    }
    text
}
