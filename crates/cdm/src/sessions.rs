//! Sessions of W3C Encrypted Media Extensions: a request goes out, a license comes in, its keys
//! stay here (EME, 6 and 9.1).
//!
//! Sessions are `temporary`, and live in memory and end with the process; or something of them is
//! kept ([`kept`]).

mod kept;

use crate::clock::SecureClock;
use crate::exchange::{Exchange, Licensed, Step};
use crate::persistence::Store;
use crate::record::{KeptId, SessionType};
use crate::segment::{self, SegmentError};
use crate::system::{Boxes, System};
use crate::track::Track;
use crate::usage::{Reach, Usage};
use crate::{clearkey, widevine};
use dialect::terms::LicensedKey;
use dialect::widevine::LicenseType;
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
    /// A session of a type that this CDM, or its system, does not have.
    #[error("this CDM keeps nothing of such a session")]
    SessionType,
    /// More than [`crate::MAX_RECORDS`].
    #[error("too much is kept already")]
    TooManyRecords,
    /// Nothing has that name, or what has it does not open.
    #[error("nothing is kept under this name")]
    NotKept,
    /// Another service's.
    #[error("it is kept for another service")]
    OtherOrigin,
    /// The session is open.
    #[error("the session is open already")]
    IsOpen,
    /// A license that was asked for to be kept, and may not be.
    #[error("the license may not be kept on the device")]
    NotToBeKept,
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
    clock: SecureClock,
    /// What is kept; absent: nothing.
    store: Option<Store>,
}

/// A session that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session.
    pub session: SessionId,
    /// What it is kept as, where something of it is.
    pub kept: Option<KeptId>,
    /// Its first message.
    pub message: Message,
}

/// A session that was kept and is open again.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    /// The session.
    pub session: SessionId,
    /// Its keys.
    pub keys: Vec<(KeyId, KeyStatus)>,
    /// What its server must hear: a use, or that the license was given back.
    pub message: Option<Message>,
}

#[derive(Debug)]
struct Session {
    boxes: Boxes,
    exchange: Exchange,
    license: Option<Held>,
    kept: Option<(KeptId, SessionType)>,
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
        let clock = SecureClock::since(Timestamp(0));
        Self { system, next: 0, open: BTreeMap::new(), clock, store: None }
    }

    /// Opens a temporary session for the keys that initialization data names; its first message.
    ///
    /// Errors: as [`Self::open`].
    pub fn request(
        &mut self,
        init_data: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<(SessionId, Message), CdmError> {
        let opened = self.open(SessionType::Temporary, init_data, now, entropy)?;
        Ok((opened.session, opened.message))
    }

    /// Opens a session for the keys that initialization data names, and writes its first message.
    ///
    /// Of several boxes of the system, as of several tracks, all are asked for; boxes of other
    /// systems are passed over. FairPlay's initialization data is the `skd` URI of one key.
    ///
    /// Errors: [`CdmError::InitData`], [`CdmError::TooManySessions`], [`CdmError::SessionType`],
    /// [`CdmError::TooManyRecords`].
    pub fn open(
        &mut self,
        session_type: SessionType,
        init_data: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Opened, CdmError> {
        let now = self.clock(now);
        let kept = self.name(session_type, entropy)?;
        let is_kept = session_type == SessionType::PersistentLicense;
        let boxes = Boxes::of(&self.system, init_data).ok_or(CdmError::InitData)?;
        let (exchange, message) = match &self.system {
            System::ClearKey => clearkey::ask(&boxes.kids),
            System::Widevine(device) => {
                let kind = if is_kept { LicenseType::Offline } else { LicenseType::Streaming };
                device.ask(&boxes.bytes, kind, now, entropy)
            }
            System::PlayReady(device) => device.ask(&boxes, is_kept, now, entropy)?,
            System::FairPlay(device) => device.ask(&boxes.bytes, is_kept, now, entropy),
        };
        let session = self.insert(Session { boxes, exchange, license: None, kept })?;
        Ok(Opened { session, kept: kept.map(|(id, _)| id), message })
    }

    /// Gives a session its number.
    fn insert(&mut self, session: Session) -> Result<SessionId, CdmError> {
        if self.open.len() >= MAX_SESSIONS {
            return Err(CdmError::TooManySessions);
        }
        let id = SessionId(self.next);
        self.next = self.next.saturating_add(1);
        self.open.insert(id, session);
        Ok(id)
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
        let message = match session.read(&mut self.system, answer, now, entropy)? {
            Step::Asks(exchange, message) => {
                session.exchange = exchange;
                return Ok(Updated { message: Some(message), keys: vec![] });
            }
            Step::Licensed(mut licensed, exchange, message) => {
                let started = licensed.started_s.map_or(0, |seconds| seconds.saturating_mul(1000));
                licensed.usage.was_behind(self.clock.is_at_least(Timestamp(started)));
                session.hold(licensed)?;
                session.exchange = exchange;
                message
            }
            Step::Done => None,
            Step::Over => {
                let kept = session.kept;
                self.open.remove(&id);
                self.forget(kept);
                return Ok(Updated { message: None, keys: vec![] });
            }
        };
        let keys = session.statuses(self.system.reach(), self.clock.shows());
        self.keep(id, entropy);
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
        let Session { boxes, exchange, license, .. } =
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
        let kept = session.kept;
        let is_told = matches!(&session.exchange, Exchange::Widevine(widevine::Stage::Released(_)));
        if is_told && kept.is_some() {
            // What the server has not heard of stays.
            self.open.insert(id, session);
            return Ok(None);
        }
        let Session {
            boxes,
            exchange: Exchange::Widevine(widevine::Stage::Held(client)),
            license: Some(held),
            ..
        } = session
        else {
            self.forget(kept);
            return Ok(None);
        };
        self.note(kept, &held.usage);
        self.give_back(kept);
        let message = widevine::ask_release(&client, &held.usage, now);
        let exchange = Exchange::Widevine(widevine::Stage::Released(client));
        self.open.insert(id, Session { boxes, exchange, license: None, kept });
        Ok(Some(message))
    }

    /// Ends a session; its keys are wiped. What is kept of it stays.
    ///
    /// Errors: [`CdmError::NoSession`].
    pub fn close(&mut self, id: SessionId) -> Result<(), CdmError> {
        let session = self.open.remove(&id).ok_or(CdmError::NoSession)?;
        self.leave(session.kept);
        Ok(())
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
            let Some(Session { license: Some(held), kept, .. }) = self.open.get_mut(&session)
            else {
                continue;
            };
            held.usage.plays(now);
            if let (Some(store), Some((id, _))) = (&mut self.store, *kept) {
                store.note(id, &held.usage);
            }
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
        self.clock.tick(now)
    }
}

impl Session {
    /// Takes the keys of a license, all of which must have been asked for.
    fn hold(&mut self, licensed: Licensed) -> Result<(), CdmError> {
        let Licensed { keys, usage, .. } = licensed;
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
        let Self { boxes, exchange, license, .. } = self;
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
