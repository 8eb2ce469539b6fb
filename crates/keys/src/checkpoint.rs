//! Signed checkpoints of a hash chain: Ed25519 (RFC 8032) over where the chain stood, and when.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use model::Timestamp;
use zeroize::Zeroizing;

/// Separates these signatures from every other use of an Ed25519 key.
const DOMAIN: &[u8] = b"strongroom-audit-checkpoint-v1";

/// Where a chain stood, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainState {
    /// Number of its newest row.
    pub seq: u64,
    /// That row's hash.
    pub hash: [u8; 32],
    /// When it stood there.
    pub at: Timestamp,
}

impl ChainState {
    /// What is signed. Shape: domain ‖ seq (8 bytes) ‖ hash (32 bytes) ‖ at (8 bytes),
    /// integers big-endian.
    fn message(&self) -> Vec<u8> {
        let (seq, at) = (self.seq.to_be_bytes(), self.at.0.to_be_bytes());
        [DOMAIN, &seq, &self.hash, &at].concat()
    }
}

/// The key that signs checkpoints. Its `Debug` shows the public half.
#[derive(Debug)]
pub struct CheckpointKey(Ed25519KeyPair);

impl CheckpointKey {
    /// The key of a secret.
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&**seed).expect("a seed is 32 bytes of any value"))
    }

    /// The half that checks, raw (RFC 8032, 5.1.5).
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(self.0.public_key().as_ref());
        public
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, state: &ChainState) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(&state.message()).as_ref());
        signature
    }
}

/// Whether `signature` is that of the key `public` over `state`.
#[must_use]
pub fn has_signed(public: &[u8; 32], state: &ChainState, signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(&state.message(), signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: ChainState = ChainState { seq: 7, hash: [3; 32], at: Timestamp(1000) };

    fn key(seed: u8) -> CheckpointKey {
        CheckpointKey::from_seed(&Zeroizing::new([seed; 32]))
    }

    #[test]
    fn a_signature_is_of_its_key_and_its_state() {
        let signature = key(1).sign(&STATE);
        assert!(has_signed(&key(1).public(), &STATE, &signature));
        assert!(!has_signed(&key(2).public(), &STATE, &signature));
        assert!(!has_signed(&key(1).public(), &STATE, &[0; 64]));
        for other in [
            ChainState { seq: 8, ..STATE },
            ChainState { hash: [4; 32], ..STATE },
            ChainState { at: Timestamp(1001), ..STATE },
        ] {
            assert!(!has_signed(&key(1).public(), &other, &signature), "{other:?}");
        }
    }

    /// RFC 8032, 7.1, test 1: the public half of a known secret.
    #[test]
    fn the_public_half_is_that_of_the_standard() {
        let hex = |text: &str| -> [u8; 32] {
            let digits = |at: usize| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap();
            std::array::from_fn(digits)
        };
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(CheckpointKey::from_seed(&Zeroizing::new(seed)).public(), public);
    }
}
