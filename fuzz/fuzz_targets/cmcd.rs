//! Fuzzes `cmcd` of the entries.
#![no_main]

#[path = "../entries/cmcd.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
