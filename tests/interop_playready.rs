//! A client and a server in Python, of the packages `lxml`, `construct`, `pycryptodome` and
//! `cryptography`, read what both our sides write, and what they write, our sides open.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may panic")]

#[path = "support/python_peer.rs"]
mod python_peer;

use dialect::playready::client::{Ask, ClientDevice, Service};
use dialect::playready::test_root::TestRoot;
use dialect::playready::{
    Challenge, Credentials, Desk, Issue, Request, RevocationList, VerifiedChains,
    carried_key_terms, carried_terms,
};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use keys::{ContentKey, SystemEntropy};
use model::{KeyId, PolicyName, Scheme, SecurityLevel, Timestamp, TitlePolicy, TrackClass};
use python_peer::PythonPeer;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const NOW_S: u64 = 1_811_808_000;

/// A key id of the peer: no two orders of a GUID's bytes are the same.
fn kid(byte: u8) -> KeyId {
    let mut bytes = [byte; 16];
    bytes.iter_mut().skip(4).zip(0..).for_each(|(byte, number)| *byte = number);
    KeyId::from_bytes(bytes)
}

/// The key of an id, on both sides: its complement.
fn key_of(kid: KeyId) -> ContentKey {
    ContentKey::from_bytes(kid.as_bytes().map(|byte| byte ^ 0xff).into())
}

fn licensed(kid: KeyId, terms: KeyTerms) -> LicensedKey {
    LicensedKey { kid, key: key_of(kid), terms, iv: None }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn peer() -> Option<PythonPeer> {
    PythonPeer::find("construct", "playready_peer.py")
}

fn text(place: &Path, name: &str) -> String {
    fs::read_to_string(place.join(name)).unwrap()
}

fn bytes(place: &Path, name: &str) -> Vec<u8> {
    fs::read(place.join(name)).unwrap()
}

/// The credentials of a folder, as `credentials import playready` reads it.
struct Imported {
    credentials: Credentials,
    chains: VerifiedChains,
    revoked: RevocationList,
}

impl Imported {
    fn of(place: &Path) -> Self {
        let credentials = Credentials::import(
            &bytes(place, "root_public.bin"),
            &text(place, "wmrm_private.pem"),
            &bytes(place, "signing_chain.bin"),
            &text(place, "signing_private.pem"),
            NOW,
        );
        Self {
            credentials: credentials.unwrap(),
            chains: VerifiedChains::default(),
            revoked: RevocationList::parse(&text(place, "revocation.json")).unwrap(),
        }
    }

    fn challenge(&self, body: &[u8]) -> Challenge {
        let Self { credentials, chains, revoked } = self;
        let desk = Desk { credentials, chains, revoked, allows_test_level: false };
        match Request::parse(body, &desk, NOW).unwrap() {
            Request::License(challenge) => *challenge,
            other => panic!("{other:?}"),
        }
    }

    fn answer(
        &self,
        challenge: Challenge,
        terms: &LicenseTerms,
        scheme: Scheme,
        keys: Vec<LicensedKey>,
    ) -> Vec<u8> {
        let issue = Issue { terms, scheme, credentials: &self.credentials, now: NOW };
        let wanted: Vec<KeyTerms> = keys.iter().map(|key| carried_key_terms(&key.terms)).collect();
        let answer = challenge.answer(&issue, keys, &mut SystemEntropy);
        // What the server reads back is what the terms come to.
        let opened = answer.read_back().unwrap();
        assert_eq!((&opened.terms, opened.scheme), (&carried_terms(terms), Some(scheme)));
        assert_eq!(opened.keys.iter().map(|key| key.terms).collect::<Vec<_>>(), wanted);
        answer.as_bytes().to_vec()
    }
}

const KEEP: &str = "[offline]\nallowed = true\nlicense_s = 604800";
const OPEN: &[&str] = &[
    "play.enablers.enabler 786627d8c2a644be8f8808ae255b01a7", // unknown outputs, any size
    "play.opl 500 100 100 100 100",
];
const TYPE_1: &str = "play.digital-outputs.digital abb2c6f1e6634625a945972d17b231e7 00000001";
const HDCP: &str = "play.opl 500 300 100 100 300";
const DIGITAL_ONLY: &str = "play.analog-outputs.analog 760ae755682a41e0b1b3dcdf836a7306 00000001";

/// A policy, whether its license is kept, its end in seconds, its span from the first picture,
/// its level, and the rules of its outputs: what the license of an HD key must say, by
/// Microsoft's documentation of test servers and output protections.
struct Row(&'static str, bool, Option<u64>, Option<u64>, u32, &'static [&'static str]);

const POLICIES: [Row; 18] = [
    Row("", false, Some(86400), None, 2000, OPEN),
    Row("license_s = 1", false, Some(1), None, 2000, OPEN),
    Row("license_s = 4294967295", false, Some(1_000_000_000), None, 2000, OPEN),
    Row("rental_s = 3600", false, Some(3600), None, 2000, OPEN),
    Row("license_s = 60\nrental_s = 3600", false, Some(60), None, 2000, OPEN),
    Row("playback_s = 7200", false, Some(86400), Some(7200), 2000, OPEN),
    Row(
        "license_s = 9\nplayback_s = 7\nplay_start_grace_s = 5\nplayback_end = \"plays-on\"",
        false,
        Some(9),
        Some(7),
        2000,
        OPEN,
    ),
    Row(KEEP, true, Some(604_800), None, 2000, OPEN),
    Row(KEEP, false, Some(86400), None, 2000, OPEN),
    Row("[renewal]\nallowed = true", false, Some(86400), None, 2000, OPEN),
    Row("HD robustness = \"software-decoding\"", false, Some(86400), None, 150, OPEN),
    Row("HD robustness = \"hardware-all\"", false, Some(86400), None, 3000, OPEN),
    Row("HD hdcp = \"1.x\"", false, Some(86400), None, 2000, &[HDCP]),
    Row("HD hdcp = \"2.0\"", false, Some(86400), None, 2000, &[TYPE_1, HDCP]),
    Row("HD hdcp = \"2.2\"", false, Some(86400), None, 2000, &[TYPE_1, HDCP]),
    Row("HD hdcp = \"2.3\"", false, Some(86400), None, 2000, &["play.opl 500 301 100 100 301"]),
    Row(
        "HD analog = \"refused\"",
        false,
        Some(86400),
        None,
        2000,
        &[DIGITAL_ONLY, "play.opl 500 100 200 100 100"],
    ),
    Row(
        "capture_protected = true",
        false,
        Some(86400),
        None,
        3000,
        &[DIGITAL_ONLY, "play.opl 500 300 200 100 300"],
    ),
];

/// The title's policy, of a day where it does not say: `HD` begins a field of that class.
fn policy(text: &str) -> TitlePolicy {
    let (own, outputs): (Vec<_>, Vec<_>) = text.lines().partition(|line| !line.starts_with("HD "));
    let mut outputs: Vec<_> = outputs.iter().map(|line| line.trim_start_matches("HD ")).collect();
    if !text.contains("robustness") {
        outputs.push("robustness = \"hardware-keys\"");
    }
    let day = if text.starts_with("license_s") { "" } else { "license_s = 86400\n" };
    let text = format!("{day}{}\n[outputs.HD]\n{}", own.join("\n"), outputs.join("\n"));
    TitlePolicy::parse(PolicyName::parse("policy").unwrap(), &text).expect("a policy")
}

/// What the peer prints of a license: its first line, then its rules in order.
fn lines(kid: KeyId, scheme: Scheme, row: &Row) -> Vec<String> {
    let Row(_, persist, end_s, first_play_s, level, outputs) = row;
    let kind = if scheme == Scheme::Cbcs { 5 } else { 1 };
    let key: Vec<u8> = kid.as_bytes().iter().map(|byte| byte ^ 0xff).collect();
    let first = format!("license {} {} type {kind} nonce", hex(kid.as_bytes()), hex(&key));
    let end_s = end_s.map(|end_s| NOW_S + end_s);
    let mut rules = vec![
        format!("global.issued {NOW_S}"),
        format!("global.level {level}"),
        "global.real-time".to_owned(),
        format!("global.settings {}", u8::from(!persist)),
    ];
    rules.extend(end_s.map(|end_s| format!("global.expiration {} {end_s}", NOW_S - 300)));
    rules.extend(end_s.filter(|_| *persist).map(|end_s| format!("global.removal {end_s}")));
    rules.extend(first_play_s.map(|span_s| format!("global.first-play {span_s}")));
    rules.extend(outputs.iter().map(|rule| (*rule).to_owned()));
    rules.sort();
    [vec![first], rules].concat()
}

/// A folder with the peer's credentials, its L2 device as `device`, and its challenges.
fn peers_folder(peer: &PythonPeer) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    assert!(peer.run(&["make".as_ref(), path.as_os_str()]).is_empty());
    fs::rename(path.join("L2"), path.join("device")).unwrap();
    assert!(peer.run(&["ask".as_ref(), path.as_os_str()]).is_empty());
    place
}

#[test]
fn our_server_answers_another_client_under_every_header() {
    let Some(peer) = peer() else { return };
    let place = peers_folder(&peer);
    let imported = Imported::of(place.path());
    let row = Row(KEEP, true, Some(604_800), None, 2000, OPEN);
    let policy = policy(row.0);
    let (terms, key_terms) =
        (LicenseTerms::of(&policy, true), KeyTerms::of(&policy, Some(TrackClass::Hd)));
    let mut expected = Vec::new();
    for (name, kids, scheme, plays_cbcs) in [
        ("peer-v40", &[1][..], Scheme::Cenc, false),
        ("peer-v41", &[1], Scheme::Cenc, false),
        ("peer-v42", &[1, 2], Scheme::Cenc, true),
        ("peer-v43", &[1, 2], Scheme::Cbcs, true),
    ] {
        let kids: Vec<KeyId> = kids.iter().map(|byte| kid(*byte)).collect();
        let challenge = imported.challenge(&bytes(place.path(), name));
        let device = challenge.device();
        assert_eq!((device.level, device.security_level), (SecurityLevel::L2, 2000), "{name}");
        assert_eq!((challenge.kids(), challenge.scheme()), (&kids[..], Some(scheme)), "{name}");
        assert_eq!(challenge.plays_cbcs(), plays_cbcs, "{name}");
        let keys = kids.iter().map(|kid| licensed(*kid, key_terms)).collect();
        let answer = imported.answer(challenge, &terms, scheme, keys);
        fs::write(place.path().join(format!("{name}.00.license")), answer).unwrap();
        let version = match name {
            "peer-v43" => 5,
            "peer-v42" => 4,
            _ => 1,
        };
        expected.push(format!("{name}.00"));
        expected.push(format!("response {version} to acknowledge"));
        expected.extend(kids.iter().flat_map(|kid| lines(*kid, scheme, &row)));
    }
    assert_eq!(peer.run(&["open".as_ref(), place.path().as_os_str()]), expected);
}

#[test]
fn another_client_reads_every_policy() {
    let Some(peer) = peer() else { return };
    let place = peers_folder(&peer);
    let imported = Imported::of(place.path());
    let body = bytes(place.path(), "peer-v40");
    let mut expected = Vec::new();
    for (number, row) in POLICIES.iter().enumerate() {
        let policy = policy(row.0);
        let terms = LicenseTerms::of(&policy, row.1);
        let key_terms = KeyTerms::of(&policy, Some(TrackClass::Hd));
        let keys = vec![licensed(kid(1), key_terms)];
        let answer = imported.answer(imported.challenge(&body), &terms, Scheme::Cenc, keys);
        fs::write(place.path().join(format!("peer-v40.{number:02}.license")), answer).unwrap();
        expected.push(format!("peer-v40.{number:02}"));
        expected.push(format!("response 1{}", if row.1 { " to acknowledge" } else { "" }));
        expected.extend(lines(kid(1), Scheme::Cenc, row));
    }
    let read = peer.run(&["open".as_ref(), place.path().as_os_str()]);
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected, "{expected:#?}");
    }
    assert_eq!(read.len(), expected.len());
}

/// A test root of ours in a folder, and its devices.
fn our_folder() -> (tempfile::TempDir, TestRoot) {
    let (place, root) = (tempfile::tempdir().unwrap(), TestRoot::make(&mut SystemEntropy));
    for (name, bytes) in root.files() {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    for level in SecurityLevel::ALL {
        let folder = place.path().join(level.to_string());
        fs::create_dir(&folder).unwrap();
        for (name, bytes) in root.device(level, &mut SystemEntropy).files() {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    (place, root)
}

fn device(folder: &Path) -> ClientDevice {
    let [signing, encryption] =
        ["signing_private.pem", "encryption_private.pem"].map(|name| text(folder, name));
    ClientDevice::read(&bytes(folder, "chain.bin"), &signing, &encryption).unwrap()
}

#[test]
fn another_server_reads_our_challenge_and_we_open_its_license() {
    let Some(peer) = peer() else { return };
    let ours = our_folder().0;
    let theirs = tempfile::tempdir().unwrap();
    assert!(peer.run(&["make".as_ref(), theirs.path().as_os_str()]).is_empty());
    // Under a root of ours, and with devices that the peer made.
    for place in [ours.path(), theirs.path()] {
        let imported = Imported::of(place);
        let wmrm = imported.credentials.service_key().to_bytes();
        let service = Service::read(&bytes(place, "root_public.bin"), &wmrm).unwrap();
        for (scheme, level, number) in
            [(Scheme::Cenc, "L1", 3000), (Scheme::Cbcs, "L2", 2000), (Scheme::Cenc, "L3", 150)]
        {
            let device = device(&place.join(level));
            let objects = [1, 2].map(|byte| media::pssh::playready_object(kid(byte), scheme, None));
            let objects = objects.each_ref().map(Vec::as_slice);
            let ask = Ask { headers: &objects, custom_data: Some("a <b>"), service: &service };
            let (pending, body) = device.ask(&ask, NOW, &mut SystemEntropy).unwrap();
            fs::write(place.join("challenge"), body).unwrap();
            let (la, header) = if scheme == Scheme::Cbcs { (5, "4.3") } else { (4, "4.2") };
            let mut said = vec![
                format!("la {la} header {header}.0.0 level {number}"),
                "features AESCBC".to_owned(),
            ];
            said.extend([1, 2].map(|byte| format!("kid {}", hex(kid(byte).as_bytes()))));
            assert_eq!(peer.run(&["read".as_ref(), place.as_os_str()]), said);

            assert!(peer.run(&["serve".as_ref(), place.as_os_str()]).is_empty());
            let (opened, acknowledgement) = pending.open(&bytes(place, "answer")).unwrap();
            assert!(acknowledgement.is_none());
            let expected = LicenseTerms {
                can_play: true,
                license_s: NonZeroU32::new(86400),
                playback_s: NonZeroU32::new(3600),
                ..LicenseTerms::default()
            };
            assert_eq!((&opened.terms, opened.started_s), (&expected, NOW_S));
            let terms = KeyTerms {
                robustness: Robustness::HardwareKeys,
                hdcp: Hdcp::V2_2,
                analog: AnalogOutput::Refused,
                track_class: None,
            };
            let kids: Vec<KeyId> = opened.keys.iter().map(|key| key.kid).collect();
            assert_eq!(kids, [1, 2].map(kid));
            for key in &opened.keys {
                let sum = |own: &ContentKey| own.playready_checksum(key.kid);
                assert_eq!((key.terms, sum(&key.key)), (terms, sum(&key_of(key.kid))));
            }
        }
    }
}

#[test]
fn another_reader_verifies_the_chains_of_our_test_root() {
    let Some(peer) = peer() else { return };
    let (place, _) = our_folder();
    let issuer = |level: &str| format!("L1/chain.bin: device {level} 1,2: issuer 3000 6");
    let device =
        |name: &str, level: u32| issuer(&level.to_string()).replace("L1/", &format!("{name}/"));
    let expected = [
        device("L1", 3000),
        device("L2", 2000),
        device("L3", 150),
        "signing_chain.bin: license-signer 3000 20".to_owned(),
    ];
    assert_eq!(peer.run(&["chains".as_ref(), place.path().as_os_str()]), expected);
}

#[test]
fn the_peer_reads_the_license_that_microsoft_prints() {
    let Some(peer) = peer() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("vectors/playready/published-license.b64");
    let expected = "version 3
key jADgM0TEcEeYmaMh4HndNg== type 1 cipher 3
global.embedding 1
global.expiration 0 1446224230
global.issued 1446224170
global.level 2000
global.revocation 30";
    assert_eq!(peer.run(&["published".as_ref(), file.as_os_str()]).join("\n"), expected);
}
