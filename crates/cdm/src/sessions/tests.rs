//! Sessions against the servers' side of every dialect; here Widevine and Clear Key.

mod fairplay;
mod kept;
mod kept_time;
mod playready;

use super::*;
use crate::widevine::{Device, Profile, Stage};
use dialect::clearkey::{Challenge, Offline};
use dialect::terms::{
    AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, RenewalTerms, Robustness,
};
use dialect::widevine::client::ClientDevice;
use dialect::widevine::test_root::{TestDevice, TestRoot};
use dialect::widevine::{Credentials, Desk, DeviceList, Issue, Request, RootFile, VerifiedModels};
use keys::{ContentKey, SessionSeal, SystemEntropy};
use media::pssh;
use model::{Scheme, SecurityLevel};
use proptest::prelude::*;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

fn kid(byte: u8) -> KeyId {
    KeyId::from_bytes([byte; 16])
}

fn content_key(byte: u8) -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new([byte ^ 0xff; 16]))
}

/// A license server with a root of its own.
struct Server {
    root: TestRoot,
    credentials: Credentials,
    devices: DeviceList,
    models: VerifiedModels,
    seal: SessionSeal,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::new);
static DEVICE: LazyLock<TestDevice> =
    LazyLock::new(|| SERVER.root.model(SecurityLevel::L3).make_device(&mut SystemEntropy));

impl Server {
    fn new() -> Self {
        let root = TestRoot::make("strongroom.test", &mut SystemEntropy);
        let file = RootFile::PublicKey(&root.root_public);
        let (certificate, pem) = (&root.service_certificate, &root.service_private_pem);
        Self {
            credentials: Credentials::import(file, certificate, pem, NOW).unwrap(),
            devices: DeviceList::parse(&root.device_list).unwrap(),
            models: VerifiedModels::default(),
            seal: SessionSeal::from_bytes(&[7; 32].into()),
            root,
        }
    }

    fn read(&self, message: &Message) -> Request {
        let desk = Desk {
            credentials: &self.credentials,
            models: &self.models,
            devices: &self.devices,
            sessions: &self.seal,
        };
        Request::parse(&message.body, &desk, NOW).unwrap()
    }

    /// Answers a license request with these keys, or a renewal.
    fn answer(&self, message: &Message, terms: &LicenseTerms, kids: &[u8]) -> Vec<u8> {
        let sessions = &self.seal;
        let issue = Issue { terms, scheme: Scheme::Cbcs, memo: b"note", sessions, now: NOW };
        let answer = match self.read(message) {
            Request::New(challenge) => {
                let keys = kids.iter().map(|byte| licensed(*byte, Robustness::SoftwareKeys));
                challenge.answer(&issue, keys.collect(), &mut SystemEntropy)
            }
            Request::Existing(renewal) => renewal.answer(&issue, &mut SystemEntropy),
            Request::ServiceCertificate => return self.credentials.service_certificate(),
        };
        answer.as_bytes().to_vec()
    }
}

fn licensed(byte: u8, robustness: Robustness) -> LicensedKey {
    let terms = KeyTerms {
        robustness,
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: None,
    };
    LicensedKey { kid: kid(byte), key: content_key(byte), terms, iv: None }
}

fn terms() -> LicenseTerms {
    LicenseTerms { can_play: true, ..LicenseTerms::default() }
}

fn device(made: &TestDevice, root: &TestRoot) -> Device {
    let profile = Profile {
        certificate: &made.certificate,
        private_pem: &made.private_pem,
        root: RootFile::Certificate(&root.root_certificate),
        level: SecurityLevel::L3,
    };
    Device::parse(&profile).unwrap()
}

fn widevine() -> Sessions {
    Sessions::new(System::Widevine(Box::new(device(&DEVICE, &SERVER.root))))
}

fn clearkey() -> Sessions {
    Sessions::new(System::ClearKey)
}

fn init_data(kids: &[u8]) -> Vec<u8> {
    kids.iter().flat_map(|byte| pssh::widevine(&[kid(*byte)], Scheme::Cbcs)).collect()
}

/// A session that asked for its license.
fn asked(sessions: &mut Sessions, kids: &[u8]) -> (SessionId, Message) {
    let (id, message) = sessions.request(&init_data(kids), NOW, &mut SystemEntropy).unwrap();
    if message.kind == MessageKind::LicenseRequest {
        return (id, message);
    }
    let certificate = SERVER.answer(&message, &terms(), &[]);
    let updated = sessions.update(id, &certificate, NOW, &mut SystemEntropy).unwrap();
    assert!(updated.keys.is_empty());
    (id, updated.message.unwrap())
}

fn update(sessions: &mut Sessions, id: SessionId, answer: &[u8]) -> Result<Updated, CdmError> {
    sessions.update(id, answer, NOW, &mut SystemEntropy)
}

#[test]
fn a_widevine_session_asks_for_the_certificate_once_and_for_every_key() {
    let mut sessions = widevine();
    let (first, message) = asked(&mut sessions, &[2, 1, 2]);
    let Request::New(challenge) = SERVER.read(&message) else { panic!("a new request") };
    assert_eq!(challenge.kids(), [kid(2), kid(1)]);
    assert_eq!(challenge.device().level, SecurityLevel::L3);
    let serial = [&challenge.device().serial[..], &challenge.device().model_serial].concat();
    assert!(!message.body.windows(16).any(|at| serial.windows(16).any(|serial| serial == at)));
    let license = SERVER.answer(&message, &terms(), &[1]);
    let updated = update(&mut sessions, first, &license).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)], "one key was withheld");
    assert_eq!(updated.message, None);
    let (_, next) = sessions.request(&init_data(&[3]), NOW, &mut SystemEntropy).unwrap();
    assert_eq!(next.kind, MessageKind::LicenseRequest);
}

#[test]
fn a_certificate_of_another_root_gets_no_identity() {
    let foreign = Server::new();
    let mut sessions = widevine();
    let (id, message) = sessions.request(&init_data(&[1]), NOW, &mut SystemEntropy).unwrap();
    assert_eq!(message.kind, MessageKind::CertificateRequest);
    let certificate = foreign.credentials.service_certificate();
    for answer in [&certificate[..], b"", b"{}"] {
        assert_eq!(update(&mut sessions, id, answer), Err(CdmError::Certificate));
    }
    let own = SERVER.credentials.service_certificate();
    assert!(update(&mut sessions, id, &own).unwrap().message.is_some());
}

#[test]
fn a_license_captured_for_one_device_fails_in_another() {
    let mut first = widevine();
    let (id, message) = asked(&mut first, &[1]);
    let license = SERVER.answer(&message, &terms(), &[1]);
    let made = SERVER.root.model(SecurityLevel::L3).make_device(&mut SystemEntropy);
    let mut second = Sessions::new(System::Widevine(Box::new(device(&made, &SERVER.root))));
    let (other, _) = asked(&mut second, &[1]);
    assert_eq!(update(&mut second, other, &license), Err(CdmError::License));
    assert_eq!(second.statuses(other, NOW), Ok(vec![]));
    // Not even with the very request that it answers.
    let stolen = second.open.get_mut(&other).unwrap();
    let Exchange::Widevine(Stage::License(captured)) = &first.open[&id].exchange else {
        panic!("it was asked")
    };
    stolen.exchange = Exchange::Widevine(Stage::License(captured.clone()));
    assert_eq!(update(&mut second, other, &license), Err(CdmError::License));
    update(&mut first, id, &license).unwrap();
}

#[test]
fn a_license_of_another_session_or_with_a_key_too_many_is_refused() {
    let mut sessions = widevine();
    let (one, first) = asked(&mut sessions, &[1]);
    let (other, second) = asked(&mut sessions, &[2]);
    let foreign = SERVER.answer(&second, &terms(), &[2]);
    let license = SERVER.answer(&first, &terms(), &[1]);
    let refuse = |sessions: &mut Sessions, license: &[u8]| {
        assert_eq!(update(sessions, one, license), Err(CdmError::License));
        assert_eq!(sessions.statuses(one, NOW), Ok(vec![]));
    };
    for license in [&foreign[..], b"", b"{}"] {
        refuse(&mut sessions, license);
    }
    // As if the license had a key that was not asked for, which our own server never writes.
    let asked = std::mem::take(&mut sessions.open.get_mut(&one).unwrap().boxes.kids);
    refuse(&mut sessions, &license);
    sessions.open.get_mut(&one).unwrap().boxes.kids = asked;
    update(&mut sessions, one, &license).unwrap();
    assert_eq!(update(&mut sessions, one, &license), Err(CdmError::License), "once");
    assert_eq!(sessions.statuses(one, NOW), Ok(vec![(kid(1), KeyStatus::Usable)]));
    update(&mut sessions, other, &foreign).unwrap();
}

#[test]
fn every_flipped_byte_of_a_license_is_refused() {
    let mut sessions = widevine();
    let (id, message) = asked(&mut sessions, &[1, 2]);
    let renewal = RenewalTerms { delay_s: NonZeroU32::new(9), ..RenewalTerms::default() };
    let terms = LicenseTerms { license_s: NonZeroU32::new(60), renewal, ..terms() };
    let license = SERVER.answer(&message, &terms, &[1, 2]);
    for at in 0..license.len() {
        for bit in [0x01, 0x80] {
            let mut flipped = license.clone();
            flipped[at] ^= bit;
            assert_eq!(update(&mut sessions, id, &flipped), Err(CdmError::License), "byte {at}");
        }
        assert_eq!(update(&mut sessions, id, &license[..at]), Err(CdmError::License), "cut {at}");
    }
    assert_eq!(update(&mut sessions, id, &license).unwrap().keys.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_license_with_any_other_byte_is_refused(at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut sessions = widevine();
        let (id, message) = asked(&mut sessions, &[1]);
        let mut license = SERVER.answer(&message, &terms(), &[1]);
        let at = at.index(license.len());
        license[at] ^= by;
        prop_assert_eq!(update(&mut sessions, id, &license), Err(CdmError::License));
        prop_assert_eq!(sessions.statuses(id, NOW), Ok(vec![]));
    }
}

#[test]
fn a_license_is_renewed_and_given_back() {
    let renewal = RenewalTerms { delay_s: NonZeroU32::new(40), ..RenewalTerms::default() };
    let terms =
        LicenseTerms { can_renew: true, license_s: NonZeroU32::new(60), renewal, ..terms() };
    let mut sessions = widevine();
    let (id, message) = asked(&mut sessions, &[1]);
    let license = SERVER.answer(&message, &terms, &[1]);
    update(&mut sessions, id, &license).unwrap();
    assert_eq!(sessions.renew(id, NOW.plus_s(39), &mut SystemEntropy), Ok(None));
    let due = sessions.renew(id, NOW.plus_s(40), &mut SystemEntropy).unwrap().unwrap();
    assert_eq!(due.kind, MessageKind::LicenseRenewal);
    let renewed = SERVER.answer(&due, &terms, &[]);
    let answer = |sessions: &mut Sessions, answer: &[u8], seconds| {
        sessions.update(id, answer, NOW.plus_s(seconds), &mut SystemEntropy)
    };
    for at in 0..renewed.len() {
        let mut flipped = renewed.clone();
        flipped[at] ^= 1;
        assert_eq!(answer(&mut sessions, &flipped, 40), Err(CdmError::License), "byte {at}");
    }
    assert_eq!(sessions.statuses(id, NOW.plus_s(60)), Ok(vec![(kid(1), KeyStatus::Expired)]));
    let updated = answer(&mut sessions, &renewed, 60).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)]);
    assert_eq!(answer(&mut sessions, &renewed, 60), Err(CdmError::License), "once");
    assert_eq!(sessions.statuses(id, NOW.plus_s(100)), Ok(vec![(kid(1), KeyStatus::Expired)]));
    assert_eq!(
        sessions.statuses(id, NOW),
        Ok(vec![(kid(1), KeyStatus::Expired)]),
        "a clock that is set back wins nothing"
    );
    let release = sessions.release(id, NOW).unwrap().unwrap();
    assert_eq!(
        (release.kind, sessions.statuses(id, NOW)),
        (MessageKind::LicenseRelease, Ok(vec![]))
    );
    let confirmed = SERVER.answer(&release, &terms, &[]);
    update(&mut sessions, id, &confirmed).unwrap();
    assert_eq!(sessions.statuses(id, NOW), Err(CdmError::NoSession));
}

#[test]
fn a_device_is_one_certificate_with_its_key() {
    let root = &SERVER.root;
    let other = root.model(SecurityLevel::L3).make_device(&mut SystemEntropy);
    let model = &root.model(SecurityLevel::L3).certificate;
    let read = |certificate: &[u8], pem: &str| {
        ClientDevice::read(certificate, pem, Hdcp::V2_3).err().map(|error| error.to_string())
    };
    assert_eq!(read(&DEVICE.certificate, &DEVICE.private_pem), None);
    let foreign = read(&DEVICE.certificate, &other.private_pem).unwrap();
    assert!(foreign.contains("not its certificate's"), "{foreign}");
    for certificate in [&model[..], b""] {
        assert_eq!(read(certificate, &DEVICE.private_pem).unwrap(), "not a device's certificate");
    }
    assert!(read(&DEVICE.certificate, "no key").unwrap().contains("private key"));
}

fn clear_license(request: &[u8], kids: &[u8]) -> Vec<u8> {
    let keys = kids.iter().map(|byte| (kid(*byte), content_key(*byte)));
    let challenge = Challenge::parse(request, Offline::Refused).unwrap();
    challenge.answer(keys.collect()).as_bytes().to_vec()
}

#[test]
fn a_clear_key_session_asks_for_every_key_of_its_system_once() {
    let other = pssh::widevine(&[kid(9)], Scheme::Cbcs);
    let data = [pssh::common(&[kid(2), kid(1)]), other, pssh::common(&[kid(1)])].concat();
    let mut sessions = clearkey();
    let (id, message) = sessions.request(&data, NOW, &mut SystemEntropy).unwrap();
    let challenge = Challenge::parse(&message.body, Offline::Refused).unwrap();
    assert_eq!(challenge.kids(), [kid(1), kid(2)]);
    let license = clear_license(&message.body, &[1]);
    let usable = update(&mut sessions, id, &license).unwrap().keys;
    assert_eq!(usable, [(kid(1), KeyStatus::Usable)], "one key was withheld");
    assert_eq!(sessions.renew(id, NOW, &mut SystemEntropy), Ok(None));
    assert_eq!(sessions.release(id, NOW), Ok(None));
    assert_eq!(sessions.close(id), Err(CdmError::NoSession));
}

#[test]
fn init_data_without_a_box_of_the_system_opens_no_session() {
    let widevine_box = pssh::widevine(&[kid(9)], Scheme::Cbcs);
    let common_box = pssh::common(&[kid(9)]);
    let empty = pssh::common(&[]);
    let mut broken = widevine_box.clone();
    *broken.last_mut().unwrap() ^= 0x80;
    let nothing = [&[][..], &empty, b"no boxes at all"];
    let ask = |sessions: &mut Sessions, data: &[u8]| {
        sessions.request(data, NOW, &mut SystemEntropy).map(|(_, message)| message)
    };
    for data in nothing.into_iter().chain([&widevine_box[..]]) {
        assert_eq!(ask(&mut clearkey(), data), Err(CdmError::InitData));
    }
    for data in nothing.into_iter().chain([&common_box[..], &broken]) {
        assert_eq!(ask(&mut widevine(), data), Err(CdmError::InitData));
    }
}

#[test]
fn own_boxes_are_found_among_others_whatever_their_version() {
    let own = pssh::widevine(&[kid(1)], Scheme::Cbcs);
    let mut broken = pssh::widevine(&[kid(7)], Scheme::Cbcs);
    *broken.last_mut().unwrap() ^= 0x80;
    // Version 1: key ids before a payload that names none.
    let mut listed = pssh::common(&[kid(2)]);
    listed[12..28].copy_from_slice(&own[12..28]);
    let mut unknown = pssh::common(&[kid(8)]);
    unknown[12..28].fill(0xee);
    let mut future = own.clone();
    future[8] = 2;
    let data = [&unknown[..], &broken, &own, &future, &own, &listed, &pssh::common(&[kid(9)])];
    let mut sessions = widevine();
    let (id, _) = sessions.request(&data.concat(), NOW, &mut SystemEntropy).unwrap();
    let certificate = SERVER.credentials.service_certificate();
    let message = update(&mut sessions, id, &certificate).unwrap().message.unwrap();
    let Request::New(challenge) = SERVER.read(&message) else { panic!("a new request") };
    assert_eq!(challenge.kids(), [kid(1), kid(2)]);
}

#[test]
fn a_clear_license_of_another_session_is_refused() {
    let mut sessions = clearkey();
    let request = |sessions: &mut Sessions, byte| {
        sessions.request(&pssh::common(&[kid(byte)]), NOW, &mut SystemEntropy).unwrap()
    };
    let (one, first) = request(&mut sessions, 1);
    let (other, second) = request(&mut sessions, 2);
    let foreign = clear_license(&second.body, &[2]);
    for license in [&foreign[..], b"{}"] {
        assert_eq!(update(&mut sessions, one, license), Err(CdmError::License));
    }
    update(&mut sessions, one, &clear_license(&first.body, &[1])).unwrap();
    update(&mut sessions, other, &foreign).unwrap();
    sessions.close(other).unwrap();
    assert_eq!(update(&mut sessions, other, &foreign), Err(CdmError::NoSession));
    assert_eq!(sessions.close(other), Err(CdmError::NoSession));
}

#[test]
fn sessions_are_counted() {
    let mut sessions = clearkey();
    let data = pssh::common(&[kid(1)]);
    for _ in 0..MAX_SESSIONS {
        sessions.request(&data, NOW, &mut SystemEntropy).unwrap();
    }
    let refused = sessions.request(&data, NOW, &mut SystemEntropy);
    assert_eq!(refused.map(|_| ()), Err(CdmError::TooManySessions));
}

/// A license of Clear Key with these keys, whatever was asked for.
fn any_clear_license(kids: &[u8]) -> Vec<u8> {
    let key = |byte: &u8| {
        let key = "AAAAAAAAAAAAAAAAAAAAAA";
        format!(r#"{{"kty":"oct","kid":"{}","k":"{key}"}}"#, kid(*byte).to_base64url())
    };
    let keys: Vec<String> = kids.iter().map(key).collect();
    format!(r#"{{"keys":[{}],"type":"temporary"}}"#, keys.join(",")).into_bytes()
}

#[test]
fn one_box_names_the_keys_of_many_periods() {
    let kids: Vec<KeyId> = (1..=100).map(kid).collect();
    let mut sessions = clearkey();
    let boxes = pssh::common(&kids);
    let (id, message) = sessions.request(&boxes, NOW, &mut SystemEntropy).unwrap();
    let challenge = Challenge::parse(&message.body, Offline::Refused).unwrap();
    assert_eq!(challenge.kids(), kids);
    // Some are withheld, as keys of later periods are.
    let given: Vec<u8> = (1..=60).collect();
    let updated = update(&mut sessions, id, &any_clear_license(&given)).unwrap();
    assert_eq!(updated.keys.len(), 60);
    assert!(updated.keys.iter().all(|(_, status)| *status == KeyStatus::Usable));
    let foreign = any_clear_license(&[7, 101]);
    let mut sessions = clearkey();
    let (id, _) = sessions.request(&boxes, NOW, &mut SystemEntropy).unwrap();
    assert_eq!(
        update(&mut sessions, id, &foreign),
        Err(CdmError::License),
        "one was not asked for"
    );
    let mut sessions = widevine();
    let boxes = pssh::widevine(&kids, Scheme::Cbcs);
    let (id, first) = sessions.request(&boxes, NOW, &mut SystemEntropy).unwrap();
    let certificate = SERVER.answer(&first, &terms(), &[]);
    let message = update(&mut sessions, id, &certificate).unwrap().message.unwrap();
    let license = SERVER.answer(&message, &terms(), &given);
    assert_eq!(update(&mut sessions, id, &license).unwrap().keys.len(), 60);
    let many: Vec<KeyId> =
        (0..1025_u128).map(|number| KeyId::from_bytes(number.to_be_bytes())).collect();
    let refused = clearkey().request(&pssh::common(&many), NOW, &mut SystemEntropy);
    assert_eq!(refused.unwrap_err(), CdmError::InitData);
}
