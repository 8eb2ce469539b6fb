//! The SOAP fault (SOAP 1.1, 4.4) that a client hears instead of a license, as PlayReady's
//! servers write it: a status code for the client, a sentence, and our reason's name (Microsoft,
//! Testing Server Exceptions).

use super::envelope::wrap;
use quick_xml::escape::escape;

/// What a client makes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// The device is revoked: it stops asking until it is updated.
    Revoked,
    /// The message is not one: it may try again.
    InvalidMessage,
    /// The service has its own reason, which the application reads.
    Service,
    /// The server is at fault: it tries again.
    Internal,
}

impl FaultCode {
    /// The status code.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Revoked => "0x8004c065",
            Self::InvalidMessage => "0x8004c601",
            Self::Service => "0x8004c604",
            Self::Internal => "0x8004c600",
        }
    }
}

/// Writes a fault, of the server by its `faultcode` whoever is to blame, as clients know it.
/// `reason` is the refusal's name, `sentence` what a viewer may read.
#[must_use]
pub fn fault(code: FaultCode, reason: &str, sentence: &str) -> String {
    let (reason, sentence, status) = (escape(reason), escape(sentence), code.status());
    wrap(&format!(
        "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>{reason}: {sentence}\
         </faultstring><detail><Exception><StatusCode>{status}</StatusCode>\
         <CustomData>{reason}</CustomData></Exception></detail></soap:Fault>"
    ))
}
