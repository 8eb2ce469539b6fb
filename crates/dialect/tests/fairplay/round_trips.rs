//! What the client asks, the server reads; what the server answers, this client opens, and no other.

use crate::world::*;
use dialect::fairplay::client::{Ask, Draft, kid_of};
use dialect::fairplay::{
    Batch, Challenge, ChallengeError, Desk, Framing, Issue, LicenseError, OpenedLicense, Playback,
    PlayerState, Streaming,
};
use dialect::terms::LicensedKey;
use keys::SystemEntropy;
use model::{Scheme, Timestamp};

fn is_licensed(license: &OpenedLicense, byte: u8) {
    let [key] = license.keys.as_slice() else { panic!("{license:?}") };
    assert_eq!((key.kid, key.iv), (kid(byte), Some(IV)));
    assert_eq!(fingerprint(&key.key), fingerprint(&content_key(byte)));
    assert_eq!((&license.terms, license.scheme), (&lease(3600), Some(Scheme::Cbcs)));
}

#[test]
fn a_license_arrives_in_each_framing() {
    for framing in Framing::ALL {
        let asset = asset(1);
        let asked = Ask { framing, ..ask(&asset) };
        let (pending, body) = WORLD.device.ask(&asked, &mut SystemEntropy);
        assert_eq!(WORLD.challenge(&body).framing(), framing);
        let answer = WORLD.answer(&body, licensed(1));
        assert_eq!(answer.media_type(), framing.media_type());
        is_licensed(&answer.read_back().unwrap(), 1);
        let later = NOW.plus_s(2);
        let license = pending.open(answer.as_bytes(), later).unwrap();
        is_licensed(&license, 1);
        assert_eq!(license.started_s, later.as_s());
        assert_eq!(answer.read_back().unwrap().started_s, NOW.as_s());
    }
}

#[test]
fn several_certificates_are_known_at_a_time() {
    let asset = asset(1);
    for (device, certificate) in [
        (&WORLD.device, &WORLD.certificate),
        (&WORLD.other_device, &WORLD.certificate),
        (&WORLD.older_device, &WORLD.older_certificate),
    ] {
        let asked = Ask { certificate, ..ask(&asset) };
        let (pending, body) = device.ask(&asked, &mut SystemEntropy);
        let answer = WORLD.answer(&body, licensed(1));
        is_licensed(&pending.open(answer.as_bytes(), NOW).unwrap(), 1);
    }
    assert_eq!(WORLD.module.certificate(), Some(&WORLD.root.certificate[..]));
}

#[test]
fn the_three_forms_of_an_asset_id_name_the_same_key() {
    for (asset_id, content_id) in [
        (format!("skd://film?kid={}", kid(0xa1)), Some("film")),
        (format!("film?kid={}", kid(0xa1).to_string().to_uppercase()), Some("film")),
        (kid(0xa1).to_string(), None),
    ] {
        let (_, body) = WORLD.device.ask(&ask(&asset_id), &mut SystemEntropy);
        let challenge = WORLD.challenge(&body);
        assert_eq!((challenge.kid(), challenge.content_id()), (kid(0xa1), content_id));
        assert_eq!(kid_of(asset_id.as_bytes()), Ok(kid(0xa1)));
    }
}

#[test]
fn what_the_client_says_is_read() {
    let asset = asset(1);
    let started = Timestamp(NOW.0 - 90_000);
    let first = Playback::start(started, &mut SystemEntropy);
    for streaming in [Streaming::Device, Streaming::AirPlay, Streaming::Adapter] {
        let asked = Ask { streaming, playback: Some(first.renewing()), ..ask(&asset) };
        let (_, body) = WORLD.device.ask(&asked, &mut SystemEntropy);
        let challenge = WORLD.challenge(&body);
        let said = challenge.asked();
        assert_eq!(said.streaming, streaming);
        assert_eq!(said.capabilities, WORLD.device.capabilities);
        assert_eq!(said.transaction_id.as_ref().map(Vec::len), Some(8));
        let playback = challenge.playback();
        assert_eq!((playback.age_s, playback.session_id), (90, first.session_id));
        assert!(playback.is_renewal());
    }
    let states = [PlayerState::Starting, PlayerState::PlayingNeedsKey];
    let states = states.into_iter().chain([PlayerState::Playing, PlayerState::Halted]);
    for (state, is_renewal) in states.zip([false, true, true, false]) {
        let asked = Ask { playback: Some(Playback { state, ..playback() }), ..ask(&asset) };
        let (_, body) = WORLD.device.ask(&asked, &mut SystemEntropy);
        let said = WORLD.challenge(&body).playback();
        assert_eq!((said.state, said.is_renewal()), (state, is_renewal));
    }
    // A clock that is ahead makes no age below zero.
    let ahead = Playback::start(NOW.plus_s(100), &mut SystemEntropy);
    let (_, body) =
        WORLD.device.ask(&Ask { playback: Some(ahead), ..ask(&asset) }, &mut SystemEntropy);
    assert_eq!(WORLD.challenge(&body).playback().age_s, 0);
}

#[test]
fn a_device_has_one_hash_and_others_another() {
    let hardware = |device| WORLD.challenge(&ask_kid(device, 1).1).asked().hardware;
    assert_eq!(hardware(&WORLD.device), hardware(&WORLD.device));
    assert_ne!(hardware(&WORLD.device), hardware(&WORLD.other_device));
}

#[test]
fn persistence_is_the_applications_wish_in_forms_and_json() {
    let asset = asset(1);
    for framing in Framing::ALL {
        for persist in [false, true] {
            let asked = Ask { framing, persist, ..ask(&asset) };
            let (_, body) = WORLD.device.ask(&asked, &mut SystemEntropy);
            let expected = persist && framing != Framing::Octets;
            assert_eq!(WORLD.challenge(&body).wants_persist(), expected);
        }
    }
}

#[test]
fn a_license_answers_one_request_only() {
    let (first, body) = ask_kid(&WORLD.device, 1);
    let answer = WORLD.answer(&body, licensed(1));
    // The same device and key, another request; and another device.
    for device in [&WORLD.device, &WORLD.other_device] {
        let (second, _) = ask_kid(device, 1);
        let refusal = second.open(answer.as_bytes(), NOW).err();
        assert_eq!(refusal, Some(LicenseError::Payload));
    }
    is_licensed(&first.open(answer.as_bytes(), NOW).unwrap(), 1);
}

/// A renewal is a license of its own: asked under the same name, answered in full.
#[test]
fn a_renewal_brings_the_key_again_and_a_lease_of_its_own() {
    let (asset, first) = (asset(1), playback());
    let (before, body) =
        WORLD.device.ask(&Ask { playback: Some(first), ..ask(&asset) }, &mut SystemEntropy);
    let old = WORLD.answer(&body, licensed(1));
    let renewing = Ask { playback: Some(first.renewing()), ..ask(&asset) };
    let (pending, body) = WORLD.device.ask(&renewing, &mut SystemEntropy);
    let challenge = Challenge::parse(&body, &Desk { module: &WORLD.module }, NOW.plus_s(3000));
    let challenge = challenge.unwrap();
    let said = challenge.playback();
    assert!(said.is_renewal());
    assert_eq!((said.age_s, said.session_id), (3000, first.session_id));
    let issue = Issue { terms: &lease(600), now: NOW.plus_s(3000) };
    let answer = challenge.answer(&issue, licensed(1), &mut SystemEntropy);
    let license = pending.open(answer.as_bytes(), NOW.plus_s(3000)).unwrap();
    assert_eq!(license.terms, lease(600));
    assert_eq!(fingerprint(&license.keys[0].key), fingerprint(&content_key(1)));
    // Neither answer serves the other request.
    assert_eq!(before.open(answer.as_bytes(), NOW).err(), Some(LicenseError::Payload));
    assert_eq!(pending.open(old.as_bytes(), NOW).err(), Some(LicenseError::Payload));
}

/// Another seed under the same R1, and another R1 under the same seed, each make another key; R1
/// is compared as well.
#[test]
fn both_r1_and_the_seed_bind_an_answer() {
    let mut changed = draft(1);
    let seed = changed.blocks.iter_mut().find(|(tag, _)| *tag == tag::SEED).unwrap();
    seed.1[0] ^= 1;
    // The client holds the seed that it drew; its message says another.
    let (pending, spc) = sent(changed);
    let answer = WORLD.answer(&spc, licensed(1));
    assert!(answer.read_back().is_ok());
    assert_eq!(pending.open(answer.as_bytes(), NOW).err(), Some(LicenseError::Payload));
    // The secrets of one request in the message of another.
    let (honest, mut mixed) = (draft(1), draft(1));
    for tag in [tag::SESSION, tag::INTEGRITY, tag::R2] {
        let value = honest.blocks.iter().find(|(own, _)| *own == tag).unwrap().1.clone();
        mixed.blocks.iter_mut().find(|(own, _)| *own == tag).unwrap().1 = value;
    }
    let (pending, spc) = sent(mixed);
    let answer = WORLD.answer(&spc, licensed(1));
    assert_eq!(pending.open(answer.as_bytes(), NOW).err(), Some(LicenseError::Payload));
}

#[test]
fn no_two_requests_and_no_two_licenses_are_equal() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (pending, body) = ask_kid(&WORLD.device, 1);
        let answer = WORLD.answer(&body, licensed(1));
        assert!(pending.open(answer.as_bytes(), NOW).is_ok());
        let again = WORLD.answer(&body, licensed(1));
        for bytes in [answer.as_bytes().to_vec(), again.as_bytes().to_vec(), body] {
            assert!(seen.insert(bytes));
        }
    }
}

#[test]
fn no_key_stands_in_the_clear() {
    let (_, body) = ask_kid(&WORLD.device, 0xa1);
    let answer = WORLD.answer(&body, licensed(0xa1));
    let holds = |byte: u8| answer.as_bytes().windows(8).any(|window| window == [byte; 8]);
    // The key repeats one byte, the IV another.
    assert!(!holds(0xa1) && !holds(0xab));
}

#[test]
fn a_key_that_was_not_asked_for_is_not_written() {
    let (pending, body) = ask_kid(&WORLD.device, 1);
    let answer = WORLD.answer(&body, licensed(2));
    assert_eq!(answer.read_back().err(), Some(LicenseError::NoKey));
    assert_eq!(pending.open(answer.as_bytes(), NOW).err(), Some(LicenseError::NoKey));
}

#[test]
fn terms_that_play_nothing_write_no_key() {
    let (_, body) = ask_kid(&WORLD.device, 1);
    let terms = dialect::terms::LicenseTerms { can_play: false, ..lease(60) };
    let issue = Issue { terms: &terms, now: NOW };
    let answer = WORLD.challenge(&body).answer(&issue, licensed(1), &mut SystemEntropy);
    assert_eq!(answer.read_back().err(), Some(LicenseError::NoKey));
}

#[test]
fn a_key_without_an_iv_comes_with_zeros() {
    let (pending, body) = ask_kid(&WORLD.device, 1);
    let answer = WORLD.answer(&body, LicensedKey { iv: None, ..licensed(1) });
    let license = pending.open(answer.as_bytes(), NOW).unwrap();
    assert_eq!(license.keys[0].iv, Some([0; 16]));
}

#[test]
fn unknown_blocks_come_back_where_they_are_asked_for() {
    let own = [(0x0123_4567_89ab_cdef_u64, vec![7; 37]), (2, vec![]), (3, vec![9; 16])];
    let mut draft = draft(1);
    draft.blocks.extend(own.clone());
    // The third is not asked for: its second copy harms nothing.
    draft.blocks.push(own[2].clone());
    set_returned(&mut draft, &[own[0].0, own[1].0, tag::R2, tag::ASSET_ID]);
    let (pending, spc) = sent(draft);
    let answer = WORLD.answer(&spc, licensed(1));
    is_licensed(&answer.read_back().unwrap(), 1);
    is_licensed(&pending.open(answer.as_bytes(), NOW).unwrap(), 1);
}

#[test]
fn nothing_need_be_returned_and_versions_need_not_be_said() {
    let mut draft = draft(1);
    let optional = [tag::RETURN_REQUEST, tag::SUPPORTED, tag::USED, tag::CAPABILITIES];
    draft.blocks.retain(|(tag, _)| !optional.contains(tag) && *tag != tag::TRANSACTION);
    let (pending, spc) = sent(draft);
    let mut key = licensed(1);
    key.terms.hdcp = dialect::terms::Hdcp::V1;
    let answer = WORLD.answer(&spc, key);
    is_licensed(&pending.open(answer.as_bytes(), NOW).unwrap(), 1);
}

pub fn set_returned(draft: &mut Draft, tags: &[u64]) {
    let list: Vec<u8> = tags.iter().flat_map(|tag| tag.to_be_bytes()).collect();
    draft.blocks.retain(|(tag, _)| *tag != tag::RETURN_REQUEST);
    draft.blocks.push((tag::RETURN_REQUEST, list));
}

#[test]
fn several_keys_are_asked_for_at_once_and_each_license_is_its_request_s() {
    let assets = [1, 2, 3].map(asset);
    let asks = assets.each_ref().map(|asset| ask(asset));
    let (pending, body) = WORLD.device.ask_many(&asks, &mut SystemEntropy);
    let desk = Desk { module: &WORLD.module };
    let batch = Batch::parse(&body, &desk, NOW).unwrap();
    assert!(batch.is_of_several());
    let kids: Vec<_> = batch.challenges().iter().map(Challenge::kid).collect();
    assert_eq!(kids, [kid(1), kid(2), kid(3)]);
    let issue = Issue { terms: &lease(3600), now: NOW };
    let answer = batch.answer(&issue, &[licensed(3), licensed(1)], &mut SystemEntropy);
    assert_eq!(answer.media_type(), "application/json");
    let read: Vec<_> = answer.read_back().unwrap().keys.iter().map(|key| key.kid).collect();
    assert_eq!(read, [kid(1), kid(3)]);
    let licenses = pending.open(answer.as_bytes(), NOW).unwrap();
    let [Some(first), None, Some(third)] = &licenses[..] else { panic!("{licenses:?}") };
    is_licensed(first, 1);
    is_licensed(third, 3);
    // Another order of the same answers opens nothing.
    let mut json: serde_json::Value = serde_json::from_slice(answer.as_bytes()).unwrap();
    json["ckc"].as_array_mut().unwrap().swap(0, 2);
    assert!(pending.open(json.to_string().as_bytes(), NOW).is_err());
    json["ckc"].as_array_mut().unwrap().pop();
    let short = pending.open(json.to_string().as_bytes(), NOW);
    assert_eq!(short.map(|all| all.len()), Err(LicenseError::Malformed));
    // A request for one does not take several.
    let one = Challenge::parse(&body, &desk, NOW).map(|challenge| challenge.kid());
    assert_eq!(one, Err(ChallengeError::SpcTwice));
}

#[test]
fn a_key_asked_for_twice_and_one_bad_request_refuse_all() {
    let assets = [1, 2, 1].map(asset);
    let asks = assets.each_ref().map(|asset| ask(asset));
    let desk = Desk { module: &WORLD.module };
    let refusal =
        |body: &[u8]| Batch::parse(body, &desk, NOW).map(|batch| batch.challenges().len());
    let (_, body) = WORLD.device.ask_many(&asks, &mut SystemEntropy);
    assert_eq!(refusal(&body), Err(ChallengeError::KidTwice));
    let strange = Ask { certificate: &WORLD.strange_certificate, ..ask(&assets[1]) };
    let (_, body) = WORLD.device.ask_many(&[ask(&assets[0]), strange], &mut SystemEntropy);
    assert_eq!(refusal(&body), Err(ChallengeError::UnknownCertificate));
}
