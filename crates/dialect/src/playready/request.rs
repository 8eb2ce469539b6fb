//! What a client sends: a license request, or the acknowledgement of a stored license.

use super::envelope;
use super::xml::Namespace::Protocols;
use super::{
    Acknowledgement, Challenge, ChallengeError, Credentials, RevocationList, VerifiedChains,
};
use model::Timestamp;

/// Everything a request is checked against. The caller holds it.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Root and the service's keys.
    pub credentials: &'a Credentials,
    /// Certificate chains that were verified before.
    pub chains: &'a VerifiedChains,
    /// Keys that are believed no longer.
    pub revoked: &'a RevocationList,
    /// Whether devices of the test level, SL150, are answered.
    pub allows_test_level: bool,
}

/// A message that was read whole and whose signature was checked.
#[derive(Debug)]
pub enum Request {
    /// The client asks for licenses.
    License(Box<Challenge>),
    /// The client stored a license.
    Acknowledgement(Acknowledgement),
}

impl Request {
    /// Reads the body of a request: SOAP in UTF-8 or UTF-16, whatever it calls itself, or such
    /// SOAP in the key message of a browser.
    ///
    /// What the message's text was hashed as is UTF-8: where it came in UTF-16, the hash is over
    /// the UTF-8 of the same characters, as clients sign before they encode.
    /// Errors: [`ChallengeError`]. Limits: [`super::MAX_BYTES`].
    pub fn parse(body: &[u8], desk: &Desk<'_>, now: Timestamp) -> Result<Self, ChallengeError> {
        let (text, root) = envelope::unwrap(body)?;
        let body = envelope::body_of(&root).ok_or(ChallengeError::Envelope)?;
        match body.children.as_slice() {
            [operation] if operation.is(Protocols, "AcquireLicense") => {
                let challenge = Challenge::verify(operation, &text, desk, now)?;
                Ok(Self::License(Box::new(challenge)))
            }
            [operation] if operation.is(Protocols, "AcknowledgeLicense") => {
                Acknowledgement::verify(operation, &text).map(Self::Acknowledgement)
            }
            _ => Err(ChallengeError::Operation),
        }
    }
}
