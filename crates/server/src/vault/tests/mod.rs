//! The vault on a real SQLite store, with a root key that can be taken away.

mod break_glass;
mod credentials;
mod drm_systems;
mod exchange;
mod key_service;
mod levels;
mod license;
mod packaging;
mod period_keys;
mod root_rotation;
mod rotation;
mod unique_keys;

use super::Vault;
use crate::config::key_cache::KeyCache;
use crate::entropy::EntropySource;
use keys::kms::{FileKms, Kms, KmsError, KmsFuture, Sealing};
use keys::{ContentKey, FingerprintKey, Kek, KekContext, SystemEntropy};
use model::{
    CategoryName, ContentId, KeyId, PlanAccess, RegionRule, Timestamp, Title, TitlePolicy,
    TitleState,
};
use playback::GrantKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::Store;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const FINGERPRINT: [u8; 32] = [5; 32];
const GRANT_KEY: [u8; 32] = [6; 32];

/// How the root key's server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Away,
    Silent,
    Refusing,
}

/// A KMS before which a fault can be put.
struct FaultyKms {
    inner: FileKms,
    mood: std::sync::Mutex<Mood>,
    opened: AtomicUsize,
}

impl FaultyKms {
    fn new() -> Arc<Self> {
        let file = FileKms::create(Sealing::Permissions, NOW, &mut SystemEntropy);
        Arc::new(Self {
            inner: FileKms::open(&file, Sealing::Permissions).unwrap(),
            mood: std::sync::Mutex::new(Mood::Well),
            opened: AtomicUsize::new(0),
        })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn fault(&self) -> Result<(), KmsError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => Ok(()),
            Mood::Away => Err(KmsError::Unavailable),
            Mood::Silent => std::future::pending().await,
            Mood::Refusing => Err(KmsError::Refused),
        }
    }
}

impl Kms for FaultyKms {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(async move {
            self.fault().await?;
            self.inner.wrap(kek, context).await
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(async move {
            self.fault().await?;
            self.opened.fetch_add(1, Ordering::SeqCst);
            #[expect(clippy::disallowed_methods, reason = "the port in front of the port")]
            let opening = self.inner.unwrap(wrapped, context);
            opening.await
        })
    }

    fn name(&self) -> &'static str {
        "faulty"
    }
}

/// A store in a folder of its own, and the root key of its keys.
struct House {
    store: Store,
    kms: Arc<FaultyKms>,
    grant_key: Arc<GrantKey>,
    folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        Self::with_kms(FaultyKms::new()).await
    }

    async fn with_kms(kms: Arc<FaultyKms>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("strongroom.db").display());
        let store = Store::open(&url).await.unwrap();
        let grant_key = Arc::new(GrantKey::from_bytes(&GRANT_KEY));
        Self { store, kms, grant_key, folder }
    }

    /// A vault that has just started: nothing opened, nothing claimed.
    fn vault(&self) -> Vault {
        self.vault_with(&KeyCache::default())
    }

    fn vault_with(&self, cache: &KeyCache) -> Vault {
        let kms: Arc<dyn Kms> = Arc::clone(&self.kms) as _;
        let entropy = EntropySource::system();
        let fingerprint = Zeroizing::new(FINGERPRINT);
        let (store, grant_key) = (self.store.clone(), Arc::clone(&self.grant_key));
        Vault::new(store, grant_key, kms, &fingerprint, &entropy, cache)
    }

    /// A copy of this house whose rows a stranger has rewritten.
    async fn rewritten(&self, rewrite: impl Fn(&mut Vec<model::WrappedKey>)) -> Self {
        let other = Self::with_kms(Arc::clone(&self.kms)).await;
        let kek = self.store.newest_kek(&category()).await.unwrap().unwrap();
        other.store.insert_kek(&kek).await.unwrap();
        let mut rows = self.store.keys_of(&film()).await.unwrap();
        rewrite(&mut rows);
        for row in &rows {
            other.store.insert_key(row).await.unwrap();
        }
        other
    }
}

/// What this thread logs, until the guard goes.
pub(super) fn alerts() -> (Arc<std::sync::Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    let said = Arc::new(std::sync::Mutex::new(vec![]));
    let writer = Arc::clone(&said);
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Said(writer.clone()));
    (said, tracing::subscriber::set_default(log.finish()))
}

struct Said(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Said {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn film() -> ContentId {
    ContentId::parse("film").unwrap()
}

fn category() -> CategoryName {
    CategoryName::parse("default").unwrap()
}

fn title(policy: TitlePolicy) -> Title {
    Title {
        content_id: film(),
        name: "Film".to_owned(),
        category: category(),
        policy,
        access: PlanAccess::Every,
        regions: RegionRule::Everywhere,
        state: TitleState::Draft,
    }
}

fn kid(byte: u8) -> KeyId {
    KeyId::from_bytes([byte; 16])
}

fn fingerprint_of(key: &ContentKey) -> [u8; 32] {
    key.fingerprint(&FingerprintKey::from_bytes(&Zeroizing::new(FINGERPRINT)))
}

/// A key file: each key with its KID, class and scheme as JSON members.
fn key_file(keys: &[(KeyId, u8, &str)]) -> Vec<keys::key_file::ImportedKey> {
    let entries: Vec<String> = keys
        .iter()
        .map(|(kid, key, members)| {
            let key = format!("{key:02x}").repeat(16);
            format!(r#"{{"kid":"{kid}","key":"{key}","content_id":"film"{members}}}"#)
        })
        .collect();
    keys::key_file::parse(format!("[{}]", entries.join(",")).as_bytes()).unwrap()
}
