//! XML signatures over a whole document (XML Signature Syntax and Processing 1.1; CPIX 2.4,
//! digital signature). They are verified where they are expected, and by no other rule: one
//! signature, in the root, over everything but itself, by a signer that the caller trusts.

use super::canonical::{Part, canonical};
use super::document::Document;
use super::parse::ReadError;
use super::value::base64;
use super::xml::Namespace::XmlDsig;
use super::xml::{self, Element};
use keys::{Signer, is_sha512_of};

/// Canonical XML 1.1 and 1.0, both without comments.
const CANONICAL: [&str; 2] =
    ["http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"];
/// RSASSA-PKCS1-v1_5 with SHA-512 (RFC 9231, 2.3.4).
const RSA_SHA512: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512";
/// SHA-512 (XML Encryption 1.1, 5.7.3).
const SHA512: &str = "http://www.w3.org/2001/04/xmlenc#sha512";
/// Leaves the signature out of what it signs (XML Signature 1.1, 6.6.4).
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// Why a document is not taken for signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no document.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It carries no signature: it never had one, or lost it.
    #[error("the document is not signed")]
    Absent,
    /// It carries a signature somewhere else, several, or one of another form.
    #[error("the signature is not one over the whole document, as CPIX has it")]
    Form,
    /// It carries the certificate of nobody who may sign.
    #[error("the signer is not trusted")]
    Signer,
    /// The document is not the one that was signed.
    #[error("the document was changed after it was signed")]
    Digest,
    /// The signature is not the signer's.
    #[error("the signature is wrong")]
    Value,
}

/// What a signature states.
struct Stated {
    digest: Vec<u8>,
    value: Vec<u8>,
    certificate: Vec<u8>,
}

impl Document {
    /// Reads a document that must be signed by one of `signers`.
    ///
    /// Errors: [`SignatureError`]. Limits: as those of [`Self::parse`].
    pub fn parse_signed(bytes: &[u8], signers: &[Signer]) -> Result<Self, SignatureError> {
        let document = Self::parse(bytes)?;
        let root = xml::parse(bytes).map_err(ReadError::from)?;
        match signatures(&root) {
            0 => return Err(SignatureError::Absent),
            1 => {}
            _ => return Err(SignatureError::Form),
        }
        let stated = only(&root, "Signature").and_then(read).ok_or(SignatureError::Form)?;
        let named = |signer: &&Signer| signer.certificate() == stated.certificate;
        let signer = signers.iter().find(named).ok_or(SignatureError::Signer)?;
        let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::Form)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let signed = canonical(text, Part::SignedInfo).ok_or(SignatureError::Form)?;
        if !signer.has_signed(&signed, &stated.value) {
            return Err(SignatureError::Value);
        }
        let whole = canonical(text, Part::Unsigned).ok_or(SignatureError::Form)?;
        if !is_sha512_of(&stated.digest, &whole) {
            return Err(SignatureError::Digest);
        }
        Ok(document)
    }
}

/// How many signatures there are, at any depth.
fn signatures(element: &Element) -> usize {
    let own = usize::from(element.is(XmlDsig, "Signature"));
    own + element.children.iter().map(signatures).sum::<usize>()
}

/// The one child of this name in the signature's namespace.
fn only<'a>(element: &'a Element, name: &'a str) -> Option<&'a Element> {
    let mut found = element.named(XmlDsig, name);
    found.next().filter(|_| found.next().is_none())
}

fn has_algorithm(element: &Element, algorithms: &[&str]) -> bool {
    element.attribute("Algorithm").is_some_and(|algorithm| algorithms.contains(&algorithm))
        && element.children.is_empty()
}

fn bytes(element: &Element) -> Option<Vec<u8>> {
    base64(&element.text).map(|bytes| bytes.to_vec())
}

/// Reads a signature of the one form: nothing in it that could mean more or something else.
fn read(signature: &Element) -> Option<Stated> {
    let [info, value, key] = signature.children.as_slice() else { return None };
    let are_named = info.is(XmlDsig, "SignedInfo")
        && value.is(XmlDsig, "SignatureValue")
        && key.is(XmlDsig, "KeyInfo");
    let [canonicalization, method, reference] = info.children.as_slice() else { return None };
    let is_stated = canonicalization.is(XmlDsig, "CanonicalizationMethod")
        && has_algorithm(canonicalization, &CANONICAL)
        && method.is(XmlDsig, "SignatureMethod")
        && has_algorithm(method, &[RSA_SHA512])
        && reference.is(XmlDsig, "Reference")
        && reference.attribute("URI") == Some("");
    let [transforms, digest, digest_value] = reference.children.as_slice() else { return None };
    let are_ours = match transforms.children.as_slice() {
        [enveloped] => is_transform(enveloped, &[ENVELOPED]),
        [enveloped, form] => {
            is_transform(enveloped, &[ENVELOPED]) && is_transform(form, &CANONICAL)
        }
        _ => false,
    };
    let is_digest = transforms.is(XmlDsig, "Transforms")
        && digest.is(XmlDsig, "DigestMethod")
        && has_algorithm(digest, &[SHA512])
        && digest_value.is(XmlDsig, "DigestValue");
    if !(are_named && is_stated && are_ours && is_digest) {
        return None;
    }
    // The first certificate is the signer's; others may lead to its root.
    let certificate = only(key, "X509Data")?.named(XmlDsig, "X509Certificate").next()?;
    Some(Stated {
        digest: bytes(digest_value)?,
        value: bytes(value)?,
        certificate: bytes(certificate)?,
    })
}

fn is_transform(element: &Element, algorithms: &[&str]) -> bool {
    element.is(XmlDsig, "Transform") && has_algorithm(element, algorithms)
}
