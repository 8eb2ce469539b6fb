//! Tokens and grants that nobody issued are refused without panicking.

use model::{PlaybackSessionId, Timestamp};
use playback::log_seal::{LogKey, LogPlace};
use playback::report::{PlayerEvents, SessionLog, Word};
use playback::{
    GrantKey, PlaybackToken, SessionToken, TokenKey, VaultToken, VaultTokenKey, grant, log_seal,
};

/// Reads `bytes` as each kind of credential.
pub fn run(bytes: &[u8]) {
    let now = Timestamp(1_000_000);
    assert!(grant::open(&GrantKey::from_bytes(&[7; 32]), bytes, bytes, now).is_err());
    let place = LogPlace { session: PlaybackSessionId::from_bytes([7; 16]), seq: 7, received: now };
    assert!(log_seal::open(&LogKey::from_bytes(&[7; 32]), place, bytes).is_none());
    reports(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = TokenKey::from_bytes(&[7; 32]);
    assert!(SessionToken::verify(&key, text, now).is_err());
    assert!(PlaybackToken::verify(&key, text, now, Timestamp(0)).is_err());
    assert!(VaultToken::verify(&VaultTokenKey::from_bytes(&[7; 32]), text, now).is_err());
}

/// What is taken as a report is written as it was read, and no word of it could hold a key.
fn reports(bytes: &[u8]) {
    if let Ok(log) = serde_json::from_slice::<SessionLog>(bytes) {
        let written = serde_json::to_vec(&log).expect("plain values");
        assert_eq!(serde_json::from_slice::<SessionLog>(&written).ok(), Some(log));
    }
    if let Ok(events) = serde_json::from_slice::<PlayerEvents>(bytes) {
        assert!(events.events().len() <= playback::report::MAX_EVENTS);
    }
    if let Ok(word) =
        std::str::from_utf8(bytes).map_err(drop).and_then(|t| Word::parse(t).map_err(drop))
    {
        assert!(word.as_str().len() < 22);
    }
}
