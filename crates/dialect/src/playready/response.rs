//! The response: licenses, signed by the service, written to be read again as it was sent
//! (`xmlns` on the signed element itself, no empty-element tags, no white space).

use super::acknowledgement::TransactionId;
use super::envelope::wrap;
use super::license::{LicenseDraft, WrittenLicense};
use super::signature::{KeyInfo, SIGNED_ID, SignatureError, Stated, sign};
use super::xml::Namespace::{Messages, Protocols, Soap, XmlDsig};
use super::xml::{self, Element, XmlError};
use super::{ChainError, Credentials, Device, MAX_KIDS, OpenedLicense, XmrError, base64};
use crate::terms::{LicenseTerms, LicensedKey};
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use model::{Entropy, Scheme, Timestamp};
use std::fmt::Write as _;

/// What goes into the licenses beside their keys.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// What the device may do.
    pub terms: &'a LicenseTerms,
    /// How the content is encrypted.
    pub scheme: Scheme,
    /// Who signs the response.
    pub credentials: &'a Credentials,
    /// When the licenses start.
    pub now: Timestamp,
}

/// A written response, with what reads it back. The secrets are wiped on drop.
#[derive(Debug)]
pub struct Answer {
    message: String,
    licenses: Vec<WrittenLicense>,
}

impl Answer {
    /// The message for the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Reads the response back out of its bytes, as the client will, but for what would take
    /// the device's private key: each license is held against the secret that it was written
    /// with.
    ///
    /// Errors: [`LicenseError`].
    pub fn read_back(&self) -> Result<OpenedResponse, LicenseError> {
        let text = &self.message;
        let root = xml::parse(text)?;
        let response = Response::read(&root)?;
        response.stated.check_digest(response.signed, text)?;
        if response.licenses.len() != self.licenses.len() {
            return Err(LicenseError::Malformed);
        }
        let written = response.licenses.iter().zip(&self.licenses);
        let opened = written.map(|(bytes, written)| written.read_back(bytes));
        OpenedResponse::of(opened.collect::<Result<_, XmrError>>()?)
    }
}

/// Why bytes are not a response to this client. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// No XML, or XML with what no server writes.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// A fault: the service refused.
    #[error("the service answers with a fault")]
    Fault,
    /// Not a license response, or one without what it must have.
    #[error("not a PlayReady license response")]
    Malformed,
    /// More licenses than [`MAX_KIDS`].
    #[error("a response has at most {MAX_KIDS} licenses")]
    TooManyLicenses,
    /// The signature as it stands, before and after it is calculated.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The chain of who signed it.
    #[error("the signer of the response: {0}")]
    Chain(#[from] ChainError),
    /// Signed by another key than the chain's.
    #[error("the response is signed by another key than its chain names")]
    ForeignKey,
    /// The answer to another request.
    #[error("the response is to another request")]
    Nonce,
    /// A license.
    #[error(transparent)]
    License(#[from] XmrError),
    /// Licenses of one response that do not say the same.
    #[error("the licenses of the response have different terms")]
    TermsDiffer,
}

/// A response that was opened: what its licenses say, all the same, and their keys.
#[derive(Debug)]
pub struct OpenedResponse {
    /// What the device may do.
    pub terms: LicenseTerms,
    /// How the content is encrypted.
    pub scheme: Option<Scheme>,
    /// When the licenses start.
    pub started_s: u64,
    /// Their keys, one of each.
    pub keys: Vec<LicensedKey>,
}

impl OpenedResponse {
    /// One of each license; none is no response.
    pub(super) fn of(licenses: Vec<OpenedLicense>) -> Result<Self, LicenseError> {
        let mut licenses = licenses.into_iter();
        let first = licenses.next().ok_or(LicenseError::Malformed)?;
        let OpenedLicense { terms, scheme, started_s, key, .. } = first;
        let mut own = Self { terms, scheme: Some(scheme), started_s, keys: vec![key] };
        for license in licenses {
            let is_same = license.terms == own.terms
                && Some(license.scheme) == own.scheme
                && license.started_s == own.started_s;
            if !is_same {
                return Err(LicenseError::TermsDiffer);
            }
            own.keys.push(license.key);
        }
        Ok(own)
    }
}

/// A response about to be written.
pub(super) struct Outgoing<'a> {
    pub(super) version: &'a str,
    pub(super) nonce: [u8; 16],
    pub(super) device: &'a Device,
    pub(super) issue: &'a Issue<'a>,
}

impl Outgoing<'_> {
    /// A license that is kept is acknowledged; a client refuses one that is not kept and whose
    /// rights id is not its own nonce (Microsoft, License Nonce), so that each has it.
    pub(super) fn write(self, keys: Vec<LicensedKey>, entropy: &mut dyn Entropy) -> Answer {
        let Self { version, nonce, device, issue } = self;
        let Issue { terms, scheme, credentials, now } = *issue;
        let device = &device.encryption;
        let draft = LicenseDraft { terms, scheme, device, rights_id: nonce, now };
        let licenses: Vec<WrittenLicense> =
            keys.iter().map(|key| draft.write(key, entropy)).collect();
        let mut response_id = [0; 32];
        entropy.fill(&mut response_id);
        let mut signed = format!(
            "<LicenseResponse xmlns=\"{}\" Id=\"{SIGNED_ID}\"><Version>{version}</Version>\
             <Licenses>",
            Protocols.name()
        );
        for license in &licenses {
            let license = STANDARD.encode(license.as_bytes());
            let _ = write!(signed, "<License>{license}</License>");
        }
        signed.push_str("</Licenses>");
        if terms.can_persist {
            let id = TransactionId::draw(entropy);
            let _ = write!(
                signed,
                "<Acknowledgement><TransactionID>{id}</TransactionID></Acknowledgement>"
            );
        }
        let _ = write!(
            signed,
            "<LicenseNonce>{}</LicenseNonce><ResponseID>{}</ResponseID>\
             <SigningCertificateChain>{}</SigningCertificateChain></LicenseResponse>",
            STANDARD.encode(nonce),
            STANDARD.encode(response_id),
            STANDARD.encode(&credentials.signing_chain)
        );
        let signature = sign(&signed, &credentials.signing, KeyInfo::Left);
        let message = wrap(&format!(
            "<AcquireLicenseResponse xmlns=\"{}\"><AcquireLicenseResult><Response xmlns=\"{}\">\
             {signed}{signature}</Response></AcquireLicenseResult></AcquireLicenseResponse>",
            Protocols.name(),
            Messages.name()
        ));
        Answer { message, licenses }
    }
}

/// A response as it stands; nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) signed: &'a Element,
    pub(super) stated: Stated,
    pub(super) licenses: Vec<Vec<u8>>,
    pub(super) nonce: [u8; 16],
    pub(super) transaction_id: Option<&'a str>,
    pub(super) signing_chain: Vec<u8>,
}

impl<'a> Response<'a> {
    /// Reads the envelope and everything in it.
    pub(super) fn read(root: &'a Element) -> Result<Self, LicenseError> {
        let malformed = LicenseError::Malformed;
        let body = super::envelope::body_of(root).ok_or(malformed)?;
        if body.named(Soap, "Fault").next().is_some() {
            return Err(LicenseError::Fault);
        }
        let response = body
            .sole(Protocols, "AcquireLicenseResponse")
            .and_then(|operation| operation.sole(Protocols, "AcquireLicenseResult"))
            .and_then(|result| result.sole(Messages, "Response"))
            .ok_or(malformed)?;
        let [signed, signature] = response.children.as_slice() else { return Err(malformed) };
        let is_named = signed.is(Protocols, "LicenseResponse")
            && signed.attribute("Id") == Some(SIGNED_ID)
            && signature.is(XmlDsig, "Signature");
        if !is_named {
            return Err(malformed);
        }
        let stated = Stated::read(signature)?;
        let licenses = signed.only(Protocols, "Licenses").ok_or(malformed)?;
        if licenses.children.len() > MAX_KIDS {
            return Err(LicenseError::TooManyLicenses);
        }
        let licenses = licenses.children.iter().map(|license| {
            Some(license).filter(|license| license.is(Protocols, "License"))?;
            base64(license.leaf()?)
        });
        let bytes_of = |name| base64(signed.only(Protocols, name)?.leaf()?);
        let transaction_id = match signed.only(Protocols, "Acknowledgement") {
            None => None,
            Some(wanted) => {
                let id = wanted.sole(Protocols, "TransactionID").and_then(Element::leaf);
                Some(id.filter(|id| !id.is_empty()).ok_or(malformed)?)
            }
        };
        Ok(Self {
            signed,
            stated,
            licenses: licenses.collect::<Option<_>>().ok_or(malformed)?,
            nonce: fixed(bytes_of("LicenseNonce")).ok_or(malformed)?,
            transaction_id,
            signing_chain: bytes_of("SigningCertificateChain").ok_or(malformed)?,
        })
    }
}

fn fixed(bytes: Option<Vec<u8>>) -> Option<[u8; 16]> {
    bytes?.try_into().ok()
}
