//! Fuzzes `fairplay_ckc` of the entries.
#![no_main]

#[path = "../entries/fairplay_ckc.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
