//! Attacks on an XML signature: what is read is not what was signed.

use crate::headers::{guid, list};
use crate::world::{WORLD, acquisition, ask_kids, asked, cut, kid, replace};
use dialect::playready::{ChallengeError, SignatureError, XmlError};

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

struct Parts {
    text: String,
    signed: String,
    signature: String,
    /// A license acquisition for another key, unsigned.
    foreign: String,
}

fn parts() -> Parts {
    let text = asked();
    let signed = acquisition(&text).to_owned();
    let signature = cut(&text, "<Signature ", "</Signature>").to_owned();
    let foreign = replace(&signed, &guid(kid(1)), &guid(kid(9)));
    Parts { text, signed, signature, foreign }
}

fn refused(cases: &[(&str, String, ChallengeError)]) {
    for (name, message, error) in cases {
        let refusal = WORLD.parse(message.as_bytes()).map(|_| ());
        assert_eq!(refusal, Err(*error), "{name}");
    }
}

fn renamed(text: &str) -> String {
    replace(text, "Id=\"SignedData\"", "Id=\"Other\"")
}

/// The signature with something in it.
fn holding(signature: &str, object: &str) -> String {
    let object = format!("<Object>{object}</Object></Signature>");
    replace(signature, "</Signature>", &object)
}

/// Each moves what was signed, and puts something else in its place. None is answered.
#[test]
fn what_was_signed_is_read_in_its_place_only() {
    let Parts { text, signed, signature, foreign } = parts();
    let unnamed = replace(&foreign, " Id=\"SignedData\"", "");
    let instead = |other: &str| replace(&text, &signed, other);
    let inside = |outer: &str| {
        let custom = format!("<CustomData>{signed}</CustomData></LA>");
        replace(outer, "</LA>", &custom)
    };
    let header = format!("<soap:Header>{signed}</soap:Header><soap:Body>");
    let both = format!("{signed}{signature}");
    let in_signature =
        |other: &str| replace(&instead(other), &signature, &holding(&signature, &signed));
    refused(&[
        (
            "into a SOAP header",
            replace(&instead(&renamed(&foreign)), "<soap:Body>", &header),
            ChallengeError::Envelope,
        ),
        ("into the signature", in_signature(&renamed(&foreign)), ChallengeError::SignedId),
        ("into the signature, for one of no Id", in_signature(&unnamed), ChallengeError::SignedId),
        ("into custom data", instead(&inside(&renamed(&foreign))), ChallengeError::SignedId),
        ("into custom data, the same Id", instead(&inside(&foreign)), XmlError::IdTwice.into()),
        (
            "into another, with the signature",
            replace(&text, &both, &replace(&renamed(&foreign), "</LA>", &format!("{both}</LA>"))),
            ChallengeError::Unsigned,
        ),
        ("nowhere", instead(&foreign), SignatureError::Digest.into()),
        (
            "nowhere, and the reference to the other",
            instead(&renamed(&foreign)).replace("URI=\"#SignedData\"", "URI=\"#Other\""),
            ChallengeError::SignedId,
        ),
    ]);
}

/// Each puts a second one beside what was signed.
#[test]
fn there_is_one_of_each() {
    let Parts { text, signed, signature, foreign } = parts();
    let instead = |other: &str| replace(&text, &signed, other);
    let beside = |other: &str| instead(&format!("{other}{signed}"));
    refused(&[
        ("of the same Id", beside(&foreign), XmlError::IdTwice.into()),
        ("of another Id", beside(&renamed(&foreign)), ChallengeError::AcquisitionTwice),
        (
            "of another Id, behind",
            instead(&format!("{signed}{}", renamed(&foreign))),
            ChallengeError::AcquisitionTwice,
        ),
        ("of an ID", beside(&replace(&foreign, " Id=", " ID=")), XmlError::IdTwice.into()),
        ("of an xml:id", beside(&replace(&foreign, " Id=", " xml:id=")), XmlError::IdTwice.into()),
        (
            "in the signature",
            replace(&text, &signature, &holding(&signature, &renamed(&foreign))),
            SignatureError::Structure.into(),
        ),
        (
            "signature",
            replace(&text, &signature, &signature.repeat(2)),
            ChallengeError::AcquisitionTwice,
        ),
        (
            "challenge",
            replace(&text, "</challenge>", "</challenge><challenge></challenge>"),
            ChallengeError::Challenge,
        ),
        (
            "operation",
            replace(&text, "</soap:Body>", "<x></x></soap:Body>"),
            ChallengeError::Operation,
        ),
        (
            "body",
            replace(&text, "</soap:Body>", "</soap:Body><soap:Body></soap:Body>"),
            ChallengeError::Envelope,
        ),
    ]);
    let uris = ["", "SignedData", "#xpointer(/)", "#xpointer(id('SignedData'))", "#"];
    for uri in uris.into_iter().chain(["http://127.0.0.1/#SignedData", "#Other"]) {
        let other = replace(&text, "URI=\"#SignedData\"", &format!("URI=\"{uri}\""));
        assert_eq!(WORLD.refusal(other.as_bytes()), SignatureError::Reference.into(), "{uri}");
    }
}

#[test]
fn a_challenge_stripped_of_its_signature_is_refused() {
    let Parts { text, signature, .. } = parts();
    let without = |part: &str| replace(&text, part, "");
    let info = cut(&signature, "<SignedInfo", "</SignedInfo>");
    let value = cut(&signature, "<SignatureValue>", "</SignatureValue>");
    let key = cut(&signature, "<KeyInfo", "</KeyInfo>");
    let digest = cut(&signature, "<DigestValue>", "</DigestValue>");
    let reference = cut(&signature, "<Reference", "</Reference>");
    assert_eq!(WORLD.refusal(without(&signature).as_bytes()), ChallengeError::Unsigned);
    for part in [info, value, key, digest] {
        let refusal = WORLD.refusal(without(part).as_bytes());
        assert_eq!(refusal, SignatureError::Structure.into(), "{part}");
    }
    assert_eq!(WORLD.refusal(without(reference).as_bytes()), SignatureError::Reference.into());
    let empty = replace(&text, value, "<SignatureValue></SignatureValue>");
    assert_eq!(WORLD.refusal(empty.as_bytes()), SignatureError::Length.into());
    let foreign_space = replace(
        &text,
        "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">",
        "<Signature xmlns=\"urn:x\">",
    );
    assert!(WORLD.parse(foreign_space.as_bytes()).is_err());
}

/// The signature of one challenge does not do for another, nor that of another device.
#[test]
fn signatures_are_not_exchanged() {
    let Parts { text, signature, .. } = parts();
    for other in [asked(), String::from_utf8(ask_kids(&WORLD.other_l1, &[1]).1).unwrap()] {
        let other = cut(&other, "<Signature ", "</Signature>");
        let exchanged = replace(&text, &signature, other);
        assert_eq!(WORLD.refusal(exchanged.as_bytes()), SignatureError::Digest.into());
    }
    // Signed properly by another device, with the identity of the first.
    let resigned = WORLD.other_l1.sign(acquisition(&text));
    assert_eq!(WORLD.refusal(&resigned), ChallengeError::ForeignKey);
}

/// What names a prefix does not move: the names mean the same, and are read the same.
#[test]
fn prefixes_are_resolved() {
    let Parts { text, .. } = parts();
    let renamed = text.replace("soap:", "s:").replace(":soap=", ":s=");
    assert_eq!(WORLD.challenge(renamed.as_bytes()).kids(), [kid(1)]);
    let default = text
        .replace("soap:Envelope", "Envelope")
        .replace("soap:Body", "Body")
        .replace(":soap=", "=");
    assert_eq!(WORLD.challenge(default.as_bytes()).kids(), [kid(1)]);
    let foreign = replace(&text, ENVELOPE, "urn:x");
    assert_eq!(WORLD.refusal(foreign.as_bytes()), ChallengeError::Envelope);
    let unbound = replace(&text, &format!(" xmlns:soap=\"{ENVELOPE}\""), "");
    assert_eq!(WORLD.refusal(unbound.as_bytes()), XmlError::NotWellFormed.into());
    // A header of another namespace inside what was signed.
    let other = replace(acquisition(&text), "PlayReadyHeader\"", "Other\"");
    assert_eq!(WORLD.refusal(&WORLD.l1.sign(&other)), ChallengeError::ContentHeader);
    assert!(list("4.3", &[(1, "")]).contains("WRMHEADER"));
}
