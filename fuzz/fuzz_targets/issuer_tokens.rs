//! Fuzzes `issuer_tokens` of the entries.
#![no_main]

#[path = "../entries/issuer_tokens.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::run(bytes));
