//! What still has to be done for a title: packaging anew, after a key became known.

use crate::database::{Durability, Transaction};
use crate::error::Failure;
use crate::query::{Row, query};
use crate::{PAGE_MAX, Store, StoreError};
use model::{ContentId, KeyId, PackagedEvent, Timestamp};

/// A title that waits to be packaged anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// The title.
    pub content_id: ContentId,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created: Timestamp,
}

impl Store {
    /// Notes that a title must be packaged anew. One that waits already is not noted twice.
    pub async fn queue_repackaging(
        &self,
        content_id: &ContentId,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO work_items (content_id, kind, reason, created_at) \
             VALUES ($1, 'repackage', $2, $3) ON CONFLICT DO NOTHING",
        );
        let insert = insert.bind(content_id).bind(reason).bind(now);
        self.rows.run(Durability::Power, insert).await.map(drop)
    }

    /// The titles that wait to be packaged anew and come after `after`, in the database's order
    /// of ids. Limits: [`PAGE_MAX`] a call.
    pub async fn repackaging_pending(
        &self,
        limit: u32,
        after: Option<&ContentId>,
    ) -> Result<Vec<WorkItem>, StoreError> {
        let select = query(
            "SELECT content_id, reason, created_at FROM work_items WHERE done_at IS NULL \
             AND kind = 'repackage' AND content_id > $1 ORDER BY content_id LIMIT $2",
        )
        .bind(after.map_or("", ContentId::as_str))
        .bind(limit.min(PAGE_MAX));
        let read = |row: &Row| {
            Ok(WorkItem {
                content_id: row.content_id("content_id")?,
                reason: row.text("reason")?,
                created: row.time("created_at")?,
            })
        };
        self.rows.rows(select).await?.iter().map(read).collect()
    }
}

/// A package without a compromised key is what its title waited for.
pub(crate) async fn finish_repackaging(
    open: &mut Transaction,
    event: &PackagedEvent,
    now: Timestamp,
) -> Result<(), Failure> {
    let kids: std::collections::BTreeSet<KeyId> =
        event.variants.iter().map(|variant| variant.kid).collect();
    for kid in kids {
        let bad = query(
            "SELECT kid FROM content_keys WHERE kid = $1 AND (state = 'compromised' OR EXISTS \
             (SELECT 1 FROM keks WHERE keks.category = content_keys.category \
             AND keks.state = 'compromised' AND keks.version \
             BETWEEN content_keys.first_kek_version AND content_keys.kek_version))",
        );
        if !open.rows(bad.bind(kid.as_bytes())).await?.is_empty() {
            return Ok(());
        }
    }
    let done = query(
        "UPDATE work_items SET done_at = $2 \
         WHERE content_id = $1 AND kind = 'repackage' AND done_at IS NULL",
    );
    open.run(done.bind(&event.content_id).bind(now)).await?;
    Ok(())
}
