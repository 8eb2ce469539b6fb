//! The stream limit, alone and in races (R085).

use crate::home::*;
use model::{AccountId, DecisionId, DeviceId, PlaybackSessionId, Timestamp};
use playback::Denial;
use playback::lease::{StreamEnd, ends_by, lease_ms, reserved_until};
use store::{StartStream, Store, StoreError, StreamRow};

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
        interval_s: 60,
        is_anew: true,
        now,
    }
}

/// Until when a lease taken now goes.
fn leased_until(now: Timestamp) -> Timestamp {
    Timestamp(now.0 + lease_ms(60))
}

/// Renews the lease of stream `number`, where two are allowed.
async fn lease(store: &Store, number: u8, now: Timestamp) -> bool {
    store.lease_stream(session(number), 2, now).await.unwrap()
}

async fn row(store: &Store, number: u8) -> StreamRow {
    store.stream(session(number)).await.unwrap().unwrap()
}

const FULL: Denial = Denial::StreamLimitReached { max_streams: 2 };

/// So often a race is run; a thousand times in the long form.
pub fn rounds() -> u64 {
    if std::env::var_os("STRONGROOM_LONG").is_some() { 1000 } else { 20 }
}

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
    for round in 0..5_u8 {
        let now = NOW.plus_s(u64::from(round) * 1000);
        let (granted, refused) =
            race(&store, (1..=20).map(|number| start(round * 20 + number, now)).collect()).await;
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
    let mut lapsed: Vec<StartStream> = Vec::new();
    for round in 0..rounds() {
        // The leases of the round before have lapsed, and their players come back, within a day.
        let now = NOW.plus_s(round * 1000);
        if round.is_multiple_of(50) {
            lapsed.clear();
        }
        let come_back = lapsed.iter().map(|start| StartStream { now, ..start.clone() });
        let mut starts: Vec<StartStream> = come_back.collect();
        for number in 0..u8::try_from(200 - starts.len()).unwrap() {
            let mut id = [number; 16];
            id[..8].copy_from_slice(&round.to_be_bytes());
            let device = DeviceId::from_bytes(id);
            let session = PlaybackSessionId::from_bytes(id);
            starts.push(StartStream { session, device, max_streams: 7, ..start(number, now) });
        }
        let half = starts.split_off(100);
        let known = [starts.clone(), half.clone()].concat();
        let (first, second) = tokio::join!(race(&store, starts), race(&second, half));
        let granted = [first.0, second.0].concat();
        assert_eq!((granted.len(), first.1 + second.1), (7, 193), "{round}");
        let running = store.running_streams(account(1).id, now).await.unwrap();
        assert_eq!(running.len(), 7, "{round}");
        for session in &granted {
            assert!(store.lease_stream(*session, 7, now).await.unwrap(), "{round}");
        }
        let is_granted = |start: &StartStream| granted.contains(&start.session);
        lapsed = known.into_iter().filter(is_granted).collect();
        lapsed.iter_mut().for_each(|start| start.is_anew = false);
    }
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
    assert!(lease(&store, 1, later).await);
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
    assert!(!lease(&store, 1, NOW.plus_s(30)).await);
}

pub async fn a_lease_ends_after_three_missed_heartbeats(home: &Home) {
    let store = home.with_account().await;
    for number in [1, 2] {
        store.start_stream(&start(number, NOW)).await.unwrap().unwrap();
        assert!(lease(&store, number, NOW).await);
    }
    // One of them goes on reporting.
    let minute = NOW.plus_s(60);
    assert!(lease(&store, 1, minute).await);
    let almost = Timestamp(NOW.0 + 179_999);
    assert_eq!(store.start_stream(&start(3, almost)).await.unwrap(), Err(FULL));
    let gone = NOW.plus_s(180);
    assert_eq!(store.start_stream(&start(3, gone)).await.unwrap(), Ok(session(3)));
    assert_eq!(store.start_stream(&start(4, gone)).await.unwrap(), Err(FULL));
    assert_eq!(row(&store, 2).await.stream.expires, Timestamp(0));
}

pub async fn a_late_renewal_neither_revives_nor_shortens(home: &Home) {
    let store = home.with_account().await;
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    let later = NOW.plus_s(20);
    assert!(lease(&store, 1, later).await);
    assert!(lease(&store, 1, NOW).await, "it set out before the other");
    assert_eq!(row(&store, 1).await.stream.expires, leased_until(later));
    assert!(!lease(&store, 1, leased_until(later)).await);
    assert!(!lease(&store, 9, NOW).await, "no such stream");
    // Lapsed at the start of another, it stays so, also for a renewal that set out before.
    let (late, solo) = (leased_until(later), start(2, leased_until(later)));
    store.start_stream(&StartStream { max_streams: 1, ..solo }).await.unwrap().unwrap();
    assert!(!lease(&store, 1, Timestamp(late.0 - 1)).await);
}

pub async fn a_device_that_reports_twice_as_often_is_lost_twice_as_soon(home: &Home) {
    let store = home.with_account().await;
    let device = StartStream { interval_s: 30, ..start(1, NOW) };
    store.start_stream(&device).await.unwrap().unwrap();
    assert!(lease(&store, 1, NOW).await);
    assert_eq!(row(&store, 1).await.stream.expires, NOW.plus_s(90));
    // Another player of the device, in a browser.
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    assert!(lease(&store, 1, NOW).await);
    assert_eq!(row(&store, 1).await.stream.expires, NOW.plus_s(180));
}

pub async fn a_lease_ends_with_its_day_unless_a_player_begins_anew(home: &Home) {
    let store = home.with_account().await;
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    let mut now = NOW;
    while lease(&store, 1, now).await {
        now = now.plus_s(60);
    }
    assert_eq!(now, ends_by(NOW));
    assert_eq!(row(&store, 1).await.stream.expires, ends_by(NOW));
    let again = StartStream { is_anew: false, ..start(1, now) };
    let refused = store.start_stream(&again).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    // A token call while it runs begins another day.
    store.start_stream(&start(2, now)).await.unwrap().unwrap();
    assert_eq!(store.start_stream(&start(2, now.plus_s(9))).await.unwrap(), Ok(session(2)));
    assert_eq!(row(&store, 2).await.ends_by, ends_by(now.plus_s(9)));
    // What has had its day is forgotten.
    assert_eq!(store.stream(session(1)).await.unwrap(), None);
}

pub async fn a_stream_that_lapsed_gets_a_slot_again_where_one_is_free(home: &Home) {
    let store = home.with_account().await;
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    let hour = NOW.plus_s(3600);
    for number in [2, 3] {
        store.start_stream(&start(number, hour)).await.unwrap().unwrap();
    }
    let again = StartStream { is_anew: false, ..start(1, hour) };
    assert_eq!(store.start_stream(&again).await.unwrap(), Err(FULL));
    assert!(store.end_stream(session(2), account(1).id, StreamEnd::Stopped, hour).await.unwrap());
    assert_eq!(store.start_stream(&again).await.unwrap(), Ok(session(1)));
    assert!(lease(&store, 1, hour).await);
    assert_eq!(row(&store, 1).await.started, NOW);
    // What was ended is not had again.
    let ended = StartStream { is_anew: false, max_streams: 9, ..start(2, hour) };
    let refused = store.start_stream(&ended).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

pub async fn a_plan_that_shrank_keeps_its_eldest_streams(home: &Home) {
    let store = home.with_account().await;
    for number in [3, 1, 2] {
        let begun = NOW.plus_s(u64::from(number == 2));
        let start = StartStream { max_streams: 3, ..start(number, begun) };
        store.start_stream(&start).await.unwrap().unwrap();
    }
    let at = NOW.plus_s(2);
    let renewed =
        async |number: u8, most| store.lease_stream(session(number), most, at).await.unwrap();
    assert!(renewed(1, 3).await && renewed(2, 3).await && renewed(3, 3).await);
    // Of two that began together the one with the lower name.
    assert_eq!(
        [renewed(1, 2).await, renewed(2, 2).await, renewed(3, 2).await],
        [true, false, true]
    );
    assert_eq!(
        [renewed(1, 1).await, renewed(2, 1).await, renewed(3, 1).await],
        [true, false, false]
    );
    assert!(!renewed(1, 0).await);
}

pub async fn numbers_grow_and_missing_ones_are_counted(home: &Home) {
    let store = home.with_account().await;
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    let take = async |seq| store.take_seq(session(1), seq).await.unwrap();
    let counted = async || {
        let row = row(&store, 1).await;
        (row.last_seq, row.missed)
    };
    assert_eq!(counted().await, (None, 0));
    assert!(take(0).await && take(1).await);
    assert!(!take(1).await && !take(0).await, "replayed and older");
    assert_eq!(counted().await, (Some(1), 0));
    assert!(take(2).await && take(5).await);
    assert_eq!(counted().await, (Some(5), 2));
    let half = 1 << 63;
    assert!(take(half - 1).await && take(half).await && take(half + 1).await);
    assert_eq!(counted().await, (Some(half + 1), 1_000_002), "what is beyond count is bounded");
    assert!(take(u64::MAX - 1).await && take(u64::MAX).await);
    for seq in [0, 1, half, u64::MAX - 1, u64::MAX] {
        assert!(!take(seq).await, "{seq}: no number comes after the last");
    }
    assert_eq!(counted().await, (Some(u64::MAX), 2_000_002));
    // A player that begins anew counts from anywhere; one that goes on does not.
    let goes_on = StartStream { is_anew: false, ..start(1, NOW) };
    store.start_stream(&goes_on).await.unwrap().unwrap();
    assert!(!take(1).await);
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    assert!(take(1).await);
    assert!(!store.take_seq(session(9), 1).await.unwrap(), "no such stream");
}

pub async fn of_two_equal_numbers_at_once_one_is_taken(home: &Home) {
    let store = home.with_account().await;
    let second = home.open().await;
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    for seq in 0..rounds() {
        let (one, other) =
            tokio::join!(store.take_seq(session(1), seq), second.take_seq(session(1), seq));
        assert_eq!(u8::from(one.unwrap()) + u8::from(other.unwrap()), 1, "{seq}");
    }
    assert_eq!(row(&store, 1).await.missed, 0);
}

pub async fn running_streams_are_listed_with_their_titles(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    store.put_title(&title("film-2")).await.unwrap();
    let (later, most) = (NOW.plus_s(1), 9);
    for (number, now) in [(3, later), (2, NOW), (1, NOW)] {
        let start = StartStream { max_streams: most, ..start(number, now) };
        store.start_stream(&start).await.unwrap().unwrap();
    }
    let other = StartStream { account: account(2).id, ..start(7, NOW) };
    store.start_stream(&other).await.unwrap().unwrap();
    store.end_stream(session(1), account(1).id, StreamEnd::ByAccount, later).await.unwrap();
    let listed = store.running_streams(account(1).id, later).await.unwrap();
    let names: Vec<_> =
        listed.iter().map(|one| (one.row.stream.session, one.title.clone())).collect();
    assert_eq!(names, [(session(2), Some("Ein Film — ＃1".to_owned())), (session(3), None)]);
    assert_eq!(store.running_streams(account(1).id, NOW.plus_s(31)).await.unwrap(), []);
}

pub async fn what_no_longer_runs_is_remembered_within_bounds(home: &Home) {
    let store = home.with_account().await;
    for number in 0..200 {
        let now = NOW.plus_s(u64::from(number));
        store.start_stream(&start(number, now)).await.unwrap().unwrap();
        let ended = store.end_stream(session(number), account(1).id, StreamEnd::Stopped, now).await;
        assert!(ended.unwrap());
    }
    let mut remembered = 0;
    for number in 0..200 {
        remembered += u32::from(store.stream(session(number)).await.unwrap().is_some());
    }
    assert!((32..=65).contains(&remembered), "{remembered}");
    assert_eq!(row(&store, 199).await.end, Some(StreamEnd::Stopped));
}

pub async fn ending_a_stream_frees_its_slot_at_once(home: &Home) {
    let store = home.with_account().await;
    for number in [1, 2] {
        store.start_stream(&start(number, NOW)).await.unwrap().unwrap();
    }
    assert_eq!(store.start_stream(&start(3, NOW)).await.unwrap(), Err(FULL));
    let end = async |how| store.end_stream(session(1), account(1).id, how, NOW).await.unwrap();
    assert!(end(StreamEnd::ByAccount).await);
    assert!(!end(StreamEnd::Stopped).await);
    assert_eq!(row(&store, 1).await.end, Some(StreamEnd::ByAccount), "the first end is the end");
    assert!(!lease(&store, 1, NOW).await);
    assert_eq!(store.start_stream(&start(3, NOW)).await.unwrap(), Ok(session(3)));
}

pub async fn only_the_owner_ends_a_stream(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    store.start_stream(&start(1, NOW)).await.unwrap().unwrap();
    let ended = store.end_stream(session(1), account(2).id, StreamEnd::ByAccount, NOW).await;
    assert!(!ended.unwrap());
    assert!(lease(&store, 1, NOW).await);
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
