//! Fuzzes `fairplay_spc` of the entries.
#![no_main]

#[path = "../entries/fairplay_spc.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
