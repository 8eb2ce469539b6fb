//! What every back end promises, asked of each of them by the same questions.

use super::{FileKms, Kms, KmsError, Sealing};
use crate::SystemEntropy;
use crate::context::KekContext;
use crate::kek::Kek;
use model::{CategoryName, KekVersion, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Calls at the same time.
const PARALLEL: u32 = 64;

/// Makes and opens the root keys of a back end, each by its name.
pub(super) trait Bench {
    /// Opens the root key, made on first use.
    async fn open(&self, name: &str) -> Arc<dyn Kms>;

    /// What it says to bytes that are not of its root key. A stand-in may say it in other words
    /// than what it stands for.
    fn refusals(&self) -> &[KmsError] {
        &[KmsError::Integrity]
    }
}

/// Asks everything.
pub(super) async fn keeps_its_promises(bench: &impl Bench) {
    opens_in_its_own_context_only(&*bench.open("root").await).await;
    refuses_every_changed_byte(bench).await;
    hides_the_kek(&*bench.open("root").await).await;
    refuses_another_root_key(bench).await;
    is_the_same_when_opened_again(bench).await;
    serves_many_at_once(&bench.open("root").await).await;
}

pub(super) fn film() -> CategoryName {
    CategoryName::parse("film").unwrap()
}

pub(super) fn context(category: &CategoryName) -> KekContext<'_> {
    KekContext { tenant: "default", category, version: KekVersion(1) }
}

#[expect(clippy::disallowed_methods, reason = "the port's own test")]
pub(super) async fn opened(
    kms: &dyn Kms,
    wrapped: &[u8],
    context: &KekContext<'_>,
) -> Result<Kek, KmsError> {
    kms.unwrap(wrapped, context).await
}

async fn opens_in_its_own_context_only(kms: &dyn Kms) {
    let [film, sport] = ["film", "sport"].map(|name| CategoryName::parse(name).unwrap());
    let context = context(&film);
    let kek = Kek::generate(&mut SystemEntropy);
    let wrapped = kms.wrap(&kek, &context).await.unwrap();
    assert_eq!(opened(kms, &wrapped, &context).await.unwrap().bytes(), kek.bytes());
    for wrong in [
        KekContext { tenant: "other", ..context },
        KekContext { category: &sport, ..context },
        KekContext { version: KekVersion(2), ..context },
    ] {
        assert_eq!(opened(kms, &wrapped, &wrong).await.unwrap_err(), KmsError::Integrity);
    }
    assert!(opened(kms, &wrapped, &context).await.is_ok(), "a refusal breaks nothing");
}

async fn refuses_every_changed_byte(bench: &impl Bench) {
    let kms = &*bench.open("root").await;
    let film = film();
    let kek = Kek::generate(&mut SystemEntropy);
    let wrapped = kms.wrap(&kek, &context(&film)).await.unwrap();
    for at in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[at] ^= 1;
        for bad in [changed.as_slice(), &wrapped[..at]] {
            let refused = opened(kms, bad, &context(&film)).await.unwrap_err();
            assert!(bench.refusals().contains(&refused), "byte {at} of {}: {refused}", bad.len());
        }
    }
    let longer = [wrapped.as_slice(), &[0]].concat();
    assert_eq!(opened(kms, &longer, &context(&film)).await.unwrap_err(), KmsError::Integrity);
}

async fn hides_the_kek(kms: &dyn Kms) {
    let film = film();
    let kek = Kek::generate(&mut SystemEntropy);
    let wrapped = kms.wrap(&kek, &context(&film)).await.unwrap();
    for part in kek.bytes().chunks_exact(8) {
        assert!(!wrapped.windows(part.len()).any(|window| window == part));
    }
    let again = kms.wrap(&kek, &context(&film)).await.unwrap();
    assert_ne!(wrapped, again, "a nonce is used once");
}

async fn refuses_another_root_key(bench: &impl Bench) {
    let (own, other) = (bench.open("root").await, bench.open("other").await);
    let film = film();
    let kek = Kek::generate(&mut SystemEntropy);
    let wrapped = own.wrap(&kek, &context(&film)).await.unwrap();
    let refused = opened(&*other, &wrapped, &context(&film)).await.unwrap_err();
    assert!(bench.refusals().contains(&refused), "{refused}");
}

async fn is_the_same_when_opened_again(bench: &impl Bench) {
    let film = film();
    let kek = Kek::generate(&mut SystemEntropy);
    let wrapped = bench.open("root").await.wrap(&kek, &context(&film)).await.unwrap();
    let again = bench.open("root").await;
    assert_eq!(opened(&*again, &wrapped, &context(&film)).await.unwrap().bytes(), kek.bytes());
}

async fn serves_many_at_once(kms: &Arc<dyn Kms>) {
    let calls: Vec<_> = (0..PARALLEL)
        .map(|version| {
            let kms = Arc::clone(kms);
            tokio::spawn(async move {
                let film = film();
                let context = KekContext { version: KekVersion(version), ..context(&film) };
                let kek = Kek::generate(&mut SystemEntropy);
                let wrapped = kms.wrap(&kek, &context).await.unwrap();
                opened(&*kms, &wrapped, &context).await.unwrap().bytes() == kek.bytes()
            })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
}

struct Files(PathBuf);

impl Bench for Files {
    async fn open(&self, name: &str) -> Arc<dyn Kms> {
        let path = self.0.join(name);
        let open = |path: &Path| FileKms::open_file(path, Sealing::Permissions);
        let kms = open(&path)
            .or_else(|_missing| FileKms::create_file(&path, Sealing::Permissions, Timestamp(1)))
            .unwrap();
        Arc::new(kms)
    }
}

#[tokio::test]
async fn a_file_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    keeps_its_promises(&Files(folder.path().to_owned())).await;
}
