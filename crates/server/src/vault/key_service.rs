//! The key hierarchy: root key → KEK of a category → one CEK a title, track class and scheme.

use super::audit_writer::{AuditError, AuditWriter};
use super::kek_cache::KekCache;
use super::kms_watch::KmsWatch;
use super::period_keys::KeyUse;
use crate::config::key_cache::KeyCache;
use crate::entropy::EntropySource;
use keys::key_file::ImportedKey;
use keys::kms::{Kms, KmsError};
use keys::{
    CekCache, ContentKey, FingerprintKey, Kek, KekContext, KeyContext, PackagingKey, PackagingKeys,
};
use model::{
    CategoryName, ContentId, KekState, KekVersion, KeyId, KeyPeriod, KeyState, Scheme, Timestamp,
    Title, TrackClass, TrackClasses, WrappedKey,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::{AuditEntry, Store, StoreError, StoredKek};
use tokio::sync::Mutex;

/// The one service whose keys these are; part of what each key is bound to.
pub(super) const TENANT: &str = "default";
/// Longest wait for the KMS: callers are told within a second (R173).
const KMS_TIMEOUT: Duration = Duration::from_millis(800);

/// Why a key is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyServiceError {
    /// The KMS did not answer in time, or not at all.
    #[error("the KMS is not available")]
    KmsUnavailable,
    /// The KMS refuses: a matter for the operator.
    #[error("the KMS refuses")]
    KmsRefused,
    /// The root key is too old to wrap (R032).
    #[error("the root key is older than a year and wraps nothing more; run `keys rotate-root`")]
    RootKeyExpired,
    /// A wrapped key does not open: its row was changed, or the root key is another one.
    #[error("a stored key is not bound to its row and root key")]
    Integrity,
    /// A KEK that rows name is not stored.
    #[error("a key's KEK is missing")]
    KekMissing,
    /// No key was ever made in this category.
    #[error("there is no category {0} with keys")]
    CategoryUnknown(CategoryName),
    /// The category's KEK has no such version.
    #[error("category {0} has no KEK version {n}", n = .1.0)]
    VersionUnknown(CategoryName, KekVersion),
    /// Keys hang from the KEK, or it is in use.
    #[error("KEK version {n} of {0} is still in use: rotate, rewrap, then destroy", n = .1.0)]
    StillInUse(CategoryName, KekVersion),
    /// No such key.
    #[error("there is no key {0}")]
    KidUnknown(KeyId),
    /// The KID belongs to another key, title or use.
    #[error("key {0} is known as another key, or for another title, class or scheme")]
    KidTaken(KeyId),
    /// The same key is in use under another KID (R016).
    #[error("the key given as {0} is in use under another kid")]
    KeyReused(KeyId),
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More periods than one call answers for.
    #[error("more periods than one question may have: {0}")]
    TooManyPeriods(u32),
    /// The audit: without it, no key is made or given.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl From<KmsError> for KeyServiceError {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::Unavailable => Self::KmsUnavailable,
            KmsError::Refused => Self::KmsRefused,
            KmsError::Expired => Self::RootKeyExpired,
            KmsError::Integrity => Self::Integrity,
        }
    }
}

/// Makes, wraps, keeps and opens content keys.
pub struct KeyService {
    pub(super) store: Store,
    pub(super) kms: Arc<dyn Kms>,
    fingerprints: FingerprintKey,
    pub(super) entropy: EntropySource,
    pub(super) audit: AuditWriter,
    opened: KekCache,
    ceks: Option<CekCache>,
    watch: KmsWatch,
    /// Whether what is opened already serves while the root key is away.
    serves_during_outage: bool,
    /// Held while keys are made, so that requests for the same title make one set.
    pub(super) making: Mutex<()>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Keys that are new.
    pub added: usize,
    /// Keys that were there already, exactly so.
    pub known: usize,
}

impl KeyService {
    /// A service on these rows and this root key.
    #[must_use]
    pub fn new(
        store: Store,
        kms: Arc<dyn Kms>,
        fingerprints: FingerprintKey,
        entropy: EntropySource,
        audit: AuditWriter,
        cache: &KeyCache,
    ) -> Self {
        let (opened, watch, making) = Default::default();
        let serves_during_outage = cache.serve_during_outage;
        let ceks = (cache.cek_s > 0).then(|| CekCache::new(cache.cek_s, cache.ceks));
        let ceks = ceks.and_then(|made| match made {
            Ok(ceks) => Some(ceks),
            Err(keys::MemoryNotLocked) => {
                tracing::warn!("content keys are not kept: memory cannot be locked (ulimit -l)");
                None
            }
        });
        Self {
            store,
            kms,
            fingerprints,
            entropy,
            audit,
            opened,
            ceks,
            watch,
            serves_during_outage,
            making,
        }
    }

    /// What holds the root key, by name.
    pub fn root_key(&self) -> &'static str {
        self.kms.name()
    }

    /// The keys to package a title with: those it has, and a new one for each class and scheme
    /// that has none. Asked again, it gives the same keys.
    ///
    /// Errors: [`KeyServiceError`]; a key that was made is given only after its audit row.
    pub async fn packaging_keys(
        &self,
        title: &Title,
        classes: TrackClasses,
        schemes: &[Scheme],
        now: Timestamp,
    ) -> Result<PackagingKeys, KeyServiceError> {
        let _one_at_a_time = self.making.lock().await;
        let mut rows = self.usable_keys_of(&title.content_id).await?;
        let slots = classes.iter().flat_map(|class| schemes.iter().map(move |s| (class, *s)));
        let missing: Vec<_> = slots
            .filter(|(class, scheme)| !rows.iter().any(|r| serves(r, *class, *scheme)))
            .map(|(class, scheme)| KeyUse { period: None, class, scheme })
            .collect();
        if !missing.is_empty() {
            self.make_keys(title, &missing, now).await?;
            rows = self.usable_keys_of(&title.content_id).await?;
        }
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let key = self.open_key(row, now).await?;
            let (kid, iv) = (row.kid, row.iv);
            let (track_class, scheme) = (row.track_class, row.scheme);
            keys.push(PackagingKey { kid, key, iv, track_class, scheme, period: None });
        }
        let kids: Vec<String> = rows.iter().map(|row| row.kid.to_string()).collect();
        let given = entry("keys.given_to_packager", &title.content_id, None, kids.join(" "), now);
        self.audit.append(vec![given]).await?;
        Ok(PackagingKeys::new(keys))
    }

    /// Keeps keys that come from a key file. A key that is there already, exactly so, is
    /// passed over; the first that contradicts a row ends the import.
    ///
    /// Errors: [`KeyServiceError::KidTaken`], [`KeyServiceError::KeyReused`] and the others.
    pub async fn import(
        &self,
        title: &Title,
        keys: &[ImportedKey],
        now: Timestamp,
    ) -> Result<Imported, KeyServiceError> {
        let _one_at_a_time = self.making.lock().await;
        let (version, kek) = self.newest_kek(&title.category, now).await?;
        let mut imported = Imported::default();
        for ImportedKey { key, .. } in keys {
            let period = key.period.map(|index| KeyPeriod { index, span: None });
            let row = self.wrap(title, key, period, (version, &kek), now);
            if let Some(known) = self.store.key(row.kid).await? {
                is_same(&known, &row).then_some(()).ok_or(KeyServiceError::KidTaken(row.kid))?;
                imported.known += 1;
            } else {
                self.keep(&row, "key.imported", now).await?;
                imported.added += 1;
            }
        }
        Ok(imported)
    }

    /// Opens a stored key. The caller audits what it is opened for.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn open_key(
        &self,
        row: &WrappedKey,
        now: Timestamp,
    ) -> Result<ContentKey, KeyServiceError> {
        let context = KeyContext::of_row(TENANT, row);
        let kept = self.ceks.as_ref().filter(|_| self.may_serve_opened(now));
        if let Some(key) = kept.and_then(|ceks| ceks.copy(&context, &row.wrapped, now)) {
            return Ok(key);
        }
        let kek = self.open_kek(&row.category, row.kek_version, now).await?;
        let key = self.open_under(&kek, row)?;
        if let Some(ceks) = &self.ceks {
            ceks.keep(&context, &row.wrapped, &key, now);
        }
        Ok(key)
    }

    /// Opens a key under its opened KEK. The fingerprint is the one fact of a row that its seal
    /// does not hold, so it is compared.
    pub(super) fn open_under(
        &self,
        kek: &Kek,
        row: &WrappedKey,
    ) -> Result<ContentKey, KeyServiceError> {
        let key = kek
            .unwrap(&row.wrapped, &KeyContext::of_row(TENANT, row))
            .map_err(|keys::UnwrapError| KeyServiceError::Integrity)?;
        self.is_key_of(row, &key).then_some(key).ok_or(KeyServiceError::Integrity)
    }

    /// Whether `key` is the key of this row.
    #[must_use]
    pub fn is_key_of(&self, row: &WrappedKey, key: &ContentKey) -> bool {
        key.fingerprint(&self.fingerprints) == row.fingerprint
    }

    /// Keys that may be used and do not rotate.
    async fn usable_keys_of(
        &self,
        content_id: &ContentId,
    ) -> Result<Vec<WrappedKey>, KeyServiceError> {
        Ok(usable(self.store.track_keys_of(content_id).await?))
    }

    pub(super) fn wrap(
        &self,
        title: &Title,
        key: &PackagingKey,
        period: Option<KeyPeriod>,
        (kek_version, kek): (KekVersion, &Kek),
        now: Timestamp,
    ) -> WrappedKey {
        let mut row = WrappedKey {
            kid: key.kid,
            content_id: title.content_id.clone(),
            track_class: key.track_class,
            scheme: key.scheme,
            period,
            category: title.category.clone(),
            kek_version,
            first_kek_version: kek_version,
            wrapped: vec![],
            iv: key.iv,
            fingerprint: key.key.fingerprint(&self.fingerprints),
            state: KeyState::Active,
            created: now,
        };
        let context = KeyContext::of_row(TENANT, &row);
        row.wrapped = self.entropy.with(|entropy| kek.wrap(&key.key, &context, entropy));
        row
    }

    /// Audits and stores a new key.
    async fn keep(
        &self,
        row: &WrappedKey,
        action: &'static str,
        now: Timestamp,
    ) -> Result<(), KeyServiceError> {
        let detail = format!(
            "class {} scheme {} kek {} {}",
            row.track_class.map_or("any", TrackClass::name),
            row.scheme.map_or("any", Scheme::name),
            row.category,
            row.kek_version.0
        );
        self.audit.append(vec![entry(action, &row.content_id, Some(row.kid), detail, now)]).await?;
        match self.store.insert_key(row).await {
            Err(StoreError::Conflict) => Err(KeyServiceError::KeyReused(row.kid)),
            outcome => Ok(outcome?),
        }
    }

    /// The KEK that wraps a category's new keys; made when there is none, or only a
    /// compromised one.
    pub(super) async fn newest_kek(
        &self,
        category: &CategoryName,
        now: Timestamp,
    ) -> Result<(KekVersion, Arc<Kek>), KeyServiceError> {
        let version = match self.store.newest_kek(category).await? {
            Some(kek) if kek.state == KekState::Active => kek.version,
            Some(kek) => self.make_kek_after(category, kek.version, now).await?,
            None => self.make_kek_after(category, KekVersion(0), now).await?,
        };
        Ok((version, self.open_kek(category, version, now).await?))
    }

    /// Makes the version that follows `last`. Of several processes at once one makes it, and
    /// all get that one.
    pub(super) async fn make_kek_after(
        &self,
        category: &CategoryName,
        last: KekVersion,
        now: Timestamp,
    ) -> Result<KekVersion, KeyServiceError> {
        let version = KekVersion(last.0.saturating_add(1));
        let kek = self.entropy.with(Kek::generate);
        let context = KekContext { tenant: TENANT, category, version };
        let wrapped = within(self.kms.wrap(&kek, &context)).await?;
        let stored = StoredKek {
            category: category.clone(),
            version,
            wrapped,
            state: KekState::Active,
            created: now,
        };
        let detail = format!("category {category} version {} kms {}", version.0, self.kms.name());
        self.audit.append(vec![vault_entry("kek.generated", detail.clone(), now)]).await?;
        match self.store.insert_kek(&stored).await {
            Ok(()) => {}
            // Another process was first: its KEK is the one to use, this one was never used.
            Err(StoreError::Conflict) => {
                self.audit.append(vec![vault_entry("kek.discarded", detail, now)]).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(version)
    }

    pub(super) async fn open_kek(
        &self,
        category: &CategoryName,
        version: KekVersion,
        now: Timestamp,
    ) -> Result<Arc<Kek>, KeyServiceError> {
        let name = (category.clone(), version);
        if self.may_serve_opened(now)
            && let Some(kek) = self.opened.get(&name, now)
        {
            return Ok(kek);
        }
        let kek = Arc::new(self.fetch_kek(&name, now).await?);
        self.opened.put(name, Arc::clone(&kek), now);
        Ok(kek)
    }

    /// Whether what is opened may be used. During an outage it may not, unless the operator
    /// said so: a license is a fresh yes of the root key's holder too (R173).
    fn may_serve_opened(&self, now: Timestamp) -> bool {
        self.serves_during_outage || self.watch.is_there(now)
    }

    /// Looks whether the root key can be reached, by the KEK that was asked for last; does
    /// nothing before the first.
    pub async fn look_at_root_key(&self, now: Timestamp) {
        if let Some(ceks) = &self.ceks {
            ceks.sweep(now);
        }
        let Some(name) = self.watch.last() else { return };
        // The answer is the watch's; a refusal is met again by whoever needs the key.
        drop(self.fetch_kek(&name, now).await);
    }

    /// Opens a KEK at the KMS, and lets the watch know how that went.
    async fn fetch_kek(
        &self,
        name @ (category, version): &(CategoryName, KekVersion),
        now: Timestamp,
    ) -> Result<Kek, KeyServiceError> {
        let version = *version;
        let stored = self.store.kek(category, version).await?;
        let stored = stored.filter(|kek| !kek.wrapped.is_empty());
        let stored = stored.ok_or(KeyServiceError::KekMissing)?;
        let context = KekContext { tenant: TENANT, category, version };
        #[expect(clippy::disallowed_methods, reason = "the vault opens KEKs to open its CEKs")]
        let opening = self.kms.unwrap(&stored.wrapped, &context);
        let outcome = within(opening).await;
        match outcome {
            Err(KeyServiceError::KmsUnavailable) => self.watch.missed(name, now),
            _ => self.watch.reached(name, outcome.is_ok(), now),
        }
        outcome
    }
}

/// Waits for the KMS, but not long.
pub(super) async fn within<T>(
    call: impl Future<Output = Result<T, KmsError>>,
) -> Result<T, KeyServiceError> {
    match tokio::time::timeout(KMS_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_too_late) => Err(KeyServiceError::KmsUnavailable),
    }
}

/// Of the keys that may be used, for each use the oldest, so that every caller finds the same.
pub(super) fn usable(mut rows: Vec<WrappedKey>) -> Vec<WrappedKey> {
    rows.retain(|row| row.state == KeyState::Active);
    rows.sort_by_key(|row| (row.created, row.kid));
    let mut seen = HashSet::with_capacity(rows.len());
    rows.retain(|row| seen.insert((row.period, row.track_class, row.scheme)));
    rows
}

pub(super) fn serves(row: &WrappedKey, class: TrackClass, scheme: Scheme) -> bool {
    row.track_class.is_none_or(|own| own == class) && row.scheme.is_none_or(|own| own == scheme)
}

/// The same key for the same use.
fn is_same(known: &WrappedKey, row: &WrappedKey) -> bool {
    let public = |row: &WrappedKey| {
        (row.content_id.clone(), row.track_class, row.scheme, row.period, row.iv)
    };
    public(known) == public(row) && known.fingerprint == row.fingerprint
}

pub(super) fn entry(
    action: &'static str,
    content_id: &ContentId,
    kid: Option<KeyId>,
    detail: String,
    now: Timestamp,
) -> AuditEntry {
    AuditEntry { content_id: Some(content_id.clone()), kid, ..vault_entry(action, detail, now) }
}

pub(super) fn vault_entry(action: &'static str, detail: String, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: "vault".to_owned(),
        action: action.to_owned(),
        content_id: None,
        kid: None,
        session: None,
        decision: None,
        detail,
    }
}
