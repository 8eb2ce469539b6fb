//! Licenses that devices keep. The limit is decided under the lock of the account (R117).

use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::{Query, Row, query};
use crate::{PAGE_MAX, Store, StoreError};
use model::{AccountId, ContentId, DeviceId, GrantId, Timestamp};
use playback::OfflineDenied;
use playback::offline::{KeptLicense, RESERVE_S, admit};

/// How long a row is shown after its license was given back.
const SHOWN_S: u64 = 7 * 24 * 3600;

/// A license that a device wants to keep.
#[derive(Clone, Debug)]
pub struct KeepLicense {
    /// The license: the grant it is made under.
    pub license: GrantId,
    /// Whose.
    pub account: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// For which title.
    pub content_id: ContentId,
    /// How many the account's plan allows.
    pub max_offline: u32,
    /// When the license ends.
    pub ends: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl Store {
    /// Holds a place for a license in the making, [`RESERVE_S`] long. A title that the device has
    /// already needs none, and its row stays as it is until the new license leaves.
    ///
    /// Returns how many other titles the account's devices keep. The inner error is the refusal;
    /// the outer ones: [`StoreError::Missing`] when there is no such account.
    pub async fn reserve_kept(
        &self,
        request: &KeepLicense,
    ) -> Result<Result<u32, OfflineDenied>, StoreError> {
        self.keep(request, Durability::Process, Some(request.now.plus_s(RESERVE_S))).await
    }

    /// Writes down, durable, that the license leaves. Its place is asked for again, so that one
    /// that was too long in the making takes no place that is another's by now. The row ends when
    /// the last license of the title on the device does.
    ///
    /// As [`Self::reserve_kept`].
    pub async fn put_kept(
        &self,
        request: &KeepLicense,
    ) -> Result<Result<u32, OfflineDenied>, StoreError> {
        self.keep(request, Durability::Power, None).await
    }

    async fn keep(
        &self,
        request: &KeepLicense,
        durability: Durability,
        reserved_until: Option<Timestamp>,
    ) -> Result<Result<u32, OfflineDenied>, StoreError> {
        let KeepLicense { account, device, content_id, now, .. } = request;
        repeated(|| async {
            let mut open = self.rows.begin(durability).await?;
            let lock = query("SELECT id FROM accounts WHERE id = $1 FOR UPDATE");
            open.lock(lock.bind(account.as_bytes())).await?;
            let rows = rows_of(&mut open, request).await?;
            let others = match admit(&rows, request.max_offline, *device, content_id, *now) {
                Err(denied) => return Ok(Err(denied)),
                Ok(others) => others,
            };
            let mut own =
                rows.iter().filter(|row| row.device == *device && row.content_id == *content_id);
            let own = own.next().filter(|row| row.is_kept(*now));
            if own.is_none() || reserved_until.is_none() {
                let ends = own.map_or(request.ends, |own| own.ends.max(request.ends));
                open.run(upsert(request, ends, reserved_until)).await?;
            }
            open.commit().await?;
            Ok(Ok(others))
        })
        .await
    }

    /// The device gives a license back. False: no device of the account has it, or one has a
    /// newer license of the title.
    pub async fn release_kept(
        &self,
        account: AccountId,
        license: GrantId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE kept_licenses SET released_at = $3 \
             WHERE account = $1 AND license = $2 AND released_at IS NULL",
        )
        .bind(account.as_bytes())
        .bind(license.as_bytes())
        .bind(now);
        Ok(self.rows.run(Durability::Power, update).await? > 0)
    }

    /// A device has removed a title, by its own word or the operator's. False: it kept none.
    pub async fn free_kept(
        &self,
        account: AccountId,
        device: DeviceId,
        content_id: &ContentId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = query(
            "UPDATE kept_licenses SET released_at = $4 WHERE account = $1 AND device = $2 \
             AND content_id = $3 AND released_at IS NULL AND ends_at > $4",
        )
        .bind(account.as_bytes())
        .bind(device.as_bytes())
        .bind(content_id)
        .bind(now);
        Ok(self.rows.run(Durability::Power, update).await? > 0)
    }

    /// What the account's devices keep and gave back lately, newest first, at most
    /// [`PAGE_MAX`]; licenses in the making are not among them.
    pub async fn kept_licenses(&self, account: AccountId) -> Result<Vec<KeptLicense>, StoreError> {
        let select = query(
            "SELECT * FROM kept_licenses WHERE account = $1 AND reserved_until IS NULL \
             ORDER BY issued_at DESC, content_id, device LIMIT $2",
        )
        .bind(account.as_bytes())
        .bind(PAGE_MAX);
        self.rows.rows(select).await?.iter().map(read_kept).collect()
    }
}

/// The account's rows; those that nobody needs any more leave.
async fn rows_of(
    open: &mut Transaction,
    request: &KeepLicense,
) -> Result<Vec<KeptLicense>, Failure> {
    let shown_since = Timestamp(request.now.0.saturating_sub(SHOWN_S * 1000));
    let over = query(
        "DELETE FROM kept_licenses WHERE account = $1 AND (ends_at <= $2 \
         OR reserved_until <= $2 OR released_at <= $3)",
    );
    let over = over.bind(request.account.as_bytes()).bind(request.now).bind(shown_since);
    open.run(over).await?;
    let select = query("SELECT * FROM kept_licenses WHERE account = $1");
    let rows = open.rows(select.bind(request.account.as_bytes())).await?;
    Ok(rows.iter().map(read_kept).collect::<Result<_, StoreError>>()?)
}

fn upsert(request: &KeepLicense, ends: Timestamp, reserved_until: Option<Timestamp>) -> Query {
    query(
        "INSERT INTO kept_licenses (account, device, content_id, license, issued_at, ends_at, \
         reserved_until, released_at) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL) \
         ON CONFLICT (account, device, content_id) DO UPDATE SET license = excluded.license, \
         issued_at = excluded.issued_at, ends_at = excluded.ends_at, \
         reserved_until = excluded.reserved_until, released_at = NULL",
    )
    .bind(request.account.as_bytes())
    .bind(request.device.as_bytes())
    .bind(&request.content_id)
    .bind(request.license.as_bytes())
    .bind(request.now)
    .bind(ends)
    .bind(reserved_until)
}

fn read_kept(row: &Row) -> Result<KeptLicense, StoreError> {
    Ok(KeptLicense {
        device: DeviceId::from_bytes(row.array("device")?),
        content_id: row.content_id("content_id")?,
        license: GrantId::from_bytes(row.array("license")?),
        issued: row.time("issued_at")?,
        ends: row.time("ends_at")?,
        reserved_until: row.optional_time("reserved_until")?,
        released: row.optional_time("released_at")?,
    })
}
