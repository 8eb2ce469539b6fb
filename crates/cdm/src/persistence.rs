//! What a CDM keeps beyond its process: one sealed state with all records and the latest time.
//!
//! The room does no I/O: its shell hands in the state that it kept, and keeps what
//! [`crate::Sessions::unkept_state`] gives before it lets the CDM's answer out. There is one
//! state for all records, so that none of them can be put back alone; its seal is bound to its
//! version and to the device. What nobody without secure storage can tell is that the whole state
//! is one of earlier: then all that happened since is forgotten, times of use included, and what
//! still counts is the device's clock from the state's own time on.
//!
//! The state that is kept says a time a little ahead. So a process that is killed has told no
//! less time than passed, and the state is not written anew for every segment.

use crate::record::{Content, KeptId, Origin, Owner, Record, SessionType};
use crate::sessions::CdmError;
use crate::usage::Usage;
use keys::RecordKey;
use model::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most records that are kept at a time.
pub const MAX_RECORDS: usize = 256;
/// Longest state, bytes.
pub const MAX_STATE_BYTES: usize = 16 << 20;
/// How far ahead the kept time is, seconds: while something plays, the state is written so often.
const AHEAD_S: u64 = 10;
/// What a state begins with: a name and a version.
const MAGIC: &[u8; 8] = b"SRKEPT\0\x01";

/// Why a state is not taken. Nothing that it kept can be used then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The system attests no device, and so nothing can be bound to one.
    #[error("Clear Key attests no device: it keeps nothing")]
    NoDevice,
    /// Longer than [`MAX_STATE_BYTES`].
    #[error("what was kept is too long")]
    TooLarge,
    /// It begins like none of this version.
    #[error("what was kept is not in a form that this CDM knows")]
    Version,
    /// Another device sealed it.
    #[error("what was kept is another device's")]
    OtherDevice,
    /// A byte was changed, or some are missing.
    #[error("what was kept has been changed, or cut off")]
    Changed,
}

/// A record's name and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// Its session's name.
    pub id: KeptId,
    /// What it is of.
    pub kind: RecordKind,
}

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// A license.
    License,
    /// When something was played; its server has not acknowledged it.
    UsageRecord,
    /// A license that was given back; its server has not acknowledged it.
    Release,
}

/// The records of one device, for one origin.
#[derive(Debug)]
pub(crate) struct Store {
    key: RecordKey,
    origin: Origin,
    records: BTreeMap<KeptId, Record>,
    /// How often it was written: tells two states apart.
    generation: u64,
    /// The time that the kept state says.
    kept: Timestamp,
    has_changed: bool,
}

/// The state in the clear; keys are sealed in it once more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State<R> {
    generation: u64,
    latest: Timestamp,
    records: R,
}

impl Store {
    /// Opens what was kept; `None` where nothing was.
    pub(crate) fn open(
        key: RecordKey,
        origin: Origin,
        state: Option<&[u8]>,
    ) -> Result<Self, StateError> {
        let state = match state {
            Some(state) => unseal(&key, state)?,
            None => State { generation: 0, latest: Timestamp(0), records: BTreeMap::new() },
        };
        let State { generation, latest, records } = state;
        Ok(Self { key, origin, records, generation, kept: latest, has_changed: false })
    }

    /// The time that was kept.
    pub(crate) const fn kept_time(&self) -> Timestamp {
        self.kept
    }

    /// Whose seals those of a session are.
    pub(crate) const fn owner(&self, id: KeptId) -> Owner<'_> {
        Owner { key: &self.key, origin: &self.origin, id }
    }

    /// The origin of new records.
    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether there is room for one more.
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS
    }

    /// The records of this origin.
    pub(crate) fn list(&self) -> Vec<KeptRecord> {
        let own = self.records.iter().filter(|(_, record)| record.origin == self.origin);
        own.filter(|(_, record)| record.is_worth_keeping())
            .map(|(id, record)| KeptRecord { id: *id, kind: record.kind() })
            .collect()
    }

    /// A record of this origin.
    pub(crate) fn find(&self, id: KeptId) -> Result<&Record, CdmError> {
        let record = self.records.get(&id).ok_or(CdmError::NotKept)?;
        if record.origin == self.origin { Ok(record) } else { Err(CdmError::OtherOrigin) }
    }

    pub(crate) fn keep(&mut self, id: KeptId, record: Record) {
        self.has_changed |= record.is_worth_keeping();
        self.records.insert(id, record);
    }

    pub(crate) fn remove(&mut self, id: KeptId) {
        self.has_changed |= self.records.remove(&id).is_some();
    }

    /// Notes what was used of a license; what has happened for the first time is kept at once.
    pub(crate) fn note(&mut self, id: KeptId, usage: &Usage) {
        let Some(record) = self.records.get_mut(&id) else { return };
        self.has_changed |= usage.has_begun() && !record.usage.has_begun();
        record.usage = usage.clone();
    }

    /// A license is given back: what is left of it is what its server must hear.
    pub(crate) fn release(&mut self, id: KeptId) {
        let Some(record) = self.records.get_mut(&id) else { return };
        if matches!(record.content, Content::License(_)) {
            record.content = Content::Release;
            self.has_changed = true;
        }
    }

    /// A session is closed: a record of no use is none.
    pub(crate) fn close(&mut self, id: KeptId) {
        if self.records.get(&id).is_some_and(|record| !record.is_worth_keeping()) {
            self.records.remove(&id);
        }
    }

    /// The state, where the kept one is not good enough at this time: something has changed, or
    /// it is later than what was kept.
    pub(crate) fn unkept(&mut self, now: Timestamp, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        let is_late = now > self.kept && self.records.values().any(Record::is_worth_keeping);
        (self.has_changed || is_late).then(|| self.seal(now.plus_s(AHEAD_S), entropy))
    }

    /// The state at the end of a run, where the kept one is ahead of it.
    pub(crate) fn last(&mut self, now: Timestamp, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        (self.has_changed || now < self.kept).then(|| self.seal(now, entropy))
    }

    /// Shape: magic, the device's name (16 bytes), both of which the seal is bound to; the seal.
    fn seal(&mut self, latest: Timestamp, entropy: &mut dyn Entropy) -> Vec<u8> {
        self.generation = self.generation.saturating_add(1);
        self.kept = latest;
        self.has_changed = false;
        let records: BTreeMap<&KeptId, &Record> =
            self.records.iter().filter(|(_, record)| record.is_worth_keeping()).collect();
        let state = State { generation: self.generation, latest, records };
        let text = serde_json::to_vec(&state).expect("numbers, text and bytes are JSON");
        let head = head(&self.key);
        let sealed = self.key.seal(&text, &head, entropy);
        [&head[..], &sealed].concat()
    }
}

fn head(key: &RecordKey) -> [u8; 24] {
    let mut head = [0; 24];
    let parts = MAGIC.iter().copied().chain(key.device());
    head.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    head
}

fn unseal(key: &RecordKey, state: &[u8]) -> Result<State<BTreeMap<KeptId, Record>>, StateError> {
    if state.len() > MAX_STATE_BYTES {
        return Err(StateError::TooLarge);
    }
    let (found, sealed) = state.split_first_chunk::<24>().ok_or(StateError::Changed)?;
    let own = head(key);
    if !found.starts_with(MAGIC) {
        return Err(StateError::Version);
    }
    if *found != own {
        return Err(StateError::OtherDevice);
    }
    let text = key.unseal(sealed, &own).ok_or(StateError::Changed)?;
    let read: State<BTreeMap<KeptId, Record>> =
        serde_json::from_slice(&text).map_err(|_| StateError::Version)?;
    if read.records.len() > MAX_RECORDS {
        return Err(StateError::TooLarge);
    }
    Ok(read)
}

impl Record {
    pub(crate) const fn kind(&self) -> RecordKind {
        match self.content {
            Content::License(_) => RecordKind::License,
            Content::UsageRecord => RecordKind::UsageRecord,
            Content::Release => RecordKind::Release,
        }
    }

    /// A use that did not begin is nothing to tell.
    const fn is_worth_keeping(&self) -> bool {
        !matches!(self.content, Content::UsageRecord) || self.usage.has_begun()
    }

    pub(crate) const fn session_type(&self) -> SessionType {
        match self.content {
            Content::License(_) | Content::Release => SessionType::PersistentLicense,
            Content::UsageRecord => SessionType::PersistentUsageRecord,
        }
    }
}
