//! What is kept beyond the process, on a clock of the tests' own: restarts, other devices and
//! origins, changed bytes, licenses that go back, records of use.

use super::{DEVICE, SERVER, device, fairplay, init_data, kid, playready, terms};
use crate::persistence::{KeptRecord, MAX_RECORDS, RecordKind, StateError};
use crate::record::{KeptId, Origin, SessionType};
use crate::sessions::*;
use crate::track::{Protection, Track};
use dialect::terms::LicenseTerms;
use dialect::widevine::{RenewalKind, Request};
use keys::SystemEntropy;
use media::cenc::{SampleInfo, Subsample, Tenc};
use media::cmaf::{Entry, Fragment, SampleProtection, open_media_data};
use model::{Scheme, SecurityLevel};
use std::num::NonZeroU32;

pub(super) const NOW: Timestamp = super::NOW;

/// A system with a device, and how it comes to a license that it keeps.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) system: fn() -> System,
    pub(super) kept: fn(&mut Sessions, &LicenseTerms, Timestamp) -> Opened,
}

pub(super) const KINDS: [Kind; 3] = [
    Kind { name: "widevine", system: widevine_system, kept },
    Kind { name: "playready", system: playready::system, kept: playready::kept },
    Kind { name: "fairplay", system: fairplay::system, kept: fairplay::kept },
];

fn widevine_system() -> System {
    System::Widevine(Box::new(device(&DEVICE, &SERVER.root)))
}

fn kept(sessions: &mut Sessions, terms: &LicenseTerms, now: Timestamp) -> Opened {
    licensed(sessions, SessionType::PersistentLicense, terms, now)
}

/// A session of this type with its license.
fn licensed(
    sessions: &mut Sessions,
    kind: SessionType,
    terms: &LicenseTerms,
    now: Timestamp,
) -> Opened {
    let opened = asked(sessions, kind, now);
    let license = SERVER.answer(&opened.message, terms, &[1]);
    let updated = sessions.update(opened.session, &license, now, &mut SystemEntropy).unwrap();
    assert_eq!(updated.keys, [(kid(1), KeyStatus::Usable)]);
    opened
}

fn asked(sessions: &mut Sessions, kind: SessionType, now: Timestamp) -> Opened {
    let mut opened = sessions.open(kind, &init_data(&[1]), now, &mut SystemEntropy).unwrap();
    if opened.message.kind == MessageKind::CertificateRequest {
        let certificate = SERVER.credentials.service_certificate();
        let updated = sessions.update(opened.session, &certificate, now, &mut SystemEntropy);
        opened.message = updated.unwrap().message.unwrap();
    }
    opened
}

pub(super) fn origin() -> Origin {
    Origin::parse("https://video.example").unwrap()
}

pub(super) fn to_keep() -> LicenseTerms {
    LicenseTerms { can_persist: true, license_s: NonZeroU32::new(3600), ..terms() }
}

/// A run of the CDM upon what an earlier one left.
pub(super) fn run(kind: &Kind, state: Option<&[u8]>) -> Sessions {
    Sessions::with_state((kind.system)(), origin(), state).unwrap()
}

/// A license that is kept, and the state.
pub(super) fn kept_state(kind: &Kind, terms: &LicenseTerms) -> (KeptId, Vec<u8>) {
    let mut sessions = run(kind, None);
    let opened = (kind.kept)(&mut sessions, terms, NOW);
    let state = sessions.unkept_state(&mut SystemEntropy).expect("a license is kept at once");
    let ended = sessions.last_state(NOW, &mut SystemEntropy).unwrap_or(state);
    (opened.kept.unwrap(), ended)
}

/// Something of the track plays.
pub(super) fn play(sessions: &mut Sessions, now: Timestamp) -> Result<(), CdmError> {
    let tenc = Tenc { pattern: Some((1, 9)), iv_size: 0, kid: kid(1), constant_iv: Some([1; 16]) };
    let protection = Some(Protection { scheme: Scheme::Cbcs, tenc, groups: vec![] });
    let track = Track { protection, init_data: vec![], default_size: 0, clear_init: vec![] };
    sessions.decrypt(&track, &mut fragment(), now)
}

/// A fragment of one sample.
fn fragment() -> Vec<u8> {
    let (mut infos, mut out) = (vec![], vec![]);
    let map = [Subsample { clear: 0, protected: 16 }];
    let size = SampleInfo::write(None, &map, &mut infos).unwrap();
    let samples = [Entry { duration: 40, size: 16, composition: 0, is_sync: true }];
    let (entries, sizes) = (&infos[..], &[size][..]);
    let protection = Some(SampleProtection { entries, sizes, has_subsamples: true });
    let fragment = Fragment {
        sequence: 1,
        decode_time: 0,
        samples: &samples,
        protection,
        description: 1,
        rotation: None,
    };
    fragment.write(&mut out);
    open_media_data(16, &mut out);
    out.extend([0; 16]);
    out
}

#[test]
fn a_kept_license_plays_in_a_later_run() {
    for kind in &KINDS {
        let (id, state) = kept_state(kind, &to_keep());
        let mut later = run(kind, Some(&state));
        let records = later.kept();
        assert_eq!(records, [KeptRecord { id, kind: RecordKind::License }], "{}", kind.name);
        assert_eq!(play(&mut later, NOW.plus_s(9)), Err(CdmError::NoKey), "not before it is open");
        let restored = later.restore(id, NOW.plus_s(9)).unwrap();
        assert_eq!(restored.keys, [(kid(1), KeyStatus::Usable)]);
        assert_eq!(restored.message, None);
        assert_eq!(play(&mut later, NOW.plus_s(9)), Ok(()));
        assert_eq!(later.restore(id, NOW.plus_s(9)), Err(CdmError::IsOpen));
        later.close(restored.session).unwrap();
        assert_eq!(play(&mut later, NOW.plus_s(9)), Err(CdmError::NoKey));
        assert_eq!(later.kept().len(), 1, "closing forgets nothing");
    }
}

#[test]
fn a_temporary_session_leaves_nothing() {
    let mut sessions = run(&KINDS[0], None);
    licensed(&mut sessions, SessionType::Temporary, &terms(), NOW);
    play(&mut sessions, NOW).unwrap();
    let mut entropy = SystemEntropy;
    assert_eq!(sessions.unkept_state(&mut entropy), None);
    assert_eq!(sessions.last_state(NOW.plus_s(99), &mut entropy), None);
}

#[test]
fn what_one_device_keeps_is_refused_by_name_to_another() {
    let made = SERVER.root.model(SecurityLevel::L3).make_device(&mut SystemEntropy);
    let other = || System::Widevine(Box::new(device(&made, &SERVER.root)));
    let (id, state) = kept_state(&KINDS[0], &to_keep());
    let refused = |system, state: &[u8]| {
        Sessions::with_state(system, origin(), Some(state)).map(|_| ()).unwrap_err()
    };
    assert_eq!(refused(other(), &state), StateError::OtherDevice);
    for kind in &KINDS[1..] {
        assert_eq!(refused((kind.system)(), &state), StateError::OtherDevice);
    }
    // Not even under the other device's name.
    let (_, theirs) = {
        let mut sessions = Sessions::with_state(other(), origin(), None).unwrap();
        let opened = kept(&mut sessions, &to_keep(), NOW);
        (opened, sessions.unkept_state(&mut SystemEntropy).unwrap())
    };
    let forged = [&theirs[..24], &state[24..]].concat();
    assert_eq!(refused(other(), &forged), StateError::Changed);
    assert_eq!(refused(System::ClearKey, &state), StateError::NoDevice);
    assert!(run(&KINDS[0], Some(&state)).restore(id, NOW).is_ok());
}

#[test]
fn what_is_kept_for_one_origin_is_refused_by_name_to_another() {
    for kind in &KINDS {
        let (id, state) = kept_state(kind, &to_keep());
        for foreign in ["http://video.example", "https://video.example:8443", "https://example"] {
            let foreign = Origin::parse(foreign).unwrap();
            let sessions = Sessions::with_state((kind.system)(), foreign, Some(&state));
            let mut sessions = sessions.unwrap();
            assert!(sessions.kept().is_empty(), "nor is it told of");
            assert_eq!(sessions.restore(id, NOW), Err(CdmError::OtherOrigin), "{}", kind.name);
        }
    }
}

#[test]
fn a_state_with_any_other_byte_is_refused_and_so_is_one_that_is_cut_off() {
    let (id, state) = kept_state(&KINDS[2], &to_keep());
    let take =
        |state: &[u8]| Sessions::with_state((KINDS[2].system)(), origin(), Some(state)).map(|_| ());
    for at in 0..state.len() {
        for bit in [0x01, 0x80] {
            let mut changed = state.clone();
            changed[at] ^= bit;
            let refused = match at {
                0..8 => StateError::Version,
                8..24 => StateError::OtherDevice,
                _ => StateError::Changed,
            };
            assert_eq!(take(&changed), Err(refused), "byte {at}");
        }
        assert!(take(&state[..at]).is_err(), "cut at {at}");
    }
    let too_long = [&state[..], &vec![0; crate::MAX_STATE_BYTES]].concat();
    assert_eq!(take(&too_long), Err(StateError::TooLarge));
    run(&KINDS[2], Some(&state)).restore(id, NOW).unwrap();
}

#[test]
fn what_the_server_does_not_let_be_kept_is_not_kept() {
    let mut sessions = run(&KINDS[0], None);
    let opened = asked(&mut sessions, SessionType::PersistentLicense, NOW);
    let license = SERVER.answer(&opened.message, &terms(), &[1]);
    let refused = sessions.update(opened.session, &license, NOW, &mut SystemEntropy);
    assert_eq!(refused, Err(CdmError::NotToBeKept));
    assert_eq!(sessions.unkept_state(&mut SystemEntropy), None);
    // And a system keeps only what it can tell the end of.
    let data = media::pssh::common(&[kid(1)]);
    let (license, usage) = (SessionType::PersistentLicense, SessionType::PersistentUsageRecord);
    for kind in [license, usage] {
        let mut clear = Sessions::new(System::ClearKey);
        let refused = clear.open(kind, &data, NOW, &mut SystemEntropy);
        assert_eq!(refused, Err(CdmError::SessionType));
    }
    for kind in &KINDS[1..] {
        let refused = run(kind, None).open(usage, &data, NOW, &mut SystemEntropy);
        assert_eq!(refused, Err(CdmError::SessionType), "{}", kind.name);
    }
    let mut without = Sessions::new((KINDS[0].system)());
    let refused = without.open(license, &init_data(&[1]), NOW, &mut SystemEntropy);
    assert_eq!(refused, Err(CdmError::SessionType), "without a place to keep it");
}

#[test]
fn a_license_that_goes_back_plays_nothing_and_stays_until_its_server_knows() {
    let (id, state) = kept_state(&KINDS[0], &to_keep());
    let mut sessions = run(&KINDS[0], Some(&state));
    let restored = sessions.restore(id, NOW.plus_s(5)).unwrap();
    play(&mut sessions, NOW.plus_s(10)).unwrap();
    let release = sessions.release(restored.session, NOW.plus_s(30)).unwrap().unwrap();
    assert_eq!(release.kind, MessageKind::LicenseRelease);
    assert_eq!(play(&mut sessions, NOW.plus_s(30)), Err(CdmError::NoKey));
    // Killed here.
    let state = sessions.unkept_state(&mut SystemEntropy).expect("it is gone for good");
    let mut later = run(&KINDS[0], Some(&state));
    assert_eq!(later.kept(), [KeptRecord { id, kind: RecordKind::Release }]);
    let restored = later.restore(id, NOW.plus_s(100)).unwrap();
    assert!(restored.keys.is_empty());
    assert_eq!(play(&mut later, NOW.plus_s(100)), Err(CdmError::NoKey));
    let message = restored.message.unwrap();
    let Request::Existing(told) = SERVER.read(&message) else { panic!("a release") };
    assert_eq!(told.kind(), RenewalKind::Release);
    assert_eq!((told.since_started_s(), told.since_last_played_s()), (Some(90), Some(90)));
    assert_eq!(later.release(restored.session, NOW.plus_s(100)), Ok(None), "it is on its way");
    assert_eq!(later.kept().len(), 1);
    let answer = SERVER.answer(&message, &to_keep(), &[]);
    later.update(restored.session, &answer, NOW.plus_s(100), &mut SystemEntropy).unwrap();
    assert!(later.kept().is_empty());
    let state = later.unkept_state(&mut SystemEntropy).unwrap();
    assert_eq!(run(&KINDS[0], Some(&state)).restore(id, NOW), Err(CdmError::NotKept));
}

#[test]
fn systems_without_a_release_message_forget_at_once() {
    for kind in &KINDS[1..] {
        let (id, state) = kept_state(kind, &to_keep());
        let mut sessions = run(kind, Some(&state));
        let restored = sessions.restore(id, NOW).unwrap();
        assert_eq!(sessions.release(restored.session, NOW), Ok(None));
        let state = sessions.unkept_state(&mut SystemEntropy).unwrap();
        assert_eq!(run(kind, Some(&state)).restore(id, NOW), Err(CdmError::NotKept));
    }
}

#[test]
fn a_record_of_use_holds_times_and_no_key_until_its_server_has_heard_of_it() {
    let mut sessions = run(&KINDS[0], None);
    let opened = licensed(&mut sessions, SessionType::PersistentUsageRecord, &terms(), NOW);
    let mut entropy = SystemEntropy;
    assert_eq!(sessions.unkept_state(&mut entropy), None, "nothing was played");
    assert!(sessions.kept().is_empty());
    play(&mut sessions, NOW.plus_s(10)).unwrap();
    assert!(sessions.unkept_state(&mut entropy).is_some(), "the first sample");
    play(&mut sessions, NOW.plus_s(19)).unwrap();
    assert_eq!(sessions.unkept_state(&mut entropy), None);
    play(&mut sessions, NOW.plus_s(21)).unwrap();
    let crashed = sessions.unkept_state(&mut entropy).expect("every ten seconds");
    play(&mut sessions, NOW.plus_s(27)).unwrap();
    sessions.close(opened.session).unwrap();
    let closed = sessions.last_state(NOW.plus_s(27), &mut entropy).unwrap();
    let id = opened.kept.unwrap();
    for (state, last) in [(crashed, 21), (closed, 27)] {
        let mut later = run(&KINDS[0], Some(&state));
        assert_eq!(later.kept(), [KeptRecord { id, kind: RecordKind::UsageRecord }]);
        let at = NOW.plus_s(100);
        let restored = later.restore(id, at).unwrap();
        assert!(restored.keys.is_empty());
        assert_eq!(play(&mut later, at), Err(CdmError::NoKey));
        let message = restored.message.unwrap();
        assert_eq!(message.kind, MessageKind::LicenseRelease);
        let Request::Existing(told) = SERVER.read(&message) else { panic!("a release") };
        assert_eq!(told.since_started_s(), Some(90));
        assert_eq!(told.since_last_played_s(), Some(100 - last));
        for wrong in [&b""[..], &message.body] {
            let refused = later.update(restored.session, wrong, at, &mut entropy);
            assert_eq!(refused, Err(CdmError::License));
        }
        assert_eq!(later.kept().len(), 1, "only its server's word ends it");
        let answer = SERVER.answer(&message, &terms(), &[]);
        later.update(restored.session, &answer, at, &mut entropy).unwrap();
        let state = later.unkept_state(&mut entropy).unwrap();
        assert_eq!(run(&KINDS[0], Some(&state)).restore(id, at), Err(CdmError::NotKept));
    }
}

#[test]
fn records_are_counted() {
    let mut sessions = run(&KINDS[2], None);
    for _ in 0..MAX_RECORDS {
        let opened = (KINDS[2].kept)(&mut sessions, &to_keep(), NOW);
        sessions.close(opened.session).unwrap();
    }
    let state = sessions.unkept_state(&mut SystemEntropy).unwrap();
    let mut later = run(&KINDS[2], Some(&state));
    let data = format!("skd://film?kid={}", kid(1)).into_bytes();
    let refused = later.open(SessionType::PersistentLicense, &data, NOW, &mut SystemEntropy);
    assert_eq!(refused, Err(CdmError::TooManyRecords));
    assert_eq!(later.kept().len(), MAX_RECORDS);
}
