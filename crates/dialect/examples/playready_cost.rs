//! What a PlayReady response costs, processor time: reading, verifying, answering, reading back.
//!
//! `cargo run --release -p dialect --example playready_cost`

use dialect::playready::client::{Ask, ClientDevice, Service};
use dialect::playready::test_root::TestRoot;
use dialect::playready::{
    Credentials, Desk, Header, Issue, Request, RevocationList, VerifiedChains,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::{ContentKey, SystemEntropy};
use model::{KeyId, Scheme, SecurityLevel, Timestamp};
use std::error::Error;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ROUNDS: u32 = 1000;

/// The processor time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

fn keys(kids: &[KeyId]) -> Vec<LicensedKey> {
    let terms = KeyTerms {
        robustness: Robustness::HardwareAll,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: None,
    };
    kids.iter()
        .map(|kid| LicensedKey {
            kid: *kid,
            key: ContentKey::generate(&mut SystemEntropy),
            terms,
            iv: None,
        })
        .collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = TestRoot::make(&mut SystemEntropy);
    let credentials = Credentials::import(
        &root.root_public,
        &root.wmrm_private_pem,
        &root.signing_chain,
        &root.signing_private_pem,
        NOW,
    )?;
    let service = Service::read(&root.root_public, &root.wmrm_public).ok_or("the root's keys")?;
    let revoked = RevocationList::parse(&root.revocation)?;
    let device = root.device(SecurityLevel::L1, &mut SystemEntropy);
    let (chain, signing) = (&device.chain, &device.signing_private_pem);
    let device = ClientDevice::read(chain, signing, &device.encryption_private_pem)?;
    let terms = LicenseTerms { can_play: true, ..LicenseTerms::default() };
    let issue = Issue { terms: &terms, scheme: Scheme::Cbcs, credentials: &credentials, now: NOW };
    let kids = [1, 2, 3].map(|byte| KeyId::from_bytes([byte; 16]));
    for (mode, count, remembers) in [
        ("one key, device remembered", 1, true),
        ("one key, chain verified anew", 1, false),
        ("three keys, device remembered", 3, true),
    ] {
        let kids = kids.get(..count).unwrap_or_default();
        let header = Header::of(kids, Scheme::Cbcs);
        let headers = [header.as_bytes()];
        let ask = Ask { headers: &headers, custom_data: None, service: &service };
        let (_, body) = device.ask(&ask, NOW, &mut SystemEntropy)?;
        let mut chains = VerifiedChains::default();
        let (mut challenges, mut answers) = (vec![], vec![]);
        let start = cpu();
        for _ in 0..ROUNDS {
            if !remembers {
                chains = VerifiedChains::default();
            }
            let desk = Desk {
                credentials: &credentials,
                chains: &chains,
                revoked: &revoked,
                allows_test_level: false,
            };
            if let Request::License(challenge) = Request::parse(&body, &desk, NOW)? {
                challenges.push((challenge, keys(kids)));
            }
        }
        let parsed = cpu();
        for (challenge, keys) in challenges {
            answers.push(challenge.answer(&issue, keys, &mut SystemEntropy));
        }
        let answered = cpu();
        for answer in &answers {
            assert_eq!(answer.read_back()?.keys.len(), count);
        }
        let [parsing, answering, reading] =
            [parsed - start, answered - parsed, cpu() - answered].map(|sum| sum / ROUNDS);
        assert_eq!(answers.len(), usize::try_from(ROUNDS)?);
        let whole = parsing + answering + reading;
        println!(
            "{mode}: {whole:?} (parse {parsing:?}, answer {answering:?}, re-read {reading:?})"
        );
    }
    let header = Header::of(&kids, Scheme::Cbcs);
    let ask = Ask { headers: &[header.as_bytes()], custom_data: None, service: &service };
    let (_, body) = device.ask(&ask, NOW, &mut SystemEntropy)?;
    let desk = Desk {
        credentials: &credentials,
        chains: &VerifiedChains::default(),
        revoked: &revoked,
        allows_test_level: false,
    };
    refuse(std::str::from_utf8(&body)?, &desk);
    Ok(())
}

/// What costs least to refuse: all of it was read and hashed.
fn refuse(body: &str, desk: &Desk<'_>) {
    let changed = body.replace("<ClientTime>", "<ClientTime>1");
    let start = cpu();
    for _ in 0..ROUNDS {
        assert!(Request::parse(changed.as_bytes(), desk, NOW).is_err());
    }
    println!("changed after it was signed, refused: {:?}", (cpu() - start) / ROUNDS);
}
