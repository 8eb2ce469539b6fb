//! Streams that run: heartbeats, the resume point, the end.

use crate::front::playback_token::{entitle, limit};
use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::PlaybackSessionId;
use playback::lease::leased_until;
use playback::{Entitlement, Rule, Said};
use serde::Deserialize;
use store::{AskedRoute, StartStream, StreamRow, Viewing};

/// What a heartbeat says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    position_s: u32,
    state: PlayerState,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlayerState {
    Playing,
    Paused,
    Stopped,
}

/// Keeps a stream's slot and remembers where the viewer is.
///
/// 1 find the viewer, 2 his stream, 3 remember the position, 4 a stopped player frees its slot,
/// 5 for any other decide anew, so that a right that ended is noticed, 6 renew the lease.
///
/// Errors: [`Refusal::PlaybackEnded`], [`Refusal::OtherDevice`], [`Refusal::RateLimited`], a denial.
pub async fn heartbeat(
    service: &Service,
    caller: &Caller,
    session: PlaybackSessionId,
    beat: Heartbeat,
) -> Result<(), Refusal> {
    limit(service, caller, AskedRoute::Heartbeat)?;
    let viewer = Viewer::acting(service, caller).await?;
    caller.trail.tell(|told| {
        (told.account, told.session) = (Some(viewer.account.id), Some(session));
        told.trace.note(Rule::Token, "a sign-in", Said::Passed);
    });
    let row = match (own_stream(service, &viewer, session).await, beat.state) {
        // The last words of a player may come twice.
        (Err(Refusal::PlaybackEnded), PlayerState::Stopped) => return Ok(()),
        (row, _) => row?,
    };
    let account = viewer.account.id;
    let title = &row.stream.content_id;
    caller.trail.tell(|told| {
        (told.content_id, told.decision) = (Some(title.clone()), Some(row.decision));
    });
    let position_s = beat.position_s;
    service.store.put_resume(account, title, position_s, caller.now).await?;
    let viewing = Viewing { started: row.started, seen: caller.now, position_s };
    service.store.note_viewing(account, title, session, viewing).await?;
    match beat.state {
        PlayerState::Stopped => {
            service.store.end_stream(session, account).await?;
        }
        PlayerState::Playing | PlayerState::Paused => {
            let decision = row.decision;
            let question = caller.asks(account, title, decision);
            let entitlement = entitle(&service.store, &question).await?;
            keep(service, caller, &row, &entitlement).await?;
        }
    }
    Ok(())
}

/// Ends a stream of the viewer and frees its slot at once; nothing to do when it has ended.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`].
pub async fn end(
    service: &Service,
    caller: &Caller,
    session: PlaybackSessionId,
) -> Result<(), Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    service.store.end_stream(session, viewer.account.id).await?;
    Ok(())
}

/// A stream of this viewer on this device; it may have expired.
///
/// Errors: [`Refusal::PlaybackEnded`], [`Refusal::OtherDevice`].
pub async fn own_stream(
    service: &Service,
    viewer: &Viewer,
    session: PlaybackSessionId,
) -> Result<StreamRow, Refusal> {
    let row = service.store.stream(session).await?.ok_or(Refusal::PlaybackEnded)?;
    if row.account == viewer.account.id && row.stream.device == viewer.device() {
        Ok(row)
    } else {
        Err(Refusal::OtherDevice)
    }
}

/// Renews the lease of a stream. One whose lease has lapsed, as on a laptop that slept, gets a
/// slot again where one is free. Returns the session, which may be another one when the device
/// has started the title anew meanwhile.
///
/// Errors: a denial when the plan is full.
pub async fn keep(
    service: &Service,
    caller: &Caller,
    row: &StreamRow,
    entitlement: &Entitlement,
) -> Result<PlaybackSessionId, Refusal> {
    let (now, until) = (caller.now, leased_until(caller.now));
    if service.store.lease_stream(row.stream.session, now, until).await? {
        return Ok(row.stream.session);
    }
    let start = StartStream {
        session: row.stream.session,
        account: row.account,
        device: row.stream.device,
        content_id: row.stream.content_id.clone(),
        max_streams: entitlement.max_streams(),
        decision: entitlement.decision(),
        now,
    };
    let session = service.store.start_stream(&start).await??;
    service.store.lease_stream(session, now, until).await?;
    Ok(session)
}
