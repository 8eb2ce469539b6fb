//! Numbers the service keeps about itself.

use crate::database::{Durability, repeated};
use crate::query::query;
use crate::{Store, StoreError};
use model::Timestamp;

impl Store {
    /// Raises the high-water mark of time to `now` and returns it. It never falls.
    ///
    /// Which tokens were used is kept in memory only, so a token issued before the mark that
    /// was raised at boot is refused (DESIGN §9). A running service raises the mark again and
    /// again: then it holds although the clock is set back over a restart.
    pub async fn raise_boot_mark(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let raise = query(
                "UPDATE settings SET value = CASE WHEN value > $1 THEN value ELSE $1 END \
                 WHERE name = 'boot_mark' RETURNING value",
            );
            let mark = open.row(raise.bind(now)).await?.time("value")?;
            open.commit().await?;
            Ok(mark)
        })
        .await
    }
}
