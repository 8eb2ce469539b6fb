//! Outbox: an event is written with the change it tells of, and leaves afterwards (R170).

use crate::database::{Durability, repeated};
use crate::query::{Row, query};
use crate::titles::{document, update_state};
use crate::work_items::finish_repackaging;
use crate::{PAGE_MAX, Store, StoreError};
use model::{PackageId, PackagedEvent, Timestamp, TitleState};

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the order of events.
    pub id: i64,
    /// The event.
    pub event: PackagedEvent,
}

impl Store {
    /// Moves the event's title to `state` and notes the event, both or neither.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such title, [`StoreError::Conflict`]
    /// when this package was told before.
    pub async fn publish_package(
        &self,
        state: &TitleState,
        event: &PackagedEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = document(event)?;
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            if open.run(update_state(&event.content_id, state)).await? == 0 {
                return Err(StoreError::Missing.into());
            }
            // Locks the counter, so that ids become visible in their order.
            let next = query(
                "UPDATE settings SET value = value + 1 WHERE name = 'outbox' RETURNING value",
            );
            let id = open.row(next).await?.integer("value")?;
            let insert = query(
                "INSERT INTO outbox (id, package, content_id, event, created_at) \
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(id)
            .bind(event.package_id.as_bytes())
            .bind(&event.content_id)
            .bind(text.clone())
            .bind(now);
            open.run(insert).await?;
            finish_repackaging(&mut open, event, now).await?;
            open.commit().await
        })
        .await
    }

    /// What a published package said about itself, whether or not its event has left.
    pub async fn package_event(
        &self,
        package: PackageId,
    ) -> Result<Option<PackagedEvent>, StoreError> {
        let select = query("SELECT event FROM outbox WHERE package = $1").bind(package.as_bytes());
        self.rows.row(select).await?.map(|row| row.json("event")).transpose()
    }

    /// The oldest events that have not left. Limits: [`PAGE_MAX`] a call.
    pub async fn outbox_pending(&self, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let select =
            query("SELECT id, event FROM outbox WHERE done_at IS NULL ORDER BY id LIMIT $1")
                .bind(limit.min(PAGE_MAX));
        let read = |row: &Row| Ok(OutboxRow { id: row.integer("id")?, event: row.json("event")? });
        self.rows.rows(select).await?.iter().map(read).collect()
    }

    /// Notes that an event has left. False: it had left before.
    pub async fn outbox_done(&self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let update = query("UPDATE outbox SET done_at = $2 WHERE id = $1 AND done_at IS NULL");
        Ok(self.rows.run(Durability::Power, update.bind(id).bind(now)).await? > 0)
    }
}
