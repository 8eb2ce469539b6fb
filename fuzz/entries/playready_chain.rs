//! PlayReady's certificate chains of any bytes are read without panicking: as they come, and
//! behind the signatures that would stop a fuzzer, made anew for each input.

use dialect::playready::test_root::{TestRoot, chain_of};
use dialect::playready::{Credentials, RevocationList, VerifiedChains};
use keys::P256PrivateKey;
use model::{Entropy, Timestamp};
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

struct Ground {
    root: TestRoot,
    credentials: Credentials,
    chains: VerifiedChains,
    revoked: RevocationList,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| {
    let root = TestRoot::make(&mut Sevens);
    let (chain, pem) = (&root.signing_chain, &root.signing_private_pem);
    let credentials =
        Credentials::import(&root.root_public, &root.wmrm_private_pem, chain, pem, NOW);
    Ground {
        credentials: credentials.expect("credentials of one's own"),
        chains: VerifiedChains::default(),
        revoked: RevocationList::default(),
        root,
    }
});

/// Reads `bytes` as a chain, as the attributes of a device's certificate, and of a signer's.
pub fn run(bytes: &[u8]) {
    let Ground { root, credentials, chains, revoked } = &*GROUND;
    let device = chain_of(&[&signed(bytes, &root.issuer_key), &root.issuer_certificate]);
    let signer = chain_of(&[&signed(bytes, &root.key)]);
    for chain in [bytes, &device, &signer] {
        let _ = credentials.verify_device(chain, chains, revoked, true, NOW);
        let (public, wmrm) = (&root.root_public, &root.wmrm_private_pem);
        let _ = Credentials::import(public, wmrm, chain, &root.signing_private_pem, NOW);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = RevocationList::parse(text);
    }
}

/// A certificate of these attributes.
fn signed(attributes: &[u8], issuer: &P256PrivateKey) -> Vec<u8> {
    let size = |extra: usize| u32::try_from(attributes.len() + extra).unwrap_or(0).to_be_bytes();
    let mut certificate = [b"CERT\0\0\0\x01", &size(16 + 144)[..], &size(16), attributes].concat();
    let signature = issuer.sign_sha256(&certificate);
    certificate.extend(b"\0\x01\0\x08\0\0\0\x90\0\x01\0\x40");
    certificate.extend(signature);
    certificate.extend([0, 0, 2, 0]);
    certificate.extend(issuer.public_key().to_bytes());
    certificate
}
