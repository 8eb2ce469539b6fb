//! The licenses of a playback: which keys are held, and when the license server is asked again.
//!
//! A title whose keys change names them a batch ahead of their time. Where the server says when it
//! wants to be asked for them (`Strongroom-Next-License`), it is asked then and not before, so that
//! no crowd of players comes at once (R124); where it says nothing, as soon as they are named; and
//! in any case before a segment needs them.

use super::cdm_client::{CdmProcess, Outgoing};
use super::uses::Uses;
use super::web::LicenseServer;
use super::{Dialect, Failure, Player};
use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cdm::protocol::KeyState;
use cdm::{KeptId, KeyStatus, MessageKind, SessionId, SessionType};
use media::pssh;
use model::{KeyId, Timestamp};
use serde::Deserialize;
use server::clock::Clock;
use std::collections::BTreeSet;
use store::remote::{UNAVAILABLE, ViewerError};

/// Messages that one session exchanges at its start: the certificate, the license, and no more.
const MAX_MESSAGES: usize = 4;
/// Requests of FairPlay that travel together.
const MAX_TOGETHER: usize = 64;
/// Sessions that are kept of systems whose licenses have many keys; older ones hold what has
/// played.
const MAX_HELD: usize = 8;
/// Sessions that are kept where a license has one key.
const MAX_SINGLE: usize = 384;
/// A server that gave no key is not asked for it again within this time, milliseconds.
const ASK_AGAIN_MS: u64 = 1000;

/// Whether the keys of a segment were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Yes.
    Held,
    /// A license had to be fetched first.
    Waited,
}

/// What is held of licenses, and what was asked.
pub struct Licenses<'a> {
    player: &'a Player<'a>,
    /// Who is asked; nobody, where what is kept must do.
    server: Option<&'a LicenseServer>,
    /// Where their uses are kept, where they are.
    uses: Option<&'a Uses>,
    /// Oldest first.
    held: Vec<Held>,
    /// Every key that a license brought, as it was seen last.
    keys: Vec<KeyState>,
    /// Every key that a request named which brought a license: given, or withheld.
    answered: BTreeSet<KeyId>,
    /// Initialization data, each that was met.
    met: BTreeSet<Vec<u8>>,
    /// The newest: what the next request is about.
    newest: Vec<Vec<u8>>,
    /// When the server wants to be asked again.
    next: Option<Timestamp>,
    /// The last request.
    asked: Timestamp,
    requests: usize,
    /// Why the last request brought nothing.
    no: Option<Failure>,
    /// Whether the title's keys change.
    rotates: bool,
}

struct Held {
    session: SessionId,
    /// What it is kept as, where something of it is.
    kept: Option<KeptId>,
    kids: Vec<KeyId>,
}

/// What a message brought.
pub struct Carried {
    /// The session's keys.
    pub keys: Vec<KeyState>,
    /// Its next message.
    pub next: Option<Outgoing>,
    /// In how many seconds the server wants to be asked again.
    next_license_s: Option<u32>,
}

#[derive(Deserialize)]
struct Together {
    ckc: Vec<Option<String>>,
}

impl<'a> Licenses<'a> {
    /// Nothing is held yet.
    pub fn new(
        player: &'a Player<'a>,
        server: Option<&'a LicenseServer>,
        uses: Option<&'a Uses>,
        rotates: bool,
    ) -> Self {
        Self {
            player,
            server,
            uses,
            held: vec![],
            keys: vec![],
            answered: BTreeSet::new(),
            met: BTreeSet::new(),
            newest: vec![],
            next: None,
            asked: Timestamp(0),
            requests: 0,
            no: None,
            rotates,
        }
    }

    /// Every key that a license brought.
    pub fn keys(&self) -> &[KeyState] {
        &self.keys
    }

    /// License requests that were made.
    pub const fn requests(&self) -> usize {
        self.requests
    }

    /// Gets the first licenses. One of several that the server refuses is a key that is
    /// withheld; of all of them, the first refusal is the answer.
    pub fn start(&mut self, cdm: &mut CdmProcess, data: Vec<Vec<u8>>) -> Result<(), Failure> {
        self.met.extend(data.iter().cloned());
        self.newest = data;
        self.ask(cdm)?;
        match self.no.take() {
            Some(no) if self.held.is_empty() || !is_no(&no) => Err(no),
            no => {
                self.no = no;
                Ok(())
            }
        }
    }

    /// Takes what media brings of initialization data, or the URIs of the keys that come next;
    /// asks for them where it is time.
    pub fn meet(&mut self, cdm: &mut CdmProcess, data: Vec<Vec<u8>>) -> Result<(), Failure> {
        let is_new = data.iter().any(|one| !self.met.contains(one));
        self.met.extend(data.iter().cloned());
        if is_new {
            self.newest = data;
        }
        let is_time = match self.next {
            Some(next) => Clock::System.now() >= next,
            None => is_new && !self.is_answered(),
        };
        if is_time { self.ask(cdm) } else { Ok(()) }
    }

    /// Whether all of this has been met before.
    pub fn has_met<'d>(&self, mut data: impl Iterator<Item = &'d Vec<u8>>) -> bool {
        data.all(|one| self.met.contains(one))
    }

    /// When the server wants to be asked again.
    pub const fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether every key that the newest initialization data names has been given or withheld: what
    /// is withheld is asked for again when a segment needs it, or when the server wants it.
    fn is_answered(&self) -> bool {
        let is_known = |kid| self.answered.contains(&kid) || self.is_held(kid);
        self.newest.iter().flat_map(|data| kids_of(data)).all(is_known)
    }

    fn is_held(&self, kid: KeyId) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }

    /// Whether a key could be used when it was last looked at.
    fn is_usable(&self, kid: KeyId) -> bool {
        self.keys.iter().any(|key| key.kid == kid && key.status == KeyStatus::Usable)
    }

    /// Sees to it that keys may be used; they are asked for where they may not.
    ///
    /// Errors: the server's no to the last request, or that there is no such key.
    pub fn ensure(&mut self, cdm: &mut CdmProcess, kids: &[KeyId]) -> Result<Ready, Failure> {
        if self.are_usable(cdm, kids)? {
            return Ok(Ready::Held);
        }
        if self.asked.0.saturating_add(ASK_AGAIN_MS) <= Clock::System.now().0 || self.no.is_none() {
            self.ask(cdm)?;
        }
        if self.are_usable(cdm, kids)? {
            return Ok(Ready::Waited);
        }
        Err(self.no.take().unwrap_or_else(|| {
            Failure::Refused(anyhow!("No license has the key of what comes now"))
        }))
    }

    fn are_usable(&mut self, cdm: &mut CdmProcess, kids: &[KeyId]) -> Result<bool, Failure> {
        for kid in kids {
            let mut is_usable = false;
            for held in self.held.iter().rev().filter(|held| held.kids.contains(kid)) {
                let states = cdm.statuses(held.session).map_err(Failure::Refused)?;
                for state in &states {
                    note(&mut self.keys, *state);
                }
                let may = |one: &KeyState| one.kid == *kid && one.status == KeyStatus::Usable;
                is_usable = states.iter().any(may);
                if is_usable {
                    break;
                }
            }
            if !is_usable {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks for what the newest initialization data names. A no is kept: it is the end only of
    /// what needs a key that is not held.
    fn ask(&mut self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        if self.server.is_none() {
            return Ok(());
        }
        let is_told = self.next.take().is_some();
        (self.asked, self.no) = (Clock::System.now(), None);
        let (data, is_later) = (std::mem::take(&mut self.newest), self.requests > 0);
        let asked = if self.player.chosen.dialect == Dialect::Fairplay && self.rotates {
            // Those that are of use are asked for anew where the server says when: before they end.
            let is_wanted = |uri: &&Vec<u8>| {
                is_told || !kids_of(uri).into_iter().all(|kid| self.is_usable(kid))
            };
            let uris: Vec<Vec<u8>> = data.iter().filter(is_wanted).cloned().collect();
            let mut together = uris.chunks(MAX_TOGETHER);
            together.try_for_each(|some| self.together(cdm, some, is_later))
        } else {
            data.iter().try_for_each(|one| self.one(cdm, one, self.rotates && is_later))
        };
        self.newest = data;
        match asked {
            Err(Failure::Refused(error)) => {
                tracing::warn!(%error, "no license");
                self.no.get_or_insert(Failure::Refused(error));
            }
            asked => asked?,
        }
        self.forget(cdm)
    }

    /// One session for what initialization data names. What a server refuses in its own words is
    /// kept, and others are asked for.
    fn one(&mut self, cdm: &mut CdmProcess, data: &[u8], is_later: bool) -> Result<(), Failure> {
        let (session, kept, message) = self.open(cdm, data)?;
        match self.converse(cdm, session, message, is_later) {
            Ok(keys) => {
                self.answered.extend(kids_of(data));
                self.hold(session, kept, keys);
                Ok(())
            }
            Err(failure) if is_no(&failure) => {
                self.no.get_or_insert(failure);
                cdm.close(session).map_err(Failure::Refused)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Opens a session; one whose use is kept is written down before it has a key.
    fn open(
        &self,
        cdm: &mut CdmProcess,
        data: &[u8],
    ) -> Result<(SessionId, Option<KeptId>, Outgoing), Failure> {
        let kind = match self.uses {
            Some(_) => SessionType::PersistentUsageRecord,
            None => SessionType::Temporary,
        };
        let opened = cdm.request(kind, data).map_err(Failure::Refused)?;
        if let (Some(uses), (_, Some(kept), _)) = (self.uses, &opened) {
            uses.write_down(*kept)?;
        }
        Ok(opened)
    }

    /// Carries a session's messages until it has its license; its keys.
    pub fn converse(
        &mut self,
        cdm: &mut CdmProcess,
        session: SessionId,
        mut message: Outgoing,
        is_later: bool,
    ) -> Result<Vec<KeyState>, Failure> {
        for _ in 0..MAX_MESSAGES {
            let (keys, next) = self.carry(cdm, session, &message, is_later)?;
            match next {
                // The license is held, whether its server hears of it or not.
                Some(told) if told.kind == MessageKind::LicenseAcknowledgement => {
                    if let Err(failure) = self.carry(cdm, session, &told, is_later) {
                        let error = failure.into_error();
                        tracing::warn!(%error, "the license was not acknowledged");
                    }
                    return Ok(keys);
                }
                Some(next) => message = next,
                None => return Ok(keys),
            }
        }
        Err(Failure::Refused(anyhow!("the CDM asks without an end").context(UNAVAILABLE)))
    }

    fn carry(
        &mut self,
        cdm: &mut CdmProcess,
        session: SessionId,
        message: &Outgoing,
        is_later: bool,
    ) -> Result<(Vec<KeyState>, Option<Outgoing>), Failure> {
        self.requests += usize::from(message.kind == MessageKind::LicenseRequest);
        let carried = self.player.carry(cdm, session, self.server()?, message, is_later)?;
        let Carried { keys, next_license_s, .. } = &carried;
        tracing::debug!(keys = keys.len(), next_license_s, "from the license server");
        self.time(carried.next_license_s);
        Ok((carried.keys, carried.next))
    }

    fn server(&self) -> Result<&'a LicenseServer, Failure> {
        self.server.ok_or_else(|| Failure::Refused(anyhow!("no license server is asked")))
    }

    /// A session for each URI, whose messages travel together.
    fn together(
        &mut self,
        cdm: &mut CdmProcess,
        uris: &[Vec<u8>],
        is_later: bool,
    ) -> Result<(), Failure> {
        let mut sessions = vec![];
        for uri in uris {
            let (session, kept, mut message) = self.open(cdm, uri)?;
            if message.kind == MessageKind::CertificateRequest {
                let (_, next) = self.carry(cdm, session, &message, is_later)?;
                message = next.context(UNAVAILABLE).map_err(Failure::Refused)?;
            }
            sessions.push((session, kept, message.body));
        }
        let spcs: Vec<String> = sessions.iter().map(|(.., body)| STANDARD.encode(body)).collect();
        let body = serde_json::json!({ "spc": spcs }).to_string();
        self.requests += 1;
        let answer = match self.player.web.licenses_together(self.server()?, &body, is_later) {
            Err(failure) if is_no(&failure) => {
                self.no.get_or_insert(failure);
                for (session, ..) in sessions {
                    cdm.close(session).map_err(Failure::Refused)?;
                }
                return Ok(());
            }
            answer => answer?,
        };
        self.time(answer.next_license_s);
        let read: Result<Together, _> = serde_json::from_slice(&answer.body);
        let ckcs = read.ok().filter(|read| read.ckc.len() == sessions.len());
        let ckcs = ckcs.context(UNAVAILABLE).map_err(Failure::Refused)?.ckc;
        self.answered.extend(uris.iter().flat_map(|uri| kids_of(uri)));
        for ((session, kept, _), ckc) in sessions.into_iter().zip(ckcs) {
            let Some(ckc) = ckc else {
                cdm.close(session).map_err(Failure::Refused)?;
                continue;
            };
            let ckc = STANDARD.decode(ckc).context(UNAVAILABLE).map_err(Failure::Refused)?;
            let updated = cdm.update(session, &ckc).context(UNAVAILABLE);
            let (keys, _) = updated.map_err(Failure::Refused)?;
            self.hold(session, kept, keys);
        }
        Ok(())
    }

    fn time(&mut self, next_license_s: Option<u32>) {
        let now = Clock::System.now();
        self.next = next_license_s.map(|seconds| now.plus_s(seconds.into())).or(self.next);
    }

    /// A session has its license.
    pub fn hold(&mut self, session: SessionId, kept: Option<KeptId>, keys: Vec<KeyState>) {
        self.held.push(Held { session, kept, kids: keys.iter().map(|key| key.kid).collect() });
        for state in keys {
            note(&mut self.keys, state);
        }
    }

    /// Ends the sessions whose every key a newer one has, so that one license of a key is renewed and
    /// not each that there was; and the oldest where there are more than are of use.
    fn forget(&mut self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        let is_single = self.player.chosen.dialect == Dialect::Fairplay;
        let most = if is_single { MAX_SINGLE } else { MAX_HELD };
        let (mut newer, mut kept, mut ended) = (BTreeSet::new(), vec![], vec![]);
        for held in std::mem::take(&mut self.held).into_iter().rev() {
            let is_own = |kid: &KeyId| !newer.contains(kid) || !self.is_usable(*kid);
            let is_of_use = held.kids.iter().any(is_own) && kept.len() < most;
            newer.extend(held.kids.iter().copied());
            if is_of_use { kept.push(held) } else { ended.push(held) }
        }
        kept.reverse();
        self.held = kept;
        ended.iter().rev().try_for_each(|held| self.end(cdm, held))
    }

    /// Ends a session; what is kept of its use is told first.
    fn end(&self, cdm: &mut CdmProcess, held: &Held) -> Result<(), Failure> {
        let is_told = match (self.uses, self.server, held.kept) {
            (Some(uses), Some(server), Some(kept)) => {
                uses.end(self.player, cdm, server, (held.session, kept))?
            }
            _ => false,
        };
        if is_told { Ok(()) } else { cdm.close(held.session).map_err(Failure::Refused) }
    }

    /// Tells the uses of all sessions, and ends these, where uses are kept.
    pub fn tell(&mut self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        if self.uses.is_none() {
            return Ok(());
        }
        let all = std::mem::take(&mut self.held);
        all.iter().try_for_each(|held| self.end(cdm, held))
    }

    /// What the keys may do now that are held.
    pub fn statuses(&self, cdm: &mut CdmProcess) -> Result<Vec<KeyState>, Failure> {
        let mut found = vec![];
        for held in &self.held {
            found.extend(cdm.statuses(held.session).map_err(Failure::Refused)?);
        }
        Ok(found)
    }

    /// Asks for more time when a license says so. A no is not the end: that is the license's.
    /// Where the server says when it wants to be asked, a new license takes the old one's place.
    pub fn renew(&mut self, cdm: &mut CdmProcess) -> Result<(), Failure> {
        if self.next.is_some() || self.server.is_none() {
            return Ok(());
        }
        let sessions: Vec<SessionId> = self.held.iter().map(|held| held.session).collect();
        for session in sessions {
            let due = cdm.renewal(session).map_err(Failure::Refused)?;
            let Some(message) = due else { continue };
            if let Err(failure) = self.carry(cdm, session, &message, true) {
                tracing::warn!(error = %failure.into_error(), "the license was not renewed");
            }
        }
        Ok(())
    }
}

impl Player<'_> {
    /// One message there, its answer back; an answer that the CDM refuses is no license.
    pub fn carry(
        &self,
        cdm: &mut CdmProcess,
        session: SessionId,
        server: &LicenseServer,
        message: &Outgoing,
        is_later: bool,
    ) -> Result<Carried, Failure> {
        tracing::debug!(kind = ?message.kind, bytes = message.body.len(), "to the license server");
        let answer = self.web.license(server, message, is_later)?;
        let updated = cdm.update(session, &answer.body).context(UNAVAILABLE);
        let (keys, next) = updated.map_err(Failure::Refused)?;
        Ok(Carried { keys, next, next_license_s: answer.next_license_s })
    }
}

/// A key as it was seen last.
fn note(keys: &mut Vec<KeyState>, state: KeyState) {
    match keys.iter_mut().find(|known| known.kid == state.kid) {
        Some(known) => *known = state,
        None => keys.push(state),
    }
}

/// The keys that boxes name, or a URI.
pub fn kids_of(data: &[u8]) -> Vec<KeyId> {
    if let Some((_, kid)) = std::str::from_utf8(data).ok().and_then(|uri| uri.split_once("?kid=")) {
        return KeyId::parse(kid).into_iter().collect();
    }
    let boxes = pssh::parse_all(data).unwrap_or_default();
    let kids = boxes.into_iter().flatten().flat_map(|one| one.all_kids());
    kids.collect()
}

/// Whether a server said no, in its own words.
pub fn is_no(failure: &Failure) -> bool {
    let Failure::Refused(error) = failure else { return false };
    matches!(error.downcast_ref(), Some(ViewerError::Refused { .. }))
}
