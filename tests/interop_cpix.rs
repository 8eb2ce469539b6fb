//! Independent tools decide: pycpix reads every SPEKE contract that we answer, and the Python
//! package `cryptography` decrypts its keys; what they encrypt for us,
//! we open, and what signxml signs, we verify.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests may panic")]

#[path = "support/python_peer.rs"]
mod python_peer;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::cpix::speke::{GivenKey, Request, Signaling, SpekeVersion};
use dialect::cpix::{Blob, Document, KeyValue, SignatureError, SystemId};
use keys::{ContentKey, RecipientKey, Signer, SystemEntropy};
use model::{Entropy as _, KeyId, Timestamp};
use python_peer::PythonPeer;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

/// Track types of a contract, as encryptors combine them.
const CONTRACTS: [&[&str]; 8] = [
    &["ALL"],
    &["VIDEO", "AUDIO"],
    &["SD", "HD", "AUDIO"],
    &["SD", "HD", "UHD", "STEREO_AUDIO", "MULTICHANNEL_AUDIO"],
    &["SD", "HD", "UHD1", "UHD2", "AUDIO"],
    &["SD+HD1", "HD2", "UHD1", "UHD2", "AUDIO"],
    &[
        "SD",
        "HD1",
        "HD2",
        "UHD1",
        "UHD2",
        "STEREO_AUDIO",
        "MULTICHANNEL_AUDIO_3_6",
        "MULTICHANNEL_AUDIO_7",
    ],
    &["SD", "HD"],
];

/// pycpix and signxml, behind their script.
fn peer() -> Option<PythonPeer> {
    PythonPeer::find("cpix", "cpix_peer.py")
}

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/cpix/certificates").join(name)
}

fn filters(track_type: &str) -> &'static str {
    match track_type {
        "ALL" => "<VideoFilter/><AudioFilter/>",
        audio if audio.contains("AUDIO") => r#"<AudioFilter minChannels="1" maxChannels="24"/>"#,
        _ => r#"<VideoFilter minPixels="1" maxPixels="35389440"/>"#,
    }
}

/// How the keys of a contract travel and change.
#[derive(Clone, Copy, PartialEq)]
enum Delivery {
    Clear,
    Rotating,
    Encrypted,
}

fn kid() -> KeyId {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    KeyId::from_bytes(bytes)
}

fn request(types: &[&str], version: SpekeVersion, scheme: &str, delivery: Delivery) -> Document {
    let (mut keys, mut systems, mut rules) = (String::new(), String::new(), String::new());
    let (recipients, periods, period) = match delivery {
        Delivery::Clear => (String::new(), "", ""),
        Delivery::Rotating => (
            String::new(),
            r#"<ContentKeyPeriodList><ContentKeyPeriod id="p1" index="7"/></ContentKeyPeriodList>"#,
            r#"<KeyPeriodFilter periodId="p1"/>"#,
        ),
        Delivery::Encrypted => {
            let certificate = fs::read_to_string(vector("rsa2048.cert.b64")).unwrap();
            let data = r#"<X509Data xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Certificate>"#;
            let data = format!("{data}{certificate}</X509Certificate></X509Data>");
            let one = format!("<DeliveryData><DeliveryKey>{data}</DeliveryKey></DeliveryData>");
            (format!("<DeliveryDataList>{one}</DeliveryDataList>"), "", "")
        }
    };
    for track_type in types {
        let kid = kid().to_uuid();
        keys += &format!(r#"<ContentKey kid="{kid}" commonEncryptionScheme="{scheme}"/>"#);
        for system in systems_of(scheme) {
            let hls =
                r#"<HLSSignalingData playlist="media"/><HLSSignalingData playlist="master"/>"#;
            systems += &format!(
                r#"<DRMSystem kid="{kid}" systemId="{system}"><PSSH/><ContentProtectionData/>{hls}</DRMSystem>"#
            );
        }
        let filters = filters(track_type);
        rules += &format!(
            r#"<ContentKeyUsageRule kid="{kid}" intendedTrackType="{track_type}">{period}{filters}</ContentKeyUsageRule>"#
        );
    }
    let version = if version == SpekeVersion::V2_1 { "2.4" } else { "2.3" };
    let text = format!(
        r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="film" version="{version}">{recipients}<ContentKeyList>{keys}</ContentKeyList><DRMSystemList>{systems}</DRMSystemList>{periods}<ContentKeyUsageRuleList>{rules}</ContentKeyUsageRuleList></CPIX>"#
    );
    Document::parse(text.as_bytes()).unwrap()
}

/// FairPlay plays `cbcs` only.
fn systems_of(scheme: &str) -> Vec<SystemId> {
    let all = [SystemId::WIDEVINE, SystemId::PLAYREADY, SystemId::FAIRPLAY];
    all.into_iter().filter(|system| scheme == "cbcs" || *system != SystemId::FAIRPLAY).collect()
}

fn signaling(system: SystemId, kid: KeyId) -> Signaling {
    let blob = |text: &str| Blob::from_bytes(text.as_bytes().to_vec());
    Signaling {
        pssh: if system == SystemId::FAIRPLAY { None } else { blob("a box") },
        content_protection: blob("<ContentProtection/>"),
        hls_media: blob("#EXT-X-KEY:METHOD=SAMPLE-AES"),
        hls_multivariant: blob("#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES"),
        ..Signaling::new(system, kid)
    }
}

/// Answers one contract into a file; the lines that the peer must print.
fn answer(request: Request, name: &str, folder: &Path) -> Vec<String> {
    let (mut keys, mut known, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for asked in request.asked() {
        let (mut key, mut iv) = (Zeroizing::new([0; 16]), [0; 16]);
        SystemEntropy.fill(key.as_mut_slice());
        SystemEntropy.fill(&mut iv);
        let scheme = asked.scheme.unwrap();
        lines.push(format!("{name} {} {} {scheme} {}", asked.kid, hex(&*key), hex(&iv)));
        known.extend(asked.systems.iter().map(|system| signaling(*system, asked.kid)));
        let key = ContentKey::from_bytes(key);
        keys.push(GivenKey { kid: asked.kid, key, explicit_iv: Some(iv) });
    }
    let answer = request.answer(keys, &known, &mut SystemEntropy).unwrap();
    fs::write(folder.join(format!("{name}.xml")), answer.write().as_bytes()).unwrap();
    lines
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Answers every contract into files of its own: how many, and what the peer must print.
fn answer_all(folder: &Path) -> (usize, BTreeSet<String>) {
    let mut expected = BTreeSet::new();
    let mut count = 0_usize;
    for types in CONTRACTS {
        for scheme in ["cenc", "cbcs"] {
            for delivery in [Delivery::Clear, Delivery::Rotating, Delivery::Encrypted] {
                let is_even = count.is_multiple_of(2);
                let version = if is_even { SpekeVersion::V2_0 } else { SpekeVersion::V2_1 };
                let document = request(types, version, scheme, delivery);
                let request = Request::check(document, version, NOW).unwrap();
                expected.extend(answer(request, &format!("{count:02}"), folder));
                count += 1;
            }
        }
    }
    (count, expected)
}

#[test]
fn pycpix_reads_every_contract() {
    let Some(peer) = peer() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (count, expected) = answer_all(folder.path());
    assert!(count >= 30, "{count} contracts");
    let secret = vector("rsa2048.key.b64");
    let read = peer.run(&["read".as_ref(), folder.path().as_os_str(), secret.as_os_str()]);
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn what_signxml_signs_is_verified() {
    let Some(peer) = peer() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (count, _) = answer_all(folder.path());
    let (secret, certificate) = (vector("rsa3072.key.b64"), vector("rsa3072.cert.b64"));
    let [place, secret, signer] =
        [folder.path(), &secret, &certificate].map(|path| path.as_os_str());
    peer.run(&["sign".as_ref(), place, secret, signer]);
    let certificate = STANDARD.decode(fs::read_to_string(&certificate).unwrap().trim()).unwrap();
    let signers = [Signer::parse(&certificate, NOW).unwrap()];
    for number in 0..count {
        let text = fs::read_to_string(folder.path().join(format!("{number:02}.xml"))).unwrap();
        let signed = Document::parse_signed(text.as_bytes(), &signers);
        assert!(signed.is_ok(), "{number}: {}", signed.unwrap_err());
        let changed = text.replacen("contentId=\"film\"", "contentId=\"firm\"", 1);
        let refused = Document::parse_signed(changed.as_bytes(), &signers).unwrap_err();
        assert_eq!(refused, SignatureError::Digest, "{number}");
    }
}

#[test]
fn what_pycpix_writes_is_opened() {
    let Some(peer) = peer() else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificate = vector("rsa2048.cert.b64");
    let [place, recipient] = [folder.path(), &certificate].map(|path| path.as_os_str());
    let written = peer.run(&["write".as_ref(), place, recipient, "12".as_ref()]);
    let expected: BTreeSet<String> = written.into_iter().collect();
    let secret = fs::read_to_string(vector("rsa2048.key.b64")).unwrap();
    let own =
        RecipientKey::parse(&Zeroizing::new(STANDARD.decode(secret.trim()).unwrap())).unwrap();
    let mut found = BTreeSet::new();
    for number in 0..12 {
        let bytes = fs::read(folder.path().join(format!("{number}.xml"))).unwrap();
        let opened = Document::parse(&bytes).unwrap().open(&own).unwrap();
        assert_eq!((opened.parts().periods.len(), opened.parts().rules.len()), (1, 1));
        for entry in &opened.parts().keys {
            let KeyValue::Clear(key) = &entry.value else { continue };
            #[expect(clippy::disallowed_methods, reason = "the test compares it with the peer's")]
            let key = hex(&*key.reveal());
            let scheme = entry.scheme().unwrap();
            let iv = hex(&entry.explicit_iv.unwrap());
            found.insert(format!("{number} {} {key} {} {iv}", entry.kid, scheme.name()));
        }
    }
    assert_eq!(found, expected);
}
