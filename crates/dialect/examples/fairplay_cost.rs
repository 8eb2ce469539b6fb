//! What a FairPlay license costs, processor time: reading, answering, reading back.
//!
//! `cargo run --release -p dialect --example fairplay_cost`

use dialect::fairplay::client::Ask;
use dialect::fairplay::test_root::TestRoot;
use dialect::fairplay::{
    ApplicationFiles, Challenge, Credentials, Desk, Framing, Issue, KeySecurityModule, Playback,
    STANDIN_DERIVATION, Streaming,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::fairplay::ApplicationCertificate;
use keys::{ContentKey, SystemEntropy};
use model::{KeyId, Timestamp};
use std::error::Error;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ROUNDS: u32 = 2000;

/// The processor time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

fn key() -> LicensedKey {
    let terms = KeyTerms {
        robustness: Robustness::HardwareKeys,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: None,
    };
    let key = ContentKey::generate(&mut SystemEntropy);
    LicensedKey { kid: KeyId::from_bytes([1; 16]), key, terms, iv: Some([2; 16]) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = TestRoot::make(&mut SystemEntropy);
    let files = ApplicationFiles {
        certificate: &root.certificate,
        private_pem: &root.private_pem,
        secret_hex: &root.secret_hex,
        derivation: STANDIN_DERIVATION,
    };
    let module = KeySecurityModule::from(Credentials::import(&files, NOW)?);
    let certificate = ApplicationCertificate::parse(&root.certificate)?;
    let device = root.make_device(&mut SystemEntropy).client()?;
    let asset = format!("skd://film?kid={}", KeyId::from_bytes([1; 16]));
    let lease_s = std::num::NonZeroU32::new(86_400);
    let terms = LicenseTerms { can_play: true, license_s: lease_s, ..LicenseTerms::default() };
    let (desk, issue) = (Desk { module: &module }, Issue { terms: &terms, now: NOW });
    for (name, framing) in
        [("octets", Framing::Octets), ("form", Framing::Form), ("JSON", Framing::Json)]
    {
        let ask = Ask {
            certificate: &certificate,
            asset_id: asset.as_bytes(),
            framing,
            persist: false,
            playback: Some(Playback::start(NOW, &mut SystemEntropy)),
            streaming: Streaming::Device,
        };
        let (_, body) = device.ask(&ask, &mut SystemEntropy);
        let (mut challenges, mut answers) = (vec![], vec![]);
        let start = cpu();
        for _ in 0..ROUNDS {
            challenges.push((Challenge::parse(&body, &desk, NOW)?, key()));
        }
        let parsed = cpu();
        for (challenge, key) in challenges {
            answers.push(challenge.answer(&issue, key, &mut SystemEntropy));
        }
        let answered = cpu();
        for answer in &answers {
            assert_eq!(answer.read_back()?.keys.len(), 1);
        }
        let [parsing, answering, reading] =
            [parsed - start, answered - parsed, cpu() - answered].map(|sum| sum / ROUNDS);
        let whole = parsing + answering + reading;
        println!(
            "{name}: {whole:?} (parse {parsing:?}, answer {answering:?}, re-read {reading:?})"
        );
    }
    Ok(())
}
