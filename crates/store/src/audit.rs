//! The audit: append-only rows in one hash chain (R037).
//!
//! hash(n) = SHA-256(hash(n − 1) ‖ row n); the first row follows 32 zero bytes. The head row
//! holds number and hash of the newest row and is what appending locks. Who removes, edits or
//! reorders rows of this chain is found by [`Store::verify_audit`]. Who can write to the
//! database and knows this rule can write another chain; rows that carry a signed checkpoint
//! ([`Store::append_after_head`]) are what he cannot write.

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Query, Row, insert_text, query};
use crate::{Store, StoreError};
use aws_lc_rs::digest::{Context, SHA256};
use model::{ContentId, CorrelationId, DecisionId, KeyId, PlaybackSessionId, Timestamp};
use std::sync::LazyLock;

/// Most entries in one call.
pub const AUDIT_BATCH_MAX: usize = 1024;
/// Longest `actor`, `action` or `detail`, bytes.
pub const AUDIT_TEXT_MAX: usize = 4096;

/// Rows that one statement adds while there are as many left.
const CHUNK: usize = 32;
/// Rows that verification reads at once.
const VERIFY_PAGE: u32 = 1000;
/// How far from a request's arrival its rows are looked for, seconds: the longest that a body
/// and a full queue take, and clocks that differ.
const AROUND_S: u64 = 60;
/// Most rows around a moment that are looked through.
const AROUND_MAX: i64 = 4_000_000;
/// Rows that are looked through at once.
const AROUND_PAGE: i64 = 20_000;
/// Separates this hash from every other use of SHA-256.
const DOMAIN: &[u8] = b"strongroom-audit-v1";

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who did it: `account:…`, `vault`, `operator`.
    pub actor: String,
    /// What was done: `key.generated`, `license.issued`.
    pub action: String,
    /// The title.
    pub content_id: Option<ContentId>,
    /// The key.
    pub kid: Option<KeyId>,
    /// The playback session.
    pub session: Option<PlaybackSessionId>,
    /// The decision that allowed it.
    pub decision: Option<DecisionId>,
    /// The rest, in words or as a JSON document. Never a key.
    pub detail: String,
}

/// Where the chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the newest row; 0: there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Every row is as it was written.
    Whole {
        /// How many rows there are.
        rows: u64,
    },
    /// The chain breaks.
    Broken(FirstBadRow),
}

/// Where the chain breaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBadRow {
    /// The row of this number is gone (or was moved).
    Missing(u64),
    /// The row of this number is not what was written.
    Changed(u64),
    /// The row of this number follows the newest one that was written.
    Foreign(u64),
    /// The row of this number is whole, but whoever looked on disowns it.
    Disowned(u64),
}

impl std::fmt::Display for FirstBadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(row) => write!(f, "row {row} is gone"),
            Self::Changed(row) => write!(f, "row {row} is not what was written"),
            Self::Foreign(row) => write!(f, "row {row} follows the newest that was written"),
            Self::Disowned(row) => write!(f, "row {row} carries a checkpoint of another chain"),
        }
    }
}

impl Store {
    /// Adds entries in their order. When this returns, a power cut does not lose them.
    ///
    /// Errors: [`StoreError::Invalid`] beyond [`AUDIT_BATCH_MAX`] and [`AUDIT_TEXT_MAX`];
    /// [`StoreError::Unavailable`]: what should have been audited must not happen.
    pub async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        check(entries)?;
        repeated(|| async {
            let (mut open, mut seq, mut hash) = self.begin_append().await?;
            let (chunks, rest) = entries.as_chunks::<CHUNK>();
            let single = rest.chunks(1).map(|entry| (ADD_ONE.as_str(), entry));
            let many = chunks.iter().map(|entries| (ADD_CHUNK.as_str(), entries.as_slice()));
            for (sql, entries) in many.chain(single) {
                let mut insert = query(sql);
                for entry in entries {
                    seq += 1;
                    hash = link(&hash, seq, entry);
                    insert = bind(insert, seq, entry, &hash);
                }
                open.run(insert).await?;
            }
            open.run(query(MOVE_HEAD).bind(seq).bind(&hash)).await?;
            open.commit().await
        })
        .await
    }

    /// Adds the entry that `make` makes of the row before it, and returns that row's number and
    /// hash. Nothing comes between the two.
    ///
    /// Errors: as [`Store::append_audit`].
    pub async fn append_after_head(
        &self,
        make: impl Fn(AuditHead) -> AuditEntry,
    ) -> Result<AuditHead, StoreError> {
        repeated(|| async {
            let (mut open, seq, hash) = self.begin_append().await?;
            let head = AuditHead { seq: number(seq), hash };
            let entry = make(head);
            check(std::slice::from_ref(&entry))?;
            let hash = link(&hash, seq + 1, &entry);
            open.run(bind(query(&ADD_ONE), seq + 1, &entry, &hash)).await?;
            open.run(query(MOVE_HEAD).bind(seq + 1).bind(&hash)).await?;
            open.commit().await?;
            Ok(head)
        })
        .await
    }

    /// A transaction that nobody else appends beside, and the head as it finds it.
    async fn begin_append(&self) -> Result<(Transaction, i64, [u8; 32]), Failure> {
        let mut open = self.audit.begin(Durability::Power).await?;
        open.lock(query("SELECT seq FROM audit_head WHERE chain = 1 FOR UPDATE")).await?;
        let head = open.row(query(HEAD)).await?;
        let (seq, hash) = (head.integer("seq")?, head.array("hash")?);
        Ok((open, seq, hash))
    }

    /// The newest row, if there is one.
    pub async fn newest_audit_entry(&self) -> Result<Option<AuditEntry>, StoreError> {
        let newest = query("SELECT * FROM audit ORDER BY seq DESC LIMIT 1");
        self.audit.row(newest).await?.as_ref().map(read_entry).transpose()
    }

    /// The rows that name this request in their detail.
    ///
    /// A request's id says when it arrived, and rows stand in the order of time, so that neither
    /// an index nor a column is needed: the rows of [`AROUND_S`] around that moment are found by
    /// halving, and read. A clock that was set back by more hides rows.
    ///
    /// Limits: of the rows around that moment, the first [`AROUND_MAX`].
    pub async fn audit_of_request(
        &self,
        correlation: CorrelationId,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let arrived = correlation.arrived();
        let before = Timestamp(arrived.0.saturating_sub(AROUND_S * 1000));
        let mut seq = self.first_audit_row_at(before).await?;
        let end = self.first_audit_row_at(arrived.plus_s(AROUND_S)).await?;
        let end = end.min(seq.saturating_add(AROUND_MAX));
        let named = format!("%correlation {correlation}%");
        let mut found = vec![];
        while seq < end {
            let next = seq.saturating_add(AROUND_PAGE).min(end);
            let page = query(
                "SELECT * FROM audit WHERE seq >= $1 AND seq < $2 AND detail LIKE $3 ORDER BY seq",
            );
            let page = page.bind(seq).bind(next).bind(named.as_str());
            for row in self.audit.rows(page).await? {
                found.push(read_entry(&row)?);
            }
            seq = next;
        }
        Ok(found)
    }

    /// The number of the first row that is not from before `at`, by halving.
    async fn first_audit_row_at(&self, at: Timestamp) -> Result<i64, StoreError> {
        let head = self.audit.row(query(HEAD)).await?.ok_or(StoreError::Missing)?;
        let (mut low, mut high) = (1, head.integer("seq")?.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let row = query("SELECT at FROM audit WHERE seq >= $1 ORDER BY seq LIMIT 1");
            let row = self.audit.row(row.bind(middle)).await?;
            match row.map(|row| row.time("at")).transpose()? {
                Some(found) if found < at => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Recomputes the chain from the first row to the newest.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.verify_audit_with(|_, _| true).await
    }

    /// Recomputes the chain and shows each whole row, with the row before it, to `owns`; the
    /// first that it disowns breaks the chain.
    pub async fn verify_audit_with(
        &self,
        mut owns: impl FnMut(AuditHead, &AuditEntry) -> bool + Send,
    ) -> Result<AuditVerdict, StoreError> {
        // The head first: rows added while this runs are not judged.
        let head = self.audit.row(query(HEAD)).await?.ok_or(StoreError::Missing)?;
        let (last, last_hash): (i64, [u8; 32]) = (head.integer("seq")?, head.array("hash")?);
        let (mut seq, mut hash) = (0_i64, [0; 32]);
        while seq < last {
            let page =
                query("SELECT * FROM audit WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3");
            let rows = self.audit.rows(page.bind(seq).bind(last).bind(VERIFY_PAGE)).await?;
            if rows.is_empty() {
                return Ok(AuditVerdict::Broken(FirstBadRow::Missing(number(seq + 1))));
            }
            for row in &rows {
                seq += 1;
                if row.integer("seq")? != seq {
                    return Ok(AuditVerdict::Broken(FirstBadRow::Missing(number(seq))));
                }
                // A row that does not even read back was not written by us.
                let Some((found, entry)) = next(&hash, seq, row) else {
                    return Ok(AuditVerdict::Broken(FirstBadRow::Changed(number(seq))));
                };
                if !owns(AuditHead { seq: number(seq - 1), hash }, &entry) {
                    return Ok(AuditVerdict::Broken(FirstBadRow::Disowned(number(seq))));
                }
                hash = found;
            }
        }
        if hash != last_hash {
            return Ok(AuditVerdict::Broken(FirstBadRow::Changed(number(last))));
        }
        self.refuse_foreign(last).await
    }

    /// Rows after the head that a parallel append has not made.
    async fn refuse_foreign(&self, last: i64) -> Result<AuditVerdict, StoreError> {
        let beyond = query(
            "SELECT audit.seq AS seq FROM audit, audit_head \
             WHERE audit.seq > audit_head.seq OR audit.seq < 1 ORDER BY audit.seq LIMIT 1",
        );
        Ok(match self.audit.row(beyond).await? {
            Some(row) => AuditVerdict::Broken(FirstBadRow::Foreign(number(row.integer("seq")?))),
            None => AuditVerdict::Whole { rows: number(last) },
        })
    }
}

const HEAD: &str = "SELECT seq, hash FROM audit_head WHERE chain = 1";
const MOVE_HEAD: &str = "UPDATE audit_head SET seq = $1, hash = $2 WHERE chain = 1";
const INTO: &str =
    "audit (seq, at, actor, action, content_id, kid, session, decision, detail, hash)";
static ADD_ONE: LazyLock<String> = LazyLock::new(|| insert_text(INTO, 1));
static ADD_CHUNK: LazyLock<String> = LazyLock::new(|| insert_text(INTO, CHUNK));

fn bind(insert: Query, seq: i64, entry: &AuditEntry, hash: &[u8; 32]) -> Query {
    insert
        .bind(seq)
        .bind(entry.at)
        .bind(entry.actor.as_str())
        .bind(entry.action.as_str())
        .bind(entry.content_id.as_ref().map(ContentId::as_str))
        .bind(entry.kid.map(|id| *id.as_bytes()))
        .bind(entry.session.map(|id| *id.as_bytes()))
        .bind(entry.decision.map(|id| *id.as_bytes()))
        .bind(entry.detail.as_str())
        .bind(hash)
}

fn check(entries: &[AuditEntry]) -> Result<(), StoreError> {
    if entries.len() > AUDIT_BATCH_MAX {
        return Err(StoreError::Invalid("too many audit entries at once"));
    }
    let is_short = |entry: &AuditEntry| {
        [&entry.actor, &entry.action, &entry.detail].iter().all(|t| t.len() <= AUDIT_TEXT_MAX)
    };
    if entries.iter().all(is_short) {
        Ok(())
    } else {
        Err(StoreError::Invalid("a text of an audit entry is too long"))
    }
}

/// The hash of a row that follows `previous`.
///
/// Shape: domain ‖ previous ‖ seq (8 bytes) ‖ each column: its length + 1 (8 bytes) and bytes,
/// or 0 where it is null. Integers are big-endian, so no two rows have the same bytes.
fn link(previous: &[u8; 32], seq: i64, entry: &AuditEntry) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    context.update(previous);
    context.update(&seq.to_be_bytes());
    let at = i64::try_from(entry.at.0).unwrap_or(i64::MAX).to_be_bytes();
    let columns: [Option<&[u8]>; 8] = [
        Some(&at),
        Some(entry.actor.as_bytes()),
        Some(entry.action.as_bytes()),
        entry.content_id.as_ref().map(|id| id.as_str().as_bytes()),
        entry.kid.as_ref().map(|id| id.as_bytes().as_slice()),
        entry.session.as_ref().map(|id| id.as_bytes().as_slice()),
        entry.decision.as_ref().map(|id| id.as_bytes().as_slice()),
        Some(entry.detail.as_bytes()),
    ];
    for column in columns {
        context.update(&column.map_or(0, |bytes| bytes.len() as u64 + 1).to_be_bytes());
        context.update(column.unwrap_or_default());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// A stored row and its hash, when it is the one stored with it.
fn next(previous: &[u8; 32], seq: i64, row: &Row) -> Option<([u8; 32], AuditEntry)> {
    let entry = read_entry(row).ok()?;
    let hash = link(previous, seq, &entry);
    (row.array("hash").ok()? == hash).then_some((hash, entry))
}

fn read_entry(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        at: row.time("at")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        content_id: row.optional_parsed("content_id", |text| ContentId::parse(text).ok())?,
        kid: row.optional_array("kid")?.map(KeyId::from_bytes),
        session: row.optional_array("session")?.map(PlaybackSessionId::from_bytes),
        decision: row.optional_array("decision")?.map(DecisionId::from_bytes),
        detail: row.text("detail")?,
    })
}

/// A row number to show; one below zero, which only a stranger can write, shows as 0.
fn number(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}
