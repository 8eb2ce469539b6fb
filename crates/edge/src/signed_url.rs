//! The pass in a delivery URL (R130, R135): which session may fetch which title until when.
//!
//! It stands in the path, so relative URLs of manifests keep it, and a cache can leave it out
//! of its key. It opens nothing but ciphertext; what may be decrypted is the license's matter.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{ContentId, Dialect, PlaybackSessionId, Timestamp, TrackClass, TrackClasses};

/// First byte of a pass: format and algorithm.
const VERSION: u8 = 1;
const BODY: usize = 1 + 1 + 1 + 8 + 16;
const MAC: usize = 32;

/// The key that signs and checks passes.
pub struct EdgeKey(hmac::Key);

impl EdgeKey {
    /// Makes the key of its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

impl std::fmt::Debug for EdgeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EdgeKey(..)")
    }
}

/// What a session may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgePass {
    /// The title.
    pub content_id: ContentId,
    /// The playback session.
    pub session: PlaybackSessionId,
    /// The track classes whose renditions the session's manifests list.
    pub classes: TrackClasses,
    /// The DRM system whose lines the session's manifests hold.
    pub dialect: Dialect,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why a pass does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassRefused {
    /// Not signed by this key for this title.
    #[error("the pass is not valid")]
    Invalid,
    /// Signed here, but its time is over.
    #[error("the pass has expired")]
    Expired,
}

/// Signs a pass: 79 characters that need no encoding in a URL.
///
/// Shape, base64url without padding: version 1 ‖ dialect 1 ‖ classes 1 ‖ expiry in ms, big
/// endian, 8 ‖ session 16 ‖ HMAC-SHA-256 over all of it and the content id, 32.
#[must_use]
pub fn sign(key: &EdgeKey, pass: &EdgePass) -> String {
    let body = [
        &[VERSION, dialect_code(pass.dialect), classes_code(pass.classes)][..],
        &pass.expires.0.to_be_bytes(),
        pass.session.as_bytes(),
    ]
    .concat();
    let mac = hmac::sign(&key.0, &[&body, pass.content_id.as_str().as_bytes()].concat());
    URL_SAFE_NO_PAD.encode([&body, mac.as_ref()].concat())
}

/// Opens a pass for a title. Constant time in the signature.
///
/// Errors: [`PassRefused`].
pub fn open(
    key: &EdgeKey,
    text: &str,
    content_id: &ContentId,
    now: Timestamp,
) -> Result<EdgePass, PassRefused> {
    let pass = verify(key, text, content_id).ok_or(PassRefused::Invalid)?;
    if pass.expires <= now { Err(PassRefused::Expired) } else { Ok(pass) }
}

fn verify(key: &EdgeKey, text: &str, content_id: &ContentId) -> Option<EdgePass> {
    // One spelling per pass: the decoder refuses padding and stray bits in the last character.
    let mut bytes = [0; BODY + MAC];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (body, mac) = bytes.get(..written)?.split_first_chunk::<BODY>()?;
    hmac::verify(&key.0, &[body, content_id.as_str().as_bytes()].concat(), mac).ok()?;
    let (head, rest) = body.split_first_chunk::<3>()?;
    let (expires, session) = rest.split_first_chunk::<8>()?;
    let [version, dialect, classes] = *head;
    if version != VERSION {
        return None;
    }
    Some(EdgePass {
        content_id: content_id.clone(),
        session: PlaybackSessionId::from_bytes(session.try_into().ok()?),
        classes: TrackClass::ALL.into_iter().filter(|c| classes & class_bit(*c) != 0).collect(),
        dialect: Dialect::ALL.into_iter().find(|known| dialect_code(*known) == dialect)?,
        expires: Timestamp(u64::from_be_bytes(*expires)),
    })
}

const fn dialect_code(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::ClearKey => 1,
        Dialect::Widevine => 2,
        Dialect::PlayReady => 3,
        Dialect::FairPlay => 4,
    }
}

const fn class_bit(class: TrackClass) -> u8 {
    match class {
        TrackClass::Audio => 1,
        TrackClass::Sd => 2,
        TrackClass::Hd => 4,
        TrackClass::Uhd => 8,
    }
}

fn classes_code(classes: TrackClasses) -> u8 {
    classes.iter().map(class_bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn key() -> EdgeKey {
        EdgeKey::from_bytes(&[3; 32])
    }

    fn film() -> ContentId {
        ContentId::parse("film").unwrap()
    }

    fn pass() -> EdgePass {
        EdgePass {
            content_id: film(),
            session: PlaybackSessionId::from_bytes([5; 16]),
            classes: TrackClasses::up_to(TrackClass::Sd),
            dialect: Dialect::ClearKey,
            expires: NOW.plus_s(60),
        }
    }

    #[test]
    fn every_pass_reads_back() {
        for dialect in Dialect::ALL {
            for highest in TrackClass::ALL {
                let pass = EdgePass { dialect, classes: TrackClasses::up_to(highest), ..pass() };
                let text = sign(&key(), &pass);
                assert_eq!(text.len(), 79);
                assert!(text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c)));
                assert_eq!(open(&key(), &text, &film(), NOW), Ok(pass));
            }
        }
    }

    #[test]
    fn no_character_of_a_pass_may_change() {
        let text = sign(&key(), &pass());
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.%~\0";
        for at in 0..text.len() {
            for replacement in alphabet {
                let mut other = text.clone().into_bytes();
                other[at] = *replacement;
                let other = String::from_utf8(other).unwrap();
                if other != text {
                    let opened = open(&key(), &other, &film(), NOW);
                    assert_eq!(opened, Err(PassRefused::Invalid), "{at} {replacement}");
                }
            }
        }
    }

    #[test]
    fn a_longer_or_shorter_pass_is_none() {
        let text = sign(&key(), &pass());
        for length in 0..text.len() {
            assert_eq!(open(&key(), &text[..length], &film(), NOW), Err(PassRefused::Invalid));
        }
        let twice = text.repeat(2);
        for other in [format!("{text}="), format!("{text}A"), format!("{text}AA"), twice] {
            assert_eq!(open(&key(), &other, &film(), NOW), Err(PassRefused::Invalid), "{other}");
        }
        assert_eq!(open(&key(), &"A".repeat(1 << 20), &film(), NOW), Err(PassRefused::Invalid));
    }

    #[test]
    fn a_pass_is_for_one_title_under_one_key() {
        let text = sign(&key(), &pass());
        for other in ["fil", "film2", "Film", "other"] {
            let other = ContentId::parse(other).unwrap();
            assert_eq!(open(&key(), &text, &other, NOW), Err(PassRefused::Invalid), "{other}");
        }
        let stranger = EdgeKey::from_bytes(&[4; 32]);
        assert_eq!(open(&stranger, &text, &film(), NOW), Err(PassRefused::Invalid));
    }

    #[test]
    fn a_pass_ends_on_time() {
        let text = sign(&key(), &pass());
        let at = |now| open(&key(), &text, &film(), now).map(drop);
        assert_eq!(at(Timestamp(pass().expires.0 - 1)), Ok(()));
        assert_eq!(at(pass().expires), Err(PassRefused::Expired));
        assert_eq!(at(Timestamp(u64::MAX)), Err(PassRefused::Expired));
    }
}
