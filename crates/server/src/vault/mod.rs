//! The side of the service that may hold a content key: keys, licenses, packaging.
//!
//! Front reaches it only through [`crate::vault_link`].

mod audit_writer;
mod break_glass;
mod bucket_output;
mod checkpoint;
mod credentials;
mod dialects;
pub mod exchange;
mod file_root;
mod folder_output;
mod keeping;
mod kek_cache;
mod key_service;
mod kms_guard;
mod kms_watch;
mod license;
mod license_keys;
mod license_periods;
mod license_row;
mod live;
mod master_key;
mod memo;
mod open_files;
mod packaging;
mod period_keys;
mod policies;
mod release;
#[cfg(feature = "remote-kms")]
mod remote_key;
mod rewrap;
mod root_rotation;
mod rotation;
mod source;
#[cfg(test)]
mod tests;
mod thumbnails;
#[cfg(feature = "hsm")]
mod token_key;
mod tool;

pub use audit_writer::AuditError;
pub use break_glass::{ExportRefused, MAX_DOCUMENTS, read_certificate};
pub use checkpoint::{AuditReport, Checkpoint, Checkpoints, NotCheckpoints, Unkept};
pub use credentials::{
    CredentialError, CredentialRow, FairPlay, FairPlayFiles, FileRefused, ImportedCredentials,
    PlayReady, PlayReadyFiles, ProvisionRefused, Provisioned, Unusable, Widevine, WidevineFiles,
};
pub use folder_output::FolderOutput;
pub use key_service::{Imported, KeyServiceError};
pub use license_row::ToldLicense;
pub use live::{LiveJob, LiveStatus, live_with};
pub use master_key::{MasterKeyRefused, open_or_make as open_root_key};
pub use packaging::{Job, OnProgress, PackagingError, Target, package_with};
pub use policies::PolicyRefused;
#[cfg(feature = "remote-kms")]
pub use remote_key::RemoteKeyRefused;
pub use rewrap::{KekStatus, RewrapReport};
pub use root_rotation::{NewVersion, RootRotation};
pub use source::{FileInput, Source};
pub use thumbnails::{ThumbnailError, Thumbnails};
#[cfg(feature = "hsm")]
pub use token_key::TokenRefused;
pub use tool::{Patience, Stalled};

use audit_writer::AuditWriter;
use credentials::Credentials;
use exchange::{Desk, Gate, Refusals};
use key_service::KeyService;

use crate::clock::Clock;
use crate::config::key_cache::KeyCache;
use crate::config::licenses::RENEWAL_GRACE_S;
use crate::config::{Config, Mode};
use crate::entropy::EntropySource;
use crate::secrets::{self, SecretError};
use keys::key_file::ImportedKey;
use keys::kms::Kms;
use keys::{FingerprintKey, PackagingKey, PackagingKeys, Signer};
use model::{
    CategoryName, ContentId, PlanAccess, RegionRule, Rotation, Scheme, Timestamp, Title,
    TitlePolicy, TitleState, TrackClasses,
};
use playback::{GrantKey, VaultToken, VaultTokenKey};
use std::path::PathBuf;
use std::sync::Arc;
use store::ephemeral::{AnsweredKids, BurnedGrants, SeenChallenges, WhenFull};
use store::{PAGE_MAX, Store};
use zeroize::Zeroizing;

/// What may be remembered of answered KIDs until their tokens expire, bytes: 30 seconds of 25 000
/// licenses with 4 keys a second, or of 9 000 with 44, or of 1 400 with 364.
const ANSWERED_BYTES: usize = 256 << 20;
/// Challenges that are remembered for an hour, or until so many newer ones came: minutes of
/// thousands of licenses a second, where a license URL lives 30 seconds.
const SEEN_CHALLENGES: usize = 500_000;
/// Grants that are remembered for the five seconds they live.
const LIVE_GRANTS: usize = 250_000;

/// Keys and licenses of one service.
pub struct Vault {
    store: Store,
    grant_key: Arc<GrantKey>,
    keys: KeyService,
    audit: AuditWriter,
    answered: AnsweredKids,
    seen: SeenChallenges,
    burned: BurnedGrants,
    desk: Desk,
    credentials: Credentials,
    mode: Mode,
    renewal_grace_s: u32,
}

/// Why the vault does not open.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The root key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyRefused),
    /// The key of the fingerprints.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate that is to sign questions.
    #[error("vault.request_signers: {0}")]
    Signer(String),
}

/// The certificates that must sign questions by CPIX.
fn request_signers(config: &Config, now: Timestamp) -> Result<Arc<[Signer]>, VaultError> {
    let read = |path: &PathBuf| {
        let der = read_certificate(path).map_err(|cause| VaultError::Signer(cause.to_string()))?;
        let unusable = |cause| VaultError::Signer(format!("{}: {cause}", path.display()));
        Signer::parse(&der, now).map_err(unusable)
    };
    config.vault.request_signers.iter().map(read).collect()
}

impl Vault {
    /// Opens the vault that the settings name: root key and secrets are made on first use.
    /// Its audit is written on the current runtime.
    ///
    /// Errors: [`VaultError`].
    pub async fn open(
        config: &Config,
        store: Store,
        grant_key: Arc<GrantKey>,
        clock: &Clock,
        entropy: &EntropySource,
    ) -> Result<Self, VaultError> {
        let folder = config.secrets_folder();
        let fingerprint = secrets::load_or_make(&folder, "fingerprint", entropy)?;
        let tokens = secrets::load_or_make(&folder, "vault-token", entropy)?;
        let gate = Gate::new(&config.vault, VaultTokenKey::from_bytes(&tokens));
        let demands = config.demands_recipients();
        let signers = request_signers(config, clock.now())?;
        let kms = master_key::open_or_make(config, clock, entropy).await?;
        tracing::info!(root_key = kms.name(), "the root key is open");
        let vault = Self::new(store, grant_key, kms, &fingerprint, entropy, &config.keys.cache);
        let vault = vault.with_renewal_grace_s(config.licenses.renewal_grace_s);
        Ok(vault.behind(gate, demands, signers).in_mode(config.mode))
    }

    /// A vault on any root key.
    #[must_use]
    pub fn new(
        store: Store,
        grant_key: Arc<GrantKey>,
        kms: Arc<dyn Kms>,
        fingerprint: &Zeroizing<[u8; 32]>,
        entropy: &EntropySource,
        cache: &KeyCache,
    ) -> Self {
        let audit = AuditWriter::start(store.clone());
        let fingerprints = FingerprintKey::from_bytes(fingerprint);
        let keys = KeyService::new(
            store.clone(),
            kms,
            fingerprints,
            entropy.clone(),
            audit.clone(),
            cache,
        );
        let answered = AnsweredKids::new(ANSWERED_BYTES);
        let seen = SeenChallenges::new(SEEN_CHALLENGES, WhenFull::ForgetOldest);
        let burned = BurnedGrants::new(LIVE_GRANTS);
        let closed = Gate::closed(entropy);
        let refusals = Refusals::new(audit.clone());
        let desk = Desk::new(closed, refusals, entropy.clone(), true, Arc::from([]));
        let (credentials, mode) = (Credentials::default(), Mode::default());
        Self {
            store,
            grant_key,
            keys,
            audit,
            answered,
            seen,
            burned,
            desk,
            credentials,
            mode,
            renewal_grace_s: RENEWAL_GRACE_S,
        }
    }

    /// Lets those in whom the gate knows, to ask for keys by SPEKE and CPIX.
    #[must_use]
    fn behind(mut self, gate: Gate, demands_recipients: bool, signers: Arc<[Signer]>) -> Self {
        let refusals = Refusals::new(self.audit.clone());
        let entropy = self.keys.entropy.clone();
        self.desk = Desk::new(gate, refusals, entropy, demands_recipients, signers);
        self
    }

    /// How long after its end a license is renewed, seconds.
    #[must_use]
    fn with_renewal_grace_s(self, renewal_grace_s: u32) -> Self {
        Self { renewal_grace_s, ..self }
    }

    /// In production, what is for tests only does not serve.
    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Signs a token for the vault's routes.
    #[must_use]
    pub fn issue_token(&self, token: &VaultToken) -> String {
        self.desk.gate.issue(token)
    }

    /// What holds the root key, by name.
    #[must_use]
    pub fn root_key(&self) -> &'static str {
        self.keys.root_key()
    }

    /// Looks whether the root key can be reached. Asked every few seconds, it declares an
    /// incident after five minutes without.
    pub async fn look_at_root_key(&self, now: Timestamp) {
        self.keys.look_at_root_key(now).await;
    }

    /// Keeps the keys of a key file. A title that is not in the catalog enters it, open to
    /// every plan and without a security floor; it and a draft become external: their media is
    /// elsewhere, their licenses come from here.
    ///
    /// Errors: [`KeyServiceError`]; keys before the one that is refused stay.
    pub async fn import_keys(
        &self,
        imported: Vec<ImportedKey>,
        now: Timestamp,
    ) -> Result<Imported, KeyServiceError> {
        let mut sum = Imported::default();
        for of_title in imported.chunk_by(|one, next| one.content_id == next.content_id) {
            let Some(first) = of_title.first() else { continue };
            let (state, policy) = (TitleState::External, TitlePolicy::without_floor());
            let title = self.title_or(&first.content_id, state, policy).await?;
            let done = self.keys.import(&title, of_title, now).await?;
            if title.state == TitleState::Draft {
                self.store.set_title_state(&title.content_id, &TitleState::External).await?;
            }
            sum.added += done.added;
            sum.known += done.known;
        }
        Ok(sum)
    }

    /// The keys of an event for a channel's packager, found or made: those that name its tracks, and
    /// those of its periods from the first up to before `periods`.
    ///
    /// Errors: [`KeyServiceError`].
    pub async fn event_keys(
        &self,
        title: &Title,
        classes: TrackClasses,
        scheme: Scheme,
        periods: u32,
        event: (Rotation, Timestamp),
        now: Timestamp,
    ) -> Result<PackagingKeys, KeyServiceError> {
        let (keys, event) = (&self.keys, Some(event));
        let mut all = keys.packaging_keys(title, classes, &[scheme], now).await?;
        all.extend(keys.period_keys(title, classes, &[scheme], 0..periods, event, now).await?);
        Ok(all)
    }

    /// Every content key, in the clear, for a search for leaks.
    ///
    /// Errors: [`KeyServiceError`]; one key that does not open ends it.
    pub async fn every_content_key(&self) -> Result<Vec<PackagingKey>, KeyServiceError> {
        // No moment is needed: what is opened here is opened for this search.
        let now = Timestamp(0);
        let (mut keys, mut after) = (vec![], None);
        loop {
            let titles = self.store.titles(PAGE_MAX, after.as_ref()).await?;
            let Some(last) = titles.last() else { return Ok(keys) };
            after = Some(last.content_id.clone());
            for title in &titles {
                self.add_keys_of(&title.content_id, &mut keys, now).await?;
            }
        }
    }

    /// Every key of a title, page by page.
    async fn add_keys_of(
        &self,
        content_id: &ContentId,
        keys: &mut Vec<PackagingKey>,
        now: Timestamp,
    ) -> Result<(), KeyServiceError> {
        let mut after = None;
        loop {
            let page = self.store.keys_page(content_id, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.kid);
            for row in &page {
                let key = self.keys.open_key(row, now).await?;
                let (kid, iv) = (row.kid, row.iv);
                let (track_class, scheme) = (row.track_class, row.scheme);
                let period = row.period.map(|period| period.index);
                keys.push(PackagingKey { kid, key, iv, track_class, scheme, period });
            }
        }
    }

    /// The title, which enters the catalog in this state when it is not there.
    async fn title_or(
        &self,
        content_id: &ContentId,
        state: TitleState,
        policy: TitlePolicy,
    ) -> Result<Title, KeyServiceError> {
        if let Some(title) = self.store.title(content_id).await? {
            return Ok(title);
        }
        let title = Title {
            content_id: content_id.clone(),
            name: content_id.to_string(),
            category: CategoryName::parse("default").expect("a plain name"),
            policy,
            access: PlanAccess::Every,
            regions: RegionRule::Everywhere,
            state,
        };
        self.store.put_title(&title).await?;
        Ok(title)
    }
}
