//! Heartbeats: what keeps a stream's slot, tells where the viewer is, brings a player's log and
//! takes back word of a right that ended (R150–R153).

use crate::front::devices::Counted;
use crate::front::limiter::Reported;
use crate::front::playback_token::{entitle, limit};
use crate::front::streams::{keep, own_stream};
use crate::front::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Refusal;
use crate::service::Service;
use model::PlaybackSessionId;
use playback::lease::{StreamEnd, Withdrawal};
use playback::log_seal::{LogPlace, seal};
use playback::report::SessionLog;
use playback::{Rule, Said};
use serde::Deserialize;
use serde_json::Value;
use store::{AskedRoute, SealedLog, StreamRow, Viewing};

/// One log in so many has its account's old ones forgotten.
const TRIM_ONE_IN: u8 = 64;

/// What a heartbeat says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    position_s: u32,
    state: PlayerState,
    /// Its number in the session: each is higher than the one before.
    seq: Option<u64>,
    /// What the player logged since the one before; needs `seq`.
    log: Option<SessionLog>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlayerState {
    Playing,
    Paused,
    Stopped,
}

/// Keeps a stream's slot and remembers where the viewer is. Returns when the next heartbeat is
/// wanted, seconds.
///
/// 1 find the viewer, 2 his stream, 3 count the message, 4 take the number, 5 keep the log,
/// 6 remember the position, 7 a stopped player frees its slot, 8 for any other decide anew, so
/// that a right that ended is noticed, and renew the lease.
///
/// Errors: [`Refusal::PlaybackEnded`], [`Refusal::OtherDevice`], [`Refusal::OutOfOrder`],
/// [`Refusal::RateLimited`]; [`Refusal::Withdrawn`] or [`Refusal::StreamsFull`] where the player
/// must stop.
pub async fn heartbeat(
    service: &Service,
    caller: &Caller,
    session: PlaybackSessionId,
    beat: Heartbeat,
) -> Result<u32, Refusal> {
    if beat.log.is_some() && beat.seq.is_none() {
        return Err(Refusal::Malformed("a log without a number"));
    }
    limit(service, caller, AskedRoute::Heartbeat)?;
    let viewer = Viewer::playing(service, caller, Counted::Always).await?;
    caller.trail.tell(|told| {
        (told.account, told.session) = (Some(viewer.account.id), Some(session));
        told.trace.note(Rule::Token, "a sign-in", Said::Passed);
    });
    let row = match (own_stream(service, &viewer, session).await, beat.state) {
        // The last words of a player may come twice.
        (Err(Refusal::PlaybackEnded), PlayerState::Stopped) => {
            return Ok(service.ground.config.heartbeat.browser_s);
        }
        (row, _) => row?,
    };
    caller.trail.tell(|told| {
        let content_id = Some(row.stream.content_id.clone());
        (told.content_id, told.decision) = (content_id, Some(row.decision));
    });
    let counted = service.reports.count(Reported::Heartbeat, session.as_bytes(), "", caller.now);
    counted.inspect_err(|_| caller.trail.tell(|told| told.is_repetition = true))?;
    if let Some(seq) = beat.seq {
        if !service.store.take_seq(session, seq).await? {
            return Err(Refusal::OutOfOrder);
        }
        if let Some(log) = &beat.log {
            keep_log(service, caller, &row, seq, log).await?;
        }
    }
    let (account, title) = (row.account, &row.stream.content_id);
    let position_s = beat.position_s;
    service.store.put_resume(account, title, position_s, caller.now).await?;
    let viewing = Viewing { started: row.started, seen: caller.now, position_s };
    service.store.note_viewing(account, title, session, viewing).await?;
    match beat.state {
        PlayerState::Stopped => {
            service.store.end_stream(session, account, StreamEnd::Stopped, caller.now).await?;
        }
        PlayerState::Playing | PlayerState::Paused => {
            let go_on = go_on(service, caller, &row).await;
            go_on.map_err(|refusal| withdrawn(refusal, &viewer, &row, caller))?;
        }
    }
    Ok(row.interval_s)
}

async fn go_on(service: &Service, caller: &Caller, row: &StreamRow) -> Result<(), Refusal> {
    let question = caller.asks(row.account, &row.stream.content_id, row.decision);
    let entitlement = entitle(&service.store, &question).await?;
    keep(service, caller, row, &entitlement).await.map(drop)
}

/// What a denial is to a player that plays: a reason to stop.
fn withdrawn(refusal: Refusal, viewer: &Viewer, row: &StreamRow, caller: &Caller) -> Refusal {
    let was_running = row.stream.expires > caller.now;
    let reason = |denial| Withdrawal::of(denial, viewer.account.subscription, was_running);
    match refusal {
        Refusal::Denied(denial) => {
            Refusal::Withdrawn { denial: Some(denial), reason: reason(denial) }
        }
        Refusal::StreamsFull { denial, mut said, .. } => {
            if let Value::Object(said) = &mut said {
                said.insert("reason".to_owned(), reason(denial).name().into());
            }
            Refusal::StreamsFull { denial, said, is_playing: true }
        }
        other => other,
    }
}

/// Seals the log for its row and keeps it.
async fn keep_log(
    service: &Service,
    caller: &Caller,
    row: &StreamRow,
    seq: u64,
    log: &SessionLog,
) -> Result<(), Refusal> {
    if service.ground.config.heartbeat.reports_kept_days == 0 {
        return Ok(());
    }
    let place = LogPlace { session: row.stream.session, seq, received: caller.now };
    let (id, sealed) = service.ground.entropy.with(|entropy| {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        (id, seal(&service.log_key, place, log, entropy))
    });
    service.store.put_log(&SealedLog { id, account: row.account, place, sealed }).await?;
    let [first, ..] = id;
    if first % TRIM_ONE_IN == 0 {
        service.store.trim_logs(row.account).await?;
    }
    Ok(())
}
