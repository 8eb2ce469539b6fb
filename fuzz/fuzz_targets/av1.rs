//! Fuzzes `av1` of the entries.
#![no_main]

#[path = "../entries/av1.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
