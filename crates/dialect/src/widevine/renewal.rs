//! RENEWAL and RELEASE of a license that was issued before. The server keeps no session: what
//! it needs comes back sealed, in the `provider_session_token` of the license's id.

use super::license::{Answer, Issue, Outgoing};
use super::messages::{ContentIdentification, LicenseIdentification};
use super::request::Unverified;
use super::{ChallengeError, Desk, LicenseType};
use keys::{MacKeys, SessionSeal};
use model::{Entropy, SecurityLevel};

/// What is asked of an existing license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalKind {
    /// More time.
    Renew,
    /// It is given back.
    Release,
}

/// A renewal or a release of a session of ours: its signature is checked, and its device is not
/// revoked. Answered once.
#[derive(Debug)]
pub struct Renewal {
    kind: RenewalKind,
    id: LicenseIdentification,
    macs: MacKeys,
    state: State,
    level: SecurityLevel,
    since_started_s: Option<u64>,
    since_last_played_s: Option<u64>,
    made_s: Option<u64>,
}

/// What a token holds beside the session's signing keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The license's version: a token is good for the license that carried it only.
    pub(super) version: i32,
    pub(super) first_started_s: u64,
    pub(super) holder: Holder,
    /// The caller's own note.
    pub(super) memo: Vec<u8>,
}

/// Whose the license is: enough to see whether the device was revoked meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) system_id: u32,
    pub(super) serial: Vec<u8>,
    pub(super) model_serial: Vec<u8>,
}

impl State {
    /// Shape: version (4 bytes), first start (8), system id (4), the device's and the model's
    /// serial number, each behind its length (4), memo.
    pub(super) fn seal(
        &self,
        id: &LicenseIdentification,
        macs: &MacKeys,
        seal: &SessionSeal,
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut bytes = self.version.to_be_bytes().to_vec();
        bytes.extend(self.first_started_s.to_be_bytes());
        bytes.extend(self.holder.system_id.to_be_bytes());
        for serial in [&self.holder.serial, &self.holder.model_serial] {
            // A certificate's parts are shorter than a message, which has 64 KiB.
            bytes.extend(u32::try_from(serial.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(serial);
        }
        bytes.extend(&self.memo);
        seal.seal(macs, &bytes, &binding(id), entropy)
    }

    fn open(id: &LicenseIdentification, seal: &SessionSeal) -> Option<(MacKeys, Self)> {
        let token = id.provider_session_token.as_deref()?;
        let (macs, bytes) = seal.open(token, &binding(id))?;
        let (version, rest) = bytes.split_first_chunk::<4>()?;
        let (first_started_s, rest) = rest.split_first_chunk::<8>()?;
        let (system_id, rest) = rest.split_first_chunk::<4>()?;
        let (serial, rest) = split_serial(rest)?;
        let (model_serial, memo) = split_serial(rest)?;
        let system_id = u32::from_be_bytes(*system_id);
        let state = Self {
            version: i32::from_be_bytes(*version),
            first_started_s: u64::from_be_bytes(*first_started_s),
            holder: Holder { system_id, serial, model_serial },
            memo: memo.to_vec(),
        };
        (id.version.unwrap_or(0) == state.version).then_some((macs, state))
    }
}

fn split_serial(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (serial, rest) =
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((serial.to_vec(), rest))
}

/// A token is bound to its license's id. Both parts are bounded, so their lengths separate them.
fn binding(id: &LicenseIdentification) -> Vec<u8> {
    let mut bytes = b"widevine session 1".to_vec();
    for part in [&id.request_id, &id.session_id] {
        let part = part.as_deref().unwrap_or_default();
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(part);
    }
    bytes.extend(id.license_type.unwrap_or(0).to_be_bytes());
    bytes
}

impl Renewal {
    pub(super) fn verify(
        unverified: Unverified,
        kind: RenewalKind,
        desk: &Desk<'_>,
    ) -> Result<Self, ChallengeError> {
        let content = unverified.request.content_id.ok_or(ChallengeError::RequestType)?;
        let ContentIdentification { widevine_pssh_data, webm_key_id, existing_license, init_data } =
            content;
        if widevine_pssh_data.is_some() || webm_key_id.is_some() || init_data.is_some() {
            return Err(ChallengeError::ContentTwice);
        }
        let existing = existing_license.ok_or(ChallengeError::RequestType)?;
        let id = existing.license_id.ok_or(ChallengeError::UnknownSession)?;
        let (macs, state) =
            State::open(&id, desk.sessions).ok_or(ChallengeError::UnknownSession)?;
        if !macs.client_signed(&unverified.bytes, &unverified.signature) {
            return Err(ChallengeError::SessionSignature);
        }
        let holder = &state.holder;
        let serials = [&holder.serial[..], &holder.model_serial];
        let (level, _) = desk.devices.admit(holder.system_id, serials)?;
        let seconds = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        Ok(Self {
            kind,
            id,
            macs,
            state,
            level,
            since_started_s: seconds(existing.seconds_since_started),
            since_last_played_s: seconds(existing.seconds_since_last_played),
            made_s: seconds(unverified.request.request_time),
        })
    }

    /// What is asked.
    #[must_use]
    pub const fn kind(&self) -> RenewalKind {
        self.kind
    }

    /// How the license is kept. A type that was never written counts as streaming.
    #[must_use]
    pub fn license_type(&self) -> LicenseType {
        LicenseType::read(self.id.license_type).unwrap_or(LicenseType::Streaming)
    }

    /// The level that the list gives to the license's device now.
    #[must_use]
    pub const fn level(&self) -> SecurityLevel {
        self.level
    }

    /// The note that [`Issue::memo`] left with the license.
    #[must_use]
    pub fn memo(&self) -> &[u8] {
        &self.state.memo
    }

    /// When the session's first license started, seconds since 1970.
    #[must_use]
    pub const fn first_started_s(&self) -> u64 {
        self.state.first_started_s
    }

    /// How long ago playback began, by the client's word.
    #[must_use]
    pub const fn since_started_s(&self) -> Option<u64> {
        self.since_started_s
    }

    /// How long ago something played last, by the client's word.
    #[must_use]
    pub const fn since_last_played_s(&self) -> Option<u64> {
        self.since_last_played_s
    }

    /// When the client made the message, by its own clock, seconds since 1970.
    #[must_use]
    pub const fn made_s(&self) -> Option<u64> {
        self.made_s
    }

    /// Writes the renewed license: the same id with the next version, new terms, no keys.
    #[must_use]
    pub fn answer(self, issue: &Issue<'_>, entropy: &mut dyn Entropy) -> Answer {
        let id = LicenseIdentification {
            version: Some(self.state.version.saturating_add(1)),
            provider_session_token: None,
            ..self.id
        };
        let State { first_started_s, holder, .. } = self.state;
        let outgoing = Outgoing { id, first_started_s, holder, issue };
        outgoing.write_renewed(self.macs, entropy)
    }
}
