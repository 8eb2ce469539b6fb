//! Streams that run now. The limit is decided under the lock of the account (R085).

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Query, Row, query};
use crate::{PAGE_MAX, Store, StoreError};
use model::{AccountId, ContentId, DecisionId, DeviceId, PlaybackSessionId, Timestamp};
use playback::Denial;
use playback::lease::{
    LiveStream, Reserved, StreamEnd, ends_by, lease_ms, reserve, reserved_until,
};

/// Streams of an account that no longer run and are remembered until their day is over.
const REMEMBERED: u32 = 64;

/// How many missing numbers one heartbeat can account for.
const MISSED_AT_ONCE: u32 = 1_000_000;

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
    /// How often its player reports, seconds.
    pub interval_s: u32,
    /// Whether a player begins: its heartbeats are numbered anew, and its day begins. Otherwise the
    /// session is one that lapsed and goes on.
    pub is_anew: bool,
    /// Now.
    pub now: Timestamp,
}

impl StartStream {
    fn find_slot(&self, live: &[LiveStream]) -> Result<Reserved, Denial> {
        reserve(live, self.max_streams, self.device, &self.content_id, self.now)
    }
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
    /// When it ends at the latest.
    pub ends_by: Timestamp,
    /// How often its player reports, seconds.
    pub interval_s: u32,
    /// The newest heartbeat's number.
    pub last_seq: Option<u64>,
    /// How many numbers before it never came.
    pub missed: u64,
    /// How it ended, where it was not left to lapse.
    pub end: Option<StreamEnd>,
    /// Session, device, title, expiry (0 where it lapsed or ended).
    pub stream: LiveStream,
}

/// A stream that runs, and the name of its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningStream {
    /// The stream.
    pub row: StreamRow,
    /// The title's name; absent where the catalog has it no more.
    pub title: Option<String>,
}

impl Store {
    /// Reserves a slot for a stream, or finds the one that the device already has for the title.
    ///
    /// A plan that is seen to be full is refused without the lock, so that a storm of starts on one
    /// account holds no connection of the database for long; who is granted is decided under it.
    ///
    /// The inner error is the refusal: the plan is full. The outer ones:
    /// [`StoreError::Missing`] when there is no such account, [`StoreError::Conflict`] when the
    /// session is another's, has ended or has had its day.
    pub async fn start_stream(
        &self,
        request: &StartStream,
    ) -> Result<Result<PlaybackSessionId, Denial>, StoreError> {
        let seen = self.rows.rows(live(request.account.as_bytes())).await?;
        let seen = seen.iter().map(|row| Ok(read_stream(row)?.stream));
        let seen = seen.collect::<Result<Vec<_>, StoreError>>()?;
        if let Err(denial) = request.find_slot(&seen) {
            return Ok(Err(denial));
        }
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Process).await?;
            let lock = query("SELECT id FROM accounts WHERE id = $1 FOR UPDATE");
            open.lock(lock.bind(request.account.as_bytes())).await?;
            let live = live_streams(&mut open, request).await?;
            let session = match request.find_slot(&live) {
                Err(denial) => return Ok(Err(denial)),
                Ok(Reserved::New) if request.is_anew => {
                    forget(&mut open, request).await?;
                    insert(&mut open, request).await?;
                    request.session
                }
                Ok(Reserved::New) => {
                    revive(&mut open, request).await?;
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

    /// Turns a reservation into a lease of three intervals from now, or renews the lease. It never
    /// reaches beyond the stream's day.
    ///
    /// False: the stream has ended or expired, and its slot may be another's by now; or the plan
    /// has shrunk and as many streams as it allows are older. A renewal that arrives late never
    /// shortens a lease.
    pub async fn lease_stream(
        &self,
        session: PlaybackSessionId,
        max_streams: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE playback_sessions SET is_leased = 1, expires_at = CASE \
             WHEN expires_at > $2 + $3 * interval_s THEN expires_at \
             WHEN ends_by < $2 + $3 * interval_s THEN ends_by \
             ELSE $2 + $3 * interval_s END \
             WHERE session = $1 AND expires_at > $2 AND \
             (SELECT COUNT(*) FROM playback_sessions elder \
             WHERE elder.account = playback_sessions.account AND elder.expires_at > $2 AND \
             (elder.started_at < playback_sessions.started_at OR \
             (elder.started_at = playback_sessions.started_at AND \
             elder.session < playback_sessions.session))) < $4",
        )
        .bind(session.as_bytes())
        .bind(now)
        .bind(i64::try_from(lease_ms(1)).unwrap_or(i64::MAX))
        .bind(max_streams);
        Ok(self.rows.run(Durability::Process, update).await? > 0)
    }

    /// Takes the next number of a session's heartbeats and counts those that never came. One
    /// statement, so that of two equal numbers at once one is taken.
    ///
    /// False: this number, or a later one, was there before.
    pub async fn take_seq(&self, session: PlaybackSessionId, seq: u64) -> Result<bool, StoreError> {
        let (seq, most) = (ordered(seq), i64::from(MISSED_AT_ONCE));
        let before = seq.saturating_sub(1);
        let update = query(
            "UPDATE playback_sessions SET last_seq = $2, missed = missed + CASE \
             WHEN last_seq IS NULL THEN 0 WHEN last_seq < $4 THEN $5 ELSE $3 - last_seq END \
             WHERE session = $1 AND (last_seq IS NULL OR last_seq < $2)",
        )
        .bind(session.as_bytes())
        .bind(seq)
        .bind(before)
        .bind(before.saturating_sub(most))
        .bind(most);
        Ok(self.rows.run(Durability::Process, update).await? > 0)
    }

    /// A stream; it may have lapsed or ended.
    pub async fn stream(
        &self,
        session: PlaybackSessionId,
    ) -> Result<Option<StreamRow>, StoreError> {
        let select = query("SELECT * FROM playback_sessions WHERE session = $1");
        let row = self.rows.row(select.bind(session.as_bytes())).await?;
        row.as_ref().map(read_stream).transpose()
    }

    /// The streams of an account that run, the oldest first, at most [`PAGE_MAX`].
    pub async fn running_streams(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<RunningStream>, StoreError> {
        let select = query(
            "SELECT playback_sessions.*, titles.name AS title_name FROM playback_sessions \
             LEFT JOIN titles ON titles.content_id = playback_sessions.content_id \
             WHERE account = $1 AND expires_at > $2 ORDER BY started_at, session LIMIT $3",
        );
        let rows = self.rows.rows(select.bind(account.as_bytes()).bind(now).bind(PAGE_MAX)).await?;
        let read = |row: &Row| {
            Ok(RunningStream { row: read_stream(row)?, title: row.optional_text("title_name")? })
        };
        rows.iter().map(read).collect()
    }

    /// Ends a stream of `account` and frees its slot. False: the account has no such stream, or
    /// it had ended before.
    pub async fn end_stream(
        &self,
        session: PlaybackSessionId,
        account: AccountId,
        end: StreamEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE playback_sessions SET expires_at = 0, ended_at = $3, end_reason = $4 \
             WHERE session = $1 AND account = $2 AND ended_at IS NULL",
        )
        .bind(session.as_bytes())
        .bind(account.as_bytes())
        .bind(now)
        .bind(end.name());
        Ok(self.rows.run(Durability::Process, update).await? > 0)
    }
}

/// The streams of the account that run. Those that lapsed are marked so, that a renewal which set
/// out before now cannot bring one back beside the stream that takes its slot.
async fn live_streams(
    open: &mut Transaction,
    request: &StartStream,
) -> Result<Vec<LiveStream>, Failure> {
    let (account, now) = (request.account.as_bytes(), request.now);
    let mut rows = streams_of(open, account).await?;
    if rows.iter().any(|row| row.stream.expires <= now) {
        let lapse = query(
            "UPDATE playback_sessions SET expires_at = 0 WHERE account = $1 AND expires_at <= $2",
        );
        open.run(lapse.bind(account).bind(now)).await?;
        rows = streams_of(open, account).await?;
    }
    Ok(rows.into_iter().map(|row| row.stream).collect())
}

/// Forgets the account's streams whose day is over, and of those that no longer run the oldest.
async fn forget(open: &mut Transaction, request: &StartStream) -> Result<(), Failure> {
    let forget = query(
        "DELETE FROM playback_sessions WHERE account = $1 AND expires_at = 0 AND \
         (ends_by <= $2 OR session NOT IN (SELECT session FROM playback_sessions \
         WHERE account = $1 AND expires_at = 0 ORDER BY started_at DESC, session LIMIT $3))",
    );
    let forget = forget.bind(request.account.as_bytes()).bind(request.now).bind(REMEMBERED);
    open.run(forget).await.map(drop)
}

/// Reads the account's streams that neither ended nor are known to have lapsed.
fn live(account: &[u8; 16]) -> Query {
    query("SELECT * FROM playback_sessions WHERE account = $1 AND expires_at > 0").bind(account)
}

/// The account's streams that neither ended nor are known to have lapsed.
async fn streams_of(open: &mut Transaction, account: &[u8; 16]) -> Result<Vec<StreamRow>, Failure> {
    let rows = open.rows(live(account)).await?;
    Ok(rows.iter().map(read_stream).collect::<Result<_, StoreError>>()?)
}

async fn insert(open: &mut Transaction, request: &StartStream) -> Result<(), Failure> {
    let insert = query(
        "INSERT INTO playback_sessions (session, account, device, content_id, decision, \
         started_at, expires_at, is_leased, interval_s, ends_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)",
    )
    .bind(request.session.as_bytes())
    .bind(request.account.as_bytes())
    .bind(request.device.as_bytes())
    .bind(&request.content_id)
    .bind(request.decision.as_bytes())
    .bind(request.now)
    .bind(reserved_until(request.now))
    .bind(request.interval_s)
    .bind(ends_by(request.now));
    open.run(insert).await.map(drop)
}

/// A stream of this device that lapsed has a slot again, within its day.
async fn revive(open: &mut Transaction, request: &StartStream) -> Result<(), Failure> {
    let update = query(
        "UPDATE playback_sessions SET decision = $5, expires_at = $6, is_leased = 0 \
         WHERE session = $1 AND account = $2 AND device = $3 AND content_id = $4 \
         AND ended_at IS NULL AND ends_by > $7",
    )
    .bind(request.session.as_bytes())
    .bind(request.account.as_bytes())
    .bind(request.device.as_bytes())
    .bind(&request.content_id)
    .bind(request.decision.as_bytes())
    .bind(reserved_until(request.now))
    .bind(request.now);
    if open.run(update).await? == 0 { Err(StoreError::Conflict.into()) } else { Ok(()) }
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
    open.run(update).await?;
    if request.is_anew {
        let anew = query(
            "UPDATE playback_sessions SET last_seq = NULL, interval_s = $2, ends_by = $3 \
             WHERE session = $1",
        );
        let anew = anew.bind(session.as_bytes()).bind(request.interval_s);
        open.run(anew.bind(ends_by(request.now))).await?;
    }
    Ok(())
}

/// A 64-bit number as a signed one in the same order.
pub(crate) const fn ordered(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

/// The number behind [`ordered`].
pub(crate) const fn unordered(stored: i64) -> u64 {
    stored.cast_unsigned() ^ (1 << 63)
}

fn read_stream(row: &Row) -> Result<StreamRow, StoreError> {
    Ok(StreamRow {
        account: AccountId::from_bytes(row.array("account")?),
        decision: DecisionId::from_bytes(row.array("decision")?),
        started: row.time("started_at")?,
        ends_by: row.time("ends_by")?,
        interval_s: row.u32("interval_s")?,
        last_seq: row.optional_integer("last_seq")?.map(unordered),
        missed: row.time("missed")?.0,
        end: row.optional_parsed("end_reason", StreamEnd::from_name)?,
        stream: LiveStream {
            session: PlaybackSessionId::from_bytes(row.array("session")?),
            device: DeviceId::from_bytes(row.array("device")?),
            content_id: row.content_id("content_id")?,
            expires: row.time("expires_at")?,
            is_leased: row.boolean("is_leased")?,
        },
    })
}
