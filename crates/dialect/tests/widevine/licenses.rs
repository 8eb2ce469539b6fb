//! The license carries what it was given, to its device only, and survives no change.

use crate::wire;
use crate::world::*;
use dialect::terms::*;
use dialect::widevine::client::{AskedContent, Pending};
use dialect::widevine::{Issue, LicenseError, named_kids};
use keys::SystemEntropy;
use model::{KeyId, Scheme, TrackClass};
use proptest::prelude::*;
use std::num::NonZeroU32;

fn seconds(value: u32) -> Seconds {
    NonZeroU32::new(value)
}

/// Policies as services have them, and each field alone at its ends.
fn table() -> Vec<LicenseTerms> {
    let plain = LicenseTerms { can_play: true, ..LicenseTerms::default() };
    let mut table = vec![LicenseTerms::default(), plain.clone()];
    let fields: [fn(&mut LicenseTerms, Seconds); 7] = [
        |terms, value| terms.rental_s = value,
        |terms, value| terms.playback_s = value,
        |terms, value| terms.license_s = value,
        |terms, value| terms.play_start_grace_s = value,
        |terms, value| terms.renewal.delay_s = value,
        |terms, value| terms.renewal.retry_s = value,
        |terms, value| terms.renewal.recovery_s = value,
    ];
    for set in fields {
        for value in [1, 86_400, 2_592_000, u32::MAX] {
            let mut terms = plain.clone();
            set(&mut terms, seconds(value));
            table.push(terms);
        }
    }
    for number in 0..16_u8 {
        table.push(LicenseTerms {
            can_persist: number & 1 > 0,
            can_renew: number & 2 > 0,
            playback_end: if number & 4 > 0 { SpanEnd::PlaysOn } else { SpanEnd::Stops },
            rental_end: if number & 8 > 0 { SpanEnd::PlaysOn } else { SpanEnd::Stops },
            ..plain.clone()
        });
    }
    table.push(LicenseTerms {
        can_persist: true,
        can_renew: true,
        rental_s: seconds(30 * 86_400),
        playback_s: seconds(2 * 86_400),
        renewal: RenewalTerms {
            delay_s: seconds(120),
            retry_s: seconds(30),
            recovery_s: seconds(300),
            server_url: Some("https://license.example/widevine".to_owned()),
            on_first_use: true,
            with_identity: true,
        },
        ..plain
    });
    table
}

#[test]
fn the_decoded_license_equals_its_terms() {
    let table = table();
    assert!(table.len() >= 40, "{}", table.len());
    for terms in table {
        for scheme in Scheme::ALL {
            let (pending, body) = ask_kids(&WORLD.l1, &[1]);
            let issue = WORLD.issue(&terms, scheme);
            let answer =
                WORLD.challenge(&body).answer(&issue, vec![licensed(1)], &mut SystemEntropy);
            assert_eq!(answer.read_back().unwrap().terms, terms);
            let (license, _) = pending.open(answer.as_bytes()).unwrap();
            assert_eq!((license.terms, license.scheme), (terms.clone(), Some(scheme)));
        }
    }
}

#[test]
fn the_terms_of_each_key_arrive() {
    let robustness = [
        Robustness::SoftwareKeys,
        Robustness::SoftwareDecoding,
        Robustness::HardwareKeys,
        Robustness::HardwareDecoding,
        Robustness::HardwareAll,
    ];
    let hdcp = [
        Hdcp::Unneeded,
        Hdcp::V1,
        Hdcp::V2,
        Hdcp::V2_1,
        Hdcp::V2_2,
        Hdcp::V2_3,
        Hdcp::NoDigitalOutput,
    ];
    let classes = TrackClass::ALL.map(Some).into_iter().chain([None]);
    let mut all = vec![];
    for (robustness, hdcp) in robustness.iter().flat_map(|r| hdcp.iter().map(move |h| (*r, *h))) {
        let analog = if all.len() % 2 == 0 { AnalogOutput::Allowed } else { AnalogOutput::Refused };
        let track_class = classes.clone().nth(all.len() % 5).flatten();
        all.push(KeyTerms { robustness, hdcp, analog, track_class });
    }
    let kids: Vec<u8> = (0..35).collect();
    let (pending, body) = ask_kids(&WORLD.l1, &kids);
    let keys =
        kids.iter().zip(&all).map(|(byte, terms)| LicensedKey { terms: *terms, ..licensed(*byte) });
    let answer = WORLD.answer(&body, keys.collect());
    let (license, _) = pending.open(answer.as_bytes()).unwrap();
    let arrived: Vec<KeyTerms> = license.keys.iter().map(|key| key.terms).collect();
    assert_eq!(arrived, all);
}

#[test]
fn one_signing_container_and_no_key_in_the_clear() {
    let (_, body) = ask_kids(&WORLD.l1, &[0xa1, 0xa2]);
    let answer = WORLD.answer(&body, vec![licensed(0xa1), licensed(0xa2)]);
    let license = wire::bytes_of(answer.as_bytes(), 2);
    let containers: Vec<Vec<u8>> = wire::fields(&license)
        .into_iter()
        .filter_map(|(field, value)| match value {
            wire::Value::Bytes(bytes) if field == 3 => Some(bytes),
            _ => None,
        })
        .collect();
    let lengths: Vec<(wire::Value, usize)> = containers
        .iter()
        .map(|container| {
            let kind = wire::fields(container).into_iter().find(|(field, _)| *field == 4);
            (kind.unwrap().1, wire::bytes_of(container, 3).len())
        })
        .collect();
    let (signing, content) = (wire::Value::Number(1), wire::Value::Number(2));
    assert_eq!(lengths, [(signing, 80), (content.clone(), 32), (content, 32)]);
    // Key ids of these tests repeat one byte, as the keys do: only they may stand in the clear.
    let clear = license.windows(16).filter(|window| window == &[0xa1; 16]).count();
    assert_eq!(clear, 1, "the key id, once");
    let ivs: std::collections::BTreeSet<_> =
        containers.iter().map(|container| wire::bytes_of(container, 2)).collect();
    assert_eq!(ivs.len(), 3);
}

#[test]
fn a_key_that_was_not_asked_for_is_not_written() {
    let (pending, body) = ask_kids(&WORLD.l1, &[1, 3]);
    let answer = WORLD.answer(&body, vec![licensed(2), licensed(3)]);
    let (license, _) = pending.open(answer.as_bytes()).unwrap();
    assert_eq!(license.keys.iter().map(|key| key.kid).collect::<Vec<_>>(), [kid(3)]);
}

#[test]
fn a_license_names_its_keys_to_who_cannot_open_it() {
    let (_, body) = ask_kids(&WORLD.l1, &[1, 2, 3]);
    let answer = WORLD.answer(&body, vec![licensed(2), licensed(3)]);
    assert_eq!(named_kids(answer.as_bytes()), Some(vec![kid(2), kid(3)]));
    for other in [&body[..], b"", &answer.as_bytes()[..40]] {
        assert_eq!(named_kids(other), None);
    }
}

#[test]
fn a_license_opens_for_its_device_and_its_request_only() {
    let (pending, body) = ask_kids(&WORLD.l1, &[1]);
    let answer = WORLD.answer(&body, vec![licensed(1)]);
    let (of_other, _) = ask_kids(&WORLD.other_l1, &[1]);
    assert_eq!(of_other.open(answer.as_bytes()).err(), Some(LicenseError::SessionKey));
    // The same device, the same content, another request: a replayed answer.
    let (second, _) = ask_kids(&WORLD.l1, &[1]);
    assert_eq!(second.open(answer.as_bytes()).err(), Some(LicenseError::Signature));
    assert!(pending.open(answer.as_bytes()).is_ok());
}

#[test]
fn every_flipped_byte_of_a_license_is_refused() {
    let terms = table().pop().unwrap();
    let payload = payload(&[1, 2]);
    let payloads = [&payload[..]];
    let content = ask(AskedContent::PsshData(&payloads));
    let (_, body) = WORLD.l1.ask(&content, NOW, &mut SystemEntropy);
    let issue = WORLD.issue(&terms, Scheme::Cenc);
    let answer = WORLD.challenge(&body).answer(&issue, vec![licensed(1)], &mut SystemEntropy);
    for at in 0..answer.as_bytes().len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = answer.as_bytes().to_vec();
            changed[at] ^= flip;
            let pending = again(&body);
            assert!(pending.open(&changed).is_err(), "byte {at} ^ {flip:#x}");
        }
    }
    let pending = again(&body);
    assert!(pending.open(answer.as_bytes()).is_ok());
}

/// The same request once more: a client that tries every change.
fn again(body: &[u8]) -> Pending<'static> {
    WORLD.l1.await_answer(&wire::bytes_of(body, 2), b"request 1")
}

#[test]
fn a_license_cut_short_is_refused() {
    let (_, body) = ask_kids(&WORLD.l1, &[1]);
    let answer = WORLD.answer(&body, vec![licensed(1)]);
    for end in 0..answer.as_bytes().len() {
        let pending = again(&body);
        assert!(pending.open(&answer.as_bytes()[..end]).is_err(), "{end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The keys that a level withholds are not there; fewer given are never more carried.
    #[test]
    fn fewer_keys_given_are_never_more_carried(all in proptest::collection::btree_set(1..100_u8, 1..12), kept in any::<u16>()) {
        let kids: Vec<u8> = all.into_iter().collect();
        let (pending, body) = ask_kids(&WORLD.l3, &kids);
        let given: Vec<u8> = kids.iter().enumerate()
            .filter(|(at, _)| kept >> at & 1 == 1).map(|(_, byte)| *byte).collect();
        let answer = WORLD.answer(&body, given.iter().map(|byte| licensed(*byte)).collect());
        let (license, _) = pending.open(answer.as_bytes()).unwrap();
        let carried: Vec<u8> = license.keys.iter().map(|key| key.kid.as_bytes()[0]).collect();
        prop_assert_eq!(carried, given);
    }
}

/// With the note of a license of so many keys, as the server writes it.
#[test]
fn a_license_has_room_for_as_many_keys_as_one_carries() {
    let kids: Vec<_> =
        (0..dialect::MAX_KEYS).map(|at| KeyId::from_bytes((at as u128).to_be_bytes())).collect();
    let payload: Vec<u8> = kids.iter().flat_map(|kid| wire::bytes(2, kid.as_bytes())).collect();
    let payloads = [&payload[..]];
    let content = AskedContent::PsshData(&payloads);
    let (pending, body) = WORLD.l1.ask(&ask(content), NOW, &mut SystemEntropy);
    let keys = kids.iter().map(|kid| LicensedKey { kid: *kid, ..licensed(1) }).collect();
    let terms = LicenseTerms { can_play: true, ..LicenseTerms::default() };
    let memo = vec![7; 16 * dialect::MAX_KEYS + 100];
    let issue = Issue { memo: &memo, ..WORLD.issue(&terms, Scheme::Cbcs) };
    let answer = WORLD.challenge(&body).answer(&issue, keys, &mut SystemEntropy);
    assert_eq!(answer.read_back().unwrap().keys.len(), kids.len());
    let (license, _) = pending.open(answer.as_bytes()).unwrap();
    assert_eq!(license.keys.iter().map(|key| key.kid).collect::<Vec<_>>(), kids);
}
