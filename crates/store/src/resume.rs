//! Where an account left a title (R074).

use crate::database::Durability;
use crate::query::{Query, query};
use crate::{Store, StoreError};
use model::{AccountId, ContentId, Timestamp};

/// Where an account left a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// Seconds from the title's begin.
    pub position_s: u32,
    /// How often it was changed.
    pub version: u32,
    /// When last.
    pub updated: Timestamp,
}

impl Store {
    /// Keeps the position. Errors: [`StoreError::Missing`] when there is no such account.
    pub async fn put_resume(
        &self,
        account: AccountId,
        content_id: &ContentId,
        position_s: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let upsert = query(
            "INSERT INTO resume_points (account, content_id, position_s, updated_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (account, content_id) DO UPDATE SET \
             position_s = excluded.position_s, updated_at = excluded.updated_at, \
             version = resume_points.version + 1",
        );
        let upsert = bind_point(upsert, account, content_id, position_s, now);
        self.rows.run(Durability::Process, upsert).await.map(drop)
    }

    /// Keeps the position where nobody has changed it since the caller read it: version 0 is that
    /// of a title without one. Decided by one statement; false: it has another version by now.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such account.
    pub async fn change_resume(
        &self,
        account: AccountId,
        content_id: &ContentId,
        position_s: u32,
        read_version: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = match read_version {
            0 => query(
                "INSERT INTO resume_points (account, content_id, position_s, updated_at) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (account, content_id) DO NOTHING",
            ),
            _ => query(
                "UPDATE resume_points SET position_s = $3, updated_at = $4, \
                 version = version + 1 \
                 WHERE account = $1 AND content_id = $2 AND version = $5",
            ),
        };
        let change = bind_point(change, account, content_id, position_s, now);
        let change = if read_version == 0 { change } else { change.bind(read_version) };
        Ok(self.rows.run(Durability::Process, change).await? > 0)
    }

    /// The position, where there is one.
    pub async fn resume(
        &self,
        account: AccountId,
        content_id: &ContentId,
    ) -> Result<Option<u32>, StoreError> {
        Ok(self.resume_point(account, content_id).await?.map(|point| point.position_s))
    }

    /// The position with its version, where there is one.
    pub async fn resume_point(
        &self,
        account: AccountId,
        content_id: &ContentId,
    ) -> Result<Option<ResumePoint>, StoreError> {
        let select = query(
            "SELECT position_s, version, updated_at FROM resume_points \
             WHERE account = $1 AND content_id = $2",
        )
        .bind(account.as_bytes())
        .bind(content_id);
        let Some(row) = self.rows.row(select).await? else { return Ok(None) };
        Ok(Some(ResumePoint {
            position_s: row.u32("position_s")?,
            version: row.u32("version")?,
            updated: row.time("updated_at")?,
        }))
    }
}

fn bind_point(
    query: Query,
    account: AccountId,
    content_id: &ContentId,
    position_s: u32,
    now: Timestamp,
) -> Query {
    query.bind(account.as_bytes()).bind(content_id).bind(position_s).bind(now)
}
