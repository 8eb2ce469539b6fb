//! Who may watch what, where and how often: facts in, decision out.
//!
//! No I/O, no clock, no randomness: every function takes `now`, and entropy where it draws.
//! A refusal is a value ([`Denial`]), and a value that proves a check has one maker:
//! [`entitlement::decide`] an [`Entitlement`], [`grant::open`] a [`LicenseGrant`].

mod covers;
mod denial;
pub mod device;
pub mod entitlement;
pub mod grant;
pub mod issuer;
pub mod lease;
pub mod log_seal;
pub mod offline;
pub mod platform;
pub mod proof;
pub mod region;
pub mod release;
pub mod report;
pub mod rotation;
mod seal;
pub mod ticket;
pub mod token;
pub mod trace;
pub mod vault_token;

pub use covers::{Covers, MAX_KIDS};
pub use denial::Denial;
pub use device::DeviceRefused;
pub use entitlement::Entitlement;
pub use grant::{GrantKey, LicenseGrant};
pub use offline::OfflineDenied;
pub use ticket::{Ticket, TicketKey};
pub use token::{PlaybackToken, SessionToken, TokenKey, TokenRefused};
pub use trace::{Rule, Said, Trace};
pub use vault_token::{ContentLimit, Scope, Scopes, VaultToken, VaultTokenKey};
