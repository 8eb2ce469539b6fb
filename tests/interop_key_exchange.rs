//! Independent tools decide: pycpix reads every answer of the running key service, and the
//! Python package `cryptography` decrypts the keys in it (CPIX 2.4, SPEKE 2.0 and 2.1).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/python_peer.rs"]
mod python_peer;
#[expect(dead_code, reason = "other tests ask for more of it")]
#[path = "support/service.rs"]
mod service;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use binary::{done, strongroom};
use dialect::cpix::speke::{Ask, SpekeVersion, TrackType, WantedKey};
use dialect::cpix::{Blob, Document, KeyPeriod, KeyValue, SystemId, Text};
use keys::SystemEntropy;
use model::{Entropy as _, KeyId, Scheme};
use python_peer::PythonPeer;
use service::Service;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Track types of a contract, as encryptors combine them.
const CONTRACTS: [&[&str]; 8] = [
    &["ALL"],
    &["VIDEO", "AUDIO"],
    &["SD", "HD", "AUDIO"],
    &["SD", "HD", "UHD", "STEREO_AUDIO", "MULTICHANNEL_AUDIO"],
    &["SD", "HD", "UHD1", "UHD2", "AUDIO"],
    &["SD+HD1", "HD2", "UHD1", "UHD2", "AUDIO"],
    &["SD", "HD1", "HD2", "UHD1", "UHD2", "STEREO_AUDIO", "MULTICHANNEL_AUDIO_3_6"],
    &["SD", "HD"],
];

/// For whom the keys of an answer are encrypted: names of certificates in `vectors/`.
const RECIPIENTS: [&[&str]; 3] = [&["rsa2048"], &["rsa3072"], &["rsa2048", "rsa3072"]];

/// pycpix, `cryptography` and signxml, behind their script.
fn peer() -> Option<PythonPeer> {
    PythonPeer::find("cpix", "cpix_peer.py")
}

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/cpix/certificates").join(name)
}

/// What the peer reads out of the documents of a folder, with a recipient's private key.
fn read(peer: &PythonPeer, folder: &Path, key: &str) -> BTreeSet<String> {
    let key = vector(&format!("{key}.key.b64"));
    let lines = peer.run(&["read".as_ref(), folder.as_os_str(), key.as_os_str()]);
    lines.into_iter().collect()
}

/// Has the peer sign the documents of a folder in their places.
fn sign(peer: &PythonPeer, folder: &Path, signer: &str) {
    let [key, certificate] = ["key", "cert"].map(|part| vector(&format!("{signer}.{part}.b64")));
    peer.run(&["sign".as_ref(), folder.as_os_str(), key.as_os_str(), certificate.as_os_str()]);
}

fn certificate(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(vector(&format!("{name}.cert.b64"))).unwrap();
    STANDARD.decode(text.trim()).unwrap()
}

/// A contract's question, always with the same KIDs.
struct Contract {
    name: String,
    ask: Ask,
}

fn contracts() -> Vec<Contract> {
    let mut all = Vec::new();
    for types in CONTRACTS {
        for scheme in Scheme::ALL {
            let number = all.len();
            let kid = || {
                let mut bytes = [0; 16];
                SystemEntropy.fill(&mut bytes);
                KeyId::from_bytes(bytes)
            };
            let mut systems = vec![SystemId::WIDEVINE, SystemId::PLAYREADY];
            systems.extend((scheme == Scheme::Cbcs).then_some(SystemId::FAIRPLAY));
            let is_rotating = number % 3 == 2;
            let index = u32::try_from(number).ok();
            let period = KeyPeriod { id: Text::parse("p1"), label: None, index, span: None };
            let wanted = |track_type: &&str| WantedKey {
                kid: kid(),
                track_type: TrackType::parse(track_type).unwrap(),
                period: period.id.clone().filter(|_| is_rotating),
            };
            let ask = Ask {
                version: if number % 2 == 0 { SpekeVersion::V2_0 } else { SpekeVersion::V2_1 },
                content_id: Text::parse(&format!("film-{number}")).unwrap(),
                scheme,
                keys: types.iter().map(wanted).collect(),
                systems,
                periods: is_rotating.then_some(period).into_iter().collect(),
                recipients: vec![],
            };
            all.push(Contract { name: format!("{number:02}"), ask });
        }
    }
    all
}

fn answer(service: &Service, bearer: &str, ask: Ask) -> Vec<u8> {
    let version = format!("X-Speke-Version: {}", ask.version.header().unwrap());
    let question = ask.document().unwrap().write();
    let headers = [bearer, version.as_str(), "Content-Type: application/xml"];
    let path = "/speke/v2.0/copyProtection";
    let answer = service.ask("POST", path, &headers, question.as_bytes());
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.body
}

/// The lines that the peer must print for an answer in the clear.
fn lines(name: &str, answer: &[u8]) -> Vec<String> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let document = Document::parse(answer).unwrap();
    let line = |entry: &dialect::cpix::KeyEntry| {
        let KeyValue::Clear(key) = &entry.value else { panic!("no clear key") };
        #[expect(clippy::disallowed_methods, reason = "the test compares it with the peer's")]
        let key = hex(&*key.reveal());
        let scheme = entry.scheme().unwrap().name();
        let iv = entry.explicit_iv.map_or("-".to_owned(), |iv| hex(&iv));
        format!("{name} {} {key} {scheme} {iv}", entry.kid)
    };
    document.parts().keys.iter().map(line).collect()
}

#[test]
fn pycpix_reads_every_answer_and_cryptography_decrypts_it() {
    let Some(peer) = peer() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let token = done(strongroom(&data).args(["admin-token", "--scope", "speke"]));
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let service = Service::start(&mut strongroom(&data), &folder.path().join("serve.log"));
    let place = |name: &str| {
        let place = folder.path().join(name);
        std::fs::create_dir_all(&place).unwrap();
        place
    };
    let (mut expected, mut count) = (BTreeSet::new(), 0);
    for Contract { name, ask } in contracts() {
        let clear = answer(&service, &bearer, ask.clone());
        std::fs::write(place("clear").join(format!("{name}.xml")), &clear).unwrap();
        expected.extend(lines(&name, &clear));
        count += 1;
        for recipients in RECIPIENTS {
            let blob = |name: &&str| Blob::from_bytes(certificate(name)).unwrap();
            let recipients_of_run = recipients.iter().map(blob).collect();
            let sealed =
                answer(&service, &bearer, Ask { recipients: recipients_of_run, ..ask.clone() });
            assert!(!String::from_utf8_lossy(&sealed).contains("PlainValue"));
            let file = place(&recipients.join("-")).join(format!("{name}.xml"));
            std::fs::write(file, &sealed).unwrap();
            count += 1;
        }
    }
    assert!(count >= 30, "{count} answers");
    assert_eq!(read(&peer, &place("clear"), "rsa2048"), expected);
    for recipients in RECIPIENTS {
        for own in recipients {
            let opened = read(&peer, &place(&recipients.join("-")), own);
            assert_eq!(opened, expected, "{own} of {recipients:?}");
        }
    }
}

#[test]
fn where_signers_are_named_a_question_counts_only_under_their_signature() {
    let Some(peer) = peer() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let der = folder.path().join("signer.der");
    std::fs::write(&der, certificate("rsa2048")).unwrap();
    let settings = folder.path().join("strongroom.toml");
    std::fs::write(&settings, format!("[vault]\nrequest_signers = [{der:?}]\n")).unwrap();
    let token = done(strongroom(&data).args(["admin-token", "--scope", "speke,cpix"]));
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let mut binary = strongroom(&data);
    let service =
        Service::start(binary.arg("--config").arg(&settings), &folder.path().join("serve.log"));

    let Contract { ask, .. } = contracts().swap_remove(0);
    let question =
        String::from_utf8(ask.clone().document().unwrap().write().as_bytes().to_vec()).unwrap();
    let signed_by = |signer: &str| {
        let place = folder.path().join(signer);
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("q.xml"), &question).unwrap();
        sign(&peer, &place, signer);
        std::fs::read_to_string(place.join("q.xml")).unwrap()
    };
    let post = |text: &str| {
        let headers = [bearer.as_str(), "Content-Type: application/xml"];
        let answer = service.ask("POST", "/cpix", &headers, text.as_bytes());
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let refused = |text: &str, words: &str| {
        let (status, body) = post(text);
        assert!(status == 422 && body.contains(words), "{status}: {body}");
    };
    let signed = signed_by("rsa2048");
    assert_eq!(post(&signed).0, 200, "{}", post(&signed).1);
    refused(&question, "the document is not signed");
    refused(&signed_by("rsa3072"), "the signer is not trusted");
    refused(&signed.replace("film-0", "film-9"), "changed after it was signed");
    // The signed part moved beside another root: what is read is not what was signed.
    let inner = signed.split_once("?>").map_or(signed.as_str(), |(_, rest)| rest);
    let wrapped = question.replace("</cpix:CPIX>", &format!("<x>{inner}</x></cpix:CPIX>"));
    assert_ne!(wrapped, question);
    assert_eq!(post(&wrapped).0, 422);
    // SPEKE knows no signatures.
    answer(&service, &bearer, ask);

    std::fs::write(&der, b"no certificate").unwrap();
    let refused = strongroom(&data).arg("--config").arg(&settings).args(["keys", "list"]).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("vault.request_signers: ") && words.contains("signer.der"), "{words}");
}
