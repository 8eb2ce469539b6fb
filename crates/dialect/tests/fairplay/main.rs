//! FairPlay between the server's side and the reference client, on credentials of our own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and what they stand on may panic"
)]

mod credentials;
mod damage;
mod modules;
mod policies;
#[path = "../widevine/policy_table.rs"]
mod policy_table;
mod refusals;
mod round_trips;

mod world;
