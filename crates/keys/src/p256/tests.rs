//! Keys on P-256 against another implementation, and what is no key.

use super::*;
use crate::SystemEntropy;
use ::p256::ecdsa::signature::{Signer as _, Verifier as _};
use ::p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use ::p256::elliptic_curve::sec1::ToSec1Point as _;
use proptest::collection::vec;
use proptest::prelude::*;

/// PKCS#8 (RFC 5958, RFC 5915) of a scalar, without the public part.
fn pkcs8_of(scalar: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let head = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
        \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    Zeroizing::new([head, &scalar[..]].concat())
}

fn other_public(key: &P256PublicKey) -> VerifyingKey {
    VerifyingKey::from_sec1_bytes(&[&[4], &key.to_bytes()[..]].concat()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn another_implementation_verifies_and_is_verified(
        scalar in any::<[u8; 32]>(), message in vec(any::<u8>(), 0..200),
    ) {
        let Ok(other) = SigningKey::from_slice(&scalar) else { return Ok(()) };
        let own = P256PrivateKey::parse(&pkcs8_of(&scalar)).unwrap();
        let sec1 = other.verifying_key().as_affine().to_sec1_point(false);
        prop_assert_eq!(&own.public_key().to_bytes()[..], &sec1.as_bytes()[1..]);
        let signature = own.sign_sha256(&message);
        let read = Signature::from_slice(&signature).unwrap();
        prop_assert!(other.verifying_key().verify(&message, &read).is_ok());
        let signature: Signature = other.sign(&message);
        let bytes: [u8; 64] = signature.to_bytes().into();
        prop_assert!(own.public_key().verify_sha256(&message, &bytes));
        prop_assert!(!own.public_key().verify_sha256(b"another", &bytes));
    }

    #[test]
    fn a_point_is_one_where_another_implementation_says_so(bytes in any::<[[u8; 32]; 2]>()) {
        let bytes: [u8; 64] = bytes.concat().try_into().unwrap();
        let other = VerifyingKey::from_sec1_bytes(&[&[4], &bytes[..]].concat());
        prop_assert_eq!(P256PublicKey::parse(&bytes).is_some(), other.is_ok());
    }
}

#[test]
fn every_flipped_bit_of_a_signature_is_refused() {
    let (key, _) = P256PrivateKey::generate();
    let (public, signature) = (key.public_key(), key.sign_sha256(b"message"));
    assert!(public.verify_sha256(b"message", &signature));
    for at in 0..64 {
        let mut changed = signature;
        changed[at] ^= 1 << (at % 8);
        assert!(!public.verify_sha256(b"message", &changed), "byte {at}");
    }
    assert!(!public.verify_sha256(b"message", &[0; 64]));
    let (other, _) = P256PrivateKey::generate();
    assert!(!other.public_key().verify_sha256(b"message", &signature));
}

#[test]
fn what_is_off_the_curve_is_no_key() {
    let (key, _) = P256PrivateKey::generate();
    let bytes = key.public_key().to_bytes();
    for at in 0..64 {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert!(P256PublicKey::parse(&changed).is_none(), "byte {at}");
    }
    for bytes in [[0; 64], [0xff; 64]] {
        assert!(P256PublicKey::parse(&bytes).is_none());
    }
    // The prime itself as X or Y is zero in disguise.
    let prime = *b"\xff\xff\xff\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    assert!(P256PublicKey::parse(&[prime, prime].concat().try_into().unwrap()).is_none());
}

#[test]
fn both_keys_survive_pem_and_damaged_texts_are_refused() {
    let (key, pkcs8) = P256PrivateKey::generate();
    let pem = P256PrivateKey::pem_of(&pkcs8);
    let again = P256PrivateKey::parse_pem(&pem).unwrap();
    assert_eq!(again.public_key(), key.public_key());
    let public = key.public_key().to_pem();
    assert_eq!(P256PublicKey::parse_pem(&public).unwrap(), key.public_key());
    let spki = other_public(&key.public_key()).as_affine().to_sec1_point(false);
    assert_eq!(spki.as_bytes()[1..], key.public_key().to_bytes());
    for text in ["", "-----BEGIN PRIVATE KEY-----", &public, &pem.replace("PRIVATE", "EC PRIVATE")]
    {
        assert!(P256PrivateKey::parse_pem(text).is_err(), "{text}");
    }
    for text in ["", &pem, &public.replace("MFk", "MFo"), &public.repeat(2)] {
        assert!(P256PublicKey::parse_pem(text).is_err(), "{text}");
    }
    let mut long = pkcs8.clone();
    long.push(0);
    assert!(P256PrivateKey::parse(&long).is_err(), "a byte behind the key");
    for end in 0..pkcs8.len() {
        let cut = Zeroizing::new(pkcs8[..end].to_vec());
        assert!(P256PrivateKey::parse(&cut).is_err(), "{end}");
    }
    let (rsa, other) = (crate::RsaPrivateKey::generate().1, pkcs8_of(&[0xff; 32]));
    for der in [rsa, pkcs8_of(&[0; 32]), other, Zeroizing::new(vec![0x30; 600])] {
        assert!(P256PrivateKey::parse(&der).is_err());
    }
    assert_eq!(format!("{key:?} {:?}", key.public_key()), "P256PrivateKey(..) P256PublicKey(..)");
}

#[test]
fn secrets_open_for_their_key_only() {
    let ((own, _), (other, _)) = (P256PrivateKey::generate(), P256PrivateKey::generate());
    let secret = PointSecret::draw(&mut SystemEntropy);
    let text = own.public_key().encrypt_secret(&secret, &mut SystemEntropy);
    let tag = secret.sign(b"message");
    assert!(own.decrypt_secret(&text).unwrap().has_signed(b"message", &tag));
    assert!(!other.decrypt_secret(&text).unwrap().has_signed(b"message", &tag));
    let again = own.public_key().encrypt_secret(&secret, &mut SystemEntropy);
    assert_ne!(text, again, "a fresh factor each time");
}
