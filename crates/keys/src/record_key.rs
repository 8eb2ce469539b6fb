//! The key under which a device keeps what must outlive its process: licenses and their use.
//!
//! It is derived from the device's own secret by HKDF with SHA-256 (RFC 5869), so that nothing
//! has to be stored for it, and what one device keeps no other device opens.

use crate::fairplay::ApplicationSecret;
use crate::seal::{OVERHEAD_BYTES, SealingKey};
use crate::{ContentKey, MacKeys, P256PrivateKey, RsaPrivateKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use model::Entropy;
use zeroize::Zeroizing;

const SALT: &[u8] = b"strongroom records 1";
const SEALS: &[u8] = b"seals";
const NAMES: &[u8] = b"names";

/// Seals what a device keeps: AES-256-GCM; aws-lc wipes the key.
///
/// Limits: at most 2^32 seals under one device's key (SP 800-38D, 8.3).
pub struct RecordKey {
    seal: SealingKey,
    device: [u8; 16],
}

/// How many bytes HKDF makes.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl RecordKey {
    /// Of a device with an RSA key.
    #[must_use]
    pub fn of_rsa(device: &RsaPrivateKey) -> Self {
        Self::derive(&[b"rsa", &device.to_pkcs1()])
    }

    /// Of a device with a key on P-256.
    #[must_use]
    pub fn of_p256(device: &P256PrivateKey) -> Self {
        Self::derive(&[b"p256", device.scalar()])
    }

    /// Of a device that shares its application's secret; `hardware` is what tells it from the
    /// application's other devices.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "it goes into the derivation and nowhere else")]
    pub fn of_application(secret: &ApplicationSecret, hardware: &[u8]) -> Self {
        Self::derive(&[b"application", &*secret.reveal(), hardware])
    }

    /// The first part says what the others are, and only the last has no length of its own.
    fn derive(secret: &[&[u8]]) -> Self {
        let room = secret.iter().map(|part| part.len()).sum();
        let mut input = Zeroizing::new(Vec::with_capacity(room));
        secret.iter().for_each(|part| input.extend(*part));
        let secret = Salt::new(HKDF_SHA256, SALT).extract(&input);
        let fill = |label: &[u8], out: &mut [u8]| {
            let label = [label];
            let made = secret.expand(&label, Bytes(out.len()));
            made.and_then(|made| made.fill(out)).expect("HKDF makes so few bytes");
        };
        let (mut key, mut device) = (Zeroizing::new([0; 32]), [0; 16]);
        fill(SEALS, key.as_mut_slice());
        fill(NAMES, &mut device);
        Self { seal: SealingKey::new(&key), device }
    }

    /// A name of the device that tells nothing of its secret.
    #[must_use]
    pub const fn device(&self) -> [u8; 16] {
        self.device
    }

    /// Seals a content key, bound to `aad`.
    pub fn seal_key(&self, key: &ContentKey, aad: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        self.seal.seal(key.bytes(), aad, entropy)
    }

    /// Opens a content key; `None` where it was not sealed by this device for `aad`.
    #[must_use]
    pub fn open_key(&self, sealed: &[u8], aad: &[u8]) -> Option<ContentKey> {
        let mut opened = Err(crate::seal::NotOurs);
        let key = ContentKey::build(|bytes| opened = self.seal.open(sealed, aad, bytes));
        opened.ok().map(|()| key)
    }

    /// Seals the signing keys of a license's session, bound to `aad`.
    pub fn seal_macs(&self, macs: &MacKeys, aad: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        self.seal.seal(macs.bytes(), aad, entropy)
    }

    /// Opens signing keys; `None` where they were not sealed by this device for `aad`.
    #[must_use]
    pub fn open_macs(&self, sealed: &[u8], aad: &[u8]) -> Option<MacKeys> {
        let mut opened = Err(crate::seal::NotOurs);
        let macs = MacKeys::build(|bytes| opened = self.seal.open(sealed, aad, bytes));
        opened.ok().map(|()| macs)
    }

    /// Seals any bytes, bound to `aad`.
    pub fn seal(&self, text: &[u8], aad: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        self.seal.seal(text, aad, entropy)
    }

    /// Opens what [`Self::seal`] sealed; `None` where that was not this device, or not for `aad`.
    #[must_use]
    pub fn unseal(&self, sealed: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let length = sealed.len().checked_sub(OVERHEAD_BYTES)?;
        let mut text = Zeroizing::new(vec![0; length]);
        self.seal.open(sealed, aad, &mut text).ok()?;
        Some(text)
    }
}

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SessionKey, SystemEntropy};

    fn application(hardware: &[u8]) -> RecordKey {
        let secret = ApplicationSecret::parse_hex("000102030405060708090a0b0c0d0e0f").unwrap();
        RecordKey::of_application(&secret, hardware)
    }

    #[test]
    fn what_a_device_keeps_opens_for_it_alone_as_it_was_sealed() {
        let mut entropy = SystemEntropy;
        let ((rsa, rsa_file), (p256, p256_file)) =
            (RsaPrivateKey::generate(), P256PrivateKey::generate());
        let again = [
            RecordKey::of_rsa(&RsaPrivateKey::parse(&rsa_file).unwrap()),
            RecordKey::of_p256(&P256PrivateKey::parse(&p256_file).unwrap()),
            application(&[1; 20]),
        ];
        let devices = [RecordKey::of_rsa(&rsa), RecordKey::of_p256(&p256), application(&[1; 20])];
        let others = [
            RecordKey::of_rsa(&RsaPrivateKey::generate().0),
            RecordKey::of_p256(&P256PrivateKey::generate().0),
            application(&[2; 20]),
        ];
        for ((device, same), other) in devices.iter().zip(&again).zip(&others) {
            assert_eq!(device.device(), same.device());
            assert_ne!(device.device(), other.device());
            let sealed = device.seal(b"text", b"aad", &mut entropy);
            assert_eq!(same.unseal(&sealed, b"aad").unwrap().as_slice(), b"text");
            assert!(same.unseal(&sealed, b"add").is_none());
            assert!(other.unseal(&sealed, b"aad").is_none());
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(device.unseal(&changed, b"aad").is_none(), "{at}");
                assert!(device.unseal(&sealed[..at], b"aad").is_none(), "{at}");
            }
        }
    }

    #[test]
    fn keys_are_sealed_one_by_one() {
        let (device, mut entropy) = (application(&[1; 20]), SystemEntropy);
        let key = ContentKey::generate(&mut entropy);
        let sealed = device.seal_key(&key, b"kid", &mut entropy);
        assert_eq!(device.open_key(&sealed, b"kid").unwrap().bytes(), key.bytes());
        assert!(device.open_key(&sealed, b"another").is_none());
        let macs = SessionKey::generate(&mut entropy).derive(b"request").macs;
        let sealed_macs = device.seal_macs(&macs, b"session", &mut entropy);
        let opened = device.open_macs(&sealed_macs, b"session").unwrap();
        assert!(macs.client_signed(b"text", &opened.sign_as_client(b"text")));
        assert!(device.open_macs(&sealed, b"kid").is_none(), "a content key is none");
        assert!(device.open_key(&sealed_macs, b"session").is_none());
        assert_eq!(format!("{device:?}"), "RecordKey(..)");
    }
}
