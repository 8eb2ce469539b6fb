//! Recipients of encrypted key documents: X.509 certificates with RSA keys (CPIX 2.4,
//! delivery data) and the private key of a recipient.
//!
//! A certificate is not traced to a root here: whoever may ask for a key in the clear may
//! name any certificate, so trust lies in the exchange that the document arrived by. What is
//! refused are certificates whose key or signature no longer protects anything.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use model::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

/// Longest certificate, bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Smallest RSA modulus, bits: what SPEKE demands; CPIX advises 3072.
pub const MIN_RSA_BITS: usize = 2048;
/// Longest secret that is wrapped: what RSA-2048 carries under OAEP with SHA-1.
const MAX_SECRET_BYTES: usize = 214;

/// RSA and ECDSA under SHA-256, SHA-384 and SHA-512, and Ed25519.
const SIGNATURES: [&str; 7] = [
    "1.2.840.113549.1.1.11",
    "1.2.840.113549.1.1.12",
    "1.2.840.113549.1.1.13",
    "1.2.840.10045.4.3.2",
    "1.2.840.10045.4.3.3",
    "1.2.840.10045.4.3.4",
    "1.3.101.112",
];
/// SHA-256, SHA-384 and SHA-512: the hashes that RSASSA-PSS may name.
const PSS_HASHES: [&str; 3] =
    ["2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"];

/// Why nothing is encrypted for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Longer than [`MAX_CERTIFICATE_BYTES`], or no X.509 certificate in DER.
    #[error("not an X.509 certificate")]
    Malformed,
    /// Signed with SHA-1, MD5, or an algorithm that Strongroom does not know.
    #[error("the certificate is not signed with SHA-256, SHA-384 or SHA-512")]
    WeakSignature,
    /// Not RSA, or shorter than [`MIN_RSA_BITS`].
    #[error("the certificate's key is not RSA of 2048 to 8192 bits")]
    WeakKey,
    /// Expired, or not yet valid.
    #[error("the certificate is not valid at this time")]
    Expired,
}

/// Whom keys are encrypted for: a certificate that passed every check of [`Self::parse`].
#[derive(Debug)]
pub struct Recipient(OaepPublicEncryptingKey);

impl Recipient {
    /// Reads a certificate in DER.
    ///
    /// Errors: [`RecipientError`]. Limits: [`MAX_CERTIFICATE_BYTES`].
    pub fn parse(der: &[u8], now: Timestamp) -> Result<Self, RecipientError> {
        let (_, key) = read_valid(der, now)?;
        OaepPublicEncryptingKey::new(key).map(Self).map_err(|_| RecipientError::WeakKey)
    }

    /// Wraps a short secret: RSA-OAEP with SHA-1 and MGF1-SHA-1 (RFC 8017, 7.1).
    pub(crate) fn wrap(&self, secret: &[u8]) -> Vec<u8> {
        let mut wrapped = vec![0; self.0.ciphertext_size()];
        let written = self.0.encrypt(&OAEP_SHA1_MGF1SHA1, secret, &mut wrapped, None);
        let length = written.expect("the secret is shorter than the modulus").len();
        wrapped.truncate(length);
        wrapped
    }
}

/// Reads a certificate that still protects something, and its key.
pub(crate) fn read_valid(
    der: &[u8],
    now: Timestamp,
) -> Result<(X509Certificate<'_>, PublicEncryptingKey), RecipientError> {
    let certificate = read(der)?;
    if !is_signed_well(&certificate) {
        return Err(RecipientError::WeakSignature);
    }
    let key = public_key(&certificate)?;
    let now = i64::try_from(now.as_s()).map_err(|_| RecipientError::Expired)?;
    let now = ASN1Time::from_timestamp(now).map_err(|_| RecipientError::Expired)?;
    if !certificate.validity().is_valid_at(now) {
        return Err(RecipientError::Expired);
    }
    Ok((certificate, key))
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, RecipientError> {
    if der.len() > MAX_CERTIFICATE_BYTES {
        return Err(RecipientError::Malformed);
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(RecipientError::Malformed),
    }
}

fn is_signed_well(certificate: &X509Certificate<'_>) -> bool {
    let algorithm = &certificate.signature_algorithm;
    if algorithm.algorithm != certificate.signature.algorithm {
        return false;
    }
    match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(pss)) => {
            PSS_HASHES.contains(&pss.hash_algorithm_oid().to_id_string().as_str())
        }
        _ => SIGNATURES.contains(&algorithm.algorithm.to_id_string().as_str()),
    }
}

fn public_key(certificate: &X509Certificate<'_>) -> Result<PublicEncryptingKey, RecipientError> {
    let key = PublicEncryptingKey::from_der(certificate.public_key().raw)
        .map_err(|_| RecipientError::WeakKey)?;
    if key.key_size_bits() < MIN_RSA_BITS { Err(RecipientError::WeakKey) } else { Ok(key) }
}

/// The private key of a recipient: opens what was wrapped for its certificate. aws-lc wipes it.
pub struct RecipientKey {
    private: OaepPrivateDecryptingKey,
    public: PublicKeyX509Der<'static>,
}

impl RecipientKey {
    /// Reads an RSA key in PKCS#8 DER.
    ///
    /// Errors: [`RecipientError::WeakKey`] on anything but RSA of 2048 to 8192 bits.
    pub fn parse(pkcs8: &Zeroizing<Vec<u8>>) -> Result<Self, RecipientError> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| RecipientError::WeakKey)?;
        let public = key.public_key().as_der().map_err(|_| RecipientError::WeakKey)?;
        let private = OaepPrivateDecryptingKey::new(key).map_err(|_| RecipientError::WeakKey)?;
        Ok(Self { private, public })
    }

    /// Whether a certificate names this key. Its dates and its signature do not matter: what
    /// was wrapped for our key is ours to open.
    #[must_use]
    pub fn is_named_by(&self, certificate: &[u8]) -> bool {
        let public = read(certificate)
            .and_then(|certificate| public_key(&certificate))
            .ok()
            .and_then(|key| key.as_der().ok());
        public.is_some_and(|public: PublicKeyX509Der<'_>| public.as_ref() == self.public.as_ref())
    }

    /// Opens what [`Recipient::wrap`] wrapped; `None` where it was wrapped for another key.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if wrapped.len() != self.private.key_size_bytes() {
            return None;
        }
        let mut opened = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let length = (self.private)
            .decrypt(&OAEP_SHA1_MGF1SHA1, wrapped, &mut opened, None)
            .ok()
            .map(|secret| secret.len())
            .filter(|length| *length <= MAX_SECRET_BYTES)?;
        opened.truncate(length);
        Some(opened)
    }
}

impl std::fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecipientKey(..)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// 2027-06-01.
    pub(crate) const NOW: Timestamp = Timestamp(1_811_808_000_000);

    pub(crate) fn vector(text: &str) -> Vec<u8> {
        STANDARD.decode(text.trim()).unwrap()
    }

    macro_rules! certificate {
        ($name:literal) => {
            vector(include_str!(concat!("../../../vectors/cpix/certificates/", $name, ".b64")))
        };
    }

    pub(crate) fn recipient() -> Recipient {
        Recipient::parse(&certificate!("rsa2048.cert"), NOW).unwrap()
    }

    pub(crate) fn own_key() -> RecipientKey {
        RecipientKey::parse(&Zeroizing::new(certificate!("rsa2048.key"))).unwrap()
    }

    #[test]
    fn what_is_wrapped_for_a_certificate_opens_under_its_key() {
        let wrapped = recipient().wrap(&[7; 64]);
        assert_eq!(own_key().unwrap(&wrapped).unwrap().as_slice(), [7; 64]);
        assert!(own_key().is_named_by(&certificate!("rsa2048.cert")));
    }

    #[test]
    fn another_recipient_opens_nothing() {
        let other = Recipient::parse(&certificate!("rsa3072.cert"), NOW).unwrap();
        assert!(own_key().unwrap(&other.wrap(&[7; 32])).is_none());
        assert!(!own_key().is_named_by(&certificate!("rsa3072.cert")));
        let mut wrapped = recipient().wrap(&[7; 32]);
        wrapped[9] ^= 1;
        assert!(own_key().unwrap(&wrapped).is_none());
        assert!(own_key().unwrap(&[]).is_none());
    }

    #[test]
    fn weak_certificates_are_refused() {
        let refusal = |der: Vec<u8>| Recipient::parse(&der, NOW).unwrap_err();
        assert_eq!(refusal(certificate!("rsa1024.cert")), RecipientError::WeakKey);
        assert_eq!(refusal(certificate!("sha1.cert")), RecipientError::WeakSignature);
        assert_eq!(refusal(certificate!("pss-sha1.cert")), RecipientError::WeakSignature);
        assert_eq!(refusal(certificate!("ec.cert")), RecipientError::WeakKey);
        assert_eq!(refusal(certificate!("expired.cert")), RecipientError::Expired);
        assert!(Recipient::parse(&certificate!("pss-sha256.cert"), NOW).is_ok());
    }

    #[test]
    fn a_certificate_has_its_dates() {
        let der = certificate!("rsa2048.cert");
        for now in [Timestamp(0), Timestamp(u64::MAX)] {
            assert_eq!(Recipient::parse(&der, now).unwrap_err(), RecipientError::Expired);
        }
    }

    #[test]
    fn other_bytes_are_no_certificate() {
        let der = certificate!("rsa2048.cert");
        let longer = [der.as_slice(), &[0]].concat();
        for bytes in [&[][..], &der[..der.len() - 1], &longer, &[0x30; MAX_CERTIFICATE_BYTES + 1]] {
            let refusal = Recipient::parse(bytes, NOW).unwrap_err();
            assert_eq!(refusal, RecipientError::Malformed);
        }
        assert!(RecipientKey::parse(&Zeroizing::new(der)).is_err());
    }
}
