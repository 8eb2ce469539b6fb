//! `playback`: what players told of a playback, for the operator.

use super::{Failure, Place, block_on};
use crate::screen::Answer;
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use model::{AccountId, ContentId, DeviceId, PlaybackSessionId, Timestamp};
use playback::lease::StreamEnd;
use playback::log_seal::open;
use playback::report::{LogEntry, PlayerEvent, Word};
use serde::Serialize;
use server::Home;

/// What to show of a playback.
#[derive(Subcommand)]
pub enum Arguments {
    /// Show the stream: whether it runs, and which heartbeats came.
    Show(Session),
    /// Show what the player logged beside its heartbeats: the newest 1000 logs.
    Log(Session),
    /// Show what happened to it, by its player's word.
    Events(Session),
}

/// One playback.
#[derive(Args)]
pub struct Session {
    /// The playback session: `session_id` of its token call.
    #[arg(value_name = "SESSION")]
    session: String,
}

/// The stream.
#[derive(Serialize)]
struct Shown {
    content_id: ContentId,
    account: AccountId,
    device: DeviceId,
    /// `running`, `lapsed`, or how it ended.
    state: &'static str,
    started_at: Timestamp,
    interval_s: u32,
    /// The newest heartbeat's number.
    last_seq: Option<u64>,
    /// How many numbers before it never came.
    missed: u64,
}

/// One log.
#[derive(Serialize)]
struct Logged {
    seq: u64,
    received_at: Timestamp,
    /// Null: it does not open, because it was changed or the secret is another one.
    entries: Option<Vec<LogEntry>>,
}

/// One event.
#[derive(Serialize)]
struct Told {
    number: u32,
    received_at: Timestamp,
    #[serde(flatten)]
    event: PlayerEvent,
}

/// Shows it.
pub fn run(arguments: Arguments, place: &Place, answer: Answer) -> Result<(), Failure> {
    match arguments {
        Arguments::Show(session) => block_on(show(&session, place, answer)),
        Arguments::Log(session) => block_on(show_log(&session, place, answer)),
        Arguments::Events(session) => block_on(show_events(&session, place, answer)),
    }
}

impl Session {
    fn read(&self) -> Result<PlaybackSessionId, Failure> {
        PlaybackSessionId::parse(&self.session).context("SESSION").map_err(Failure::Environment)
    }
}

async fn show(session: &Session, place: &Place, answer: Answer) -> Result<(), Failure> {
    let session = session.read()?;
    let home = place.home().await?;
    let row = home.store.stream(session).await.map_err(Failure::environment)?;
    let row = row.context("there is no such playback, or not any more");
    let row = row.map_err(Failure::Refused)?;
    let is_running = row.stream.expires > home.clock.now();
    let shown = Shown {
        content_id: row.stream.content_id,
        account: row.account,
        device: row.stream.device,
        state: row.end.map_or(if is_running { "running" } else { "lapsed" }, StreamEnd::name),
        started_at: row.started,
        interval_s: row.interval_s,
        last_seq: row.last_seq,
        missed: row.missed,
    };
    answer.print(&shown, |shown| {
        let Shown { content_id, state, interval_s, missed, .. } = shown;
        let began = shown.started_at.to_iso8601();
        let numbers = shown.last_seq.map_or_else(
            || "no numbered heartbeat".to_owned(),
            |last| format!("heartbeat {last} was the last, {missed} never came"),
        );
        format!("{content_id} {state}, began {began}, every {interval_s} s: {numbers}")
    });
    Ok(())
}

async fn show_log(session: &Session, place: &Place, answer: Answer) -> Result<(), Failure> {
    let session = session.read()?;
    let home = place.home().await?;
    let key = home.secrets.log_key();
    let rows = home.store.logs_of(session).await.map_err(Failure::environment)?;
    let since = kept_since(&home);
    let kept = rows.into_iter().filter(|row| row.place.received >= since);
    let logs: Vec<Logged> = kept
        .map(|row| Logged {
            seq: row.place.seq,
            received_at: row.place.received,
            entries: open(&key, row.place, &row.sealed).map(|log| log.entries().to_vec()),
        })
        .collect();
    answer.print(&logs, |logs| lines(logs.iter().flat_map(log_lines), "no log is kept"));
    match logs.iter().filter(|log| log.entries.is_none()).count() {
        0 => Ok(()),
        damaged => Err(Failure::Refused(anyhow!("{damaged} of them do not open"))),
    }
}

async fn show_events(session: &Session, place: &Place, answer: Answer) -> Result<(), Failure> {
    let session = session.read()?;
    let home = place.home().await?;
    let rows = home.store.events_of(session).await.map_err(Failure::environment)?;
    let since = kept_since(&home);
    let kept = rows.into_iter().filter(|row| row.received >= since);
    let told: Vec<Told> = kept
        .map(|row| Told { number: row.number, received_at: row.received, event: row.event })
        .collect();
    let line = |told: &Told| {
        let detail = told.event.detail.as_ref().map_or("", Word::as_str);
        let kind = told.event.kind.name();
        format!("{} {} {kind} {detail}", told.number, told.received_at.to_iso8601())
    };
    answer.print(&told, |told| lines(told.iter().map(line), "no event is kept"));
    Ok(())
}

/// What came before is no longer shown, also where it has not been removed yet.
fn kept_since(home: &Home) -> Timestamp {
    home.config.heartbeat.kept_since(home.clock.now())
}

/// The log's number, then what it says, one entry a line, as JSON: fields that are absent take no
/// place.
fn log_lines(log: &Logged) -> Vec<String> {
    let head = format!("{} {}", log.seq, log.received_at.to_iso8601());
    match &log.entries {
        None => vec![format!("{head} does not open")],
        Some(entries) => {
            let line = |entry| serde_json::to_string(entry).unwrap_or_default();
            entries.iter().map(|entry| format!("{head} {}", line(entry))).collect()
        }
    }
}

fn lines(lines: impl Iterator<Item = String>, none: &str) -> String {
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}
