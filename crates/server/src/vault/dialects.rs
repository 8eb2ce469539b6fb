//! The one table of dialects: what each says in a license request, in terms that none of them
//! owns, and back.
//!
//! The flow in [`super::license`] knows no dialect. A new one is a new arm here.

use super::Vault;
use super::credentials::{Absence, Widevine};
use super::memo::Memo;
use crate::vault_link::LicenseRefused;
use dialect::clearkey::{self, Offline};
use dialect::terms::{KeyTerms, LicenseTerms, LicensedKey};
use dialect::widevine::{self, Issue, LicenseType, RenewalKind};
use keys::ContentKey;
use model::{Dialect, Entropy, KeyId, Scheme, SecurityLevel, Timestamp, TitlePolicy, TrackClasses};
use playback::grant::GrantTerms;
use std::sync::Arc;

/// A message to the vault, read whole and, where its dialect attests devices, believed.
pub(super) enum Message {
    /// A client asks for the service's certificate. This is the answer.
    Certificate(Vec<u8>),
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
    /// Whether the message was made for one license, so that it serves one credential.
    pub(super) is_unique: bool,
    body: Body,
}

/// How long a license has served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// Since the first license started, seconds.
    pub(super) age_s: u64,
    /// Since playback began, by the client's word, seconds; a client that played nothing says 0.
    pub(super) playing_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    License,
    MoreTime,
    Release,
}

/// Which keys.
pub(super) enum Wanted {
    Kids(Vec<KeyId>),
    /// Every key of the title that calls itself so.
    Title(Vec<u8>),
}

enum Body {
    ClearKey(clearkey::Challenge),
    Widevine(Box<widevine::Challenge>, Arc<Widevine>),
    WidevineExisting(Box<widevine::Renewal>, Arc<Widevine>),
}

/// What a license is written with beside its keys.
pub(super) struct Writing<'a> {
    pub(super) terms: &'a LicenseTerms,
    pub(super) scheme: Scheme,
    /// [`Memo`], as bytes.
    pub(super) memo: &'a [u8],
    pub(super) now: Timestamp,
}

/// A written license that can be read back.
pub(super) enum Written {
    ClearKey(clearkey::License),
    Widevine(widevine::Answer),
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
            Dialect::ClearKey | Dialect::PlayReady | Dialect::FairPlay => Ok(None),
        }
    }

    /// Whether license requests of the dialect are answered here.
    #[must_use]
    pub fn answers(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::ClearKey => true,
            // What cannot be opened just now is answered, with when to come back.
            Dialect::Widevine => {
                self.own_widevine().err() != Some(LicenseRefused::DialectNotAnswered)
            }
            Dialect::PlayReady | Dialect::FairPlay => false,
        }
    }

    fn own_widevine(&self) -> Result<Arc<Widevine>, LicenseRefused> {
        self.widevine.current().ok_or_else(|| match self.widevine.absence() {
            Absence::NotImported => LicenseRefused::DialectNotAnswered,
            Absence::Away => LicenseRefused::KmsUnavailable,
            Absence::Unusable => LicenseRefused::Integrity,
        })
    }

    /// Reads a message in the dialect of its grant.
    pub(super) fn read(
        &self,
        challenge: &[u8],
        terms: &GrantTerms,
        now: Timestamp,
    ) -> Result<Message, LicenseRefused> {
        match terms.dialect {
            Dialect::ClearKey => Ok(Message::Ask(clearkey(challenge, &terms.policy)?)),
            Dialect::Widevine => widevine(challenge, terms, self.own_widevine()?, now),
            Dialect::PlayReady | Dialect::FairPlay => Err(LicenseRefused::DialectNotAnswered),
        }
    }
}

/// Nothing is attested: L3, and the classes that the policy gives to such clients.
fn clearkey(challenge: &[u8], policy: &TitlePolicy) -> Result<Ask, LicenseRefused> {
    let parsed = clearkey::Challenge::parse(challenge, Offline::Refused)?;
    Ok(Ask {
        wish: Wish::License,
        wanted: Wanted::Kids(parsed.kids().to_vec()),
        level: SecurityLevel::L3,
        allowed: policy.clearkey_track_classes(),
        scheme: None,
        persist: false,
        running: None,
        is_unique: false,
        body: Body::ClearKey(parsed),
    })
}

fn widevine(
    challenge: &[u8],
    terms: &GrantTerms,
    own: Arc<Widevine>,
    now: Timestamp,
) -> Result<Message, LicenseRefused> {
    match widevine::Request::parse(challenge, &own.desk(), now)? {
        widevine::Request::ServiceCertificate => {
            Ok(Message::Certificate(own.credentials.service_certificate()))
        }
        widevine::Request::New(new) => {
            let level = new.device().level;
            Ok(Message::Ask(Ask {
                wish: Wish::License,
                wanted: match new.kids() {
                    [] => Wanted::Title(new.content_id().unwrap_or_default().to_vec()),
                    kids => Wanted::Kids(kids.to_vec()),
                },
                level,
                allowed: terms.policy.track_classes(level),
                scheme: new.scheme(),
                persist: new.license_type() == LicenseType::Offline,
                running: None,
                is_unique: true,
                body: Body::Widevine(new, own),
            }))
        }
        widevine::Request::Existing(existing) => {
            let memo = Memo::read(existing.memo()).filter(|memo| memo.is_of(terms));
            let memo = memo.ok_or(LicenseRefused::OtherSession)?;
            let level = existing.level();
            Ok(Message::Ask(Ask {
                wish: match existing.kind() {
                    RenewalKind::Renew => Wish::MoreTime,
                    RenewalKind::Release => Wish::Release,
                },
                wanted: Wanted::Kids(memo.kids),
                level,
                allowed: terms.policy.track_classes(level),
                scheme: Some(memo.scheme),
                persist: existing.license_type() == LicenseType::Offline,
                running: Some(Running {
                    age_s: now.as_s().saturating_sub(existing.first_started_s()),
                    playing_s: existing.since_started_s().filter(|s| *s > 0),
                }),
                is_unique: true,
                body: Body::WidevineExisting(existing, own),
            }))
        }
    }
}

impl Ask {
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
                let issue = Issue { terms, scheme, memo, sessions: &own.sessions, now };
                Written::Widevine(challenge.answer(&issue, keys, entropy))
            }
            Body::WidevineExisting(renewal, own) => {
                let issue = Issue { terms, scheme, memo, sessions: &own.sessions, now };
                Written::Widevine(renewal.answer(&issue, entropy))
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
        }
    }

    /// Reads the license back, as its client will. `None`: it does not read.
    pub(super) fn read_back(&self) -> Option<ReadBack> {
        match self {
            Self::ClearKey(license) => {
                let keys = clearkey::read_license(license.as_bytes()).ok()?;
                let keys = keys.into_iter().map(|(kid, key)| (kid, key, None)).collect();
                Some(ReadBack { keys, whole: None })
            }
            Self::Widevine(answer) => {
                let opened = answer.read_back().ok()?;
                let carried = |key: LicensedKey| (key.kid, key.key, Some(key.terms));
                Some(ReadBack {
                    keys: opened.keys.into_iter().map(carried).collect(),
                    whole: Some(WholeTerms {
                        terms: opened.terms,
                        scheme: opened.scheme,
                        started_s: opened.started_s,
                    }),
                })
            }
        }
    }
}

/// The media type of every answer of a dialect.
pub(super) const fn media_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::ClearKey => clearkey::LICENSE_TYPE,
        Dialect::Widevine | Dialect::PlayReady | Dialect::FairPlay => widevine::LICENSE_TYPE,
    }
}

impl From<widevine::ChallengeError> for LicenseRefused {
    fn from(error: widevine::ChallengeError) -> Self {
        Self::Challenge(error.name())
    }
}

impl From<clearkey::ChallengeError> for LicenseRefused {
    fn from(error: clearkey::ChallengeError) -> Self {
        use clearkey::ChallengeError as E;
        match error {
            E::Malformed | E::TooLarge | E::SessionType => Self::Malformed,
            E::OfflineNotAllowed => Self::OfflineNotAllowed,
        }
    }
}
