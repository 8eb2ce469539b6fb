//! Tokens and grants that nobody issued are refused without panicking.

use model::Timestamp;
use playback::{GrantKey, PlaybackToken, SessionToken, TokenKey, VaultToken, VaultTokenKey, grant};

/// Reads `bytes` as each kind of credential.
pub fn run(bytes: &[u8]) {
    let now = Timestamp(1_000_000);
    assert!(grant::open(&GrantKey::from_bytes(&[7; 32]), bytes, bytes, now).is_err());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = TokenKey::from_bytes(&[7; 32]);
    assert!(SessionToken::verify(&key, text, now).is_err());
    assert!(PlaybackToken::verify(&key, text, now, Timestamp(0)).is_err());
    assert!(VaultToken::verify(&VaultTokenKey::from_bytes(&[7; 32]), text, now).is_err());
}
