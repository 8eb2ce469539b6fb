//! Fuzzes `vp9` of the entries.
#![no_main]

#[path = "../entries/vp9.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
