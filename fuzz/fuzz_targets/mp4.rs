//! Fuzzes `mp4` of the entries.
#![no_main]

#[path = "../entries/mp4.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
