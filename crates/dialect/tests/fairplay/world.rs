//! One application with two devices, an older one beside it, and one that nobody knows.

use dialect::fairplay::client::{Ask, ClientDevice, Draft, Pending};
use dialect::fairplay::test_root::TestRoot;
use dialect::fairplay::{
    Answer, ApplicationFiles, Challenge, ChallengeError, Credentials, Desk, Framing, Issue,
    KeySecurityModule, Playback, STANDIN_DERIVATION, Streaming,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::fairplay::ApplicationCertificate;
use keys::{ContentKey, FingerprintKey, SystemEntropy};
use model::{KeyId, Timestamp, TrackClass};
use std::num::NonZeroU32;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// 2027-06-01.
pub const NOW: Timestamp = Timestamp(1_811_808_000_000);
pub const IV: [u8; 16] = [0xab; 16];

pub struct World {
    pub root: TestRoot,
    pub older: TestRoot,
    pub module: KeySecurityModule,
    pub certificate: ApplicationCertificate,
    pub older_certificate: ApplicationCertificate,
    pub strange_certificate: ApplicationCertificate,
    pub device: ClientDevice,
    pub other_device: ClientDevice,
    pub older_device: ClientDevice,
    pub strange_device: ClientDevice,
}

pub fn files(root: &TestRoot) -> ApplicationFiles<'_> {
    ApplicationFiles {
        certificate: &root.certificate,
        private_pem: &root.private_pem,
        secret_hex: &root.secret_hex,
        derivation: STANDIN_DERIVATION,
    }
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let [root, older, stranger] = [(); 3].map(|()| TestRoot::make(&mut SystemEntropy));
    let credentials = Credentials::import(&files(&root), NOW).unwrap();
    let credentials = credentials.and_application(&files(&older), NOW).unwrap();
    let device = |root: &TestRoot| root.make_device(&mut SystemEntropy).client().unwrap();
    let certificate = |root: &TestRoot| ApplicationCertificate::parse(&root.certificate).unwrap();
    World {
        module: credentials.into(),
        certificate: certificate(&root),
        older_certificate: certificate(&older),
        strange_certificate: certificate(&stranger),
        device: device(&root),
        other_device: device(&root),
        older_device: device(&older),
        strange_device: device(&stranger),
        root,
        older,
    }
});

impl World {
    pub fn parse(&self, body: &[u8]) -> Result<Challenge, ChallengeError> {
        Challenge::parse(body, &Desk { module: &self.module }, NOW)
    }

    pub fn challenge(&self, body: &[u8]) -> Challenge {
        self.parse(body).unwrap()
    }

    pub fn refusal(&self, body: &[u8]) -> ChallengeError {
        match self.parse(body) {
            Err(error) => error,
            Ok(challenge) => panic!("not refused: {challenge:?}"),
        }
    }

    pub fn answer(&self, body: &[u8], key: LicensedKey) -> Answer {
        let issue = Issue { terms: &lease(3600), now: NOW };
        self.challenge(body).answer(&issue, key, &mut SystemEntropy)
    }
}

pub fn lease(seconds: u32) -> LicenseTerms {
    LicenseTerms { can_play: true, license_s: NonZeroU32::new(seconds), ..LicenseTerms::default() }
}

pub fn kid(byte: u8) -> KeyId {
    KeyId::from_bytes([byte; 16])
}

pub fn content_key(byte: u8) -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new([byte; 16]))
}

/// Tells keys apart without showing them.
pub fn fingerprint(key: &ContentKey) -> [u8; 32] {
    key.fingerprint(&FingerprintKey::from_bytes(&Zeroizing::new([1; 32])))
}

pub fn licensed(byte: u8) -> LicensedKey {
    let terms = KeyTerms {
        robustness: Robustness::HardwareKeys,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: Some(TrackClass::Hd),
    };
    LicensedKey { kid: kid(byte), key: content_key(byte), terms, iv: Some(IV) }
}

pub fn asset(byte: u8) -> String {
    format!("skd://film?kid={}", kid(byte))
}

pub fn playback() -> Playback {
    Playback::start(NOW, &mut SystemEntropy)
}

pub fn ask(asset_id: &str) -> Ask<'_> {
    Ask {
        certificate: &WORLD.certificate,
        asset_id: asset_id.as_bytes(),
        framing: Framing::Octets,
        persist: false,
        playback: Some(playback()),
        streaming: Streaming::Device,
    }
}

/// A request of `device` for a key by its byte, as octets.
pub fn ask_kid(device: &ClientDevice, byte: u8) -> (Pending, Vec<u8>) {
    device.ask(&ask(&asset(byte)), &mut SystemEntropy)
}

/// The blocks of a request, to be changed.
pub fn draft(byte: u8) -> Draft {
    Draft::new(&WORLD.device, &ask(&asset(byte)), &mut SystemEntropy)
}

/// Closes changed blocks for the application.
pub fn sent(draft: Draft) -> (Pending, Vec<u8>) {
    draft.send(&WORLD.certificate, &mut SystemEntropy)
}

/// A block as it stands in a payload, padded with zeros.
pub fn block(tag: u64, value: &[u8]) -> Vec<u8> {
    let padded = value.len().next_multiple_of(16);
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let head = [&tag.to_be_bytes()[..], &length(padded), &length(value.len())].concat();
    [&head, value, &vec![0; padded - value.len()]].concat()
}

/// The tags that tests name.
pub mod tag {
    pub const SESSION: u64 = 0x3d1a_10b8_bffa_c2ec;
    pub const INTEGRITY: u64 = 0xb349_d480_9e91_0687;
    pub const R2: u64 = 0x71b5_595a_c152_1133;
    pub const SEED: u64 = 0x89c9_0f12_2041_06b2;
    pub const RETURN_REQUEST: u64 = 0x19f9_d4e5_ab76_09cb;
    pub const ASSET_ID: u64 = 0x1bf7_f53f_5d5d_5a1f;
    pub const TRANSACTION: u64 = 0x47aa_7ad3_4405_77de;
    pub const SUPPORTED: u64 = 0x67b8_fb79_ecce_1a13;
    pub const USED: u64 = 0x5d81_bcbc_c7f6_1703;
    pub const STREAMING: u64 = 0xabb0_256a_3184_3974;
    pub const PLAYBACK: u64 = 0xeb8e_fdf2_b25a_b3a0;
    pub const CAPABILITIES: u64 = 0x9c02_af32_53c0_7fb2;
    pub const R1: u64 = 0xea74_c464_5d5e_fee9;
}
