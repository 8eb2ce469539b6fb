//! Streams that run: the list, the end, and what keeps a slot.

use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::{AccountId, ContentId, DeviceId, PlaybackSessionId, Timestamp};
use playback::lease::{StreamEnd, Withdrawal};
use playback::{Denial, Entitlement};
use serde::Serialize;
use serde_json::json;
use store::{StartStream, StoreError, StreamRow};

/// The streams of an account that run.
#[derive(Serialize)]
pub struct Streams {
    max_streams: u32,
    streams: Vec<Stream>,
}

/// One of them.
#[derive(Serialize)]
struct Stream {
    session_id: PlaybackSessionId,
    content_id: ContentId,
    /// The title's name.
    title: Option<String>,
    device_id: DeviceId,
    since: Timestamp,
    /// `DELETE` ends it.
    end: String,
}

/// Lists the streams of the viewer's account that run, the oldest first.
///
/// Errors: [`Refusal::Token`].
pub async fn list(service: &Service, caller: &Caller) -> Result<Streams, Refusal> {
    let viewer = Viewer::reading(service, caller).await?;
    let plan = service.store.plan(&viewer.account.plan).await?;
    let max_streams = plan.map_or(0, |plan| plan.max_streams);
    Ok(Streams { max_streams, streams: running(service, caller, viewer.account.id).await? })
}

/// Ends a stream of the viewer's account, on whatever device it runs, and frees its slot at once;
/// nothing to do when it has ended.
///
/// Errors: [`Refusal::Token`], [`Refusal::CrossSite`].
pub async fn end(
    service: &Service,
    caller: &Caller,
    session: PlaybackSessionId,
) -> Result<(), Refusal> {
    let viewer = Viewer::acting(service, caller).await?;
    let Some(row) = service.store.stream(session).await? else { return Ok(()) };
    let is_own = row.stream.device == viewer.device();
    let how = if is_own { StreamEnd::Stopped } else { StreamEnd::ByAccount };
    service.store.end_stream(session, viewer.account.id, how, caller.now).await?;
    Ok(())
}

/// A stream of this viewer on this device that has not ended; it may have lapsed.
///
/// Errors: [`Refusal::PlaybackEnded`], [`Refusal::Withdrawn`], [`Refusal::OtherDevice`].
pub async fn own_stream(
    service: &Service,
    viewer: &Viewer,
    session: PlaybackSessionId,
) -> Result<StreamRow, Refusal> {
    let row = service.store.stream(session).await?.ok_or(Refusal::PlaybackEnded)?;
    if row.account != viewer.account.id || row.stream.device != viewer.device() {
        return Err(Refusal::OtherDevice);
    }
    match row.end {
        None => Ok(row),
        Some(StreamEnd::Stopped) => Err(Refusal::PlaybackEnded),
        Some(StreamEnd::ByAccount) => {
            Err(Refusal::Withdrawn { denial: None, reason: Withdrawal::EndedByAccount })
        }
    }
}

/// Renews the lease of a stream. One whose lease has lapsed, as on a laptop that slept, gets a
/// slot again where one is free. Returns the session, which may be another one when the device
/// has started the title anew meanwhile.
///
/// Errors: a denial when the plan is full; [`Refusal::PlaybackEnded`] when the stream ended
/// meanwhile or has had its day.
pub async fn keep(
    service: &Service,
    caller: &Caller,
    row: &StreamRow,
    entitlement: &Entitlement,
) -> Result<PlaybackSessionId, Refusal> {
    let (now, most) = (caller.now, entitlement.max_streams());
    if service.store.lease_stream(row.stream.session, most, now).await? {
        return Ok(row.stream.session);
    }
    let start = StartStream {
        session: row.stream.session,
        account: row.account,
        device: row.stream.device,
        content_id: row.stream.content_id.clone(),
        max_streams: most,
        decision: entitlement.decision(),
        interval_s: row.interval_s,
        is_anew: false,
        now,
    };
    let session = match service.store.start_stream(&start).await {
        Ok(Ok(session)) => session,
        Ok(Err(denial)) => return Err(refused(service, caller, row.account, denial).await?),
        Err(StoreError::Conflict) => return Err(Refusal::PlaybackEnded),
        Err(error) => return Err(error.into()),
    };
    service.store.lease_stream(session, most, now).await?;
    Ok(session)
}

/// The refusal that a denial becomes. Where the plan is full it lists the streams that fill it,
/// each with the way to end it: the decision has been made under lock, and what has ended since
/// is not in the list.
///
/// Errors: what the store says.
pub async fn refused(
    service: &Service,
    caller: &Caller,
    account: AccountId,
    denial: Denial,
) -> Result<Refusal, Refusal> {
    let Denial::StreamLimitReached { max_streams } = denial else { return Ok(denial.into()) };
    let streams = running(service, caller, account).await?;
    let said = json!({ "max_streams": max_streams, "streams": streams });
    Ok(Refusal::StreamsFull { denial, said, is_playing: false })
}

async fn running(
    service: &Service,
    caller: &Caller,
    account: AccountId,
) -> Result<Vec<Stream>, Refusal> {
    let rows = service.store.running_streams(account, caller.now).await?;
    let stream = |running: store::RunningStream| {
        let stream = running.row.stream;
        Stream {
            end: format!("{}/api/v1/playback/{}", caller.origin, stream.session),
            session_id: stream.session,
            content_id: stream.content_id,
            title: running.title,
            device_id: stream.device,
            since: running.row.started,
        }
    };
    Ok(rows.into_iter().map(stream).collect())
}
