//! PlayReady's license protocol, as clients speak it.

mod certificate;
mod chain;
mod chain_error;
mod credentials;
mod draft;
mod license;
mod object;
mod policy;
mod reader;
mod revocation;
pub mod test_root;
mod xmr_error;

pub use chain::{Device, VerifiedChains};
pub use chain_error::ChainError;
pub use credentials::{Credentials, ImportError};
pub use license::{OpenedLicense, WrittenLicense, open_license};
pub use policy::{carried_key_terms, carried_terms};
pub use revocation::{RevocationList, RevocationListError};
pub use xmr_error::XmrError;
