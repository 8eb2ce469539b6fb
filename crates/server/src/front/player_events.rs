//! What a player tells of a playback: that it is ready, that the picture is there, what the
//! platform lacks (R055).

use crate::front::limiter::Reported;
use crate::front::streams::own_stream;
use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::PlaybackSessionId;
use playback::report::PlayerEvents;
use serde::Deserialize;

/// When a session that has told all it may is heard again: not before the next one.
const FULL_RETRY_S: u64 = 3600;

/// Events of one playback session, in the player's order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    session_id: PlaybackSessionId,
    events: PlayerEvents,
}

/// Keeps the events behind those that the session has told before.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`], [`Refusal::OtherDevice`],
/// [`Refusal::PlaybackEnded`], [`Refusal::Withdrawn`]; [`Refusal::RateLimited`] where there are too
/// many.
pub async fn tell(service: &Service, caller: &Caller, told: &Told) -> Result<(), Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    let Told { session_id, events } = told;
    let row = own_stream(service, &viewer, *session_id).await?;
    service.reports.count(Reported::Events, session_id.as_bytes(), "", caller.now)?;
    if service.ground.config.heartbeat.reports_kept_days == 0 {
        return Ok(());
    }
    let (session, events) = (row.stream.session, events.events());
    if service.store.put_events(session, row.account, events, caller.now).await? {
        Ok(())
    } else {
        Err(Refusal::RateLimited { retry_after_s: FULL_RETRY_S })
    }
}
