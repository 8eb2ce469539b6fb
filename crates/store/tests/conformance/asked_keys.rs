//! Keys that encryptors ask for by their KIDs.

use crate::home::*;
use model::{TrackClass, WrappedKey};
use std::collections::BTreeSet;
use store::{AskedFor, StoreError};

fn asked(classes: &[TrackClass], periods: &str) -> AskedFor {
    AskedFor { classes: classes.iter().copied().collect(), periods: periods.to_owned() }
}

/// The key of this number, as another process would have made it.
fn other_key(number: u8) -> WrappedKey {
    WrappedKey { fingerprint: [number + 100; 32], wrapped: vec![9; 45], ..key(number) }
}

pub async fn an_asked_key_reads_back_and_stays_the_first(home: &Home) {
    let store = home.open().await;
    store.insert_kek(&kek(1)).await.unwrap();
    let uses = [asked(&[TrackClass::Sd, TrackClass::Hd], "index:7"), asked(&TrackClass::ALL, "")];
    let keys = [(key(1), uses[0].clone()), (key(2), uses[1].clone())];
    store.insert_asked_keys(&keys).await.unwrap();
    for (row, asked) in &keys {
        let found = store.asked_key(row.kid).await.unwrap();
        assert_eq!(found, Some((row.clone(), Some(asked.clone()))));
        assert_eq!(store.key(row.kid).await.unwrap().as_ref(), Some(row));
    }
    let later = [(other_key(1), uses[1].clone()), (key(3), uses[0].clone())];
    store.insert_asked_keys(&later).await.unwrap();
    let [(first, use_of_first), _] = keys;
    assert_eq!(store.asked_key(first.kid).await.unwrap(), Some((first, Some(use_of_first))));
    assert!(store.asked_key(key(3).kid).await.unwrap().is_some());
    // A key that nobody asked for by name has no use beside it, and gets none.
    store.insert_key(&key(4)).await.unwrap();
    store.insert_asked_keys(&[(other_key(4), uses[0].clone())]).await.unwrap();
    assert_eq!(store.asked_key(key(4).kid).await.unwrap(), Some((key(4), None)));
    assert_eq!(store.asked_key(key(9).kid).await.unwrap(), None);
}

pub async fn asked_keys_are_kept_all_or_none(home: &Home) {
    let store = home.open().await;
    store.insert_kek(&kek(1)).await.unwrap();
    let audio = || asked(&[TrackClass::Audio], "");
    store.insert_asked_keys(&[(key(1), audio())]).await.unwrap();
    let reused = WrappedKey { fingerprint: key(1).fingerprint, ..key(3) };
    let refused = store.insert_asked_keys(&[(key(2), audio()), (reused, audio())]).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(store.asked_key(key(2).kid).await.unwrap(), None);
    let unwrapped = WrappedKey { kek_version: model::KekVersion(5), ..key(4) };
    let refused = store.insert_asked_keys(&[(key(2), audio()), (unwrapped, audio())]).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    assert_eq!(store.asked_key(key(2).kid).await.unwrap(), None);
}

pub async fn parallel_questions_end_with_one_key(home: &Home) {
    let stores = [home.open().await, home.open().await];
    stores[0].insert_kek(&kek(1)).await.unwrap();
    let tasks: Vec<_> = (0..50_u8)
        .map(|n| {
            let store = stores[usize::from(n % 2)].clone();
            tokio::spawn(async move {
                let own = |number: u8| {
                    let fingerprint = [[number, n]; 16].concat().try_into().unwrap();
                    (WrappedKey { fingerprint, ..key(number) }, asked(&[TrackClass::Sd], ""))
                };
                // In both orders, as two processes would.
                let keys = if n % 4 < 2 { [own(1), own(2)] } else { [own(2), own(1)] };
                store.insert_asked_keys(&keys).await.unwrap();
                store.asked_key(key(1).kid).await.unwrap().unwrap().0.fingerprint
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for task in tasks {
        seen.insert(task.await.unwrap());
    }
    assert_eq!(seen.len(), 1);
}
