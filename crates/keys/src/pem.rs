//! Keys in PEM (RFC 7468, 10 and 13): one block, nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Longest text that is read.
const MAX_BYTES: usize = 8192;
/// Longest line that is written.
const LINE: usize = 64;

/// PKCS#8.
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";
/// `SubjectPublicKeyInfo`.
pub(crate) const PUBLIC_KEY: &str = "PUBLIC KEY";

/// The DER of the one block that the text is.
pub(crate) fn read(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let body = text
        .trim()
        .strip_prefix("-----BEGIN ")?
        .strip_prefix(label)?
        .strip_prefix("-----")?
        .strip_suffix("-----")?
        .strip_suffix(label)?
        .strip_suffix("-----END ")?;
    // Room for all of it at once: a growing vector would leave copies of the key behind.
    let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
    packed.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; body.len()]);
    let length = STANDARD.decode_slice(packed.as_slice(), &mut der).ok()?;
    der.truncate(length);
    Some(der)
}

/// DER as one block.
pub(crate) fn write(der: &[u8], label: &str) -> Zeroizing<String> {
    // Room for all of it at once, as above.
    let mut text = Zeroizing::new(String::with_capacity(der.len() * 2 + 128));
    text.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(LINE / 4 * 3) {
        let mut encoded = Zeroizing::new([0; LINE]);
        let length = STANDARD
            .encode_slice(line, encoded.as_mut_slice())
            .expect("48 bytes are 64 characters");
        text.extend(encoded.iter().take(length).map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}
