//! The credentials of `vectors/playready` import, and the seeds of the fuzz corpus are what
//! their names say.

use crate::world::NOW;
use dialect::playready::client::{ClientDevice, Service};
use dialect::playready::{
    Credentials, Desk, Header, Request, RevocationList, VerifiedChains, open_license,
};
use std::path::Path;

fn file(path: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(path: &str) -> String {
    String::from_utf8(file(path)).unwrap()
}

fn seed(name: &str) -> Vec<u8> {
    file(&format!("fuzz/corpus/playready/{name}"))
}

fn credential(name: &str) -> Vec<u8> {
    file(&format!("vectors/playready/{name}"))
}

fn device() -> ClientDevice {
    let of = |name: &str| text(&format!("vectors/playready/device/{name}"));
    let (signing, encryption) = (of("signing_private.pem"), of("encryption_private.pem"));
    ClientDevice::read(&credential("device/chain.bin"), &signing, &encryption).unwrap()
}

#[test]
fn the_vectors_are_what_they_say() {
    let root = credential("root_public.bin");
    let credentials = Credentials::import(
        &root,
        &text("vectors/playready/wmrm_private.pem"),
        &credential("signing_chain.bin"),
        &text("vectors/playready/signing_private.pem"),
        NOW,
    )
    .unwrap();
    let chains = VerifiedChains::default();
    let revoked = RevocationList::parse(&text("vectors/playready/revocation.json")).unwrap();
    let desk = Desk {
        credentials: &credentials,
        chains: &chains,
        revoked: &revoked,
        allows_test_level: false,
    };
    let messages = ["4.0", "4.1", "4.2", "4.3", "utf-16"].map(|name| format!("challenge-{name}"));
    for name in messages.iter().map(String::as_str).chain(["key-message", "acknowledgement"]) {
        let request = Request::parse(&seed(name), &desk, NOW);
        match request.unwrap_or_else(|error| panic!("{name}: {error}")) {
            Request::License(challenge) => {
                let is_list = !["challenge-4.0", "challenge-4.1"].contains(&name);
                assert_eq!(challenge.kids().len(), 1 + usize::from(is_list), "{name}");
                assert_eq!(challenge.device().security_level, 3000);
            }
            Request::Acknowledgement(_) => assert_eq!(name, "acknowledgement"),
        }
    }
    for name in ["header-4.0", "header-4.1", "header-4.2", "header-4.3", "object"] {
        assert!(Header::parse(&seed(name)).is_ok(), "{name}");
    }
    assert_eq!(
        RevocationList::parse(&String::from_utf8(seed("revocation.json")).unwrap())
            .unwrap()
            .count(),
        1
    );
    assert_eq!(seed("chain"), credential("device/chain.bin"));
    assert!(
        Request::parse(
            &device().sign(&String::from_utf8(seed("acquisition")).unwrap()),
            &desk,
            NOW
        )
        .is_ok()
    );
}

#[test]
fn the_answers_open_for_the_device() {
    let answer = |name: &str| file(&format!("fuzz/corpus/playready_response/{name}"));
    let device = device();
    let service =
        Service::read(&credential("root_public.bin"), &credential("wmrm_public.bin")).unwrap();
    for (name, count) in [("4.0", 1), ("4.0-kept", 1), ("4.3", 2), ("4.3-kept", 2)] {
        let pending = device.await_answer(service, [7; 16], NOW);
        let (opened, acknowledgement) = pending.open(&answer(&format!("response-{name}"))).unwrap();
        assert_eq!(opened.keys.len(), count, "{name}");
        assert_eq!(acknowledgement.is_some(), name.ends_with("kept"));
        assert_eq!(opened.terms.can_persist, name.ends_with("kept"));
    }
    assert!(open_license(&answer("license"), &device.encryption).is_ok());
    assert!(device.await_answer(service, [7; 16], NOW).open(&answer("fault")).is_err());
}
