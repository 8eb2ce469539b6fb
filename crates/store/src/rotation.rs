//! The life of a KEK after a newer one came: its keys move, it retires, and is destroyed.

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::keys::{must_be_active, read_kek};
use crate::query::query;
use crate::{PAGE_MAX, Store, StoreError, StoredKek};
use model::{CategoryName, ContentId, KekState, KekVersion, KeyId, Timestamp};

/// Most keys that move in one transaction.
pub const REWRAP_MAX: u32 = 1000;

/// A key wrapped anew: what its row says now, and what it shall say.
#[derive(Clone, Debug)]
pub struct Rewrapped {
    /// The key.
    pub kid: KeyId,
    /// Its ciphertext so far. A row that says anything else by now stays as it is.
    pub old: Vec<u8>,
    /// Its ciphertext under the new KEK.
    pub new: Vec<u8>,
}

/// Why a KEK was not destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destroyed {
    /// Its ciphertext is gone.
    Done,
    /// It may still be needed: keys hang from it, or it is neither retired nor compromised.
    StillInUse,
}

impl Store {
    /// Moves keys from one KEK of a category to another, all or nothing, and says how many
    /// moved: those whose row is as it was read. Asked again, it moves nothing twice.
    ///
    /// Errors: [`StoreError::Retired`] when the new KEK wraps nothing any more;
    /// [`StoreError::Invalid`] beyond [`REWRAP_MAX`].
    pub async fn rewrap_keys(
        &self,
        category: &CategoryName,
        (from, to): (KekVersion, KekVersion),
        batch: &[Rewrapped],
    ) -> Result<u64, StoreError> {
        if batch.len() > REWRAP_MAX as usize {
            return Err(StoreError::Invalid("more keys than one transaction moves"));
        }
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            must_be_active(&mut open, category, to).await?;
            let mut moved = 0;
            for key in batch {
                let update = query(
                    "UPDATE content_keys SET kek_version = $1, wrapped = $2 WHERE kid = $3 \
                     AND category = $4 AND kek_version = $5 AND wrapped = $6",
                )
                .bind(to.0)
                .bind(key.new.as_slice())
                .bind(key.kid.as_bytes())
                .bind(category.as_str())
                .bind(from.0)
                .bind(key.old.as_slice());
                moved += open.run(update).await?;
            }
            open.commit().await?;
            Ok(moved)
        })
        .await
    }

    /// Keeps a KEK as it is wrapped now, if its row still says what was read. A destroyed one
    /// stays destroyed.
    pub async fn replace_wrapped_kek(
        &self,
        read: &StoredKek,
        wrapped: &[u8],
    ) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE keks SET wrapped = $1 WHERE category = $2 AND version = $3 AND wrapped = $4",
        )
        .bind(wrapped)
        .bind(read.category.as_str())
        .bind(read.version.0)
        .bind(read.wrapped.as_slice());
        Ok(self.rows.run(Durability::Power, update).await? == 1)
    }

    /// How many keys one KEK wraps.
    pub async fn count_keys_under(
        &self,
        category: &CategoryName,
        version: KekVersion,
    ) -> Result<u64, StoreError> {
        let row = self.rows.row(query(COUNT).bind(category.as_str()).bind(version.0)).await?;
        counted(row.ok_or(StoreError::Missing)?.integer("keys")?)
    }

    /// Retires a KEK that no key hangs from. False: keys do, or it is the newest one, or is
    /// not active.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such KEK.
    pub async fn retire_kek(
        &self,
        category: &CategoryName,
        version: KekVersion,
    ) -> Result<bool, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let (kek, keys) = locked(&mut open, category, version).await?;
            let newest = query("SELECT MAX(version) AS version FROM keks WHERE category = $1");
            let newest = open.row(newest.bind(category.as_str())).await?.u32("version")?;
            if kek.state != KekState::Active || keys > 0 || version.0 >= newest {
                return Ok(false);
            }
            open.run(set_state(&kek, KekState::Retired)).await?;
            open.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Destroys the ciphertext of a KEK that is retired or compromised and from which no key
    /// hangs. The row stays, as the mark that it was.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such KEK.
    pub async fn destroy_kek(
        &self,
        category: &CategoryName,
        version: KekVersion,
    ) -> Result<Destroyed, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let (kek, keys) = locked(&mut open, category, version).await?;
            if kek.state == KekState::Active || keys > 0 {
                return Ok(Destroyed::StillInUse);
            }
            let erase = query("UPDATE keks SET wrapped = $3 WHERE category = $1 AND version = $2");
            open.run(erase.bind(category.as_str()).bind(version.0).bind(&[][..])).await?;
            open.commit().await?;
            Ok(Destroyed::Done)
        })
        .await
    }

    /// Marks a KEK: from the next read on, every key that it ever wrapped is compromised.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such KEK.
    pub async fn compromise_kek(
        &self,
        category: &CategoryName,
        version: KekVersion,
    ) -> Result<(), StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let (kek, _) = locked(&mut open, category, version).await?;
            open.run(set_state(&kek, KekState::Compromised)).await?;
            open.commit().await
        })
        .await
    }

    /// Marks one key. None: there is no such key.
    pub async fn compromise_key(&self, kid: KeyId) -> Result<Option<ContentId>, StoreError> {
        let update = query("UPDATE content_keys SET state = 'compromised' WHERE kid = $1");
        self.rows.run(Durability::Power, update.bind(kid.as_bytes())).await?;
        Ok(self.key(kid).await?.map(|key| key.content_id))
    }

    /// Notes that every title with a key which this KEK ever wrapped must be packaged anew;
    /// one that waits for that already is not noted twice.
    pub async fn queue_repackaging_under(
        &self,
        category: &CategoryName,
        version: KekVersion,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO work_items (content_id, kind, reason, created_at) \
             SELECT DISTINCT content_id, 'repackage', $1, CAST($2 AS BIGINT) FROM content_keys \
             WHERE category = $3 AND first_kek_version <= $4 AND kek_version >= $4 \
             ON CONFLICT DO NOTHING",
        )
        .bind(format!("KEK {category} version {} is compromised", version.0))
        .bind(now)
        .bind(category.as_str())
        .bind(version.0);
        self.rows.run(Durability::Power, insert).await.map(drop)
    }

    /// Uses up approvals, all or none.
    ///
    /// Errors: [`StoreError::Conflict`] when one was used before.
    pub async fn use_approvals(&self, ids: &[[u8; 16]], now: Timestamp) -> Result<(), StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            for id in ids {
                let insert = query("INSERT INTO used_approvals (id, used_at) VALUES ($1, $2)");
                open.run(insert.bind(id).bind(now)).await?;
            }
            open.commit().await
        })
        .await
    }

    /// The titles with a key which this KEK ever wrapped, after `after`, in the database's
    /// order of ids. Limits: [`PAGE_MAX`] a call.
    pub async fn titles_ever_under(
        &self,
        category: &CategoryName,
        version: KekVersion,
        after: Option<&ContentId>,
    ) -> Result<Vec<ContentId>, StoreError> {
        let select = query(
            "SELECT DISTINCT content_id FROM content_keys WHERE category = $1 \
             AND first_kek_version <= $2 AND kek_version >= $2 AND content_id > $3 \
             ORDER BY content_id LIMIT $4",
        )
        .bind(category.as_str())
        .bind(version.0)
        .bind(after.map_or("", ContentId::as_str))
        .bind(PAGE_MAX);
        self.rows.rows(select).await?.iter().map(|row| row.content_id("content_id")).collect()
    }
}

const COUNT: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS keys FROM content_keys \
     WHERE category = $1 AND kek_version = $2";

fn counted(keys: i64) -> Result<u64, StoreError> {
    u64::try_from(keys).map_err(|_| StoreError::corrupt("a count"))
}

/// A KEK and how many keys hang from it, neither to change until the end of the transaction.
async fn locked(
    open: &mut Transaction,
    category: &CategoryName,
    version: KekVersion,
) -> Result<(StoredKek, u64), Failure> {
    let named = |sql| query(sql).bind(category.as_str()).bind(version.0);
    open.lock(named("SELECT state FROM keks WHERE category = $1 AND version = $2 FOR UPDATE"))
        .await?;
    let row = open.row(named("SELECT * FROM keks WHERE category = $1 AND version = $2")).await?;
    let keys = open.row(named(COUNT)).await?.integer("keys")?;
    Ok((read_kek(&row)?, counted(keys)?))
}

fn set_state(kek: &StoredKek, state: KekState) -> crate::query::Query {
    query("UPDATE keks SET state = $3 WHERE category = $1 AND version = $2")
        .bind(kek.category.as_str())
        .bind(kek.version.0)
        .bind(state.name())
}
