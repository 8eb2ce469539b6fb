//! Widevine: a device attests its level, and a license that is there is renewed or given back.

use super::{Ask, Body, Existing, Message, Returned, Running, Used, Wanted, Wish};
use crate::vault::credentials::Widevine;
use crate::vault::memo::Memo;
use crate::vault_link::LicenseRefused;
use dialect::widevine::{ChallengeError, LicenseType, Renewal, RenewalKind, Request};
use model::Timestamp;
use playback::grant::GrantTerms;
use std::sync::Arc;

/// Reads a message, believed as far as it is attested.
pub(super) fn read(
    challenge: &[u8],
    terms: &GrantTerms,
    own: Arc<Widevine>,
    now: Timestamp,
) -> Result<Message, LicenseRefused> {
    match Request::parse(challenge, &own.desk(), now)? {
        Request::ServiceCertificate => Ok(Message::Plain(own.credentials.service_certificate())),
        Request::New(new) => {
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
                existing: None,
                is_unique: true,
                proof: "attested".to_owned(),
                body: Body::Widevine(new, own),
            }))
        }
        // What is given back is no license request.
        Request::Existing(existing) if existing.kind() == RenewalKind::Release => {
            Err(LicenseRefused::Malformed)
        }
        Request::Existing(existing) => {
            let memo = Memo::read(existing.memo()).filter(|memo| memo.is_of(terms));
            let memo = memo.ok_or(LicenseRefused::OtherSession)?;
            let level = existing.level();
            Ok(Message::Ask(Ask {
                wish: Wish::MoreTime,
                wanted: Wanted::Kids(memo.kids),
                level,
                allowed: terms.policy.track_classes(level),
                scheme: Some(memo.scheme),
                persist: existing.license_type() == LicenseType::Offline,
                running: Some(Running {
                    age_s: now.as_s().saturating_sub(existing.first_started_s()),
                    playing_s: existing.since_started_s().filter(|s| *s > 0),
                    begins_anew: false,
                }),
                existing: Some(Existing { license: memo.license, ends: memo.ends }),
                is_unique: true,
                proof: "attested".to_owned(),
                body: Body::WidevineExisting(existing, own),
            }))
        }
    }
}

/// Reads a license that is given back, whose session may be long over.
pub(super) fn read_release(
    challenge: &[u8],
    own: Arc<Widevine>,
    now: Timestamp,
) -> Result<Returned, LicenseRefused> {
    let Request::Existing(existing) = Request::parse(challenge, &own.desk(), now)? else {
        return Err(LicenseRefused::Malformed);
    };
    let memo = Memo::read(existing.memo()).ok_or(LicenseRefused::OtherSession)?;
    let (level, used) = (existing.level(), used(&existing, now));
    Ok(Returned { memo, level, used, body: (existing, own) })
}

/// When the license was used. The client counts back from when it made the message, which may
/// have traveled for days; nothing was used before the license was there.
fn used(existing: &Renewal, now: Timestamp) -> Option<Used> {
    let since_s = existing.since_started_s()?;
    if since_s == 0 {
        return Some(Used::default());
    }
    let earliest_s = existing.first_started_s().min(now.as_s());
    let made_s = existing.made_s().unwrap_or_else(|| now.as_s()).clamp(earliest_s, now.as_s());
    let back = |s| Timestamp(made_s.saturating_sub(s).max(earliest_s).saturating_mul(1000));
    Some(Used { first: Some(back(since_s)), last: existing.since_last_played_s().map(back) })
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        Self::Challenge(error.name())
    }
}
