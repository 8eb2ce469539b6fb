//! `account offline` and `account usage`: what an account's devices keep, and how it was used.

use super::{Name, Offline};
use crate::command::{Failure, Place};
use crate::screen::Answer;
use anyhow::Context as _;
use model::{Account, ContentId, DeviceId, GrantId, PlaybackSessionId, Timestamp};
use serde::Serialize;
use server::Home;

/// One title on one device.
#[derive(Serialize)]
struct Kept {
    content_id: ContentId,
    device: DeviceId,
    license: GrantId,
    issued_at: Timestamp,
    ends_at: Timestamp,
    released_at: Option<Timestamp>,
}

/// One license's use.
#[derive(Serialize)]
struct Usage {
    content_id: ContentId,
    session: PlaybackSessionId,
    device: DeviceId,
    license: GrantId,
    first_played_at: Option<Timestamp>,
    last_played_at: Option<Timestamp>,
    received_at: Timestamp,
}

/// Prints what an account's devices keep and gave back lately.
pub async fn show_kept(offline: Offline, place: &Place, answer: Answer) -> Result<(), Failure> {
    let free = offline.free.as_deref().map(ContentId::parse).transpose();
    let free = free.context("--free").map_err(Failure::Environment)?;
    let home = place.home().await?;
    let account = known(&home, &offline.name).await?;
    let now = home.clock.now();
    let read = async || home.store.kept_licenses(account.id).await.map_err(Failure::environment);
    let mut rows = read().await?;
    if let Some(title) = free {
        for row in rows.iter().filter(|row| row.content_id == title && row.is_kept(now)) {
            let freed = home.store.free_kept(account.id, row.device, &title, now).await;
            freed.map_err(Failure::environment)?;
        }
        rows = read().await?;
    }
    let rows = rows.into_iter().filter(|row| row.ends > now).map(|row| Kept {
        content_id: row.content_id,
        device: row.device,
        license: row.license,
        issued_at: row.issued,
        ends_at: row.ends,
        released_at: row.released,
    });
    let rows: Vec<Kept> = rows.collect();
    answer.print(&rows, |rows| {
        let line = |row: &Kept| {
            let state = if row.released_at.is_some() { "given back" } else { "kept" };
            format!("{} {} {state}, ends {}", row.content_id, row.device, row.ends_at.as_s())
        };
        lines(rows, line, "no title is kept")
    });
    Ok(())
}

/// Prints when licenses that were given back were used.
pub async fn show_usage(account: Name, place: &Place, answer: Answer) -> Result<(), Failure> {
    let home = place.home().await?;
    let account = known(&home, &account.name).await?;
    let records = home.store.usage_records(account.id).await.map_err(Failure::environment)?;
    let rows = records.into_iter().map(|record| Usage {
        content_id: record.content_id,
        session: record.session,
        device: record.device,
        license: record.license,
        first_played_at: record.first_played,
        last_played_at: record.last_played,
        received_at: record.received,
    });
    let rows: Vec<Usage> = rows.collect();
    answer.print(&rows, |rows| {
        let line = |row: &Usage| {
            let used = match (row.first_played_at, row.last_played_at) {
                (Some(first), Some(last)) => format!("{} to {}", first.as_s(), last.as_s()),
                (Some(first), None) => format!("from {}", first.as_s()),
                (None, _) => "not played".to_owned(),
            };
            format!("{} session {} {used}", row.content_id, row.session)
        };
        lines(rows, line, "no record of use")
    });
    Ok(())
}

pub(super) async fn known(home: &Home, name: &str) -> Result<Account, Failure> {
    let found = home.store.account_by_name(name).await.map_err(Failure::environment)?;
    let found = found.with_context(|| format!("there is no account named {name}"));
    found.map(|(account, _)| account).map_err(Failure::Refused)
}

fn lines<T>(rows: &[T], line: impl Fn(&T) -> String, none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
