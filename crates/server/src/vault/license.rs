//! The license flow: one challenge under one grant becomes one license, or nothing.

use super::Vault;
use super::audit_writer::AuditError;
use super::key_service::KeyServiceError;
use crate::vault_link::{LicenseRefused, LicenseReply};
use dialect::clearkey::{self, Challenge, ChallengeError, Offline};
use keys::ContentKey;
use model::{
    Dialect, KeyId, KeyState, SecurityLevel, Timestamp, TrackClass, TrackClasses, WrappedKey,
};
use playback::grant::{GRANT_S, GrantTerms, open};
use store::ephemeral::{Claim, ClaimHold};
use store::{AuditEntry, StoreError};

impl Vault {
    /// Answers a challenge. The steps are those of ARCHITECTURE.md.
    ///
    /// Errors: [`LicenseRefused`]; whatever fails after step 6 gives the claimed KIDs back.
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
        // 3 Parse the challenge in its dialect.
        let parsed = match terms.dialect {
            Dialect::ClearKey => Challenge::parse(challenge, Offline::Refused)?,
            Dialect::Widevine | Dialect::PlayReady | Dialect::FairPlay => {
                return Err(LicenseRefused::DialectNotAnswered);
            }
        };
        // 4 One KID that the grant does not cover refuses the whole request.
        if parsed.kids().iter().any(|kid| !terms.kids.contains(kid)) {
            return Err(LicenseRefused::KidNotInContent);
        }
        // 5 Of the rows asked for, keep those that the level may have.
        let (level, allowed) = (SecurityLevel::L3, terms.policy.clearkey_track_classes());
        let mut rows = self.rows_of(terms, parsed.kids()).await?;
        rows.retain(|row| may_have(allowed, row));
        withhold_compromised(&mut rows)?;
        // 6 Claim each KID of the playback token.
        let claims = self.claim(terms, &rows, now)?;
        // 7 Open the keys.
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            keys.push((row.kid, self.open_for_license(terms, row, now).await?));
        }
        // 8 Answer.
        let license = parsed.answer(keys);
        // 9 Read the answer back and compare it with the grant.
        self.check_answer(license.as_bytes(), &rows)?;
        // 10 The audit row is durable before anything leaves.
        self.audit.append(vec![audit_entry(terms, level, &rows, now)]).await?;
        // 11 Reply.
        claims.into_iter().for_each(ClaimHold::answered);
        Ok(LicenseReply {
            license: license.as_bytes().to_vec(),
            content_type: clearkey::LICENSE_TYPE,
            level,
            classes: rows.iter().flat_map(|row| classes_of(row).iter()).collect(),
            expires: now.plus_s(terms.policy.license_s.get().into()),
        })
    }

    /// The rows of the KIDs that were asked for, in the order of their KIDs.
    async fn rows_of(
        &self,
        terms: &GrantTerms,
        asked: &[KeyId],
    ) -> Result<Vec<WrappedKey>, LicenseRefused> {
        let read = self.store.keys_of(&terms.content_id).await;
        let mut rows = read.inspect_err(|error| {
            // A row that says what no row may say was changed behind our back.
            if let StoreError::Corrupt(_) = error {
                tracing::error!(
                    alert = "key_integrity", content_id = %terms.content_id,
                    correlation_id = %terms.correlation, %error, "a stored key does not read back"
                );
                count_alert("key_integrity");
            }
        })?;
        rows.retain(|row| asked.contains(&row.kid));
        rows.sort_by_key(|row| row.kid);
        for kid in asked {
            if rows.binary_search_by_key(kid, |row| row.kid).is_err() {
                tracing::error!(
                    alert = "cek_not_found", content_id = %terms.content_id, %kid,
                    correlation_id = %terms.correlation,
                    "the row of a packaged title's key is gone"
                );
                count_alert("cek_not_found");
                return Err(LicenseRefused::CekNotFound);
            }
        }
        Ok(rows)
    }

    /// Claims the KIDs to be answered. Every request claims in the order of the KIDs, so that
    /// of two that want the same ones, one gets all of them.
    fn claim(
        &self,
        terms: &GrantTerms,
        rows: &[WrappedKey],
        now: Timestamp,
    ) -> Result<Vec<ClaimHold>, LicenseRefused> {
        let Some(token) = terms.token else { return Ok(vec![]) };
        let (hash, expires) = (terms.challenge_sha256, terms.credential_expires);
        let claim_one =
            |row: &WrappedKey| match self.answered.claim(token, row.kid, hash, expires, now) {
                Claim::Fresh(hold) | Claim::SameChallenge(hold) => Ok(hold),
                Claim::Replayed => Err(LicenseRefused::TokenReplayed),
                Claim::Full => Err(LicenseRefused::Overloaded),
            };
        rows.iter().map(claim_one).collect()
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

    /// The license carries exactly the keys that may leave, each under its own KID.
    fn check_answer(&self, license: &[u8], rows: &[WrappedKey]) -> Result<(), LicenseRefused> {
        let carried = clearkey::read_license(license).map_err(|_| LicenseRefused::Integrity)?;
        let is_granted = |(kid, key): &(KeyId, ContentKey)| {
            rows.iter().any(|row| row.kid == *kid && self.keys.is_key_of(row, key))
        };
        if carried.len() == rows.len() && carried.iter().all(is_granted) {
            return Ok(());
        }
        tracing::error!(alert = "license_integrity", "a license did not pass its own check");
        count_alert("license_integrity");
        Err(LicenseRefused::Integrity)
    }
}

/// A compromised key is withheld, like one above the level, so that other tracks still play.
/// When nothing else was asked for, the title cannot be played and the viewer is told so.
fn withhold_compromised(rows: &mut Vec<WrappedKey>) -> Result<(), LicenseRefused> {
    let asked = rows.len();
    rows.retain(|row| row.state == KeyState::Active);
    if rows.is_empty() && asked > 0 {
        metrics::counter!("strongroom_compromised_keys_refused_total").increment(1);
        return Err(LicenseRefused::KeyCompromised);
    }
    Ok(())
}

/// The classes a key opens: an imported one without a class may open any.
fn classes_of(row: &WrappedKey) -> TrackClasses {
    row.track_class
        .map_or(TrackClasses::up_to(TrackClass::Uhd), |class| [class].into_iter().collect())
}

fn may_have(allowed: TrackClasses, row: &WrappedKey) -> bool {
    classes_of(row).iter().all(|class| allowed.contains(class))
}

fn audit_entry(
    terms: &GrantTerms,
    level: SecurityLevel,
    rows: &[WrappedKey],
    now: Timestamp,
) -> AuditEntry {
    let kids: Vec<String> = rows.iter().map(|row| row.kid.to_string()).collect();
    AuditEntry {
        at: now,
        actor: format!("account:{}", terms.account),
        action: "license.issued".to_owned(),
        content_id: Some(terms.content_id.clone()),
        // A row has room for one; the detail names all.
        kid: rows.first().map(|row| row.kid),
        session: Some(terms.session),
        decision: Some(terms.decision),
        detail: format!(
            "{} {level} device {} grant {} correlation {} kids {}",
            terms.dialect,
            terms.device,
            terms.grant,
            terms.correlation,
            kids.join(",")
        ),
    }
}

pub(super) fn count_alert(alert: &'static str) {
    metrics::counter!("strongroom_alerts_total", "alert" => alert).increment(1);
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Malformed | ChallengeError::TooLarge | ChallengeError::SessionType => {
                Self::Malformed
            }
            ChallengeError::OfflineNotAllowed => Self::OfflineNotAllowed,
        }
    }
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
