//! What players told: sealed logs and events.

use crate::home::*;
use crate::streams::rounds;
use model::{DecisionId, DeviceId, PlaybackSessionId, Timestamp};
use playback::log_seal::LogPlace;
use playback::report::{PlayerEvent, PlayerEventKind, Word};
use store::{ACCOUNT_LOGS_MAX, SESSION_EVENTS_MAX, SealedLog, StartStream, Store, StoreError};

const SESSION: PlaybackSessionId = PlaybackSessionId::from_bytes([1; 16]);

/// A store with a stream of account 1.
async fn playing(home: &Home) -> Store {
    let store = home.with_account().await;
    let start = StartStream {
        session: SESSION,
        account: account(1).id,
        device: DeviceId::from_bytes([1; 16]),
        content_id: content("film-1"),
        max_streams: 1,
        decision: DecisionId::from_bytes([1; 16]),
        interval_s: 60,
        is_anew: true,
        now: NOW,
    };
    store.start_stream(&start).await.unwrap().unwrap();
    store
}

fn log(number: u32, seq: u64, received: Timestamp) -> SealedLog {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let place = LogPlace { session: SESSION, seq, received };
    SealedLog { id, account: account(1).id, place, sealed: vec![7; 40] }
}

fn event(kind: PlayerEventKind, at: u64) -> PlayerEvent {
    PlayerEvent { kind, at: Timestamp(at), detail: Some(Word::parse("hevc").unwrap()) }
}

pub async fn logs_read_back_in_their_order_and_are_forgotten_in_time(home: &Home) {
    let store = playing(home).await;
    let logs = [log(1, 0, NOW), log(2, 1 << 63, NOW), log(3, u64::MAX, NOW.plus_s(60))];
    for log in logs.iter().rev() {
        store.put_log(log).await.unwrap();
    }
    assert_eq!(store.logs_of(SESSION).await.unwrap(), logs);
    assert_eq!(store.logs_of(PlaybackSessionId::from_bytes([2; 16])).await.unwrap(), []);
    assert!(matches!(store.put_log(&logs[0]).await, Err(StoreError::Conflict)));
    assert_eq!(store.forget_reports(NOW).await.unwrap(), 0);
    assert_eq!(store.forget_reports(Timestamp(NOW.0 + 1)).await.unwrap(), 2);
    assert_eq!(store.logs_of(SESSION).await.unwrap(), logs[2..]);
}

pub async fn an_account_keeps_its_newest_logs(home: &Home) {
    let store = playing(home).await;
    let most = ACCOUNT_LOGS_MAX;
    for number in 0..most {
        let at = NOW.plus_s(number.into());
        store.put_log(&log(number, number.into(), at)).await.unwrap();
    }
    assert_eq!(store.trim_logs(account(1).id).await.unwrap(), 0);
    store.put_log(&log(most, most.into(), NOW.plus_s(most.into()))).await.unwrap();
    assert_eq!(store.trim_logs(account(1).id).await.unwrap(), 1);
    assert_eq!(store.trim_logs(account(2).id).await.unwrap(), 0);
    assert_eq!(store.forget_reports(NOW.plus_s(1)).await.unwrap(), 0, "the first is gone");
}

pub async fn events_are_numbered_in_the_order_they_were_told(home: &Home) {
    let store = playing(home).await;
    use PlayerEventKind::{CapabilityMissing, PlaybackStarted, PlayerReady};
    // The player's own clock does not decide.
    let told = [event(PlayerReady, 9), event(CapabilityMissing, 8), event(PlaybackStarted, 7)];
    let put = async |events: &[PlayerEvent], who, now| {
        store.put_events(SESSION, account(who).id, events, now).await.unwrap()
    };
    assert!(put(&told[..2], 1, NOW).await);
    assert!(put(&told[2..], 1, NOW.plus_s(1)).await);
    assert!(!put(&told, 2, NOW).await, "another account's session");
    let stored = store.events_of(SESSION).await.unwrap();
    let numbers: Vec<_> = stored.iter().map(|one| (one.number, one.event.clone())).collect();
    let expected: Vec<_> = (1..).zip(told.iter().cloned()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(stored[2].received, NOW.plus_s(1));
    assert_eq!(store.forget_reports(NOW.plus_s(1)).await.unwrap(), 2);
    assert_eq!(store.events_of(SESSION).await.unwrap(), stored[2..]);
}

pub async fn parallel_events_share_no_number_and_end_at_the_bound(home: &Home) {
    let store = playing(home).await;
    let one =
        [event(PlayerEventKind::PlaybackPaused, 1), event(PlayerEventKind::PlaybackResumed, 2)];
    let many = rounds().min(20);
    let tell = async || store.put_events(SESSION, account(1).id, &one, NOW).await.unwrap();
    for _ in 0..many {
        let (a, b, c, d) = tokio::join!(tell(), tell(), tell(), tell());
        assert!(a && b && c && d);
    }
    let stored = store.events_of(SESSION).await.unwrap();
    let numbers: Vec<u32> = stored.iter().map(|one| one.number).collect();
    assert_eq!(numbers, (1..=u32::try_from(many * 8).unwrap()).collect::<Vec<_>>());
    // What one request told stands together.
    assert!(stored.chunks(2).all(|pair| pair[0].event == one[0] && pair[1].event == one[1]));
    let thirty = vec![one[0].clone(); 30];
    while store.put_events(SESSION, account(1).id, &thirty, NOW).await.unwrap() {}
    let told = store.events_of(SESSION).await.unwrap().len();
    let most = usize::try_from(SESSION_EVENTS_MAX).unwrap();
    assert!(told <= most && told + 30 > most, "{told}");
}
