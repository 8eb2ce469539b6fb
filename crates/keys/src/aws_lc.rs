//! RSA of aws-lc where `aws-lc-rs` offers less: signatures with SHA-1, RSASSA-PSS and PKCS#1 v1.5
//! (RFC 8017, 8.1 and 8.2), and RSAES-OAEP with SHA-1 (7.1) under the same key object, so that a
//! key is read once.
//!
//! This file and `aws_lc/ec.rs` below it have all `unsafe`; `tests/house_rules.rs` keeps it so.
//! They hold no cryptography, only calls, and `rsa.rs` and `point_secret.rs` compare every one of
//! them with another implementation.

#![expect(unsafe_code, reason = "aws-lc is a C library; each call says why it is sound")]

pub(crate) mod ec;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_sys::{
    BN_free, BN_new, BN_set_word, CBS, CBS_init, EVP_PKEY, EVP_PKEY_free, EVP_PKEY_get1_RSA,
    EVP_parse_private_key, EVP_parse_public_key, EVP_sha1, NID_sha1, OPENSSL_free, RSA,
    RSA_PKCS1_OAEP_PADDING, RSA_bits, RSA_decrypt, RSA_encrypt, RSA_free, RSA_generate_key_ex,
    RSA_new, RSA_private_key_to_bytes, RSA_public_key_from_bytes, RSA_public_key_to_bytes,
    RSA_sign, RSA_sign_pss_mgf1, RSA_size, RSA_verify_pss_mgf1,
};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use zeroize::Zeroizing;

/// RFC 8017, 9.1: a salt as long as the hash.
const SALT_BYTES: i32 = 20;

/// An RSA key of aws-lc, public or private; its memory is wiped when it is freed.
pub(crate) struct Rsa(NonNull<RSA>);

// SAFETY: the object has no thread of its own; rsa.h lets any thread free it.
unsafe impl Send for Rsa {}
// SAFETY: rsa.h calls signing, verifying, encrypting and decrypting non-mutating and free to
// run concurrently; nothing here calls a function that mutates.
unsafe impl Sync for Rsa {}

impl Drop for Rsa {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference, and nothing uses it afterwards.
        unsafe { RSA_free(self.0.as_ptr()) };
    }
}

/// A parsed key of any kind, freed on drop.
struct AnyKey(NonNull<EVP_PKEY>);

impl Drop for AnyKey {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference, and nothing uses it afterwards.
        unsafe { EVP_PKEY_free(self.0.as_ptr()) };
    }
}

impl Rsa {
    /// A public key: `RSAPublicKey` (PKCS#1) in DER, nothing behind it.
    pub(crate) fn from_pkcs1_public(der: &[u8]) -> Option<Self> {
        // SAFETY: pointer and length are of one live slice, which is only read.
        let key = unsafe { RSA_public_key_from_bytes(der.as_ptr(), der.len()) };
        NonNull::new(key).map(Self)
    }

    /// A public key: `SubjectPublicKeyInfo` in DER, nothing behind it.
    pub(crate) fn from_spki(der: &[u8]) -> Option<Self> {
        Self::from_any(der, EVP_parse_public_key)
    }

    /// A private key: `PrivateKeyInfo` (PKCS#8) in DER, nothing behind it. aws-lc checks that
    /// its numbers belong together.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Self::from_any(der, EVP_parse_private_key)
    }

    fn from_any(
        der: &[u8],
        parse: unsafe extern "C" fn(*mut CBS) -> *mut EVP_PKEY,
    ) -> Option<Self> {
        let mut input = MaybeUninit::<CBS>::uninit();
        // SAFETY: CBS_init writes the whole structure, which then borrows `der` until this
        // function ends; both parsers only read through it and advance it.
        let (key, rest) = unsafe {
            CBS_init(input.as_mut_ptr(), der.as_ptr(), der.len());
            (parse(input.as_mut_ptr()), input.assume_init().len)
        };
        let key = AnyKey(NonNull::new(key)?);
        if rest != 0 {
            return None;
        }
        // SAFETY: the key is live; the call takes a reference of its own, or returns null
        // where the key is not RSA.
        let rsa = unsafe { EVP_PKEY_get1_RSA(key.0.as_ptr()) };
        NonNull::new(rsa).map(Self)
    }

    /// Makes a private key, public exponent 65537: of sizes that `aws-lc-rs` makes none of.
    pub(crate) fn generate(bits: i32) -> Option<Self> {
        // SAFETY: takes nothing, and hands over one reference or null.
        let key = Self(NonNull::new(unsafe { RSA_new() })?);
        // SAFETY: as above; the exponent is freed below, once, on every path that has it.
        let exponent = NonNull::new(unsafe { BN_new() })?;
        // SAFETY: both are live, and nobody else has them yet; no callback is given.
        let done = unsafe {
            let is_set = BN_set_word(exponent.as_ptr(), 65_537);
            let made = RSA_generate_key_ex(key.ptr(), bits, exponent.as_ptr(), null_mut());
            BN_free(exponent.as_ptr());
            is_set == 1 && made == 1
        };
        done.then_some(key)
    }

    /// The key: `RSAPrivateKey` (PKCS#1) in DER; `None` of a public key.
    pub(crate) fn to_pkcs1_private(&self) -> Option<Zeroizing<Vec<u8>>> {
        let (mut bytes, mut length) = (null_mut(), 0);
        // SAFETY: both pointers are of live variables; on success aws-lc hands over one
        // allocation of `length` bytes.
        let done = unsafe { RSA_private_key_to_bytes(&raw mut bytes, &raw mut length, self.ptr()) };
        if done != 1 || bytes.is_null() {
            return None;
        }
        // SAFETY: `bytes` points to `length` initialized bytes, which are copied before the
        // allocation is given back, once; OPENSSL_free wipes it.
        unsafe {
            let own = Zeroizing::new(std::slice::from_raw_parts(bytes, length).to_vec());
            OPENSSL_free(bytes.cast());
            Some(own)
        }
    }

    /// The modulus, bits.
    pub(crate) fn bits(&self) -> u32 {
        // SAFETY: the key is live and only read.
        unsafe { RSA_bits(self.0.as_ptr()) }
    }

    /// The modulus, whole bytes: the length of a signature and of a ciphertext.
    pub(crate) fn size_bytes(&self) -> usize {
        // SAFETY: the key is live and only read.
        let size = unsafe { RSA_size(self.0.as_ptr()) };
        usize::try_from(size).unwrap_or(0)
    }

    /// The public part: `RSAPublicKey` (PKCS#1) in DER.
    pub(crate) fn to_pkcs1_public(&self) -> Option<Vec<u8>> {
        let (mut bytes, mut length) = (null_mut(), 0);
        // SAFETY: both pointers are of live variables; on success aws-lc hands over one
        // allocation of `length` bytes.
        let done = unsafe { RSA_public_key_to_bytes(&raw mut bytes, &raw mut length, self.ptr()) };
        if done != 1 || bytes.is_null() {
            return None;
        }
        // SAFETY: `bytes` points to `length` initialized bytes, which are copied before the
        // allocation is given back, once.
        unsafe {
            let own = std::slice::from_raw_parts(bytes, length).to_vec();
            OPENSSL_free(bytes.cast());
            Some(own)
        }
    }

    /// Whether `signature` over `message` is this key's: PSS, SHA-1, MGF1-SHA-1, salt of 20.
    pub(crate) fn verify_pss_sha1(&self, message: &[u8], signature: &[u8]) -> bool {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, message);
        let hash = hash.as_ref();
        // SAFETY: key and both slices are live, each with its own length, and only read.
        // EVP_sha1 returns a static.
        let verdict = unsafe {
            RSA_verify_pss_mgf1(
                self.ptr(),
                hash.as_ptr(),
                hash.len(),
                EVP_sha1(),
                EVP_sha1(),
                SALT_BYTES,
                signature.as_ptr(),
                signature.len(),
            )
        };
        verdict == 1
    }

    /// Signs as [`Self::verify_pss_sha1`] verifies; `None` under a public key.
    pub(crate) fn sign_pss_sha1(&self, message: &[u8]) -> Option<Vec<u8>> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, message);
        let hash = hash.as_ref();
        let (mut signature, mut length) = (vec![0; self.size_bytes()], 0);
        // SAFETY: key and hash are live and only read; the output has the room that is told,
        // RSA_size bytes, and its length goes to a live variable.
        let done = unsafe {
            RSA_sign_pss_mgf1(
                self.ptr(),
                &raw mut length,
                signature.as_mut_ptr(),
                signature.len(),
                hash.as_ptr(),
                hash.len(),
                EVP_sha1(),
                EVP_sha1(),
                SALT_BYTES,
            )
        };
        signature.truncate(length);
        (done == 1).then_some(signature)
    }

    /// Signs by PKCS#1 v1.5 with SHA-1; `None` under a public key.
    pub(crate) fn sign_pkcs1_sha1(&self, message: &[u8]) -> Option<Vec<u8>> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, message);
        let hash = hash.as_ref();
        let (mut signature, mut length) = (vec![0; self.size_bytes()], 0);
        // SAFETY: key and hash are live and only read; the output has the RSA_size bytes that
        // rsa.h asks for, and its length goes to a live variable.
        let done = unsafe {
            RSA_sign(
                NID_sha1,
                hash.as_ptr(),
                hash.len(),
                signature.as_mut_ptr(),
                &raw mut length,
                self.ptr(),
            )
        };
        signature.truncate(usize::try_from(length).ok()?);
        (done == 1).then_some(signature)
    }

    /// Wraps a short secret: OAEP, SHA-1, MGF1-SHA-1, no label. `None` where it is too long.
    pub(crate) fn encrypt_oaep_sha1(&self, secret: &[u8]) -> Option<Vec<u8>> {
        let mut wrapped = vec![0; self.size_bytes()];
        let length = self.crypt(RSA_encrypt, secret, &mut wrapped)?;
        wrapped.truncate(length);
        Some(wrapped)
    }

    /// Opens what [`Self::encrypt_oaep_sha1`] wrapped; `None` under another key.
    pub(crate) fn decrypt_oaep_sha1(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut secret = Zeroizing::new(vec![0; self.size_bytes()]);
        let length = self.crypt(RSA_decrypt, wrapped, &mut secret)?;
        secret.truncate(length);
        Some(secret)
    }

    /// One operation under OAEP; how many bytes of `output` it wrote.
    fn crypt(&self, operation: Operation, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let mut length = 0;
        // SAFETY: key and input are live and only read; the output has the room that is told
        // and does not overlap the input; its length goes to a live variable.
        let done = unsafe {
            operation(
                self.ptr(),
                &raw mut length,
                output.as_mut_ptr(),
                output.len(),
                input.as_ptr(),
                input.len(),
                RSA_PKCS1_OAEP_PADDING,
            )
        };
        (done == 1 && length <= output.len()).then_some(length)
    }

    const fn ptr(&self) -> *mut RSA {
        self.0.as_ptr()
    }
}

/// `RSA_encrypt` and `RSA_decrypt`.
type Operation =
    unsafe extern "C" fn(*mut RSA, *mut usize, *mut u8, usize, *const u8, usize, i32) -> i32;
