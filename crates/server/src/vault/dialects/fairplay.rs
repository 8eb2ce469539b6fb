//! FairPlay: one key a request, which names it by the asset id of a playlist; a license that is
//! there is renewed by asking for its key again.

use super::{Ask, Body, Message, Running, Wanted, Wish};
use crate::vault::credentials::FairPlay;
use crate::vault_link::LicenseRefused;
use dialect::fairplay::{Batch, Challenge, ChallengeError, LEVEL};
use dialect::terms::KeyTerms;
use model::{Scheme, Timestamp};
use playback::grant::GrantTerms;
use std::sync::Arc;

/// Reads a request of one SPC or several. Nothing in it is signed, so that its assets are held
/// against the grant.
pub(super) fn read(
    challenge: &[u8],
    terms: &GrantTerms,
    own: &Arc<FairPlay>,
    now: Timestamp,
) -> Result<Message, LicenseRefused> {
    let new = Batch::parse(challenge, &own.desk(), now)?;
    let is_foreign = |one: &Challenge| {
        one.content_id().is_some_and(|content_id| content_id != terms.content_id.as_str())
    };
    if new.challenges().iter().any(is_foreign) {
        return Err(LicenseRefused::KidNotInContent);
    }
    let level = LEVEL;
    // The oldest of them speaks for all: a license that is new is then the shorter one.
    let playing = new.challenges().iter().map(Challenge::playback);
    let age_s = playing.filter(|one| one.is_renewal()).map(|one| one.age_s).max();
    let running = age_s.map(|age_s| Running { age_s, playing_s: Some(age_s), begins_anew: true });
    Ok(Message::Ask(Ask {
        wish: Wish::License,
        wanted: Wanted::Kids(new.challenges().iter().map(Challenge::kid).collect()),
        level,
        allowed: terms.policy.track_classes(level),
        scheme: Some(Scheme::Cbcs),
        persist: new.challenges().iter().any(Challenge::wants_persist),
        running,
        existing: None,
        is_unique: true,
        proof: "attested without a tier".to_owned(),
        body: Body::FairPlay(Box::new(new)),
    }))
}

/// Whether the client decrypts what the key is for, and can be told its terms.
///
/// Errors: [`LicenseRefused::Challenge`].
pub(super) fn suits(batch: &Batch, scheme: Scheme, terms: &KeyTerms) -> Result<(), LicenseRefused> {
    if scheme != Scheme::Cbcs {
        return Err(LicenseRefused::Challenge("cenc_unsupported"));
    }
    if !batch.challenges().iter().all(|challenge| challenge.can_keep(terms)) {
        return Err(LicenseRefused::Challenge("outputs_unsupported"));
    }
    Ok(())
}

impl From<ChallengeError> for LicenseRefused {
    fn from(error: ChallengeError) -> Self {
        Self::Challenge(error.name())
    }
}
