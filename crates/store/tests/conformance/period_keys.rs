//! Keys of periods: found by name, period and time, kept once for a use, forgotten in time.

use crate::home::*;
use model::{
    ContentId, KekVersion, KeyId, KeyPeriod, PeriodSpan, Scheme, Timestamp, TrackClass, WrappedKey,
};
use std::collections::BTreeSet;
use store::{AskedFor, INSERT_KEYS_MAX, PAGE_MAX, StaleKeys, Store, StoreError};

const CHANNEL: &str = "channel";
const PERIOD_S: u64 = 10;

fn kid(number: u32) -> KeyId {
    KeyId::from_bytes([[0; 12].as_slice(), &number.to_be_bytes()].concat().try_into().unwrap())
}

/// A key of the channel; the number makes its KID and its fingerprint.
fn track_key(number: u32) -> WrappedKey {
    let fingerprint = number.to_be_bytes().repeat(8).try_into().unwrap();
    WrappedKey { kid: kid(number), content_id: content(CHANNEL), fingerprint, ..key(1) }
}

fn live(index: u32) -> Option<KeyPeriod> {
    let begins = NOW.plus_s(u64::from(index) * PERIOD_S);
    Some(KeyPeriod { index, span: Some(PeriodSpan { begins, ends: begins.plus_s(PERIOD_S) }) })
}

fn live_key(number: u32, index: u32) -> WrappedKey {
    WrappedKey { period: live(index), ..track_key(number) }
}

fn vod_key(number: u32, index: u32) -> WrappedKey {
    WrappedKey { period: Some(KeyPeriod { index, span: None }), ..track_key(number) }
}

async fn with_kek(home: &Home) -> Store {
    let store = home.open().await;
    store.insert_kek(&kek(1)).await.unwrap();
    store
}

fn at(period: u32) -> Timestamp {
    live(period).unwrap().span.unwrap().begins
}

fn kids(keys: Vec<WrappedKey>) -> Vec<KeyId> {
    keys.into_iter().map(|key| key.kid).collect()
}

pub async fn keys_of_periods_are_found_by_name_period_and_time(home: &Home) {
    let store = with_kek(home).await;
    let channel = content(CHANNEL);
    assert!(!store.has_period_keys(&channel).await.unwrap());
    let made: Vec<_> = (0..120).map(|period| live_key(1000 + period, period)).collect();
    let tracks = [track_key(1), track_key(2)];
    store.insert_key(&tracks[0]).await.unwrap();
    store.insert_key(&tracks[1]).await.unwrap();
    assert!(!store.has_period_keys(&channel).await.unwrap());
    assert_eq!(store.insert_keys(&made).await.unwrap(), 120);
    let elsewhere = WrappedKey { content_id: content("other"), ..live_key(9, 7) };
    store.insert_keys(std::slice::from_ref(&elsewhere)).await.unwrap();
    assert!(store.has_period_keys(&channel).await.unwrap());
    assert_eq!(store.track_keys_of(&channel).await.unwrap(), tracks);
    assert_eq!(store.period_keys_of(&channel, 20..30).await.unwrap(), made[20..30]);
    assert_eq!(store.period_keys_of(&channel, 118..u32::MAX).await.unwrap(), made[118..]);
    assert_eq!(store.period_keys_of(&channel, 7..7).await.unwrap(), []);
    assert_eq!(store.period_keys_of(&channel, 0..0).await.unwrap(), []);
    named(&store, &made, &tracks, &elsewhere).await;
    let between = async |from, until| store.keys_between(&channel, from, until).await.unwrap();
    assert_eq!(between(at(20), at(30)).await, made[20..30]);
    let (a_little, later) = (Timestamp(at(20).0 - 1), Timestamp(at(30).0 + 1));
    assert_eq!(between(a_little, later).await, made[19..31]);
    assert_eq!(between(at(120), Timestamp(u64::MAX)).await, []);
    assert_eq!(between(Timestamp(0), at(0)).await, []);
}

async fn named(
    store: &Store,
    made: &[WrappedKey],
    tracks: &[WrappedKey; 2],
    elsewhere: &WrappedKey,
) {
    let named = async |kids: &[KeyId]| store.keys_named(&content(CHANNEL), kids).await.unwrap();
    assert_eq!(named(&[]).await, []);
    assert_eq!(named(&[kid(1005), kid(1), kid(1005)]).await, [tracks[0].clone(), made[5].clone()]);
    assert_eq!(named(&[elsewhere.kid, kid(77)]).await, [], "another title's, and nobody's");
    for count in [1, 8, 9, 63, 64, 65, 120] {
        let wanted: Vec<_> = made[..count].iter().rev().map(|key| key.kid).collect();
        assert_eq!(named(&wanted).await, made[..count], "{count}");
    }
    let far_too_many = vec![kid(1); PAGE_MAX as usize + 1];
    let refused = store.keys_named(&content(CHANNEL), &far_too_many).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

pub async fn a_use_of_a_period_gets_one_key(home: &Home) {
    let store = with_kek(home).await;
    let channel = content(CHANNEL);
    store.insert_keys(&[live_key(1, 0), live_key(2, 1)]).await.unwrap();
    // Another class, another scheme, another period, another event's, and none at all.
    let others = [
        WrappedKey { track_class: Some(TrackClass::Audio), ..live_key(3, 1) },
        WrappedKey { scheme: Some(Scheme::Cenc), ..live_key(4, 1) },
        live_key(5, 2),
        vod_key(6, 1),
        track_key(7),
    ];
    let again = [live_key(8, 0), live_key(9, 1)];
    let both = [&again[..], &others].concat();
    assert_eq!(store.insert_keys(&both).await.unwrap(), 5);
    assert_eq!(store.insert_keys(&both).await.unwrap(), 0, "not twice");
    let names = kids(store.keys_of(&channel).await.unwrap());
    assert_eq!(names, [1, 2, 3, 4, 5, 6, 7].map(kid));
    // A key for every class and scheme serves each of them.
    let every = WrappedKey { track_class: None, scheme: None, ..live_key(20, 9) };
    assert_eq!(store.insert_keys(&[every]).await.unwrap(), 1);
    assert_eq!(store.insert_keys(&[live_key(21, 9)]).await.unwrap(), 0);
    // One that is known to strangers serves nothing.
    store.compromise_key(kid(1)).await.unwrap();
    assert_eq!(store.insert_keys(&[live_key(22, 0)]).await.unwrap(), 1);
    assert_eq!(store.insert_keys(&[]).await.unwrap(), 0);
}

pub async fn many_keys_are_kept_all_or_none(home: &Home) {
    let store = with_kek(home).await;
    let channel = content(CHANNEL);
    let refused = async |keys: &[WrappedKey]| store.insert_keys(keys).await.unwrap_err();
    let reused = WrappedKey { fingerprint: live_key(1, 0).fingerprint, ..live_key(99, 99) };
    let with_reused: Vec<_> = (0..60).map(|n| live_key(n, n)).chain([reused]).collect();
    assert!(matches!(refused(&with_reused).await, StoreError::Conflict));
    let foreign = WrappedKey { content_id: content("other"), ..live_key(2, 2) };
    assert!(matches!(refused(&[live_key(1, 1), foreign]).await, StoreError::Invalid(_)));
    let mixed = WrappedKey { kek_version: KekVersion(2), ..live_key(2, 2) };
    assert!(matches!(refused(&[live_key(1, 1), mixed.clone()]).await, StoreError::Invalid(_)));
    assert!(matches!(refused(&[mixed]).await, StoreError::Missing));
    let too_many = vec![live_key(1, 1); INSERT_KEYS_MAX + 1];
    assert!(matches!(refused(&too_many).await, StoreError::Invalid(_)));
    store.insert_kek(&kek(2)).await.unwrap();
    assert!(store.retire_kek(&category("film"), KekVersion(1)).await.unwrap());
    assert!(matches!(refused(&[live_key(1, 1)]).await, StoreError::Retired));
    assert_eq!(store.keys_of(&channel).await.unwrap(), []);
}

pub async fn parallel_makers_end_with_one_key_a_use(home: &Home) {
    let stores = [home.open().await, home.open().await];
    stores[0].insert_kek(&kek(1)).await.unwrap();
    let tasks: Vec<_> = (0..20_u32)
        .map(|n| {
            let store = stores[n as usize % 2].clone();
            tokio::spawn(async move {
                // Each its own keys for the same ten periods, and one of a title without any.
                let own: Vec<_> = (0..10).map(|p| live_key(100 * n + p, p)).collect();
                store.insert_keys(&own).await.unwrap();
                kids(store.period_keys_of(&content(CHANNEL), 0..10).await.unwrap())
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for task in tasks {
        seen.insert(task.await.unwrap());
    }
    assert_eq!(seen.len(), 1, "all read the same");
    assert_eq!(seen.first().unwrap().len(), 10);
}

pub async fn keys_of_periods_that_ended_go_and_others_stay(home: &Home) {
    let store = with_kek(home).await;
    let channel = content(CHANNEL);
    let asked = AskedFor { classes: TrackClass::ALL.into_iter().collect(), periods: String::new() };
    let made: Vec<_> = (0..1200).map(|period| live_key(1000 + period, period)).collect();
    for some in made.chunks(INSERT_KEYS_MAX) {
        store.insert_keys(some).await.unwrap();
    }
    let by_name = WrappedKey { track_class: None, ..live_key(3, 0) };
    store.insert_asked_keys(&[(by_name.clone(), asked)]).await.unwrap();
    let kept = [track_key(1), vod_key(2, 0)];
    store.insert_keys(&kept).await.unwrap();
    let elsewhere = WrappedKey { content_id: content("other"), ..live_key(9, 0) };
    store.insert_keys(std::slice::from_ref(&elsewhere)).await.unwrap();
    assert_eq!(store.stale_keys(&channel, Timestamp(at(1).0 - 1)).await.unwrap(), None);
    assert_eq!(store.drop_period_keys(&channel, Timestamp(at(1).0 - 1)).await.unwrap(), 0);
    let stale = StaleKeys { keys: 1100, first: 0, last: 1099 };
    assert_eq!(store.stale_keys(&channel, at(1100)).await.unwrap(), Some(stale));
    assert_eq!(store.drop_period_keys(&channel, at(1100)).await.unwrap(), 1100);
    assert_eq!(store.drop_period_keys(&channel, at(1100)).await.unwrap(), 0);
    assert_eq!(store.stale_keys(&channel, at(1100)).await.unwrap(), None);
    // A name that was asked for never gets a second key, so that its key stays.
    let asked = store.asked_key(by_name.kid).await.unwrap();
    assert_eq!(asked.map(|(key, _)| key).as_ref(), Some(&by_name));
    assert_eq!(store.period_keys_of(&channel, 1..u32::MAX).await.unwrap(), made[1100..]);
    for key in kept.iter().chain([&elsewhere]) {
        assert_eq!(store.key(key.kid).await.unwrap().as_ref(), Some(key));
    }
    let ever = Timestamp(u64::MAX);
    assert_eq!(store.drop_period_keys(&channel, ever).await.unwrap(), 100);
    assert_eq!(kids(store.keys_of(&channel).await.unwrap()), [kid(1), kid(2), kid(3)]);
}

pub async fn parallel_droppers_drop_each_key_once(home: &Home) {
    let stores = [home.open().await, home.open().await];
    stores[0].insert_kek(&kek(1)).await.unwrap();
    let made: Vec<_> = (0..1500).map(|n| live_key(n, n)).collect();
    for some in made.chunks(INSERT_KEYS_MAX) {
        stores[0].insert_keys(some).await.unwrap();
    }
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                store.drop_period_keys(&content(CHANNEL), Timestamp(u64::MAX)).await.unwrap()
            })
        })
        .collect();
    let mut dropped = 0;
    for task in tasks {
        dropped += task.await.unwrap();
    }
    assert_eq!(dropped, 1500);
    assert!(!stores[1].has_period_keys(&content(CHANNEL)).await.unwrap());
}

pub async fn all_keys_of_a_title_come_in_pages(home: &Home) {
    let store = with_kek(home).await;
    let made: Vec<_> = (0..2100).map(|n| live_key(n, n)).collect();
    for some in made.chunks(INSERT_KEYS_MAX) {
        store.insert_keys(some).await.unwrap();
    }
    let (mut read, mut pages) = (vec![], 0);
    loop {
        let after = read.last().map(|key: &WrappedKey| key.kid);
        let page = store.keys_page(&content(CHANNEL), after).await.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
        pages += 1;
    }
    assert_eq!((read, pages), (made, 3));
    let other = ContentId::parse("other").unwrap();
    assert_eq!(store.keys_page(&other, None).await.unwrap(), []);
}
