//! Chains that are believed, and every reason for which one is not.

use super::*;
use crate::playready::certificate::{MUST_UNDERSTAND, NEVER, tag};
use crate::playready::test_root::{Attribute, CertificateDraft, TestRoot, chain_of, sign};
use crate::playready::{Credentials, RevocationList};
use keys::{P256PrivateKey, SystemEntropy};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// 2027-06-01.
const NOW: Timestamp = Timestamp(1_811_808_000_000);
const NOW_S: u32 = 1_811_808_000;

struct World {
    root: TestRoot,
    stranger: TestRoot,
    credentials: Credentials,
    chain: Vec<u8>,
    signing: P256PrivateKey,
    encryption: P256PrivateKey,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let root = TestRoot::make(&mut SystemEntropy);
    let device = root.device(SecurityLevel::L1, &mut SystemEntropy);
    World {
        credentials: import(&root),
        stranger: TestRoot::make(&mut SystemEntropy),
        signing: P256PrivateKey::parse_pem(&device.signing_private_pem).unwrap(),
        encryption: P256PrivateKey::parse_pem(&device.encryption_private_pem).unwrap(),
        chain: device.chain,
        root,
    }
});

fn import(root: &TestRoot) -> Credentials {
    let (chain, pem) = (&root.signing_chain, &root.signing_private_pem);
    Credentials::import(&root.root_public, &root.wmrm_private_pem, chain, pem, NOW).unwrap()
}

fn verify(chain: &[u8]) -> Result<Device, ChainError> {
    verify_with(chain, &VerifiedChains::default())
}

fn verify_with(chain: &[u8], known: &VerifiedChains) -> Result<Device, ChainError> {
    let none = RevocationList::default();
    WORLD.credentials.verify_device(chain, known, &none, true, NOW)
}

fn leaf() -> CertificateDraft {
    CertificateDraft {
        keys: vec![
            (WORLD.signing.public_key().to_bytes(), vec![usage::SIGN]),
            (WORLD.encryption.public_key().to_bytes(), vec![usage::ENCRYPT]),
        ],
        ..CertificateDraft::new(kind::DEVICE, 2000, &mut SystemEntropy)
    }
}

fn issuer() -> CertificateDraft {
    CertificateDraft {
        keys: vec![(WORLD.root.issuer_key.public_key().to_bytes(), vec![usage::ISSUE_DEVICE])],
        ..CertificateDraft::new(kind::ISSUER, 3000, &mut SystemEntropy)
    }
}

/// A leaf under the root's issuer.
fn chain_with(leaf: &CertificateDraft) -> Vec<u8> {
    chain_of(&[&leaf.sign(&WORLD.root.issuer_key), &WORLD.root.issuer_certificate])
}

/// The same of any attributes.
fn chain_with_attributes(change: impl FnOnce(&mut Vec<Attribute>)) -> Vec<u8> {
    let mut attributes = leaf().attributes();
    change(&mut attributes);
    let leaf = sign(&attributes, &WORLD.root.issuer_key);
    chain_of(&[&leaf, &WORLD.root.issuer_certificate])
}

fn body_of(attributes: &mut [Attribute], tag: u16) -> &mut Vec<u8> {
    &mut attributes.iter_mut().find(|(_, own, _)| *own == tag).unwrap().2
}

fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut chain = WORLD.chain.clone();
    chain[at..at + bytes.len()].copy_from_slice(bytes);
    chain
}

#[test]
fn a_device_is_what_its_certificate_says() {
    for (level, number) in SecurityLevel::ALL.into_iter().zip([3000, 2000, 150]) {
        let device = WORLD.root.device(level, &mut SystemEntropy);
        let read = verify(&device.chain).unwrap();
        assert_eq!((read.level, read.security_level), (level, number));
        let signing = P256PrivateKey::parse_pem(&device.signing_private_pem).unwrap();
        let encryption = P256PrivateKey::parse_pem(&device.encryption_private_pem).unwrap();
        assert_eq!(read.signing, signing.public_key());
        assert_eq!(read.encryption, encryption.public_key());
        assert_eq!(read.digest, sha256(&signing.public_key().to_bytes()));
        assert_eq!(read.names, ["Strongroom", "Test root", "1"].map(str::to_owned));
    }
    let draft = CertificateDraft {
        features: vec![4, 9, 13],
        names: ["Maker\0\0", "", "№ 1\n"].map(str::to_owned),
        client_id: [7; 16],
        ..leaf()
    };
    let read = verify(&chain_with(&draft)).unwrap();
    assert_eq!((read.features, read.client_id), (vec![4, 9, 13], [7; 16]));
    assert_eq!(read.names, ["Maker", "", "№ 1"].map(str::to_owned));
    for kind in [kind::PC, kind::APPLICATION] {
        assert!(verify(&chain_with(&CertificateDraft { kind, ..leaf() })).is_ok());
    }
    let both = vec![usage::SIGN, usage::ENCRYPT];
    let one_key = vec![(WORLD.signing.public_key().to_bytes(), both)];
    assert!(verify(&chain_with(&CertificateDraft { keys: one_key, ..leaf() })).is_ok());
    let alone = leaf().sign(&WORLD.root.key);
    assert!(verify(&chain_of(&[&alone])).is_ok(), "one certificate, under the root itself");
}

#[test]
fn a_chain_may_have_six_certificates_and_none_of_them_a_higher_level_than_its_issuer() {
    let of = |levels: &[u32]| {
        let keys: Vec<P256PrivateKey> =
            levels.iter().map(|_| P256PrivateKey::generate().0).collect();
        let mut certificates = vec![];
        for (at, level) in levels.iter().enumerate() {
            let own = keys[at].public_key().to_bytes();
            let signer = keys.get(at + 1).unwrap_or(&WORLD.root.key);
            let draft = match at {
                0 => CertificateDraft { level: *level, ..leaf() },
                _ => CertificateDraft {
                    level: *level,
                    keys: vec![(own, vec![usage::ISSUE_DEVICE])],
                    ..issuer()
                },
            };
            certificates.push(draft.sign(signer));
        }
        let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        verify(&chain_of(&parts)).map(|device| device.level)
    };
    assert_eq!(of(&[150, 150, 2000, 2000, 3000, 3000]), Ok(SecurityLevel::L3));
    assert_eq!(of(&[150, 2000, 3000, 3000, 3000, 3000, 3000]), Err(ChainError::Depth));
    assert_eq!(of(&[2000, 150]), Err(ChainError::Level));
    assert_eq!(of(&[2000, 3000, 2999]), Err(ChainError::Level), "an issuer above its own");
    for level in [0, 149, 151, 1999, 3001, u32::MAX] {
        let level = CertificateDraft { level, ..leaf() };
        assert_eq!(
            verify(&chain_of(&[&level.sign(&WORLD.root.key)])).unwrap_err(),
            ChainError::Level
        );
    }
}

/// Bodies that are not what their attribute needs.
fn damaged_attributes() -> Vec<(ChainError, Vec<u8>)> {
    use ChainError::*;
    let with = |expected, tag: u16, change: fn(&mut Vec<u8>)| {
        (expected, chain_with_attributes(|attributes| change(body_of(attributes, tag))))
    };
    let without = |tag: u16| {
        let chain = chain_with_attributes(|all| all.retain(|(_, own, _)| *own != tag));
        (AttributeMissing, chain)
    };
    vec![
        with(Attribute, tag::BASIC, |body| body.truncate(79)),
        with(Attribute, tag::BASIC, |body| body.push(0)),
        with(Attribute, tag::DEVICE, |body| body.truncate(8)),
        with(Attribute, tag::FEATURES, |body| body[3] = 1),
        with(Attribute, tag::FEATURES, |body| body.extend([0; 4])),
        with(Attribute, tag::FEATURES, Vec::clear),
        with(TooMany, tag::FEATURES, |body| {
            body[3] = 33;
            body.extend([0; 33 * 4]);
        }),
        with(TooMany, tag::FEATURES, |body| body.fill(0xff)),
        with(Attribute, tag::KEYS, |body| body.truncate(40)),
        with(Attribute, tag::KEYS, |body| body.push(0)),
        with(Attribute, tag::KEYS, |body| body[3] = 3),
        with(TooMany, tag::KEYS, |body| body[3] = 17),
        with(TooMany, tag::KEYS, |body| body[0] = 0xff),
        with(TooMany, tag::KEYS, |body| body[79] = 17),
        with(Key, tag::KEYS, |body| body[5] = 2),
        with(Key, tag::KEYS, |body| body[6..8].copy_from_slice(&256_u16.to_be_bytes())),
        with(Digest, tag::KEYS, |body| body[20] ^= 1),
        with(Digest, tag::BASIC, |body| body[28] ^= 1),
        with(Attribute, tag::MANUFACTURER, |body| body.truncate(3)),
        with(Attribute, tag::MANUFACTURER, |body| body.push(0)),
        with(Attribute, tag::MANUFACTURER, |body| body.truncate(20)),
        with(TooMany, tag::MANUFACTURER, |body| body[4] = 0xff),
        without(tag::BASIC),
        without(tag::KEYS),
        (AttributeTwice, chain_with_attributes(|all| all.push(all[0].clone()))),
        (
            AttributeTwice,
            chain_with_attributes(|all| all.extend([(0, 99, vec![]), (0, 99, vec![])])),
        ),
        (UnknownAttribute, chain_with_attributes(|all| all.push((MUST_UNDERSTAND, 99, vec![])))),
        (TooMany, chain_with_attributes(|all| all.extend((100..140).map(|tag| (0, tag, vec![]))))),
    ]
}

/// Certificates that are whole, and not what they must be.
fn wrong_certificates() -> Vec<(ChainError, Vec<u8>)> {
    use ChainError::*;
    let (root, issuer_key) = (&WORLD.root, &WORLD.root.issuer_key);
    let own_issuer = |change: fn(&mut CertificateDraft)| {
        let mut issuer = issuer();
        change(&mut issuer);
        chain_of(&[&leaf().sign(issuer_key), &issuer.sign(&root.key)])
    };
    let with_usages = |signing: Vec<u32>, encryption: Vec<u32>| {
        let mut leaf = leaf();
        leaf.keys[0].1 = signing;
        leaf.keys[1].1 = encryption;
        chain_with(&leaf)
    };
    let mut off_curve = leaf();
    off_curve.keys[1].0[0] ^= 1;
    let (other, _) = P256PrivateKey::generate();
    let device_as_issuer = {
        let keys = vec![(other.public_key().to_bytes(), vec![usage::ISSUE_DEVICE])];
        CertificateDraft { keys, ..leaf() }.sign(&root.key)
    };
    vec![
        (Key, chain_with(&off_curve)),
        (LeafKind, chain_with(&CertificateDraft { kind: kind::ISSUER, ..leaf() })),
        (LeafKind, chain_with(&CertificateDraft { kind: 99, ..leaf() })),
        (LeafKind, root.signing_chain.clone()),
        (IssuerKind, chain_of(&[&leaf().sign(&other), &device_as_issuer])),
        (IssuerKind, own_issuer(|issuer| issuer.kind = kind::SERVICE)),
        (Level, own_issuer(|issuer| issuer.level = 1999)),
        (Usage, with_usages(vec![], vec![usage::ENCRYPT])),
        (Usage, with_usages(vec![usage::SIGN], vec![usage::SIGN, usage::ENCRYPT])),
        (Usage, with_usages(vec![usage::SIGN], vec![3])),
        (BrokenChain, chain_of(&[&leaf().sign(&other), &root.issuer_certificate])),
        (BrokenChain, own_issuer(|issuer| issuer.keys[0].1 = vec![usage::SIGN_RESPONSE])),
        (UnknownRoot, WORLD.stranger.device(SecurityLevel::L1, &mut SystemEntropy).chain),
        (UnknownRoot, chain_of(&[&leaf().sign(issuer_key)])),
        (Expired, chain_with(&CertificateDraft { expires_s: NOW_S, ..leaf() })),
        (Expired, own_issuer(|issuer| issuer.expires_s = NOW_S)),
        (Expired, own_issuer(|issuer| issuer.expires_s = 0)),
    ]
}

/// Bytes that are not a chain's.
fn damaged_bytes() -> Vec<(ChainError, Vec<u8>)> {
    use ChainError::*;
    let whole = &WORLD.chain;
    let signature_at = |certificate: &[u8]| certificate.len() - 144;
    let unsigned = |change: fn(&mut Vec<u8>, usize)| {
        let mut own = leaf().sign(&WORLD.root.issuer_key);
        let at = signature_at(&own);
        change(&mut own, at);
        chain_of(&[&own, &WORLD.root.issuer_certificate])
    };
    vec![
        (Malformed, vec![]),
        (Malformed, changed(0, b"CHAN")),
        (Malformed, changed(11, &[whole[11] ^ 1])),
        (Malformed, changed(15, &[1])),
        (Version, changed(7, &[2])),
        (Version, changed(27, &[2])),
        (Depth, changed(19, &[0])),
        (Depth, changed(19, &[7])),
        (Malformed, changed(19, &[1])),
        (Certificate, changed(19, &[3])),
        (Certificate, changed(20, b"CURT")),
        (Certificate, changed(28, &[0xff])),
        (Certificate, changed(35, &[whole[35] ^ 4])),
        (Certificate, changed(40, &[0xff; 4])),
        (Certificate, changed(40, &[0, 0, 0, 7])),
        (AttributeTwice, changed(39, &[tag::FEATURES.to_be_bytes()[1]])),
        (Signature, changed(50, &[whole[50] ^ 1])),
        (SignatureKind, unsigned(|own, at| own[at + 9] = 2)),
        (SignatureKind, unsigned(|own, at| own[at + 11] = 65)),
        (SignatureKind, unsigned(|own, at| own[at + 79] = 1)),
        (Certificate, unsigned(|own, at| own[at + 1] = 0)),
        (AttributeMissing, unsigned(|own, at| own[at + 3] = 2)),
        (Signature, unsigned(|own, at| own[at + 20] ^= 1)),
        (TooLarge, vec![0; MAX_CHAIN_BYTES + 1]),
    ]
}

#[test]
fn each_reason_is_named() {
    let mut seen = BTreeSet::new();
    let tables = [damaged_attributes(), wrong_certificates(), damaged_bytes()];
    for (number, (expected, chain)) in tables.into_iter().flatten().enumerate() {
        let refused = verify(&chain).unwrap_err();
        assert_eq!(refused, expected, "row {number}");
        seen.insert(refused.name());
    }
    // Revocation and the test level have tests of their own.
    assert_eq!(seen.len(), 21, "{seen:?}");
}

#[test]
fn the_last_second_of_a_certificate_counts() {
    let until = |expires_s| verify(&chain_with(&CertificateDraft { expires_s, ..leaf() }));
    assert!(until(NOW_S + 1).is_ok() && until(NEVER).is_ok());
    assert_eq!(until(NOW_S).unwrap_err(), ChainError::Expired);
}

fn list_of(key: &P256PublicKey) -> RevocationList {
    use std::fmt::Write as _;
    let mut hex = String::new();
    sha256(&key.to_bytes()).iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    let json = format!(r#"{{"revoked_public_key_digests": ["{hex}"]}}"#);
    RevocationList::parse(&json).unwrap()
}

#[test]
fn what_may_change_is_looked_at_again_for_a_chain_that_is_known() {
    let known = VerifiedChains::default();
    let draft = CertificateDraft { expires_s: NOW_S + 10, level: 150, ..leaf() };
    let chain = chain_with(&draft);
    let with = |revoked: &RevocationList, allows_test_level, now| {
        WORLD.credentials.verify_device(&chain, &known, revoked, allows_test_level, now)
    };
    let none = RevocationList::default();
    for _ in 0..2 {
        assert_eq!(with(&none, false, NOW).unwrap_err(), ChainError::TestLevel);
        let revoked = [&WORLD.signing, &WORLD.encryption, &WORLD.root.issuer_key];
        for list in revoked.map(|key| list_of(&key.public_key())) {
            assert_eq!(with(&list, true, NOW).unwrap_err(), ChainError::Revoked);
        }
        assert_eq!(with(&none, true, NOW.plus_s(10)).unwrap_err(), ChainError::Expired);
        let other = list_of(&WORLD.stranger.key.public_key());
        assert!(with(&other, true, NOW.plus_s(9)).is_ok(), "known from here on");
    }
    assert_eq!(known.devices.read().unwrap().len(), 1);
    assert_eq!(known.issuers.read().unwrap().len(), 1);
    let stranger = import(&WORLD.stranger);
    let refused = stranger.verify_device(&chain, &known, &none, true, NOW).unwrap_err();
    assert_eq!(refused, ChainError::UnknownRoot, "known under another root");
}

#[test]
fn issuers_that_are_known_vouch_for_no_other_bytes() {
    let known = VerifiedChains::default();
    verify_with(&WORLD.chain, &known).unwrap();
    for at in [50, WORLD.chain.len() - 300] {
        let chain = changed(at, &[WORLD.chain[at] ^ 1]);
        assert!(verify_with(&chain, &known).is_err(), "byte {at}");
    }
    let forged = leaf().sign(&WORLD.stranger.key);
    let chain = chain_of(&[&forged, &WORLD.root.issuer_certificate]);
    assert_eq!(verify_with(&chain, &known).unwrap_err(), ChainError::BrokenChain);
    assert_eq!(known.devices.read().unwrap().len(), 1);
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused() {
    let known = VerifiedChains::default();
    verify_with(&WORLD.chain, &known).unwrap();
    for at in 0..WORLD.chain.len() {
        assert!(verify_with(&WORLD.chain[..at], &known).is_err(), "cut at {at}");
        for flip in [0x01, 0x80, 0xff] {
            let chain = changed(at, &[WORLD.chain[at] ^ flip]);
            assert!(verify_with(&chain, &known).is_err(), "byte {at} ^ {flip:#x}");
        }
    }
}

#[test]
fn ten_thousand_mutations_never_panic() {
    let known = VerifiedChains::default();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % limit.max(1)
    };
    for round in 0..10_000 {
        let mut chain = WORLD.chain.clone();
        for _ in 0..=below(4) {
            let (from, length) = (below(chain.len() + 1), below(9));
            let end = (from + length).min(chain.len());
            match below(5) {
                0 => chain.truncate(from),
                1 => drop(chain.drain(from..end)),
                2 => {
                    let again = chain[from..end].to_vec();
                    drop(chain.splice(from..from, again));
                }
                3 => chain[from..end].fill([0, 1, 0x7f, 0x80, 0xff][below(5)]),
                _ => chain[from..end].iter_mut().for_each(|byte| *byte ^= 1 << below(8)),
            }
        }
        assert!(verify_with(&chain, &known).is_err() || chain == WORLD.chain, "round {round}");
    }
}

#[test]
fn a_signers_chain_is_believed_for_nothing_else() {
    let root = Root::new(WORLD.root.key.public_key());
    let signing = P256PrivateKey::parse_pem(&WORLD.root.signing_private_pem).unwrap();
    let chain = &WORLD.root.signing_chain;
    assert_eq!(verify_signer(chain, &root, NOW).unwrap(), signing.public_key());
    let with = |change: fn(&mut CertificateDraft)| {
        let keys = vec![(WORLD.signing.public_key().to_bytes(), vec![usage::SIGN_RESPONSE])];
        let mut draft = CertificateDraft { keys, kind: kind::LICENSE_SIGNER, ..leaf() };
        change(&mut draft);
        verify_signer(&chain_of(&[&draft.sign(&WORLD.root.key)]), &root, NOW)
    };
    assert!(with(|_| ()).is_ok() && with(|draft| draft.kind = kind::SERVER).is_ok());
    assert_eq!(with(|draft| draft.kind = kind::DEVICE).unwrap_err(), ChainError::LeafKind);
    assert_eq!(with(|draft| draft.keys[0].1 = vec![usage::SIGN]).unwrap_err(), ChainError::Usage);
    assert_eq!(with(|draft| draft.expires_s = NOW_S).unwrap_err(), ChainError::Expired);
    assert_eq!(verify_signer(&WORLD.chain, &root, NOW).unwrap_err(), ChainError::LeafKind);
    let stranger = verify_signer(&WORLD.stranger.signing_chain, &root, NOW);
    assert_eq!(stranger.unwrap_err(), ChainError::UnknownRoot);
    let mut flipped = chain.clone();
    flipped[50] ^= 1;
    assert_eq!(verify_signer(&flipped, &root, NOW).unwrap_err(), ChainError::Signature);
}

#[test]
fn the_seeds_are_chains_and_attributes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/playready_chain");
    let file = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
    for name in ["chain", "signing-chain"] {
        assert_eq!(
            verify(&file(name)).unwrap_err(),
            match name {
                "chain" => ChainError::UnknownRoot,
                _ => ChainError::LeafKind,
            }
        );
    }
    let split = |mut bytes: &[u8]| {
        let mut attributes: Vec<Attribute> = vec![];
        while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
            let [a, b, c, d, length @ ..] = *head;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap() - 8;
            let (flags, tag) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            attributes.push((flags, tag, rest[..length].to_vec()));
            bytes = &rest[length..];
        }
        attributes
    };
    let device = sign(&split(&file("device")), &WORLD.root.issuer_key);
    let chain = chain_of(&[&device, &WORLD.root.issuer_certificate]);
    assert_eq!(verify(&chain).unwrap().features, [4, 9, 13]);
    let root = Root::new(WORLD.root.key.public_key());
    let signer = chain_of(&[&sign(&split(&file("signer")), &WORLD.root.key)]);
    assert!(verify_signer(&signer, &root, NOW).is_ok());
}
