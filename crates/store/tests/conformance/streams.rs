//! The stream limit, alone and in races (R085).

use crate::home::*;
use model::{AccountId, DecisionId, DeviceId, PlaybackSessionId, Timestamp};
use playback::Denial;
use playback::lease::{leased_until, reserved_until};
use store::{StartStream, Store, StoreError};

fn session(number: u8) -> PlaybackSessionId {
    PlaybackSessionId::from_bytes([number; 16])
}

/// Stream `number` of account 1, on its own device and title, where two are allowed.
fn start(number: u8, now: Timestamp) -> StartStream {
    StartStream {
        session: session(number),
        account: account(1).id,
        device: DeviceId::from_bytes([number; 16]),
        content_id: content(&format!("film-{number}")),
        max_streams: 2,
        decision: DecisionId::from_bytes([number; 16]),
        now,
    }
}

const FULL: Denial = Denial::StreamLimitReached { max_streams: 2 };

/// Starts them all at once. Returns the sessions that got a slot and counts the refusals.
async fn race(store: &Store, starts: Vec<StartStream>) -> (Vec<PlaybackSessionId>, usize) {
    let gate = std::sync::Arc::new(tokio::sync::Barrier::new(starts.len()));
    let tasks: Vec<_> = starts
        .into_iter()
        .map(|start| {
            let (store, gate) = (store.clone(), gate.clone());
            tokio::spawn(async move {
                gate.wait().await;
                store.start_stream(&start).await.unwrap()
            })
        })
        .collect();
    let (mut granted, mut refused) = (Vec::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(session) => granted.push(session),
            Err(Denial::StreamLimitReached { .. }) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    (granted, refused)
}

pub async fn twenty_parallel_starts_on_two_slots_grant_two(home: &Home) {
    let store = home.with_account().await;
    for round in 0..5 {
        let now = NOW.plus_s(round * 1000);
        let (granted, refused) =
            race(&store, (1..=20).map(|number| start(number, now)).collect()).await;
        assert_eq!((granted.len(), refused), (2, 18));
        for session in granted {
            assert!(store.stream(session).await.unwrap().is_some());
        }
    }
}

pub async fn two_hundred_parallel_starts_grant_exactly_the_plan(home: &Home) {
    let store = home.with_account().await;
    // As if from two processes: two stores on one database.
    let second = home.open().await;
    let starts = |from: u8, to: u8| -> Vec<StartStream> {
        (from..to).map(|number| StartStream { max_streams: 7, ..start(number, NOW) }).collect()
    };
    let (first, second) =
        tokio::join!(race(&store, starts(0, 100)), race(&second, starts(100, 200)));
    assert_eq!(first.0.len() + second.0.len(), 7);
    assert_eq!(first.1 + second.1, 193);
}

pub async fn parallel_starts_of_one_device_and_title_share_a_slot(home: &Home) {
    let store = home.with_account().await;
    let starts = (1..=20).map(|number| StartStream { session: session(number), ..start(1, NOW) });
    let (granted, refused) = race(&store, starts.collect()).await;
    assert_eq!(refused, 0);
    assert!(granted.iter().all(|session| *session == granted[0]));
}

pub async fn the_same_device_and_title_reuse_their_slot(home: &Home) {
    let store = home.with_account().await;
    assert_eq!(store.start_stream(&start(1, NOW)).await.unwrap(), Ok(session(1)));
    assert_eq!(store.start_stream(&start(2, NOW)).await.unwrap(), Ok(session(2)));
    let later = NOW.plus_s(5);
    let decision = DecisionId::from_bytes([9; 16]);
    let again = StartStream { session: session(9), decision, ..start(1, later) };
    assert_eq!(store.start_stream(&again).await.unwrap(), Ok(session(1)));
    let row = store.stream(session(1)).await.unwrap().unwrap();
    assert_eq!(row.stream.expires, reserved_until(later));
    assert_eq!((row.decision, row.started, row.account), (decision, NOW, account(1).id));
    assert!(!row.stream.is_leased);
    assert_eq!(store.stream(session(9)).await.unwrap(), None);
    // A running lease is not shortened by starting again.
    assert!(store.lease_stream(session(1), later, leased_until(later)).await.unwrap());
    assert_eq!(store.start_stream(&again).await.unwrap(), Ok(session(1)));
    let row = store.stream(session(1)).await.unwrap().unwrap();
    assert_eq!((row.stream.expires, row.stream.is_leased), (leased_until(later), true));
    assert_eq!(store.start_stream(&start(3, later)).await.unwrap(), Err(FULL));
}

pub async fn a_reservation_ends_after_thirty_seconds(home: &Home) {
    let store = home.with_account().await;
    for number in [1, 2] {
        store.start_stream(&start(number, NOW)).await.unwrap().unwrap();
    }
    let almost = Timestamp(NOW.0 + 29_999);
    assert_eq!(store.start_stream(&start(3, almost)).await.unwrap(), Err(FULL));
    assert_eq!(store.start_stream(&start(3, NOW.plus_s(30))).await.unwrap(), Ok(session(3)));
    assert!(!store.lease_stream(session(1), NOW.plus_s(30), NOW.plus_s(99)).await.unwrap());
}

pub async fn a_lease_ends_after_three_missed_heartbeats(home: &Home) {
    let store = home.with_account().await;
    for number in [1, 2] {
        store.start_stream(&start(number, NOW)).await.unwrap().unwrap();
        assert!(store.lease_stream(session(number), NOW, leased_until(NOW)).await.unwrap());
    }
    // One of them goes on reporting.
    let minute = NOW.plus_s(60);
    assert!(store.lease_stream(session(1), minute, leased_until(minute)).await.unwrap());
    let almost = Timestamp(NOW.0 + 179_999);
    assert_eq!(store.start_stream(&start(3, almost)).await.unwrap(), Err(FULL));
    let gone = NOW.plus_s(180);
    assert_eq!(store.start_stream(&start(3, gone)).await.unwrap(), Ok(session(3)));
    assert_eq!(store.start_stream(&start(4, gone)).await.unwrap(), Err(FULL));
    assert_eq!(store.stream(session(2)).await.unwrap(), None);
}

pub async fn a_late_renewal_neither_revives_nor_shortens(home: &Home) {
    let store = home.with_account().await;
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    assert!(store.lease_stream(session(1), NOW, NOW.plus_s(180)).await.unwrap());
    assert!(store.lease_stream(session(1), NOW, NOW.plus_s(100)).await.unwrap());
    let row = store.stream(session(1)).await.unwrap().unwrap();
    assert_eq!(row.stream.expires, NOW.plus_s(180));
    let late = NOW.plus_s(180);
    assert!(!store.lease_stream(session(1), late, late.plus_s(180)).await.unwrap());
    assert!(!store.lease_stream(session(9), NOW, NOW.plus_s(180)).await.unwrap());
}

pub async fn ending_a_stream_frees_its_slot_at_once(home: &Home) {
    let store = home.with_account().await;
    for number in [1, 2] {
        store.start_stream(&start(number, NOW)).await.unwrap().unwrap();
    }
    assert_eq!(store.start_stream(&start(3, NOW)).await.unwrap(), Err(FULL));
    assert!(store.end_stream(session(1), account(1).id).await.unwrap());
    assert!(!store.end_stream(session(1), account(1).id).await.unwrap());
    assert!(!store.lease_stream(session(1), NOW, NOW.plus_s(180)).await.unwrap());
    assert_eq!(store.start_stream(&start(3, NOW)).await.unwrap(), Ok(session(3)));
}

pub async fn only_the_owner_ends_a_stream(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    assert!(!store.end_stream(session(1), account(2).id).await.unwrap());
    assert!(store.stream(session(1)).await.unwrap().is_some());
}

pub async fn a_stream_needs_its_account(home: &Home) {
    let store = home.with_account().await;
    let stranger = StartStream { account: AccountId::from_bytes([9; 16]), ..start(1, NOW) };
    let refused = store.start_stream(&stranger).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}

pub async fn accounts_do_not_share_slots(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    for number in [1, 2] {
        store.start_stream(&start(number, NOW)).await.unwrap().unwrap();
        let other = StartStream { account: account(2).id, ..start(number + 10, NOW) };
        assert_eq!(store.start_stream(&other).await.unwrap(), Ok(session(number + 10)));
    }
    assert_eq!(store.start_stream(&start(3, NOW)).await.unwrap(), Err(FULL));
    // A session id that another account has is never taken over.
    let stolen = StartStream { session: session(11), max_streams: 9, ..start(5, NOW) };
    let refused = store.start_stream(&stolen).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}
