//! FairPlay's requests of any bytes are read without panicking: as bodies in each framing, as
//! containers, and as payloads behind the encryption that would stop a fuzzer. What is read is
//! answered, and its answer reads back.

use dialect::fairplay::client::{ClientDevice, close_payload, kid_of};
use dialect::fairplay::{
    ApplicationFiles, Batch, Challenge, Credentials, Desk, Issue, KeySecurityModule, LicenseError,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::fairplay::{ApplicationCertificate, ApplicationKey, ApplicationSecret};
use keys::{ContentKey, SystemEntropy};
use model::Timestamp;
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const FILES: ApplicationFiles<'_> = ApplicationFiles {
    certificate: include_bytes!("../../vectors/fairplay/app_cert.der"),
    private_pem: include_str!("../../vectors/fairplay/app_private.pem"),
    secret_hex: include_str!("../../vectors/fairplay/ask.hex"),
    derivation: include_str!("../../vectors/fairplay/d_function"),
};

static MODULE: LazyLock<KeySecurityModule> =
    LazyLock::new(|| Credentials::import(&FILES, NOW).expect("test credentials").into());
static CERTIFICATE: LazyLock<ApplicationCertificate> =
    LazyLock::new(|| ApplicationCertificate::parse(FILES.certificate).expect("a certificate"));

/// Reads `bytes` as a body, as a payload, and as each file.
pub fn run(bytes: &[u8]) {
    answer(bytes);
    if bytes.len() <= 16 * 1024 {
        answer(&close_payload(bytes, &CERTIFICATE, &mut SystemEntropy));
    }
    let _ = kid_of(bytes);
    let _ = ApplicationCertificate::parse(bytes);
    let _ = Credentials::import(&ApplicationFiles { certificate: bytes, ..FILES }, NOW);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = ApplicationKey::parse_pem(text);
        let _ = ApplicationSecret::parse_hex(text);
        let _ = ClientDevice::read(text, text);
        let files = ApplicationFiles { derivation: text, secret_hex: text, ..FILES };
        let _ = Credentials::import(&files, NOW);
    }
}

fn answer(body: &[u8]) {
    let Ok(batch) = Batch::parse(body, &Desk { module: &MODULE }, NOW) else { return };
    let terms = KeyTerms {
        robustness: Robustness::SoftwareKeys,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: None,
    };
    let key_of = |challenge: &Challenge| LicensedKey {
        kid: challenge.kid(),
        key: ContentKey::generate(&mut SystemEntropy),
        terms,
        iv: None,
    };
    let keys: Vec<LicensedKey> = batch.challenges().iter().map(key_of).collect();
    let can_keep = batch.challenges().iter().all(|challenge| challenge.can_keep(&terms));
    let issue =
        Issue { terms: &LicenseTerms { can_play: true, ..LicenseTerms::default() }, now: NOW };
    let answer = batch.answer(&issue, &keys, &mut SystemEntropy);
    match answer.read_back() {
        Ok(license) => assert!(can_keep && license.keys.len() == keys.len()),
        Err(error) => assert!(!can_keep && error == LicenseError::NoKey),
    }
}
