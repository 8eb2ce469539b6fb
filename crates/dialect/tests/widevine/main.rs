//! Widevine between the server's side and the reference client, on credentials of our own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests and what they stand on may panic")]

mod credentials;
mod damage;
mod licenses;
mod policies;
mod policy_table;
mod provisioning;
mod refusals;
mod renewals;
mod round_trips;

mod wire;
mod world;
