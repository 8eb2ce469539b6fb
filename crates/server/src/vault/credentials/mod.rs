//! Credentials of DRM systems: imported by an operator, kept in the store with their secrets
//! sealed, opened once and held in memory for as long as they serve.
//!
//! Every vault on one store has the same. A change is seen within seconds by those that run.

mod change;
mod files;
mod provision;
mod sealed;

pub use change::{CredentialError, CredentialRow, ImportedCredentials};
pub use files::{FileRefused, WidevineFiles};
pub use provision::{ProvisionRefused, Provisioned};
pub(super) use sealed::{open_kek, wrap_kek};

use super::Vault;
use super::key_service::{KeyService, KeyServiceError};
use super::license::count_alert;
use dialect::widevine::provisioning::{ModelError, ProvisioningModel};
use dialect::widevine::{
    Credentials, Desk, DeviceList, DeviceListError, ImportError, RootFile, ServiceFacts,
    VerifiedModels,
};
use keys::{Kek, SessionSeal};
use model::{Dialect, Timestamp};
use sealed::Opened;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::{CredentialKind, StoreError, StoredCredentials};
use zeroize::Zeroizing;

/// Everything that Widevine's requests are checked against and answered with.
#[derive(Debug)]
pub struct Widevine {
    /// Root and service certificates, with their private keys.
    pub credentials: Credentials,
    /// Device models that were verified before, under any credentials.
    pub models: Arc<VerifiedModels>,
    /// Levels and revocations.
    pub devices: DeviceList,
    /// Seals what clients keep of their sessions; the same in every vault on this store.
    pub sessions: SessionSeal,
    /// Certifies software that made its own key, where that was imported.
    pub provisioning: Option<ProvisioningModel>,
}

impl Widevine {
    /// What a request is read against.
    #[must_use]
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            credentials: &self.credentials,
            models: &self.models,
            devices: &self.devices,
            sessions: &self.sessions,
        }
    }
}

/// Widevine's credentials as they are now.
#[derive(Default)]
pub struct WidevineCredentials {
    state: RwLock<State>,
    models: Arc<VerifiedModels>,
}

/// What was read last.
#[derive(Default)]
struct State {
    /// The version that `current` is of.
    version: Option<u64>,
    current: Option<Arc<Widevine>>,
    /// The KEK, as the store has it and opened: the secrets that it seals are in memory all the
    /// same, and with it a revocation is read also while the KMS is away.
    kek: Option<(Vec<u8>, Arc<Kek>)>,
    /// The version that was said not to be usable, so that it is said once.
    said: Option<u64>,
    absence: Absence,
}

/// Why nothing serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absence {
    /// Nothing was imported.
    #[default]
    NotImported,
    /// What was imported cannot be opened while the KMS or the store is away.
    Away,
    /// What was imported is not usable.
    Unusable,
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
    /// A secret that is no text, or not 32 bytes long.
    #[error("a stored secret has another shape")]
    Shape,
    /// The root, or a service certificate.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The device list.
    #[error(transparent)]
    Devices(#[from] DeviceListError),
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

impl WidevineCredentials {
    /// What serves now; absent where nothing usable was imported. Hold it for one request only.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Widevine>> {
        self.read().current.clone()
    }

    /// Why nothing serves, where nothing does.
    #[must_use]
    pub(super) fn absence(&self) -> Absence {
        self.read().absence
    }

    /// Reads the credentials where they have changed. What is not usable changes nothing, but
    /// for an alert: what served before goes on serving.
    pub(super) async fn look(&self, keys: &KeyService, now: Timestamp) {
        // While the store is away nothing is licensed either.
        let Ok(version) = keys.store.credentials_version().await else { return };
        if self.read().version == Some(version) {
            return;
        }
        match self.load(keys, now).await {
            Ok(()) => {}
            // Read again at the next look; the KMS has its own alerts.
            Err(Unusable::Keys(KeyServiceError::KmsUnavailable)) => {
                self.write().absence = Absence::Away;
            }
            Err(Unusable::Keys(KeyServiceError::Store(StoreError::Unavailable(_)))) => {
                self.write().absence = Absence::Away;
            }
            Err(error) => {
                let mut state = self.write();
                state.absence = Absence::Unusable;
                let said = state.said.replace(version);
                drop(state);
                if said != Some(version) {
                    let alert = "credentials_unusable";
                    tracing::error!(
                        alert, dialect = "widevine", version, %error,
                        "stored credentials are not usable: what served before goes on"
                    );
                    count_alert(alert);
                }
            }
        }
    }

    async fn load(&self, keys: &KeyService, now: Timestamp) -> Result<(), Unusable> {
        // Read before the rows: a change between the two is seen at the next look.
        let version = keys.store.credentials_version().await?;
        let Some(stored) = keys.store.credentials(Dialect::Widevine).await? else {
            let was = std::mem::take(&mut *self.write());
            self.write().version = Some(version);
            if was.current.is_some() {
                tracing::warn!(dialect = "widevine", "the credentials were removed");
            }
            return Ok(());
        };
        let kek = self.kek(keys, &stored).await?;
        let current = open(&stored, &kek, Arc::clone(&self.models), now)?;
        let (systems, revoked_serials) = current.devices.counts();
        tracing::info!(dialect = "widevine", version, systems, revoked_serials, "credentials read");
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
        open_kek(keys, Dialect::Widevine, &stored.kek).await.map(Arc::new)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what is stored. Of the service certificates that have not run out, the newest is
/// handed out.
fn open(
    stored: &StoredCredentials,
    kek: &Kek,
    models: Arc<VerifiedModels>,
    now: Timestamp,
) -> Result<Widevine, Unusable> {
    let opened = Opened { dialect: Dialect::Widevine, kek, rows: &stored.rows };
    let (root, _) = opened.one(CredentialKind::Root)?.ok_or(Unusable::Missing("root"))?;
    let root = RootFile::PublicKey(root);
    let mut credentials: Option<Credentials> = None;
    for row in opened.of(CredentialKind::Service) {
        let pem = text(opened.secret(row)?)?;
        let facts = ServiceFacts::read(&row.public).map_err(ImportError::ServiceCertificate)?;
        if facts.has_expired(now) {
            tracing::warn!(serial = row.name, "a service certificate has expired");
            continue;
        }
        credentials = Some(match credentials {
            None => Credentials::import(root, &row.public, &pem, now)?,
            Some(newer) => newer.and_service(&row.public, &pem, now)?,
        });
    }
    let (list, _) = opened.one(CredentialKind::Devices)?.ok_or(Unusable::Missing("device list"))?;
    let list = std::str::from_utf8(list).map_err(|_| Unusable::Shape)?;
    let (_, sessions) =
        opened.one(CredentialKind::Sessions)?.ok_or(Unusable::Missing("session key"))?;
    let sessions: &[u8; 32] = sessions.as_slice().try_into().map_err(|_| Unusable::Shape)?;
    let devices = DeviceList::parse(list)?;
    let provisioning = match opened.one(CredentialKind::Provisioning)? {
        None => None,
        Some((certificate, pem)) => {
            let pem = text(pem)?;
            issuing(ProvisioningModel::import(root, certificate, &pem, &devices, now))
        }
    };
    Ok(Widevine {
        credentials: credentials.ok_or(Unusable::Expired)?,
        models,
        devices,
        sessions: SessionSeal::from_bytes(&Zeroizing::new(*sessions)),
        provisioning,
    })
}

/// A model that no longer issues ends provisioning, and nothing else.
fn issuing(model: Result<ProvisioningModel, ModelError>) -> Option<ProvisioningModel> {
    model
        .inspect_err(|error| {
            tracing::error!(alert = "provisioning_ended", %error, "no device is provisioned");
            count_alert("provisioning_ended");
        })
        .ok()
}

fn text(secret: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Unusable> {
    let text = std::str::from_utf8(&secret).map_err(|_| Unusable::Shape)?;
    Ok(Zeroizing::new(text.to_owned()))
}

impl Vault {
    /// Widevine's credentials as they are now.
    #[must_use]
    pub fn widevine(&self) -> Option<Arc<Widevine>> {
        self.widevine.current()
    }

    /// Looks whether credentials were changed, and reads them where they were.
    pub async fn look_at_credentials(&self, now: Timestamp) {
        self.widevine.look(&self.keys, now).await;
    }
}
