//! The response on its way: what was changed is refused, or was not signed and means nothing.

use crate::mutation::Dice;
use crate::world::{NOW, WORLD, ask_kids, content_key, cut, fingerprint, licensed, replace, utf16};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::playready::{LicenseError, OpenedResponse, SignatureError, XmlError};
use keys::{P256PrivateKey, SystemEntropy};

/// An answer's text, and the nonce of the request that it answers.
fn answered(kids: &[u8]) -> (String, [u8; 16]) {
    let (pending, body) = ask_kids(&WORLD.l1, kids);
    let answer = WORLD.answer(&body, kids.iter().copied().map(licensed).collect());
    (String::from_utf8(answer.as_bytes().to_vec()).unwrap(), pending.nonce())
}

fn open(answer: &[u8], nonce: [u8; 16]) -> Result<OpenedResponse, LicenseError> {
    let opened = WORLD.l1.await_answer(WORLD.service, nonce, NOW).open(answer);
    opened.map(|(opened, _)| opened)
}

fn refusal(answer: &str, nonce: [u8; 16]) -> LicenseError {
    open(answer.as_bytes(), nonce).unwrap_err()
}

#[test]
fn it_is_written_to_be_read_as_it_was_sent() {
    let (text, nonce) = answered(&[1, 2]);
    let signed = cut(&text, "<LicenseResponse", "</LicenseResponse>");
    let start = "<LicenseResponse xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\" \
        Id=\"SignedData\"><Version>5</Version><Licenses><License>";
    assert!(signed.starts_with(start), "{signed}");
    assert!(!text.contains("/>") && !text.contains("> ") && !text.contains('\n'), "{text}");
    assert_eq!(signed.matches("<License>").count(), 2);
    let own = format!("<LicenseNonce>{}</LicenseNonce>", STANDARD.encode(nonce));
    assert!(signed.contains(&own));
    assert_eq!(open(&utf16(&text, u16::to_le_bytes), nonce).unwrap().keys.len(), 2);
}

/// Every byte, three ways. What is not refused was not signed: the values of the declaration.
#[test]
fn every_flipped_byte_is_refused_or_means_nothing() {
    let (text, nonce) = answered(&[1]);
    let head = text.find("<soap:Envelope").unwrap();
    let mut accepted = 0;
    for at in 0..text.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = text.as_bytes().to_vec();
            changed[at] ^= flip;
            if let Ok(opened) = open(&changed, nonce) {
                assert!(
                    at < head,
                    "byte {at} ^ {flip:#x}: {}",
                    &text[at..(at + 9).min(text.len())]
                );
                assert_eq!(fingerprint(&opened.keys[0].key), fingerprint(&content_key(1)));
                accepted += 1;
            }
        }
    }
    assert!(accepted > 0);
    assert!(open(text.as_bytes(), nonce).is_ok());
}

#[test]
fn ten_thousand_mutations_give_no_other_key() {
    let (text, nonce) = answered(&[1]);
    let signed = cut(&text, "<LicenseResponse", "</LicenseResponse>");
    let mut dice = Dice::default();
    for round in 0..10_000 {
        let changed = dice.damaged(text.as_bytes());
        if let Ok(opened) = open(&changed, nonce) {
            assert!(String::from_utf8(changed).unwrap().contains(signed), "round {round}");
            assert_eq!(fingerprint(&opened.keys[0].key), fingerprint(&content_key(1)));
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let (text, nonce) = answered(&[1]);
    for end in 0..text.len() {
        assert!(open(&text.as_bytes()[..end], nonce).is_err(), "{end}");
    }
}

#[test]
fn refusals_of_the_client_have_their_names() {
    let (text, nonce) = answered(&[1, 2]);
    let signed = cut(&text, "<LicenseResponse", "</LicenseResponse>");
    let signature = cut(&text, "<Signature ", "</Signature>");
    let chain = cut(signed, "<SigningCertificateChain>", "</SigningCertificateChain>");
    let first = cut(signed, "<License>", "</License>");
    let malformed = LicenseError::Malformed;
    let many = first.repeat(dialect::MAX_KEYS);
    let (other, _) = P256PrivateKey::generate();
    let other = STANDARD.encode(other.public_key().to_bytes());
    let naming = |key: &str| {
        let info = format!(
            "<KeyInfo><KeyValue><ECCKeyValue><PublicKey>{key}</PublicKey></ECCKeyValue></KeyValue>\
             </KeyInfo></Signature>"
        );
        replace(&text, "</Signature>", &info)
    };
    for (answer, error) in [
        (String::new(), LicenseError::Xml(XmlError::NotWellFormed)),
        ("<x></x>".to_owned(), malformed),
        (replace(&text, signature, ""), malformed),
        (replace(&text, signature, &signature.repeat(2)), malformed),
        (replace(&text, signed, ""), malformed),
        (replace(&text, signed, &format!("{signed}<x></x>")), malformed),
        (replace(&text, " Id=\"SignedData\"", ""), malformed),
        (replace(&text, chain, ""), malformed),
        (replace(&text, first, "<License>!</License>"), malformed),
        (replace(&text, first, "<Other></Other>"), malformed),
        (replace(&text, first, &many), LicenseError::TooManyLicenses),
        (replace(&text, first, ""), LicenseError::Signature(SignatureError::Digest)),
        (replace(&text, first, &first.repeat(2)), LicenseError::Signature(SignatureError::Digest)),
        (
            replace(&text, "URI=\"#SignedData\"", "URI=\"\""),
            LicenseError::Signature(SignatureError::Reference),
        ),
        (naming(&other), LicenseError::ForeignKey),
        (naming("AAAA"), LicenseError::Signature(SignatureError::Length)),
        (naming("<x></x>"), LicenseError::Signature(SignatureError::Structure)),
    ] {
        assert_eq!(refusal(&answer, nonce), error, "{answer}");
    }
    assert_eq!(refusal(&text, [0; 16]), LicenseError::Nonce);
    // A server may name its key; then it must be the chain's.
    let signer = P256PrivateKey::parse_pem(&WORLD.root.signing_private_pem).unwrap();
    let own = STANDARD.encode(signer.public_key().to_bytes());
    assert!(open(naming(&own).as_bytes(), nonce).is_ok());
    let nonce_text = format!("<LicenseNonce>{}</LicenseNonce>", STANDARD.encode(nonce));
    assert_eq!(refusal(&replace(&text, &nonce_text, ""), nonce), malformed);
    let signed_again = WORLD.l1.sign(signed);
    assert_eq!(open(&signed_again, nonce).unwrap_err(), malformed);
}

/// Licenses of two responses, each of them right, do not go into one.
#[test]
fn licenses_are_not_exchanged() {
    let ((one, nonce), (two, _)) = (answered(&[1]), answered(&[1]));
    let of = |text: &str| cut(text, "<License>", "</License>").to_owned();
    let mixed = replace(&one, &of(&one), &of(&two));
    assert_eq!(refusal(&mixed, nonce), LicenseError::Signature(SignatureError::Digest));
    // Not even where the service itself would sign that.
    let signed = cut(&mixed, "<LicenseResponse", "</LicenseResponse>");
    let signer = P256PrivateKey::parse_pem(&WORLD.root.signing_private_pem).unwrap();
    let resigned = resigned(&mixed, signed, &signer);
    assert_eq!(refusal(&resigned, nonce), LicenseError::Nonce);
}

/// The message with a new signature over `signed`.
fn resigned(text: &str, signed: &str, signer: &P256PrivateKey) -> String {
    let info = cut(text, "<SignedInfo", "</SignedInfo>");
    let digest = cut(info, "<DigestValue>", "</DigestValue>");
    let hash = STANDARD.encode(keys::sha256(signed.as_bytes()));
    let new_info = replace(info, digest, &format!("<DigestValue>{hash}</DigestValue>"));
    let value = cut(text, "<SignatureValue>", "</SignatureValue>");
    let signature = STANDARD.encode(signer.sign_sha256(new_info.as_bytes()));
    let text = replace(text, info, &new_info);
    replace(&text, value, &format!("<SignatureValue>{signature}</SignatureValue>"))
}

#[test]
fn licenses_of_one_response_say_the_same() {
    use dialect::terms::LicenseTerms;
    use model::Scheme;
    let (pending, body) = ask_kids(&WORLD.l1, &[1, 2]);
    let short = LicenseTerms { can_play: true, ..LicenseTerms::default() };
    let kept = LicenseTerms { can_persist: true, ..short.clone() };
    let text_of = |terms: &LicenseTerms, byte| {
        let issue = WORLD.issue(terms, Scheme::Cbcs);
        let answer =
            WORLD.challenge(&body).answer(&issue, vec![licensed(byte)], &mut SystemEntropy);
        String::from_utf8(answer.as_bytes().to_vec()).unwrap()
    };
    let (one, two) = (text_of(&short, 1), text_of(&kept, 2));
    let second = cut(&two, "<License>", "</License>");
    let both = replace(&one, "</Licenses>", &format!("{second}</Licenses>"));
    let signed = cut(&both, "<LicenseResponse", "</LicenseResponse>");
    let signer = P256PrivateKey::parse_pem(&WORLD.root.signing_private_pem).unwrap();
    let both = resigned(&both, signed, &signer);
    assert_eq!(pending.open(both.as_bytes()).unwrap_err(), LicenseError::TermsDiffer);
}

#[test]
fn a_fault_is_heard_as_one() {
    let text = "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
         <soap:Fault><faultcode>soap:Client</faultcode><faultstring>no</faultstring><detail>\
         <Exception><StatusCode>0x8004c604</StatusCode></Exception></detail></soap:Fault>\
         </soap:Body></soap:Envelope>";
    assert_eq!(refusal(text, [0; 16]), LicenseError::Fault);
}
