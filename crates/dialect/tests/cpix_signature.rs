//! A signed document is taken as it was signed, or not at all. The signatures were made by an
//! independent implementation (see PROVENANCE.md of the vectors).

#![expect(clippy::unwrap_used, reason = "the vectors are known")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::cpix::{Document, SignatureError};
use keys::Signer;
use model::Timestamp;

const NOW: Timestamp = Timestamp(1_811_808_000_000);

macro_rules! certificate {
    ($name:literal) => {{
        let text = include_str!(concat!("../../../vectors/cpix/certificates/", $name, ".cert.b64"));
        STANDARD.decode(text.trim()).unwrap()
    }};
}

fn signed() -> &'static str {
    let vector = include_str!("../../../vectors/cpix/signed.vector");
    vector.split_once("\n\n").unwrap().1
}

fn signer() -> Signer {
    Signer::parse(&certificate!("rsa2048"), NOW).unwrap()
}

fn parse(text: &str) -> Result<Document, SignatureError> {
    Document::parse_signed(text.as_bytes(), &[signer()])
}

/// The document with one thing changed, which must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(signed().contains(from), "{from}");
    signed().replacen(from, to, 1)
}

fn refusal(text: &str) -> SignatureError {
    parse(text).expect_err("a refusal")
}

fn signature() -> &'static str {
    let (start, end) = (signed().find("<ds:Signature ").unwrap(), "</ds:Signature>");
    let end_at = signed().find(end).unwrap() + end.len();
    &signed()[start..end_at]
}

#[test]
fn a_signed_document_is_read() {
    let document = parse(signed()).unwrap();
    assert_eq!(document.parts().content_id.as_ref().unwrap().as_str(), "film & more");
    for vector in [
        include_str!("../../../vectors/cpix/signed-canonical-1.0.vector"),
        include_str!("../../../vectors/cpix/signed-xmlsec1.vector"),
    ] {
        assert!(parse(vector.split_once("\n\n").unwrap().1).is_ok());
    }
}

#[test]
fn what_canonical_xml_does_not_see_may_change() {
    for (from, to) in [
        (" version=\"2.3\"", "   version='2.3'"),
        ("<!-- -->", ""),
        ("<!-- -->", "<!-- another -->"),
        ("film &amp; more", "film &#38; more"),
        ("\n<cpix:CPIX", "\n\n<!-- --><cpix:CPIX"),
        ("maxPixels=\"589824\"/>", "maxPixels=\"589824\"></cpix:VideoFilter>"),
    ] {
        assert!(parse(&changed(from, to)).is_ok(), "{from}");
    }
}

#[test]
fn every_change_of_the_content_is_found() {
    for (from, to) in [
        ("film &amp; more", "film &amp; mode"),
        (
            "11111111-1111-4111-8111-111111111111\" common",
            "11111111-1111-4111-8111-111111111112\" common",
        ),
        ("AAECAwQFBgcI", "AAECAwQFBgcJ"),
        ("cbcs", "cenc"),
        ("589824", "589825"),
        ("maxPixels", "minPixels"),
        ("  <cpix:ContentKeyList>", " <cpix:ContentKeyList>"),
        (
            "<ContentKey xmlns=\"urn:dashif:org:cpix\" kid=\"22222222-2222-4222-8222-222222222222\"/>",
            "",
        ),
        (
            "</cpix:ContentKeyList>",
            "<cpix:ContentKey kid=\"33333333-3333-4333-8333-333333333333\"/></cpix:ContentKeyList>",
        ),
        ("version=\"2.3\"", "version=\"2.3\" name=\"x\""),
    ] {
        let text = changed(from, to);
        // Where a rule now speaks of another key, it is no document at all.
        let error = refusal(&text);
        assert!(
            matches!(error, SignatureError::Digest | SignatureError::Read(_)),
            "{from}: {error}"
        );
    }
}

#[test]
fn a_stripped_signature_is_missed() {
    assert_eq!(refusal(&changed(signature(), "")), SignatureError::Absent);
    let renamed =
        signed().replace("ds:Signature>", "ds:Signed>").replace("ds:Signature ", "ds:Signed ");
    assert_eq!(refusal(&renamed), SignatureError::Absent);
}

#[test]
fn a_wrapped_signature_is_refused() {
    // The signed document as a part of another one, which is what would be read.
    let body = signed().split_once("?>").unwrap().1;
    let wrapped =
        format!("<CPIX xmlns=\"urn:dashif:org:cpix\" contentId=\"evil\"><x>{body}</x></CPIX>");
    assert_eq!(refusal(&wrapped), SignatureError::Form);
    let beside = changed(signature(), &format!("<cpix:x>{}</cpix:x>", signature()));
    assert_eq!(refusal(&beside), SignatureError::Form);
    let twice = changed(signature(), &signature().repeat(2));
    assert_eq!(refusal(&twice), SignatureError::Form);
    let object = "<ds:Object><cpix:ContentKeyList xmlns:cpix=\"urn:dashif:org:cpix\"/></ds:Object></ds:Signature>";
    assert_eq!(refusal(&changed("</ds:Signature>", object)), SignatureError::Form);
}

#[test]
fn only_the_one_form_of_a_signature_is_taken() {
    for (from, to) in [
        ("Reference URI=\"\"", "Reference URI=\"#a\""),
        ("<ds:Reference URI=\"\">", "<ds:Reference>"),
        ("Reference URI=\"\"", "Reference URI=\"http://127.0.0.1:9/\""),
        ("#rsa-sha512", "#rsa-sha256"),
        (
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        ),
        (
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512",
        ),
        ("xmlenc#sha512", "xmlenc#sha256"),
        ("2006/12/xml-c14n11", "2006/12/xml-c14n11#WithComments"),
        ("2000/09/xmldsig#enveloped-signature", "TR/1999/REC-xslt-19991116"),
        (
            "<ds:KeyInfo>",
            "<ds:KeyInfo><ds:RetrievalMethod URI=\"http://127.0.0.1:9/\"/></ds:KeyInfo><ds:KeyInfo>",
        ),
        ("</ds:Reference>", "</ds:Reference><ds:Reference URI=\"\"/>"),
    ] {
        assert_eq!(refusal(&changed(from, to)), SignatureError::Form, "{to}");
    }
    let instruction = changed("\n<cpix:CPIX", "\n<?x?><cpix:CPIX");
    assert_eq!(refusal(&instruction), SignatureError::Form);
}

#[test]
fn only_trusted_signers_sign() {
    let others = || Signer::parse(&certificate!("rsa3072"), NOW).unwrap();
    let error = |signers: &[Signer]| Document::parse_signed(signed().as_bytes(), signers).err();
    assert_eq!(error(&[]), Some(SignatureError::Signer));
    assert_eq!(error(&[others()]), Some(SignatureError::Signer));
    assert_eq!(error(&[others(), signer()]), None);
    // Another trusted signer's certificate does not make its signature.
    let start = signed().find("<ds:X509Certificate>").unwrap() + "<ds:X509Certificate>".len();
    let end = signed().find("</ds:X509Certificate>").unwrap();
    let swapped =
        [&signed()[..start], &STANDARD.encode(certificate!("rsa3072")), &signed()[end..]].concat();
    let refused = Document::parse_signed(swapped.as_bytes(), &[others(), signer()]).unwrap_err();
    assert_eq!(refused, SignatureError::Value);
}

#[test]
fn every_changed_byte_of_digest_and_value_is_found() {
    for (tag, expected) in [
        ("<ds:DigestValue>", SignatureError::Value),
        ("<ds:SignatureValue>", SignatureError::Value),
    ] {
        let start = signed().find(tag).unwrap() + tag.len();
        let end = start + signed()[start..].find('<').unwrap();
        let bytes = STANDARD.decode(&signed()[start..end]).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let text = [&signed()[..start], &STANDARD.encode(changed), &signed()[end..]].concat();
            assert_eq!(refusal(&text), expected, "byte {at} of {tag}");
        }
    }
}
