//! A client says that it stored a license.

use crate::world::{WORLD, ask_kids, content_key, cut, fingerprint, licensed, replace};
use dialect::playready::{Acknowledgement, ChallengeError, Request, SignatureError};
use dialect::terms::LicenseTerms;
use keys::{SystemEntropy, sha256};
use model::Scheme;

const PROTOCOLS: &str = "http://schemas.microsoft.com/DRM/2007/03/protocols";

fn signed(inner: &str) -> String {
    let element = format!(
        "<LicenseAcknowledgement xmlns=\"{PROTOCOLS}\" Id=\"SignedData\">{inner}\
         </LicenseAcknowledgement>"
    );
    let body = String::from_utf8(WORLD.l1.sign(&element)).unwrap();
    body.replace("AcquireLicense", "AcknowledgeLicense")
}

fn named(id: &str) -> String {
    signed(&format!("<TransactionID>{id}</TransactionID>"))
}

const ID: &str = "265e4a30-72f9-4f46-b41e-102a21ac4bc9";

fn read(body: &[u8]) -> Acknowledgement {
    match WORLD.parse(body).unwrap() {
        Request::Acknowledgement(acknowledgement) => acknowledgement,
        Request::License(challenge) => panic!("{challenge:?}"),
    }
}

#[test]
fn it_names_its_transaction_and_its_signer() {
    let acknowledgement = read(named(ID).as_bytes());
    assert_eq!(acknowledgement.transaction_id().to_string(), ID);
    assert_eq!(*acknowledgement.signer(), sha256(&WORLD.l1.signing.public_key().to_bytes()));
    let answer = String::from_utf8(acknowledgement.answer()).unwrap();
    assert!(answer.contains("<AcknowledgeLicenseResult>"), "{answer}");
    assert!(!answer.contains("/>"), "{answer}");
}

#[test]
fn other_acknowledgements_are_refused() {
    let own = named(ID);
    let signature = cut(&own, "<Signature ", "</Signature>");
    let digest: ChallengeError = SignatureError::Digest.into();
    for (body, error) in [
        (signed(""), ChallengeError::Transaction),
        (named(""), ChallengeError::Transaction),
        (named("x"), ChallengeError::Transaction),
        (named(&ID.to_uppercase()), ChallengeError::Transaction),
        (named(&ID.replace('-', "")), ChallengeError::Transaction),
        (named(&format!("{ID}0")), ChallengeError::Transaction),
        (named(&ID.replace("265e4a30", "+65e4a30")), ChallengeError::Transaction),
        (named(&format!("<x></x>{ID}")), ChallengeError::Transaction),
        (
            signed("<TransactionID></TransactionID><TransactionID></TransactionID>"),
            ChallengeError::Transaction,
        ),
        (replace(&own, signature, ""), ChallengeError::Unsigned),
        (replace(&own, "<TransactionID>2", "<TransactionID>3"), digest),
        (own.replace("LicenseAcknowledgement", "LA"), ChallengeError::AcquisitionMissing),
    ] {
        assert_eq!(WORLD.refusal(body.as_bytes()), error, "{body}");
    }
    assert_eq!(ChallengeError::Transaction.name(), "transaction");
}

#[test]
fn a_license_that_is_kept_is_acknowledged_and_no_other() {
    for can_persist in [false, true] {
        let terms = LicenseTerms { can_play: true, can_persist, ..LicenseTerms::default() };
        let (pending, body) = ask_kids(&WORLD.l1, &[1]);
        let issue = WORLD.issue(&terms, Scheme::Cbcs);
        let answer = WORLD.challenge(&body).answer(&issue, vec![licensed(1)], &mut SystemEntropy);
        let (opened, acknowledgement) = pending.open(answer.as_bytes()).unwrap();
        assert_eq!(fingerprint(&opened.keys[0].key), fingerprint(&content_key(1)));
        assert_eq!(acknowledgement.is_some(), can_persist);
        if let Some(body) = acknowledgement {
            let text = String::from_utf8(answer.as_bytes().to_vec()).unwrap();
            let id = read(&body).transaction_id();
            assert!(text.contains(&format!("<TransactionID>{id}</TransactionID>")));
        }
    }
}
