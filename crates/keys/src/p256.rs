//! Keys on P-256 (SP 800-186, 3.2.1.3): ECDSA with SHA-256 (FIPS 186-5, 6), its signatures
//! written as r and s of 32 bytes each, its public keys as X and Y, as PlayReady's messages and
//! certificates have them. ElGamal under the same keys is [`crate::PointSecret`]'s.

use crate::aws_lc::ec::{Number, Point};
use crate::{PointSecret, pem};
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use model::Entropy;
use zeroize::Zeroizing;

/// RFC 5480, 2: what stands before X and Y in a `SubjectPublicKeyInfo` on this curve.
const SPKI_HEAD: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";

/// Why bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum P256KeyError {
    /// Not the DER, or PEM, that was expected; not a key on P-256; a point off the curve.
    #[error("not a key on P-256")]
    Malformed,
}

/// A public key: a point on the curve that is not infinity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct P256PublicKey([u8; 64]);

impl P256PublicKey {
    /// Reads X and Y, 32 bytes each; `None` where they are not of a point on the curve.
    #[must_use]
    pub fn parse(bytes: &[u8; 64]) -> Option<Self> {
        Point::from_coordinates(bytes).map(|_| Self(*bytes))
    }

    /// Reads a key in PEM: one `PUBLIC KEY` (`SubjectPublicKeyInfo`), nothing else.
    ///
    /// Errors: [`P256KeyError`]; also where the point is written with one coordinate.
    pub fn parse_pem(text: &str) -> Result<Self, P256KeyError> {
        pem::read(text, pem::PUBLIC_KEY)
            .and_then(|der| der.strip_prefix(SPKI_HEAD)?.try_into().ok())
            .and_then(|bytes| Self::parse(&bytes))
            .ok_or(P256KeyError::Malformed)
    }

    /// The key as [`Self::parse_pem`] reads it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::write(&[SPKI_HEAD, &self.0].concat(), pem::PUBLIC_KEY).to_string()
    }

    /// X and Y.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 64] {
        self.0
    }

    /// Whether the signature, r and s, over `message` is this key's.
    #[must_use]
    pub fn verify_sha256(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let mut sec1 = [4; 65];
        let (_, coordinates) = sec1.split_at_mut(1);
        coordinates.copy_from_slice(&self.0);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, sec1).verify(message, signature).is_ok()
    }

    /// Encrypts a secret by ElGamal: 128 bytes, two points, X and Y each. The first is kG with
    /// a fresh k, the second the secret's point plus k times this key.
    pub fn encrypt_secret(
        &self,
        secret: &PointSecret,
        entropy: &mut (impl Entropy + ?Sized),
    ) -> [u8; 128] {
        secret.encrypt(&self.point(), entropy)
    }

    fn point(&self) -> Point {
        Point::from_coordinates(&self.0).expect("a key that was read is a point")
    }
}

impl std::fmt::Debug for P256PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P256PublicKey(..)")
    }
}

/// A private key, wiped on drop, never printed.
pub struct P256PrivateKey {
    pair: EcdsaKeyPair,
    scalar: Box<Zeroizing<[u8; 32]>>,
}

impl P256PrivateKey {
    /// Reads a key in PKCS#8 DER. aws-lc checks that its public part, where it has one, is its
    /// own.
    ///
    /// Errors: [`P256KeyError`].
    pub fn parse(pkcs8: &Zeroizing<Vec<u8>>) -> Result<Self, P256KeyError> {
        if !is_one_sequence(pkcs8) {
            return Err(P256KeyError::Malformed);
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .ok()
            .and_then(Self::of)
            .ok_or(P256KeyError::Malformed)
    }

    /// Reads a key in PEM (RFC 7468, 10): one `PRIVATE KEY`, nothing else.
    ///
    /// Errors: [`P256KeyError`].
    pub fn parse_pem(text: &str) -> Result<Self, P256KeyError> {
        let der = pem::read(text, pem::PRIVATE_KEY).ok_or(P256KeyError::Malformed)?;
        Self::parse(&der)
    }

    /// Makes a key; its PKCS#8 DER.
    ///
    /// Panics where the system has no randomness at all.
    #[must_use]
    pub fn generate() -> (Self, Zeroizing<Vec<u8>>) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = pair.expect("a key can be made");
        let der = pair.to_pkcs8v1().expect("a key that was made can be written");
        let der = Zeroizing::new(der.as_ref().to_vec());
        (Self::of(pair).expect("a key that was made has a scalar"), der)
    }

    fn of(pair: EcdsaKeyPair) -> Option<Self> {
        let bytes = pair.private_key().as_be_bytes().ok()?;
        let mut scalar = Box::new(Zeroizing::new([0; 32]));
        scalar.copy_from_slice(Some(bytes.as_ref()).filter(|bytes| bytes.len() == 32)?);
        Some(Self { pair, scalar })
    }

    pub(crate) fn scalar(&self) -> &[u8; 32] {
        &self.scalar
    }

    /// PKCS#8 DER as PEM (RFC 7468, 10).
    #[must_use]
    pub fn pem_of(pkcs8: &Zeroizing<Vec<u8>>) -> Zeroizing<String> {
        pem::write(pkcs8, pem::PRIVATE_KEY)
    }

    /// The public part.
    #[must_use]
    pub fn public_key(&self) -> P256PublicKey {
        let sec1 = self.pair.public_key().as_ref();
        let bytes = sec1.get(1..).and_then(|bytes| bytes.try_into().ok());
        P256PublicKey(bytes.expect("aws-lc writes both coordinates"))
    }

    /// Signs as [`P256PublicKey::verify_sha256`] verifies.
    ///
    /// Panics where the system has no randomness at all.
    #[must_use]
    pub fn sign_sha256(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        let signature = signature.expect("a private key signs");
        signature.as_ref().try_into().expect("r and s have 32 bytes each")
    }

    /// Opens what [`P256PublicKey::encrypt_secret`] encrypted for this key; `None` where either
    /// half is not a point on the curve, or where their difference is infinity. Under another
    /// key it opens to another secret: what is in it must be checked by other means.
    #[must_use]
    pub fn decrypt_secret(&self, text: &[u8; 128]) -> Option<PointSecret> {
        PointSecret::decrypt(text, &Number::new(&self.scalar)?)
    }
}

impl std::fmt::Debug for P256PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P256PrivateKey(..)")
    }
}

/// Whether the DER is one SEQUENCE of at most 255 bytes, with nothing behind it, which aws-lc
/// would overlook: a key takes 135.
fn is_one_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, length @ 0..=0x7f, body @ ..] | [0x30, 0x81, length @ 0x80..=0xff, body @ ..] => {
            usize::from(*length) == body.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
