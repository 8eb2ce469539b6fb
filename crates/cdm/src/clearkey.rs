//! W3C Clear Key's one request and its licenses (EME, 9.1).

use crate::exchange::{Exchange, Licensed};
use crate::sessions::{CdmError, Message, MessageKind};
use crate::usage::Usage;
use dialect::clearkey;
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicensedKey, Robustness};
use model::{KeyId, Timestamp};

/// Clear Key knows no terms: the keys are for anyone.
const OPEN_TERMS: KeyTerms = KeyTerms {
    robustness: Robustness::SoftwareKeys,
    hdcp: Hdcp::Unneeded,
    analog: AnalogOutput::Allowed,
    track_class: None,
};

/// The request of a session.
pub(crate) fn ask(kids: &[KeyId]) -> (Exchange, Message) {
    let body = clearkey::request(kids, clearkey::SessionType::Temporary);
    (Exchange::ClearKey, Message { kind: MessageKind::LicenseRequest, body })
}

/// Reads a license.
pub(crate) fn read(license: &[u8], now: Timestamp) -> Result<Licensed, CdmError> {
    let keys = clearkey::read_license(license).map_err(|_| CdmError::License)?;
    let keys =
        keys.into_iter().map(|(kid, key)| LicensedKey { kid, key, terms: OPEN_TERMS, iv: None });
    Ok(Licensed { keys: keys.collect(), usage: Usage::endless(now), started_s: None })
}
