//! PlayReady's license protocol, as servers and clients meet it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests and what they stand on may panic")]

mod acknowledgements;
mod damage;
mod encodings;
mod headers;
mod mutation;
mod refusals;
mod responses;
mod round_trips;
mod vectors;
mod world;
mod wrapping;
