//! Sessions of W3C Encrypted Media Extensions: a request goes out, a license comes in, its keys
//! stay here (EME, 6 and 9.1).

use crate::segment::{self, SegmentError};
use crate::track::Track;
use dialect::clearkey;
use keys::ContentKey;
use media::pssh::{self, SystemId};
use model::KeyId;
use std::collections::BTreeMap;

/// Most sessions at a time.
pub const MAX_SESSIONS: usize = 64;

/// A session's number; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a key may do now (EME, 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// It decrypts.
    Usable,
    /// Its license ended.
    Expired,
}

/// Why the CDM does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CdmError {
    /// The initialization data has no box of this system, or one that does not read.
    #[error("the initialization data names no key for this system")]
    InitData,
    /// No such session.
    #[error("there is no such session")]
    NoSession,
    /// More than [`MAX_SESSIONS`].
    #[error("too many sessions")]
    TooManySessions,
    /// Not a license of this session.
    #[error("the license is not an answer to this session's request")]
    License,
    /// No session has the track's key.
    #[error("no license carries the track's key")]
    NoKey,
    /// The segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// All sessions of one player.
#[derive(Debug, Default)]
pub struct Sessions {
    next: u64,
    open: BTreeMap<SessionId, Session>,
}

#[derive(Debug)]
struct Session {
    asked: Vec<KeyId>,
    keys: Vec<(KeyId, ContentKey)>,
}

impl Sessions {
    /// Opens a session for the keys that initialization data names, and writes its request.
    ///
    /// Of several boxes of the system, as of several tracks, all are asked for; boxes of other
    /// systems are passed over.
    ///
    /// Errors: [`CdmError::InitData`], [`CdmError::TooManySessions`].
    pub fn request(&mut self, init_data: &[u8]) -> Result<(SessionId, Vec<u8>), CdmError> {
        if self.open.len() == MAX_SESSIONS {
            return Err(CdmError::TooManySessions);
        }
        // A box of another system may be anything; it is theirs to read.
        let boxes = pssh::parse_all(init_data).map_err(|_| CdmError::InitData)?;
        let own = boxes.iter().flatten().filter(|one| one.system == SystemId::COMMON);
        let mut asked: Vec<KeyId> = own.flat_map(|one| one.kids.iter().copied()).collect();
        asked.sort_unstable();
        asked.dedup();
        if asked.is_empty() {
            return Err(CdmError::InitData);
        }
        let request = clearkey::request(&asked, clearkey::SessionType::Temporary);
        let id = SessionId(self.next);
        self.next = self.next.saturating_add(1);
        self.open.insert(id, Session { asked, keys: vec![] });
        Ok((id, request))
    }

    /// Takes the license of a session. A key that was not asked for refuses all of it.
    ///
    /// Errors: [`CdmError::NoSession`], [`CdmError::License`]; the session then has the keys it
    /// had before.
    pub fn update(
        &mut self,
        id: SessionId,
        license: &[u8],
    ) -> Result<Vec<(KeyId, KeyStatus)>, CdmError> {
        let session = self.open.get_mut(&id).ok_or(CdmError::NoSession)?;
        let keys = clearkey::read_license(license).map_err(|_| CdmError::License)?;
        if keys.iter().any(|(kid, _)| !session.asked.contains(kid)) {
            return Err(CdmError::License);
        }
        session.keys = keys;
        Ok(session.keys.iter().map(|(kid, _)| (*kid, KeyStatus::Usable)).collect())
    }

    /// Ends a session; its keys are wiped.
    ///
    /// Errors: [`CdmError::NoSession`].
    pub fn close(&mut self, id: SessionId) -> Result<(), CdmError> {
        self.open.remove(&id).map(drop).ok_or(CdmError::NoSession)
    }

    /// Decrypts a segment in place.
    ///
    /// Errors: [`CdmError::NoKey`], [`CdmError::Segment`].
    pub fn decrypt(&self, track: &Track, segment: &mut [u8]) -> Result<(), CdmError> {
        let Some(kid) = track.kid() else { return Ok(()) };
        let mut keys = self.open.values().flat_map(|session| &session.keys);
        let (_, key) = keys.find(|(own, _)| *own == kid).ok_or(CdmError::NoKey)?;
        Ok(segment::decrypt(track, key, segment)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialect::clearkey::{Challenge, Offline};
    use zeroize::Zeroizing;

    fn kid(byte: u8) -> KeyId {
        KeyId::from_bytes([byte; 16])
    }

    fn license(request: &[u8], kids: &[u8]) -> Vec<u8> {
        let keys = kids
            .iter()
            .map(|byte| (kid(*byte), ContentKey::from_bytes(Zeroizing::new([*byte; 16]))));
        let challenge = Challenge::parse(request, Offline::Refused).unwrap();
        challenge.answer(keys.collect()).as_bytes().to_vec()
    }

    #[test]
    fn a_session_asks_for_every_key_of_its_system_once() {
        let other = pssh::widevine(&[kid(9)], model::Scheme::Cbcs);
        let data = [pssh::common(&[kid(2), kid(1)]), other, pssh::common(&[kid(1)])].concat();
        let mut sessions = Sessions::default();
        let (id, request) = sessions.request(&data).unwrap();
        let challenge = Challenge::parse(&request, Offline::Refused).unwrap();
        assert_eq!(challenge.kids(), [kid(1), kid(2)]);
        let usable = sessions.update(id, &license(&request, &[1])).unwrap();
        assert_eq!(usable, [(kid(1), KeyStatus::Usable)], "one key was withheld");
    }

    #[test]
    fn init_data_without_a_box_of_the_system_opens_no_session() {
        let mut sessions = Sessions::default();
        let widevine = pssh::widevine(&[kid(9)], model::Scheme::Cbcs);
        let empty = pssh::common(&[]);
        for data in [&[][..], &widevine, &empty, b"no boxes at all"] {
            assert_eq!(sessions.request(data), Err(CdmError::InitData));
        }
    }

    #[test]
    fn a_license_of_another_session_is_refused() {
        let mut sessions = Sessions::default();
        let (one, first) = sessions.request(&pssh::common(&[kid(1)])).unwrap();
        let (other, second) = sessions.request(&pssh::common(&[kid(2)])).unwrap();
        let foreign = license(&second, &[2]);
        assert_eq!(sessions.update(one, &foreign), Err(CdmError::License));
        assert_eq!(sessions.update(one, b"{}"), Err(CdmError::License));
        sessions.update(one, &license(&first, &[1])).unwrap();
        sessions.update(other, &foreign).unwrap();
        sessions.close(other).unwrap();
        assert_eq!(sessions.update(other, &foreign), Err(CdmError::NoSession));
        assert_eq!(sessions.close(other), Err(CdmError::NoSession));
    }

    #[test]
    fn sessions_are_counted() {
        let mut sessions = Sessions::default();
        let data = pssh::common(&[kid(1)]);
        for _ in 0..MAX_SESSIONS {
            sessions.request(&data).unwrap();
        }
        assert_eq!(sessions.request(&data), Err(CdmError::TooManySessions));
    }
}
