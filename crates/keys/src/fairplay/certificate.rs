//! An application certificate: X.509 with an RSA key (RFC 5280, 4.1). A client wraps its message
//! for the key and names the certificate by its SHA-1.
//!
//! It is not traced to a root here: the operator imports it, and clients get it from the operator.

use super::application::{APPLICATION_BITS, ApplicationKey};
use super::session::PayloadKey;
use crate::MAX_CERTIFICATE_BYTES;
use crate::aws_lc::Rsa;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use model::{Entropy, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Why bytes are no application certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationCertificateError {
    /// Longer than [`MAX_CERTIFICATE_BYTES`], or no X.509 certificate in DER.
    #[error("not an X.509 certificate")]
    Malformed,
    /// Its key is not RSA, or has none of [`APPLICATION_BITS`].
    #[error("the certificate's key is not RSA of 1024 or 2048 bits")]
    Key,
}

/// An application certificate. Its dates are told, not checked.
pub struct ApplicationCertificate {
    der: Vec<u8>,
    digest: [u8; 20],
    key: Rsa,
    not_before_s: i64,
    not_after_s: i64,
}

impl ApplicationCertificate {
    /// Reads a certificate in DER.
    ///
    /// Errors: [`ApplicationCertificateError`]. Limits: [`MAX_CERTIFICATE_BYTES`].
    pub fn parse(der: &[u8]) -> Result<Self, ApplicationCertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(ApplicationCertificateError::Malformed);
        }
        let Ok(([], read)) = X509Certificate::from_der(der) else {
            return Err(ApplicationCertificateError::Malformed);
        };
        let key = Rsa::from_spki(read.public_key().raw)
            .filter(|key| APPLICATION_BITS.contains(&key.bits()))
            .ok_or(ApplicationCertificateError::Key)?;
        let validity = read.validity();
        Ok(Self {
            digest: sha1(der),
            key,
            not_before_s: validity.not_before.timestamp(),
            not_after_s: validity.not_after.timestamp(),
            der: der.to_vec(),
        })
    }

    /// The certificate: clients may have it.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-1 of the certificate: its name in a client's message.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 20] {
        &self.digest
    }

    /// The size of its key, bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.key.bits()
    }

    /// Whether it is valid already.
    #[must_use]
    pub fn has_begun(&self, now: Timestamp) -> bool {
        i64::try_from(now.as_s()).is_ok_and(|now| self.not_before_s <= now)
    }

    /// Whether it has run out.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        i64::try_from(now.as_s()).is_ok_and(|now| self.not_after_s < now)
    }

    /// Wraps the key of a payload for the application.
    #[must_use]
    pub fn wrap(&self, key: &PayloadKey) -> Vec<u8> {
        self.key.encrypt_oaep_sha1(key.bytes()).expect("16 bytes fit every size of key")
    }

    pub(super) const fn key(&self) -> &Rsa {
        &self.key
    }

    /// Issues a certificate for a test root, valid from 2020 to 2050; its DER. Its issuer is made
    /// for it and forgotten: what names a certificate by its hash asks for no issuer.
    ///
    /// Panics where the system has no randomness at all.
    pub fn issue(key: &ApplicationKey, entropy: &mut dyn Entropy) -> Vec<u8> {
        let issuer =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key can be made");
        let body = body_of(&key.to_pkcs1_public(), entropy);
        let signature = issuer.sign(&SystemRandom::new(), &body).expect("a key signs");
        let bits = [&[0], signature.as_ref()].concat();
        der(0x30, &[body, der(0x30, &[ECDSA_WITH_SHA256.to_vec()]), der(0x03, &[bits])])
    }
}

/// `1.2.840.10045.4.3.2`, `1.2.840.113549.1.1.1` and `2.5.4.3`, as object identifiers in DER.
const ECDSA_WITH_SHA256: [u8; 10] = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const RSA_ENCRYPTION: [u8; 11] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const COMMON_NAME: [u8; 5] = [0x06, 3, 0x55, 4, 3];

/// `TBSCertificate`, version 1: no extension is needed.
fn body_of(pkcs1: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
    let mut serial = [0; 16];
    entropy.fill(&mut serial);
    // A serial number is positive, and its first byte not zero.
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    let name = |name: &str| {
        let value = der(0x0c, &[name.as_bytes().to_vec()]);
        der(0x30, &[der(0x31, &[der(0x30, &[COMMON_NAME.to_vec(), value])])])
    };
    let time = |text: &str| der(0x18, &[text.as_bytes().to_vec()]);
    let algorithm = der(0x30, &[RSA_ENCRYPTION.to_vec(), der(0x05, &[])]);
    let spki = der(0x30, &[algorithm, der(0x03, &[vec![0], pkcs1.to_vec()])]);
    let parts = [
        der(0x02, &[serial.to_vec()]),
        der(0x30, &[ECDSA_WITH_SHA256.to_vec()]),
        name("Test authority"),
        der(0x30, &[der(0x17, &[b"200101000000Z".to_vec()]), time("20500101000000Z")]),
        name("Test application"),
        spki,
    ];
    der(0x30, &parts)
}

/// One value in DER (X.690, 8.1), of at most 64 KiB.
fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let [.., high, low] = body.len().to_be_bytes();
    let head = match (high, low) {
        (0, ..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, body].concat()
}

/// SHA-1, which the container names a certificate by.
pub(super) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    hash
}

impl std::fmt::Debug for ApplicationCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApplicationCertificate({} bits)", self.bits())
    }
}
