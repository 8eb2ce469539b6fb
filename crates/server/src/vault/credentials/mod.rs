//! Credentials of DRM systems: imported by an operator, kept in the store with their secrets
//! sealed, opened once and held in memory for as long as they serve.
//!
//! Every vault on one store has the same. A change is seen within seconds by those that run.

mod change;
mod fairplay;
mod folder;
mod held;
mod listed;
mod playready;
mod provision;
mod sealed;
mod widevine;

pub use change::{CredentialError, ImportedCredentials};
pub use fairplay::{FairPlay, FairPlayFiles};
pub use folder::FileRefused;
pub use held::Unusable;
pub use listed::CredentialRow;
pub use playready::{PlayReady, PlayReadyFiles};
pub use provision::{ProvisionRefused, Provisioned};
pub use widevine::{Widevine, WidevineFiles};

pub(super) use held::Absence;
pub(super) use sealed::{open_kek, wrap_kek};

use super::Vault;
use held::Held;
use model::{Dialect, Timestamp};
use std::sync::Arc;

/// The credentials of each system as they are now.
#[derive(Default)]
pub(super) struct Credentials {
    widevine: Held<Widevine>,
    playready: Held<PlayReady>,
    fairplay: Held<FairPlay>,
}

impl Vault {
    /// Widevine's credentials as they are now. Hold them for one request only.
    #[must_use]
    pub fn widevine(&self) -> Option<Arc<Widevine>> {
        self.credentials.widevine.current().ok()
    }

    /// The same, or why there are none.
    pub(super) fn own_widevine(&self) -> Result<Arc<Widevine>, Absence> {
        self.credentials.widevine.current()
    }

    /// PlayReady's, or why there are none.
    pub(super) fn own_playready(&self) -> Result<Arc<PlayReady>, Absence> {
        self.credentials.playready.current()
    }

    /// FairPlay's, or why there are none.
    pub(super) fn own_fairplay(&self) -> Result<Arc<FairPlay>, Absence> {
        self.credentials.fairplay.current()
    }

    /// Looks whether credentials were changed, and reads them where they were.
    pub async fn look_at_credentials(&self, now: Timestamp) {
        let Credentials { widevine, playready, fairplay } = &self.credentials;
        widevine.look(&self.keys, self.mode, now).await;
        playready.look(&self.keys, self.mode, now).await;
        fairplay.look(&self.keys, self.mode, now).await;
    }

    /// Looks whether what is for tests only would serve in production.
    ///
    /// Errors: [`Unusable::TestOnly`]; everything else is for [`Self::look_at_credentials`].
    pub async fn refuse_test_credentials(&self, now: Timestamp) -> Result<(), Unusable> {
        match self.credentials.fairplay.load(&self.keys, self.mode, now).await {
            Err(error @ Unusable::TestOnly(_)) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes over a checked folder. Its service certificate is handed out from now on; those
    /// of earlier imports under the same root still open identities. Of everything else the
    /// folder is the whole truth.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn import_widevine(
        &self,
        files: WidevineFiles,
        now: Timestamp,
    ) -> Result<ImportedCredentials, CredentialError> {
        self.take_over(&files.check(now)?, now).await
    }

    /// Takes over a checked PlayReady folder, which is the whole truth.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn import_playready(
        &self,
        files: PlayReadyFiles,
        now: Timestamp,
    ) -> Result<ImportedCredentials, CredentialError> {
        self.take_over(&files.check(now)?, now).await
    }

    /// Takes over a checked FairPlay folder. Its application certificate is handed out from now
    /// on; clients that hold those of earlier imports are still answered.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn import_fairplay(
        &self,
        files: FairPlayFiles,
        now: Timestamp,
    ) -> Result<ImportedCredentials, CredentialError> {
        self.take_over(&files.check(self.mode, now)?, now).await
    }

    /// Takes another revocation list for those PlayReady credentials that are there.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn replace_revocation_list(
        &self,
        list: &str,
        now: Timestamp,
    ) -> Result<usize, CredentialError> {
        let check = |_: &sealed::Opened<'_>| playready::listed(list);
        self.replace_devices(Dialect::PlayReady, list, check, now).await
    }

    /// Takes another device list for those Widevine credentials that are there.
    ///
    /// Errors: [`CredentialError`]; nothing has changed then.
    pub async fn replace_device_list(
        &self,
        list: &str,
        now: Timestamp,
    ) -> Result<usize, CredentialError> {
        let check = |opened: &sealed::Opened<'_>| widevine::listed(opened, list, now);
        self.replace_devices(Dialect::Widevine, list, check, now).await
    }
}
