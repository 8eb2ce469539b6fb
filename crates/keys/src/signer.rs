//! Signers of key documents: whose RSA signatures are taken for theirs (CPIX 2.4, digital
//! signature: RSASSA-PKCS1-v1_5 with SHA-512).

use crate::recipient::{RecipientError, read_valid};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey};
use model::Timestamp;

/// A certificate that the operator trusts to sign documents.
#[derive(Debug)]
pub struct Signer {
    certificate: Vec<u8>,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl Signer {
    /// Reads a certificate in DER.
    ///
    /// Errors: [`RecipientError`]. Limits: [`crate::MAX_CERTIFICATE_BYTES`].
    pub fn parse(der: &[u8], now: Timestamp) -> Result<Self, RecipientError> {
        let (certificate, _) = read_valid(der, now)?;
        let key = certificate.public_key().subject_public_key.data.to_vec();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, key);
        Ok(Self { certificate: der.to_vec(), key })
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Whether the signature over `message` is the signer's.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature).is_ok()
    }
}

/// Whether `hash` is the SHA-512 of `message`.
#[must_use]
pub fn is_sha512_of(hash: &[u8], message: &[u8]) -> bool {
    verify_slices_are_equal(digest(&SHA512, message).as_ref(), hash).is_ok()
}

/// SHA-256: the short name of a certificate.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipient::tests::{NOW, vector};
    use aws_lc_rs::rsa::KeyPair;
    use aws_lc_rs::signature::RSA_PKCS1_SHA512;

    macro_rules! vector {
        ($name:literal) => {
            vector(include_str!(concat!("../../../vectors/cpix/certificates/", $name, ".b64")))
        };
    }

    #[test]
    fn a_signature_is_of_its_signer_and_its_message() {
        let pair = KeyPair::from_pkcs8(&vector!("rsa2048.key")).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA512, &random, b"message", &mut signature).unwrap();
        let signer = Signer::parse(&vector!("rsa2048.cert"), NOW).unwrap();
        let other = Signer::parse(&vector!("rsa3072.cert"), NOW).unwrap();
        assert!(signer.has_signed(b"message", &signature));
        assert!(!signer.has_signed(b"massage", &signature));
        assert!(!other.has_signed(b"message", &signature));
        signature[5] ^= 1;
        assert!(!signer.has_signed(b"message", &signature));
    }

    #[test]
    fn weak_certificates_sign_nothing() {
        for weak in [vector!("sha1.cert"), vector!("rsa1024.cert"), vector!("expired.cert")] {
            assert!(Signer::parse(&weak, NOW).is_err());
        }
    }

    #[test]
    fn a_hash_is_of_its_message() {
        let hash = digest(&SHA512, b"message");
        assert!(is_sha512_of(hash.as_ref(), b"message"));
        assert!(!is_sha512_of(hash.as_ref(), b"massage") && !is_sha512_of(&[], b"message"));
    }
}
