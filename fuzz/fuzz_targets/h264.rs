//! Fuzzes `h264` of the entries.
#![no_main]

#[path = "../entries/h264.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
