//! Licenses that open, and every reason for which one does not.

use super::*;
use crate::playready::{carried_key_terms, carried_terms};
use crate::terms::{RenewalTerms, Robustness, Seconds, SpanEnd};
use keys::{ContentKey, FingerprintKey, SystemEntropy};
use model::{PolicyName, SecurityLevel, TitlePolicy, TrackClass};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// 2027-06-01.
const NOW: Timestamp = Timestamp(1_811_808_000_000);

static DEVICE: LazyLock<P256PrivateKey> = LazyLock::new(|| P256PrivateKey::generate().0);
static PUBLIC: LazyLock<P256PublicKey> = LazyLock::new(|| DEVICE.public_key());

fn content_key(byte: u8) -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new([byte; 16]))
}

/// Tells keys apart without showing them.
fn fingerprint(key: &ContentKey) -> [u8; 32] {
    key.fingerprint(&FingerprintKey::from_bytes(&Zeroizing::new([1; 32])))
}

fn terms() -> LicenseTerms {
    LicenseTerms {
        can_play: true,
        can_persist: true,
        license_s: NonZeroU32::new(86_400),
        playback_s: NonZeroU32::new(7200),
        ..LicenseTerms::default()
    }
}

fn key_terms() -> KeyTerms {
    KeyTerms {
        robustness: Robustness::HardwareDecoding,
        hdcp: Hdcp::V2_2,
        analog: AnalogOutput::Refused,
        track_class: None,
    }
}

fn licensed(terms: KeyTerms) -> LicensedKey {
    LicensedKey {
        kid: KeyId::from_bytes(*b"0123456789abcdef"),
        key: content_key(5),
        terms,
        iv: None,
    }
}

fn write_with(terms: &LicenseTerms, key_terms: KeyTerms, scheme: Scheme) -> WrittenLicense {
    let draft = LicenseDraft { terms, scheme, device: &PUBLIC, rights_id: [9; 16], now: NOW };
    draft.write(&licensed(key_terms), &mut SystemEntropy)
}

fn written() -> WrittenLicense {
    write_with(&terms(), key_terms(), Scheme::Cbcs)
}

#[test]
fn what_is_written_is_read_back_and_opened() {
    for scheme in Scheme::ALL {
        let license = write_with(&terms(), key_terms(), scheme);
        let bytes = license.as_bytes();
        for read in [license.read_back(bytes).unwrap(), open_license(bytes, &DEVICE).unwrap()] {
            assert_eq!((read.rights_id, read.scheme), ([9; 16], scheme));
            assert_eq!((read.terms, read.started_s), (terms(), NOW.as_s()));
            assert_eq!(read.key.kid, KeyId::from_bytes(*b"0123456789abcdef"));
            assert_eq!((read.key.terms, read.key.iv), (key_terms(), None));
            assert_eq!(fingerprint(&read.key.key), fingerprint(&content_key(5)));
        }
    }
}

#[test]
fn neither_key_stands_in_the_license() {
    let license = written();
    let bytes = license.as_bytes();
    assert!(!bytes.windows(4).any(|part| part == [5; 4]));
    let (integrity, _) = license.secret.transport();
    assert!(!bytes.windows(8).any(|part| part == &integrity[..8]));
    assert!(!format!("{license:?}").contains("5, 5, 5, 5"));
}

#[test]
fn the_layout_is_the_public_one() {
    let license = written();
    let bytes = license.as_bytes();
    assert_eq!(bytes[..8], *b"XMR\0\0\0\0\x03");
    assert_eq!((&bytes[8..24], &bytes[24..28]), (&[9; 16][..], &b"\0\x03\0\x01"[..]));
    let rest = u32::try_from(bytes.len() - 24).unwrap();
    assert_eq!(bytes[28..32], rest.to_be_bytes());
    let kid = *b"\0\x01\0\x0a\0\0\0\x9e32105476" as [u8; 16];
    assert!(bytes.windows(16).any(|part| part == kid), "the key id is a GUID in Windows' order");
    assert_eq!(bytes[bytes.len() - 28..bytes.len() - 16], *b"\0\x01\0\x0b\0\0\0\x1c\0\x01\0\x10");
    let expiration = [NOW.as_s() - 300, NOW.as_s() + 86_400];
    let dates = expiration.map(|date| u32::try_from(date).unwrap().to_be_bytes()).concat();
    let object = [b"\0\x01\0\x12\0\0\0\x10", &dates[..]].concat();
    assert!(bytes.windows(16).any(|part| part == object));
    for object in [
        &b"\0\x01\0\x0d\0\0\0\x0a\0\0"[..],
        b"\0\x01\0\x34\0\0\0\x0a\x0b\xb8",
        b"\0\x01\0\x30\0\0\0\x0c\0\0\x1c\x20",
        b"\0\x01\0\x55\0\0\0\x08",
        b"\0\x01\0\x05\0\0\0\x12\x01\xf4\x01\x2c\0\xc8\0\x64\x01\x2c",
        b"\0\x03\0\x58\0\0\0\x24\0\x01\0\x59\0\0\0\x1c\xf1\xc6\xb2\xab",
        b"\0\x03\0\x07\0\0\0\x24\0\x01\0\x08\0\0\0\x1c\x55\xe7\x0a\x76",
        b"\0\0\0\x2a\0\0\0\x4c\0\x01\0\x40",
    ] {
        assert!(bytes.windows(object.len()).any(|part| part == object), "{object:02x?}");
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused() {
    let license = written();
    let whole = license.as_bytes();
    for at in 0..whole.len() {
        assert!(open_license(&whole[..at], &DEVICE).is_err(), "cut at {at}");
        assert!(license.read_back(&whole[..at]).is_err(), "cut at {at}");
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = whole.to_vec();
            changed[at] ^= flip;
            assert!(open_license(&changed, &DEVICE).is_err(), "byte {at} ^ {flip:#x}");
            assert!(license.read_back(&changed).is_err(), "byte {at} ^ {flip:#x}");
        }
    }
    let longer = [whole, &[0]].concat();
    assert!(open_license(&longer, &DEVICE).is_err() && license.read_back(&longer).is_err());
}

#[test]
fn ten_thousand_mutations_never_panic() {
    let license = written();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % limit.max(1)
    };
    for round in 0..10_000 {
        let mut bytes = license.as_bytes().to_vec();
        for _ in 0..=below(4) {
            let (from, length) = (below(bytes.len() + 1), below(9));
            let end = (from + length).min(bytes.len());
            match below(5) {
                0 => bytes.truncate(from),
                1 => drop(bytes.drain(from..end)),
                2 => {
                    let again = bytes[from..end].to_vec();
                    drop(bytes.splice(from..from, again));
                }
                3 => bytes[from..end].fill([0, 1, 0x7f, 0x80, 0xff][below(5)]),
                _ => bytes[from..end].iter_mut().for_each(|byte| *byte ^= 1 << below(8)),
            }
        }
        let is_whole = bytes == license.as_bytes();
        assert!(open_license(&bytes, &DEVICE).is_err() || is_whole, "round {round}");
        assert!(license.read_back(&bytes).is_err() || is_whole, "round {round}");
    }
}

#[test]
fn a_license_is_one_devices_and_one_answers() {
    let (license, other) = (written(), written());
    let (stranger, _) = P256PrivateKey::generate();
    let refused = open_license(license.as_bytes(), &stranger).unwrap_err();
    assert_eq!(refused, XmrError::OtherDevice);
    assert_eq!(license.read_back(other.as_bytes()).unwrap_err(), XmrError::Key);
    // A stranger that puts its own key in still cannot open it.
    let mut bytes = license.as_bytes().to_vec();
    let at = bytes.len() - 28 - 64;
    bytes[at..at + 64].copy_from_slice(&stranger.public_key().to_bytes());
    assert_eq!(open_license(&bytes, &stranger).unwrap_err(), XmrError::Signature);
}

/// A license of any objects, signed as the server signs.
fn sealed(license: &WrittenLicense, objects: &[Vec<u8>]) -> Vec<u8> {
    let body = objects.concat();
    let outer = write(kind::OUTER, CONTAINER, &[&body, &[0; SIGNATURE_BYTES]]);
    let mut bytes = [b"XMR\0\0\0\0\x03", &[9; 16][..], &outer[..8 + body.len()]].concat();
    let tag = license.secret.sign(&bytes);
    bytes.extend(write(kind::SIGNATURE, 0, &[&[0, 1, 0, 16], &tag]));
    bytes
}

/// Objects of a license, of which each test changes one.
fn global(more: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = write_global(&terms(), Robustness::HardwareKeys, NOW);
    change(&mut bytes);
    write(kind::GLOBAL, CONTAINER, &[&bytes[8..], more])
}

fn plain() -> Vec<u8> {
    global(&[], |_| ())
}

fn play() -> Vec<u8> {
    write_play(&key_terms())
}

fn play_with(more: &[u8]) -> Vec<u8> {
    write(kind::PLAY, CONTAINER, &[&levels(), more])
}

fn levels() -> Vec<u8> {
    write(kind::OUTPUT_LEVELS, 0, &[&[0; 10]])
}

fn rule(container: u16, kind: u16) -> Vec<u8> {
    write(container, CONTAINER, &[&write(kind, 0, &[&[1; 16], &[0, 0, 0, 1]])])
}

fn unknown() -> Vec<u8> {
    write(0x1a, 0, &[&[0; 4]])
}

fn material(license: &WrittenLicense, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let (terms, scheme) = (&terms(), Scheme::Cenc);
    let draft = LicenseDraft { terms, scheme, device: &PUBLIC, rights_id: [9; 16], now: NOW };
    let mut bytes = draft.write_key(KeyId::from_bytes([1; 16]), &license.text);
    change(&mut bytes);
    bytes
}

/// Licenses whose objects are not what they must be.
fn damaged(license: &WrittenLicense) -> Vec<(XmrError, Vec<Vec<u8>>)> {
    use XmrError::*;
    let key = || material(license, |_| ());
    let of = |change: fn(&mut Vec<u8>)| vec![plain(), play(), material(license, change)];
    let with = |change: fn(&mut Vec<u8>)| vec![global(&[], change), play(), key()];
    let playing = |more: &[u8]| vec![plain(), play_with(more), key()];
    let empty = |kind| write(kind, CONTAINER, &[]);
    vec![
        (Missing, vec![play(), key()]),
        (Missing, vec![plain(), play()]),
        (Missing, with(|bytes| drop(bytes.drain(18..28)))),
        (Missing, with(|bytes| drop(bytes.drain(28..40)))),
        (Missing, vec![plain(), empty(kind::KEY_MATERIAL), play()]),
        (Twice, vec![plain(), plain(), key()]),
        (Twice, vec![plain(), play(), play(), key()]),
        (Twice, vec![plain(), play(), key(), key()]),
        (Twice, vec![global(&write(kind::REAL_TIME, 0, &[]), |_| ()), play(), key()]),
        (Twice, playing(&levels())),
        (Unknown, vec![global(&unknown(), |_| ()), play(), key()]),
        (Unknown, playing(&unknown())),
        (Unknown, vec![plain(), play(), key(), unknown()]),
        (Unknown, vec![plain(), play(), write(kind::KEY_MATERIAL, CONTAINER, &[&unknown()])]),
        (Unknown, playing(&rule(kind::ANALOG, 0x59))),
        (Terms, playing(&rule(kind::ANALOG, kind::ANALOG_RULE))),
        (Terms, playing(&rule(kind::DIGITAL, kind::DIGITAL_RULE))),
        (Terms, playing(&empty(kind::DIGITAL))),
        (Terms, with(|bytes| bytes[17] = 2)),
        (Terms, with(|bytes| bytes[26] = 0x7f)),
        (Malformed, vec![global(&[0; 7], |_| ()), play(), key()]),
        (Malformed, vec![write(kind::GLOBAL, 0, &[]), play(), key()]),
        (Malformed, vec![plain(), write(kind::PLAY, 0, &[]), key()]),
        (
            Malformed,
            playing(&write(kind::ENABLERS, CONTAINER, &[&write(kind::ENABLER, 0, &[&[1]])])),
        ),
        (TooMany, vec![global(&[0, 0, 0x70, 0, 0, 0, 0, 8].repeat(65), |_| ()), play(), key()]),
        (KeyKind, of(|bytes| bytes[33] = 2)),
        (KeyKind, of(|bytes| bytes[35] = 1)),
        (KeyKind, of(|bytes| bytes.iter_mut().nth_back(66).into_iter().for_each(|byte| *byte = 2))),
        (OtherDevice, of(|bytes| bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1))),
        (Key, of(|bytes| bytes[40] ^= 1)),
    ]
}

#[test]
fn each_reason_is_named() {
    use XmrError::*;
    let license = written();
    let mut seen = BTreeSet::new();
    for (number, (expected, objects)) in damaged(&license).into_iter().enumerate() {
        let refused = open_license(&sealed(&license, &objects), &DEVICE).unwrap_err();
        assert_eq!(refused, expected, "row {number}");
        seen.insert(refused.to_string());
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
    let changed = |at: usize, byte: u8| {
        let mut bytes = license.as_bytes().to_vec();
        bytes[at] = byte;
        open_license(&bytes, &DEVICE).unwrap_err()
    };
    let last = license.as_bytes().len() - 1;
    let whole = [
        changed(7, 2),
        changed(0, 0),
        changed(25, 2),
        changed(last - 24, 9),
        changed(last - 18, 2),
    ];
    assert_eq!(whole, [Version, Malformed, Malformed, Missing, Malformed]);
    assert_eq!(changed(last, !license.as_bytes()[last]), Signature);
    assert_eq!(open_license(&vec![0; MAX_BYTES + 1], &DEVICE).unwrap_err(), TooLarge);
}

#[test]
fn what_need_not_be_understood_is_passed_over() {
    let license = written();
    let skipped = write_fact(0x1a, &[&[0; 4]]);
    let key = material(&license, |_| ());
    let objects = [global(&skipped, |_| ()), play(), key, write_fact(0x99, &[])];
    let read = open_license(&sealed(&license, &objects), &DEVICE).unwrap();
    assert_eq!(read.key.terms.robustness, Robustness::HardwareKeys);
}

/// Policies that put each field at its ends, alone, and those that come with the product.
fn policies() -> Vec<TitlePolicy> {
    let plain = "license_s = 86400\n";
    let mut table: Vec<String> =
        TitlePolicy::built_ins().into_iter().map(TitlePolicy::to_toml).collect();
    for seconds in [1, 3600, 2_592_000, u32::MAX] {
        table.push(format!("license_s = {seconds}"));
        for field in ["rental_s", "playback_s", "play_start_grace_s"] {
            table.push(format!("{plain}{field} = {seconds}"));
        }
        let keep = format!("{plain}[offline]\nallowed = true\nlicense_s");
        table.push(format!("{keep} = {seconds}"));
        table.push(format!("{keep} = 60\nrental_s = {seconds}\nplayback_s = {seconds}"));
    }
    table.extend(["rental_end", "playback_end"].map(|end| format!("{plain}{end} = \"plays-on\"")));
    table.push(format!("{plain}[renewal]\nallowed = true\ndelay_s = 60"));
    for class in TrackClass::ALL {
        for hdcp in ["1.x", "2.0", "2.1", "2.2", "2.3", "no-digital-output"] {
            table.push(format!("{plain}[outputs.{class}]\nhdcp = \"{hdcp}\""));
        }
        table.push(format!("{plain}[outputs.{class}]\nanalog = \"refused\""));
        for robustness in ["software-decoding", "hardware-keys", "hardware-all"] {
            table.push(format!("{plain}[outputs.{class}]\nrobustness = \"{robustness}\""));
        }
    }
    table.push(format!("{plain}capture_protected = true"));
    let read = |(number, text): (usize, &String)| {
        let mut name = String::new();
        write!(name, "policy-{number}").unwrap();
        TitlePolicy::parse(PolicyName::parse(&name).unwrap(), text)
            .unwrap_or_else(|error| panic!("{text}\n{error}"))
    };
    table.iter().enumerate().map(read).collect()
}

#[test]
fn the_decoded_license_says_of_the_policy_what_playready_can_say() {
    let policies = policies();
    assert!(policies.len() >= 40, "{}", policies.len());
    for (number, policy) in policies.iter().enumerate() {
        for persist in [false, true] {
            let terms = LicenseTerms::of(policy, persist);
            for class in TrackClass::ALL.into_iter().map(Some).chain([None]) {
                let key_terms = KeyTerms::of(policy, class);
                let license = write_with(&terms, key_terms, Scheme::ALL[number % 2]);
                let read = license.read_back(license.as_bytes()).unwrap();
                assert_eq!(read.terms, carried_terms(&terms), "{policy:?}");
                assert_eq!(read.key.terms, carried_key_terms(&key_terms), "{policy:?}");
                assert_never_laxer(&read.terms, &terms);
                assert_key_is_never_laxer(&read.key.terms, &key_terms);
            }
            let license = write_with(&terms, KeyTerms::of(policy, None), Scheme::Cenc);
            let opened = open_license(license.as_bytes(), &DEVICE).unwrap();
            assert_eq!(opened.terms, carried_terms(&terms), "{policy:?}");
            if policy.capture_protected {
                assert!(opened.key.terms.hdcp >= Hdcp::V1);
                assert_eq!(opened.key.terms.analog, AnalogOutput::Refused);
                assert_eq!(opened.key.terms.robustness, Robustness::HardwareDecoding);
            }
        }
    }
}

fn assert_never_laxer(said: &LicenseTerms, granted: &LicenseTerms) {
    let end = |span: Seconds| span.map_or(u32::MAX, NonZeroU32::get);
    assert!(said.can_play <= granted.can_play && said.can_persist <= granted.can_persist);
    assert!(!said.can_renew && said.renewal == RenewalTerms::default());
    assert!(end(said.license_s) <= end(granted.license_s));
    assert!(end(said.license_s) <= end(granted.rental_s), "the rental is part of the license");
    assert!(end(said.playback_s) <= end(granted.playback_s));
    assert!(said.play_start_grace_s.is_none());
    assert_eq!((said.playback_end, said.rental_end), (SpanEnd::Stops, SpanEnd::Stops));
}

/// A device that a key's minimum level lets in can be as robust as the grant asks; outputs are as
/// protected.
fn assert_key_is_never_laxer(said: &KeyTerms, granted: &KeyTerms) {
    assert!(said.hdcp >= granted.hdcp && said.analog >= granted.analog, "{said:?} {granted:?}");
    for level in SecurityLevel::ALL {
        let is_let_in = Robustness::most_of(level) >= said.robustness;
        assert!(!is_let_in || Robustness::most_of(level) >= granted.robustness, "{granted:?}");
    }
}

fn any_seconds() -> impl Strategy<Value = Seconds> {
    prop_oneof![
        Just(None),
        any::<NonZeroU32>().prop_map(Some),
        (1..5_u32).prop_map(NonZeroU32::new)
    ]
}

proptest! {
    #[test]
    fn carried_terms_are_never_laxer_and_carry_themselves(
        [can_play, can_persist, can_renew, plays_on, rents_on] in any::<[bool; 5]>(),
        (rental_s, playback_s) in (any_seconds(), any_seconds()),
        (license_s, grace) in (any_seconds(), any_seconds()),
        (robustness, hdcp, refuses) in (0..5_usize, 0..7_usize, any::<bool>()),
    ) {
        let end = |is_soft| if is_soft { SpanEnd::PlaysOn } else { SpanEnd::Stops };
        let granted = LicenseTerms {
            can_play, can_persist, can_renew, rental_s, playback_s, license_s,
            renewal: RenewalTerms { delay_s: grace, ..RenewalTerms::default() },
            play_start_grace_s: grace, playback_end: end(plays_on), rental_end: end(rents_on),
        };
        let said = carried_terms(&granted);
        assert_never_laxer(&said, &granted);
        prop_assert_eq!(&carried_terms(&said), &said);
        use Robustness::*;
        let robustness =
            [SoftwareKeys, SoftwareDecoding, HardwareKeys, HardwareDecoding, HardwareAll][robustness];
        let hdcp = [
            Hdcp::Unneeded, Hdcp::V1, Hdcp::V2, Hdcp::V2_1, Hdcp::V2_2, Hdcp::V2_3,
            Hdcp::NoDigitalOutput,
        ][hdcp];
        let analog = if refuses { AnalogOutput::Refused } else { AnalogOutput::Allowed };
        let track_class = refuses.then_some(TrackClass::Hd);
        let key = KeyTerms { robustness, hdcp, analog, track_class };
        let said_of_key = carried_key_terms(&key);
        assert_key_is_never_laxer(&said_of_key, &key);
        prop_assert_eq!(carried_key_terms(&said_of_key), said_of_key);
        let license = write_with(&granted, key, Scheme::Cbcs);
        let read = license.read_back(license.as_bytes()).unwrap();
        prop_assert_eq!(&read.terms, &said);
        if can_play {
            prop_assert_eq!(read.key.terms, said_of_key);
        } else {
            prop_assert_eq!(read.key.terms.hdcp, Hdcp::NoDigitalOutput);
        }
    }
}

#[test]
fn what_a_license_does_not_say_is_read_as_its_public_examples_mean_it() {
    let license = written();
    let draft = LicenseDraft {
        terms: &terms(),
        scheme: Scheme::Cenc,
        device: &PUBLIC,
        rights_id: [9; 16],
        now: NOW,
    };
    let key = draft.write_key(KeyId::from_bytes([1; 16]), &license.text);
    let global = [
        write_fact(kind::ISSUE_DATE, &[&[0x56, 0x33, 0xa1, 0x2a]]),
        write(kind::EXPIRATION, 0, &[&[0; 4], &[0x56, 0x33, 0xa1, 0x66]]),
        write(kind::REVOCATION_VERSION, 0, &[&[0, 0, 0, 0x1e]]),
        write(kind::LEVEL, 0, &[&2000_u16.to_be_bytes()]),
        write(kind::EMBEDDING, 0, &[&[0, 1]]),
    ];
    let global = write(kind::GLOBAL, CONTAINER, &[&global.concat()]);
    let play = write_fact(kind::PLAY, &[]);
    let play = [&[0, 2], &play[2..]].concat();
    let read = open_license(&sealed(&license, &[play, global, key]), &DEVICE).unwrap();
    let expected = LicenseTerms {
        can_play: true,
        license_s: NonZeroU32::new(60),
        playback_end: SpanEnd::PlaysOn,
        rental_end: SpanEnd::PlaysOn,
        ..LicenseTerms::default()
    };
    assert_eq!(read.terms, expected);
    let key = read.key.terms;
    assert_eq!((key.hdcp, key.analog), (Hdcp::Unneeded, AnalogOutput::Allowed));
    assert_eq!(key.robustness, Robustness::HardwareKeys);
}

/// The device of `fuzz/corpus/playready_license`: PKCS#8 of a scalar of seventeens.
fn device_of_the_seeds() -> P256PrivateKey {
    let head = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
        \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    P256PrivateKey::parse(&Zeroizing::new([&head[..], &[0x11; 32]].concat())).unwrap()
}

#[test]
fn the_seeds_are_licenses_of_their_device() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/playready_license");
    let file = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
    let device = device_of_the_seeds();
    let text: [u8; 128] = file("text").try_into().unwrap();
    let secret = device.decrypt_secret(&text).unwrap();
    let public = device.public_key();
    let license = WrittenLicense { bytes: vec![], secret, text, device: public };
    for (name, is_kept) in [("kept", true), ("streamed", false)] {
        let whole = open_license(&file(&format!("{name}-whole")), &device).unwrap();
        let objects = open_license(&sealed(&license, &[file(name)]), &device).unwrap();
        assert_eq!(whole.terms, objects.terms);
        assert_eq!((whole.terms.can_persist, whole.started_s), (is_kept, NOW.as_s()));
        assert_eq!(fingerprint(&objects.key.key), fingerprint(&content_key(5)));
    }
}
