//! Keys move to the newest KEK of their category, in the background of a service or in the
//! foreground of a command. Licenses are issued meanwhile from either version.

use super::Vault;
use super::key_service::KeyServiceError;
use super::kms_watch::Name;
use super::rotation::{BATCH, Batch};
use crate::clock::Clock;
use model::{CategoryName, ContentId, KekState, KekVersion, KeyId, Timestamp};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// How often a service looks for keys to move.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long it waits after a pass that left keys which do not open.
const BROKEN_EVERY: Duration = Duration::from_secs(600);

/// One version of a KEK, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekStatus {
    /// The category.
    pub category: CategoryName,
    /// The version.
    pub version: KekVersion,
    /// What it may do.
    pub state: KekState,
    /// Whether its ciphertext is gone.
    pub is_destroyed: bool,
    /// Whether it wraps the category's new keys.
    pub is_newest: bool,
    /// Keys that hang from it.
    pub keys: u64,
    /// When it was made.
    pub created: Timestamp,
}

impl KekStatus {
    /// Keys that still have to move to the newest version.
    #[must_use]
    pub const fn pending(&self) -> u64 {
        if self.must_move() { self.keys } else { 0 }
    }

    /// Whether its keys must move. From a compromised newest one they move to one that is made
    /// for them.
    const fn must_move(&self) -> bool {
        !(self.is_newest && matches!(self.state, KekState::Active))
    }
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewrapReport {
    /// Keys that moved.
    pub moved: u64,
    /// Keys that do not open: an alert each, and their KEK does not retire.
    pub broken: u64,
    /// KEKs that retired.
    pub retired: Vec<(CategoryName, KekVersion)>,
}

impl Vault {
    /// Every version of every KEK, or of one category's.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn keks(
        &self,
        only: Option<&CategoryName>,
    ) -> Result<Vec<KekStatus>, KeyServiceError> {
        let mut stored = self.store.keks().await?;
        stored.retain(|kek| only.is_none_or(|only| *only == kek.category));
        let newest: BTreeMap<CategoryName, KekVersion> =
            stored.iter().map(|kek| (kek.category.clone(), kek.version)).collect();
        let mut keks = Vec::with_capacity(stored.len());
        for kek in stored {
            let keys = self.store.count_keys_under(&kek.category, kek.version).await?;
            keks.push(KekStatus {
                is_newest: newest.get(&kek.category) == Some(&kek.version),
                category: kek.category,
                version: kek.version,
                state: kek.state,
                is_destroyed: kek.wrapped.is_empty(),
                keys,
                created: kek.created,
            });
        }
        Ok(keks)
    }

    /// Moves every key, or those of one category, to the newest KEK, then retires the KEKs
    /// from which none hangs any more. Tells `on_batch` of each batch. Cut short at any moment
    /// and started again, it goes on where the rows are.
    ///
    /// Errors: [`KeyServiceError`]; what has moved stays moved.
    pub async fn rewrap(
        &self,
        only: Option<&CategoryName>,
        pace: Option<NonZeroU32>,
        clock: &Clock,
        mut on_batch: impl FnMut(&CategoryName, u64),
    ) -> Result<RewrapReport, KeyServiceError> {
        let mut report = RewrapReport::default();
        for kek in self.keks(only).await? {
            // From a retired one too: rows may have come back from a backup.
            if !kek.must_move() || kek.is_destroyed {
                continue;
            }
            let name: Name = (kek.category, kek.version);
            let mut after: Option<KeyId> = None;
            while let Some(batch) = self.keys.rewrap_batch(&name, after, clock.now()).await? {
                let Batch { moved, broken, last } = batch;
                report.moved += moved;
                report.broken += broken;
                after = Some(last);
                on_batch(&name.0, moved);
                if let Some(keys_per_s) = pace {
                    tokio::time::sleep(Duration::from_secs(1) * BATCH / keys_per_s.get()).await;
                }
            }
            if self.keys.retire(&name, clock.now()).await? {
                report.retired.push(name);
            }
        }
        Ok(report)
    }

    /// Moves keys at a pace that licenses do not notice, until the process ends; keeps the
    /// gauge `strongroom_rewrap_pending`.
    pub async fn rewrap_for_ever(&self, keys_per_s: NonZeroU32, clock: &Clock) {
        loop {
            let pause = match self.rewrap_with_gauge(keys_per_s, clock).await {
                Ok(RewrapReport { broken: 0, .. }) => LOOK_EVERY,
                Ok(_) => BROKEN_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "keys were not moved to their newest KEK");
                    LOOK_EVERY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn rewrap_with_gauge(
        &self,
        keys_per_s: NonZeroU32,
        clock: &Clock,
    ) -> Result<RewrapReport, KeyServiceError> {
        let mut pending: BTreeMap<CategoryName, u64> = BTreeMap::new();
        for kek in self.keks(None).await? {
            *pending.entry(kek.category.clone()).or_default() += kek.pending();
        }
        for (category, keys) in &pending {
            show(category, *keys);
        }
        let report = self.rewrap(None, Some(keys_per_s), clock, |category, moved| {
            let left = pending.entry(category.clone()).or_default();
            *left = left.saturating_sub(moved);
            show(category, *left);
        });
        let report = report.await?;
        if report.moved > 0 || !report.retired.is_empty() {
            let (moved, retired) = (report.moved, report.retired.len());
            tracing::info!(moved, retired, "keys moved to their newest KEK");
        }
        Ok(report)
    }

    /// Makes a new version of a category's KEK.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn rotate(
        &self,
        category: &CategoryName,
        now: Timestamp,
    ) -> Result<KekVersion, KeyServiceError> {
        self.keys.rotate(category, now).await
    }

    /// Destroys a KEK that is retired or compromised and from which no key hangs.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn destroy_kek(&self, name: &Name, now: Timestamp) -> Result<(), KeyServiceError> {
        self.keys.destroy(name, now).await
    }

    /// Blocks every key that a KEK ever wrapped; the titles that it concerns.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn compromise_kek(
        &self,
        name: &Name,
        now: Timestamp,
    ) -> Result<Vec<ContentId>, KeyServiceError> {
        self.keys.compromise_kek(name, now).await?;
        let mut titles: Vec<ContentId> = vec![];
        loop {
            let page = self.store.titles_ever_under(&name.0, name.1, titles.last()).await?;
            if page.is_empty() {
                return Ok(titles);
            }
            titles.extend(page);
        }
    }

    /// Blocks one content key; its title.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn compromise_key(
        &self,
        kid: KeyId,
        now: Timestamp,
    ) -> Result<ContentId, KeyServiceError> {
        self.keys.compromise_key(kid, now).await
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no store has 2^53 keys")]
fn show(category: &CategoryName, keys: u64) {
    metrics::gauge!("strongroom_rewrap_pending", "category" => category.to_string())
        .set(keys as f64);
}
