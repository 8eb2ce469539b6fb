//! The HTTP surface: routes, what every request passes through, and problem documents.

pub mod caller;
pub mod control;
pub mod cookies;
pub mod cors;
pub mod envelope;
pub mod fault;
pub mod pages;
pub mod payload;
pub mod problem;
pub mod reason;
pub mod remember;
pub mod router;
