//! Clear Key's challenge and license readers take any bytes without panicking.
#![no_main]

use dialect::clearkey::{Challenge, Offline, read_license};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Challenge::parse(bytes, Offline::Refused);
    let _ = Challenge::parse(bytes, Offline::Allowed);
    let _ = read_license(bytes);
});
