//! What an account wants to watch, in its order (R077).

use crate::database::Durability;
use crate::query::query;
use crate::titles::document;
use crate::{Store, StoreError};
use model::{AccountId, ContentId};

/// Most titles of one queue.
pub const QUEUE_MAX: usize = 500;

/// A queue as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How often it was changed.
    pub version: u32,
    /// The titles, in the viewer's order.
    pub content_ids: Vec<ContentId>,
}

impl Store {
    /// An account's queue; empty, of version 0, where it never had one.
    pub async fn queue(&self, account: AccountId) -> Result<Queue, StoreError> {
        let select = query("SELECT version, content_ids FROM queues WHERE account = $1")
            .bind(account.as_bytes());
        let Some(row) = self.rows.row(select).await? else { return Ok(Queue::default()) };
        Ok(Queue { version: row.u32("version")?, content_ids: row.json("content_ids")? })
    }

    /// Replaces an account's queue. Where the caller says which version he read, only that one.
    /// Decided by one statement; false: it has another version by now.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such account, [`StoreError::Invalid`]
    /// for more than [`QUEUE_MAX`] titles.
    pub async fn put_queue(
        &self,
        account: AccountId,
        content_ids: &[ContentId],
        read_version: Option<u32>,
    ) -> Result<bool, StoreError> {
        if content_ids.len() > QUEUE_MAX {
            return Err(StoreError::Invalid("a queue too long"));
        }
        let put = match read_version {
            None => query(
                "INSERT INTO queues (account, version, content_ids) VALUES ($1, 1, $2) \
                 ON CONFLICT (account) DO UPDATE SET version = queues.version + 1, \
                 content_ids = excluded.content_ids",
            ),
            Some(0) => query(
                "INSERT INTO queues (account, version, content_ids) VALUES ($1, 1, $2) \
                 ON CONFLICT (account) DO NOTHING",
            ),
            Some(_) => query(
                "UPDATE queues SET version = version + 1, content_ids = $2 \
                 WHERE account = $1 AND version = $3",
            ),
        };
        let put = put.bind(account.as_bytes()).bind(document(&content_ids)?);
        let put = match read_version {
            None | Some(0) => put,
            Some(version) => put.bind(version),
        };
        Ok(self.rows.run(Durability::Power, put).await? > 0)
    }
}
