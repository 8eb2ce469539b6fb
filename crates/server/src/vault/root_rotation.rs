//! A new version of the root key, and the KEKs under it (R032). Nothing else changes: KEKs stay
//! the keys that they are, so that licenses go on.

use super::Vault;
use super::credentials::{open_kek, wrap_kek};
use super::key_service::{KeyService, KeyServiceError, TENANT, within};
use super::rotation::by_operator;
use keys::KekContext;
use keys::kms::RootKey;
use model::{Dialect, Timestamp};
use store::StoredKek;

/// What a rotation of the root key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootRotation {
    /// The root key that wraps now.
    pub root_key: RootKey,
    /// KEKs that were wrapped anew.
    pub moved: u64,
    /// KEKs that do not open, and so stay.
    pub broken: u64,
}

/// Whether a new version is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewVersion {
    /// One is made, where it is ours to make.
    Make,
    /// The newest there is serves.
    Keep,
}

impl Vault {
    /// Makes a new version of the root key and wraps every KEK anew under it. Cut short, it is
    /// ended by another call, with [`NewVersion::Keep`]; the older version opens until then.
    ///
    /// Errors: [`KeyServiceError`]; what has moved stays moved.
    pub async fn rotate_root(
        &self,
        new_version: NewVersion,
        now: Timestamp,
    ) -> Result<RootRotation, KeyServiceError> {
        self.keys.rotate_root(new_version, now).await
    }
}

impl KeyService {
    async fn rotate_root(
        &self,
        new_version: NewVersion,
        now: Timestamp,
    ) -> Result<RootRotation, KeyServiceError> {
        let root_key = match new_version {
            NewVersion::Make => self.kms.rotate(now).await?,
            NewVersion::Keep => self.kms.root_key(),
        };
        if let (NewVersion::Make, RootKey::Versioned { version, .. }) = (new_version, root_key) {
            let detail = format!("kms {} version {version}", self.kms.name());
            self.audit.append(vec![by_operator("root_key.rotated", detail, now)]).await?;
        }
        let mut rotation = RootRotation { root_key, moved: 0, broken: 0 };
        for kek in self.store.keks().await? {
            // A destroyed one has nothing left to wrap.
            if kek.wrapped.is_empty() {
                continue;
            }
            match self.wrap_anew(&kek).await {
                Ok(true) => rotation.moved += 1,
                // Somebody else has wrapped or destroyed it since it was read.
                Ok(false) => {}
                Err(KeyServiceError::Integrity) => rotation.broken += 1,
                Err(error) => return Err(error),
            }
        }
        for (dialect, wrapped) in self.store.credential_keks().await? {
            match self.wrap_credentials_anew(dialect, &wrapped).await {
                Ok(true) => rotation.moved += 1,
                Ok(false) => {}
                Err(KeyServiceError::Integrity) => rotation.broken += 1,
                Err(error) => return Err(error),
            }
        }
        let RootRotation { moved, broken, .. } = rotation;
        let detail = format!("kms {} moved {moved} broken {broken}", self.kms.name());
        self.audit.append(vec![by_operator("keks.wrapped_anew", detail, now)]).await?;
        Ok(rotation)
    }

    async fn wrap_credentials_anew(
        &self,
        dialect: Dialect,
        wrapped: &[u8],
    ) -> Result<bool, KeyServiceError> {
        let kek = open_kek(self, dialect, wrapped).await?;
        let anew = wrap_kek(self, dialect, &kek).await?;
        Ok(self.store.replace_credential_kek(dialect, wrapped, &anew).await?)
    }

    async fn wrap_anew(&self, stored: &StoredKek) -> Result<bool, KeyServiceError> {
        let (category, version) = (&stored.category, stored.version);
        let context = KekContext { tenant: TENANT, category, version };
        #[expect(clippy::disallowed_methods, reason = "a KEK is wrapped anew")]
        let opening = self.kms.unwrap(&stored.wrapped, &context);
        let kek = within(opening).await?;
        let wrapped = within(self.kms.wrap(&kek, &context)).await?;
        Ok(self.store.replace_wrapped_kek(stored, &wrapped).await?)
    }
}
