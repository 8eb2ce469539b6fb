//! Imported credentials, and the certificates that were issued under them.

use crate::home::*;
use model::{Dialect, Timestamp};
use store::{
    CredentialChange, CredentialKind, Store, StoreError, StoredCredential, StoredCredentials,
};

const WIDEVINE: Dialect = Dialect::Widevine;

fn row(kind: CredentialKind, name: &str, seq: u64) -> StoredCredential {
    StoredCredential {
        kind,
        name: name.to_owned(),
        seq,
        public: vec![0, 255, 1],
        sealed: vec![7; 40],
        created: NOW,
    }
}

fn first(rows: Vec<StoredCredential>) -> CredentialChange {
    CredentialChange { new_kek: Some(vec![3; 66]), put: rows, ..CredentialChange::default() }
}

async fn read(store: &Store) -> Option<StoredCredentials> {
    store.credentials(WIDEVINE).await.unwrap()
}

pub async fn credentials_read_back_newest_first(home: &Home) {
    let store = home.open().await;
    assert_eq!((store.credentials_version().await.unwrap(), read(&store).await), (0, None));
    let rows = vec![
        row(CredentialKind::Devices, "only", 1),
        row(CredentialKind::Root, "only", 1),
        row(CredentialKind::Service, "0a", 1),
    ];
    store.change_credentials(WIDEVINE, 0, &first(rows)).await.unwrap();
    let newer = row(CredentialKind::Service, "0b", 2);
    let change = CredentialChange { put: vec![newer.clone()], ..CredentialChange::default() };
    store.change_credentials(WIDEVINE, 1, &change).await.unwrap();
    let stored = read(&store).await.unwrap();
    assert_eq!((stored.version, &stored.kek), (2, &vec![3; 66]));
    assert_eq!((stored.rows.len(), &stored.rows[0]), (4, &newer));
    // The same name again takes the row's place.
    let again = StoredCredential { public: vec![], sealed: vec![8; 29], ..newer };
    let again = StoredCredential { seq: 3, created: Timestamp(5), ..again };
    let change = CredentialChange { put: vec![again.clone()], ..CredentialChange::default() };
    store.change_credentials(WIDEVINE, 2, &change).await.unwrap();
    let stored = read(&store).await.unwrap();
    assert_eq!((stored.rows.len(), &stored.rows[0]), (4, &again));
    assert_eq!(store.credentials(Dialect::PlayReady).await.unwrap(), None);
}

pub async fn a_change_of_what_is_no_longer_so_is_refused_whole(home: &Home) {
    let store = home.open().await;
    let rows = vec![row(CredentialKind::Service, "0a", 1)];
    store.change_credentials(WIDEVINE, 0, &first(rows.clone())).await.unwrap();
    let before = read(&store).await;
    for version in [0, 2, u64::MAX >> 1] {
        let refused = store.change_credentials(WIDEVINE, version, &first(rows.clone())).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    let refused = store.change_credentials(WIDEVINE, u64::MAX, &first(rows)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    // A second KEK fails half way: nothing of it stays, the version neither.
    let half = first(vec![row(CredentialKind::Service, "0b", 2)]);
    assert!(store.change_credentials(WIDEVINE, 1, &half).await.is_err());
    assert_eq!(read(&store).await, before);
    // No row without its KEK.
    let orphan = CredentialChange {
        put: vec![row(CredentialKind::Root, "only", 2)],
        ..CredentialChange::default()
    };
    let refused = store.change_credentials(Dialect::FairPlay, 1, &orphan).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    assert_eq!(store.credentials_version().await.unwrap(), 1);
}

pub async fn parallel_changes_of_one_version_end_with_one(home: &Home) {
    let stores = [home.open().await, home.open().await];
    let tasks: Vec<_> = (0..20_usize)
        .map(|number| {
            let store = stores[number % 2].clone();
            let name = format!("{number:02x}");
            let change = first(vec![row(CredentialKind::Service, &name, 1)]);
            tokio::spawn(async move { store.change_credentials(WIDEVINE, 0, &change).await })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error:?}"),
        }
    }
    assert_eq!((done, read(&stores[0]).await.unwrap().rows.len()), (1, 1));
}

pub async fn removed_credentials_are_gone_with_their_kek(home: &Home) {
    let store = home.open().await;
    let rows = vec![row(CredentialKind::Service, "0a", 1), row(CredentialKind::Service, "0b", 1)];
    store.change_credentials(WIDEVINE, 0, &first(rows)).await.unwrap();
    let name = |name: &str| (CredentialKind::Service, name.to_owned());
    let one = CredentialChange { removed: vec![name("0a")], ..CredentialChange::default() };
    store.change_credentials(WIDEVINE, 1, &one).await.unwrap();
    assert_eq!(read(&store).await.unwrap().rows, [row(CredentialKind::Service, "0b", 1)]);
    let rest =
        CredentialChange { removed: vec![name("0b")], is_end: true, ..CredentialChange::default() };
    store.change_credentials(WIDEVINE, 2, &rest).await.unwrap();
    assert_eq!((read(&store).await, store.credential_keks().await.unwrap()), (None, vec![]));
    assert_eq!(store.credentials_version().await.unwrap(), 3);
}

pub async fn a_kek_of_credentials_is_wrapped_anew_only_as_it_was_read(home: &Home) {
    let store = home.open().await;
    let rows = vec![row(CredentialKind::Root, "only", 1)];
    store.change_credentials(WIDEVINE, 0, &first(rows)).await.unwrap();
    assert_eq!(store.credential_keks().await.unwrap(), [(WIDEVINE, vec![3; 66])]);
    assert!(store.replace_credential_kek(WIDEVINE, &[3; 66], &[4; 66]).await.unwrap());
    assert!(!store.replace_credential_kek(WIDEVINE, &[3; 66], &[5; 66]).await.unwrap());
    assert!(!store.replace_credential_kek(Dialect::FairPlay, &[4; 66], &[5; 66]).await.unwrap());
    assert_eq!(read(&store).await.unwrap().kek, [4; 66]);
}

pub async fn a_device_key_has_one_certificate_under_a_model(home: &Home) {
    let stores = [home.open().await, home.open().await];
    let (model, key) = ([1; 32], [2; 32]);
    let tasks: Vec<_> = (0..10_u8)
        .map(|number| {
            let store = stores[usize::from(number % 2)].clone();
            tokio::spawn(async move {
                store.insert_provisioned((&[1; 32], &[2; 32]), &[number; 9], NOW).await.unwrap()
            })
        })
        .collect();
    let mut new = vec![];
    for (number, task) in (0..).zip(tasks) {
        if task.await.unwrap() {
            new.push(number);
        }
    }
    let [winner] = new[..] else { panic!("{new:?} certificates for one key") };
    let known = stores[0].provisioned(&model, &key).await.unwrap();
    assert_eq!(known, Some(vec![winner; 9]));
    assert!(stores[0].insert_provisioned((&[3; 32], &key), &[1], NOW).await.unwrap());
    assert_eq!(stores[0].provisioned(&model, &[9; 32]).await.unwrap(), None);
}
