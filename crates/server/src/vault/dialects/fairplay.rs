//! FairPlay: one key a request, which names it by the asset id of a playlist; a license that is
//! there is renewed by asking for its key again.

use super::{Ask, Body, Message, Running, Wanted, Wish};
use crate::vault::credentials::FairPlay;
use crate::vault_link::LicenseRefused;
use dialect::fairplay::{Challenge, ChallengeError, LEVEL};
use dialect::terms::KeyTerms;
use model::{Scheme, Timestamp};
use playback::grant::GrantTerms;
use std::sync::Arc;

/// Reads a request. Nothing in it is signed, so that its asset is held against the grant.
pub(super) fn read(
    challenge: &[u8],
    terms: &GrantTerms,
    own: &Arc<FairPlay>,
    now: Timestamp,
) -> Result<Message, LicenseRefused> {
    let new = Challenge::parse(challenge, &own.desk(), now)?;
    if new.content_id().is_some_and(|content_id| content_id != terms.content_id.as_str()) {
        return Err(LicenseRefused::KidNotInContent);
    }
    let level = LEVEL;
    let playback = new.playback();
    let running = playback.is_renewal().then_some(Running {
        age_s: playback.age_s,
        playing_s: Some(playback.age_s),
        begins_anew: true,
    });
    Ok(Message::Ask(Ask {
        wish: Wish::License,
        wanted: Wanted::Kids(vec![new.kid()]),
        level,
        allowed: terms.policy.track_classes(level),
        scheme: Some(Scheme::Cbcs),
        persist: new.wants_persist(),
        running,
        is_unique: true,
        proof: "attested without a tier".to_owned(),
        body: Body::FairPlay(Box::new(new)),
    }))
}

/// Whether the client decrypts what the key is for, and can be told its terms.
///
/// Errors: [`LicenseRefused::Challenge`].
pub(super) fn suits(
    challenge: &Challenge,
    scheme: Scheme,
    terms: &KeyTerms,
) -> Result<(), LicenseRefused> {
    if scheme != Scheme::Cbcs {
        return Err(LicenseRefused::Challenge("cenc_unsupported"));
    }
    if !challenge.can_keep(terms) {
        return Err(LicenseRefused::Challenge("outputs_unsupported"));
    }
    Ok(())
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        Self::Challenge(error.name())
    }
}
