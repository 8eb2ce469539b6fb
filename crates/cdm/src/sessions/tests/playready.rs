//! Sessions against PlayReady's server.

use super::{content_key, kid, terms, update};
use crate::playready::{Device, Profile, Stage};
use crate::sessions::*;
use dialect::playready::test_root::{TestDevice, TestRoot};
use dialect::playready::{Credentials, Desk, Issue, Request, RevocationList, VerifiedChains};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::SystemEntropy;
use media::pssh;
use model::{Scheme, SecurityLevel};
use proptest::prelude::*;
use std::num::NonZeroU32;
use std::sync::LazyLock;

const NOW: Timestamp = super::NOW;

/// A license server with a root of its own.
struct Server {
    root: TestRoot,
    credentials: Credentials,
    chains: VerifiedChains,
    revoked: RevocationList,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::new);
static DEVICE: LazyLock<TestDevice> =
    LazyLock::new(|| SERVER.root.device(SecurityLevel::L3, &mut SystemEntropy));

impl Server {
    fn new() -> Self {
        let root = TestRoot::make(&mut SystemEntropy);
        let credentials = Credentials::import(
            &root.root_public,
            &root.wmrm_private_pem,
            &root.signing_chain,
            &root.signing_private_pem,
            NOW,
        );
        Self {
            credentials: credentials.unwrap(),
            chains: VerifiedChains::default(),
            revoked: RevocationList::parse(&root.revocation).unwrap(),
            root,
        }
    }

    fn read(&self, message: &Message) -> Request {
        let desk = Desk {
            credentials: &self.credentials,
            chains: &self.chains,
            revoked: &self.revoked,
            allows_test_level: true,
        };
        Request::parse(&message.body, &desk, NOW).unwrap()
    }

    /// Answers a license request with these keys, or an acknowledgement.
    fn answer(
        &self,
        message: &Message,
        terms: &LicenseTerms,
        keys: &[(u8, Robustness)],
    ) -> Vec<u8> {
        let issue = Issue { terms, scheme: Scheme::Cbcs, credentials: &self.credentials, now: NOW };
        match self.read(message) {
            Request::License(challenge) => {
                let keys = keys.iter().map(|(byte, robustness)| licensed(*byte, *robustness));
                let answer = challenge.answer(&issue, keys.collect(), &mut SystemEntropy);
                answer.as_bytes().to_vec()
            }
            Request::Acknowledgement(acknowledgement) => acknowledgement.answer(),
        }
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

const ANYWHERE: Robustness = Robustness::SoftwareKeys;

/// A device, and a license that it asked to keep.
pub(super) fn system() -> System {
    system_of(&DEVICE, SecurityLevel::L3)
}

pub(super) fn kept(sessions: &mut Sessions, terms: &LicenseTerms, now: Timestamp) -> Opened {
    let kind = SessionType::PersistentLicense;
    let opened = sessions.open(kind, &init_data(&[1]), now, &mut SystemEntropy).unwrap();
    let Request::License(challenge) = SERVER.read(&opened.message) else { panic!("a license") };
    assert!(challenge.wants_persist());
    let license = SERVER.answer(&opened.message, terms, &[(1, ANYWHERE)]);
    sessions.update(opened.session, &license, now, &mut SystemEntropy).unwrap();
    opened
}

fn system_of(made: &TestDevice, level: SecurityLevel) -> System {
    let profile = Profile {
        chain: &made.chain,
        signing_private_pem: &made.signing_private_pem,
        encryption_private_pem: &made.encryption_private_pem,
        root: &SERVER.root.root_public,
        wmrm: &SERVER.root.wmrm_public,
        level,
    };
    System::PlayReady(Box::new(Device::parse(&profile).unwrap()))
}

fn sessions(made: &TestDevice, level: SecurityLevel) -> Sessions {
    Sessions::new(system_of(made, level))
}

fn own() -> Sessions {
    sessions(&DEVICE, SecurityLevel::L3)
}

fn init_data(kids: &[u8]) -> Vec<u8> {
    kids.iter().flat_map(|byte| pssh::playready(kid(*byte), Scheme::Cbcs, None)).collect()
}

fn asked(sessions: &mut Sessions, kids: &[u8]) -> (SessionId, Message) {
    let (id, message) = sessions.request(&init_data(kids), NOW, &mut SystemEntropy).unwrap();
    assert_eq!(message.kind, MessageKind::LicenseRequest);
    (id, message)
}

#[test]
fn a_session_asks_for_every_key_at_once_and_tells_nobody_else_who_it_is() {
    let mut sessions = own();
    let data = [pssh::widevine(&[kid(9)], Scheme::Cbcs), init_data(&[2, 1, 2])].concat();
    let (id, message) = sessions.request(&data, NOW, &mut SystemEntropy).unwrap();
    let Request::License(challenge) = SERVER.read(&message) else { panic!("a license request") };
    assert_eq!(challenge.kids(), [kid(2), kid(1)]);
    assert_eq!((challenge.device().level, challenge.plays_cbcs()), (SecurityLevel::L3, true));
    let license = SERVER.answer(&message, &terms(), &[(1, ANYWHERE)]);
    let updated = update(&mut sessions, id, &license).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)], "one key was withheld");
    assert_eq!(updated.message, None, "nothing is kept, so nothing is acknowledged");
    assert_eq!(update(&mut sessions, id, &license), Err(CdmError::License), "once");
    assert_eq!(sessions.renew(id, NOW.plus_s(9), &mut SystemEntropy), Ok(None));
    assert_eq!(sessions.release(id, NOW), Ok(None));
    assert_eq!(sessions.close(id), Err(CdmError::NoSession));
    for data in [&b""[..], b"no box", &pssh::widevine(&[kid(9)], Scheme::Cbcs)] {
        let refused = sessions.request(data, NOW, &mut SystemEntropy);
        assert_eq!(refused.map(|_| ()), Err(CdmError::InitData));
    }
}

#[test]
fn a_license_captured_for_one_device_fails_in_another() {
    let mut first = own();
    let (id, message) = asked(&mut first, &[1]);
    let license = SERVER.answer(&message, &terms(), &[(1, ANYWHERE)]);
    let made = SERVER.root.device(SecurityLevel::L3, &mut SystemEntropy);
    let mut second = sessions(&made, SecurityLevel::L3);
    let (other, _) = asked(&mut second, &[1]);
    assert_eq!(update(&mut second, other, &license), Err(CdmError::License));
    // Not even with the very nonce that it answers.
    let Exchange::PlayReady(Stage::License(captured)) = first.open[&id].exchange else {
        panic!("it was asked")
    };
    second.open.get_mut(&other).unwrap().exchange = Exchange::PlayReady(Stage::License(captured));
    assert_eq!(update(&mut second, other, &license), Err(CdmError::License));
    assert_eq!(second.statuses(other, NOW), Ok(vec![]));
    update(&mut first, id, &license).unwrap();
}

#[test]
fn a_license_of_another_request_or_another_server_is_refused() {
    let mut sessions = own();
    let (one, first) = asked(&mut sessions, &[1]);
    let (other, second) = asked(&mut sessions, &[1]);
    let license = SERVER.answer(&first, &terms(), &[(1, ANYWHERE)]);
    let foreign = SERVER.answer(&second, &terms(), &[(1, ANYWHERE)]);
    for answer in [&foreign[..], b"", b"<html/>"] {
        assert_eq!(update(&mut sessions, one, answer), Err(CdmError::License));
    }
    // As if a key came that was not asked for.
    let asked = std::mem::take(&mut sessions.open.get_mut(&one).unwrap().boxes.kids);
    assert_eq!(update(&mut sessions, one, &license), Err(CdmError::License));
    sessions.open.get_mut(&one).unwrap().boxes.kids = asked;
    update(&mut sessions, one, &license).unwrap();
    update(&mut sessions, other, &foreign).unwrap();
    // A device that knows another root for signers.
    let foreign = TestRoot::make(&mut SystemEntropy);
    let profile = Profile {
        chain: &DEVICE.chain,
        signing_private_pem: &DEVICE.signing_private_pem,
        encryption_private_pem: &DEVICE.encryption_private_pem,
        root: &foreign.root_public,
        wmrm: &SERVER.root.wmrm_public,
        level: SecurityLevel::L3,
    };
    let mut wary = Sessions::new(System::PlayReady(Box::new(Device::parse(&profile).unwrap())));
    let (id, message) = wary.request(&init_data(&[1]), NOW, &mut SystemEntropy).unwrap();
    let license = SERVER.answer(&message, &terms(), &[(1, ANYWHERE)]);
    assert_eq!(update(&mut wary, id, &license), Err(CdmError::License));
}

/// The bytes of the response that count: what is signed, and its signature. The envelope around
/// them says nothing, and the key behind them must be the chain's.
fn signed_part(answer: &[u8]) -> std::ops::Range<usize> {
    let text = std::str::from_utf8(answer).unwrap();
    text.find("<LicenseResponse").unwrap()..text.find("</SignatureValue>").unwrap()
}

fn assert_flips_are_refused(at: impl Iterator<Item = usize>, by: u8) {
    let mut sessions = own();
    let (id, message) = asked(&mut sessions, &[1, 2]);
    let license = SERVER.answer(&message, &terms(), &[(1, ANYWHERE), (2, ANYWHERE)]);
    let signed = signed_part(&license);
    assert!(signed.len() > 2000, "{signed:?}");
    for at in at.map(|at| signed.start + at % signed.len()) {
        let mut flipped = license.clone();
        flipped[at] ^= by;
        assert_eq!(update(&mut sessions, id, &flipped), Err(CdmError::License), "byte {at}");
        assert_eq!(sessions.statuses(id, NOW), Ok(vec![]));
    }
    assert_eq!(update(&mut sessions, id, &license).unwrap().keys.len(), 2);
}

#[test]
fn every_flipped_byte_of_a_license_is_refused() {
    assert_flips_are_refused(0..4000, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_license_with_any_other_byte_is_refused(at in any::<u16>(), by in 1_u8..) {
        assert_flips_are_refused(std::iter::once(at.into()), by);
    }
}

#[test]
fn a_level_below_the_keys_and_an_output_below_its_demand_are_not_used() {
    let made = |level| SERVER.root.device(level, &mut SystemEntropy);
    for (level, usable) in [(SecurityLevel::L3, 1), (SecurityLevel::L2, 2), (SecurityLevel::L1, 3)]
    {
        let mut sessions = sessions(&made(level), level);
        let (id, message) = asked(&mut sessions, &[1, 2, 3]);
        let keys = [(1, ANYWHERE), (2, Robustness::HardwareKeys), (3, Robustness::HardwareAll)];
        let license = SERVER.answer(&message, &terms(), &keys);
        let keys = update(&mut sessions, id, &license).unwrap().keys;
        let found = keys.iter().filter(|(_, status)| *status == KeyStatus::Usable);
        assert_eq!((found.count(), keys.len()), (usable, 3), "{level}");
        assert!(
            keys.iter().all(|(_, status)| {
                matches!(status, KeyStatus::Usable | KeyStatus::InternalError)
            })
        );
    }
}

#[test]
fn a_license_ends_to_the_second_and_a_first_play_counts_its_own_time() {
    let s = NonZeroU32::new;
    let mut sessions = own();
    let (id, message) = asked(&mut sessions, &[1]);
    let spans = LicenseTerms { license_s: s(600), playback_s: s(60), ..terms() };
    let license = SERVER.answer(&message, &spans, &[(1, ANYWHERE)]);
    update(&mut sessions, id, &license).unwrap();
    let status =
        |sessions: &mut Sessions, after_s| sessions.statuses(id, NOW.plus_s(after_s)).unwrap()[0].1;
    assert_eq!(status(&mut sessions, 500), KeyStatus::Usable, "nothing was played yet");
    sessions.open.get_mut(&id).unwrap().license.as_mut().unwrap().usage.plays(NOW.plus_s(500));
    assert_eq!(status(&mut sessions, 559), KeyStatus::Usable);
    assert_eq!(status(&mut sessions, 560), KeyStatus::Expired);
    let mut unplayed = own();
    let (id, message) = asked(&mut unplayed, &[1]);
    let license = SERVER.answer(&message, &spans, &[(1, ANYWHERE)]);
    update(&mut unplayed, id, &license).unwrap();
    let status =
        |sessions: &mut Sessions, after_s| sessions.statuses(id, NOW.plus_s(after_s)).unwrap()[0].1;
    assert_eq!(status(&mut unplayed, 599), KeyStatus::Usable);
    assert_eq!(status(&mut unplayed, 600), KeyStatus::Expired);
}

#[test]
fn a_license_that_may_be_kept_is_acknowledged_once() {
    let mut sessions = own();
    let (id, message) = asked(&mut sessions, &[1]);
    let kept = LicenseTerms { can_persist: true, license_s: NonZeroU32::new(600), ..terms() };
    let license = SERVER.answer(&message, &kept, &[(1, ANYWHERE)]);
    let updated = update(&mut sessions, id, &license).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)]);
    let told = updated.message.unwrap();
    assert_eq!(told.kind, MessageKind::LicenseAcknowledgement);
    let heard = SERVER.answer(&told, &kept, &[]);
    let updated = update(&mut sessions, id, &heard).unwrap();
    assert_eq!((updated.message, updated.keys.len()), (None, 1));
    assert_eq!(update(&mut sessions, id, &heard), Err(CdmError::License));
    assert_eq!(sessions.statuses(id, NOW), Ok(vec![(kid(1), KeyStatus::Usable)]));
}

#[test]
fn a_device_is_one_chain_with_its_keys_and_knows_its_service() {
    let other = SERVER.root.device(SecurityLevel::L3, &mut SystemEntropy);
    let profile = Profile {
        chain: &DEVICE.chain,
        signing_private_pem: &DEVICE.signing_private_pem,
        encryption_private_pem: &DEVICE.encryption_private_pem,
        root: &SERVER.root.root_public,
        wmrm: &SERVER.root.wmrm_public,
        level: SecurityLevel::L3,
    };
    assert!(Device::parse(&profile).is_ok());
    for wrong in [
        Profile { chain: &other.chain, ..profile },
        Profile { signing_private_pem: &DEVICE.encryption_private_pem, ..profile },
        Profile { encryption_private_pem: "no key", ..profile },
        Profile { root: &[4; 64], ..profile },
        Profile { wmrm: b"", ..profile },
    ] {
        assert!(Device::parse(&wrong).is_err());
    }
}
