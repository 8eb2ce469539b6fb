//! A license is given back: its place is free, its use is written down, and its client hears that
//! both happened (R115).
//!
//! Nothing is given, so it is taken also when the license has ended, and whatever became of the
//! session, the device's sign-in and the account's rights meanwhile. A message that comes again
//! is acknowledged again.

use super::Vault;
use super::dialects::{Returned, Used, WholeTerms, Written};
use super::license_row::{LISTED, TRACE};
use super::memo::Memo;
use crate::vault_link::{LicenseRefused, LicenseReply};
use dialect::terms::LicenseTerms;
use model::{KeyId, Scheme, SecurityLevel, Timestamp};
use playback::grant::GRANT_S;
use playback::release::{ReleaseTerms, open_release};
use playback::{Rule, Said};
use store::{AUDIT_TEXT_MAX, AuditEntry, StoreError, UsageRecord};

impl Vault {
    /// Takes a license back.
    ///
    /// 1 open the grant and burn its id, 2 read the message, whose license must be the account's,
    /// 3 write the acknowledgement and read it back, 4 free the place, 5 keep the record of use,
    /// 6 append the audit row, durable, 7 reply.
    ///
    /// Errors: [`LicenseRefused`].
    pub async fn release(
        &self,
        sealed_grant: &[u8],
        challenge: &[u8],
        now: Timestamp,
    ) -> Result<LicenseReply, LicenseRefused> {
        let terms = open_release(&self.grant_key, sealed_grant, challenge, now)
            .map_err(|_| LicenseRefused::Grant)?;
        if !self.burned.burn(terms.grant, terms.issued.plus_s(GRANT_S), now) {
            return Err(LicenseRefused::Grant);
        }
        let returned = self.read_release(terms.dialect, challenge, now)?;
        if returned.memo.account != terms.account {
            return Err(LicenseRefused::OtherSession);
        }
        let Returned { memo, level, used, .. } = &returned;
        let (memo, level, used) = (memo.clone(), *level, *used);
        let answer = self.keys.entropy.with(|entropy| returned.answer(now, entropy));
        check_acknowledgement(&answer, memo.scheme, now)?;
        self.store.release_kept(memo.account, memo.license, now).await?;
        if let Some(used) = used {
            self.keep_record(&terms, &memo, used, now).await?;
        }
        self.audit.append(vec![audit_row(&terms, &memo, level, used, now)]).await?;
        metrics::counter!("strongroom_releases_total").increment(1);
        Ok(LicenseReply {
            message: answer.as_bytes().to_vec(),
            content_type: answer.media_type(),
            issued: None,
        })
    }

    async fn keep_record(
        &self,
        terms: &ReleaseTerms,
        memo: &Memo,
        used: Used,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let record = UsageRecord {
            license: memo.license,
            account: memo.account,
            device: terms.device,
            session: memo.session,
            content_id: memo.content_id.clone(),
            first_played: used.first,
            last_played: used.last,
            received: now,
        };
        self.store.put_usage_record(&record).await
    }
}

/// The acknowledgement carries no key and allows nothing.
fn check_acknowledgement(
    answer: &Written,
    scheme: Scheme,
    now: Timestamp,
) -> Result<(), LicenseRefused> {
    let terms = LicenseTerms::default();
    let whole = WholeTerms { terms, scheme: Some(scheme), started_s: now.as_s() };
    match answer.read_back() {
        Some(read) if read.keys.is_empty() && read.whole.as_ref() == Some(&whole) => Ok(()),
        _ => Err(LicenseRefused::Integrity),
    }
}

/// The detail has the shape of a license's, so that `explain` reads it. It names as many keys as
/// there is room for; the row of the license itself says the rest.
fn audit_row(
    terms: &ReleaseTerms,
    memo: &Memo,
    level: SecurityLevel,
    used: Option<Used>,
    now: Timestamp,
) -> AuditEntry {
    let kids: Vec<String> = memo.kids.iter().take(LISTED).map(KeyId::to_string).collect();
    let mut detail = format!(
        "{} {level} device {} license {} correlation {}",
        terms.dialect, terms.device, memo.license, terms.correlation
    );
    let used = used.unwrap_or_default();
    for (name, at) in [("first_played", used.first), ("last_played", used.last)] {
        if let Some(at) = at {
            detail += &format!(" {name} {}", at.0);
        }
    }
    detail += &format!(" kids {}", kids.join(","));
    let mut trace = terms.trace.clone();
    trace.note(Rule::Offline, "a license is given back", Said::Passed);
    let trace = serde_json::to_string(&trace).unwrap_or_default();
    if detail.len() + TRACE.len() + trace.len() <= AUDIT_TEXT_MAX {
        detail += TRACE;
        detail += &trace;
    }
    AuditEntry {
        at: now,
        actor: format!("account:{}", terms.account),
        action: "license.released".to_owned(),
        content_id: Some(memo.content_id.clone()),
        kid: memo.kids.first().copied(),
        session: Some(memo.session),
        decision: None,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::license_row::ToldLicense;
    use dialect::MAX_KEYS;
    use model::{
        AccountId, ContentId, CorrelationId, DeviceId, Dialect, GrantId, PlaybackSessionId,
    };
    use playback::Trace;

    #[test]
    fn the_row_of_a_license_of_hundreds_of_keys_is_short_and_reads_back() {
        let terms = ReleaseTerms {
            grant: GrantId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            device: DeviceId::from_bytes([3; 16]),
            dialect: Dialect::Widevine,
            challenge_sha256: [0; 32],
            issued: Timestamp(5),
            correlation: CorrelationId::from_bytes([4; 16]),
            trace: Trace::default(),
        };
        let memo = Memo {
            session: PlaybackSessionId::from_bytes([5; 16]),
            account: terms.account,
            license: GrantId::from_bytes([6; 16]),
            ends: Timestamp(u64::MAX),
            content_id: ContentId::parse("film").unwrap(),
            scheme: Scheme::Cenc,
            kids: vec![KeyId::from_bytes([7; 16]); MAX_KEYS],
        };
        let end = Some(Timestamp(u64::MAX));
        let used = Some(Used { first: end, last: end });
        let row = audit_row(&terms, &memo, SecurityLevel::L1, used, Timestamp(9));
        assert!(row.detail.len() <= AUDIT_TEXT_MAX, "{}", row.detail.len());
        let told = ToldLicense::read(&row.detail).unwrap();
        assert_eq!((told.device, told.given.len()), (Some(terms.device), LISTED));
    }
}
