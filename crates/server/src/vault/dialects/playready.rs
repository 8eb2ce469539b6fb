//! PlayReady: a device attests its level; each of its keys is a license of its own in one response;
//! a license that is kept is acknowledged.

use super::{Ask, Body, Message, Wanted, Wish};
use crate::vault::credentials::PlayReady;
use crate::vault_link::LicenseRefused;
use dialect::playready::{Challenge, ChallengeError, Request};
use model::{Scheme, Timestamp};
use playback::grant::GrantTerms;
use std::sync::Arc;

/// Reads a message, believed as far as it is attested.
pub(super) fn read(
    challenge: &[u8],
    terms: &GrantTerms,
    own: Arc<PlayReady>,
    now: Timestamp,
) -> Result<Message, LicenseRefused> {
    match Request::parse(challenge, &own.desk(), now)? {
        Request::Acknowledgement(acknowledgement) => Ok(Message::Plain(acknowledgement.answer())),
        Request::License(new) => {
            let level = new.device().level;
            Ok(Message::Ask(Ask {
                wish: Wish::License,
                wanted: Wanted::Kids(new.kids().to_vec()),
                level,
                allowed: terms.policy.track_classes(level),
                scheme: new.scheme(),
                persist: new.wants_persist(),
                running: None,
                existing: None,
                is_unique: true,
                proof: format!("attested as SL{}", new.device().security_level),
                body: Body::PlayReady(new, own),
            }))
        }
    }
}

/// Whether the client decrypts what the key is for.
///
/// Errors: [`LicenseRefused::Challenge`].
pub(super) fn suits(challenge: &Challenge, scheme: Scheme) -> Result<(), LicenseRefused> {
    if scheme == Scheme::Cbcs && !challenge.plays_cbcs() {
        return Err(LicenseRefused::Challenge("cbcs_unsupported"));
    }
    Ok(())
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        Self::Challenge(error.name())
    }
}
