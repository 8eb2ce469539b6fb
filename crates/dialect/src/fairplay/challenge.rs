//! A license request: the SPC out of its framing, opened by the module, what it asks for; and the
//! license that answers it.

use super::asset::Asset;
use super::framing::{Framing, Shape};
use super::module::{Asked, KeySecurityModule, OpenedRequest, PlayerState};
use super::policy::{HdcpRule, KeyRules, can_say, duration_of, hdcp_of, key_terms_of, terms_of};
use super::{ChallengeError, LicenseError};
use crate::terms::{KeyTerms, LicenseTerms, LicensedKey};
use model::{Entropy, KeyId, Scheme, Timestamp};

/// Everything a request is checked against. The caller holds it.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Opens requests, and writes their answers.
    pub module: &'a KeySecurityModule,
}

/// A license request that was read whole, and whose device's secrets opened. It is answered once:
/// [`Challenge::answer`] takes it.
///
/// ```compile_fail,E0382
/// # use dialect::fairplay::{Challenge, Issue};
/// # use dialect::terms::LicensedKey;
/// fn twice(challenge: Challenge, issue: &Issue<'_>, keys: [LicensedKey; 2]) {
///     let [first, second] = keys;
///     let first = challenge.answer(issue, first, &mut keys::SystemEntropy);
///     let second = challenge.answer(issue, second, &mut keys::SystemEntropy);
/// }
/// ```
/// ```
/// # use dialect::fairplay::{Answer, Challenge, Issue};
/// # use dialect::terms::LicensedKey;
/// fn once(challenge: Challenge, issue: &Issue<'_>, key: LicensedKey) -> Answer {
///     challenge.answer(issue, key, &mut keys::SystemEntropy)
/// }
/// ```
#[derive(Debug)]
pub struct Challenge {
    request: Box<dyn OpenedRequest>,
    framing: Framing,
    asset: Asset,
    playback: PlaybackState,
    wants_persist: bool,
}

/// What the client says of its playback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaybackState {
    /// What the player does.
    pub state: PlayerState,
    /// How long ago the playback began, by the client's word; zero where that lies ahead.
    pub age_s: u64,
    /// The client's name for the playback; a renewal has the first request's.
    pub session_id: [u8; 8],
}

impl PlaybackState {
    /// Whether a license is there already: the request asks for more time.
    #[must_use]
    pub const fn is_renewal(&self) -> bool {
        self.state.is_renewal()
    }
}

impl Challenge {
    /// Reads the body of a request with one SPC.
    ///
    /// Errors: [`ChallengeError`]. Limits: [`super::MAX_BYTES`].
    pub fn parse(body: &[u8], desk: &Desk<'_>, now: Timestamp) -> Result<Self, ChallengeError> {
        let read = Framing::read(body)?;
        match (read.shape, read.spcs.as_slice()) {
            (Shape::One(framing), [spc]) => Self::open(spc, framing, read.wants_persist, desk, now),
            _ => Err(ChallengeError::SpcTwice),
        }
    }

    /// Opens an SPC that came in a framing.
    pub(super) fn open(
        spc: &[u8],
        framing: Framing,
        wants_persist: bool,
        desk: &Desk<'_>,
        now: Timestamp,
    ) -> Result<Self, ChallengeError> {
        if spc.len() > super::MAX_CONTAINER_BYTES {
            return Err(ChallengeError::TooLarge);
        }
        let request = desk.module.as_module().open(spc)?;
        let asked = request.asked();
        let asset = Asset::read(&asked.asset_id)?;
        let playback = asked.playback.ok_or(ChallengeError::NoPlaybackState)?;
        if wants_persist && !asked.capabilities.offline {
            return Err(ChallengeError::CannotPersist);
        }
        let playback = PlaybackState {
            state: playback.state,
            age_s: now.as_s().saturating_sub(u64::from(playback.created_s)),
            session_id: playback.session_id,
        };
        Ok(Self { request, framing, asset, playback, wants_persist })
    }

    /// What the SPC says, all of it the client's word.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        self.request.asked()
    }

    /// The key that is asked for.
    #[must_use]
    pub const fn kid(&self) -> KeyId {
        self.asset.kid
    }

    /// The content that the asset id names, where it names one.
    #[must_use]
    pub fn content_id(&self) -> Option<&str> {
        self.asset.content.as_ref().map(model::ContentId::as_str)
    }

    /// Whether it plays already.
    #[must_use]
    pub const fn playback(&self) -> PlaybackState {
        self.playback
    }

    /// Whether the license is to be kept on the device.
    #[must_use]
    pub const fn wants_persist(&self) -> bool {
        self.wants_persist
    }

    /// How the request came, and its answer goes.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether this client can be told to keep these terms: what its license would say is no less,
    /// and it says that it can enforce it. No other key is written for it.
    #[must_use]
    pub fn can_keep(&self, terms: &KeyTerms) -> bool {
        let needs_type_1 = hdcp_of(terms) == HdcpRule::Type1;
        can_say(terms) && (!needs_type_1 || self.asked().capabilities.hdcp_type_1)
    }

    /// Writes the license.
    ///
    /// A key that was not asked for, whose terms this client cannot be told to keep, or under terms
    /// that do not let it play, is not written: such an answer is read back as
    /// [`LicenseError::NoKey`].
    #[must_use]
    pub fn answer(self, issue: &Issue<'_>, key: LicensedKey, entropy: &mut dyn Entropy) -> Answer {
        let shape = Shape::One(self.framing);
        let (ckc, written) = self.write(issue, &key, entropy);
        Answer::of(shape, vec![Some(ckc)], vec![Some(written)], issue)
    }

    pub(super) fn write(
        self,
        issue: &Issue<'_>,
        key: &LicensedKey,
        entropy: &mut dyn Entropy,
    ) -> (Vec<u8>, Written) {
        let is_fit = key.kid == self.asset.kid && issue.terms.can_play && self.can_keep(&key.terms);
        let rules = KeyRules { duration: duration_of(issue.terms), hdcp: hdcp_of(&key.terms) };
        let ckc = self.request.write(Some(key).filter(|_| is_fit), &rules, entropy);
        (ckc, Written { request: self.request, kid: self.asset.kid })
    }
}

/// What goes into a license beside its key.
#[derive(Clone, Copy, Debug)]
pub struct Issue<'a> {
    /// What the device may do.
    pub terms: &'a LicenseTerms,
    /// When the license starts.
    pub now: Timestamp,
}

/// What reads one license back.
#[derive(Debug)]
pub(super) struct Written {
    request: Box<dyn OpenedRequest>,
    kid: KeyId,
}

/// The written licenses of one request, with what reads them back. The secrets are wiped on drop.
#[derive(Debug)]
pub struct Answer {
    body: Vec<u8>,
    shape: Shape,
    licenses: Vec<Option<Written>>,
    started_s: u64,
}

impl Answer {
    pub(super) fn of(
        shape: Shape,
        ckcs: Vec<Option<Vec<u8>>>,
        licenses: Vec<Option<Written>>,
        issue: &Issue<'_>,
    ) -> Self {
        Self { body: shape.frame_answers(ckcs), shape, licenses, started_s: issue.now.as_s() }
    }

    /// The message for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.body
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        self.shape.media_type()
    }

    /// Reads the licenses back, as the client will: all of them say the same, each of one key.
    ///
    /// Errors: [`LicenseError`].
    pub fn read_back(&self) -> Result<OpenedLicense, LicenseError> {
        let ckcs = self.shape.read_answers(&self.body)?;
        if ckcs.len() != self.licenses.len() {
            return Err(LicenseError::Malformed);
        }
        let mut own: Option<OpenedLicense> = None;
        for pair in ckcs.iter().zip(&self.licenses) {
            let (ckc, written) = match pair {
                (Some(ckc), Some(written)) => (ckc, written),
                (None, None) => continue,
                _ => return Err(LicenseError::Malformed),
            };
            let read = written.request.read(ckc)?;
            let mut next = OpenedLicense::of(read, written.kid, self.started_s);
            match &mut own {
                None => own = Some(next),
                Some(own) if own.terms == next.terms => own.keys.append(&mut next.keys),
                Some(_) => return Err(LicenseError::TermsDiffer),
            }
        }
        own.ok_or(LicenseError::NoKey)
    }
}

/// A license whose key is open.
#[derive(Debug)]
pub struct OpenedLicense {
    /// What the device may do.
    pub terms: LicenseTerms,
    /// How the content is encrypted: this system knows one scheme.
    pub scheme: Option<Scheme>,
    /// When it starts, seconds since 1970. The license does not say it: it starts as it is written,
    /// or as it arrives.
    pub started_s: u64,
    /// Its one key; those of all licenses, where several were read back at once.
    pub keys: Vec<LicensedKey>,
}

impl OpenedLicense {
    pub(super) fn of(opened: super::OpenedCkc, kid: KeyId, started_s: u64) -> Self {
        let super::OpenedCkc { key, iv, rules } = opened;
        let terms = key_terms_of(rules.hdcp);
        Self {
            terms: terms_of(rules.duration),
            scheme: Some(Scheme::Cbcs),
            started_s,
            keys: vec![LicensedKey { kid, key, terms, iv: Some(iv) }],
        }
    }
}
