//! The XML signature over one element, as PlayReady writes it: SHA-256 of the element's bytes
//! as they were sent, ECDSA on P-256 over the bytes of SignedInfo as they were sent (XML
//! Signature 1.1 for the names). Nothing is canonicalized again: what was hashed is what is
//! read.

use super::base64;
use super::xml::Element;
use super::xml::Namespace::XmlDsig;
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use keys::{P256PrivateKey, P256PublicKey, sha256};
use std::ops::Range;

/// Canonical XML 1.0 (the writer's form of SignedInfo; not applied again).
const CANONICAL: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
/// ECDSA on P-256 over SHA-256.
const ECDSA_SHA256: &str = "http://schemas.microsoft.com/DRM/2007/03/protocols#ecdsa-sha256";
/// SHA-256.
const SHA256: &str = "http://schemas.microsoft.com/DRM/2007/03/protocols#sha256";
/// The Id of what is signed.
pub(super) const SIGNED_ID: &str = "SignedData";

/// Why a signature is refused. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not SignedInfo, SignatureValue and KeyInfo with what each must have, and nothing else.
    #[error("the signature is built otherwise")]
    Structure,
    /// SignedInfo in another canonical form.
    #[error("the signature names another canonical form")]
    Canonicalization,
    /// Another signature algorithm than ECDSA with SHA-256.
    #[error("the signature is of another algorithm")]
    Algorithm,
    /// Not one reference, or to something else than the signed element.
    #[error("the signature does not reference the signed element alone")]
    Reference,
    /// A transform of what is referenced.
    #[error("the signature transforms what it signs")]
    Transforms,
    /// Another digest algorithm than SHA-256.
    #[error("the digest is of another algorithm")]
    DigestAlgorithm,
    /// Digest, signature or key are not base64 of their length.
    #[error("digest, signature or key have the wrong length")]
    Length,
    /// The element is not the one that was signed.
    #[error("the signed element was changed")]
    Digest,
    /// The key is no point of the curve.
    #[error("the signature's key is not a point of P-256")]
    Key,
    /// The signature is not of that key.
    #[error("the signature is wrong")]
    Value,
}

impl SignatureError {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Structure => "signature_structure",
            Self::Canonicalization => "canonicalization",
            Self::Algorithm => "signature_algorithm",
            Self::Reference => "reference",
            Self::Transforms => "transforms",
            Self::DigestAlgorithm => "digest_algorithm",
            Self::Length => "signature_length",
            Self::Digest => "digest",
            Self::Key => "signature_key",
            Self::Value => "signature",
        }
    }
}

/// What a signature states.
#[derive(Debug)]
pub(super) struct Stated {
    digest: [u8; 32],
    value: [u8; 64],
    /// The key, as X and Y; a client names its own, a server's stands in its chain.
    pub(super) key: Option<[u8; 64]>,
    signed_info: Range<usize>,
}

impl Stated {
    /// Reads a signature of the one form: nothing in it that could mean more or something else.
    pub(super) fn read(signature: &Element) -> Result<Self, SignatureError> {
        let form = SignatureError::Structure;
        let (info, value, key) = match signature.children.as_slice() {
            [info, value] => (info, value, None),
            [info, value, key] => (info, value, Some(key)),
            _ => return Err(form),
        };
        let are_named = signature.is(XmlDsig, "Signature")
            && info.is(XmlDsig, "SignedInfo")
            && value.is(XmlDsig, "SignatureValue")
            && key.is_none_or(|key| key.is(XmlDsig, "KeyInfo"));
        let [canonicalization, method, references @ ..] = info.children.as_slice() else {
            return Err(form);
        };
        let are_methods = canonicalization.is(XmlDsig, "CanonicalizationMethod")
            && method.is(XmlDsig, "SignatureMethod");
        if !are_named || !are_methods {
            return Err(form);
        }
        if !has_algorithm(canonicalization, CANONICAL) {
            return Err(SignatureError::Canonicalization);
        }
        if !has_algorithm(method, ECDSA_SHA256) {
            return Err(SignatureError::Algorithm);
        }
        let [reference] = references else { return Err(SignatureError::Reference) };
        let digest = digest_of(reference)?;
        let key = key.map(named_key).transpose()?;
        Ok(Self { digest, value: fixed(value)?, key, signed_info: info.span.clone() })
    }

    /// Verifies the signature by the key that it names itself: that key. Whose it is, is still
    /// to be seen.
    pub(super) fn verify_by_own(
        &self,
        signed: &Element,
        text: &str,
    ) -> Result<P256PublicKey, SignatureError> {
        let key = self.key.ok_or(SignatureError::Structure)?;
        self.check_digest(signed, text)?;
        let key = P256PublicKey::parse(&key).ok_or(SignatureError::Key)?;
        self.check_value(text, &key)?;
        Ok(key)
    }

    /// Verifies the signature over `signed`, an element of the same text. The hash comes first:
    /// it is by far the cheaper of the two.
    pub(super) fn verify(
        &self,
        signed: &Element,
        text: &str,
        key: &P256PublicKey,
    ) -> Result<(), SignatureError> {
        self.check_digest(signed, text)?;
        self.check_value(text, key)
    }

    fn check_value(&self, text: &str, key: &P256PublicKey) -> Result<(), SignatureError> {
        let signed_info = text.get(self.signed_info.clone()).unwrap_or_default();
        let is_signed = key.verify_sha256(signed_info.as_bytes(), &self.value);
        if is_signed { Ok(()) } else { Err(SignatureError::Value) }
    }

    /// Whether `signed` is what was hashed.
    pub(super) fn check_digest(&self, signed: &Element, text: &str) -> Result<(), SignatureError> {
        let is_unchanged = sha256(signed.as_sent(text).as_bytes()) == self.digest;
        if is_unchanged { Ok(()) } else { Err(SignatureError::Digest) }
    }
}

/// The key that KeyInfo names.
fn named_key(info: &Element) -> Result<[u8; 64], SignatureError> {
    let value = info.sole(XmlDsig, "KeyValue");
    let value = value.and_then(|value| value.sole(XmlDsig, "ECCKeyValue"));
    let key = value.and_then(|value| value.sole(XmlDsig, "PublicKey"));
    key.ok_or(SignatureError::Structure).and_then(fixed)
}

/// The digest that the one reference states.
fn digest_of(reference: &Element) -> Result<[u8; 32], SignatureError> {
    if !reference.is(XmlDsig, "Reference")
        || reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')) != Some(SIGNED_ID)
    {
        return Err(SignatureError::Reference);
    }
    if reference.named(XmlDsig, "Transforms").next().is_some() {
        return Err(SignatureError::Transforms);
    }
    match reference.children.as_slice() {
        [method, value]
            if method.is(XmlDsig, "DigestMethod") && value.is(XmlDsig, "DigestValue") =>
        {
            if !has_algorithm(method, SHA256) {
                return Err(SignatureError::DigestAlgorithm);
            }
            fixed(value)
        }
        _ => Err(SignatureError::Structure),
    }
}

fn has_algorithm(element: &Element, algorithm: &str) -> bool {
    element.attribute("Algorithm") == Some(algorithm) && element.children.is_empty()
}

fn fixed<const N: usize>(element: &Element) -> Result<[u8; N], SignatureError> {
    let text = element.leaf().ok_or(SignatureError::Structure)?;
    let bytes = base64(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(SignatureError::Length)
}

/// Whether a signature names its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyInfo {
    /// As clients do.
    Written,
    /// As servers do: theirs stands in the chain that they send.
    Left,
}

/// Writes the signature over an element's bytes.
pub(super) fn sign(signed: &str, key: &P256PrivateKey, key_info: KeyInfo) -> String {
    let space = XmlDsig.name();
    let digest = STANDARD.encode(sha256(signed.as_bytes()));
    let signed_info = format!(
        "<SignedInfo xmlns=\"{space}\">\
         <CanonicalizationMethod Algorithm=\"{CANONICAL}\"></CanonicalizationMethod>\
         <SignatureMethod Algorithm=\"{ECDSA_SHA256}\"></SignatureMethod>\
         <Reference URI=\"#{SIGNED_ID}\"><DigestMethod Algorithm=\"{SHA256}\"></DigestMethod>\
         <DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
    );
    let value = STANDARD.encode(key.sign_sha256(signed_info.as_bytes()));
    let key_info = match key_info {
        KeyInfo::Left => String::new(),
        KeyInfo::Written => format!(
            "<KeyInfo xmlns=\"{space}\"><KeyValue><ECCKeyValue><PublicKey>{}</PublicKey>\
             </ECCKeyValue></KeyValue></KeyInfo>",
            STANDARD.encode(key.public_key().to_bytes())
        ),
    };
    format!(
        "<Signature xmlns=\"{space}\">{signed_info}<SignatureValue>{value}</SignatureValue>\
         {key_info}</Signature>"
    )
}
