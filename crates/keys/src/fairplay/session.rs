//! The secrets that a device sends with one request, and the keys of the two payloads.

use super::certificate::sha1;
use crate::ContentKey;
use crate::content_key::KEY_BYTES;
use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use model::Entropy;
use zeroize::Zeroizing;

/// Length of R2, from which the derivation makes a device's key.
pub const R2_BYTES: usize = 21;
/// Length of R1, from which the answer's key is made.
pub const R1_BYTES: usize = 44;
/// Length of the device's hash.
pub const HARDWARE_BYTES: usize = 20;
/// An IV, and a device's secrets encrypted.
pub const SEALED_BYTES: usize = BLOCK + SECRETS_BYTES;
/// Session key 16, device hash 20, R1 44, integrity 16.
const SECRETS_BYTES: usize = 96;
const BLOCK: usize = 16;

/// The key of one payload, AES-128-CBC without padding; wiped on drop.
pub struct PayloadKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl PayloadKey {
    /// Draws a fresh one.
    pub fn generate(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_BYTES]));
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// `None` unless 16 bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY_BYTES] = bytes.try_into().ok()?;
        let mut own = Box::new(Zeroizing::new([0; KEY_BYTES]));
        own.copy_from_slice(bytes);
        Some(Self(own))
    }

    /// Encrypts whole blocks in place; `None`, and nothing done, on another length.
    #[must_use]
    pub fn encrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> Option<()> {
        cbc_encrypt(&self.0, iv, text)
    }

    /// Decrypts whole blocks; `None` on another length.
    #[must_use]
    pub fn decrypt(&self, iv: [u8; BLOCK], text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut opened = Zeroizing::new(text.to_vec());
        cbc_decrypt(&self.0, iv, &mut opened)?;
        Some(opened)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// The key that a derivation function makes of the application secret and a device's R2 (DASk);
/// wiped on drop.
pub struct DerivedKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl DerivedKey {
    /// Takes over what a derivation function made.
    #[must_use]
    pub fn from_bytes(bytes: &Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut own = Box::new(Zeroizing::new([0; KEY_BYTES]));
        own.copy_from_slice(bytes.as_slice());
        Self(own)
    }

    /// Opens a device's secrets: IV, then ciphertext. Under a wrong key they are noise, which
    /// [`DeviceSession::has_integrity`] tells.
    #[must_use]
    pub fn open(&self, sealed: &[u8; SEALED_BYTES]) -> DeviceSession {
        let (iv, text) = sealed.split_first_chunk::<BLOCK>().expect("longer than an IV");
        let mut secrets = Box::new(Zeroizing::new([0; SECRETS_BYTES]));
        secrets.copy_from_slice(text);
        cbc_decrypt(&self.0, *iv, secrets.as_mut_slice()).expect("six whole blocks");
        DeviceSession(secrets)
    }

    /// Seals a device's secrets, as [`Self::open`] opens them.
    #[must_use]
    pub fn seal(&self, session: &DeviceSession, iv: [u8; BLOCK]) -> [u8; SEALED_BYTES] {
        let mut sealed = [0; SEALED_BYTES];
        let (head, text) = sealed.split_first_chunk_mut::<BLOCK>().expect("longer than an IV");
        *head = iv;
        text.copy_from_slice(session.0.as_slice());
        cbc_encrypt(&self.0, iv, text).expect("six whole blocks");
        sealed
    }
}

/// A device's secrets of one request: session key (SK), device hash (HU), R1, integrity; wiped on
/// drop.
pub struct DeviceSession(Box<Zeroizing<[u8; SECRETS_BYTES]>>);

impl DeviceSession {
    /// Draws the secrets of a request, as a device does.
    pub fn generate(
        hardware: &[u8; HARDWARE_BYTES],
        entropy: &mut (impl Entropy + ?Sized),
    ) -> Self {
        let mut secrets = Box::new(Zeroizing::new([0; SECRETS_BYTES]));
        entropy.fill(secrets.as_mut_slice());
        let (_, rest) = secrets.split_at_mut(KEY_BYTES);
        rest.iter_mut().zip(hardware).for_each(|(byte, hash)| *byte = *hash);
        Self(secrets)
    }

    /// Whether the integrity value is this one; compared in constant time.
    #[must_use]
    pub fn has_integrity(&self, expected: &[u8; BLOCK]) -> bool {
        verify_slices_are_equal(self.part(80, BLOCK), expected).is_ok()
    }

    /// The integrity value, which a device sends a second time outside of its secrets.
    #[must_use]
    pub fn integrity(&self) -> [u8; BLOCK] {
        self.part(80, BLOCK).try_into().expect("its length")
    }

    /// The device's hash.
    #[must_use]
    pub fn hardware(&self) -> [u8; HARDWARE_BYTES] {
        self.part(KEY_BYTES, HARDWARE_BYTES).try_into().expect("its length")
    }

    /// R1, which the answer brings back inside its payload.
    #[must_use]
    pub fn r1(&self) -> Zeroizing<[u8; R1_BYTES]> {
        let mut r1 = Zeroizing::new([0; R1_BYTES]);
        r1.copy_from_slice(self.part(36, R1_BYTES));
        r1
    }

    /// Whether these are the bytes of R1; compared in constant time.
    #[must_use]
    pub fn is_r1(&self, bytes: &[u8]) -> bool {
        verify_slices_are_equal(self.part(36, R1_BYTES), bytes).is_ok()
    }

    /// The key of the answer's payload: AES-ECB under the first half of SHA-1 of R1, of the
    /// request's anti-replay seed.
    #[must_use]
    pub fn answer_key(&self, seed: &[u8; BLOCK]) -> PayloadKey {
        let hash = Zeroizing::new(sha1(self.part(36, R1_BYTES)));
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.iter_mut().zip(hash.iter()).for_each(|(byte, hashed)| *byte = *hashed);
        let mut block = Box::new(Zeroizing::new(*seed));
        ecb(&key, &mut block);
        PayloadKey(block)
    }

    /// Encrypts a content key under the session key: AES-ECB of one block.
    #[must_use]
    pub fn wrap(&self, key: &ContentKey) -> [u8; KEY_BYTES] {
        let mut block = *key.bytes();
        ecb(self.session_key(), &mut block);
        block
    }

    /// Decrypts a content key.
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8; KEY_BYTES]) -> ContentKey {
        ContentKey::build(|bytes| {
            *bytes = *wrapped;
            let context = DecryptionContext::None;
            DecryptingKey::ecb(unbound(self.session_key()))
                .and_then(|key| key.decrypt(bytes, context).map(|_| ()))
                .expect("one whole block");
        })
    }

    fn session_key(&self) -> &[u8; KEY_BYTES] {
        self.0.first_chunk().expect("the first of the secrets")
    }

    fn part(&self, from: usize, length: usize) -> &[u8] {
        self.0.get(from..from + length).expect("within the secrets")
    }
}

/// AES-128-ECB of one block, in place.
pub(super) fn ecb(key: &[u8; KEY_BYTES], block: &mut [u8; BLOCK]) {
    EncryptingKey::ecb(unbound(key)).and_then(|key| key.encrypt(block)).expect("one whole block");
}

fn unbound(key: &[u8; KEY_BYTES]) -> UnboundCipherKey {
    UnboundCipherKey::new(&AES_128, key).expect("16 bytes are an AES-128 key")
}

fn cbc_encrypt(key: &[u8; KEY_BYTES], iv: [u8; BLOCK], text: &mut [u8]) -> Option<()> {
    if text.is_empty() || !text.len().is_multiple_of(BLOCK) {
        return None;
    }
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    EncryptingKey::cbc(unbound(key)).ok()?.less_safe_encrypt(text, context).ok().map(|_| ())
}

fn cbc_decrypt(key: &[u8; KEY_BYTES], iv: [u8; BLOCK], text: &mut [u8]) -> Option<()> {
    if text.is_empty() || !text.len().is_multiple_of(BLOCK) {
        return None;
    }
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    DecryptingKey::cbc(unbound(key)).ok()?.decrypt(text, context).ok().map(|_| ())
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

named_only!(PayloadKey DerivedKey DeviceSession);
