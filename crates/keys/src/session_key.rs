//! The keys of one license exchange, as Widevine derives them: a session key under the
//! device's public key, and from it by AES-CMAC (SP 800-108, 4.1, counter mode; RFC 4493) a
//! key for key containers and two for signatures.

use crate::content_key::KEY_BYTES;
use crate::seal::{OVERHEAD_BYTES, SealingKey};
use crate::{ContentKey, RsaPrivateKey, RsaPublicKey};
use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{cmac, hmac};
use model::Entropy;
use zeroize::Zeroizing;

const BLOCK: usize = 16;
const MAC_BYTES: usize = 32;
/// A content key with its padding, encrypted.
const CONTAINER_BYTES: usize = 32;
/// Both signing keys with their padding, encrypted.
const MACS_CONTAINER_BYTES: usize = 80;

/// The secret of one exchange, 16 random bytes; wiped on drop.
pub struct SessionKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl SessionKey {
    /// Draws a fresh one.
    pub fn generate(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_BYTES]));
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Wraps it for a device (RSAES-OAEP, SHA-1).
    #[must_use]
    pub fn wrap(&self, device: &RsaPublicKey) -> Vec<u8> {
        device.encrypt_oaep_sha1(self.0.as_slice()).expect("16 bytes fit every key size")
    }

    /// Opens what was wrapped for `own`; `None` where it was wrapped for another key or is
    /// not 16 bytes long.
    #[must_use]
    pub fn unwrap(wrapped: &[u8], own: &RsaPrivateKey) -> Option<Self> {
        let opened = own.decrypt_oaep_sha1(wrapped)?;
        let mut bytes = Box::new(Zeroizing::new([0; KEY_BYTES]));
        bytes.copy_from_slice(opened.get(..).filter(|opened| opened.len() == KEY_BYTES)?);
        Some(Self(bytes))
    }

    /// The keys that answer one request, bound to its exact bytes.
    ///
    /// Shape: blocks of AES-CMAC over counter, label, zero, request, length in bits (u32, big
    /// endian); label `ENCRYPTION`, 128 bits: the transport key; label `AUTHENTICATION`, 512
    /// bits: server's MAC key, then client's.
    #[must_use]
    pub fn derive(&self, request: &[u8]) -> LicenseKeys {
        let key = cmac::Key::new(cmac::AES_128, self.0.as_slice()).expect("an AES-128 key");
        let block = |counter: u8, label: &[u8], bits: u32, out: &mut [u8]| {
            let mut context = cmac::Context::with_key(&key);
            for part in [&[counter], label, &[0], request, &bits.to_be_bytes()] {
                context.update(part).expect("CMAC takes any length");
            }
            let tag = context.sign().expect("CMAC takes any length");
            out.copy_from_slice(tag.as_ref());
        };
        let mut transport = Box::new(Zeroizing::new([0; KEY_BYTES]));
        block(1, b"ENCRYPTION", 128, transport.as_mut_slice());
        let mut macs = Box::new(Zeroizing::new([0; 2 * MAC_BYTES]));
        for (counter, out) in (1..).zip(macs.chunks_mut(BLOCK)) {
            block(counter, b"AUTHENTICATION", 512, out);
        }
        LicenseKeys { transport: TransportKey(transport), macs: MacKeys(macs) }
    }
}

/// What [`SessionKey::derive`] makes.
#[derive(Debug)]
pub struct LicenseKeys {
    /// Encrypts the key containers.
    pub transport: TransportKey,
    /// Sign the license, and later requests and answers of its session.
    pub macs: MacKeys,
}

/// AES-128-CBC with PKCS#7 padding, over keys and identities in transit; wiped on drop.
pub struct TransportKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl TransportKey {
    /// Draws a fresh one.
    pub fn generate(entropy: &mut (impl Entropy + ?Sized)) -> Self {
        Self(SessionKey::generate(entropy).0)
    }

    /// Takes over the bytes of a key that came by another way.
    pub(crate) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut own = Box::new(Zeroizing::new([0; KEY_BYTES]));
        own.copy_from_slice(bytes);
        Self(own)
    }

    /// Wraps the key itself for a service (RSAES-OAEP, SHA-1).
    #[must_use]
    pub fn wrap(&self, service: &RsaPublicKey) -> Vec<u8> {
        service.encrypt_oaep_sha1(self.0.as_slice()).expect("16 bytes fit every key size")
    }

    /// Opens what was wrapped for `own`, as [`SessionKey::unwrap`].
    #[must_use]
    pub fn unwrap(wrapped: &[u8], own: &RsaPrivateKey) -> Option<Self> {
        SessionKey::unwrap(wrapped, own).map(|key| Self(key.0))
    }

    /// Encrypts a content key: 32 bytes.
    #[must_use]
    pub fn encrypt_key(&self, key: &ContentKey, iv: [u8; 16]) -> Vec<u8> {
        self.encrypt_within(key.bytes(), iv, CONTAINER_BYTES)
    }

    /// Decrypts a content key; `None` where padding or length are not one's.
    #[must_use]
    pub fn decrypt_key(&self, text: &[u8], iv: [u8; 16]) -> Option<ContentKey> {
        let opened = self.decrypt(text, iv)?;
        let opened: &[u8; KEY_BYTES] = opened.as_slice().try_into().ok()?;
        Some(ContentKey::build(|bytes| bytes.copy_from_slice(opened)))
    }

    /// Encrypts both signing keys, server's first: 80 bytes.
    #[must_use]
    pub fn encrypt_macs(&self, macs: &MacKeys, iv: [u8; 16]) -> Vec<u8> {
        self.encrypt_within(macs.0.as_slice(), iv, MACS_CONTAINER_BYTES)
    }

    /// Whether `text` holds exactly these signing keys; compared in constant time.
    #[must_use]
    pub fn holds_macs(&self, text: &[u8], iv: [u8; 16], macs: &MacKeys) -> bool {
        self.decrypt(text, iv).is_some_and(|opened| {
            aws_lc_rs::constant_time::verify_slices_are_equal(&opened, macs.0.as_slice()).is_ok()
        })
    }

    /// Encrypts bytes: padded to the next whole block.
    #[must_use]
    pub fn encrypt(&self, bytes: &[u8], iv: [u8; 16]) -> Vec<u8> {
        self.encrypt_within(bytes, iv, bytes.len() + BLOCK)
    }

    /// Room for the padding from the start: a growing vector would leave a copy behind.
    fn encrypt_within(&self, bytes: &[u8], iv: [u8; 16], room: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(room);
        text.extend(bytes);
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        PaddedBlockEncryptingKey::cbc_pkcs7(self.unbound())
            .and_then(|cipher| cipher.less_safe_encrypt(&mut text, context))
            .expect("any text is padded and encrypted in place");
        text
    }

    /// Decrypts bytes; `None` where length or padding are wrong.
    #[must_use]
    pub fn decrypt(&self, text: &[u8], iv: [u8; 16]) -> Option<Zeroizing<Vec<u8>>> {
        let mut opened = Zeroizing::new(text.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(self.unbound()).ok()?;
        let length = cipher.decrypt(&mut opened, context).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    fn unbound(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(&AES_128, self.0.as_slice()).expect("an AES-128 key")
    }
}

/// Two keys of HMAC-SHA-256, one for each side of a session; wiped on drop.
pub struct MacKeys(Box<Zeroizing<[u8; 2 * MAC_BYTES]>>);

impl MacKeys {
    /// Takes both in place.
    pub(crate) fn build(fill: impl FnOnce(&mut [u8; 2 * MAC_BYTES])) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; 2 * MAC_BYTES]));
        fill(&mut bytes);
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 2 * MAC_BYTES] {
        &self.0
    }

    /// The server's signature.
    #[must_use]
    pub fn sign_as_server(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.server(), message).as_ref().to_vec()
    }

    /// Whether the server signed `message`.
    #[must_use]
    pub fn server_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.server(), message, signature).is_ok()
    }

    /// The client's signature.
    #[must_use]
    pub fn sign_as_client(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.client(), message).as_ref().to_vec()
    }

    /// Whether the client signed `message`.
    #[must_use]
    pub fn client_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.client(), message, signature).is_ok()
    }

    fn server(&self) -> hmac::Key {
        let (server, _) = self.0.split_at(MAC_BYTES);
        hmac::Key::new(hmac::HMAC_SHA256, server)
    }

    fn client(&self) -> hmac::Key {
        let (_, client) = self.0.split_at(MAC_BYTES);
        hmac::Key::new(hmac::HMAC_SHA256, client)
    }
}

/// Seals the signing keys of sessions into tokens that their clients keep: AES-256-GCM.
///
/// Limits: at most 2^32 tokens under one key (SP 800-38D, 8.3).
pub struct SessionSeal(SealingKey);

impl SessionSeal {
    /// Takes over 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(SealingKey::new(bytes))
    }

    /// Seals the signing keys and `memo`; bound to `aad`.
    pub fn seal(
        &self,
        macs: &MacKeys,
        memo: &[u8],
        aad: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut secret = Zeroizing::new(Vec::with_capacity(2 * MAC_BYTES + memo.len()));
        secret.extend(macs.0.as_slice());
        secret.extend(memo);
        self.0.seal(&secret, aad, entropy)
    }

    /// Opens a token; `None` where it is not one of this key for `aad`.
    #[must_use]
    pub fn open(&self, token: &[u8], aad: &[u8]) -> Option<(MacKeys, Vec<u8>)> {
        let length = token.len().checked_sub(OVERHEAD_BYTES)?;
        let mut secret = Zeroizing::new(vec![0; length]);
        self.0.open(token, aad, &mut secret).ok()?;
        let (keys, memo) = secret.split_at_checked(2 * MAC_BYTES)?;
        let mut macs = Box::new(Zeroizing::new([0; 2 * MAC_BYTES]));
        macs.copy_from_slice(keys);
        Some((MacKeys(macs), memo.to_vec()))
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

named_only!(SessionKey TransportKey MacKeys SessionSeal);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;
    use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn session(bytes: [u8; 16]) -> SessionKey {
        SessionKey(Box::new(Zeroizing::new(bytes)))
    }

    /// AES-CMAC by RFC 4493, 2.4, over another implementation's AES.
    fn other_cmac(key: [u8; 16], message: &[u8]) -> [u8; 16] {
        let cipher = aes::Aes128::new(&key.into());
        let encrypt = |block: [u8; 16]| {
            let mut block = block.into();
            cipher.encrypt_block(&mut block);
            <[u8; 16]>::from(block)
        };
        let double = |block: [u8; 16]| {
            let number = u128::from_be_bytes(block);
            ((number << 1) ^ if number >> 127 == 1 { 0x87 } else { 0 }).to_be_bytes()
        };
        let xor = |a: [u8; 16], b: [u8; 16]| std::array::from_fn(|at| a[at] ^ b[at]);
        let whole = double(encrypt([0; 16]));
        let mut blocks: Vec<[u8; 16]> = message
            .chunks(16)
            .map(|chunk| std::array::from_fn(|at| chunk.get(at).copied().unwrap_or(0)))
            .collect();
        let last = if message.is_empty() || !message.len().is_multiple_of(16) {
            if message.is_empty() {
                blocks.push([0; 16]);
            }
            let mut last = blocks.pop().unwrap();
            last[message.len() % 16] = 0x80;
            xor(last, double(whole))
        } else {
            xor(blocks.pop().unwrap(), whole)
        };
        let chain = blocks.into_iter().fold([0; 16], |chain, block| encrypt(xor(chain, block)));
        encrypt(xor(chain, last))
    }

    #[test]
    fn the_other_cmac_gives_the_examples_of_rfc_4493() {
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let expected = 0xbb1d_6929_e959_3728_7fa3_7d12_9b75_6746_u128.to_be_bytes();
        assert_eq!(other_cmac(key, b""), expected);
        let message = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        let expected = 0x070a_16b4_6b4d_4144_f79b_dd9d_d04a_287c_u128.to_be_bytes();
        assert_eq!(other_cmac(key, &message), expected);
    }

    proptest! {
        #[test]
        fn derived_keys_are_the_other_cmacs_blocks(
            secret in any::<[u8; 16]>(), request in vec(any::<u8>(), 0..100),
        ) {
            let keys = session(secret).derive(&request);
            let block = |counter: u8, label: &[u8], bits: u32| {
                let parts = [&[counter], label, &[0], &request, &bits.to_be_bytes()];
                other_cmac(secret, &parts.concat())
            };
            prop_assert_eq!(**keys.transport.0, block(1, b"ENCRYPTION", 128));
            let macs: Vec<u8> =
                (1..=4).flat_map(|counter| block(counter, b"AUTHENTICATION", 512)).collect();
            prop_assert_eq!(keys.macs.0.as_slice(), &macs);
        }

        #[test]
        fn another_implementation_decrypts_what_is_encrypted(
            secret in any::<[u8; 16]>(), iv in any::<[u8; 16]>(), bytes in vec(any::<u8>(), 0..100),
        ) {
            use aes::cipher::block_padding::Pkcs7;
            use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
            let key = TransportKey(Box::new(Zeroizing::new(secret)));
            let mut text = key.encrypt(&bytes, iv);
            prop_assert_eq!(&*key.decrypt(&text, iv).unwrap(), &bytes);
            let opened = cbc::Decryptor::<aes::Aes128>::new(&secret.into(), &iv.into())
                .decrypt_padded::<Pkcs7>(&mut text)
                .unwrap();
            prop_assert_eq!(opened, &bytes);
        }

        #[test]
        fn a_token_opens_only_as_it_was_sealed(at in any::<prop::sample::Index>(), bit in 0..8) {
            let seal = SessionSeal::from_bytes(&Zeroizing::new([1; 32]));
            let other = SessionSeal::from_bytes(&Zeroizing::new([2; 32]));
            let macs = session([3; 16]).derive(b"request").macs;
            let mut token = seal.seal(&macs, b"memo", b"aad", &mut SystemEntropy);
            let (again, memo) = seal.open(&token, b"aad").unwrap();
            prop_assert_eq!((again.0.as_slice(), &memo[..]), (macs.0.as_slice(), &b"memo"[..]));
            prop_assert!(seal.open(&token, b"add").is_none() && other.open(&token, b"aad").is_none());
            let at = at.index(token.len());
            prop_assert!(seal.open(&token[..at], b"aad").is_none());
            token[at] ^= 1_u8 << bit;
            prop_assert!(seal.open(&token, b"aad").is_none());
        }
    }

    #[test]
    fn containers_have_the_lengths_of_the_protocol_and_no_room_to_grow() {
        let keys = session([9; 16]).derive(b"request");
        let content = ContentKey::generate(&mut SystemEntropy);
        let container = keys.transport.encrypt_key(&content, [4; 16]);
        assert_eq!((container.len(), container.capacity()), (32, 32));
        let opened = keys.transport.decrypt_key(&container, [4; 16]).unwrap();
        assert_eq!(opened.bytes(), content.bytes());
        let macs = keys.transport.encrypt_macs(&keys.macs, [5; 16]);
        assert_eq!((macs.len(), macs.capacity()), (80, 80));
        assert!(keys.transport.holds_macs(&macs, [5; 16], &keys.macs));
        assert!(!keys.transport.holds_macs(&macs, [6; 16], &keys.macs));
        assert!(keys.transport.decrypt_key(&macs, [5; 16]).is_none(), "64 bytes are no key");
    }

    #[test]
    fn each_side_signs_with_its_own_key() {
        let macs = session([9; 16]).derive(b"request").macs;
        let signature = macs.sign_as_server(b"message");
        assert!(macs.server_signed(b"message", &signature));
        assert!(!macs.client_signed(b"message", &signature));
        assert!(macs.client_signed(b"message", &macs.sign_as_client(b"message")));
        assert!(!macs.server_signed(b"massage", &signature));
    }

    #[test]
    fn a_session_key_opens_for_its_device_only() {
        let ((own, _), (other, _)) = (RsaPrivateKey::generate(), RsaPrivateKey::generate());
        let key = SessionKey::generate(&mut SystemEntropy);
        let wrapped = key.wrap(&own.public_key());
        assert_eq!(**SessionKey::unwrap(&wrapped, &own).unwrap().0, **key.0);
        assert!(SessionKey::unwrap(&wrapped, &other).is_none());
        let long = own.public_key().encrypt_oaep_sha1(&[1; 17]).unwrap();
        assert!(SessionKey::unwrap(&long, &own).is_none());
        assert_eq!(format!("{key:?}"), "SessionKey(..)");
    }
}
