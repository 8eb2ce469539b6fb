//! A client and a key server in Python, of the packages `construct` and `cryptography`, read what
//! both our sides write, and what they write, our sides open.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

#[path = "support/python_peer.rs"]
mod python_peer;

use dialect::fairplay::client::{Ask, Pending};
use dialect::fairplay::test_root::TestRoot;
use dialect::fairplay::{
    ApplicationFiles, Capabilities, Challenge, ChallengeError, Credentials, Desk, Framing, Issue,
    KeySecurityModule, Playback, PlayerState, Streaming, carried_key_terms, carried_terms,
};
use dialect::terms::{Hdcp, KeyTerms, LicenseTerms, LicensedKey};
use keys::fairplay::ApplicationCertificate;
use keys::{ContentKey, SystemEntropy};
use model::{KeyId, PolicyName, Timestamp, TitlePolicy, TrackClass};
use python_peer::PythonPeer;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

const NOW: Timestamp = Timestamp(1_811_808_000_000);
const ASSET: &str = "skd://film?kid=01010101010101010101010101010101";
const HD: &str = "[outputs.HD]\nrobustness = \"hardware-keys\"\n";

/// A policy, whether its license is kept, and what the CKC of an HD key must say, by the tables
/// of the layout: the duration (none where no block may stand), the link protection.
const POLICIES: [(&str, bool, &str, &str); 16] = [
    ("license_s = 86400", false, "lease lease 86400 rental 0", "none"),
    ("license_s = 1", false, "lease lease 1 rental 0", "none"),
    ("license_s = 4294967295", false, "lease lease 4294967295 rental 0", "none"),
    ("license_s = 86400\nrental_s = 3600", false, "lease+rental lease 3600 rental 3600", "none"),
    ("license_s = 60\nrental_s = 3600", false, "lease+rental lease 60 rental 3600", "none"),
    ("license_s = 86400\nplayback_s = 7200", false, "lease lease 7200 rental 0", "none"),
    (
        "license_s = 9000\nrental_s = 8000\nplayback_s = 7000\nplay_start_grace_s = 600",
        false,
        "lease+rental lease 7000 rental 8000",
        "none",
    ),
    (
        "license_s = 86400\n[offline]\nallowed = true\nlicense_s = 604800",
        true,
        "persistent+duration lease 0 rental 604800",
        "none",
    ),
    (
        "license_s = 86400\n[offline]\nallowed = true\nlicense_s = 604800\nplayback_s = 172800",
        true,
        "persistent+duration lease 0 rental 172800",
        "none",
    ),
    (
        "license_s = 86400\n[offline]\nallowed = true\nlicense_s = 604800",
        false,
        "lease lease 86400 rental 0",
        "none",
    ),
    (
        "license_s = 86400\n[renewal]\nallowed = true\ndelay_s = 60",
        false,
        "lease lease 86400 rental 0",
        "none",
    ),
    ("license_s = 86400\nHD hdcp = \"1.x\"", false, "lease lease 86400 rental 0", "type-0"),
    ("license_s = 86400\nHD hdcp = \"2.0\"", false, "lease lease 86400 rental 0", "type-1"),
    ("license_s = 86400\nHD hdcp = \"2.1\"", false, "lease lease 86400 rental 0", "type-1"),
    ("license_s = 86400\nHD hdcp = \"2.2\"", false, "lease lease 86400 rental 0", "type-1"),
    ("license_s = 86400\nHD analog = \"refused\"", false, "lease lease 86400 rental 0", "type-0"),
];

/// The title's policy: `HD` begins a field of that class.
fn policy(text: &str) -> TitlePolicy {
    let (own, outputs): (Vec<_>, Vec<_>) = text.lines().partition(|line| !line.starts_with("HD "));
    let outputs = outputs.iter().map(|line| line.trim_start_matches("HD "));
    let outputs = outputs.collect::<Vec<_>>().join("\n");
    let text = format!("{}\n{HD}{outputs}", own.join("\n"));
    TitlePolicy::parse(PolicyName::parse("policy").unwrap(), &text).expect("a policy")
}

const KID: KeyId = KeyId::from_bytes([1; 16]);

/// The key that either side gives.
fn key_of_peer() -> ContentKey {
    ContentKey::from_bytes([0xfe; 16].into())
}

fn key(terms: KeyTerms) -> LicensedKey {
    LicensedKey { kid: KID, key: key_of_peer(), terms, iv: Some([0xaa; 16]) }
}

/// The credentials of a folder, as `credentials import fairplay` reads it.
fn module(place: &Path) -> KeySecurityModule {
    let text = |name: &str| fs::read_to_string(place.join(name)).unwrap();
    let files = ApplicationFiles {
        certificate: &fs::read(place.join("app_cert.der")).unwrap(),
        private_pem: &text("app_private.pem"),
        secret_hex: &text("ask.hex"),
        derivation: &text("d_function"),
    };
    Credentials::import(&files, NOW).unwrap().into()
}

fn peer() -> Option<PythonPeer> {
    PythonPeer::find("construct", "fairplay_peer.py")
}

#[test]
fn our_server_answers_another_client_and_it_reads_every_policy() {
    let Some(peer) = peer() else { return };
    let place = tempfile::tempdir().unwrap();
    let run = |command: &str| peer.run(&[command.as_ref(), place.path().as_os_str()]);
    assert!(run("make").is_empty() && run("ask").is_empty());
    let module = module(place.path());
    let parse = |name: &str| {
        let body = fs::read(place.path().join(format!("{name}.spc"))).unwrap();
        Challenge::parse(&body, &Desk { module: &module }, NOW)
    };
    // Without a playback state no duration can be said.
    assert_eq!(parse("peer-plain").unwrap_err(), ChallengeError::NoPlaybackState);
    let playing = parse("peer-playing").unwrap();
    assert_eq!((playing.kid(), playing.content_id()), (KID, None));
    assert_eq!(playing.asked().streaming, Streaming::AirPlay);
    assert!(playing.playback().is_renewal());
    assert_eq!(playing.playback().session_id, parse("peer-first").unwrap().playback().session_id);

    let mut expected = Vec::new();
    for (number, (text, persist, duration, hdcp)) in POLICIES.into_iter().enumerate() {
        let policy = policy(text);
        let terms = LicenseTerms::of(&policy, persist);
        let key_terms = KeyTerms::of(&policy, Some(TrackClass::Hd));
        // Type 1 and kept licenses are for clients that say that they can.
        let name = if hdcp == "type-1" || persist { "peer-kept" } else { "peer-first" };
        let challenge = parse(name).unwrap();
        assert_eq!(challenge.content_id(), Some("film"), "{name}");
        assert_eq!(challenge.playback().state, PlayerState::Starting, "{name}");
        let issue = Issue { terms: &terms, now: NOW };
        let answer = challenge.answer(&issue, key(key_terms), &mut SystemEntropy);
        let opened = answer.read_back().unwrap();
        assert_eq!(opened.terms, carried_terms(&terms), "{text}");
        let opened: Vec<KeyTerms> = opened.keys.iter().map(|key| key.terms).collect();
        assert_eq!(opened, [carried_key_terms(&key_terms)], "{text}");
        let stem = format!("{name}.{number:02}");
        fs::write(place.path().join(format!("{stem}.ckc")), answer.as_bytes()).unwrap();
        let key = format!("key {} iv {}", "fe".repeat(16), "aa".repeat(16));
        expected.push([stem, key, format!("duration {duration}"), format!("hdcp {hdcp}")]);
    }
    expected.sort();
    assert_eq!(run("open"), expected.concat());
}

#[test]
fn a_client_that_cannot_keep_the_terms_gets_no_key() {
    let Some(peer) = peer() else { return };
    let place = tempfile::tempdir().unwrap();
    let run = |command: &str| peer.run(&[command.as_ref(), place.path().as_os_str()]);
    assert!(run("make").is_empty() && run("ask").is_empty());
    let module = module(place.path());
    let body = fs::read(place.path().join("peer-first.spc")).unwrap();
    let challenge = Challenge::parse(&body, &Desk { module: &module }, NOW).unwrap();
    let policy = policy("license_s = 60\nHD hdcp = \"2.2\"");
    let key_terms = KeyTerms::of(&policy, Some(TrackClass::Hd));
    assert!(!challenge.can_keep(&key_terms), "it does not say that it enforces type 1");
    let terms = LicenseTerms::of(&policy, false);
    let issue = Issue { terms: &terms, now: NOW };
    let answer = challenge.answer(&issue, key(key_terms), &mut SystemEntropy);
    assert!(answer.read_back().is_err());
    assert!(!answer.as_bytes().windows(16).any(|bytes| bytes == [0xfe; 16]));
}

#[test]
fn another_key_server_opens_our_request_and_we_open_its_license() {
    let Some(peer) = peer() else { return };
    let place = tempfile::tempdir().unwrap();
    let run = |command: &str| peer.run(&[command.as_ref(), place.path().as_os_str()]);
    let root = TestRoot::make(&mut SystemEntropy);
    for (name, bytes) in root.files() {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    let mut device = root.make_device(&mut SystemEntropy).client().unwrap();
    let certificate = ApplicationCertificate::parse(&root.certificate).unwrap();
    let playback = Playback::start(NOW, &mut SystemEntropy);
    let mut earlier: Option<Pending> = None;
    for (playback, hdcp_type_1, offline, said) in [
        (playback, true, true, ["playback first", "capabilities 3"]),
        (playback.renewing(), true, false, ["playback needed", "capabilities 1"]),
        (playback, false, true, ["playback first", "capabilities 2"]),
    ] {
        device.capabilities = Capabilities { hdcp_type_1, offline };
        let ask = Ask {
            certificate: &certificate,
            asset_id: ASSET.as_bytes(),
            framing: Framing::Octets,
            persist: false,
            playback: Some(playback),
            streaming: Streaming::Device,
        };
        let (pending, body) = device.ask(&ask, &mut SystemEntropy);
        fs::write(place.path().join("challenge"), body).unwrap();
        let [playback, capabilities] = said.map(str::to_owned);
        let returned = "return capabilities transaction".to_owned();
        assert_eq!(run("serve"), [format!("asset {ASSET}"), playback, capabilities, returned]);
        let answer = fs::read(place.path().join("answer")).unwrap();
        let license = pending.open(&answer, NOW).unwrap();
        assert_eq!(license.terms.license_s.map(NonZeroU32::get), Some(3600));
        let is_the_key = |key: &LicensedKey| {
            let sum = |key: &ContentKey| key.playready_checksum(KID);
            sum(&key.key) == sum(&key_of_peer()) && (key.kid, key.iv) == (KID, Some([0xaa; 16]))
        };
        assert!(license.keys.len() == 1 && license.keys.iter().all(is_the_key));
        assert!(license.keys.iter().all(|key| key.terms.hdcp == Hdcp::V2_2));
        // The answer to one request opens no other.
        let other = earlier.map(|other| other.open(&answer, NOW).is_err());
        assert!(other.unwrap_or(true));
        earlier = Some(pending);
    }
}
