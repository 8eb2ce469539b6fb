//! What an operator does to a KEK: a new version, the end of an old one, the word that one is
//! known to strangers (R034, R038). And one batch of keys moved from a version to the newest.

use super::key_service::{KeyService, KeyServiceError, TENANT, entry, vault_entry};
use super::kms_watch::Name;
use super::license::count_alert;
use keys::{Kek, KeyContext};
use model::{CategoryName, ContentId, KekState, KekVersion, KeyId, Timestamp, WrappedKey};
use store::{AuditEntry, Destroyed, Rewrapped, StoreError};

/// Keys that move in one transaction.
pub const BATCH: u32 = 200;

/// What became of one batch.
pub struct Batch {
    /// Keys that moved.
    pub moved: u64,
    /// Keys that do not open, and so stay.
    pub broken: u64,
    /// The last key of the batch: the next one begins behind it.
    pub last: KeyId,
}

impl KeyService {
    /// Makes a new version of a category's KEK: every key made after this is wrapped by it, in
    /// every process. When several rotate at once, they make one new version together.
    ///
    /// Errors: [`KeyServiceError::CategoryUnknown`] for a category without keys.
    pub async fn rotate(
        &self,
        category: &CategoryName,
        now: Timestamp,
    ) -> Result<KekVersion, KeyServiceError> {
        let unknown = || KeyServiceError::CategoryUnknown(category.clone());
        let newest = self.store.newest_kek(category).await?.ok_or_else(unknown)?;
        let version = self.make_kek_after(category, newest.version, now).await?;
        let detail = format!("category {category} version {}", version.0);
        self.audit.append(vec![by_operator("kek.rotated", detail, now)]).await?;
        Ok(version)
    }

    /// Moves the keys of one KEK that come after `after` to the newest, [`BATCH`] at most.
    /// None: there are none. The rows themselves say how far it has come, so a batch that was
    /// cut short is simply taken again.
    pub async fn rewrap_batch(
        &self,
        name: &Name,
        after: Option<KeyId>,
        now: Timestamp,
    ) -> Result<Option<Batch>, KeyServiceError> {
        let (category, from) = (&name.0, name.1);
        let rows = self.store.keys_under(category, from, after, BATCH).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
        let (first, last) = (first.kid, last.kid);
        let (to, new_kek) = self.newest_kek(category, now).await?;
        let old_kek = self.open_kek(category, from, now).await?;
        let mut batch = Vec::with_capacity(rows.len());
        for row in &rows {
            batch.extend(self.rewrap_one(row, &old_kek, (to, &new_kek)));
        }
        let broken = rows.len().saturating_sub(batch.len()) as u64;
        let detail = format!(
            "category {category} kek {} to {} keys {} from {first} to {last}",
            from.0,
            to.0,
            batch.len()
        );
        self.audit.append(vec![vault_entry("keys.rewrapped", detail, now)]).await?;
        let moved = self.store.rewrap_keys(category, (from, to), &batch).await?;
        Ok(Some(Batch { moved, broken, last }))
    }

    /// One key wrapped anew, and nothing where it does not open.
    fn rewrap_one(
        &self,
        row: &WrappedKey,
        old_kek: &Kek,
        (to, new_kek): (KekVersion, &Kek),
    ) -> Option<Rewrapped> {
        let Ok(key) = self.open_under(old_kek, row) else {
            tracing::error!(
                alert = "key_integrity", content_id = %row.content_id, kid = %row.kid,
                "a stored key does not open and stays under its old KEK"
            );
            count_alert("key_integrity");
            return None;
        };
        let context = KeyContext { kek_version: to, ..KeyContext::of_row(TENANT, row) };
        let new = self.entropy.with(|entropy| new_kek.wrap(&key, &context, entropy));
        Some(Rewrapped { kid: row.kid, old: row.wrapped.clone(), new })
    }

    /// Retires a KEK from which no key hangs. Its ciphertext stays until [`Self::destroy`].
    pub async fn retire(&self, name: &Name, now: Timestamp) -> Result<bool, KeyServiceError> {
        let is_retired = self.store.retire_kek(&name.0, name.1).await?;
        if is_retired {
            let detail = format!("category {} version {}", name.0, name.1.0);
            self.audit.append(vec![vault_entry("kek.retired", detail, now)]).await?;
        }
        Ok(is_retired)
    }

    /// Destroys the ciphertext of a KEK that is retired or compromised and from which no key
    /// hangs. Backups of rows from before its keys moved open no more.
    ///
    /// Errors: [`KeyServiceError::StillInUse`], [`KeyServiceError::VersionUnknown`].
    pub async fn destroy(&self, name: &Name, now: Timestamp) -> Result<(), KeyServiceError> {
        let in_use = || KeyServiceError::StillInUse(name.0.clone(), name.1);
        let stored = self.store.kek(&name.0, name.1).await?.ok_or_else(|| unknown(name))?;
        if stored.state == KekState::Active {
            return Err(in_use());
        }
        let detail = format!("category {} version {}", name.0, name.1.0);
        self.audit.append(vec![by_operator("kek.destroyed", detail, now)]).await?;
        match self.store.destroy_kek(&name.0, name.1).await? {
            Destroyed::Done => Ok(()),
            Destroyed::StillInUse => Err(in_use()),
        }
    }

    /// Says that a KEK is known to strangers. From the next request on no license carries a
    /// key that it ever wrapped: whoever has it opens every old copy of those rows, so wrapping
    /// them anew heals nothing. Their titles wait to be packaged anew.
    ///
    /// The block comes first and does not wait for the audit.
    ///
    /// Errors: [`KeyServiceError::VersionUnknown`].
    pub async fn compromise_kek(&self, name: &Name, now: Timestamp) -> Result<(), KeyServiceError> {
        let (category, version) = (&name.0, name.1);
        match self.store.compromise_kek(category, version).await {
            Err(StoreError::Missing) => return Err(unknown(name)),
            outcome => outcome?,
        }
        tracing::error!(alert = "kek_compromised", %category, version = version.0, "a KEK is known");
        count_alert("kek_compromised");
        let detail = format!("category {category} version {}", version.0);
        self.audit.append(vec![by_operator("kek.compromised", detail, now)]).await?;
        Ok(self.store.queue_repackaging_under(category, version, now).await?)
    }

    /// Says that one content key is known to strangers: no license carries it from the next
    /// request on, and its title waits to be packaged anew.
    ///
    /// Errors: [`KeyServiceError::KidUnknown`].
    pub async fn compromise_key(
        &self,
        kid: KeyId,
        now: Timestamp,
    ) -> Result<ContentId, KeyServiceError> {
        let content_id = self.store.compromise_key(kid).await?;
        let content_id = content_id.ok_or(KeyServiceError::KidUnknown(kid))?;
        tracing::error!(alert = "key_compromised", %content_id, %kid, "a content key is known");
        count_alert("key_compromised");
        let row = entry("key.compromised", &content_id, Some(kid), String::new(), now);
        self.audit.append(vec![AuditEntry { actor: "operator".to_owned(), ..row }]).await?;
        let reason = format!("key {kid} is compromised");
        self.store.queue_repackaging(&content_id, &reason, now).await?;
        Ok(content_id)
    }
}

fn unknown(name: &Name) -> KeyServiceError {
    KeyServiceError::VersionUnknown(name.0.clone(), name.1)
}

pub(super) fn by_operator(action: &'static str, detail: String, now: Timestamp) -> AuditEntry {
    AuditEntry { actor: "operator".to_owned(), ..vault_entry(action, detail, now) }
}
