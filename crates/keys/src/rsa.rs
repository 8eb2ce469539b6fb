//! RSA keys of devices and license services: RSASSA-PSS and RSAES-OAEP, both with SHA-1 and
//! MGF1-SHA-1 (RFC 8017, 8.1 and 7.1), as Widevine's messages have them. And of a customer of
//! CloudFront, which checks PKCS#1 v1.5 with SHA-1 (8.2).
//!
//! SHA-1 is what the protocols name; all uses need only a second preimage, which it still
//! withstands: nobody else chooses a byte of what is signed. Strongroom's own signatures use
//! other keys.

use crate::aws_lc::Rsa;
use crate::pem;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use std::ops::RangeInclusive;
use zeroize::Zeroizing;

/// Modulus of a key, bits.
pub const RSA_BITS: RangeInclusive<u32> = 2048..=4096;
/// Longest key that is read, bytes.
const MAX_KEY_BYTES: usize = 4096;

/// Why bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// Not the DER, or PEM, that was expected; not an RSA key; numbers that do not belong
    /// together.
    #[error("not an RSA key")]
    Malformed,
    /// A modulus outside [`RSA_BITS`].
    #[error("the RSA key does not have 2048 to 4096 bits")]
    Bits,
}

/// A public key.
pub struct RsaPublicKey(Rsa);

impl RsaPublicKey {
    /// Reads a key in DER: `RSAPublicKey` (PKCS#1) or `SubjectPublicKeyInfo`.
    ///
    /// Errors: [`RsaKeyError`].
    pub fn parse(der: &[u8]) -> Result<Self, RsaKeyError> {
        if der.len() > MAX_KEY_BYTES {
            return Err(RsaKeyError::Malformed);
        }
        let key = Rsa::from_pkcs1_public(der).or_else(|| Rsa::from_spki(der));
        of_fair_size(key).map(Self)
    }

    /// The key as `RSAPublicKey` (PKCS#1), DER.
    #[must_use]
    pub fn to_pkcs1(&self) -> Vec<u8> {
        self.0.to_pkcs1_public().expect("a key that was read can be written")
    }

    /// Whether the signature over `message` is this key's.
    #[must_use]
    pub fn verify_pss_sha1(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.0.size_bytes() && self.0.verify_pss_sha1(message, signature)
    }

    /// Wraps a secret of at most 214 bytes, what the smallest key carries; `None` beyond that.
    #[must_use]
    pub fn encrypt_oaep_sha1(&self, secret: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt_oaep_sha1(secret)
    }
}

impl std::fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RsaPublicKey({} bits)", self.0.bits())
    }
}

/// A private key, wiped on drop, never printed.
pub struct RsaPrivateKey(Rsa);

impl RsaPrivateKey {
    /// Reads a key in PKCS#8 DER.
    ///
    /// Errors: [`RsaKeyError`].
    pub fn parse(pkcs8: &Zeroizing<Vec<u8>>) -> Result<Self, RsaKeyError> {
        if pkcs8.len() > MAX_KEY_BYTES {
            return Err(RsaKeyError::Malformed);
        }
        of_fair_size(Rsa::from_pkcs8(pkcs8)).map(Self)
    }

    /// Reads a key in PEM (RFC 7468, 10): one `PRIVATE KEY`, nothing else.
    ///
    /// Errors: [`RsaKeyError`].
    pub fn parse_pem(text: &str) -> Result<Self, RsaKeyError> {
        Self::parse(&der_of_pem(text)?)
    }

    /// Makes a key of 2048 bits; its PKCS#8 DER.
    ///
    /// Panics where the system has no randomness at all.
    #[must_use]
    pub fn generate() -> (Self, Zeroizing<Vec<u8>>) {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key can be made");
        let der: Pkcs8V1Der<'_> = key.as_der().expect("a key that was made can be written");
        let der = Zeroizing::new(der.as_ref().to_vec());
        (Self::parse(&der).expect("a key that was made can be read"), der)
    }

    /// PKCS#8 DER as PEM (RFC 7468, 10).
    #[must_use]
    pub fn pem_of(pkcs8: &Zeroizing<Vec<u8>>) -> Zeroizing<String> {
        pem::write(pkcs8, pem::PRIVATE_KEY)
    }

    /// The public part.
    #[must_use]
    pub fn public_key(&self) -> RsaPublicKey {
        let der = self.0.to_pkcs1_public().expect("a key that was read can be written");
        RsaPublicKey::parse(&der).expect("aws-lc reads what it wrote")
    }

    /// The key as `RSAPrivateKey` (PKCS#1), DER.
    pub(crate) fn to_pkcs1(&self) -> Zeroizing<Vec<u8>> {
        self.0.to_pkcs1_private().expect("a private key that was read can be written")
    }

    /// Signs a message.
    #[must_use]
    pub fn sign_pss_sha1(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign_pss_sha1(message).expect("a private key of this size signs")
    }

    /// Signs a message for CloudFront: PKCS#1 v1.5, SHA-1.
    #[must_use]
    pub fn sign_pkcs1_sha1(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign_pkcs1_sha1(message).expect("a private key of this size signs")
    }

    /// Opens what was wrapped for this key; `None` where it was wrapped for another.
    #[must_use]
    pub fn decrypt_oaep_sha1(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if wrapped.len() != self.0.size_bytes() {
            return None;
        }
        self.0.decrypt_oaep_sha1(wrapped)
    }
}

impl std::fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RsaPrivateKey(..)")
    }
}

/// The DER in a PEM text (RFC 7468, 10): one `PRIVATE KEY`, nothing else.
pub(crate) fn der_of_pem(text: &str) -> Result<Zeroizing<Vec<u8>>, RsaKeyError> {
    pem::read(text, pem::PRIVATE_KEY).ok_or(RsaKeyError::Malformed)
}

fn of_fair_size(key: Option<Rsa>) -> Result<Rsa, RsaKeyError> {
    let key = key.ok_or(RsaKeyError::Malformed)?;
    if RSA_BITS.contains(&key.bits()) { Ok(key) } else { Err(RsaKeyError::Bits) }
}

#[cfg(test)]
mod tests;
