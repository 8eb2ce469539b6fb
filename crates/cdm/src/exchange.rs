//! What a session and its license server say to each other, system by system: the answer to each
//! request is read here, and nowhere else.

use crate::device::Device;
use crate::sessions::{CdmError, Message, MessageKind};
use crate::usage::Usage;
use dialect::clearkey;
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicensedKey, Robustness};
use dialect::widevine::client::{
    Ask, AskedContent, ClientSession, SERVICE_CERTIFICATE_REQUEST, ServiceCertificate,
};
use dialect::widevine::{LicenseType, RenewalKind};
use model::{Entropy, KeyId, Timestamp};

/// How far a session has come.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Clear Key: each license answers the one request.
    ClearKey,
    /// The service's certificate was asked for.
    Certificate,
    /// A license was asked for.
    License(Asked),
    /// A license is held; it can be renewed and given back.
    Held(ClientSession),
    /// The license was given back; the server has not confirmed it.
    Released(ClientSession),
}

/// A license request on its way: its exact bytes, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    request: Vec<u8>,
    request_id: [u8; 16],
    at: Timestamp,
}

/// A license that was read.
pub(crate) struct Licensed {
    pub(crate) keys: Vec<LicensedKey>,
    pub(crate) usage: Usage,
}

/// Clear Key knows no terms: the keys are for anyone.
const OPEN_TERMS: KeyTerms = KeyTerms {
    robustness: Robustness::SoftwareKeys,
    hdcp: Hdcp::Unneeded,
    analog: AnalogOutput::Allowed,
    track_class: None,
};

/// The request of a Clear Key session.
pub(crate) fn ask_clearkey(kids: &[KeyId]) -> (Exchange, Message) {
    let body = clearkey::request(kids, clearkey::SessionType::Temporary);
    (Exchange::ClearKey, Message { kind: MessageKind::LicenseRequest, body })
}

/// Reads a Clear Key license.
pub(crate) fn read_clearkey(license: &[u8], now: Timestamp) -> Result<Licensed, CdmError> {
    let keys = clearkey::read_license(license).map_err(|_| CdmError::License)?;
    let keys =
        keys.into_iter().map(|(kid, key)| LicensedKey { kid, key, terms: OPEN_TERMS, iv: None });
    Ok(Licensed { keys: keys.collect(), usage: Usage::endless(now) })
}

/// The request for the service's certificate, which privacy mode needs first.
pub(crate) fn ask_certificate() -> (Exchange, Message) {
    let body = SERVICE_CERTIFICATE_REQUEST.to_vec();
    (Exchange::Certificate, Message { kind: MessageKind::CertificateRequest, body })
}

/// The license request of a Widevine session, its identity encrypted for the service.
pub(crate) fn ask_widevine(
    device: &Device,
    service: &ServiceCertificate,
    boxes: &[u8],
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> (Exchange, Message) {
    let mut request_id = [0; 16];
    entropy.fill(&mut request_id);
    let ask = Ask {
        content: AskedContent::Boxes(boxes),
        license_type: LicenseType::Streaming,
        request_id: &request_id,
        privacy: Some(service),
    };
    let (pending, body) = device.client.ask(&ask, now, entropy);
    let asked = Asked { request: pending.into_request(), request_id, at: now };
    (Exchange::License(asked), Message { kind: MessageKind::LicenseRequest, body })
}

/// Reads the license that answers a request: session key, signature, request id, containers.
/// One that is to be kept on the device was not asked for.
pub(crate) fn read_widevine(
    device: &Device,
    asked: &Asked,
    license: &[u8],
) -> Result<(ClientSession, Licensed), CdmError> {
    let pending = device.client.await_answer(&asked.request, &asked.request_id);
    let (opened, session) = pending.open(license).map_err(|_| CdmError::License)?;
    if opened.id.license_type != LicenseType::Streaming || opened.id.version != 0 {
        return Err(CdmError::License);
    }
    let usage = Usage::new(opened.terms, asked.at);
    Ok((session, Licensed { keys: opened.keys, usage }))
}

/// A request for more time.
pub(crate) fn ask_renewal(session: &ClientSession, usage: &mut Usage, now: Timestamp) -> Message {
    let (started_s, last_s) = usage.played_s(now);
    usage.asks(now);
    let body = session.ask(RenewalKind::Renew, started_s, last_s, now);
    Message { kind: MessageKind::LicenseRenewal, body }
}

/// The license goes back.
pub(crate) fn ask_release(session: &ClientSession, usage: &Usage, now: Timestamp) -> Message {
    let (started_s, last_s) = usage.played_s(now);
    let body = session.ask(RenewalKind::Release, started_s, last_s, now);
    Message { kind: MessageKind::LicenseRelease, body }
}
