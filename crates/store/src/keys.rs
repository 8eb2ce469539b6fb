//! Wrapped keys: content keys under their KEK, KEKs under the KMS's root key.

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Query, Row, insert_text, query};
use crate::{Store, StoreError};
use model::{
    CategoryName, ContentId, KekState, KekVersion, KeyId, KeyPeriod, KeyState, PeriodSpan, Scheme,
    Timestamp, TrackClass, WrappedKey,
};
use std::sync::LazyLock;

/// One version of a category's KEK at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKek {
    /// The category whose content keys it wraps.
    pub category: CategoryName,
    /// Its version, from 1.
    pub version: KekVersion,
    /// The KEK as the KMS wrapped it; empty: destroyed.
    pub wrapped: Vec<u8>,
    /// What it may still do.
    pub state: KekState,
    /// When it was made.
    pub created: Timestamp,
}

/// Reads content keys, each with whether a KEK that ever wrapped it is compromised. So the mark
/// on one KEK row holds for all of its keys from the next read on, whatever their number.
macro_rules! select_keys {
    ($rest:literal) => {
        concat!(
            "SELECT content_keys.*, CASE WHEN EXISTS (SELECT 1 FROM keks \
             WHERE keks.category = content_keys.category AND keks.state = 'compromised' \
             AND keks.version BETWEEN content_keys.first_kek_version AND content_keys.kek_version) \
             THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS is_exposed \
             FROM content_keys ",
            $rest
        )
    };
}
pub(crate) use select_keys;

/// The columns of a key, in the order of [`bind_key`].
pub(crate) const INTO: &str = "content_keys (kid, content_id, track_class, scheme, category, \
     kek_version, first_kek_version, wrapped, iv, fingerprint, state, created_at, \
     period, period_begins, period_ends)";
pub(crate) static ADD_ONE: LazyLock<String> = LazyLock::new(|| insert_text(INTO, 1));

impl Store {
    /// Keeps a content key.
    ///
    /// Errors: [`StoreError::Conflict`] when its KID or its fingerprint is known, so the key
    /// was used before (R016); [`StoreError::Missing`] when its KEK is not stored,
    /// [`StoreError::Retired`] when that wraps nothing any more.
    pub async fn insert_key(&self, key: &WrappedKey) -> Result<(), StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            must_be_active(&mut open, &key.category, key.kek_version).await?;
            open.run(bind_key(query(&ADD_ONE), key)).await?;
            open.commit().await
        })
        .await
    }

    /// Every key of a title, ordered by KID. A channel whose keys rotate has tens of thousands:
    /// who answers a viewer asks for some of them ([`Self::keys_named`] and its neighbors).
    pub async fn keys_of(&self, content_id: &ContentId) -> Result<Vec<WrappedKey>, StoreError> {
        let select = query(select_keys!("WHERE content_id = $1 ORDER BY kid"));
        self.rows.rows(select.bind(content_id)).await?.iter().map(read_key).collect()
    }

    /// One key.
    pub async fn key(&self, kid: KeyId) -> Result<Option<WrappedKey>, StoreError> {
        let select = query(select_keys!("WHERE kid = $1")).bind(kid.as_bytes());
        self.rows.row(select).await?.as_ref().map(read_key).transpose()
    }

    /// The keys that one KEK wraps, in the order of their KIDs, from the one after `after`.
    pub async fn keys_under(
        &self,
        category: &CategoryName,
        version: KekVersion,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<WrappedKey>, StoreError> {
        let select = query(select_keys!(
            "WHERE category = $1 AND kek_version = $2 AND kid > $3 ORDER BY kid LIMIT $4"
        ))
        .bind(category.as_str())
        .bind(version.0)
        // Every KID sorts after no bytes.
        .bind(after.as_ref().map_or(&[][..], |kid| kid.as_bytes()))
        .bind(limit);
        self.rows.rows(select).await?.iter().map(read_key).collect()
    }

    /// Keeps a KEK.
    ///
    /// Errors: [`StoreError::Conflict`] when the category has this version: another process
    /// made it first, and its KEK is the one to use.
    pub async fn insert_kek(&self, kek: &StoredKek) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO keks (category, version, wrapped, state, created_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(kek.category.as_str())
        .bind(kek.version.0)
        .bind(kek.wrapped.as_slice())
        .bind(kek.state.name())
        .bind(kek.created);
        self.rows.run(Durability::Power, insert).await.map(drop)
    }

    /// The newest KEK of a category: the one that wraps new keys.
    pub async fn newest_kek(
        &self,
        category: &CategoryName,
    ) -> Result<Option<StoredKek>, StoreError> {
        let select = query("SELECT * FROM keks WHERE category = $1 ORDER BY version DESC LIMIT 1");
        self.rows.row(select.bind(category.as_str())).await?.as_ref().map(read_kek).transpose()
    }

    /// One version of a category's KEK.
    pub async fn kek(
        &self,
        category: &CategoryName,
        version: KekVersion,
    ) -> Result<Option<StoredKek>, StoreError> {
        let select = query("SELECT * FROM keks WHERE category = $1 AND version = $2")
            .bind(category.as_str())
            .bind(version.0);
        self.rows.row(select).await?.as_ref().map(read_kek).transpose()
    }

    /// Every version of every category's KEK, by category and version.
    pub async fn keks(&self) -> Result<Vec<StoredKek>, StoreError> {
        let select = query("SELECT * FROM keks ORDER BY category, version");
        self.rows.rows(select).await?.iter().map(read_kek).collect()
    }
}

/// Holds the KEK as it is until the end of the transaction, if it may wrap.
pub(crate) async fn must_be_active(
    open: &mut Transaction,
    category: &CategoryName,
    version: KekVersion,
) -> Result<(), Failure> {
    let named = |sql| query(sql).bind(category.as_str()).bind(version.0);
    open.lock(named("SELECT state FROM keks WHERE category = $1 AND version = $2 FOR SHARE"))
        .await?;
    let row = open.row(named("SELECT * FROM keks WHERE category = $1 AND version = $2")).await?;
    match read_kek(&row)?.state {
        KekState::Active => Ok(()),
        KekState::Retired | KekState::Compromised => Err(StoreError::Retired.into()),
    }
}

/// A key as [`INTO`] names its columns.
pub(crate) fn bind_key(insert: Query, key: &WrappedKey) -> Query {
    let span = key.period.and_then(|period| period.span);
    insert
        .bind(key.kid.as_bytes())
        .bind(&key.content_id)
        .bind(key.track_class.map(TrackClass::name))
        .bind(key.scheme.map(Scheme::name))
        .bind(key.category.as_str())
        .bind(key.kek_version.0)
        .bind(key.first_kek_version.0)
        .bind(key.wrapped.as_slice())
        .bind(key.iv)
        .bind(&key.fingerprint)
        .bind(key.state.name())
        .bind(key.created)
        .bind(key.period.map(|period| period.index))
        .bind(span.map(|span| span.begins))
        .bind(span.map(|span| span.ends))
}

pub(crate) fn read_key(row: &Row) -> Result<WrappedKey, StoreError> {
    let own = row.parsed("state", KeyState::parse)?;
    Ok(WrappedKey {
        kid: KeyId::from_bytes(row.array("kid")?),
        content_id: row.content_id("content_id")?,
        track_class: row.optional_parsed("track_class", TrackClass::parse)?,
        scheme: row.optional_parsed("scheme", Scheme::parse)?,
        period: read_period(row)?,
        category: row.parsed("category", |text| CategoryName::parse(text).ok())?,
        kek_version: KekVersion(row.u32("kek_version")?),
        first_kek_version: KekVersion(row.u32("first_kek_version")?),
        wrapped: row.bytes("wrapped")?,
        iv: row.optional_array("iv")?,
        fingerprint: row.array("fingerprint")?,
        state: if row.boolean("is_exposed")? { KeyState::Compromised } else { own },
        created: row.time("created_at")?,
    })
}

fn read_period(row: &Row) -> Result<Option<KeyPeriod>, StoreError> {
    let Some(index) = row.optional_u32("period")? else { return Ok(None) };
    let begins = row.optional_time("period_begins")?;
    let span = begins.zip(row.optional_time("period_ends")?);
    let span = span.map(|(begins, ends)| PeriodSpan { begins, ends });
    Ok(Some(KeyPeriod { index, span }))
}

pub(crate) fn read_kek(row: &Row) -> Result<StoredKek, StoreError> {
    Ok(StoredKek {
        category: row.parsed("category", |text| CategoryName::parse(text).ok())?,
        version: KekVersion(row.u32("version")?),
        wrapped: row.bytes("wrapped")?,
        state: row.parsed("state", KekState::parse)?,
        created: row.time("created_at")?,
    })
}
