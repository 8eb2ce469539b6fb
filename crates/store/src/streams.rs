//! Streams that run now. The limit is decided under the lock of the account (R085).

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Row, query};
use crate::{Store, StoreError};
use model::{AccountId, ContentId, DecisionId, DeviceId, PlaybackSessionId, Timestamp};
use playback::Denial;
use playback::lease::{LiveStream, Reserved, reserve, reserved_until};

/// A stream that wants to start.
#[derive(Clone, Debug)]
pub struct StartStream {
    /// The session it becomes, unless the account, device and title have one.
    pub session: PlaybackSessionId,
    /// Who watches.
    pub account: AccountId,
    /// On what.
    pub device: DeviceId,
    /// What.
    pub content_id: ContentId,
    /// How many streams the account's plan allows at once.
    pub max_streams: u32,
    /// The decision that allows it.
    pub decision: DecisionId,
    /// Now.
    pub now: Timestamp,
}

/// A stream as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// Who watches.
    pub account: AccountId,
    /// The decision that allowed it last.
    pub decision: DecisionId,
    /// When it began.
    pub started: Timestamp,
    /// Session, device, title, expiry.
    pub stream: LiveStream,
}

impl Store {
    /// Reserves a slot for a stream, or finds the one that the device already has for the title.
    ///
    /// The inner error is the refusal: the plan is full. The outer ones:
    /// [`StoreError::Missing`] when there is no such account.
    pub async fn start_stream(
        &self,
        request: &StartStream,
    ) -> Result<Result<PlaybackSessionId, Denial>, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Process).await?;
            let lock = query("SELECT id FROM accounts WHERE id = $1 FOR UPDATE");
            open.lock(lock.bind(request.account.as_bytes())).await?;
            let live = live_streams(&mut open, request).await?;
            let session = match reserve(
                &live,
                request.max_streams,
                request.device,
                &request.content_id,
                request.now,
            ) {
                Err(denial) => return Ok(Err(denial)),
                Ok(Reserved::New) => {
                    insert(&mut open, request).await?;
                    request.session
                }
                Ok(Reserved::Reuse(session)) => {
                    reuse(&mut open, session, request).await?;
                    session
                }
            };
            open.commit().await?;
            Ok(Ok(session))
        })
        .await
    }

    /// Turns a reservation into a lease until `expires`, or renews the lease.
    ///
    /// False: the stream has ended or expired; its slot may be another's by now. A renewal
    /// that arrives late never shortens a lease.
    pub async fn lease_stream(
        &self,
        session: PlaybackSessionId,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE playback_sessions SET is_leased = 1, \
             expires_at = CASE WHEN expires_at > $3 THEN expires_at ELSE $3 END \
             WHERE session = $1 AND expires_at > $2",
        )
        .bind(session.as_bytes())
        .bind(now)
        .bind(expires);
        Ok(self.rows.run(Durability::Process, update).await? > 0)
    }

    /// A stream; it may have expired.
    pub async fn stream(
        &self,
        session: PlaybackSessionId,
    ) -> Result<Option<StreamRow>, StoreError> {
        let select = query("SELECT * FROM playback_sessions WHERE session = $1");
        let row = self.rows.row(select.bind(session.as_bytes())).await?;
        row.as_ref().map(read_stream).transpose()
    }

    /// Ends a stream of `account` and frees its slot. False: the account has no such stream.
    pub async fn end_stream(
        &self,
        session: PlaybackSessionId,
        account: AccountId,
    ) -> Result<bool, StoreError> {
        let delete = query("DELETE FROM playback_sessions WHERE session = $1 AND account = $2")
            .bind(session.as_bytes())
            .bind(account.as_bytes());
        Ok(self.rows.run(Durability::Process, delete).await? > 0)
    }
}

async fn live_streams(
    open: &mut Transaction,
    request: &StartStream,
) -> Result<Vec<LiveStream>, Failure> {
    let expired = query("DELETE FROM playback_sessions WHERE account = $1 AND expires_at <= $2");
    open.run(expired.bind(request.account.as_bytes()).bind(request.now)).await?;
    let select = query("SELECT * FROM playback_sessions WHERE account = $1");
    let rows = open.rows(select.bind(request.account.as_bytes())).await?;
    Ok(rows.iter().map(|row| Ok(read_stream(row)?.stream)).collect::<Result<_, StoreError>>()?)
}

async fn insert(open: &mut Transaction, request: &StartStream) -> Result<(), Failure> {
    let insert = query(
        "INSERT INTO playback_sessions (session, account, device, content_id, decision, \
         started_at, expires_at, is_leased) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
    )
    .bind(request.session.as_bytes())
    .bind(request.account.as_bytes())
    .bind(request.device.as_bytes())
    .bind(&request.content_id)
    .bind(request.decision.as_bytes())
    .bind(request.now)
    .bind(reserved_until(request.now));
    open.run(insert).await.map(drop)
}

/// The slot serves again under the new decision; a running lease is not shortened.
async fn reuse(
    open: &mut Transaction,
    session: PlaybackSessionId,
    request: &StartStream,
) -> Result<(), Failure> {
    let update = query(
        "UPDATE playback_sessions SET decision = $2, \
         expires_at = CASE WHEN expires_at > $3 THEN expires_at ELSE $3 END WHERE session = $1",
    )
    .bind(session.as_bytes())
    .bind(request.decision.as_bytes())
    .bind(reserved_until(request.now));
    open.run(update).await.map(drop)
}

fn read_stream(row: &Row) -> Result<StreamRow, StoreError> {
    Ok(StreamRow {
        account: AccountId::from_bytes(row.array("account")?),
        decision: DecisionId::from_bytes(row.array("decision")?),
        started: row.time("started_at")?,
        stream: LiveStream {
            session: PlaybackSessionId::from_bytes(row.array("session")?),
            device: DeviceId::from_bytes(row.array("device")?),
            content_id: row.content_id("content_id")?,
            expires: row.time("expires_at")?,
            is_leased: row.boolean("is_leased")?,
        },
    })
}
