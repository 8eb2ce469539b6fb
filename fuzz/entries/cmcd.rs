//! What players say of themselves is read without panicking, and one way only.

use edge::Cmcd;

/// Reads `bytes` as the query argument and as headers, one a line.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let said = Cmcd::parse_headers(text.lines());
    let argument = Cmcd::parse_argument(text);
    // What needs no decoding says in a header what it says in the query.
    if !text.contains(['%', '\n', '\r']) {
        assert_eq!(argument.unwrap_or_default(), said);
    }
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    if let Some(argument) = argument.filter(|_| !text.contains('%')) {
        assert_eq!(Cmcd::parse_argument(&encoded), Some(argument));
    }
}
