//! The one table of dialects: what each says in a license request, in terms that none of them
//! owns, and back.
//!
//! The flow in [`super::license`] knows no dialect. A new one is a new arm in each match here, and a
//! file beside this one.

mod clearkey;
mod fairplay;
mod playready;
mod widevine;

use super::Vault;
use super::credentials::{Absence, PlayReady, Widevine};
use super::memo::Memo;
use crate::vault_link::LicenseRefused;
use dialect::terms::{KeyTerms, LicenseTerms, LicensedKey};
use dialect::{clearkey as ck, fairplay as fp, playready as pr, widevine as wv};
use keys::ContentKey;
use model::{Dialect, Entropy, GrantId, KeyId, Scheme, SecurityLevel, Timestamp, TrackClasses};
use playback::grant::GrantTerms;
use std::sync::Arc;

/// A message to the vault, read whole and, where its dialect attests devices, believed.
pub(super) enum Message {
    /// A client asks for no license, but for the service's certificate, say. This is the answer.
    Plain(Vec<u8>),
    /// A client asks for a license, or about one.
    Ask(Ask),
}

/// What a client asks for.
pub(super) struct Ask {
    pub(super) wish: Wish,
    pub(super) wanted: Wanted,
    /// The attested level; L3 where nothing was attested.
    pub(super) level: SecurityLevel,
    /// The classes that this client may get.
    pub(super) allowed: TrackClasses,
    /// What the client says the content is encrypted by.
    pub(super) scheme: Option<Scheme>,
    /// Whether the license is to be kept on the device.
    pub(super) persist: bool,
    /// Of a license that is there already, how long it is.
    pub(super) running: Option<Running>,
    /// Of a license that is to be renewed, which it is.
    pub(super) existing: Option<Existing>,
    /// Whether the message was made for one license, so that it serves one credential.
    pub(super) is_unique: bool,
    /// What the client proved of itself, for who reads the audit.
    pub(super) proof: String,
    body: Body,
}

/// How long a license has served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// Since the first license started, seconds.
    pub(super) age_s: u64,
    /// Since playback began, by the client's word, seconds; a client that played nothing says 0.
    pub(super) playing_s: Option<u64>,
    /// Whether the spans of the license that answers are counted from the answer.
    pub(super) begins_anew: bool,
}

/// A license that its client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Existing {
    /// The grant it was made under.
    pub(super) license: GrantId,
    /// When it ends.
    pub(super) ends: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    License,
    MoreTime,
}

/// A license that its client gives back.
pub(super) struct Returned {
    /// What the license remembers.
    pub(super) memo: Memo,
    /// The level that its device has now.
    pub(super) level: SecurityLevel,
    /// When it was used, by the client's word; absent where the client says nothing.
    pub(super) used: Option<Used>,
    body: (Box<wv::Renewal>, Arc<Widevine>),
}

/// When a license was used first and last; absent: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

/// Which keys.
pub(super) enum Wanted {
    Kids(Vec<KeyId>),
    /// Every key of the title that calls itself so.
    Title(Vec<u8>),
}

enum Body {
    ClearKey(ck::Challenge),
    Widevine(Box<wv::Challenge>, Arc<Widevine>),
    WidevineExisting(Box<wv::Renewal>, Arc<Widevine>),
    PlayReady(Box<pr::Challenge>, Arc<PlayReady>),
    FairPlay(Box<fp::Batch>),
}

/// What a license is written with beside its keys.
pub(super) struct Writing<'a> {
    pub(super) terms: &'a LicenseTerms,
    pub(super) scheme: Scheme,
    /// [`super::memo::Memo`], as bytes.
    pub(super) memo: &'a [u8],
    pub(super) now: Timestamp,
}

/// A written license that can be read back.
pub(super) enum Written {
    ClearKey(ck::License),
    Widevine(wv::Answer),
    PlayReady(pr::Answer),
    FairPlay(fp::Answer),
    /// A license without its key, where there is no such thing.
    Nothing,
}

/// What a license says when it is read back. Terms are absent where the dialect carries none.
pub(super) struct ReadBack {
    pub(super) keys: Vec<(KeyId, ContentKey, Option<KeyTerms>)>,
    pub(super) whole: Option<WholeTerms>,
}

/// What a license says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WholeTerms {
    pub(super) terms: LicenseTerms,
    pub(super) scheme: Option<Scheme>,
    pub(super) started_s: u64,
}

impl Vault {
    /// The service certificate, for players that load it beforehand; `None` where the dialect has
    /// none.
    ///
    /// Errors: [`LicenseRefused::DialectNotAnswered`]; others while what was imported cannot be
    /// opened.
    pub fn service_certificate(&self, dialect: Dialect) -> Result<Option<Vec<u8>>, LicenseRefused> {
        match dialect {
            Dialect::Widevine => Ok(Some(self.own_widevine()?.credentials.service_certificate())),
            Dialect::FairPlay => Ok(self.own_fairplay()?.module.certificate().map(<[u8]>::to_vec)),
            Dialect::ClearKey | Dialect::PlayReady => Ok(None),
        }
    }

    /// Whether license requests of the dialect are answered here.
    #[must_use]
    pub fn answers(&self, dialect: Dialect) -> bool {
        let absence = match dialect {
            Dialect::ClearKey => None,
            Dialect::Widevine => self.own_widevine().err(),
            Dialect::PlayReady => self.own_playready().err(),
            Dialect::FairPlay => self.own_fairplay().err(),
        };
        // What cannot be opened just now is answered, with when to come back.
        absence != Some(Absence::NotImported)
    }

    /// Reads a message in the dialect of its grant.
    pub(super) fn read(
        &self,
        challenge: &[u8],
        terms: &GrantTerms,
        now: Timestamp,
    ) -> Result<Message, LicenseRefused> {
        match terms.dialect {
            Dialect::ClearKey => Ok(Message::Ask(clearkey::ask(challenge, &terms.policy)?)),
            Dialect::Widevine => widevine::read(challenge, terms, self.own_widevine()?, now),
            Dialect::PlayReady => playready::read(challenge, terms, self.own_playready()?, now),
            Dialect::FairPlay => fairplay::read(challenge, terms, &self.own_fairplay()?, now),
        }
    }
}

impl Vault {
    /// Whether these bytes say of themselves that they give a license back; nothing is checked.
    #[must_use]
    pub fn is_release(&self, dialect: Dialect, challenge: &[u8]) -> bool {
        match dialect {
            Dialect::Widevine => wv::is_release(challenge),
            Dialect::ClearKey | Dialect::PlayReady | Dialect::FairPlay => false,
        }
    }

    /// Reads a license that is given back.
    pub(super) fn read_release(
        &self,
        dialect: Dialect,
        challenge: &[u8],
        now: Timestamp,
    ) -> Result<Returned, LicenseRefused> {
        match dialect {
            Dialect::Widevine => widevine::read_release(challenge, self.own_widevine()?, now),
            Dialect::ClearKey | Dialect::PlayReady | Dialect::FairPlay => {
                Err(LicenseRefused::Malformed)
            }
        }
    }
}

impl Returned {
    /// Writes the acknowledgement: the license, which allows nothing any more.
    pub(super) fn answer(self, now: Timestamp, entropy: &mut dyn Entropy) -> Written {
        let (renewal, own) = self.body;
        let memo = renewal.memo().to_vec();
        let terms = LicenseTerms::default();
        let (scheme, sessions) = (self.memo.scheme, &own.sessions);
        let issue = wv::Issue { terms: &terms, scheme, memo: &memo, sessions, now };
        Written::Widevine(renewal.answer(&issue, entropy))
    }
}

impl Ask {
    /// Whether it is for a license that a device keeps.
    pub(super) const fn is_kept(&self) -> bool {
        self.persist
    }

    /// Whether this client may be given a key of this scheme under these terms.
    ///
    /// Errors: [`LicenseRefused::Challenge`], by the name of what it cannot do.
    pub(super) fn suits(&self, scheme: Scheme, terms: &KeyTerms) -> Result<(), LicenseRefused> {
        match &self.body {
            Body::ClearKey(_) | Body::Widevine(..) | Body::WidevineExisting(..) => Ok(()),
            Body::PlayReady(challenge, _) => playready::suits(challenge, scheme),
            Body::FairPlay(batch) => fairplay::suits(batch, scheme, terms),
        }
    }

    /// Whether there is a license that carries no key.
    pub(super) const fn may_be_empty(&self) -> bool {
        match &self.body {
            Body::ClearKey(_) | Body::Widevine(..) | Body::WidevineExisting(..) => true,
            Body::PlayReady(..) | Body::FairPlay(_) => false,
        }
    }

    /// What its license says of a license's terms, in neutral words: the same, or stricter.
    pub(super) fn carried(&self, terms: &LicenseTerms) -> LicenseTerms {
        match &self.body {
            Body::PlayReady(..) => pr::carried_terms(terms),
            Body::FairPlay(_) => fp::carried_terms(terms),
            Body::ClearKey(_) | Body::Widevine(..) | Body::WidevineExisting(..) => terms.clone(),
        }
    }

    /// Writes the license.
    pub(super) fn answer(
        self,
        keys: Vec<LicensedKey>,
        writing: &Writing<'_>,
        entropy: &mut dyn Entropy,
    ) -> Written {
        let Writing { terms, scheme, memo, now } = *writing;
        match self.body {
            Body::ClearKey(challenge) => {
                let keys = keys.into_iter().map(|key| (key.kid, key.key)).collect();
                Written::ClearKey(challenge.answer(keys))
            }
            Body::Widevine(challenge, own) => {
                let issue = wv::Issue { terms, scheme, memo, sessions: &own.sessions, now };
                Written::Widevine(challenge.answer(&issue, keys, entropy))
            }
            Body::WidevineExisting(renewal, own) => {
                let issue = wv::Issue { terms, scheme, memo, sessions: &own.sessions, now };
                Written::Widevine(renewal.answer(&issue, entropy))
            }
            Body::PlayReady(challenge, own) => {
                let issue = pr::Issue { terms, scheme, credentials: &own.credentials, now };
                Written::PlayReady(challenge.answer(&issue, keys, entropy))
            }
            Body::FairPlay(_) if keys.is_empty() => Written::Nothing,
            Body::FairPlay(batch) => {
                let issue = fp::Issue { terms, now };
                Written::FairPlay(batch.answer(&issue, &keys, entropy))
            }
        }
    }
}

impl Written {
    /// The message for the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::ClearKey(license) => license.as_bytes(),
            Self::Widevine(answer) => answer.as_bytes(),
            Self::PlayReady(answer) => answer.as_bytes(),
            Self::FairPlay(answer) => answer.as_bytes(),
            Self::Nothing => &[],
        }
    }

    /// Its media type.
    pub(super) const fn media_type(&self) -> &'static str {
        match self {
            Self::ClearKey(_) => ck::LICENSE_TYPE,
            Self::Widevine(_) => wv::LICENSE_TYPE,
            Self::PlayReady(_) => pr::LICENSE_TYPE,
            Self::FairPlay(answer) => answer.media_type(),
            Self::Nothing => "application/octet-stream",
        }
    }

    /// Reads the license back, as its client will. `None`: it does not read.
    pub(super) fn read_back(&self) -> Option<ReadBack> {
        let (keys, terms, scheme, started_s) = match self {
            Self::ClearKey(license) => return clearkey::read_back(license),
            Self::Widevine(answer) => {
                let opened = answer.read_back().ok()?;
                (opened.keys, opened.terms, opened.scheme, opened.started_s)
            }
            Self::PlayReady(answer) => {
                let opened = answer.read_back().ok()?;
                (opened.keys, opened.terms, opened.scheme, opened.started_s)
            }
            Self::FairPlay(answer) => {
                let opened = answer.read_back().ok()?;
                (opened.keys, opened.terms, opened.scheme, opened.started_s)
            }
            Self::Nothing => return None,
        };
        let carried = |key: LicensedKey| (key.kid, key.key, Some(key.terms));
        Some(ReadBack {
            keys: keys.into_iter().map(carried).collect(),
            whole: Some(WholeTerms { terms, scheme, started_s }),
        })
    }
}

/// What a license of a dialect says of a key's terms, in neutral words: the same, or stricter.
pub(super) fn carried_key_terms(dialect: Dialect, terms: &KeyTerms) -> KeyTerms {
    match dialect {
        Dialect::PlayReady => pr::carried_key_terms(terms),
        Dialect::FairPlay => fp::carried_key_terms(terms),
        Dialect::ClearKey | Dialect::Widevine => *terms,
    }
}

/// Whether a license of the dialect has an end.
pub(super) const fn carries_end(dialect: Dialect) -> bool {
    match dialect {
        Dialect::ClearKey => false,
        Dialect::Widevine | Dialect::PlayReady | Dialect::FairPlay => true,
    }
}

/// The media type of an answer that is no license.
pub(super) const fn plain_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::PlayReady => pr::LICENSE_TYPE,
        Dialect::ClearKey | Dialect::Widevine | Dialect::FairPlay => wv::LICENSE_TYPE,
    }
}

impl From<Absence> for LicenseRefused {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::NotImported => Self::DialectNotAnswered,
            Absence::Away => Self::KmsUnavailable,
            Absence::Unusable => Self::Integrity,
        }
    }
}
