//! Tokens of an identity provider (OpenID Connect Core 1.0, 2; RFC 9068) under the rules of
//! RFC 8725: what a token says decides nothing but which of the issuer's known keys to try.
//!
//! A token passes three doors, each with a type of its own: [`UncheckedToken`] has the right
//! shape, [`UnprovedToken`] claims the right things, [`IssuerToken`] is signed by the issuer.

mod algorithm;
mod key_set;
mod strict_json;
mod token;

pub use algorithm::Algorithm;
pub use key_set::{KeySet, KeySetRefused, MAX_KEYS, MAX_KID, MAX_SET_BYTES};
pub use token::{IssuerRules, IssuerToken, MAX_SUBJECT, UncheckedToken, Unproved, UnprovedToken};
