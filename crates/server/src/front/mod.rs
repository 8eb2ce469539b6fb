//! What faces the viewer: sign-in, decisions, tokens, the license proxy.
//!
//! Nothing here names the room of content keys or of license messages: front can neither read
//! a key nor make a license. It asks the vault through [`crate::vault_link`].

pub mod attempts;
pub mod authorization;
pub mod catalog;
pub mod devices;
pub mod heartbeat;
pub mod issuer_sign_in;
pub mod issuers;
pub mod license_proxy;
pub mod limiter;
pub mod my_titles;
pub mod offline;
pub mod password;
pub mod playback_token;
pub mod player_events;
pub mod provisioning;
pub mod sign_in;
pub mod streams;
pub mod title_details;
pub mod viewer;
pub mod watch;
