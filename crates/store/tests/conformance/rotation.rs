//! Keys that move from one KEK to the next, and KEKs that end.

use crate::home::*;
use crate::rows::event;
use model::{
    KekState, KekVersion, KeyId, KeyState, PackagedVariant, Scheme, TitleState, TrackClass,
    WrappedKey,
};
use store::{Destroyed, REWRAP_MAX, Rewrapped, Store, StoreError, StoredKek};

const V1: KekVersion = KekVersion(1);
const V2: KekVersion = KekVersion(2);

/// A store with KEK 1 and 2 of `film` and this many keys under 1.
async fn with_keys(home: &Home, keys: u8) -> Store {
    let store = home.open().await;
    for version in [1, 2] {
        store.insert_kek(&kek(version)).await.unwrap();
    }
    for number in 1..=keys {
        store.insert_key(&key(number)).await.unwrap();
    }
    store
}

fn moving(number: u8) -> Rewrapped {
    Rewrapped { kid: key(number).kid, old: key(number).wrapped, new: vec![number + 100; 45] }
}

async fn under(store: &Store, version: KekVersion) -> u64 {
    store.count_keys_under(&category("film"), version).await.unwrap()
}

pub async fn a_key_moves_once_and_only_as_it_was_read(home: &Home) {
    let store = with_keys(home, 3).await;
    let film = category("film");
    let stale = Rewrapped { old: vec![9; 45], ..moving(3) };
    let batch = [moving(1), moving(2), stale];
    assert_eq!(store.rewrap_keys(&film, (V1, V2), &batch).await.unwrap(), 2);
    assert_eq!(store.rewrap_keys(&film, (V1, V2), &batch).await.unwrap(), 0);
    let expected = WrappedKey { kek_version: V2, wrapped: vec![101; 45], ..key(1) };
    assert_eq!(store.key(expected.kid).await.unwrap(), Some(expected));
    assert_eq!(store.key(key(3).kid).await.unwrap(), Some(key(3)));
    assert_eq!((under(&store, V1).await, under(&store, V2).await), (1, 2));
    let other = store.rewrap_keys(&category("series"), (V1, V2), &[moving(3)]).await;
    assert!(matches!(other, Err(StoreError::Missing)), "{other:?}");
    let many = vec![moving(3); REWRAP_MAX as usize + 1];
    let refused = store.rewrap_keys(&film, (V1, V2), &many).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

pub async fn a_kek_is_wrapped_anew_only_as_it_was_read(home: &Home) {
    let store = with_keys(home, 1).await;
    let read = kek(1);
    assert!(store.replace_wrapped_kek(&read, &[8; 66]).await.unwrap());
    let expected = StoredKek { wrapped: vec![8; 66], ..kek(1) };
    assert_eq!(store.kek(&read.category, V1).await.unwrap(), Some(expected));
    // Read before that, or of another category: nothing changes.
    assert!(!store.replace_wrapped_kek(&read, &[9; 66]).await.unwrap());
    let other = StoredKek { category: category("series"), wrapped: vec![8; 66], ..kek(1) };
    assert!(!store.replace_wrapped_kek(&other, &[9; 66]).await.unwrap());
    assert_eq!(store.kek(&read.category, V2).await.unwrap(), Some(kek(2)));
}

pub async fn keys_under_a_kek_come_in_pages(home: &Home) {
    let store = with_keys(home, 5).await;
    let film = category("film");
    let mut after = None;
    for expected in [vec![key(1), key(2)], vec![key(3), key(4)], vec![key(5)], vec![]] {
        let page = store.keys_under(&film, V1, after, 2).await.unwrap();
        assert_eq!(page, expected);
        after = page.last().map(|key| key.kid).or(after);
    }
    assert_eq!(store.keys_under(&film, V2, None, 9).await.unwrap(), []);
}

pub async fn parallel_rewraps_move_each_key_once(home: &Home) {
    let store = with_keys(home, 40).await;
    let movers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut moved = 0;
                for first in (1..=40).step_by(5) {
                    let batch: Vec<_> = (first..first + 5).map(moving).collect();
                    let film = category("film");
                    moved += store.rewrap_keys(&film, (V1, V2), &batch).await.unwrap();
                }
                moved
            })
        })
        .collect();
    let mut moved = 0;
    for mover in movers {
        moved += mover.await.unwrap();
    }
    assert_eq!((moved, under(&store, V1).await, under(&store, V2).await), (40, 0, 40));
}

pub async fn a_kek_ends_when_nothing_hangs_from_it(home: &Home) {
    let store = with_keys(home, 1).await;
    let film = category("film");
    assert!(!store.retire_kek(&film, V2).await.unwrap(), "the newest");
    assert!(!store.retire_kek(&film, V1).await.unwrap(), "a key hangs from it");
    assert_eq!(store.destroy_kek(&film, V1).await.unwrap(), Destroyed::StillInUse);
    store.rewrap_keys(&film, (V1, V2), &[moving(1)]).await.unwrap();
    assert_eq!(store.destroy_kek(&film, V1).await.unwrap(), Destroyed::StillInUse, "is active");
    assert!(store.retire_kek(&film, V1).await.unwrap());
    assert!(!store.retire_kek(&film, V1).await.unwrap(), "once");

    let retired = store.kek(&film, V1).await.unwrap().unwrap();
    assert_eq!((retired.state, &retired.wrapped), (KekState::Retired, &kek(1).wrapped), "kept");
    let refused = store.insert_key(&key(2)).await;
    assert!(matches!(refused, Err(StoreError::Retired)), "{refused:?}");
    let refused = store.rewrap_keys(&film, (V2, V1), &[moving(1)]).await;
    assert!(matches!(refused, Err(StoreError::Retired)), "{refused:?}");

    assert_eq!(store.destroy_kek(&film, V2).await.unwrap(), Destroyed::StillInUse);
    assert_eq!(store.destroy_kek(&film, V1).await.unwrap(), Destroyed::Done);
    let gone = store.kek(&film, V1).await.unwrap().unwrap();
    assert_eq!((gone.state, gone.wrapped), (KekState::Retired, vec![]));
    let states: Vec<_> = store.keks().await.unwrap().iter().map(|kek| kek.state).collect();
    assert_eq!(states, [KekState::Retired, KekState::Active]);
    for version in [V1, KekVersion(9)] {
        let missing = store.retire_kek(&category("series"), version).await;
        assert!(matches!(missing, Err(StoreError::Missing)), "{missing:?}");
    }
}

/// However they race, no key is left under a KEK that is retired.
pub async fn no_key_arrives_under_a_retired_kek(home: &Home) {
    let store = with_keys(home, 0).await;
    for number in 1..=20 {
        let version = u32::from(number) + 1;
        store.insert_kek(&kek(version + 1)).await.unwrap();
        let (first, second) = (store.clone(), store.clone());
        let key = WrappedKey { kek_version: KekVersion(version), ..key(number) };
        let arriving = tokio::spawn(async move { first.insert_key(&key).await });
        let film = category("film");
        let retired = second.retire_kek(&film, KekVersion(version)).await.unwrap();
        let arrived = arriving.await.unwrap().is_ok();
        assert_ne!(retired, arrived, "one of the two, version {version}");
    }
}

pub async fn a_compromised_kek_exposes_every_key_it_ever_wrapped(home: &Home) {
    let store = with_keys(home, 2).await;
    let film = category("film");
    store.rewrap_keys(&film, (V1, V2), &[moving(1)]).await.unwrap();
    let young = WrappedKey { kek_version: V2, first_kek_version: V2, ..key(3) };
    store.insert_key(&young).await.unwrap();
    let states = async || {
        let keys = store.keys_of(&content("film-1")).await.unwrap();
        keys.iter().map(|key| key.state == KeyState::Compromised).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [false, false, false]);
    store.compromise_kek(&film, V1).await.unwrap();
    assert_eq!(states().await, [true, true, false], "moved away or not; the third was never its");
    assert_eq!(store.key(key(1).kid).await.unwrap().unwrap().state, KeyState::Compromised);
    let refused = store.insert_key(&key(4)).await;
    assert!(matches!(refused, Err(StoreError::Retired)), "{refused:?}");
    assert!(!store.retire_kek(&film, V1).await.unwrap());
    // Its keys still move, and stay exposed.
    assert_eq!(store.rewrap_keys(&film, (V1, V2), &[moving(2)]).await.unwrap(), 1);
    assert_eq!(states().await, [true, true, false]);
    assert_eq!(store.destroy_kek(&film, V1).await.unwrap(), Destroyed::Done);
    assert_eq!(states().await, [true, true, false]);

    assert_eq!(store.compromise_key(key(3).kid).await.unwrap(), Some(content("film-1")));
    assert_eq!(states().await, [true, true, true]);
    assert_eq!(store.compromise_key(KeyId::from_bytes([9; 16])).await.unwrap(), None);
    let missing = store.compromise_kek(&film, KekVersion(9)).await;
    assert!(matches!(missing, Err(StoreError::Missing)), "{missing:?}");
}

fn variant(kid: KeyId) -> PackagedVariant {
    PackagedVariant {
        name: "video".to_owned(),
        trick_of: None,
        scheme: Scheme::Cbcs,
        track_class: TrackClass::Hd,
        kid,
        period_kids: Vec::new(),
        codecs: "avc1.64001f".to_owned(),
        bandwidth: 1,
        width: None,
        height: None,
        language: None,
        role: None,
        clear_lead_ms: 0,
        playlist: "video.m3u8".to_owned(),
        iframe_playlist: None,
        size_bytes: 1,
    }
}

pub async fn a_title_waits_to_be_packaged_until_a_clean_package(home: &Home) {
    let store = with_keys(home, 2).await;
    let film = category("film");
    let other = WrappedKey { content_id: content("film-2"), first_kek_version: V2, ..key(3) };
    store.insert_key(&WrappedKey { kek_version: V2, ..other }).await.unwrap();
    store.compromise_kek(&film, V1).await.unwrap();
    for _ in 0..2 {
        store.queue_repackaging_under(&film, V1, NOW).await.unwrap();
    }
    let waiting = async || {
        let items = store.repackaging_pending(10, None).await.unwrap();
        items.into_iter().map(|item| item.content_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, ["film-1"]);
    store.queue_repackaging(&content("film-2"), "a key is known", NOW).await.unwrap();
    store.queue_repackaging(&content("film-1"), "again", NOW).await.unwrap();
    assert_eq!(waiting().await, ["film-1", "film-2"]);
    let page = store.repackaging_pending(10, Some(&content("film-1"))).await.unwrap();
    assert_eq!((page.len(), page[0].reason.as_str()), (1, "a key is known"));

    store.put_title(&title("film-1")).await.unwrap();
    for (number, kid, left) in [(1, 1, 2), (2, 3, 1)] {
        let mut event = event(number, "film-1");
        event.variants.push(variant(key(kid).kid));
        let state = TitleState::Published { package: package(number) };
        store.publish_package(&state, &event, NOW).await.unwrap();
        assert_eq!(waiting().await.len(), left, "key {kid}");
    }
    // Known anew, it waits anew.
    store.queue_repackaging(&content("film-1"), "again", NOW).await.unwrap();
    assert_eq!(waiting().await, ["film-1", "film-2"]);
}
