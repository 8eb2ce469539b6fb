//! Logs of players at rest: sealed under a key that is for nothing else and not in the database
//! (R151). What is sealed is bound to its row, so that no log can be put into another's place.

use crate::report::SessionLog;
use crate::seal::Seal;
use aws_lc_rs::aead::AES_256_GCM;
use model::{Entropy, PlaybackSessionId, Timestamp};

/// Longest sealed log: [`crate::report::MAX_LOG_ENTRIES`] entries take under 15 KiB.
const MAX_SEALED_BYTES: usize = 16_384;

/// Binds the ciphertext to its purpose.
const PURPOSE: &[u8] = b"strongroom session log v1";

/// The key that seals logs.
///
/// Limits: random 96-bit nonces allow it 2^32 logs (NIST SP 800-38D, 8.3), two years of a hundred
/// thousand players that log once in half an hour.
pub struct LogKey(Seal);

impl LogKey {
    /// Makes the key of its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Seal::new(&AES_256_GCM, bytes))
    }
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogKey(..)")
    }
}

/// The row that a log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The playback session.
    pub session: PlaybackSessionId,
    /// The heartbeat's number.
    pub seq: u64,
    /// When it arrived.
    pub received: Timestamp,
}

impl LogPlace {
    fn aad(self) -> Vec<u8> {
        let (seq, received) = (self.seq.to_be_bytes(), self.received.0.to_be_bytes());
        [PURPOSE, self.session.as_bytes(), &seq, &received].concat()
    }
}

/// Seals a log for its place.
///
/// Shape: version 1 ‖ nonce 12 ‖ AES-256-GCM of the log as JSON ‖ tag 16.
#[must_use]
pub fn seal(key: &LogKey, place: LogPlace, log: &SessionLog, entropy: &mut dyn Entropy) -> Vec<u8> {
    let text = serde_json::to_vec(log).expect("a log is plain values with text keys");
    key.0.seal(&place.aad(), text, entropy)
}

/// Opens a sealed log. None: it was not sealed under this key for this place. Limits: 16 KiB.
#[must_use]
pub fn open(key: &LogKey, place: LogPlace, sealed: &[u8]) -> Option<SessionLog> {
    let sealed = Some(sealed).filter(|sealed| sealed.len() <= MAX_SEALED_BYTES)?;
    serde_json::from_slice(&key.0.open(&place.aad(), sealed)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::MAX_LOG_ENTRIES;
    use serde_json::json;

    const PLACE: LogPlace = LogPlace {
        session: PlaybackSessionId::from_bytes([3; 16]),
        seq: 7,
        received: Timestamp(1_800_000_000_000),
    };

    /// Counts, so that no two nonces are the same.
    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    fn key() -> LogKey {
        LogKey::from_bytes(&[9; 32])
    }

    fn log(entries: usize) -> SessionLog {
        let entry = json!({"at": u64::MAX, "kind": "rendition", "position_s": u32::MAX,
            "duration_ms": u32::MAX, "bitrate_kbps": u32::MAX, "height": u32::MAX,
            "buffer_ms": u32::MAX, "count": u32::MAX, "code": "aaaaaaaaaaaaaaaaaaaa"});
        serde_json::from_value(vec![entry; entries].into()).unwrap()
    }

    #[test]
    fn the_longest_log_opens_in_its_place_and_shows_nothing() {
        let log = log(MAX_LOG_ENTRIES);
        let sealed = seal(&key(), PLACE, &log, &mut Counting(0));
        assert!(sealed.len() <= MAX_SEALED_BYTES, "{}", sealed.len());
        assert!(!sealed.windows(4).any(|window| window == b"kind"));
        assert_eq!(open(&key(), PLACE, &sealed), Some(log.clone()));
        assert_ne!(seal(&key(), PLACE, &log, &mut Counting(1)), sealed);
    }

    #[test]
    fn a_log_opens_nowhere_else() {
        let sealed = seal(&key(), PLACE, &log(1), &mut Counting(0));
        let session = PlaybackSessionId::from_bytes([4; 16]);
        for place in [
            LogPlace { session, ..PLACE },
            LogPlace { seq: 8, ..PLACE },
            LogPlace { received: Timestamp(PLACE.received.0 + 1), ..PLACE },
        ] {
            assert_eq!(open(&key(), place, &sealed), None, "{place:?}");
        }
        assert_eq!(open(&LogKey::from_bytes(&[8; 32]), PLACE, &sealed), None);
    }

    #[test]
    fn no_byte_of_a_sealed_log_may_change() {
        let sealed = seal(&key(), PLACE, &log(1), &mut Counting(0));
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(open(&key(), PLACE, &other), None, "{at}");
            assert_eq!(open(&key(), PLACE, &sealed[..at]), None, "{at}");
        }
        assert_eq!(open(&key(), PLACE, &vec![1; MAX_SEALED_BYTES + 1]), None);
    }
}
