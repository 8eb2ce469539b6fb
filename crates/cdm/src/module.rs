//! The trusted side of the protocol: commands in, replies out, keys inside.

use crate::persistence::StateError;
use crate::protocol::{Command, KeyState, Protected, Reply};
use crate::record::Origin;
use crate::sessions::{CdmError, KeyStatus, Message, MessageKind, Opened, Restored, Sessions};
use crate::system::System;
use crate::track::{InitError, Track};
use model::{Entropy, KeyId, Timestamp};
use std::collections::BTreeMap;

/// Most tracks that are open at a time.
const MAX_TRACKS: usize = 256;

/// A CDM as its process runs it: all sessions and tracks of one app.
#[derive(Debug)]
pub struct Module {
    sessions: Sessions,
    tracks: BTreeMap<u32, Track>,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Cdm(#[from] CdmError),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error("this CDM has its certificate")]
    Registered,
    #[error("there is no such track")]
    NoTrack,
    #[error("too many tracks")]
    TooManyTracks,
}

impl Module {
    /// A CDM of one system.
    #[must_use]
    pub const fn new(system: System) -> Self {
        Self { sessions: Sessions::new(system), tracks: BTreeMap::new() }
    }

    /// A CDM of one system that keeps what outlives it, for an app of one origin; `state` is what
    /// was kept before.
    ///
    /// Errors: [`StateError`].
    pub fn with_state(
        system: System,
        origin: Origin,
        state: Option<&[u8]>,
    ) -> Result<Self, StateError> {
        let sessions = Sessions::with_state(system, origin, state)?;
        Ok(Self { sessions, tracks: BTreeMap::new() })
    }

    /// What the process must keep before it lets the latest reply out.
    pub fn unkept_state(&mut self, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        self.sessions.unkept_state(entropy)
    }

    /// What the process keeps at its end.
    pub fn last_state(&mut self, now: Timestamp, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        self.sessions.last_state(now, entropy)
    }

    /// Does a command; its reply, with the body.
    pub fn run(
        &mut self,
        command: Command,
        body: Vec<u8>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (Reply, Vec<u8>) {
        self.obey(command, body, now, entropy)
            .unwrap_or_else(|refusal| (Reply::Refused { error: refusal.to_string() }, vec![]))
    }

    fn obey(
        &mut self,
        command: Command,
        body: Vec<u8>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<(Reply, Vec<u8>), Refusal> {
        let sessions = &mut self.sessions;
        Ok(match command {
            Command::Provision => (Reply::Provisioning, vec![]),
            Command::Provisioned => return Err(Refusal::Registered),
            Command::Request { session_type } => {
                let opened = sessions.open(session_type, &body, now, entropy)?;
                let Opened { session, kept, message } = opened;
                (Reply::Message { session, kind: message.kind, kept }, message.body)
            }
            Command::List => (Reply::Kept { records: sessions.kept() }, vec![]),
            Command::Restore { kept } => {
                let Restored { session, keys, message } = sessions.restore(kept, now)?;
                let (kind, body) = parts(message);
                (Reply::Restored { session, keys: states(keys), message: kind }, body)
            }
            Command::Update { session } => {
                let updated = sessions.update(session, &body, now, entropy)?;
                keys(updated.keys, updated.message)
            }
            Command::Status { session } => keys(sessions.statuses(session, now)?, None),
            Command::Renew { session } => {
                let message = sessions.renew(session, now, entropy)?;
                keys(sessions.statuses(session, now)?, message)
            }
            Command::Release { session } => keys(vec![], sessions.release(session, now)?),
            Command::Close { session } => {
                sessions.close(session)?;
                (Reply::Done, vec![])
            }
            Command::Load { track } => self.load(track, &body)?,
            Command::Decrypt { track } => self.decrypt(track, body, now)?,
            Command::Finish { track } => {
                self.tracks.remove(&track).ok_or(Refusal::NoTrack)?;
                (Reply::Frames, vec![])
            }
        })
    }

    fn load(&mut self, number: u32, init: &[u8]) -> Result<(Reply, Vec<u8>), Refusal> {
        if self.tracks.len() == MAX_TRACKS && !self.tracks.contains_key(&number) {
            return Err(Refusal::TooManyTracks);
        }
        let track = Track::parse(init)?;
        let of = |protection: &crate::Protection| Protected {
            scheme: protection.scheme,
            kid: protection.tenc.kid,
        };
        let reply = Reply::Track { protection: track.protection.as_ref().map(of) };
        let clear = track.clear_init.clone();
        self.tracks.insert(number, track);
        Ok((reply, clear))
    }

    fn decrypt(
        &mut self,
        number: u32,
        mut segment: Vec<u8>,
        now: Timestamp,
    ) -> Result<(Reply, Vec<u8>), Refusal> {
        let track = self.tracks.get(&number).ok_or(Refusal::NoTrack)?;
        self.sessions.decrypt(track, &mut segment, now)?;
        Ok((Reply::Media, segment))
    }
}

fn keys(keys: Vec<(KeyId, KeyStatus)>, message: Option<Message>) -> (Reply, Vec<u8>) {
    let (kind, body) = parts(message);
    (Reply::Keys { keys: states(keys), message: kind }, body)
}

fn states(keys: Vec<(KeyId, KeyStatus)>) -> Vec<KeyState> {
    keys.into_iter().map(|(kid, status)| KeyState { kid, status }).collect()
}

fn parts(message: Option<Message>) -> (Option<MessageKind>, Vec<u8>) {
    message.map_or((None, vec![]), |message| (Some(message.kind), message.body))
}
