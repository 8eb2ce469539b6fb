//! PlayReady's license protocol, as clients speak it: a signed challenge in SOAP becomes a
//! [`Challenge`], a challenge is answered with licenses in a signed response.
//!
//! Everything here works with imported credentials (`credentials import playready`). Real
//! devices trust their vendor's root only, and a server's keys can only be had under an
//! agreement with the vendor: what is proved here is proved with a root of one's own
//! ([`test_root`]) and the reference client ([`client`]).
//!
//! Not spoken: domains, metering, secure stop, license chains. Nothing public says how they
//! are built, or they are not needed: several plain licenses go into one response.

mod acknowledgement;
mod acquisition;
mod certificate;
mod chain;
mod chain_error;
mod challenge;
pub mod client;
mod credentials;
mod draft;
mod envelope;
mod error;
mod header;
mod identity;
mod license;
mod object;
mod policy;
mod reader;
mod request;
mod response;
mod revocation;
mod signature;
pub mod test_root;
mod xml;
mod xmr_error;

pub use acknowledgement::{Acknowledgement, TransactionId};
pub use acquisition::PERSISTENT;
pub use chain::{Device, VerifiedChains};
pub use chain_error::ChainError;
pub use challenge::Challenge;
pub use credentials::{Credentials, ImportError};
pub use error::ChallengeError;
pub use header::{Header, HeaderError, HeaderVersion, NamedKey};
pub use license::{OpenedLicense, WrittenLicense, open_license};
pub use policy::{carried_key_terms, carried_terms};
pub use request::{Desk, Request};
pub use response::{Answer, Issue, LicenseError, OpenedResponse};
pub use revocation::{RevocationList, RevocationListError};
pub use signature::SignatureError;
pub use xml::XmlError;
pub use xmr_error::XmrError;

/// Longest message of a client that is read. A challenge has 10 to 30 KiB; in UTF-16 and base64,
/// as browsers wrap it, up to 80.
pub const MAX_BYTES: usize = 128 * 1024;
/// Longest answer that the client's side reads.
const MAX_ANSWER_BYTES: usize = 4 * MAX_BYTES;
/// Most key ids that a header names, and licenses in a response.
pub const MAX_KIDS: usize = crate::MAX_KEYS;

/// Media type of every answer.
pub const LICENSE_TYPE: &str = "text/xml; charset=utf-8";

/// Reads `xs:base64Binary`: padded base64, white space anywhere.
fn base64(text: &str) -> Option<Vec<u8>> {
    use ::base64::Engine as _;
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    ::base64::engine::general_purpose::STANDARD.decode(compact).ok()
}
