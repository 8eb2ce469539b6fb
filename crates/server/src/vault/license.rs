//! The license flow: one challenge under one grant becomes one license, or nothing.
//!
//! What a dialect says and how it is answered is [`super::dialects`]'s.

use super::Vault;
use super::audit_writer::AuditError;
use super::dialects::{
    Ask, Message, Running, WholeTerms, Wish, Writing, Written, carried_key_terms, plain_type,
};
use super::key_service::KeyServiceError;
use super::license_keys::{Parted, classes_of, must_be_covered, part};
use super::license_row::{Facts, LicenseRow};
use super::memo::Memo;
use crate::vault_link::{Issued, LicenseRefused, LicenseReply};
use dialect::terms::{KeyTerms, LicenseTerms, LicensedKey};
use keys::ContentKey;
use model::{KeyId, PeriodSpan, Scheme, Timestamp, WrappedKey};
use playback::OfflineDenied;
use playback::grant::{GRANT_S, GrantTerms, open};
use std::num::NonZeroU32;
use store::StoreError;
use store::ephemeral::{Asker, ChallengeHash, Claim, ClaimHold, KidsClaim, KidsHold};

/// How long a challenge of one license is remembered.
const CHALLENGE_S: u64 = 3600;
/// How long the viewer's own session may repeat a challenge byte by byte: as a license URL may.
const REPEAT_S: u64 = 30;

/// The claims of one license; dropped before it leaves, they are given back.
struct Claimed {
    challenge: Option<ClaimHold<ChallengeHash, Asker>>,
    kids: Option<KidsHold>,
}

/// What a license may say, and nothing else.
struct Granted<'a> {
    rows: &'a [WrappedKey],
    of: &'a GrantTerms,
    /// Whether the license brings its keys.
    has_keys: bool,
    whole: WholeTerms,
}

impl Vault {
    /// Answers a challenge. The steps are those of ARCHITECTURE.md.
    ///
    /// Errors: [`LicenseRefused`]; whatever fails after step 6 gives back what was claimed.
    pub async fn license(
        &self,
        sealed_grant: &[u8],
        challenge: &[u8],
        now: Timestamp,
    ) -> Result<LicenseReply, LicenseRefused> {
        // 1 Open the grant: key, expiry, hash of the challenge.
        let grant = open(&self.grant_key, sealed_grant, challenge, now)
            .map_err(|_| LicenseRefused::Grant)?;
        let terms = grant.terms();
        // 2 Burn its id.
        if !self.burned.burn(terms.grant, terms.issued.plus_s(GRANT_S), now) {
            return Err(LicenseRefused::Grant);
        }
        // 3 Read the challenge in its dialect, and believe it as far as it is attested.
        let ask = match self.read(challenge, terms, now)? {
            Message::Plain(message) => {
                let content_type = plain_type(terms.dialect);
                return Ok(LicenseReply { message, content_type, issued: None });
            }
            Message::Ask(ask) => ask,
        };
        // 4 One KID that is not the title's refuses the whole request.
        must_be_covered(&ask, terms)?;
        if ask.is_kept() && !terms.policy.offline.allowed {
            return Err(LicenseRefused::OfflineNotAllowed(OfflineDenied::Title));
        }
        let rows = self.rows_of(terms, &ask, now).await?;
        // 5 Of the rows asked for, keep those that the level may have, up to the horizon.
        let parted = part(rows, &ask, terms, now)?;
        let (span, rows) = (parted.span(), &parted.given);
        must_reach(&ask, &parted)?;
        let scheme = scheme_of(&ask, rows, &terms.policy)?;
        self.check_in_time(&ask, now)?;
        let license_terms = terms_of(&ask, &terms.policy, span)?;
        // The compiled terms always have an end.
        let expires = now.plus_s(license_terms.license_s.map_or(0, |span| span.get().into()));
        let mut facts = Facts::of(&ask);
        // A license to keep needs a place among those of the account.
        let keep = ask.is_kept().then(|| Self::keep_of(terms, &ask, expires, now));
        if let Some(keep) = &keep {
            facts.kept_others = Some(self.reserve_place(keep, rows).await?);
        }
        // 6 Claim the challenge, and each KID of the playback token.
        let claims = self.claim(terms, &ask, rows, now)?;
        // 7 Open the keys.
        let mut keys = Vec::with_capacity(rows.len());
        let has_keys = ask.wish == Wish::License;
        for row in rows.iter().filter(|_| has_keys) {
            let key = self.open_for_license(terms, row, now).await?;
            let terms = KeyTerms::of(&terms.policy, row.track_class);
            keys.push(LicensedKey { kid: row.kid, key, terms, iv: row.iv });
        }
        // 8 Answer.
        let level = ask.level;
        let memo = memo_of(terms, &ask, expires, scheme, rows)?;
        let writing = Writing { terms: &license_terms, scheme, memo: &memo, now };
        let said = ask.carried(&license_terms);
        let license = self.keys.entropy.with(|entropy| ask.answer(keys, &writing, entropy));
        // 9 Read the answer back and compare it with the grant, as far as its dialect carries it.
        let whole = WholeTerms { terms: said, scheme: Some(scheme), started_s: now.as_s() };
        let granted = Granted { rows, of: terms, has_keys, whole };
        self.check_answer(&license, &granted)?;
        // 10 The audit row is durable before anything leaves.
        let license_s = license_terms.license_s;
        let row = LicenseRow { terms, level, facts, parted: &parted, license_s };
        self.audit.append(vec![row.entry(now)]).await?;
        if let Some(keep) = &keep {
            self.take_place(keep).await?;
        }
        // 11 Reply.
        claims.answered();
        Ok(LicenseReply {
            message: license.as_bytes().to_vec(),
            content_type: license.media_type(),
            issued: Some(Issued {
                level,
                classes: rows.iter().flat_map(|row| classes_of(row).iter()).collect(),
                expires,
                // More time for keys that are there is no next license.
                event_period_s: span.filter(|_| has_keys).map(|span| span.length_s()),
            }),
        })
    }

    /// A license that ended is renewed for a while yet: a player that was held up goes on.
    fn check_in_time(&self, ask: &Ask, now: Timestamp) -> Result<(), LicenseRefused> {
        match &ask.existing {
            Some(existing) if now >= existing.ends.plus_s(self.renewal_grace_s.into()) => {
                Err(LicenseRefused::RenewedTooLate)
            }
            _ => Ok(()),
        }
    }

    /// Claims the challenge, where it was made for one license, and the KIDs to be answered: of
    /// two requests that want the same ones, one gets all of them.
    fn claim(
        &self,
        terms: &GrantTerms,
        ask: &Ask,
        rows: &[WrappedKey],
        now: Timestamp,
    ) -> Result<Claimed, LicenseRefused> {
        let (hash, expires) = (terms.challenge_sha256, terms.credential_expires);
        let mut claimed = Claimed { challenge: None, kids: None };
        if ask.is_unique {
            let asker = (terms.session, terms.token);
            claimed.challenge =
                Some(match self.seen.claim(hash, asker, now.plus_s(CHALLENGE_S), now) {
                    Claim::Fresh(hold) => hold,
                    Claim::Same(hold, first) if now < first.plus_s(REPEAT_S) => hold,
                    Claim::Same(..) | Claim::Replayed => return Err(LicenseRefused::TokenReplayed),
                    Claim::Full => return Err(LicenseRefused::Overloaded),
                });
        }
        let Some(token) = terms.token else { return Ok(claimed) };
        let kids = rows.iter().map(|row| row.kid);
        claimed.kids = Some(match self.answered.claim(token, kids, hash, expires, now) {
            KidsClaim::Own(hold) => hold,
            KidsClaim::Replayed => return Err(LicenseRefused::TokenReplayed),
            KidsClaim::Full => return Err(LicenseRefused::Overloaded),
        });
        Ok(claimed)
    }

    async fn open_for_license(
        &self,
        terms: &GrantTerms,
        row: &WrappedKey,
        now: Timestamp,
    ) -> Result<ContentKey, LicenseRefused> {
        self.keys.open_key(row, now).await.map_err(|error| {
            let refused = LicenseRefused::from(&error);
            if refused == LicenseRefused::Integrity {
                tracing::error!(
                    alert = "key_integrity", content_id = %terms.content_id, kid = %row.kid,
                    correlation_id = %terms.correlation, %error, "a stored key does not open"
                );
                count_alert("key_integrity");
            }
            refused
        })
    }

    /// The license carries exactly the keys that may leave, each under its own KID and with its
    /// own terms, and says of itself what was granted.
    fn check_answer(&self, license: &Written, granted: &Granted<'_>) -> Result<(), LicenseRefused> {
        if self.is_as_granted(license, granted) {
            return Ok(());
        }
        tracing::error!(alert = "license_integrity", "a license did not pass its own check");
        count_alert("license_integrity");
        Err(LicenseRefused::Integrity)
    }

    fn is_as_granted(&self, license: &Written, granted: &Granted<'_>) -> bool {
        let Some(carried) = license.read_back() else { return false };
        let rows = if granted.has_keys { granted.rows } else { &[] };
        let is_granted = |(kid, key, terms): &(KeyId, ContentKey, Option<KeyTerms>)| {
            let row = rows.iter().find(|row| row.kid == *kid);
            row.is_some_and(|row| {
                let expected = KeyTerms::of(&granted.of.policy, row.track_class);
                let expected = carried_key_terms(granted.of.dialect, &expected);
                self.keys.is_key_of(row, key) && terms.is_none_or(|terms| terms == expected)
            })
        };
        carried.keys.len() == rows.len()
            && carried.keys.iter().all(is_granted)
            && carried.whole.is_none_or(|whole| whole == granted.whole)
    }
}

impl Claimed {
    /// The answer leaves.
    fn answered(self) {
        if let Some(kids) = self.kids {
            kids.answered();
        }
        if let Some(challenge) = self.challenge {
            challenge.answered();
        }
    }
}

/// What the device may do from now on. The license of a live event whose keys change lives no
/// longer than it reaches ahead, so that who may not watch any more has lost the picture by then.
fn terms_of(
    ask: &Ask,
    policy: &model::TitlePolicy,
    span: Option<PeriodSpan>,
) -> Result<LicenseTerms, LicenseRefused> {
    let terms = terms_of_title(ask, policy)?;
    let has_horizon = span.is_some() && !policy.rotation.whole_event;
    Ok(if has_horizon { terms.up_to(policy.rotation.horizon_s) } else { terms })
}

fn terms_of_title(ask: &Ask, policy: &model::TitlePolicy) -> Result<LicenseTerms, LicenseRefused> {
    let Some(running) = ask.running else { return Ok(LicenseTerms::of(policy, ask.persist)) };
    let Running { age_s, playing_s, begins_anew } = running;
    let renewed = LicenseTerms::renewed(policy, ask.persist, age_s, playing_s);
    let mut terms = renewed.ok_or(LicenseRefused::NotRenewed)?;
    if begins_anew {
        terms.playback_s = terms.playback_s.map(|span| {
            let left = u64::from(span.get()).saturating_sub(playing_s.unwrap_or(0));
            u32::try_from(left).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
        });
    }
    Ok(terms)
}

/// Where there is no license without a key, one of which all keys are beyond the horizon is asked
/// for again when it is time.
fn must_reach(ask: &Ask, parted: &Parted) -> Result<(), LicenseRefused> {
    let is_too_early = parted.given.is_empty() && !parted.beyond.is_empty();
    if is_too_early && !ask.may_be_empty() {
        return Err(LicenseRefused::BeyondHorizon);
    }
    Ok(())
}

/// The scheme of the keys that are given. A client that cannot do what one of them needs, or for
/// which there is no license without any, is refused before anything is used up.
fn scheme_of(
    ask: &Ask,
    given: &[WrappedKey],
    policy: &model::TitlePolicy,
) -> Result<Scheme, LicenseRefused> {
    let scheme = given.iter().find_map(|row| row.scheme).or(ask.scheme).unwrap_or(Scheme::Cenc);
    if !ask.may_be_empty() && given.iter().any(|row| row.scheme.is_some_and(|own| own != scheme)) {
        return Err(LicenseRefused::Challenge("schemes_mixed"));
    }
    for row in given {
        ask.suits(row.scheme.unwrap_or(scheme), &KeyTerms::of(policy, row.track_class))?;
    }
    if given.is_empty() && !ask.may_be_empty() {
        return Err(LicenseRefused::Challenge("no_key_for_the_level"));
    }
    Ok(scheme)
}

/// The note for the license's renewals.
fn memo_of(
    terms: &GrantTerms,
    ask: &Ask,
    ends: Timestamp,
    scheme: Scheme,
    rows: &[WrappedKey],
) -> Result<Vec<u8>, LicenseRefused> {
    let memo = Memo {
        session: terms.session,
        account: terms.account,
        license: ask.existing.as_ref().map_or(terms.grant, |existing| existing.license),
        ends,
        content_id: terms.content_id.clone(),
        scheme,
        kids: rows.iter().map(|row| row.kid).collect(),
    };
    // A grant covers fewer keys than a note holds.
    memo.to_bytes().ok_or(LicenseRefused::Integrity)
}

pub(super) fn count_alert(alert: &'static str) {
    metrics::counter!("strongroom_alerts_total", "alert" => alert).increment(1);
}

impl From<&KeyServiceError> for LicenseRefused {
    fn from(error: &KeyServiceError) -> Self {
        match error {
            KeyServiceError::KmsUnavailable
            | KeyServiceError::KmsRefused
            | KeyServiceError::RootKeyExpired => Self::KmsUnavailable,
            KeyServiceError::Store(StoreError::Corrupt(_))
            | KeyServiceError::Integrity
            | KeyServiceError::KekMissing
            | KeyServiceError::CategoryUnknown(_)
            | KeyServiceError::VersionUnknown(..)
            | KeyServiceError::StillInUse(..)
            | KeyServiceError::KidUnknown(_)
            | KeyServiceError::TooManyPeriods(_)
            | KeyServiceError::KidTaken(_)
            | KeyServiceError::KeyReused(_) => Self::Integrity,
            KeyServiceError::Store(_) => Self::StoreUnavailable,
            KeyServiceError::Audit(error) => Self::from(*error),
        }
    }
}

impl From<StoreError> for LicenseRefused {
    fn from(error: StoreError) -> Self {
        Self::from(&KeyServiceError::Store(error))
    }
}

impl From<AuditError> for LicenseRefused {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Overloaded => Self::Overloaded,
            AuditError::Unavailable => Self::StoreUnavailable,
        }
    }
}
