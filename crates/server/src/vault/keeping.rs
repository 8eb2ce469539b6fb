//! Licenses that devices keep: their place among those of the account (R117).

use super::Vault;
use super::dialects::Ask;
use crate::vault_link::LicenseRefused;
use model::{ContentId, Timestamp, TitleState, WrappedKey};
use playback::OfflineDenied;
use playback::grant::GrantTerms;
use store::{KeepLicense, StoreError};

impl Vault {
    /// The row of a license that its device keeps until `ends`.
    pub(super) fn keep_of(
        terms: &GrantTerms,
        ask: &Ask,
        ends: Timestamp,
        now: Timestamp,
    ) -> KeepLicense {
        KeepLicense {
            license: ask.existing.map_or(terms.grant, |existing| existing.license),
            account: terms.account,
            device: terms.device,
            content_id: terms.content_id.clone(),
            max_offline: terms.max_offline,
            ends,
            now,
        }
    }

    /// Holds a place for a license that is about to be made. Returns how many other titles the
    /// account's devices keep.
    ///
    /// Errors: [`LicenseRefused::OfflineNotAllowed`] where there is none, and for what is live.
    pub(super) async fn reserve_place(
        &self,
        keep: &KeepLicense,
        rows: &[WrappedKey],
    ) -> Result<u32, LicenseRefused> {
        let is_live_key = |row: &WrappedKey| row.period.is_some_and(|one| one.span.is_some());
        if rows.iter().any(is_live_key) || self.is_live(&keep.content_id).await? {
            return Err(LicenseRefused::OfflineNotAllowed(OfflineDenied::Live));
        }
        let reserved = self.store.reserve_kept(keep).await?;
        reserved.map_err(LicenseRefused::OfflineNotAllowed)
    }

    /// Writes down that the license leaves, before it does.
    ///
    /// Errors: as [`Self::reserve_place`]; it was too long in the making.
    pub(super) async fn take_place(&self, keep: &KeepLicense) -> Result<(), LicenseRefused> {
        let taken = self.store.put_kept(keep).await?;
        taken.map(drop).map_err(LicenseRefused::OfflineNotAllowed)
    }

    async fn is_live(&self, content_id: &ContentId) -> Result<bool, StoreError> {
        let title = self.store.title(content_id).await?;
        let Some(TitleState::Published { package }) = title.map(|title| title.state) else {
            return Ok(false);
        };
        Ok(self.store.package_event(package).await?.is_some_and(|event| event.live))
    }
}
