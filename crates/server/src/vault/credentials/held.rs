//! What serves now of one DRM system: opened once, held in memory, read again when it changed.

use super::sealed::{Opened, open_kek};
use crate::config::Mode;
use crate::vault::key_service::{KeyService, KeyServiceError};
use crate::vault::license::count_alert;
use dialect::fairplay;
use dialect::playready::{self, RevocationListError};
use dialect::widevine::{DeviceListError, ImportError};
use keys::Kek;
use model::{Dialect, Timestamp};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::{StoreError, StoredCredentials};

/// A DRM system that works with imported credentials.
pub(super) trait System: Sized {
    const DIALECT: Dialect;

    /// Opens what is stored.
    ///
    /// Errors: [`Unusable`].
    fn open(opened: &Opened<'_>, mode: Mode, now: Timestamp) -> Result<Self, Unusable>;

    /// Takes over from what served before what is worth keeping.
    fn succeed(&mut self, _before: &Self) {}

    /// What an operator wants to read of it in the log.
    fn counts(&self) -> String;
}

/// Why stored credentials are not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The KEK does not open, or a row is not as it was sealed.
    #[error(transparent)]
    Keys(#[from] KeyServiceError),
    /// A row of a kind that must be there.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// Every service certificate has run out.
    #[error("every service certificate has expired")]
    Expired,
    /// A secret that is no text, or has another length.
    #[error("a stored secret has another shape")]
    Shape,
    /// What is for tests only, in production.
    #[error("{0} is for tests only and does not serve in production")]
    TestOnly(&'static str),
    /// Widevine's root, or a service certificate.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Widevine's device list.
    #[error(transparent)]
    Devices(#[from] DeviceListError),
    /// PlayReady's root, chain or keys.
    #[error(transparent)]
    PlayReady(#[from] playready::ImportError),
    /// PlayReady's revocation list.
    #[error(transparent)]
    Revocations(#[from] RevocationListError),
    /// A FairPlay application.
    #[error(transparent)]
    FairPlay(#[from] fairplay::ImportError),
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

/// Why a system's requests are not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vault) enum Absence {
    /// Nothing was imported.
    #[default]
    NotImported,
    /// What was imported cannot be opened while the KMS or the store is away.
    Away,
    /// What was imported is not usable.
    Unusable,
}

/// One system's credentials as they are now.
pub(super) struct Held<S> {
    state: RwLock<State<S>>,
}

/// What was read last.
struct State<S> {
    /// The version that `current` is of.
    version: Option<u64>,
    current: Option<Arc<S>>,
    /// The KEK, as the store has it and opened: the secrets that it seals are in memory all the
    /// same, and with it a revocation is read also while the KMS is away.
    kek: Option<(Vec<u8>, Arc<Kek>)>,
    /// The version that was said not to be usable, so that it is said once.
    said: Option<u64>,
    absence: Absence,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        let absence = Absence::default();
        Self { version: None, current: None, kek: None, said: None, absence }
    }
}

impl<S> Default for Held<S> {
    fn default() -> Self {
        Self { state: RwLock::default() }
    }
}

impl<S: System> Held<S> {
    /// What serves now. Hold it for one request only.
    ///
    /// Errors: [`Absence`] where nothing usable was imported.
    pub fn current(&self) -> Result<Arc<S>, Absence> {
        let state = self.read();
        state.current.clone().ok_or(state.absence)
    }

    /// Reads the credentials where they have changed. What is not usable changes nothing, but
    /// for an alert: what served before goes on serving.
    pub async fn look(&self, keys: &KeyService, mode: Mode, now: Timestamp) {
        // While the store is away nothing is licensed either.
        let Ok(version) = keys.store.credentials_version().await else { return };
        if self.read().version == Some(version) {
            return;
        }
        match self.load(keys, mode, now).await {
            Ok(()) => {}
            // Read again at the next look; the KMS has its own alerts.
            Err(Unusable::Keys(
                KeyServiceError::KmsUnavailable
                | KeyServiceError::Store(StoreError::Unavailable(_)),
            )) => {
                self.write().absence = Absence::Away;
            }
            Err(error) => {
                let mut state = self.write();
                state.absence = Absence::Unusable;
                let said = state.said.replace(version);
                drop(state);
                if said != Some(version) {
                    let (alert, dialect) = ("credentials_unusable", S::DIALECT.name());
                    tracing::error!(
                        alert, dialect, version, %error,
                        "stored credentials are not usable: what served before goes on"
                    );
                    count_alert(alert);
                }
            }
        }
    }

    /// Reads what is stored now.
    ///
    /// Errors: [`Unusable`]; what served before goes on serving.
    pub async fn load(
        &self,
        keys: &KeyService,
        mode: Mode,
        now: Timestamp,
    ) -> Result<(), Unusable> {
        let dialect = S::DIALECT;
        // Read before the rows: a change between the two is seen at the next look.
        let version = keys.store.credentials_version().await?;
        let Some(stored) = keys.store.credentials(dialect).await? else {
            let was = std::mem::take(&mut *self.write());
            self.write().version = Some(version);
            if was.current.is_some() {
                tracing::warn!(dialect = dialect.name(), "the credentials were removed");
            }
            return Ok(());
        };
        let kek = self.kek(keys, &stored).await?;
        let opened = Opened { dialect, kek: &kek, rows: &stored.rows };
        let mut current = S::open(&opened, mode, now)?;
        if let Ok(before) = self.current() {
            current.succeed(&before);
        }
        let counts = current.counts();
        tracing::info!(dialect = dialect.name(), version, counts, "credentials read");
        let mut state = self.write();
        state.version = Some(version);
        state.kek = Some((stored.kek, kek));
        state.current = Some(Arc::new(current));
        Ok(())
    }

    async fn kek(
        &self,
        keys: &KeyService,
        stored: &StoredCredentials,
    ) -> Result<Arc<Kek>, KeyServiceError> {
        let known = self.read().kek.clone();
        if let Some((_, kek)) = known.filter(|(wrapped, _)| *wrapped == stored.kek) {
            return Ok(kek);
        }
        open_kek(keys, S::DIALECT, &stored.kek).await.map(Arc::new)
    }
}

impl<S> Held<S> {
    fn read(&self) -> RwLockReadGuard<'_, State<S>> {
        // Nothing in here panics half way.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<S>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
