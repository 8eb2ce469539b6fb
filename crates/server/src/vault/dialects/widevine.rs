//! Widevine: a device attests its level, and a license that is there is renewed or given back.

use super::{Ask, Body, Message, Running, Wanted, Wish};
use crate::vault::credentials::Widevine;
use crate::vault::memo::Memo;
use crate::vault_link::LicenseRefused;
use dialect::widevine::{ChallengeError, LicenseType, RenewalKind, Request};
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
                is_unique: true,
                proof: "attested".to_owned(),
                body: Body::Widevine(new, own),
            }))
        }
        Request::Existing(existing) => {
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
                    begins_anew: false,
                }),
                is_unique: true,
                proof: "attested".to_owned(),
                body: Body::WidevineExisting(existing, own),
            }))
        }
    }
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        Self::Challenge(error.name())
    }
}
