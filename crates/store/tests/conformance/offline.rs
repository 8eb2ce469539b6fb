//! Licenses that devices keep, alone and in races (R117), and records of use (R115).

use crate::home::*;
use model::{AccountId, DeviceId, GrantId, PlaybackSessionId, Timestamp};
use playback::OfflineDenied;
use store::{KeepLicense, Store, StoreError, UsageRecord};

const FULL: OfflineDenied = OfflineDenied::LimitReached { max_offline: 3 };

fn license(number: u8) -> GrantId {
    GrantId::from_bytes([number; 16])
}

/// License `number` of account 1, on its own device and title, for a thousand seconds; three
/// are allowed.
fn keep(number: u8, now: Timestamp) -> KeepLicense {
    KeepLicense {
        license: license(number),
        account: account(1).id,
        device: DeviceId::from_bytes([number; 16]),
        content_id: content(&format!("film-{number}")),
        max_offline: 3,
        ends: now.plus_s(1000),
        now,
    }
}

/// Reserves and puts, as the license flow does.
async fn kept(store: &Store, request: &KeepLicense) -> Result<u32, OfflineDenied> {
    store.reserve_kept(request).await.unwrap()?;
    store.put_kept(request).await.unwrap()
}

pub async fn parallel_requests_keep_exactly_the_plan(home: &Home) {
    let store = home.with_account().await;
    // As if from two processes: two stores on one database.
    let second = home.open().await;
    for round in 0..20_u64 {
        let now = NOW.plus_s(round * 2000);
        let gate = std::sync::Arc::new(tokio::sync::Barrier::new(20));
        let tasks: Vec<_> = (0..20_u8)
            .map(|number| {
                let store = if number % 2 == 0 { store.clone() } else { second.clone() };
                let (gate, request) = (gate.clone(), keep(number, now));
                tokio::spawn(async move {
                    gate.wait().await;
                    kept(&store, &request).await
                })
            })
            .collect();
        let mut outcomes = vec![];
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        let granted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(granted, 3, "round {round}: {outcomes:?}");
        assert!(outcomes.iter().all(|outcome| outcome.is_ok() || *outcome == Err(FULL)));
        let rows = store.kept_licenses(account(1).id).await.unwrap();
        assert_eq!(rows.iter().filter(|row| row.is_kept(now)).count(), 3);
    }
}

pub async fn a_title_on_a_device_counts_once_and_its_row_is_replaced(home: &Home) {
    let store = home.with_account().await;
    for number in 1..=3 {
        assert_eq!(kept(&store, &keep(number, NOW)).await, Ok(u32::from(number) - 1));
    }
    assert_eq!(kept(&store, &keep(4, NOW)).await, Err(FULL));
    let later = NOW.plus_s(10);
    let again = KeepLicense { license: license(9), ..keep(1, later) };
    // While the new license is in the making, the row is the old one's.
    assert_eq!(store.reserve_kept(&again).await.unwrap(), Ok(2));
    let of_1 = async || {
        let rows = store.kept_licenses(account(1).id).await.unwrap();
        rows.into_iter().find(|row| row.device == DeviceId::from_bytes([1; 16])).unwrap()
    };
    assert_eq!((of_1().await.license, of_1().await.issued), (license(1), NOW));
    assert_eq!(store.put_kept(&again).await.unwrap(), Ok(2));
    let row = of_1().await;
    assert_eq!((row.license, row.issued, row.ends), (license(9), later, later.plus_s(1000)));
    // A shorter license does not end the longer one that the device has already.
    let shorter = KeepLicense { ends: later.plus_s(5), ..keep(1, later) };
    assert_eq!(kept(&store, &shorter).await, Ok(2));
    assert_eq!(of_1().await.ends, later.plus_s(1000));
    // The same title on another device is another place.
    let elsewhere = KeepLicense { device: DeviceId::from_bytes([7; 16]), ..keep(1, later) };
    assert_eq!(kept(&store, &elsewhere).await, Err(FULL));
    // A plan that shrank is not exceeded; one without any gives none.
    let of_plan = |max_offline| KeepLicense { max_offline, ..keep(1, later) };
    let shrunk = Err(OfflineDenied::LimitReached { max_offline: 2 });
    assert_eq!(kept(&store, &of_plan(2)).await, shrunk);
    assert_eq!(kept(&store, &of_plan(0)).await, Err(OfflineDenied::Plan));
}

pub async fn a_kept_license_ends_to_the_millisecond(home: &Home) {
    let store = home.with_account().await;
    for number in 1..=3 {
        kept(&store, &keep(number, NOW)).await.unwrap();
    }
    let almost = Timestamp(NOW.plus_s(1000).0 - 1);
    assert_eq!(kept(&store, &keep(4, almost)).await, Err(FULL));
    assert_eq!(kept(&store, &keep(4, NOW.plus_s(1000))).await, Ok(0));
    assert_eq!(store.kept_licenses(account(1).id).await.unwrap().len(), 1, "the others left");
}

pub async fn what_never_leaves_holds_its_place_for_a_minute(home: &Home) {
    let store = home.with_account().await;
    for number in 1..=3 {
        assert!(store.reserve_kept(&keep(number, NOW)).await.unwrap().is_ok());
    }
    assert!(store.kept_licenses(account(1).id).await.unwrap().is_empty());
    let almost = Timestamp(NOW.plus_s(60).0 - 1);
    assert_eq!(store.reserve_kept(&keep(4, almost)).await.unwrap(), Err(FULL));
    for number in 4..=6 {
        assert!(kept(&store, &keep(number, NOW.plus_s(60))).await.is_ok());
    }
    // One that was too long in the making takes nobody's place.
    let late = KeepLicense { now: NOW.plus_s(61), ..keep(1, NOW) };
    assert_eq!(store.put_kept(&late).await.unwrap(), Err(FULL));
}

pub async fn a_place_is_freed_by_who_has_it(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    for number in 1..=3 {
        kept(&store, &keep(number, NOW)).await.unwrap();
    }
    let (ada, grace) = (account(1).id, account(2).id);
    assert!(!store.release_kept(grace, license(1), NOW).await.unwrap());
    assert!(!store.release_kept(ada, license(9), NOW).await.unwrap());
    assert_eq!(kept(&store, &keep(4, NOW)).await, Err(FULL));
    assert!(store.release_kept(ada, license(1), NOW).await.unwrap());
    assert!(!store.release_kept(ada, license(1), NOW).await.unwrap(), "once");
    assert_eq!(kept(&store, &keep(4, NOW)).await, Ok(2));
    let (device, title) = (DeviceId::from_bytes([2; 16]), content("film-2"));
    assert!(!store.free_kept(grace, device, &title, NOW).await.unwrap());
    assert!(!store.free_kept(ada, DeviceId::from_bytes([3; 16]), &title, NOW).await.unwrap());
    assert!(store.free_kept(ada, device, &title, NOW).await.unwrap());
    assert!(!store.free_kept(ada, device, &title, NOW).await.unwrap());
    assert_eq!(kept(&store, &keep(5, NOW)).await, Ok(2));
    let rows = store.kept_licenses(ada).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.released == Some(NOW)).count(), 2);
    // What was given back may be kept again.
    store.release_kept(ada, license(5), NOW).await.unwrap();
    assert_eq!(kept(&store, &keep(2, NOW)).await, Ok(2));
    let stranger = KeepLicense { account: AccountId::from_bytes([9; 16]), ..keep(1, NOW) };
    let refused = store.reserve_kept(&stranger).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    assert_eq!(kept(&store, &KeepLicense { account: grace, ..keep(9, NOW) }).await, Ok(0));
}

pub async fn a_license_has_one_usage_record_the_first(home: &Home) {
    let store = home.with_account().await;
    let record = |number, received| UsageRecord {
        license: license(number),
        account: account(1).id,
        device: DeviceId::from_bytes([1; 16]),
        session: PlaybackSessionId::from_bytes([2; 16]),
        content_id: content("film"),
        first_played: Some(NOW),
        last_played: (number == 1).then_some(NOW.plus_s(5)),
        received,
    };
    let (first, second) = (record(1, NOW.plus_s(9)), record(2, NOW.plus_s(10)));
    assert!(store.put_usage_record(&first).await.unwrap());
    assert!(!store.put_usage_record(&record(1, NOW.plus_s(99))).await.unwrap());
    assert!(store.put_usage_record(&second).await.unwrap());
    assert_eq!(store.usage_records(account(1).id).await.unwrap(), [second, first]);
    let strange = UsageRecord { account: AccountId::from_bytes([9; 16]), ..record(3, NOW) };
    assert!(matches!(store.put_usage_record(&strange).await, Err(StoreError::Missing)));
}
