//! What a client sends: a service certificate request, a new license request, a renewal.

use super::messages::{LicenseRequest, SignedMessage, message_type, request_type};
use super::{
    Challenge, ChallengeError, Credentials, DeviceList, MAX_BYTES, Renewal, RenewalKind,
    VerifiedModels, decode,
};
use keys::SessionSeal;
use model::Timestamp;

/// Everything a request is checked against. The caller holds it.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Root and service certificates.
    pub credentials: &'a Credentials,
    /// Device models that were verified before.
    pub models: &'a VerifiedModels,
    /// Levels and revocations.
    pub devices: &'a DeviceList,
    /// Opens the tokens of sessions.
    pub sessions: &'a SessionSeal,
}

/// A message that was read whole and whose signature was checked, where it must have one.
#[derive(Debug)]
pub enum Request {
    /// The client asks for the service certificate: [`Credentials::service_certificate`].
    ServiceCertificate,
    /// The client asks for a license.
    New(Box<Challenge>),
    /// The client asks for more time, or gives its license back.
    Existing(Box<Renewal>),
}

/// A license request and its signature, not yet believed.
pub(super) struct Unverified {
    /// The exact bytes that are signed and that keys are derived from.
    pub(super) bytes: Vec<u8>,
    pub(super) request: LicenseRequest,
    pub(super) signature: Vec<u8>,
}

/// Whether a body says of itself that it gives a license back. Nothing is verified.
#[must_use]
pub fn is_release(body: &[u8]) -> bool {
    let message: Option<SignedMessage> = (body.len() <= MAX_BYTES).then(|| decode(body)).flatten();
    let message = message.filter(|one| one.kind == Some(message_type::LICENSE_REQUEST));
    let request: Option<LicenseRequest> =
        message.and_then(|message| message.msg).and_then(|bytes| decode(&bytes));
    request.is_some_and(|request| request.kind == Some(request_type::RELEASE))
}

impl Request {
    /// Reads the body of a request.
    ///
    /// Errors: [`ChallengeError`]. Limits: [`MAX_BYTES`].
    pub fn parse(body: &[u8], desk: &Desk<'_>, now: Timestamp) -> Result<Self, ChallengeError> {
        if body.len() > MAX_BYTES {
            return Err(ChallengeError::TooLarge);
        }
        let message: SignedMessage = decode(body).ok_or(ChallengeError::Malformed)?;
        match message.kind {
            Some(message_type::SERVICE_CERTIFICATE_REQUEST) => return Ok(Self::ServiceCertificate),
            Some(message_type::LICENSE_REQUEST) => {}
            _ => return Err(ChallengeError::MessageType),
        }
        let bytes = message.msg.ok_or(ChallengeError::Malformed)?;
        let request: LicenseRequest = decode(&bytes).ok_or(ChallengeError::Malformed)?;
        let signature = message.signature.filter(|signature| !signature.is_empty());
        let signature = signature.ok_or(ChallengeError::Unsigned)?;
        let kind = request.kind;
        let unverified = Unverified { bytes, request, signature };
        let kind = match kind {
            Some(request_type::NEW) => {
                let new = Challenge::verify(unverified, desk, now)?;
                return Ok(Self::New(Box::new(new)));
            }
            Some(request_type::RENEWAL) => RenewalKind::Renew,
            Some(request_type::RELEASE) => RenewalKind::Release,
            _ => return Err(ChallengeError::RequestType),
        };
        let renewal = Renewal::verify(unverified, kind, desk)?;
        Ok(Self::Existing(Box::new(renewal)))
    }
}
