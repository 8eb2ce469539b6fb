//! Fuzzes `hevc` of the entries.
#![no_main]

#[path = "../entries/hevc.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
