//! Keys that change at regular intervals (R120): found, or made at the first question, and the
//! same ever after; and those of periods that nobody can watch any more, forgotten.
//!
//! A use is a period, a class and a scheme. Of two processes that make keys for the same uses at
//! once, the store keeps the first one's, and both read them afterwards: a key that lost was
//! never given to anybody. The same number under another time (an event that begins anew under
//! its old name) is another period, and gets keys of its own.

use super::Vault;
use super::key_service::{KeyService, KeyServiceError, entry, serves, usable};
use keys::{ContentKey, Kek, PackagingKey, PackagingKeys};
use model::{
    KekVersion, KeyId, KeyPeriod, Rotation, Scheme, Timestamp, Title, TrackClass, TrackClasses,
    WrappedKey,
};
use std::ops::Range;
use std::sync::Arc;
use store::{AuditEntry, INSERT_KEYS_MAX, StoreError};

/// Most periods of one question: a day of periods of five seconds.
pub const PERIODS_MAX: u32 = 17_280;

/// What a key that is made shall encrypt.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyUse {
    /// Absent: every period.
    pub(super) period: Option<KeyPeriod>,
    pub(super) class: TrackClass,
    pub(super) scheme: Scheme,
}

impl KeyService {
    /// The keys of some periods of a title: those it has, and a new one for each period, class
    /// and scheme that has none. Asked again, it gives the same keys. `event` is there for a live
    /// title: how its keys change, and when it begins; so each key has its time.
    ///
    /// Errors: [`KeyServiceError`]; keys that were made are given only after their audit rows.
    /// Limits: [`PERIODS_MAX`].
    pub async fn period_keys(
        &self,
        title: &Title,
        classes: TrackClasses,
        schemes: &[Scheme],
        periods: Range<u32>,
        event: Option<(Rotation, Timestamp)>,
        now: Timestamp,
    ) -> Result<PackagingKeys, KeyServiceError> {
        let count = periods.end.saturating_sub(periods.start);
        if count > PERIODS_MAX {
            return Err(KeyServiceError::TooManyPeriods(count));
        }
        let _one_at_a_time = self.making.lock().await;
        let uses_of = |index| {
            let span = event.map(|(rotation, begins)| rotation.span_of(index, begins));
            let period = Some(KeyPeriod { index, span });
            let each = classes.iter().flat_map(|class| schemes.iter().map(move |s| (class, *s)));
            each.map(move |(class, scheme)| KeyUse { period, class, scheme })
        };
        let mut keys = vec![];
        let mut from = periods.start;
        while from < periods.end {
            let until = from.saturating_add(PERIODS_AT_ONCE).min(periods.end);
            let uses: Vec<KeyUse> = (from..until).flat_map(uses_of).collect();
            let mut rows = self.rows_for(title, from..until, &uses).await?;
            let missing: Vec<KeyUse> =
                uses.iter().filter(|one| !rows.iter().any(|row| one.is_of(row))).copied().collect();
            if !missing.is_empty() {
                self.make_keys(title, &missing, now).await?;
                rows = self.rows_for(title, from..until, &uses).await?;
            }
            keys.extend(self.open_rows(&rows, now).await?);
            from = until;
        }
        let detail = format!(
            "periods {} to {} keys {}",
            periods.start,
            periods.end.saturating_sub(1),
            keys.len()
        );
        let given = entry("keys.given_to_packager", &title.content_id, None, detail, now);
        self.audit.append(vec![given]).await?;
        Ok(PackagingKeys::new(keys))
    }

    /// Forgets the keys of a live title's periods that ended before a moment or at it, and says
    /// how many. The caller says which moment: behind it is what players may still go back to
    /// and what licenses still carry. A key without a time, as those of a film, is never
    /// forgotten, and none that an encryptor asked for by its name: its media is not the caller's,
    /// and asked for again that name must not get a second key.
    ///
    /// Errors: [`KeyServiceError`]; what is forgotten was audited before.
    pub async fn drop_stale_keys(
        &self,
        title: &Title,
        ended_before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, KeyServiceError> {
        let content_id = &title.content_id;
        let Some(stale) = self.store.stale_keys(content_id, ended_before).await? else {
            return Ok(0);
        };
        let detail = format!(
            "periods {} to {} keys {} ended before {}",
            stale.first, stale.last, stale.keys, ended_before.0
        );
        self.audit.append(vec![entry("keys.dropped", content_id, None, detail, now)]).await?;
        Ok(self.store.drop_period_keys(content_id, ended_before).await?)
    }

    /// The usable keys of some periods that serve one of the uses.
    async fn rows_for(
        &self,
        title: &Title,
        periods: Range<u32>,
        uses: &[KeyUse],
    ) -> Result<Vec<WrappedKey>, KeyServiceError> {
        let mut rows = usable(self.store.period_keys_of(&title.content_id, periods).await?);
        rows.retain(|row| uses.iter().any(|one| one.is_of(row)));
        rows.sort_by_key(|row| (row.period.map(|period| period.index), row.kid));
        Ok(rows)
    }

    /// Opens keys for a packager, each KEK once.
    async fn open_rows(
        &self,
        rows: &[WrappedKey],
        now: Timestamp,
    ) -> Result<Vec<PackagingKey>, KeyServiceError> {
        let mut kek: Option<(KekVersion, &model::CategoryName, Arc<Kek>)> = None;
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let opened = match kek.take() {
                Some(kek) if (kek.0, kek.1) == (row.kek_version, &row.category) => kek,
                _ => {
                    let opened = self.open_kek(&row.category, row.kek_version, now).await?;
                    (row.kek_version, &row.category, opened)
                }
            };
            let key = self.open_under(&opened.2, row)?;
            kek = Some(opened);
            let (track_class, scheme) = (row.track_class, row.scheme);
            let period = row.period.map(|period| period.index);
            keys.push(PackagingKey { kid: row.kid, key, iv: row.iv, track_class, scheme, period });
        }
        Ok(keys)
    }

    /// Makes a key for each use, audits and keeps them, all or none. A use that another process
    /// made a key for meanwhile keeps that one. The caller holds `making`.
    ///
    /// Limits: [`INSERT_KEYS_MAX`] uses.
    pub(super) async fn make_keys(
        &self,
        title: &Title,
        uses: &[KeyUse],
        now: Timestamp,
    ) -> Result<(), KeyServiceError> {
        let (version, kek) = self.newest_kek(&title.category, now).await?;
        let rows: Vec<WrappedKey> =
            uses.iter().map(|one| self.draw_for(title, one, (version, &kek), now)).collect();
        self.audit.append(rows.iter().map(|row| generated(row, now)).collect()).await?;
        let kept = match self.store.insert_keys(&rows).await {
            Err(StoreError::Conflict) => {
                let kid = rows.first().map_or(KeyId::from_bytes([0; 16]), |row| row.kid);
                return Err(KeyServiceError::KeyReused(kid));
            }
            outcome => outcome?,
        };
        let lost = (rows.len() as u64).saturating_sub(kept);
        if lost > 0 {
            // Another process was first: its keys are the ones to use, these were never used.
            let detail = format!("keys {lost}");
            let lost = entry("keys.discarded", &title.content_id, None, detail, now);
            self.audit.append(vec![lost]).await?;
        }
        Ok(())
    }

    fn draw_for(
        &self,
        title: &Title,
        KeyUse { period, class, scheme }: &KeyUse,
        kek: (KekVersion, &Kek),
        now: Timestamp,
    ) -> WrappedKey {
        let key = self.entropy.with(|entropy| {
            let mut draw = || {
                let mut bytes = [0; 16];
                entropy.fill(&mut bytes);
                bytes
            };
            // Under cbcs the IV is the track's constant, and FairPlay's license carries it, so
            // it is kept. Under cenc each track draws its own.
            let (kid, iv) = (KeyId::from_bytes(draw()), (*scheme == Scheme::Cbcs).then(draw));
            let key = ContentKey::generate(entropy);
            let (track_class, scheme) = (Some(*class), Some(*scheme));
            let period = period.map(|period| period.index);
            PackagingKey { kid, key, iv, track_class, scheme, period }
        });
        self.wrap(title, &key, *period, kek, now)
    }
}

impl Vault {
    /// The keys of some periods of a title: [`KeyService::period_keys`].
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn period_keys(
        &self,
        title: &Title,
        (classes, schemes): (TrackClasses, &[Scheme]),
        periods: Range<u32>,
        event: Option<(Rotation, Timestamp)>,
        now: Timestamp,
    ) -> Result<PackagingKeys, KeyServiceError> {
        self.keys.period_keys(title, classes, schemes, periods, event, now).await
    }

    /// Forgets keys of a live title's periods that ended: [`KeyService::drop_stale_keys`].
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn drop_stale_keys(
        &self,
        title: &Title,
        ended_before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, KeyServiceError> {
        self.keys.drop_stale_keys(title, ended_before, now).await
    }
}

/// Periods that are looked at in one transaction: as many as their keys may be.
#[expect(clippy::cast_possible_truncation, reason = "a thousand, by some classes and schemes")]
const PERIODS_AT_ONCE: u32 = (INSERT_KEYS_MAX / (TrackClass::ALL.len() * Scheme::ALL.len())) as u32;

impl KeyUse {
    /// Whether the key serves this use. Its period is this very one, with its time.
    fn is_of(&self, row: &WrappedKey) -> bool {
        row.period == self.period && serves(row, self.class, self.scheme)
    }
}

fn generated(row: &WrappedKey, now: Timestamp) -> AuditEntry {
    let period = row.period.map_or_else(String::new, |period| format!("period {} ", period.index));
    let detail = format!(
        "class {} scheme {} {period}kek {} {}",
        row.track_class.map_or("any", TrackClass::name),
        row.scheme.map_or("any", Scheme::name),
        row.category,
        row.kek_version.0
    );
    entry("key.generated", &row.content_id, Some(row.kid), detail, now)
}
