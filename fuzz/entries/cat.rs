//! The readers of signed URLs take anything without panicking: a Common Access Token as text, its
//! claims behind a right signature, a base URL, a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edge::cdn::cat::{Asked, CatKey, CatVerifier, TrustedIssuer};
use edge::cdn::{BaseUrl, SharedSecret};
use model::{ContentId, Timestamp};

/// The secret of the seeds, in hex digits.
const SECRET: &str = "07070707070707070707070707070707";
/// `{1: 5, 4: 'k'}`: HMAC-SHA-256, the key's id.
const PROTECTED: &[u8] = b"\xa2\x01\x05\x04\x41k";

/// Reads `bytes` as a token, as claims and as settings.
pub fn run(bytes: &[u8]) {
    let secret = || SharedSecret::parse(SECRET).expect("a secret");
    let (issuer, key_id) = ("tv".to_owned(), "k".to_owned());
    let verifier =
        CatVerifier::new(vec![TrustedIssuer { issuer, key_id, key: CatKey::Hs256(secret()) }]);
    let (film, now) = (ContentId::parse("film").expect("a name"), Timestamp(1_790_000_000_000));
    let path = "/v/film/a.m4s";
    let asked = Asked { path, content_id: &film, method: "GET", country: None, now };
    let open = |token: &str| {
        if let Ok(pass) = verifier.open(token, &asked) {
            assert!(pass.content_id == film && pass.expires > now);
        }
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        open(text);
        if BaseUrl::parse(text).is_ok() {
            assert!(text.ends_with('/') && !text.contains(['*', '?', '~', '"', '\\', '%']));
        }
        let _ = SharedSecret::parse(text);
    }
    if let Ok(length) = u16::try_from(bytes.len()) {
        open(&URL_SAFE_NO_PAD.encode(sealed(&secret(), bytes, length)));
    }
}

/// A `COSE_Mac0` of claims, with a right tag.
fn sealed(secret: &SharedSecret, claims: &[u8], length: u16) -> Vec<u8> {
    let head = match length {
        0..24 => vec![0x40 | length.to_be_bytes()[1]],
        24..256 => vec![0x58, length.to_be_bytes()[1]],
        _ => [&[0x59][..], &length.to_be_bytes()].concat(),
    };
    let protected = [&[0x46], PROTECTED].concat();
    let told = [&b"\x84\x64MAC0"[..], &protected, b"\x40", &head, claims].concat();
    let tag = secret.sign(&told);
    [&b"\xd1\x84"[..], &protected, b"\xa0", &head, claims, b"\x58\x20", &tag].concat()
}
