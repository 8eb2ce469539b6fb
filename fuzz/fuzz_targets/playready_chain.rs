//! Fuzzes `playready_chain` of the entries.
#![no_main]

#[path = "../entries/playready_chain.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
