//! Every operation against RustCrypto's, in both directions.

use super::*;
use crate::recipient::tests::vector;
use proptest::collection::vec;
use proptest::prelude::*;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _, EncodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use rsa::pss::{Signature, SigningKey, VerifyingKey};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _, Verifier as _};
use rsa::{Oaep, PrivateKey as OtherKey, PublicKey as OtherPublicKey};
use sha1::Sha1;
use std::sync::LazyLock;

/// The other implementation's randomness, from ours.
struct Draw;

impl rsa::rand_core::TryRng for Draw {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        model::Entropy::fill(&mut crate::SystemEntropy, out);
        Ok(())
    }
}
impl rsa::rand_core::TryCryptoRng for Draw {}

macro_rules! key {
    ($name:literal) => {
        vector(include_str!(concat!("../../../../vectors/cpix/certificates/", $name, ".b64")))
    };
}

/// Each size, in both implementations.
static PAIRS: LazyLock<Vec<(RsaPrivateKey, OtherKey)>> = LazyLock::new(|| {
    [key!("rsa2048.key"), key!("rsa3072.key")]
        .into_iter()
        .map(|der| {
            let other = OtherKey::from_pkcs8_der(&der).unwrap();
            (RsaPrivateKey::parse(&Zeroizing::new(der.to_vec())).unwrap(), other)
        })
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_one_signs_the_other_verifies(message in vec(any::<u8>(), 0..3000), size in 0..2_usize) {
        let (own, other) = &PAIRS[size];
        let verifying = VerifyingKey::<Sha1>::new(other.to_public_key());
        let signature = own.sign_pss_sha1(&message);
        prop_assert!(verifying.verify(&message, &Signature::try_from(&signature[..]).unwrap()).is_ok());
        let theirs = SigningKey::<Sha1>::new(other.clone()).sign_with_rng(&mut Draw, &message);
        prop_assert!(own.public_key().verify_pss_sha1(&message, &theirs.to_vec()));
    }

    #[test]
    fn both_sign_by_pkcs1_alike(message in vec(any::<u8>(), 0..3000), size in 0..2_usize) {
        let (own, other) = &PAIRS[size];
        let theirs = rsa::pkcs1v15::SigningKey::<Sha1>::new(other.clone()).sign(&message);
        prop_assert_eq!(own.sign_pkcs1_sha1(&message), theirs.to_vec());
    }

    #[test]
    fn what_one_wraps_the_other_opens(secret in vec(any::<u8>(), 0..=214), size in 0..2_usize) {
        let (own, other) = &PAIRS[size];
        let wrapped = own.public_key().encrypt_oaep_sha1(&secret).unwrap();
        prop_assert_eq!(&other.decrypt(Oaep::<Sha1>::new(), &wrapped).unwrap(), &secret);
        let theirs =
            other.to_public_key().encrypt(&mut Draw, Oaep::<Sha1>::new(), &secret).unwrap();
        prop_assert_eq!(&*own.decrypt_oaep_sha1(&theirs).unwrap(), &secret);
    }

    #[test]
    fn another_message_signature_or_key_is_refused(
        message in vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let (own, _) = &PAIRS[0];
        let mut signature = own.sign_pss_sha1(&message);
        let mut other = message.clone();
        other[at.index(message.len())] ^= 1_u8 << bit;
        prop_assert!(!own.public_key().verify_pss_sha1(&other, &signature));
        prop_assert!(!PAIRS[1].0.public_key().verify_pss_sha1(&message, &signature));
        prop_assert!(!own.public_key().verify_pss_sha1(&message, &signature[1..]));
        let at = at.index(signature.len());
        signature[at] ^= 1_u8 << bit;
        prop_assert!(!own.public_key().verify_pss_sha1(&message, &signature));
    }

    #[test]
    fn a_flipped_wrapping_does_not_open(at in 0..256_usize, bit in 0..8) {
        let (own, _) = &PAIRS[0];
        let mut wrapped = own.public_key().encrypt_oaep_sha1(&[7; 16]).unwrap();
        wrapped[at] ^= 1_u8 << bit;
        prop_assert!(own.decrypt_oaep_sha1(&wrapped).is_none());
        prop_assert!(own.decrypt_oaep_sha1(&wrapped[1..]).is_none());
        prop_assert!(PAIRS[1].0.decrypt_oaep_sha1(&wrapped).is_none());
    }

    #[test]
    fn hostile_keys_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = RsaPublicKey::parse(&bytes);
        let _ = RsaPrivateKey::parse(&Zeroizing::new(bytes));
    }
}

#[test]
fn a_salt_of_another_length_is_refused() {
    let (own, other) = &PAIRS[0];
    for salt in [0, 19, 21, 32] {
        let signing = SigningKey::<Sha1>::new_with_salt_len(other.clone(), salt);
        let signature = signing.sign_with_rng(&mut Draw, b"message");
        assert!(!own.public_key().verify_pss_sha1(b"message", &signature.to_vec()), "{salt}");
    }
}

#[test]
fn public_keys_are_read_in_both_formats() {
    let (own, other) = &PAIRS[0];
    let pkcs1 = own.public_key().to_pkcs1();
    assert_eq!(pkcs1, other.to_public_key().to_pkcs1_der().unwrap().as_bytes());
    let spki = other.to_public_key().to_public_key_der().unwrap().to_vec();
    assert_eq!(RsaPublicKey::parse(&spki).unwrap().to_pkcs1(), pkcs1);
    for der in [pkcs1, spki] {
        for end in 0..der.len() {
            assert!(RsaPublicKey::parse(&der[..end]).is_err(), "{end}");
        }
        let more = [&der[..], &[0]].concat();
        assert_eq!(RsaPublicKey::parse(&more).err(), Some(RsaKeyError::Malformed));
    }
    assert!(OtherPublicKey::from_pkcs1_der(&own.public_key().to_pkcs1()).is_ok());
}

#[test]
fn private_keys_are_read_in_der_and_pem() {
    let (key, der) = RsaPrivateKey::generate();
    let pem = RsaPrivateKey::pem_of(&der);
    let again = RsaPrivateKey::parse_pem(&pem).unwrap();
    assert!(again.public_key().verify_pss_sha1(b"m", &key.sign_pss_sha1(b"m")));
    assert!(OtherKey::from_pkcs8_pem(&pem).is_ok());
    assert!(OtherKey::from_pkcs1_der(&der).is_err(), "PKCS#8, not PKCS#1");
    let renamed = pem.replace("PRIVATE KEY", "RSA PRIVATE KEY");
    assert_eq!(RsaPrivateKey::parse_pem(&renamed).err(), Some(RsaKeyError::Malformed));
    assert_eq!(RsaPrivateKey::parse_pem(&"A".repeat(9000)).err(), Some(RsaKeyError::Malformed));
    let mut cut = der.clone();
    cut.pop();
    assert_eq!(RsaPrivateKey::parse(&cut).err(), Some(RsaKeyError::Malformed));
}

#[test]
fn keys_of_too_few_and_too_many_bits_are_refused() {
    // Only the length counts here: no factors are needed of a public key.
    for bits in [1024_usize, 2040, 4104] {
        let mut modulus = vec![0xa5; bits / 8];
        modulus[bits / 8 - 1] = 1;
        let element = |tag: u8, bytes: &[u8]| match u8::try_from(bytes.len()) {
            Ok(length) => [&[tag, 0x81, length], bytes].concat(),
            Err(_) => {
                let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                [&[tag, 0x82], &length[..], bytes].concat()
            }
        };
        let body = [element(2, &[&[0], &modulus[..]].concat()), vec![2, 3, 1, 0, 1]].concat();
        let refused = RsaPublicKey::parse(&element(0x30, &body));
        assert_eq!(refused.err(), Some(RsaKeyError::Bits), "{bits}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let (own, _) = &PAIRS[0];
    let shown = format!("{own:?} {:?}", own.public_key());
    assert_eq!(shown, "RsaPrivateKey(..) RsaPublicKey(2048 bits)");
}
