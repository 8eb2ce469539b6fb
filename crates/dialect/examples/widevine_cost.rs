//! What a Widevine license costs, processor time: reading, verifying, answering, reading back.
//!
//! `cargo run --release -p dialect --example widevine_cost`

use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use dialect::widevine::client::{Ask, AskedContent, ServiceCertificate};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{
    Credentials, Desk, DeviceList, Issue, LicenseType, Request, RootFile, VerifiedModels,
};
use keys::{ContentKey, SessionSeal, SystemEntropy};
use model::{KeyId, Scheme, SecurityLevel, Timestamp};
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

fn kids() -> [KeyId; 3] {
    [1, 2, 3].map(|byte| KeyId::from_bytes([byte; 16]))
}

fn keys() -> Vec<LicensedKey> {
    let terms = KeyTerms {
        robustness: Robustness::HardwareAll,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: None,
    };
    kids()
        .into_iter()
        .map(|kid| LicensedKey {
            kid,
            key: ContentKey::generate(&mut SystemEntropy),
            terms,
            iv: None,
        })
        .collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = TestRoot::make("strongroom.test", &mut SystemEntropy);
    let root_file = RootFile::PublicKey(&root.root_public);
    let (certificate, pem) = (&root.service_certificate, &root.service_private_pem);
    let credentials = Credentials::import(root_file, certificate, pem, NOW)?;
    let service = ServiceCertificate::open(&credentials.service_certificate(), root_file, NOW)?;
    let devices = DeviceList::parse(&root.device_list)?;
    let sessions = SessionSeal::from_bytes(&[7; 32].into());
    let device = root.model(SecurityLevel::L1).make_device(&mut SystemEntropy).client()?;
    let payload: Vec<u8> =
        kids().iter().flat_map(|kid| [&[0x12, 16], &kid.as_bytes()[..]].concat()).collect();
    let terms = LicenseTerms { can_play: true, ..LicenseTerms::default() };
    let issue = Issue {
        terms: &terms,
        scheme: Scheme::Cbcs,
        memo: &[1; 16],
        sessions: &sessions,
        now: NOW,
    };
    for (mode, privacy, remembers) in [
        ("in the clear, device remembered", None, true),
        ("in the clear, device and model verified anew", None, false),
        ("privacy mode, device remembered", Some(&service), true),
    ] {
        let content = AskedContent::PsshData(&[&payload]);
        let license_type = LicenseType::Streaming;
        let ask = Ask { content, license_type, request_id: b"request 1", privacy };
        let (_, body) = device.ask(&ask, NOW, &mut SystemEntropy);
        let mut models = VerifiedModels::default();
        let (mut challenges, mut answers) = (vec![], vec![]);
        let start = cpu();
        for _ in 0..ROUNDS {
            if !remembers {
                models = VerifiedModels::default();
            }
            let desk = Desk {
                credentials: &credentials,
                models: &models,
                devices: &devices,
                sessions: &sessions,
            };
            if let Request::New(challenge) = Request::parse(&body, &desk, NOW)? {
                challenges.push((challenge, keys()));
            }
        }
        let parsed = cpu();
        for (challenge, keys) in challenges {
            answers.push(challenge.answer(&issue, keys, &mut SystemEntropy));
        }
        let answered = cpu();
        for answer in &answers {
            assert_eq!(answer.read_back()?.keys.len(), 3);
        }
        let [parsing, answering, reading] =
            [parsed - start, answered - parsed, cpu() - answered].map(|sum| sum / ROUNDS);
        assert_eq!(answers.len(), usize::try_from(ROUNDS)?);
        let whole = parsing + answering + reading;
        println!(
            "{mode}: {whole:?} (parse {parsing:?}, answer {answering:?}, re-read {reading:?})"
        );
    }
    Ok(())
}
