//! The root key's year, and its new version (R032), on a file and a clock that a test moves.

use super::key_service::packaging_kids;
use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::vault::{KeyServiceError, NewVersion};
use keys::kms::RootKey;
use model::{Scheme, TrackClass, TrackClasses};

#[tokio::test]
async fn a_rotated_root_key_takes_its_keks_along_and_running_services_follow() {
    let house = House::new().await;
    let config = Config { data: house.folder.path().join("data"), ..Config::default() };
    std::fs::create_dir_all(config.secrets_folder()).unwrap();
    let clock = Clock::fixed(NOW);
    let entropy = EntropySource::system();
    let vault = async || {
        let (store, grant_key) = (house.store.clone(), Arc::clone(&house.grant_key));
        Vault::open(&config, store, grant_key, &clock, &entropy).await.unwrap()
    };
    let (running, operator) = (vault().await, vault().await);
    let kids = packaging_kids(&running).await;
    let rows = house.store.keys_of(&film()).await.unwrap();
    let wrapped_under = async || {
        let keks = house.store.keks().await.unwrap();
        keks.iter().map(|kek| kek.wrapped[..5].to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(wrapped_under().await, [vec![2, 0, 0, 0, 1]]);

    clock.advance_ms(366 * 86_400_000);
    let later = clock.now();
    let other = Title {
        content_id: ContentId::parse("match").unwrap(),
        category: CategoryName::parse("sport").unwrap(),
        ..title(TitlePolicy::default())
    };
    let classes = TrackClasses::from_iter([TrackClass::Sd]);
    let refused = running.keys.packaging_keys(&other, classes, &[Scheme::Cbcs], later).await;
    assert!(matches!(refused, Err(KeyServiceError::RootKeyExpired)));
    assert!(running.keys.open_key(&rows[0], later).await.is_ok(), "old KEKs still open");

    let done = operator.rotate_root(NewVersion::Make, later).await.unwrap();
    let made = Some(later);
    assert_eq!(done.root_key, RootKey::Versioned { version: 2, made });
    assert_eq!((done.moved, done.broken), (1, 0));
    assert_eq!(wrapped_under().await, [vec![2, 0, 0, 0, 2]]);
    // Past the life of opened KEKs: the service that runs reads the file again.
    for row in &rows {
        assert!(running.keys.open_key(row, later.plus_s(301)).await.is_ok());
    }
    running.keys.packaging_keys(&other, classes, &[Scheme::Cbcs], later).await.unwrap();
    assert_eq!(wrapped_under().await, [vec![2, 0, 0, 0, 2], vec![2, 0, 0, 0, 2]]);
    assert_eq!(packaging_kids(&vault().await).await, kids);

    let again = operator.rotate_root(NewVersion::Keep, later).await.unwrap();
    assert_eq!((again.root_key, again.moved), (done.root_key, 2));
}
