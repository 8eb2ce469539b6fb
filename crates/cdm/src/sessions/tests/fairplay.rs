//! Sessions against FairPlay's server.

use super::{content_key, kid, terms, update};
use crate::fairplay::{Device, Profile};
use crate::sessions::*;
use dialect::fairplay::test_root::{TestDevice, TestRoot};
use dialect::fairplay::{
    ApplicationFiles, Challenge, Credentials, Desk, Issue, KeySecurityModule, PlayerState,
    STANDIN_DERIVATION,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::SystemEntropy;
use std::num::NonZeroU32;
use std::sync::LazyLock;

const NOW: Timestamp = super::NOW;

/// A key server of one application.
struct Server {
    root: TestRoot,
    module: KeySecurityModule,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::new);
static DEVICE: LazyLock<TestDevice> = LazyLock::new(|| SERVER.root.make_device(&mut SystemEntropy));

impl Server {
    fn new() -> Self {
        let root = TestRoot::make(&mut SystemEntropy);
        let files = ApplicationFiles {
            certificate: &root.certificate,
            private_pem: &root.private_pem,
            secret_hex: &root.secret_hex,
            derivation: STANDIN_DERIVATION,
        };
        let credentials = Credentials::import(&files, NOW).unwrap();
        Self { module: KeySecurityModule::Own(credentials), root }
    }

    fn read(&self, message: &Message) -> Challenge {
        let desk = Desk { module: &self.module };
        Challenge::parse(&message.body, &desk, NOW).unwrap()
    }

    fn answer(&self, message: &Message, terms: &LicenseTerms, byte: u8) -> Vec<u8> {
        let key = LicensedKey {
            kid: kid(byte),
            key: content_key(byte),
            terms: KeyTerms {
                robustness: Robustness::HardwareKeys,
                hdcp: Hdcp::Unneeded,
                analog: AnalogOutput::Allowed,
                track_class: None,
            },
            iv: Some([byte; 16]),
        };
        let issue = Issue { terms, now: NOW };
        self.read(message).answer(&issue, key, &mut SystemEntropy).as_bytes().to_vec()
    }
}

/// A device, and a license that it asked to keep.
pub(super) fn system() -> System {
    system_of(&DEVICE)
}

pub(super) fn kept(sessions: &mut Sessions, terms: &LicenseTerms, now: Timestamp) -> Opened {
    let kind = SessionType::PersistentLicense;
    let mut opened = sessions.open(kind, &uri(1), now, &mut SystemEntropy).unwrap();
    if opened.message.kind == MessageKind::CertificateRequest {
        let certificate = &SERVER.root.certificate;
        let updated = sessions.update(opened.session, certificate, now, &mut SystemEntropy);
        opened.message = updated.unwrap().message.unwrap();
    }
    let challenge = SERVER.read(&opened.message);
    assert!(challenge.wants_persist());
    assert_eq!(challenge.playback().state, PlayerState::Starting);
    let license = SERVER.answer(&opened.message, terms, 1);
    sessions.update(opened.session, &license, now, &mut SystemEntropy).unwrap();
    opened
}

fn system_of(made: &TestDevice) -> System {
    let profile = Profile { hardware_hex: &made.hardware_hex, secret_hex: &made.secret_hex };
    System::FairPlay(Box::new(Device::parse(&profile).unwrap()))
}

fn sessions(made: &TestDevice) -> Sessions {
    Sessions::new(system_of(made))
}

fn uri(byte: u8) -> Vec<u8> {
    format!("skd://film?kid={}", kid(byte)).into_bytes()
}

/// A session that asked for its license; the first one asks for the certificate before.
fn asked(sessions: &mut Sessions, byte: u8) -> (SessionId, Message) {
    let (id, message) = sessions.request(&uri(byte), NOW, &mut SystemEntropy).unwrap();
    if message.kind == MessageKind::LicenseRequest {
        return (id, message);
    }
    assert_eq!((message.kind, message.body), (MessageKind::CertificateRequest, vec![]));
    let updated = update(sessions, id, &SERVER.root.certificate).unwrap();
    assert!(updated.keys.is_empty());
    (id, updated.message.unwrap())
}

/// A lease of these seconds.
fn lease(seconds: u32) -> LicenseTerms {
    LicenseTerms { license_s: NonZeroU32::new(seconds), ..terms() }
}

#[test]
fn a_session_asks_for_the_certificate_once_and_for_one_key() {
    let mut sessions = sessions(&DEVICE);
    let (id, message) = asked(&mut sessions, 1);
    let challenge = SERVER.read(&message);
    assert_eq!((challenge.kid(), challenge.content_id()), (kid(1), Some("film")));
    assert_eq!(challenge.playback().state, PlayerState::Starting);
    assert!(!challenge.wants_persist());
    let license = SERVER.answer(&message, &terms(), 1);
    let updated = update(&mut sessions, id, &license).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)]);
    assert_eq!(update(&mut sessions, id, &license), Err(CdmError::License), "once");
    let (_, next) = sessions.request(&uri(2), NOW, &mut SystemEntropy).unwrap();
    assert_eq!(next.kind, MessageKind::LicenseRequest);
    for data in [&b""[..], b"skd://", b"skd://film", b"skd://film?kid=1"] {
        let refused = sessions.request(data, NOW, &mut SystemEntropy);
        assert_eq!(refused.map(|_| ()), Err(CdmError::InitData));
    }
    assert_eq!(sessions.release(id, NOW), Ok(None));
    assert_eq!(sessions.close(id), Err(CdmError::NoSession));
}

#[test]
fn what_is_no_certificate_gets_no_request() {
    let mut sessions = sessions(&DEVICE);
    let (id, _) = sessions.request(&uri(1), NOW, &mut SystemEntropy).unwrap();
    let certificate = &SERVER.root.certificate;
    for answer in [&b""[..], b"{}", &certificate[1..], &certificate[..certificate.len() - 1]] {
        assert_eq!(update(&mut sessions, id, answer), Err(CdmError::Certificate));
    }
    let late = Timestamp(4_102_444_800_000).plus_s(1);
    let expired = sessions.update(id, certificate, late, &mut SystemEntropy);
    assert_eq!(expired, Err(CdmError::Certificate));
}

#[test]
fn a_license_for_one_request_is_refused_for_another() {
    let mut first = sessions(&DEVICE);
    let (one, message) = asked(&mut first, 1);
    let license = SERVER.answer(&message, &terms(), 1);
    let (two, _) = asked(&mut first, 1);
    assert_eq!(update(&mut first, two, &license), Err(CdmError::License));
    assert_eq!(first.statuses(two, NOW), Ok(vec![]));
    let made = SERVER.root.make_device(&mut SystemEntropy);
    let mut second = sessions(&made);
    let (other, _) = asked(&mut second, 1);
    assert_eq!(update(&mut second, other, &license), Err(CdmError::License), "another device");
    for answer in [&b""[..], b"{}", &license[..license.len() - 1]] {
        assert_eq!(update(&mut first, one, answer), Err(CdmError::License));
    }
    update(&mut first, one, &license).unwrap();
}

/// Version 1 has no seal over a license: padding may change unseen, and so may the key, which then
/// opens nothing. What proves the request, and every block's frame, may not.
#[test]
fn most_flipped_bytes_of_a_license_are_refused_and_none_gives_another_name() {
    let mut sessions = sessions(&DEVICE);
    let (mut refused, mut taken, mut at) = (0, 0, 0);
    loop {
        let (id, message) = asked(&mut sessions, 1);
        let mut license = SERVER.answer(&message, &lease(600), 1);
        let Some(byte) = license.get_mut(at) else { break };
        *byte ^= 0x80;
        at += 1;
        match update(&mut sessions, id, &license) {
            Err(error) => {
                assert_eq!(error, CdmError::License);
                assert_eq!(sessions.statuses(id, NOW), Ok(vec![]));
                refused += 1;
            }
            Ok(updated) => {
                assert_eq!(updated.keys.iter().map(|(kid, _)| *kid).collect::<Vec<_>>(), [kid(1)]);
                taken += 1;
            }
        }
        sessions.close(id).unwrap();
    }
    assert!(refused > taken, "{refused} refused, {taken} taken");
}

#[test]
fn a_lease_is_renewed_in_time_and_ends_where_nobody_answers() {
    let mut sessions = sessions(&DEVICE);
    let (id, message) = asked(&mut sessions, 1);
    let first = SERVER.read(&message).playback();
    let license = SERVER.answer(&message, &lease(60), 1);
    update(&mut sessions, id, &license).unwrap();
    let renew = |sessions: &mut Sessions, after_s| {
        sessions.renew(id, NOW.plus_s(after_s), &mut SystemEntropy).unwrap()
    };
    assert_eq!(renew(&mut sessions, 44), None);
    let due = renew(&mut sessions, 45).unwrap();
    assert_eq!(due.kind, MessageKind::LicenseRenewal);
    let challenge = SERVER.read(&due);
    assert_eq!(challenge.playback().state, PlayerState::PlayingNeedsKey);
    assert_eq!(challenge.playback().session_id, first.session_id);
    assert_eq!(renew(&mut sessions, 47), None, "one is on its way");
    let again = renew(&mut sessions, 48).unwrap();
    // Not answered: the old license goes on to its end.
    assert_eq!(sessions.statuses(id, NOW.plus_s(59)), Ok(vec![(kid(1), KeyStatus::Usable)]));
    assert_eq!(sessions.statuses(id, NOW.plus_s(60)), Ok(vec![(kid(1), KeyStatus::Expired)]));
    let update = |sessions: &mut Sessions, answer: &[u8]| {
        sessions.update(id, answer, NOW.plus_s(60), &mut SystemEntropy)
    };
    let late = SERVER.answer(&due, &lease(60), 1);
    assert_eq!(update(&mut sessions, &late), Err(CdmError::License), "it asked anew since");
    let renewed = SERVER.answer(&again, &lease(60), 1);
    let updated = update(&mut sessions, &renewed).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)], "from the request, 12 s ago");
    assert_eq!(sessions.statuses(id, NOW.plus_s(107)), Ok(vec![(kid(1), KeyStatus::Usable)]));
    assert_eq!(sessions.statuses(id, NOW.plus_s(108)), Ok(vec![(kid(1), KeyStatus::Expired)]));
}

#[test]
fn a_license_that_is_to_be_kept_was_not_asked_for() {
    let mut sessions = sessions(&DEVICE);
    let (id, message) = asked(&mut sessions, 1);
    let kept = LicenseTerms { can_persist: true, ..lease(60) };
    let license = SERVER.answer(&message, &kept, 1);
    assert_eq!(update(&mut sessions, id, &license), Err(CdmError::License));
}
