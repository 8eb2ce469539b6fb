//! `pssh` boxes of any bytes are read without panicking, one and several.

use media::pssh;

/// Reads `bytes` as one box and as a row of boxes.
pub fn run(bytes: &[u8]) {
    let _ = pssh::parse(bytes);
    for pssh in pssh::parse_all(bytes).into_iter().flatten().flatten() {
        let _ = pssh.all_kids();
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = pssh::SystemId::parse_urn(text);
    }
}
