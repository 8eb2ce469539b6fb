//! Where an account left a title (R074).

use crate::database::Durability;
use crate::query::query;
use crate::{Store, StoreError};
use model::{AccountId, ContentId, Timestamp};

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
             position_s = excluded.position_s, updated_at = excluded.updated_at",
        )
        .bind(account.as_bytes())
        .bind(content_id)
        .bind(position_s)
        .bind(now);
        self.rows.run(Durability::Process, upsert).await.map(drop)
    }

    /// The position, where there is one.
    pub async fn resume(
        &self,
        account: AccountId,
        content_id: &ContentId,
    ) -> Result<Option<u32>, StoreError> {
        let select =
            query("SELECT position_s FROM resume_points WHERE account = $1 AND content_id = $2")
                .bind(account.as_bytes())
                .bind(content_id);
        self.rows.row(select).await?.map(|row| row.u32("position_s")).transpose()
    }
}
