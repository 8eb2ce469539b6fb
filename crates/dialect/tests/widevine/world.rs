//! One test root with its service, models and devices, and another that nobody knows.

use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use dialect::widevine::client::{Ask, AskedContent, ClientDevice, Pending, ServiceCertificate};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{
    Answer, Challenge, ChallengeError, Credentials, Desk, DeviceList, Issue, LicenseType, Request,
    RootFile, VerifiedModels,
};
use keys::{ContentKey, FingerprintKey, SessionSeal, SystemEntropy};
use model::{KeyId, Scheme, SecurityLevel, Timestamp, TrackClass};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// 2027-06-01.
pub const NOW: Timestamp = Timestamp(1_811_808_000_000);
pub const NOW_S: u32 = 1_811_808_000;

pub struct World {
    pub root: TestRoot,
    pub stranger: TestRoot,
    pub credentials: Credentials,
    pub models: VerifiedModels,
    pub list: DeviceList,
    pub seal: SessionSeal,
    pub service: ServiceCertificate,
    pub l1: ClientDevice,
    pub l2: ClientDevice,
    pub l3: ClientDevice,
    pub other_l1: ClientDevice,
    pub strange: ClientDevice,
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let root = TestRoot::make("strongroom.test", &mut SystemEntropy);
    let stranger = TestRoot::make("stranger.test", &mut SystemEntropy);
    let credentials = Credentials::import(
        RootFile::PublicKey(&root.root_public),
        &root.service_certificate,
        &root.service_private_pem,
        NOW,
    )
    .unwrap();
    let device = |root: &TestRoot, level| {
        root.model(level).make_device(&mut SystemEntropy).client().unwrap()
    };
    World {
        list: DeviceList::parse(&root.device_list).unwrap(),
        service: ServiceCertificate::open(
            &credentials.service_certificate(),
            RootFile::Certificate(&root.root_certificate),
            NOW,
        )
        .unwrap(),
        models: VerifiedModels::default(),
        seal: SessionSeal::from_bytes(&Zeroizing::new([7; 32])),
        l1: device(&root, SecurityLevel::L1),
        l2: device(&root, SecurityLevel::L2),
        l3: device(&root, SecurityLevel::L3),
        other_l1: device(&root, SecurityLevel::L1),
        strange: device(&stranger, SecurityLevel::L1),
        credentials,
        root,
        stranger,
    }
});

impl World {
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            credentials: &self.credentials,
            models: &self.models,
            devices: &self.list,
            sessions: &self.seal,
        }
    }

    pub fn parse(&self, body: &[u8]) -> Result<Request, ChallengeError> {
        Request::parse(body, &self.desk(), NOW)
    }

    pub fn challenge(&self, body: &[u8]) -> Challenge {
        match self.parse(body).unwrap() {
            Request::New(challenge) => *challenge,
            other => panic!("{other:?}"),
        }
    }

    pub fn refusal(&self, body: &[u8]) -> ChallengeError {
        match self.parse(body) {
            Err(error) => error,
            Ok(request) => panic!("not refused: {request:?}"),
        }
    }

    pub fn issue<'a>(&'a self, terms: &'a LicenseTerms, scheme: Scheme) -> Issue<'a> {
        Issue { terms, scheme, memo: b"session 1", sessions: &self.seal, now: NOW }
    }

    pub fn answer(&self, body: &[u8], keys: Vec<LicensedKey>) -> Answer {
        let terms = LicenseTerms { can_play: true, ..LicenseTerms::default() };
        self.challenge(body).answer(&self.issue(&terms, Scheme::Cbcs), keys, &mut SystemEntropy)
    }
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
        robustness: Robustness::HardwareDecoding,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: Some(TrackClass::Hd),
    };
    LicensedKey { kid: kid(byte), key: content_key(byte), terms, iv: None }
}

/// The payload of a `pssh` box that names key ids.
pub fn payload(kids: &[u8]) -> Vec<u8> {
    kids.iter().flat_map(|byte| crate::wire::bytes(2, &[*byte; 16])).collect()
}

pub fn ask<'a>(content: AskedContent<'a>) -> Ask<'a> {
    Ask { content, license_type: LicenseType::Streaming, request_id: b"request 1", privacy: None }
}

/// A challenge of `device` for key ids by their bytes.
pub fn ask_kids<'a>(device: &'a ClientDevice, kids: &[u8]) -> (Pending<'a>, Vec<u8>) {
    let payload = payload(kids);
    let payloads = [&payload[..]];
    device.ask(&ask(AskedContent::PsshData(&payloads)), NOW, &mut SystemEntropy)
}

/// The same in privacy mode.
pub fn ask_privately<'a>(device: &'a ClientDevice, kids: &[u8]) -> (Pending<'a>, Vec<u8>) {
    let payload = payload(kids);
    let payloads = [&payload[..]];
    let asked = Ask { privacy: Some(&WORLD.service), ..ask(AskedContent::PsshData(&payloads)) };
    device.ask(&asked, NOW, &mut SystemEntropy)
}
