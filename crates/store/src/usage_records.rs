//! When licenses were used, by their devices' word: what a session of the type
//! `persistent-usage-record` tells when it is given back (R115).

use crate::database::Durability;
use crate::query::{Row, query};
use crate::{PAGE_MAX, Store, StoreError};
use model::{AccountId, ContentId, DeviceId, GrantId, PlaybackSessionId, Timestamp};

/// One license's use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The license: the grant it was made under.
    pub license: GrantId,
    /// Whose.
    pub account: AccountId,
    /// Which device gave it back.
    pub device: DeviceId,
    /// The playback session it was issued in.
    pub session: PlaybackSessionId,
    /// The title.
    pub content_id: ContentId,
    /// When something was decrypted first; absent where nothing was.
    pub first_played: Option<Timestamp>,
    /// When something was decrypted last.
    pub last_played: Option<Timestamp>,
    /// When it arrived here.
    pub received: Timestamp,
}

impl Store {
    /// Keeps a record, durable; of a license that has one the first stays. False: it had one.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such account.
    pub async fn put_usage_record(&self, record: &UsageRecord) -> Result<bool, StoreError> {
        let insert = query(
            "INSERT INTO usage_records (license, account, device, session, content_id, \
             first_played_at, last_played_at, received_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (license) DO NOTHING",
        )
        .bind(record.license.as_bytes())
        .bind(record.account.as_bytes())
        .bind(record.device.as_bytes())
        .bind(record.session.as_bytes())
        .bind(&record.content_id)
        .bind(record.first_played)
        .bind(record.last_played)
        .bind(record.received);
        Ok(self.rows.run(Durability::Power, insert).await? > 0)
    }

    /// The account's records, newest first, at most [`PAGE_MAX`].
    pub async fn usage_records(&self, account: AccountId) -> Result<Vec<UsageRecord>, StoreError> {
        let select = query(
            "SELECT * FROM usage_records WHERE account = $1 \
             ORDER BY received_at DESC, license LIMIT $2",
        );
        let select = select.bind(account.as_bytes()).bind(PAGE_MAX);
        self.rows.rows(select).await?.iter().map(read_record).collect()
    }
}

fn read_record(row: &Row) -> Result<UsageRecord, StoreError> {
    Ok(UsageRecord {
        license: GrantId::from_bytes(row.array("license")?),
        account: AccountId::from_bytes(row.array("account")?),
        device: DeviceId::from_bytes(row.array("device")?),
        session: PlaybackSessionId::from_bytes(row.array("session")?),
        content_id: row.content_id("content_id")?,
        first_played: row.optional_time("first_played_at")?,
        last_played: row.optional_time("last_played_at")?,
        received: row.time("received_at")?,
    })
}
