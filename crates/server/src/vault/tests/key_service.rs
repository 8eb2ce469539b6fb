//! Making, keeping and opening keys.

use super::*;
use crate::config::key_cache::KeyCache;
use crate::vault::KeyServiceError;
use model::{KeyState, Scheme, TrackClass, TrackClasses, WrappedKey};
use std::collections::BTreeSet;
use store::AuditVerdict;

const CLASSES: [TrackClass; 3] = [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd];

fn classes() -> TrackClasses {
    CLASSES.into_iter().collect()
}

pub(super) async fn packaging_kids(vault: &Vault) -> BTreeSet<KeyId> {
    let title = title(TitlePolicy::default());
    let keys = vault.keys.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await.unwrap();
    keys.iter().map(|key| key.kid).collect()
}

#[tokio::test]
async fn each_class_and_scheme_has_its_own_key() {
    let house = House::new().await;
    let title = title(TitlePolicy::default());
    let vault = house.vault();
    let keys = vault.keys.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await.unwrap();
    let mut seen = BTreeSet::new();
    for (class, scheme) in CLASSES.into_iter().flat_map(|class| Scheme::ALL.map(|s| (class, s))) {
        let key = keys.find(class, scheme).unwrap();
        assert_eq!((key.track_class, key.scheme), (Some(class), Some(scheme)));
        assert_eq!(key.iv.is_some(), scheme == Scheme::Cbcs, "the constant IV is kept");
        assert!(seen.insert((key.kid, fingerprint_of(&key.key))), "{class} {scheme}");
    }
    assert!(keys.find(TrackClass::Uhd, Scheme::Cbcs).is_none(), "nobody asked for it");
    for row in house.store.keys_of(&film()).await.unwrap() {
        assert_eq!((row.wrapped.len(), row.created, row.state), (45, NOW, KeyState::Active));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_requests_make_one_set() {
    let house = House::new().await;
    let vault = Arc::new(house.vault());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let vault = Arc::clone(&vault);
            tokio::spawn(async move { packaging_kids(&vault).await })
        })
        .collect();
    let mut sets = BTreeSet::new();
    for task in tasks {
        sets.insert(task.await.unwrap());
    }
    assert_eq!(sets.len(), 1);
    assert_eq!(house.store.keys_of(&film()).await.unwrap().len(), 6);
    assert_eq!(packaging_kids(&house.vault()).await, sets.pop_first().unwrap(), "also later");
}

#[tokio::test]
async fn two_processes_end_with_one_kek() {
    let house = House::new().await;
    let (one, other) = (house.vault(), house.vault());
    tokio::join!(packaging_kids(&one), packaging_kids(&other));
    let newest = house.store.newest_kek(&category()).await.unwrap().unwrap();
    assert_eq!(newest.version.0, 1);
    let later = house.vault();
    for row in house.store.keys_of(&film()).await.unwrap() {
        later.keys.open_key(&row, NOW).await.unwrap();
    }
}

#[tokio::test]
async fn a_compromised_key_gets_a_successor() {
    let house = House::new().await;
    let before = packaging_kids(&house.vault()).await;
    let marked = house
        .rewritten(|rows| rows.iter_mut().for_each(|row| row.state = KeyState::Compromised))
        .await;
    let after = packaging_kids(&marked.vault()).await;
    assert_eq!((after.len(), before.intersection(&after).count()), (6, 0));
}

#[tokio::test]
async fn an_imported_key_serves_what_it_names() {
    let house = House::new().await;
    let vault = house.vault();
    let imported = key_file(&[(kid(1), 1, r#","scheme":"cenc""#)]);
    let done = vault.import_keys(imported, NOW).await.unwrap();
    assert_eq!((done.added, done.known), (1, 0));
    let title = house.store.title(&film()).await.unwrap().unwrap();
    assert_eq!(title.policy, TitlePolicy::without_floor());
    let keys = vault.keys.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await.unwrap();
    for class in CLASSES {
        assert_eq!(keys.find(class, Scheme::Cenc).unwrap().kid, kid(1));
        assert_ne!(keys.find(class, Scheme::Cbcs).unwrap().kid, kid(1));
    }
    assert_eq!(keys.iter().count(), 4);
}

#[tokio::test]
async fn an_import_may_be_repeated_and_may_not_contradict() {
    let house = House::new().await;
    let vault = house.vault();
    let import = async |keys: &[(KeyId, u8, &str)]| vault.import_keys(key_file(keys), NOW).await;
    import(&[(kid(1), 1, ""), (kid(2), 2, "")]).await.unwrap();
    let again = import(&[(kid(1), 1, ""), (kid(3), 3, "")]).await.unwrap();
    assert_eq!((again.added, again.known), (1, 1));
    let refused = import(&[(kid(1), 9, "")]).await;
    assert!(matches!(refused, Err(KeyServiceError::KidTaken(taken)) if taken == kid(1)));
    let refused = import(&[(kid(1), 1, r#","label":"SD""#)]).await;
    assert!(matches!(refused, Err(KeyServiceError::KidTaken(_))), "another use");
    let refused = import(&[(kid(9), 1, "")]).await;
    assert!(matches!(refused, Err(KeyServiceError::KeyReused(given)) if given == kid(9)), "R016");
    assert_eq!(house.store.keys_of(&film()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn rows_open_under_their_root_key_only() {
    let house = House::new().await;
    packaging_kids(&house.vault()).await;
    let rows = house.store.keys_of(&film()).await.unwrap();
    let key = house.vault().keys.open_key(&rows[0], NOW).await.unwrap();
    assert_eq!(fingerprint_of(&key), rows[0].fingerprint);
    let stranger = House { kms: FaultyKms::new(), ..house };
    let refused = stranger.vault().keys.open_key(&rows[0], NOW).await;
    assert!(matches!(refused, Err(KeyServiceError::Integrity)));
}

#[tokio::test]
async fn without_its_kms_the_service_makes_no_key() {
    let house = House::new().await;
    for (mood, is_away) in [(Mood::Away, true), (Mood::Silent, true), (Mood::Refusing, false)] {
        house.kms.set(mood);
        let title = title(TitlePolicy::default());
        let vault = house.vault();
        let refused = vault.keys.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await;
        match refused {
            Err(KeyServiceError::KmsUnavailable) => assert!(is_away),
            Err(KeyServiceError::KmsRefused) => assert!(!is_away),
            other => panic!("{other:?}"),
        }
    }
    assert!(house.store.keys_of(&film()).await.unwrap().is_empty());
    house.kms.set(Mood::Well);
    assert_eq!(packaging_kids(&house.vault()).await.len(), 6);
}

/// A vault that opened one key, while its root key is still there.
async fn opened_once(house: &House, cache: &KeyCache) -> (WrappedKey, Vault) {
    packaging_kids(&house.vault()).await;
    let rows = house.store.keys_of(&film()).await.unwrap();
    let vault = house.vault_with(cache);
    let before = house.kms.opened.load(Ordering::SeqCst);
    for row in &rows {
        vault.keys.open_key(row, NOW).await.unwrap();
    }
    assert_eq!(house.kms.opened.load(Ordering::SeqCst), before + 1, "one KEK, opened once");
    (rows[0].clone(), vault)
}

#[tokio::test]
async fn what_was_opened_serves_no_license_while_the_kms_is_away() {
    let house = House::new().await;
    let (row, vault) = opened_once(&house, &KeyCache::default()).await;
    house.kms.set(Mood::Away);
    let opened = async |at_s| vault.keys.open_key(&row, NOW.plus_s(at_s)).await;
    assert!(opened(1).await.is_ok(), "reached a second ago");
    assert!(matches!(opened(4).await, Err(KeyServiceError::KmsUnavailable)), "R173");
    assert!(matches!(opened(5).await, Err(KeyServiceError::KmsUnavailable)));
    house.kms.set(Mood::Refusing);
    assert!(matches!(opened(6).await, Err(KeyServiceError::KmsRefused)), "nor when it says no");
    house.kms.set(Mood::Well);
    assert!(opened(7).await.is_ok(), "back without a restart");
    // A look at the root key is enough to know.
    house.kms.set(Mood::Away);
    vault.look_at_root_key(NOW.plus_s(8)).await;
    assert!(matches!(opened(8).await, Err(KeyServiceError::KmsUnavailable)));
    house.kms.set(Mood::Well);
    vault.look_at_root_key(NOW.plus_s(9)).await;
    let before = house.kms.opened.load(Ordering::SeqCst);
    assert!(opened(9).await.is_ok());
    assert_eq!(house.kms.opened.load(Ordering::SeqCst), before, "known to be there: no call");
}

#[tokio::test]
async fn an_operator_may_let_opened_keks_serve_for_five_minutes_of_an_outage() {
    let house = House::new().await;
    let cache = KeyCache { serve_during_outage: true, ..KeyCache::default() };
    let (row, vault) = opened_once(&house, &cache).await;
    house.kms.set(Mood::Away);
    assert!(vault.keys.open_key(&row, NOW.plus_s(299)).await.is_ok());
    let refused = vault.keys.open_key(&row, NOW.plus_s(300)).await;
    assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)));
}

#[tokio::test]
async fn five_minutes_without_the_kms_are_one_incident() {
    let house = House::new().await;
    packaging_kids(&house.vault()).await;
    let (rows, vault) = (house.store.keys_of(&film()).await.unwrap(), house.vault());
    vault.keys.open_key(&rows[0], NOW).await.unwrap();
    let (said, _guard) = alerts();
    let incidents = || {
        let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
        said.matches("kms_incident").count()
    };
    house.kms.set(Mood::Away);
    for (at_s, declared) in [(5, 0), (100, 0), (304, 0), (305, 1), (310, 1), (3600, 1)] {
        vault.look_at_root_key(NOW.plus_s(at_s)).await;
        assert_eq!(incidents(), declared, "after {at_s} s");
    }
    let refused = vault.keys.open_key(&rows[0], NOW.plus_s(3601)).await;
    assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)));
    // Back, without a restart; and another outage counts from its own beginning.
    house.kms.set(Mood::Well);
    assert!(vault.keys.open_key(&rows[0], NOW.plus_s(3602)).await.is_ok());
    house.kms.set(Mood::Away);
    for (at_s, declared) in [(3700, 1), (3999, 1), (4000, 2), (4100, 2)] {
        vault.look_at_root_key(NOW.plus_s(at_s)).await;
        assert_eq!(incidents(), declared, "after {at_s} s");
    }
}

#[tokio::test]
async fn every_key_is_audited_and_found_by_the_search_for_leaks() {
    let house = House::new().await;
    let vault = house.vault();
    vault.import_keys(key_file(&[(kid(1), 1, r#","label":"UHD""#)]), NOW).await.unwrap();
    let kids = packaging_kids(&vault).await;
    let found: BTreeSet<KeyId> =
        vault.every_content_key().await.unwrap().iter().map(|key| key.kid).collect();
    assert_eq!(found, kids);
    // One KEK, one imported and six generated keys, one handover to the packager.
    let rows = AuditVerdict::Whole { rows: 9 };
    assert_eq!(house.store.verify_audit().await.unwrap(), rows);
}

#[tokio::test]
async fn without_its_audit_the_service_makes_no_key() {
    let house = House::new().await;
    let vault = house.vault();
    let (store, kms) = (house.store.clone(), Arc::clone(&house.kms));
    let closed = crate::vault::AuditWriter::closed();
    let deaf = crate::vault::KeyService::new(
        store,
        kms,
        FingerprintKey::from_bytes(&Zeroizing::new(FINGERPRINT)),
        EntropySource::system(),
        closed,
        &KeyCache::default(),
    );
    let title = title(TitlePolicy::default());
    let refused = deaf.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await;
    assert!(matches!(refused, Err(KeyServiceError::Audit(_))));
    assert!(house.store.keys_of(&film()).await.unwrap().is_empty());
    packaging_kids(&vault).await;
    let refused = deaf.packaging_keys(&title, classes(), &Scheme::ALL, NOW).await;
    assert!(matches!(refused, Err(KeyServiceError::Audit(_))), "nor does it give one");
}

#[tokio::test]
async fn a_kept_content_key_serves_its_own_row_and_no_outage_unless_told_to() {
    let house = House::new().await;
    // Longer than KEKs are kept, so that only the kept content key can answer.
    let mut cache = KeyCache { cek_s: 1000, serve_during_outage: true, ..KeyCache::default() };
    let (row, vault) = opened_once(&house, &cache).await;
    house.kms.set(Mood::Away);
    let key = vault.keys.open_key(&row, NOW.plus_s(400)).await.unwrap();
    assert_eq!(fingerprint_of(&key), row.fingerprint);
    let mut changed = row.clone();
    changed.wrapped[20] ^= 1;
    let moved = WrappedKey { iv: Some([0; 16]), ..row.clone() };
    let late = vault.keys.open_key(&row, NOW.plus_s(1000)).await;
    let changed = vault.keys.open_key(&changed, NOW.plus_s(400)).await;
    let moved = vault.keys.open_key(&moved, NOW.plus_s(400)).await;
    for refused in [changed, moved, late] {
        assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)), "{refused:?}");
    }
    house.kms.set(Mood::Well);
    cache.serve_during_outage = false;
    let vault = house.vault_with(&cache);
    vault.keys.open_key(&row, NOW).await.unwrap();
    house.kms.set(Mood::Away);
    assert!(vault.keys.open_key(&row, NOW.plus_s(2)).await.is_ok());
    let refused = vault.keys.open_key(&row, NOW.plus_s(4)).await;
    assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)), "{refused:?}");
}
