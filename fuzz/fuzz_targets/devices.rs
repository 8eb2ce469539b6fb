//! Fuzzes `devices` of the entries.
#![no_main]

#[path = "../entries/devices.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
