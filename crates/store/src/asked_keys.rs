//! Keys that encryptors asked for by their KIDs, and what for.

use crate::database::{Durability, repeated};
use crate::keys::{INTO, bind_key, must_be_active};
use crate::query::{insert_text, query};
use crate::{Store, StoreError};
use model::{KeyId, TrackClass, TrackClasses, WrappedKey};
use std::sync::LazyLock;

/// What a key was asked for, beyond what its own row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedFor {
    /// The classes of the tracks that it encrypts.
    pub classes: TrackClasses,
    /// The periods that it is for, in words of the asking side; empty: it does not rotate.
    pub periods: String,
}

impl Store {
    /// Keeps keys that are asked for, all or none, beside what they are asked for. A key whose
    /// KID is known stays as it is: of two processes that answer one question, the first one's
    /// key is kept, and both read it afterwards.
    ///
    /// Errors: [`StoreError::Conflict`] when a fingerprint is known, so the key was used before
    /// (R016); [`StoreError::Missing`] when a KEK is not stored, [`StoreError::Retired`] when
    /// it wraps nothing any more.
    pub async fn insert_asked_keys(
        &self,
        keys: &[(WrappedKey, AskedFor)],
    ) -> Result<(), StoreError> {
        // In one order, so that two processes wait for each other and never in a circle.
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_by_key(|(row, _)| row.kid);
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            for (row, asked) in &keys {
                must_be_active(&mut open, &row.category, row.kek_version).await?;
                if open.run(bind_key(query(&ADD_UNLESS_KNOWN), row)).await? == 0 {
                    continue;
                }
                let insert =
                    query("INSERT INTO asked_keys (kid, classes, periods) VALUES ($1, $2, $3)")
                        .bind(row.kid.as_bytes())
                        .bind(write_classes(asked.classes).as_str())
                        .bind(asked.periods.as_str());
                open.run(insert).await?;
            }
            open.commit().await
        })
        .await
    }

    /// One key, and what it was asked for; that is absent where nobody asked for it by name.
    pub async fn asked_key(
        &self,
        kid: KeyId,
    ) -> Result<Option<(WrappedKey, Option<AskedFor>)>, StoreError> {
        let Some(key) = self.key(kid).await? else { return Ok(None) };
        // Both rows came with one transaction, so who sees the first sees the second.
        let select = query("SELECT classes, periods FROM asked_keys WHERE kid = $1");
        let Some(row) = self.rows.row(select.bind(kid.as_bytes())).await? else {
            return Ok(Some((key, None)));
        };
        let classes = row.parsed("classes", read_classes)?;
        Ok(Some((key, Some(AskedFor { classes, periods: row.text("periods")? }))))
    }
}

static ADD_UNLESS_KNOWN: LazyLock<String> =
    LazyLock::new(|| insert_text(INTO, 1) + " ON CONFLICT (kid) DO NOTHING");

fn write_classes(classes: TrackClasses) -> String {
    classes.iter().map(TrackClass::name).collect::<Vec<_>>().join("+")
}

fn read_classes(text: &str) -> Option<TrackClasses> {
    text.split('+').map(TrackClass::parse).collect()
}
