//! The SOAP envelope around a message (SOAP 1.1, 4), and the key message that browsers put
//! around the envelope (Encrypted Media Extensions as Edge and older players speak them).

use super::xml::Namespace::{Messages, Protocols, Soap};
use super::xml::{self, Element, XmlError};
use super::{ChallengeError, MAX_BYTES, base64};

/// The text and tree of an envelope, out of its key message where it is in one. Key messages do
/// not nest.
pub(super) fn unwrap(body: &[u8]) -> Result<(String, Element), ChallengeError> {
    if body.len() > MAX_BYTES {
        return Err(XmlError::TooLarge.into());
    }
    let text = xml::text_of(body)?;
    let root = xml::parse(&text)?;
    if &*root.name != "PlayReadyKeyMessage" {
        return Ok((text, root));
    }
    let mut found = root
        .children
        .iter()
        .filter(|child| &*child.name == "LicenseAcquisition")
        .flat_map(|acquisition| acquisition.children.iter())
        .filter(|child| &*child.name == "Challenge");
    let challenge = found.next().filter(|_| found.next().is_none());
    let challenge = challenge.filter(|challenge| {
        challenge.children.is_empty() && challenge.attribute("encoding") == Some("base64encoded")
    });
    let inner = challenge.and_then(|challenge| base64(&challenge.text));
    let text = xml::text_of(&inner.ok_or(ChallengeError::KeyMessage)?)?;
    let root = xml::parse(&text)?;
    Ok((text, root))
}

/// The envelope's body. A header would be for somebody on the way: there is nobody.
pub(super) fn body_of(root: &Element) -> Option<&Element> {
    Some(root).filter(|root| root.is(Soap, "Envelope"))?.sole(Soap, "Body")
}

/// What stands in an operation's one challenge: the signed element and its signature.
pub(super) fn challenge_of(operation: &Element) -> Result<&[Element], ChallengeError> {
    let challenge = operation
        .sole(Protocols, "challenge")
        .and_then(|challenge| challenge.sole(Messages, "Challenge"));
    challenge.map(|challenge| challenge.children.as_slice()).ok_or(ChallengeError::Challenge)
}

/// Writes an envelope around the text of an operation.
pub(super) fn wrap(operation: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"{}\"><soap:Body>\
         {operation}</soap:Body></soap:Envelope>",
        Soap.name()
    )
}
