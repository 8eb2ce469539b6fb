//! Every operation against RustCrypto's, and the lengths that come from outside.

use super::*;
use crate::recipient::tests::vector;
use crate::{ContentKey, RsaKeyError, RsaPrivateKey, SystemEntropy};
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{
    BlockCipherEncrypt as _, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyInit as _,
    KeyIvInit as _,
};
use model::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Oaep, PrivateKey as OtherKey};
use sha1::{Digest as _, Sha1};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// 2027-06-01.
const NOW: Timestamp = Timestamp(1_811_808_000_000);

macro_rules! certificate {
    ($name:literal) => {
        vector(include_str!(concat!("../../../../vectors/cpix/certificates/", $name, ".b64")))
    };
}

static KEY: LazyLock<(ApplicationKey, Zeroizing<Vec<u8>>)> =
    LazyLock::new(ApplicationKey::generate);

fn own_certificate() -> ApplicationCertificate {
    let der = ApplicationCertificate::issue(&KEY.0, &mut SystemEntropy);
    ApplicationCertificate::parse(&der).unwrap()
}

fn other_ecb(key: [u8; 16], block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    aes::Aes128::new(&key.into()).encrypt_block(&mut block);
    block.into()
}

fn other_cbc(key: [u8; 16], iv: [u8; 16], text: &[u8]) -> Vec<u8> {
    let cipher = cbc::Encryptor::<aes::Aes128>::new(&key.into(), &iv.into());
    let mut text = text.to_vec();
    let length = text.len();
    cipher.encrypt_padded::<NoPadding>(&mut text, length).unwrap();
    text
}

fn secret(bytes: [u8; 16]) -> ApplicationSecret {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    ApplicationSecret::parse_hex(&format!(" {hex}\n")).unwrap()
}

#[test]
fn a_key_that_is_made_has_1024_bits_and_another_implementation_reads_it() {
    let other = OtherKey::from_pkcs8_der(&KEY.1).unwrap();
    let certificate = own_certificate();
    assert_eq!(certificate.bits(), 1024);
    let payload_key = PayloadKey::generate(&mut SystemEntropy);
    let wrapped = certificate.wrap(&payload_key);
    assert_eq!(wrapped.len(), 128);
    assert_eq!(other.decrypt(Oaep::<Sha1>::new(), &wrapped).unwrap(), payload_key.bytes());
    let again = ApplicationKey::parse_pem(&RsaPrivateKey::pem_of(&KEY.1)).unwrap();
    assert_eq!(again.unwrap(&wrapped).unwrap().bytes(), payload_key.bytes());
    assert!(again.is_of(&certificate));
    let (stranger, _) = ApplicationKey::generate();
    assert!(!stranger.is_of(&certificate) && stranger.unwrap(&wrapped).is_none());
}

#[test]
fn only_keys_of_applications_are_that_small() {
    assert_eq!(RsaPrivateKey::parse(&KEY.1).err(), Some(RsaKeyError::Bits));
    let of = |der: Vec<u8>| ApplicationKey::parse(&Zeroizing::new(der)).err();
    assert_eq!(of(certificate!("rsa2048.key")), None);
    assert_eq!(of(certificate!("rsa3072.key")), Some(RsaKeyError::Bits));
    assert_eq!(of(certificate!("rsa2048.cert")), Some(RsaKeyError::Malformed));
    for end in 0..KEY.1.len() {
        assert_eq!(of(KEY.1[..end].to_vec()), Some(RsaKeyError::Malformed), "{end}");
    }
}

#[test]
fn a_wrapped_key_that_was_changed_opens_for_nobody() {
    let wrapped = own_certificate().wrap(&PayloadKey::generate(&mut SystemEntropy));
    for at in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[at] ^= 1;
        assert!(KEY.0.unwrap(&changed).is_none(), "{at}");
    }
    assert!(KEY.0.unwrap(&wrapped[1..]).is_none() && KEY.0.unwrap(&[]).is_none());
    // What is wrapped well and is no key of 16 bytes.
    let long = own_certificate().key().encrypt_oaep_sha1(&[7; 17]).unwrap();
    assert!(KEY.0.unwrap(&long).is_none());
}

#[test]
fn a_certificate_says_its_hash_key_and_dates() {
    let own = own_certificate();
    assert_eq!(own.digest().as_slice(), Sha1::digest(own.as_der()).as_slice());
    assert!(own.has_begun(NOW) && !own.has_expired(NOW));
    assert!(!own.has_begun(Timestamp(0)) && own.has_expired(Timestamp(2_600_000_000_000)));
    let parse = |der: &[u8]| ApplicationCertificate::parse(der);
    assert_eq!(parse(&certificate!("rsa1024.cert")).unwrap().bits(), 1024);
    assert_eq!(parse(&certificate!("rsa2048.cert")).unwrap().bits(), 2048);
    assert!(parse(&certificate!("expired.cert")).unwrap().has_expired(NOW));
    for der in [certificate!("rsa3072.cert"), certificate!("ec.cert")] {
        assert_eq!(parse(&der).err(), Some(ApplicationCertificateError::Key));
    }
    let der = own.as_der();
    let longer = [der, &[0]].concat();
    let huge = vec![0x30; crate::MAX_CERTIFICATE_BYTES + 1];
    for bytes in [&[][..], &der[1..], &der[..der.len() - 1], &longer, &huge] {
        assert_eq!(parse(bytes).err(), Some(ApplicationCertificateError::Malformed));
    }
}

#[test]
fn the_certificate_that_is_issued_is_well_formed() {
    use x509_parser::prelude::FromDer as _;
    let own = own_certificate();
    let (rest, read) = x509_parser::certificate::X509Certificate::from_der(own.as_der()).unwrap();
    assert!(rest.is_empty());
    assert_eq!(read.subject().to_string(), "CN=Test application");
    assert_eq!(read.issuer().to_string(), "CN=Test authority");
    assert_eq!(read.signature_algorithm, read.signature);
    assert!(read.public_key().parsed().is_ok());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is compared")]
fn a_secret_is_32_hex_digits() {
    assert_eq!(*secret([0xa5; 16]).reveal(), [0xa5; 16]);
    for text in ["", "00", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &"é".repeat(16)] {
        assert!(ApplicationSecret::parse_hex(text).is_none(), "{text}");
    }
}

#[test]
fn the_stand_in_derives_what_openssl_computes() {
    let ask = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let r2 = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let derived = secret(ask).derive_standin(&r2);
    let expected = 0xf57e_4aa4_0154_05eb_ea40_7e75_02a7_0138_u128.to_be_bytes();
    // Seen through what it seals: the first block is AES of IV xor session key.
    let session = DeviceSession::generate(&[0; 20], &mut SystemEntropy);
    let sealed = derived.seal(&session, [0; 16]);
    let opened = DerivedKey::from_bytes(&Zeroizing::new(expected)).open(&sealed);
    assert!(opened.has_integrity(&session.integrity()) && opened.is_r1(session.r1().as_slice()));
}

#[test]
fn a_devices_secrets_have_their_places() {
    let (key, iv) = ([3; 16], [4; 16]);
    let secrets: [u8; 96] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let sealed = [iv.to_vec(), other_cbc(key, iv, &secrets)].concat();
    let derived = DerivedKey::from_bytes(&Zeroizing::new(key));
    let session = derived.open(sealed.as_slice().try_into().unwrap());
    assert_eq!(session.hardware(), secrets[16..36]);
    assert_eq!(session.r1().as_slice(), &secrets[36..80]);
    assert_eq!(session.integrity(), secrets[80..]);
    assert!(session.has_integrity(secrets[80..].try_into().unwrap()));
    assert!(!session.has_integrity(&[0; 16]));
    assert!(session.is_r1(&secrets[36..80]) && !session.is_r1(&secrets[36..79]));
    assert_eq!(derived.seal(&session, iv).as_slice(), sealed);
    // The content key under the session key.
    let content_key = ContentKey::from_bytes(Zeroizing::new([9; 16]));
    let session_key = secrets[..16].try_into().unwrap();
    assert_eq!(session.wrap(&content_key), other_ecb(session_key, [9; 16]));
    assert_eq!(session.unwrap(&other_ecb(session_key, [9; 16])).bytes(), &[9; 16]);
    // The answer's key.
    let hash: [u8; 16] = Sha1::digest(&secrets[36..80])[..16].try_into().unwrap();
    assert_eq!(session.answer_key(&[5; 16]).bytes(), other_ecb(hash, [5; 16]));
}

#[test]
fn a_device_draws_all_but_its_hash() {
    let [first, second] = [(); 2].map(|()| DeviceSession::generate(&[7; 20], &mut SystemEntropy));
    assert_eq!((first.hardware(), second.hardware()), ([7; 20], [7; 20]));
    assert_ne!(first.r1(), second.r1());
    assert_ne!(first.integrity(), second.integrity());
    let key = ContentKey::from_bytes(Zeroizing::new([9; 16]));
    assert_ne!(first.wrap(&key), second.wrap(&key));
}

#[test]
fn debug_shows_the_names_only() {
    let session = DeviceSession::generate(&[7; 20], &mut SystemEntropy);
    let payload_key = session.answer_key(&[0; 16]);
    let derived = secret([1; 16]).derive_standin(&[0; 21]);
    let shown =
        format!("{:?} {:?} {session:?} {payload_key:?} {derived:?}", KEY.0, secret([1; 16]));
    assert_eq!(
        shown,
        "ApplicationKey(..) ApplicationSecret(..) DeviceSession(..) PayloadKey(..) DerivedKey(..)"
    );
    assert_eq!(format!("{:?}", own_certificate()), "ApplicationCertificate(1024 bits)");
}

proptest! {
    #[test]
    fn payloads_are_the_others_cbc(
        key in any::<[u8; 16]>(), iv in any::<[u8; 16]>(), text in vec(any::<u8>(), 0..200),
    ) {
        let own = PayloadKey::of(&key).unwrap();
        let mut closed = text.clone();
        if text.is_empty() || !text.len().is_multiple_of(16) {
            prop_assert!(own.encrypt(iv, &mut closed).is_none() && closed == text);
            prop_assert!(own.decrypt(iv, &text).is_none());
            return Ok(());
        }
        own.encrypt(iv, &mut closed).unwrap();
        prop_assert_eq!(&closed, &other_cbc(key, iv, &text));
        let cipher = cbc::Decryptor::<aes::Aes128>::new(&key.into(), &iv.into());
        let mut opened = text.clone();
        cipher.decrypt_padded::<NoPadding>(&mut opened).unwrap();
        prop_assert_eq!(&*own.decrypt(iv, &text).unwrap(), &opened);
    }
}
