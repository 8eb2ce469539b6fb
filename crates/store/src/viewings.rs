//! When an account watched a title before, and how far (R074).

use crate::database::{Durability, repeated};
use crate::query::{Row, query};
use crate::{Store, StoreError};
use model::{AccountId, ContentId, PlaybackSessionId, Timestamp};

/// Most viewings that are kept of an account and a title: the newest.
pub const VIEWINGS_MAX: u32 = 20;

/// One time that an account watched a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewing {
    /// When it began.
    pub started: Timestamp,
    /// When the player last reported.
    pub seen: Timestamp,
    /// Where in the title that was, seconds.
    pub position_s: u32,
}

impl Store {
    /// Notes where a playback session is; what is older than the newest [`VIEWINGS_MAX`] viewings
    /// of the title goes when a new one begins.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such account.
    pub async fn note_viewing(
        &self,
        account: AccountId,
        content_id: &ContentId,
        session: PlaybackSessionId,
        viewing: Viewing,
    ) -> Result<(), StoreError> {
        let update = query(
            "UPDATE viewings SET seen_at = $4, position_s = $5 \
             WHERE account = $1 AND content_id = $2 AND session = $3",
        )
        .bind(account.as_bytes())
        .bind(content_id)
        .bind(session.as_bytes())
        .bind(viewing.seen)
        .bind(viewing.position_s);
        if self.rows.run(Durability::Process, update).await? > 0 {
            return Ok(());
        }
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Process).await?;
            let insert = query(
                "INSERT INTO viewings (account, content_id, session, started_at, seen_at, \
                 position_s) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(account.as_bytes())
            .bind(content_id)
            .bind(session.as_bytes())
            .bind(viewing.started)
            .bind(viewing.seen)
            .bind(viewing.position_s);
            open.run(insert).await?;
            let drop_oldest = query(
                "DELETE FROM viewings WHERE account = $1 AND content_id = $2 AND session NOT IN \
                 (SELECT session FROM viewings WHERE account = $1 AND content_id = $2 \
                 ORDER BY started_at DESC, session LIMIT $3)",
            )
            .bind(account.as_bytes())
            .bind(content_id)
            .bind(VIEWINGS_MAX);
            open.run(drop_oldest).await?;
            open.commit().await
        })
        .await
    }

    /// The viewings of a title that are kept, newest first.
    pub async fn viewings(
        &self,
        account: AccountId,
        content_id: &ContentId,
    ) -> Result<Vec<Viewing>, StoreError> {
        let select = query(
            "SELECT started_at, seen_at, position_s FROM viewings \
             WHERE account = $1 AND content_id = $2 ORDER BY started_at DESC, session LIMIT $3",
        )
        .bind(account.as_bytes())
        .bind(content_id)
        .bind(VIEWINGS_MAX);
        self.rows.rows(select).await?.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<Viewing, StoreError> {
    Ok(Viewing {
        started: row.time("started_at")?,
        seen: row.time("seen_at")?,
        position_s: row.u32("position_s")?,
    })
}
