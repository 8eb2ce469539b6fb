//! Independent tools decide: Google's Python package `protobuf`, by a descriptor of its own, and
//! the package `cryptography` read what both our sides write, and what they write, our server
//! answers.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may panic")]

#[path = "support/python_peer.rs"]
mod python_peer;

use dialect::terms::{
    AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, RenewalTerms, Robustness,
};
use dialect::widevine::client::{Ask, AskedContent};
use dialect::widevine::test_root::TestRoot;
use dialect::widevine::{
    Challenge, Credentials, Desk, DeviceList, Issue, LicenseType, Request, RootFile, VerifiedModels,
};
use keys::{ContentKey, SessionSeal, SystemEntropy};
use model::{KeyId, Scheme, SecurityLevel, Timestamp, TrackClass};
use python_peer::PythonPeer;
use std::fs;
use std::num::NonZeroU32;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

fn key(byte: u8, terms: KeyTerms) -> LicensedKey {
    let key = ContentKey::from_bytes([byte ^ 0xff; 16].into());
    LicensedKey { kid: KeyId::from_bytes([byte; 16]), key, terms, iv: None }
}

fn keys() -> Vec<LicensedKey> {
    let sd = KeyTerms {
        robustness: Robustness::SoftwareKeys,
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: Some(TrackClass::Sd),
    };
    let uhd = KeyTerms {
        robustness: Robustness::HardwareAll,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: Some(TrackClass::Uhd),
    };
    vec![key(1, sd), key(2, uhd)]
}

fn terms() -> LicenseTerms {
    let seconds = NonZeroU32::new;
    LicenseTerms {
        can_play: true,
        can_renew: true,
        rental_s: seconds(2_592_000),
        playback_s: seconds(172_800),
        license_s: seconds(86_400),
        renewal: RenewalTerms {
            delay_s: seconds(120),
            retry_s: seconds(30),
            recovery_s: seconds(300),
            on_first_use: true,
            ..RenewalTerms::default()
        },
        ..LicenseTerms::default()
    }
}

/// What the peer must print of the license; `request` is what the request called itself.
fn expected(request: &str) -> Vec<String> {
    let lines = "can_play True
can_persist False
can_renew True
rental_duration_seconds 2592000
playback_duration_seconds 172800
license_duration_seconds 86400
renewal_recovery_duration_seconds 300
renewal_delay_seconds 120
renewal_retry_interval_seconds 30
renew_with_usage True
always_include_client_id False
play_start_grace_period_seconds 0
soft_enforce_playback_duration False
soft_enforce_rental_duration False
scheme cbcs
start 1811808000
request_id REQUEST type 1 version 0 session 16
key 01010101010101010101010101010101 fefefefefefefefefefefefefefefefe level 1 hdcp 0 analog True SD
key 02020202020202020202020202020202 fdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfd level 5 hdcp 4 analog False UHD";
    lines.lines().map(|line| line.replace("REQUEST", request)).collect()
}

struct Service {
    root: TestRoot,
    credentials: Credentials,
    devices: DeviceList,
    models: VerifiedModels,
    sessions: SessionSeal,
}

impl Service {
    fn new() -> Self {
        let root = TestRoot::make("strongroom.test", &mut SystemEntropy);
        let root_file = RootFile::PublicKey(&root.root_public);
        let (certificate, pem) = (&root.service_certificate, &root.service_private_pem);
        Self {
            credentials: Credentials::import(root_file, certificate, pem, NOW).unwrap(),
            devices: DeviceList::parse(&root.device_list).unwrap(),
            models: VerifiedModels::default(),
            sessions: SessionSeal::from_bytes(&[7; 32].into()),
            root,
        }
    }

    fn challenge(&self, body: &[u8]) -> Challenge {
        let desk = Desk {
            credentials: &self.credentials,
            models: &self.models,
            devices: &self.devices,
            sessions: &self.sessions,
        };
        match Request::parse(body, &desk, NOW).unwrap() {
            Request::New(challenge) => *challenge,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, challenge: Challenge) -> Vec<u8> {
        let (terms, sessions) = (terms(), &self.sessions);
        let issue =
            Issue { terms: &terms, scheme: Scheme::Cbcs, memo: b"note", sessions, now: NOW };
        challenge.answer(&issue, keys(), &mut SystemEntropy).as_bytes().to_vec()
    }
}

#[test]
fn another_implementation_reads_our_messages_and_we_answer_its_own() {
    let Some(peer) = PythonPeer::find("google/protobuf", "widevine_peer.py") else { return };
    let service = Service::new();
    let device = service.root.model(SecurityLevel::L2).make_device(&mut SystemEntropy);
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path().join(name), bytes).unwrap();
    write("root_public.der", &service.root.root_public);
    write("device.bin", &device.certificate);
    write("device_private.pem", device.private_pem.as_bytes());
    write("service-certificate", &service.credentials.service_certificate());

    let payload = [&[0x12, 16][..], &[1; 16], &[0x12, 16], &[2; 16]].concat();
    let payloads = [&payload[..]];
    let ask = Ask {
        content: AskedContent::PsshData(&payloads),
        license_type: LicenseType::Streaming,
        request_id: b"our request",
        privacy: None,
    };
    let client = device.client().unwrap();
    let (_, body) = client.ask(&ask, NOW, &mut SystemEntropy);
    write("challenge", &body);
    write("license", &service.answer(service.challenge(&body)));
    let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    let head = ["system_id 7002".to_owned(), format!("content {hex}")];
    let read = peer.run(&["read".as_ref(), place.path().as_os_str()]);
    assert_eq!(read, [&head[..], &expected("our request")].concat());

    assert!(peer.run(&["write".as_ref(), place.path().as_os_str()]).is_empty());
    for name in ["peer-clear", "peer-private"] {
        let challenge = service.challenge(&fs::read(place.path().join(name)).unwrap());
        let device = challenge.device();
        assert_eq!((device.level, device.system_id), (SecurityLevel::L2, 7002));
        assert_eq!((device.max_hdcp, device.oem_crypto_api_version), (Some(Hdcp::V2_2), Some(17)));
        assert_eq!(device.resource_rating_tier, Some(3));
        assert_eq!(challenge.kids(), [1, 2].map(|byte| KeyId::from_bytes([byte; 16])));
        assert_eq!(challenge.content_id(), Some(&b"film"[..]));
        assert_eq!((challenge.crypto_period(), challenge.scheme()), (Some(5), Some(Scheme::Cbcs)));
        write(&format!("{name}.license"), &service.answer(challenge));
    }
    let opened = peer.run(&["open".as_ref(), place.path().as_os_str()]);
    assert_eq!(opened, [expected("peer request"), expected("peer request")].concat());
}
