//! Fuzzes `live_stream` of the entries.
#![no_main]

#[path = "../entries/live_stream.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
