//! How requests ended: a bounded log beside the audit's chain, for `explain`.
//!
//! Refusals, and token calls that were allowed, each the newest so many. Its rows survive the
//! end of the process, and a power cut may undo the last moments: nothing is decided by them.

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Query, Row, insert_text, query};
use crate::titles::document;
use crate::{Store, StoreError};
use model::{
    AccountId, ContentId, CorrelationId, DecisionId, Dialect, PlaybackSessionId, Timestamp,
};
use playback::Trace;
use std::sync::LazyLock;

/// Most outcomes in one call.
pub const OUTCOME_BATCH_MAX: usize = 128;

/// Rows that one statement adds while there are as many left.
const CHUNK: usize = 16;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskedRoute {
    /// A playback token.
    Token,
    /// A license.
    License,
    /// That a stream goes on.
    Heartbeat,
}

impl AskedRoute {
    /// The name in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::License => "license",
            Self::Heartbeat => "heartbeat",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Token, Self::License, Self::Heartbeat].into_iter().find(|route| route.name() == text)
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With what was asked for.
    Allowed,
    /// With a refusal.
    Refused {
        /// The stable code that the caller read.
        code: String,
        /// The inner reason.
        reason: String,
    },
}

/// One request and its outcome. Holds no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestOutcome {
    /// When it ended.
    pub at: Timestamp,
    /// The request.
    pub correlation: CorrelationId,
    /// What was asked for.
    pub route: AskedRoute,
    /// The dialect of a license request.
    pub dialect: Option<Dialect>,
    /// How it ended.
    pub ended: Ended,
    /// The decision.
    pub decision: Option<DecisionId>,
    /// The account, where a credential proved one.
    pub account: Option<AccountId>,
    /// The playback session.
    pub session: Option<PlaybackSessionId>,
    /// The title.
    pub content_id: Option<ContentId>,
    /// What the rules said.
    pub trace: Trace,
}

impl Store {
    /// Adds outcomes; the newest `keep` refusals stay, and as many of the allowed.
    ///
    /// Errors: [`StoreError::Invalid`] beyond [`OUTCOME_BATCH_MAX`]; [`StoreError::Unavailable`].
    pub async fn append_outcomes(
        &self,
        outcomes: &[RequestOutcome],
        keep: u32,
    ) -> Result<(), StoreError> {
        if outcomes.len() > OUTCOME_BATCH_MAX {
            return Err(StoreError::Invalid("too many outcomes at once"));
        }
        let (refused, allowed): (Vec<_>, Vec<_>) =
            outcomes.iter().partition(|outcome| outcome.ended != Ended::Allowed);
        for (kind, outcomes) in [(&REFUSED, refused), (&ALLOWED, allowed)] {
            if !outcomes.is_empty() {
                repeated(|| async {
                    let mut open = self.rows.begin(Durability::Process).await?;
                    append(&mut open, kind, &outcomes, keep).await?;
                    open.commit().await
                })
                .await?;
            }
        }
        Ok(())
    }

    /// How a request ended, where it is remembered.
    pub async fn outcome(
        &self,
        correlation: CorrelationId,
    ) -> Result<Option<RequestOutcome>, StoreError> {
        let select = query("SELECT * FROM outcomes WHERE correlation = $1 ORDER BY seq LIMIT 1");
        self.rows.row(select.bind(correlation.as_bytes())).await?.as_ref().map(read).transpose()
    }
}

/// A kind of outcome: its mark, and how its number is drawn.
struct Kind {
    is_refused: bool,
    draw: &'static str,
}

const REFUSED: Kind = Kind {
    is_refused: true,
    draw: "UPDATE settings SET value = value + $1 WHERE name = 'refused_outcomes' RETURNING value",
};
const ALLOWED: Kind = Kind {
    is_refused: false,
    draw: "UPDATE settings SET value = value + $1 WHERE name = 'allowed_outcomes' RETURNING value",
};

async fn append(
    open: &mut Transaction,
    kind: &Kind,
    outcomes: &[&RequestOutcome],
    keep: u32,
) -> Result<(), Failure> {
    let count = i64::try_from(outcomes.len()).unwrap_or(i64::MAX);
    let last = open.row(query(kind.draw).bind(count)).await?.integer("value")?;
    let mut seq = last.saturating_sub(count);
    let (chunks, rest) = outcomes.as_chunks::<CHUNK>();
    let single = rest.chunks(1).map(|outcome| (ADD_ONE.as_str(), outcome));
    let many = chunks.iter().map(|outcomes| (ADD_CHUNK.as_str(), outcomes.as_slice()));
    for (sql, outcomes) in many.chain(single) {
        let mut insert = query(sql);
        for outcome in outcomes {
            seq += 1;
            insert = bind(insert, kind, seq, outcome)?;
        }
        open.run(insert).await?;
    }
    let delete = query("DELETE FROM outcomes WHERE is_refused = $1 AND seq <= $2");
    open.run(delete.bind(kind.is_refused).bind(last - i64::from(keep))).await.map(drop)
}

const INTO: &str = "outcomes (is_refused, seq, at, correlation, route, dialect, code, reason, \
     decision, account, session, content_id, trace)";
static ADD_ONE: LazyLock<String> = LazyLock::new(|| insert_text(INTO, 1));
static ADD_CHUNK: LazyLock<String> = LazyLock::new(|| insert_text(INTO, CHUNK));

fn bind(
    insert: Query,
    kind: &Kind,
    seq: i64,
    outcome: &RequestOutcome,
) -> Result<Query, StoreError> {
    let (code, reason) = match &outcome.ended {
        Ended::Allowed => (None, None),
        Ended::Refused { code, reason } => (Some(code.as_str()), Some(reason.as_str())),
    };
    Ok(insert
        .bind(kind.is_refused)
        .bind(seq)
        .bind(outcome.at)
        .bind(outcome.correlation.as_bytes())
        .bind(outcome.route.name())
        .bind(outcome.dialect.map(Dialect::name))
        .bind(code)
        .bind(reason)
        .bind(outcome.decision.map(|id| *id.as_bytes()))
        .bind(outcome.account.map(|id| *id.as_bytes()))
        .bind(outcome.session.map(|id| *id.as_bytes()))
        .bind(outcome.content_id.as_ref().map(ContentId::as_str))
        .bind(document(&outcome.trace)?))
}

fn read(row: &Row) -> Result<RequestOutcome, StoreError> {
    let ended = match (row.optional_text("code")?, row.optional_text("reason")?) {
        (Some(code), Some(reason)) => Ended::Refused { code, reason },
        _ => Ended::Allowed,
    };
    Ok(RequestOutcome {
        at: row.time("at")?,
        correlation: CorrelationId::from_bytes(row.array("correlation")?),
        route: row.parsed("route", AskedRoute::parse)?,
        dialect: row.optional_parsed("dialect", Dialect::parse)?,
        ended,
        decision: row.optional_array("decision")?.map(DecisionId::from_bytes),
        account: row.optional_array("account")?.map(AccountId::from_bytes),
        session: row.optional_array("session")?.map(PlaybackSessionId::from_bytes),
        content_id: row.optional_parsed("content_id", |text| ContentId::parse(text).ok())?,
        trace: row.json("trace")?,
    })
}
