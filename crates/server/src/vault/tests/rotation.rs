//! KEKs that rotate, keys that move, and what a known KEK blocks.

use super::*;
use crate::clock::Clock;
use crate::vault::{KekStatus, KeyServiceError, RewrapReport};
use model::{KekState, KekVersion, KeyState, Scheme, TrackClass, TrackClasses, WrappedKey};
use store::AuditVerdict;

const V1: KekVersion = KekVersion(1);
const V2: KekVersion = KekVersion(2);
const V3: KekVersion = KekVersion(3);

fn classes() -> TrackClasses {
    [TrackClass::Audio, TrackClass::Sd].into_iter().collect()
}

async fn package(vault: &Vault) {
    let title = title(TitlePolicy::default());
    vault.keys.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await.unwrap();
}

/// A house with four keys under KEK 1.
async fn house() -> House {
    let house = House::new().await;
    package(&house.vault()).await;
    house
}

async fn rewrap(vault: &Vault) -> Result<RewrapReport, KeyServiceError> {
    vault.rewrap(None, None, &Clock::fixed(NOW), |_, _| {}).await
}

async fn rows(house: &House) -> Vec<WrappedKey> {
    house.store.keys_of(&film()).await.unwrap()
}

async fn states(vault: &Vault) -> Vec<(u32, KekState, u64)> {
    let keks = vault.keks(None).await.unwrap();
    let state = |kek: &KekStatus| (kek.version.0, kek.state, kek.pending());
    keks.iter().map(state).collect()
}

#[tokio::test]
async fn new_keys_use_the_new_version_at_once_in_a_vault_that_runs() {
    let house = house().await;
    let running = house.vault();
    running.keys.open_key(&rows(&house).await[0], NOW).await.unwrap();
    assert_eq!(house.vault().rotate(&category(), NOW).await.unwrap(), V2);
    let imported = running.import_keys(key_file(&[(kid(1), 1, "")]), NOW).await.unwrap();
    assert_eq!(imported.added, 1);
    let row = house.store.key(kid(1)).await.unwrap().unwrap();
    assert_eq!((row.kek_version, row.first_kek_version), (V2, V2));
    for row in rows(&house).await {
        running.keys.open_key(&row, NOW).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_that_rotate_at_once_make_one_new_version() {
    let house = house().await;
    let (one, other) = (house.vault(), house.vault());
    let category = category();
    let (first, second) = tokio::join!(one.rotate(&category, NOW), other.rotate(&category, NOW));
    let mut made = [first.unwrap().0, second.unwrap().0];
    made.sort_unstable();
    // Truly at once they share one; otherwise each makes its own, one after the other.
    assert!(made == [2, 2] || made == [2, 3], "{made:?}");
    let versions: Vec<u32> =
        house.store.keks().await.unwrap().iter().map(|kek| kek.version.0).collect();
    assert_eq!(versions, (1..=made[1]).collect::<Vec<_>>(), "no version twice and none left out");
    assert!(matches!(house.store.verify_audit().await.unwrap(), AuditVerdict::Whole { .. }));
}

#[tokio::test]
async fn a_category_without_keys_is_not_rotated() {
    let house = house().await;
    let other = CategoryName::parse("sport").unwrap();
    let refused = house.vault().rotate(&other, NOW).await;
    assert!(matches!(refused, Err(KeyServiceError::CategoryUnknown(_))), "{refused:?}");
    assert_eq!(house.store.keks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn keys_move_open_to_the_same_and_the_old_version_retires() {
    let house = house().await;
    let (running, before) = (house.vault(), rows(&house).await);
    assert_eq!(rewrap(&running).await.unwrap(), RewrapReport::default(), "nothing to do");
    running.rotate(&category(), NOW).await.unwrap();
    assert_eq!(states(&running).await, [(1, KekState::Active, 4), (2, KekState::Active, 0)]);
    let report = rewrap(&house.vault()).await.unwrap();
    assert_eq!((report.moved, report.broken), (4, 0));
    assert_eq!(report.retired, [(category(), V1)]);
    assert_eq!(states(&running).await, [(1, KekState::Retired, 0), (2, KekState::Active, 0)]);
    let after = rows(&house).await;
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((new.kek_version, new.first_kek_version), (V2, V1));
        assert_eq!((new.kid, new.fingerprint), (old.kid, old.fingerprint));
        assert_ne!(new.wrapped, old.wrapped);
        running.keys.open_key(new, NOW).await.unwrap();
        // A request that read the row a moment before is served too.
        running.keys.open_key(old, NOW).await.unwrap();
        // The new ciphertext is not bound to the old version, nor the other way round.
        let mixed = WrappedKey { wrapped: new.wrapped.clone(), ..old.clone() };
        let refused = running.keys.open_key(&mixed, NOW).await;
        assert!(matches!(refused, Err(KeyServiceError::Integrity)), "{refused:?}");
    }
    assert_eq!(rewrap(&running).await.unwrap(), RewrapReport::default());
}

#[tokio::test]
async fn a_key_that_does_not_open_stays_and_keeps_its_kek() {
    let (said, _guard) = alerts();
    let whole = house().await;
    let house = whole.rewritten(|rows| rows[1].wrapped[20] ^= 1).await;
    let vault = house.vault();
    vault.rotate(&category(), NOW).await.unwrap();
    let report = rewrap(&vault).await.unwrap();
    assert_eq!((report.moved, report.broken, report.retired.len()), (3, 1, 0));
    assert_eq!(states(&vault).await, [(1, KekState::Active, 1), (2, KekState::Active, 0)]);
    let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
    assert!(said.contains("key_integrity"), "{said}");
}

#[tokio::test]
async fn without_root_key_or_audit_nothing_moves_and_nothing_is_lost() {
    let house = house().await;
    house.vault().rotate(&category(), NOW).await.unwrap();
    let before = rows(&house).await;
    house.kms.set(Mood::Away);
    let refused = rewrap(&house.vault()).await;
    assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)), "{refused:?}");
    let refused = house.vault().rotate(&category(), NOW).await;
    assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)), "{refused:?}");
    house.kms.set(Mood::Well);
    let mut deaf = house.vault();
    deaf.keys.audit = crate::vault::AuditWriter::closed();
    assert!(matches!(rewrap(&deaf).await, Err(KeyServiceError::Audit(_))));
    assert!(matches!(deaf.rotate(&category(), NOW).await, Err(KeyServiceError::Audit(_))));
    assert_eq!(rows(&house).await, before);
    assert_eq!(rewrap(&house.vault()).await.unwrap().moved, 4, "and goes on afterwards");
}

#[tokio::test]
async fn a_known_kek_blocks_its_keys_for_ever_and_its_titles_are_packaged_anew() {
    let house = house().await;
    let running = house.vault();
    running.keys.open_key(&rows(&house).await[0], NOW).await.unwrap();
    let titles = house.vault().compromise_kek(&(category(), V1), NOW).await.unwrap();
    assert_eq!(titles, [film()]);
    assert!(rows(&house).await.iter().all(|row| row.state == KeyState::Compromised));
    let waiting = house.store.repackaging_pending(10, None).await.unwrap();
    assert_eq!((waiting.len(), &waiting[0].content_id), (1, &film()));
    // The keys move away from it, to a version that is made for them, and stay blocked.
    let report = rewrap(&running).await.unwrap();
    assert_eq!((report.moved, report.retired.len()), (4, 0));
    assert_eq!(states(&running).await, [(1, KekState::Compromised, 0), (2, KekState::Active, 0)]);
    assert!(rows(&house).await.iter().all(|row| row.state == KeyState::Compromised));
    // Packaged anew, the title has keys that no stranger knows.
    package(&running).await;
    let fresh: Vec<_> =
        rows(&house).await.into_iter().filter(|row| row.state == KeyState::Active).collect();
    assert_eq!(fresh.len(), 4);
    assert!(fresh.iter().all(|row| row.first_kek_version == V2));
    running.destroy_kek(&(category(), V1), NOW).await.unwrap();
    assert!(running.keys.open_key(&rows(&house).await[0], NOW).await.is_ok(), "under KEK 2");
    let unknown = running.compromise_kek(&(category(), V3), NOW).await;
    assert!(matches!(unknown, Err(KeyServiceError::VersionUnknown(..))), "{unknown:?}");
}

#[tokio::test]
async fn a_known_kek_blocks_also_without_the_audit() {
    let house = house().await;
    let mut deaf = house.vault();
    deaf.keys.audit = crate::vault::AuditWriter::closed();
    let told = deaf.compromise_kek(&(category(), V1), NOW).await;
    assert!(matches!(told, Err(KeyServiceError::Audit(_))), "{told:?}");
    assert!(rows(&house).await.iter().all(|row| row.state == KeyState::Compromised));
}

#[tokio::test]
async fn only_an_idle_kek_is_destroyed() {
    let house = house().await;
    let vault = house.vault();
    let in_use = |outcome| matches!(outcome, Err(KeyServiceError::StillInUse(..)));
    assert!(in_use(vault.destroy_kek(&(category(), V1), NOW).await));
    vault.rotate(&category(), NOW).await.unwrap();
    assert!(in_use(vault.destroy_kek(&(category(), V1), NOW).await), "keys hang from it");
    let old = rows(&house).await;
    rewrap(&vault).await.unwrap();
    vault.destroy_kek(&(category(), V1), NOW).await.unwrap();
    let late = house.vault();
    let refused = late.keys.open_key(&old[0], NOW).await;
    assert!(matches!(refused, Err(KeyServiceError::KekMissing)), "an old backup: {refused:?}");
    assert!(late.keys.open_key(&rows(&house).await[0], NOW).await.is_ok());
}
