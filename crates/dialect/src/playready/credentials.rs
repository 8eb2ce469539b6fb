//! What an operator imports: the root, the service's key, and the chain and key that sign its
//! answers (DESIGN §5).

use super::chain::{Admission, Root, verify_device, verify_signer};
use super::{ChainError, Device, RevocationList, VerifiedChains};
use keys::{P256KeyError, P256PrivateKey, P256PublicKey};
use model::Timestamp;

/// Why credentials are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// `root_public.bin` or `root_public.pem`.
    #[error("the root is neither X and Y of a point on P-256 nor a public key in PEM")]
    Root,
    /// `wmrm_private.pem`.
    #[error("the service's private key: {0}")]
    ServiceKey(P256KeyError),
    /// `signing_chain.bin`: why it is not believed.
    #[error("the signing chain: {0}")]
    SigningChain(ChainError),
    /// `signing_private.pem`.
    #[error("the signing key: {0}")]
    SigningKey(P256KeyError),
    /// The private key is another certificate's.
    #[error("the signing key is not its chain's")]
    SigningKeyOfAnother,
    /// One key has two uses.
    #[error("the service's key signs too: each use needs its own key")]
    OneKeyTwice,
}

/// Imported credentials. The private keys are wiped on drop and never printed.
pub struct Credentials {
    pub(super) root: Root,
    /// Opens what clients encrypt for the service.
    pub(super) service: P256PrivateKey,
    /// Signs its answers.
    pub(super) signing: P256PrivateKey,
    pub(super) signing_chain: Vec<u8>,
}

impl Credentials {
    /// Checks a root (X and Y, or `PUBLIC KEY` in PEM), the service's private key
    /// (`wmrm_private.pem`, PKCS#8), and what signs answers: chain (`signing_chain.bin`) and
    /// private key (`signing_private.pem`, PKCS#8).
    ///
    /// Errors: [`ImportError`].
    pub fn import(
        root: &[u8],
        wmrm_private_pem: &str,
        signing_chain: &[u8],
        signing_private_pem: &str,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let root = Root::new(read_root(root).ok_or(ImportError::Root)?);
        let service =
            P256PrivateKey::parse_pem(wmrm_private_pem).map_err(ImportError::ServiceKey)?;
        let certified =
            verify_signer(signing_chain, &root, now).map_err(ImportError::SigningChain)?;
        let signing =
            P256PrivateKey::parse_pem(signing_private_pem).map_err(ImportError::SigningKey)?;
        if signing.public_key() != certified {
            return Err(ImportError::SigningKeyOfAnother);
        }
        if service.public_key() == certified {
            return Err(ImportError::OneKeyTwice);
        }
        Ok(Self { root, service, signing, signing_chain: signing_chain.to_vec() })
    }

    /// Verifies the chain of a device under the root: shape, levels, keys, dates, revocations and
    /// signatures.
    ///
    /// Errors: [`ChainError`]; also for a device of SL150 where `allows_test_level` is not set.
    pub fn verify_device(
        &self,
        chain: &[u8],
        known: &VerifiedChains,
        revoked: &RevocationList,
        allows_test_level: bool,
        now: Timestamp,
    ) -> Result<Device, ChainError> {
        verify_device(chain, &self.root, known, Admission { revoked, allows_test_level, now })
    }

    /// The key for which clients encrypt who they are.
    #[must_use]
    pub fn service_key(&self) -> P256PublicKey {
        self.service.public_key()
    }
}

fn read_root(bytes: &[u8]) -> Option<P256PublicKey> {
    match <&[u8; 64]>::try_from(bytes) {
        Ok(coordinates) => P256PublicKey::parse(coordinates),
        Err(_) => P256PublicKey::parse_pem(std::str::from_utf8(bytes).ok()?).ok(),
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_root::{CertificateDraft, TestRoot, chain_of, kind, usage};
    use super::*;
    use model::SecurityLevel;

    const NOW: Timestamp = Timestamp(1_811_808_000_000);

    struct Zeros;

    impl model::Entropy for Zeros {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    #[test]
    fn the_files_of_a_test_root_import_in_both_formats_of_the_root() {
        let root = TestRoot::make(&mut Zeros);
        let names = root.files().map(|(name, _)| name);
        let expected = [
            "root_public.bin",
            "wmrm_private.pem",
            "signing_chain.bin",
            "signing_private.pem",
            "revocation.json",
        ];
        assert_eq!(names, expected);
        let [public, wmrm, chain, signing, revocation] = root.files().map(|(_, bytes)| bytes);
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let pem = root.key.public_key().to_pem();
        for root_file in [public, pem.as_bytes()] {
            let read =
                Credentials::import(root_file, text(wmrm), chain, text(signing), NOW).unwrap();
            assert_eq!(read.service_key().to_bytes(), root.wmrm_public);
            assert_eq!(format!("{read:?}"), "Credentials(..)");
        }
        assert_eq!(RevocationList::parse(text(revocation)).unwrap().count(), 0);
    }

    #[test]
    fn each_reason_is_named() {
        use ImportError::*;
        let (root, other) = (TestRoot::make(&mut Zeros), TestRoot::make(&mut Zeros));
        let device = root.device(SecurityLevel::L1, &mut Zeros);
        let import = |public: &[u8], wmrm: &str, chain: &[u8], signing: &str| {
            Credentials::import(public, wmrm, chain, signing, NOW).unwrap_err()
        };
        let (public, chain) = (&root.root_public[..], &root.signing_chain[..]);
        let (wmrm, signing) = (&*root.wmrm_private_pem, &*root.signing_private_pem);
        let mut off = root.root_public;
        off[0] ^= 1;
        for public in [&off[..], &[], &[0; 64], &root.root_public[1..], wmrm.as_bytes()] {
            assert_eq!(import(public, wmrm, chain, signing), Root);
        }
        let key = P256KeyError::Malformed;
        assert_eq!(import(public, "", chain, signing), ServiceKey(key));
        assert_eq!(import(public, wmrm, chain, "no key"), SigningKey(key));
        let refused = [
            (ChainError::Malformed, &[][..]),
            (ChainError::LeafKind, &device.chain),
            (ChainError::UnknownRoot, &other.signing_chain),
        ];
        for (reason, chain) in refused {
            assert_eq!(import(public, wmrm, chain, signing), SigningChain(reason));
        }
        let of_another = import(public, wmrm, chain, &other.signing_private_pem);
        assert_eq!(of_another, SigningKeyOfAnother);
        let service = P256PrivateKey::parse_pem(wmrm).unwrap();
        let draft = CertificateDraft {
            keys: vec![(service.public_key().to_bytes(), vec![usage::SIGN_RESPONSE])],
            ..CertificateDraft::new(kind::LICENSE_SIGNER, 3000, &mut Zeros)
        };
        let both = chain_of(&[&draft.sign(&root.key)]);
        assert_eq!(import(public, wmrm, &both, wmrm), OneKeyTwice);
        let draft = CertificateDraft { expires_s: 1_811_808_000, ..draft };
        let expired = chain_of(&[&draft.sign(&root.key)]);
        let refused = import(public, wmrm, &expired, signing);
        assert_eq!(refused, SigningChain(ChainError::Expired));
    }
}
