//! Sessions of which something is kept (EME of 2017, 6.3 and 6.6; of usage records its fork at the
//! WICG): they are named, kept, restored in a later run, and forgotten.

use super::{CdmError, Held, MAX_SESSIONS, Restored, Session, SessionId, Sessions};
use crate::clock::SecureClock;
use crate::exchange::Exchange;
use crate::persistence::{KeptRecord, StateError, Store};
use crate::record::{Content, KeptExchange, KeptId, Origin, Owner, Record, SessionType};
use crate::system::{Boxes, System};
use crate::usage::Usage;
use crate::{playready, widevine};
use dialect::widevine::client::ClientSession;
use model::{Entropy, KeyId, Timestamp};

impl Sessions {
    /// Sessions of one system that are kept for one origin; `state` is what was kept before.
    ///
    /// Errors: [`StateError`].
    pub fn with_state(
        system: System,
        origin: Origin,
        state: Option<&[u8]>,
    ) -> Result<Self, StateError> {
        let key = system.record_key().ok_or(StateError::NoDevice)?;
        let store = Store::open(key, origin, state)?;
        let clock = SecureClock::since(store.kept_time());
        Ok(Self { clock, store: Some(store), ..Self::new(system) })
    }

    /// The state that must be kept before anything of what was done since leaves the CDM; `None`
    /// where the one that is kept will do.
    pub fn unkept_state(&mut self, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        let now = self.clock.shows();
        self.store.as_mut()?.unkept(now, entropy)
    }

    /// The state at the end of a run: what is kept until then is a little ahead of time.
    pub fn last_state(&mut self, now: Timestamp, entropy: &mut dyn Entropy) -> Option<Vec<u8>> {
        let now = self.clock(now);
        self.store.as_mut()?.last(now, entropy)
    }

    /// What is kept for the origin.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptRecord> {
        self.store.as_ref().map(Store::list).unwrap_or_default()
    }

    /// Opens a session that was kept (EME, 6.6, `load`). A license that has ended is restored
    /// with keys that have expired; a use, and a license that was given back, with the message
    /// for its server, whose answer ends it for good.
    ///
    /// Errors: [`CdmError::NotKept`], [`CdmError::OtherOrigin`], [`CdmError::IsOpen`],
    /// [`CdmError::TooManySessions`].
    pub fn restore(&mut self, id: KeptId, now: Timestamp) -> Result<Restored, CdmError> {
        let now = self.clock(now);
        let store = self.store.as_ref().ok_or(CdmError::NotKept)?;
        let record = store.find(id)?;
        if self.open.values().any(|one| one.kept.is_some_and(|(name, _)| name == id)) {
            return Err(CdmError::IsOpen);
        }
        if self.open.len() >= MAX_SESSIONS {
            return Err(CdmError::TooManySessions);
        }
        let owner = store.owner(id);
        let mut session = restored(record, owner).ok_or(CdmError::NotKept)?;
        session.kept = Some((id, record.session_type()));
        let message = match &session.exchange {
            Exchange::Widevine(widevine::Stage::Released(client)) => {
                Some(widevine::ask_release(client, &record.usage, now))
            }
            _ => None,
        };
        let keys = session.statuses(self.system.reach(), now);
        let session = self.insert(session)?;
        Ok(Restored { session, keys, message })
    }

    /// The name of a session to come, where something of it will be kept.
    pub(super) fn name(
        &self,
        session_type: SessionType,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<(KeptId, SessionType)>, CdmError> {
        if session_type == SessionType::Temporary {
            return Ok(None);
        }
        let has = self.system.has(session_type);
        let store = self.store.as_ref().filter(|_| has).ok_or(CdmError::SessionType)?;
        if store.is_full() {
            return Err(CdmError::TooManyRecords);
        }
        Ok(Some((KeptId::generate(entropy), session_type)))
    }

    /// Keeps a session's license, or what it will tell of its use.
    pub(super) fn keep(&mut self, id: SessionId, entropy: &mut dyn Entropy) {
        let Self { open, store: Some(store), .. } = self else { return };
        let Some(Session { boxes, exchange, license: Some(held), kept: Some((name, kind)) }) =
            open.get(&id)
        else {
            return;
        };
        let owner = store.owner(*name);
        let exchange = match exchange {
            Exchange::Widevine(widevine::Stage::Held(client)) => {
                let (macs, id) = client.parts();
                KeptExchange::Widevine { macs: owner.seal_macs(macs, entropy), id }
            }
            Exchange::PlayReady(_) => KeptExchange::PlayReady,
            Exchange::FairPlay(_) => KeptExchange::FairPlay,
            Exchange::ClearKey | Exchange::Widevine(_) => return,
        };
        let content = match kind {
            SessionType::PersistentLicense => {
                Content::License(held.keys.iter().map(|key| owner.seal_key(key, entropy)).collect())
            }
            SessionType::PersistentUsageRecord => Content::UsageRecord,
            SessionType::Temporary => return,
        };
        let (origin, usage) = (store.origin().clone(), held.usage.clone());
        let kids = boxes.kids.clone();
        store.keep(*name, Record { origin, kids, content, usage, exchange });
    }

    /// Notes what was used of a license.
    pub(super) fn note(&mut self, kept: Option<(KeptId, SessionType)>, usage: &Usage) {
        if let (Some(store), Some((id, _))) = (&mut self.store, kept) {
            store.note(id, usage);
        }
    }

    /// A license goes back to its server.
    pub(super) fn give_back(&mut self, kept: Option<(KeptId, SessionType)>) {
        if let (Some(store), Some((id, _))) = (&mut self.store, kept) {
            store.release(id);
        }
    }

    /// Nothing of it is kept any more.
    pub(super) fn forget(&mut self, kept: Option<(KeptId, SessionType)>) {
        if let (Some(store), Some((id, _))) = (&mut self.store, kept) {
            store.remove(id);
        }
    }

    /// Its session is closed.
    pub(super) fn leave(&mut self, kept: Option<(KeptId, SessionType)>) {
        if let (Some(store), Some((id, _))) = (&mut self.store, kept) {
            store.close(id);
        }
    }
}

/// The session of a record; `None` where a seal in it does not open.
fn restored(record: &Record, owner: Owner<'_>) -> Option<Session> {
    let keys = match &record.content {
        Content::License(keys) => {
            let keys: Option<Vec<_>> = keys.iter().map(|key| owner.open_key(key)).collect();
            Some(keys?)
        }
        Content::UsageRecord | Content::Release => None,
    };
    let exchange = match &record.exchange {
        KeptExchange::Widevine { macs, id } => {
            let client = ClientSession::of_parts(owner.open_macs(macs)?, id)?;
            Exchange::Widevine(match keys {
                Some(_) => widevine::Stage::Held(client),
                None => widevine::Stage::Released(client),
            })
        }
        KeptExchange::PlayReady => {
            Exchange::PlayReady(playready::Stage::Held { acknowledges: false })
        }
        KeptExchange::FairPlay => Exchange::FairPlay(crate::fairplay::Stage::Kept),
    };
    let kids: Vec<KeyId> = record.kids.clone();
    let boxes = Boxes { bytes: vec![], headers: vec![], kids };
    let license = keys.map(|keys| Held { keys, usage: record.usage.clone() });
    Some(Session { boxes, exchange, license, kept: None })
}
