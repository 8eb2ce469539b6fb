//! `POST /license/{dialect}`: looks like a license server, and is the front's way to the vault.
//!
//! The challenge stays opaque. Three credentials are taken: the playback token of a license URL
//! (`?token=`), or the viewer's session as a bearer token or a cookie, together with the
//! playback session (`?session=`), which serves renewals.

use crate::front::devices::{self, Counted};
use crate::front::playback_token::{covered, entitle, limit, tell_streams};
use crate::front::streams::{keep, own_stream};
use crate::front::viewer::{Claimed, Viewer};
use crate::http::caller::Caller;
use crate::http::problem::{Refusal, Unproved};
use crate::service::Service;
use crate::trail::Trail;
use crate::vault_link::{Issued, LicenseReply};
use model::{
    AccountId, ContentId, DecisionId, DeviceId, Dialect, GrantId, PlaybackSessionId, Timestamp,
    TokenId,
};
use playback::grant::{GrantTerms, challenge_hash};
use playback::release::ReleaseTerms;
use playback::rotation::{next_license_s, without_end};
use playback::token::PLAYBACK_S;
use playback::{Covers, Entitlement, PlaybackToken, Rule, Said, TokenRefused};
use serde::Deserialize;
use store::AskedRoute;

/// The query of a license URL.
#[derive(Deserialize)]
pub struct Credential {
    token: Option<String>,
    session: Option<String>,
}

/// What a credential proves.
struct Proof {
    token: Option<TokenId>,
    session: PlaybackSessionId,
    account: AccountId,
    device: DeviceId,
    content_id: ContentId,
    covers: Covers,
    decision: DecisionId,
    expires: Timestamp,
    slot: Slot,
}

impl Proof {
    /// Tells what has been proved.
    fn tell(&self, trail: &Trail) {
        trail.tell(|told| {
            (told.account, told.session) = (Some(self.account), Some(self.session));
            (told.content_id, told.decision) = (Some(self.content_id.clone()), Some(self.decision));
            let credential = match (self.token, &self.slot) {
                (None, _) => "a sign-in",
                (Some(_), Slot::Without) => "a playback token that an operator minted",
                (Some(_), _) => "a playback token",
            };
            told.trace.note(Rule::Token, credential, Said::Passed);
            told.trace.note(Rule::Session, format!("device {}", self.device), Said::Passed);
        });
    }
}

/// What the license does to the stream's slot.
enum Slot {
    /// Turns the reservation of this session into a lease.
    Reserved,
    /// Renews the lease of a running stream.
    Running(store::StreamRow),
    /// None is held: an operator's token.
    Without,
}

/// A license, and when its player is to ask for the next one.
pub struct Answered {
    /// The vault's answer.
    pub reply: LicenseReply,
    /// In how many seconds; absent where the license serves as long as the title.
    pub next_license_s: Option<u32>,
}

/// Answers a challenge.
///
/// 1 read the credential, 2 decide anew, 3 turn the reserved slot into a lease, 4 write the
/// grant, 5 hand it with the untouched challenge to the vault, 6 say when to ask again.
///
/// Errors: [`Refusal`].
pub async fn license(
    service: &Service,
    caller: &Caller,
    dialect: Dialect,
    credential: &Credential,
    challenge: &[u8],
) -> Result<Answered, Refusal> {
    if service.vault.is_release(dialect, challenge) {
        let reply = give_back(service, caller, dialect, credential, challenge).await?;
        return Ok(Answered { reply, next_license_s: None });
    }
    let proof = match &credential.token {
        Some(token) => {
            let proof = prove_by_token(service, caller, token, credential)?;
            still_stands(service, caller, &proof).await?;
            proof
        }
        None => prove_by_session(service, caller, credential).await?,
    };
    proof.tell(&caller.trail);
    let question = caller.asks(proof.account, &proof.content_id, proof.decision);
    let entitlement = entitle(&service.store, &question).await?;
    tell_streams(&caller.trail, &entitlement);
    let session = take_slot(service, caller, &proof, &entitlement).await?;
    let is_first = is_first(&proof, caller.now);
    let terms = GrantTerms {
        grant: service.ground.entropy.with(GrantId::random),
        token: proof.token,
        session,
        account: proof.account,
        device: proof.device,
        content_id: proof.content_id,
        covers: proof.covers,
        dialect,
        policy: entitlement.policy().clone(),
        max_offline: entitlement.max_offline(),
        credential_expires: proof.expires,
        challenge_sha256: challenge_hash(challenge),
        issued: service.ground.clock.now(),
        decision: proof.decision,
        correlation: caller.correlation,
        trace: caller.trail.trace(),
    };
    let reply = service
        .vault
        .license(&terms, challenge, &service.ground.clock, &service.ground.entropy)
        .await?;
    metrics::counter!("strongroom_licenses_total", "dialect" => dialect.name()).increment(1);
    let next_license_s =
        reply.issued.as_ref().and_then(|issued| next_of(service, &terms, issued, is_first));
    Ok(Answered { reply, next_license_s })
}

/// Whether a session's license is its first one, as far as its spread goes: a player may ask for
/// the keys that name the tracks by its license URL, and right behind that for those of the periods.
fn is_first(proof: &Proof, now: Timestamp) -> bool {
    match &proof.slot {
        Slot::Reserved | Slot::Without => true,
        Slot::Running(row) => now < row.started.plus_s(PLAYBACK_S),
    }
}

/// When the player of a live event whose keys change is to ask again: each at another moment (R124).
fn next_of(service: &Service, terms: &GrantTerms, issued: &Issued, is_first: bool) -> Option<u32> {
    let (right, period_s) = (terms.policy.rotation, issued.event_period_s?);
    let right = match terms.dialect {
        // Its licenses have no end, so that they reach less far.
        Dialect::ClearKey => without_end(&right, period_s),
        Dialect::Widevine | Dialect::PlayReady | Dialect::FairPlay => right,
    };
    service.ground.entropy.with(|entropy| next_license_s(&right, is_first, entropy))
}

/// Takes a license back. Nothing is given for it, so nothing is asked but whose it is: the
/// playback session may be long over, the viewer signed in anew, the subscription ended.
async fn give_back(
    service: &Service,
    caller: &Caller,
    dialect: Dialect,
    credential: &Credential,
    challenge: &[u8],
) -> Result<LicenseReply, Refusal> {
    let (account, device) = match &credential.token {
        Some(token) => {
            let proof = prove_by_token(service, caller, token, credential)?;
            (proof.account, proof.device)
        }
        None => {
            limit(service, caller, AskedRoute::License)?;
            let viewer = Viewer::signed_in(service, caller).await?;
            (viewer.account.id, viewer.device())
        }
    };
    caller.trail.tell(|told| {
        told.account = Some(account);
        told.trace.note(Rule::Token, "a license is given back", Said::Passed);
    });
    let terms = ReleaseTerms {
        grant: service.ground.entropy.with(GrantId::random),
        account,
        device,
        dialect,
        challenge_sha256: challenge_hash(challenge),
        issued: service.ground.clock.now(),
        correlation: caller.correlation,
        trace: caller.trail.trace(),
    };
    let (clock, entropy) = (&service.ground.clock, &service.ground.entropy);
    Ok(service.vault.release(&terms, challenge, clock, entropy).await?)
}

/// The playback token of a license URL. Where a sign-in or a session travels with it, it must
/// be the same: a license URL is of no use in someone else's player.
fn prove_by_token(
    service: &Service,
    caller: &Caller,
    text: &str,
    credential: &Credential,
) -> Result<Proof, Refusal> {
    service.limiter.turn_away(AskedRoute::License, text, caller)?;
    let token = PlaybackToken::verify(&service.token_key, text, caller.now, service.boot)?;
    // What an operator minted takes no slot and belongs to no session.
    if token.holds_slot {
        let (route, session) = (AskedRoute::License, token.session.as_bytes());
        service.limiter.count(route, session, text, caller.now)?;
    }
    if credential.session.as_ref().is_some_and(|session| *session != token.session.to_string()) {
        return Err(Refusal::OtherDevice);
    }
    let claimed = Viewer::claimed(service, caller);
    if token.holds_slot && claimed.is_some_and(|claimed| !is_of(&claimed, &token)) {
        return Err(Refusal::OtherDevice);
    }
    Ok(Proof {
        token: Some(token.id),
        session: token.session,
        account: token.account,
        device: token.device,
        content_id: token.content_id,
        covers: token.covers,
        decision: token.decision,
        expires: token.expires,
        slot: if token.holds_slot { Slot::Reserved } else { Slot::Without },
    })
}

/// Whether a sign-in that travels with a license URL may: it is the device, or a ticket of it came
/// along, or the account is the same and its player attaches no ticket to license requests.
fn is_of(claimed: &Claimed, token: &PlaybackToken) -> bool {
    let may_be_registered = !claimed.has_ticket && claimed.account == Some(token.account);
    claimed.device == token.device || may_be_registered
}

/// Refuses the license URL of a device that was removed after it was made.
async fn still_stands(service: &Service, caller: &Caller, proof: &Proof) -> Result<(), Refusal> {
    if matches!(proof.slot, Slot::Without) {
        return Ok(());
    }
    let device = devices::stands(service, proof.account, proof.device, caller.now).await?;
    if device.kind != caller.listener.kind() {
        return Err(Unproved::OtherListener.into());
    }
    // Without a key the sign-in is the device, and only its own may bring the license URL.
    let claimed = Viewer::claimed(service, caller);
    if device.key.is_none() && claimed.is_some_and(|claimed| claimed.device != device.id) {
        return Err(Refusal::OtherDevice);
    }
    Ok(())
}

/// The viewer's session with a playback session of his.
async fn prove_by_session(
    service: &Service,
    caller: &Caller,
    credential: &Credential,
) -> Result<Proof, Refusal> {
    limit(service, caller, AskedRoute::License)?;
    let viewer = Viewer::playing(service, caller, Counted::IfNumbered).await?;
    let session = credential.session.as_deref().ok_or(TokenRefused::Invalid)?;
    let session = PlaybackSessionId::parse(session).map_err(|_| Refusal::Malformed("session"))?;
    let row = own_stream(service, &viewer, session).await?;
    let content_id = row.stream.content_id.clone();
    Ok(Proof {
        token: None,
        session,
        device: viewer.device(),
        covers: covered(&service.store, &content_id).await?,
        content_id,
        decision: row.decision,
        expires: viewer.signed_in_until,
        account: viewer.account.id,
        slot: Slot::Running(row),
    })
}

async fn take_slot(
    service: &Service,
    caller: &Caller,
    proof: &Proof,
    entitlement: &Entitlement,
) -> Result<PlaybackSessionId, Refusal> {
    match &proof.slot {
        Slot::Without => Ok(proof.session),
        Slot::Running(row) => keep(service, caller, row, entitlement).await,
        Slot::Reserved => {
            let most = entitlement.max_streams();
            if service.store.lease_stream(proof.session, most, caller.now).await? {
                Ok(proof.session)
            } else {
                Err(Refusal::PlaybackEnded)
            }
        }
    }
}
