//! What players told of a playback: sealed logs (R151) and events (R055), for the operator, for a
//! time. Nothing is decided by them.

use crate::database::{Durability, repeated};
use crate::error::Failure;
use crate::query::{Query, Row, query};
use crate::streams::{ordered, unordered};
use crate::{PAGE_MAX, Store, StoreError};
use model::{AccountId, PlaybackSessionId, Timestamp};
use playback::log_seal::LogPlace;
use playback::report::{PlayerEvent, PlayerEventKind, Word};

/// Most events of one playback session.
pub const SESSION_EVENTS_MAX: u32 = 1000;

/// Newest logs of an account that are kept.
pub const ACCOUNT_LOGS_MAX: u32 = 4096;

/// A log as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedLog {
    /// The row's name.
    pub id: [u8; 16],
    /// Whose.
    pub account: AccountId,
    /// What it is sealed for.
    pub place: LogPlace,
    /// Ciphertext.
    pub sealed: Vec<u8>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the session, from 1 on.
    pub number: u32,
    /// What the player told.
    pub event: PlayerEvent,
    /// When it arrived.
    pub received: Timestamp,
}

impl Store {
    /// Keeps a log. Errors: [`StoreError::Missing`] when there is no such account.
    pub async fn put_log(&self, log: &SealedLog) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO playback_logs (id, account, session, seq, received_at, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&log.id)
        .bind(log.account.as_bytes())
        .bind(log.place.session.as_bytes())
        .bind(ordered(log.place.seq))
        .bind(log.place.received)
        .bind(log.sealed.as_slice());
        self.rows.run(Durability::Process, insert).await.map(drop)
    }

    /// Forgets all but the account's newest [`ACCOUNT_LOGS_MAX`] logs.
    pub async fn trim_logs(&self, account: AccountId) -> Result<u64, StoreError> {
        let delete = query(
            "DELETE FROM playback_logs WHERE account = $1 AND received_at < \
             (SELECT received_at FROM playback_logs WHERE account = $1 \
             ORDER BY received_at DESC LIMIT 1 OFFSET $2)",
        );
        let delete = delete.bind(account.as_bytes()).bind(ACCOUNT_LOGS_MAX - 1);
        self.rows.run(Durability::Process, delete).await
    }

    /// The newest logs of a session, at most [`PAGE_MAX`], in the order they came.
    pub async fn logs_of(&self, session: PlaybackSessionId) -> Result<Vec<SealedLog>, StoreError> {
        let select = query(
            "SELECT * FROM playback_logs WHERE session = $1 \
             ORDER BY received_at DESC, seq DESC, id LIMIT $2",
        );
        let rows = self.rows.rows(select.bind(session.as_bytes()).bind(PAGE_MAX)).await?;
        rows.iter().rev().map(read_log).collect()
    }

    /// Keeps the events of a session of the account, behind those that are there.
    ///
    /// False: the session has told [`SESSION_EVENTS_MAX`], or there is no such session.
    pub async fn put_events(
        &self,
        session: PlaybackSessionId,
        account: AccountId,
        events: &[PlayerEvent],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Process).await?;
            // The first statement writes, so that it holds the row until the end.
            let take = query(
                "UPDATE playback_sessions SET events = events + $3 \
                 WHERE session = $1 AND account = $2 AND events + $3 <= $4",
            );
            let take = take.bind(session.as_bytes()).bind(account.as_bytes());
            if open.run(take.bind(count).bind(SESSION_EVENTS_MAX)).await? == 0 {
                return Ok(false);
            }
            let select = query("SELECT events FROM playback_sessions WHERE session = $1");
            let last = open.row(select.bind(session.as_bytes())).await?.u32("events")?;
            for (number, event) in (last.saturating_sub(count) + 1..).zip(events) {
                open.run(insert_event(session, account, number, event, now)).await?;
            }
            open.commit().await?;
            Ok::<bool, Failure>(true)
        })
        .await
    }

    /// The events of a session, in their order.
    pub async fn events_of(
        &self,
        session: PlaybackSessionId,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let select =
            query("SELECT * FROM playback_events WHERE session = $1 ORDER BY number LIMIT $2");
        let rows = self.rows.rows(select.bind(session.as_bytes()).bind(SESSION_EVENTS_MAX)).await?;
        rows.iter().map(read_event).collect()
    }

    /// Forgets logs and events that came before then; says how many.
    pub async fn forget_reports(&self, before: Timestamp) -> Result<u64, StoreError> {
        let logs = query("DELETE FROM playback_logs WHERE received_at < $1").bind(before);
        let events = query("DELETE FROM playback_events WHERE received_at < $1").bind(before);
        let logs = self.rows.run(Durability::Process, logs).await?;
        Ok(logs + self.rows.run(Durability::Process, events).await?)
    }
}

fn insert_event(
    session: PlaybackSessionId,
    account: AccountId,
    number: u32,
    event: &PlayerEvent,
    now: Timestamp,
) -> Query {
    query(
        "INSERT INTO playback_events (session, number, account, kind, detail, told_at, received_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(session.as_bytes())
    .bind(number)
    .bind(account.as_bytes())
    .bind(event.kind.name())
    .bind(event.detail.as_ref().map(Word::as_str))
    .bind(event.at)
    .bind(now)
}

fn read_log(row: &Row) -> Result<SealedLog, StoreError> {
    Ok(SealedLog {
        id: row.array("id")?,
        account: AccountId::from_bytes(row.array("account")?),
        place: LogPlace {
            session: PlaybackSessionId::from_bytes(row.array("session")?),
            seq: unordered(row.integer("seq")?),
            received: row.time("received_at")?,
        },
        sealed: row.bytes("sealed")?,
    })
}

fn read_event(row: &Row) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        number: row.u32("number")?,
        event: PlayerEvent {
            kind: row.parsed("kind", PlayerEventKind::from_name)?,
            at: row.time("told_at")?,
            detail: row.optional_parsed("detail", |text| Word::parse(text).ok())?,
        },
        received: row.time("received_at")?,
    })
}
