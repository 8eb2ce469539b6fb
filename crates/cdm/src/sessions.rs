//! Sessions of W3C Encrypted Media Extensions: a request goes out, a license comes in, its keys
//! stay here (EME, 6 and 9.1).
//!
//! Sessions are `temporary`: they live in memory and end with the process.

use crate::exchange::{Exchange, Licensed, Step};
use crate::segment::{self, SegmentError};
use crate::system::{Boxes, System};
use crate::track::Track;
use crate::usage::{Reach, Usage};
use crate::{clearkey, widevine};
use dialect::terms::LicensedKey;
use keys::ContentKey;
use model::{Entropy, KeyId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most sessions at a time: FairPlay has one for each key, and keys that change are many.
pub const MAX_SESSIONS: usize = 512;

/// A session's number; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

/// What a key may do now (EME, 6.2), under EME's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStatus {
    /// It decrypts.
    Usable,
    /// Its license ended.
    Expired,
    /// It demands outputs that the device does not have.
    OutputRestricted,
    /// It demands a device more robust than this one, or its license plays nothing.
    InternalError,
}

/// What a message is about (EME, 6.4), the service's certificate, and PlayReady's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// The service's certificate; the license request follows its answer.
    CertificateRequest,
    /// A license.
    LicenseRequest,
    /// More time.
    LicenseRenewal,
    /// The license is given back.
    LicenseRelease,
    /// The license arrived: its server wants to know. Its answer says nothing.
    LicenseAcknowledgement,
}

/// A message to the license server. To the app, its body is opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub kind: MessageKind,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Updated {
    /// The session's next message, where there is one.
    pub message: Option<Message>,
    /// The session's keys.
    pub keys: Vec<(KeyId, KeyStatus)>,
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
    /// Not the certificate of a service that the device's maker vouches for.
    #[error("the service certificate is not one that this device trusts")]
    Certificate,
    /// Not a license of this session.
    #[error("the license is not an answer to this session's request")]
    License,
    /// No session has a key that samples are under.
    #[error("no license carries the track's key")]
    NoKey,
    /// A session has such a key, and it may not be used.
    #[error("the track's key may not be used: {0:?}")]
    NotUsable(KeyStatus),
    /// The segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// All sessions of one player.
#[derive(Debug)]
pub struct Sessions {
    system: System,
    next: u64,
    open: BTreeMap<SessionId, Session>,
    /// The latest time that was told: a clock that is set back wins nothing.
    latest: Timestamp,
}

#[derive(Debug)]
struct Session {
    boxes: Boxes,
    exchange: Exchange,
    license: Option<Held>,
}

/// The keys of a license, and what it allows.
#[derive(Debug)]
struct Held {
    keys: Vec<LicensedKey>,
    usage: Usage,
}

impl Sessions {
    /// Sessions of one system.
    #[must_use]
    pub const fn new(system: System) -> Self {
        let latest = Timestamp(0);
        Self { system, next: 0, open: BTreeMap::new(), latest }
    }

    /// Opens a session for the keys that initialization data names, and writes its first message.
    ///
    /// Of several boxes of the system, as of several tracks, all are asked for; boxes of other
    /// systems are passed over. FairPlay's initialization data is the `skd` URI of one key.
    ///
    /// Errors: [`CdmError::InitData`], [`CdmError::TooManySessions`].
    pub fn request(
        &mut self,
        init_data: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<(SessionId, Message), CdmError> {
        let now = self.clock(now);
        if self.open.len() == MAX_SESSIONS {
            return Err(CdmError::TooManySessions);
        }
        let boxes = Boxes::of(&self.system, init_data).ok_or(CdmError::InitData)?;
        let (exchange, message) = match &self.system {
            System::ClearKey => clearkey::ask(&boxes.kids),
            System::Widevine(device) => device.ask(&boxes.bytes, now, entropy),
            System::PlayReady(device) => device.ask(&boxes, now, entropy)?,
            System::FairPlay(device) => device.ask(&boxes.bytes, now, entropy),
        };
        let id = SessionId(self.next);
        self.next = self.next.saturating_add(1);
        self.open.insert(id, Session { boxes, exchange, license: None });
        Ok((id, message))
    }

    /// Takes the answer to a session's latest message. A license with a key that was not asked
    /// for is refused as a whole.
    ///
    /// Errors: [`CdmError::NoSession`], [`CdmError::Certificate`], [`CdmError::License`]; the
    /// session then is what it was before.
    pub fn update(
        &mut self,
        id: SessionId,
        answer: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Updated, CdmError> {
        let now = self.clock(now);
        let session = self.open.get_mut(&id).ok_or(CdmError::NoSession)?;
        let (message, is_over) = match session.read(&mut self.system, answer, now, entropy)? {
            Step::Asks(exchange, message) => {
                session.exchange = exchange;
                (Some(message), false)
            }
            Step::Licensed(licensed, exchange, message) => {
                session.hold(licensed)?;
                session.exchange = exchange;
                (message, false)
            }
            Step::Done => (None, false),
            Step::Over => (None, true),
        };
        let keys = session.statuses(self.system.reach(), now);
        if is_over {
            self.open.remove(&id);
        }
        Ok(Updated { message, keys })
    }

    /// What each key of a session may do now.
    ///
    /// Errors: [`CdmError::NoSession`].
    pub fn statuses(
        &mut self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Vec<(KeyId, KeyStatus)>, CdmError> {
        let now = self.clock(now);
        let session = self.open.get(&id).ok_or(CdmError::NoSession)?;
        Ok(session.statuses(self.system.reach(), now))
    }

    /// The request for more time, where the license's policy says that it is due.
    ///
    /// Errors: [`CdmError::NoSession`].
    pub fn renew(
        &mut self,
        id: SessionId,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<Message>, CdmError> {
        let now = self.clock(now);
        let Session { boxes, exchange, license } =
            self.open.get_mut(&id).ok_or(CdmError::NoSession)?;
        let Some(held) = license.as_mut().filter(|held| held.usage.is_renewal_due(now)) else {
            return Ok(None);
        };
        let usage = &mut held.usage;
        Ok(match (&self.system, exchange) {
            (System::Widevine(_), Exchange::Widevine(widevine::Stage::Held(client))) => {
                Some(widevine::ask_renewal(client, usage, now))
            }
            (System::FairPlay(device), Exchange::FairPlay(stage)) => {
                device.ask_renewal(stage, (&boxes.bytes, usage), now, entropy)
            }
            _ => None,
        })
    }

    /// Gives a license back: its keys are wiped at once. The message tells the server; its
    /// answer ends the session. Only Widevine has such a message; the others' session ends here.
    ///
    /// Errors: [`CdmError::NoSession`].
    pub fn release(&mut self, id: SessionId, now: Timestamp) -> Result<Option<Message>, CdmError> {
        let now = self.clock(now);
        let session = self.open.remove(&id).ok_or(CdmError::NoSession)?;
        let Session {
            boxes,
            exchange: Exchange::Widevine(widevine::Stage::Held(client)),
            license: Some(held),
        } = session
        else {
            return Ok(None);
        };
        let message = widevine::ask_release(&client, &held.usage, now);
        let exchange = Exchange::Widevine(widevine::Stage::Released(client));
        self.open.insert(id, Session { boxes, exchange, license: None });
        Ok(Some(message))
    }

    /// Ends a session; its keys are wiped.
    ///
    /// Errors: [`CdmError::NoSession`].
    pub fn close(&mut self, id: SessionId) -> Result<(), CdmError> {
        self.open.remove(&id).map(drop).ok_or(CdmError::NoSession)
    }

    /// Decrypts a segment in place, each sample with the key that its group names: every one of
    /// them must be usable, or nothing is decrypted.
    ///
    /// Errors: [`CdmError::NoKey`], [`CdmError::NotUsable`], [`CdmError::Segment`].
    pub fn decrypt(
        &mut self,
        track: &Track,
        segment: &mut [u8],
        now: Timestamp,
    ) -> Result<(), CdmError> {
        let now = self.clock(now);
        let mut opened = BTreeMap::new();
        for kid in segment::kids(track, segment)? {
            opened.insert(kid, self.usable(kid, now)?);
        }
        let keys = opened.iter().map(|(kid, (_, key))| (*kid, *key)).collect();
        segment::decrypt(track, &keys, segment)?;
        let played: Vec<SessionId> = opened.into_values().map(|(session, _)| session).collect();
        for session in played {
            let license = self.open.get_mut(&session).and_then(|one| one.license.as_mut());
            license.into_iter().for_each(|held| held.usage.plays(now));
        }
        Ok(())
    }

    /// The key of this id, of the first session in which it may be used.
    fn usable(&self, kid: KeyId, now: Timestamp) -> Result<(SessionId, &ContentKey), CdmError> {
        let (reach, mut best) = (self.system.reach(), CdmError::NoKey);
        for (id, session) in &self.open {
            let Some(held) = &session.license else { continue };
            let Some(key) = held.keys.iter().find(|key| key.kid == kid) else { continue };
            match held.usage.status(&key.terms, reach, now) {
                KeyStatus::Usable => return Ok((*id, &key.key)),
                status => best = CdmError::NotUsable(status),
            }
        }
        Err(best)
    }

    fn clock(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }
}

impl Session {
    /// Takes the keys of a license, all of which must have been asked for.
    fn hold(&mut self, licensed: Licensed) -> Result<(), CdmError> {
        let Licensed { keys, usage } = licensed;
        if keys.iter().any(|key| !self.boxes.kids.contains(&key.kid)) {
            return Err(CdmError::License);
        }
        self.license = Some(Held { keys, usage });
        Ok(())
    }

    /// Reads the answer to the latest message, by the rules of its system.
    fn read(
        &mut self,
        system: &mut System,
        answer: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Step, CdmError> {
        let Self { boxes, exchange, license } = self;
        match (system, exchange) {
            (System::ClearKey, Exchange::ClearKey) => {
                let licensed = clearkey::read(answer, now)?;
                Ok(Step::Licensed(licensed, Exchange::ClearKey, None))
            }
            (System::Widevine(device), Exchange::Widevine(stage)) => {
                let usage = license.as_mut().map(|held| &mut held.usage);
                device.read(stage, (&boxes.bytes, usage), answer, now, entropy)
            }
            (System::PlayReady(device), Exchange::PlayReady(stage)) => {
                device.read(stage, answer, now)
            }
            (System::FairPlay(device), Exchange::FairPlay(stage)) => {
                device.read(stage, &boxes.bytes, answer, now, entropy)
            }
            // A session is of the one system that opened it.
            _ => Err(CdmError::License),
        }
    }

    fn statuses(&self, reach: Reach, now: Timestamp) -> Vec<(KeyId, KeyStatus)> {
        let Some(held) = &self.license else { return vec![] };
        let status = |key: &LicensedKey| (key.kid, held.usage.status(&key.terms, reach, now));
        held.keys.iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests;
