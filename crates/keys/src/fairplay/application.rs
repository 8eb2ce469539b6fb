//! What a service holds for one application: its RSA private key and its application secret.

use super::certificate::ApplicationCertificate;
use super::session::{DerivedKey, PayloadKey, R2_BYTES, ecb};
use crate::aws_lc::Rsa;
use crate::rsa::{RsaKeyError, der_of_pem};
use crate::sha256;
use zeroize::Zeroizing;

/// The sizes of an application's key, bits. Version 1 of the containers holds what a key of 1024
/// bits wraps.
pub const APPLICATION_BITS: [u32; 2] = [1024, 2048];
const KEY_BYTES: usize = 16;

/// The private key of an application certificate, wiped on drop, never printed.
///
/// 1024 bits are the container's choice, not ours: [`crate::RsaPrivateKey`] reads no such key.
pub struct ApplicationKey(Rsa);

impl ApplicationKey {
    /// Reads a key in PEM: one `PRIVATE KEY` (PKCS#8), nothing else.
    ///
    /// Errors: [`RsaKeyError`]; `Bits` where the modulus is none of [`APPLICATION_BITS`].
    pub fn parse_pem(pem: &str) -> Result<Self, RsaKeyError> {
        Self::parse(&der_of_pem(pem)?)
    }

    /// Reads a key in PKCS#8 DER.
    ///
    /// Errors: as [`Self::parse_pem`].
    pub fn parse(pkcs8: &Zeroizing<Vec<u8>>) -> Result<Self, RsaKeyError> {
        let key = Rsa::from_pkcs8(pkcs8).ok_or(RsaKeyError::Malformed)?;
        if APPLICATION_BITS.contains(&key.bits()) { Ok(Self(key)) } else { Err(RsaKeyError::Bits) }
    }

    /// Makes a key of 1024 bits, for a test root; its PKCS#8 DER.
    ///
    /// Panics where the system has no randomness at all.
    #[must_use]
    pub fn generate() -> (Self, Zeroizing<Vec<u8>>) {
        let key = Rsa::generate(1024).expect("a key can be made");
        let pkcs1 = key.to_pkcs1_private().expect("a key that was made can be written");
        (Self(key), pkcs8_of(&pkcs1))
    }

    /// Whether a certificate is of this key.
    #[must_use]
    pub fn is_of(&self, certificate: &ApplicationCertificate) -> bool {
        self.to_pkcs1_public() == certificate.key().to_pkcs1_public().unwrap_or_default()
    }

    /// Opens the key of a payload; `None` where it was wrapped for another application.
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8]) -> Option<PayloadKey> {
        if wrapped.len() != self.0.size_bytes() {
            return None;
        }
        PayloadKey::of(&self.0.decrypt_oaep_sha1(wrapped)?)
    }

    pub(super) fn to_pkcs1_public(&self) -> Vec<u8> {
        self.0.to_pkcs1_public().expect("a key that was read can be written")
    }
}

/// `RSAPrivateKey` in a `PrivateKeyInfo` (RFC 5208, 5; RFC 8017, A.1).
fn pkcs8_of(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    const HEAD: [u8; 18] = [
        0x02, 1, 0, // version
        0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05,
        0, // rsaEncryption
    ];
    let length = |bytes: usize| {
        let [.., high, low] = bytes.to_be_bytes();
        [0x82, high, low]
    };
    // Room for all of it at once: a growing vector would leave copies of the key behind.
    let mut der = Zeroizing::new(Vec::with_capacity(pkcs1.len() + HEAD.len() + 8));
    der.push(0x30);
    der.extend(length(HEAD.len() + 4 + pkcs1.len()));
    der.extend(HEAD);
    der.push(0x04);
    der.extend(length(pkcs1.len()));
    der.extend(pkcs1);
    der
}

/// An application secret (ASk), 16 bytes; wiped on drop, never printed.
pub struct ApplicationSecret(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl ApplicationSecret {
    /// Reads 32 hex digits, in either case; white space around them is no part of it.
    #[must_use]
    pub fn parse_hex(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 2 * KEY_BYTES {
            return None;
        }
        let mut bytes = Box::new(Zeroizing::new([0; KEY_BYTES]));
        for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        Some(Self(bytes))
    }

    /// The secret in the clear, for a derivation function that is not ours: a licensee's.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(**self.0)
    }

    /// `standin-d-v1`: AES-128-ECB under the secret, of the first 16 bytes of SHA-256 over
    /// `standin-D-v1` and R2. Stands for the function that a licensee obtains; for tests only.
    #[must_use]
    pub fn derive_standin(&self, r2: &[u8; R2_BYTES]) -> DerivedKey {
        let hash = sha256(&[&b"standin-D-v1"[..], r2].concat());
        let mut block = Zeroizing::new([0; KEY_BYTES]);
        block.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        ecb(&self.0, &mut block);
        DerivedKey::from_bytes(&block)
    }
}

macro_rules! named_only {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

named_only!(ApplicationKey ApplicationSecret);
