//! Devices: the limit alone and in races (R060), renewal, removal, the order of messages (R064).

use crate::home::*;
use model::{AccountId, Device, DeviceId, DeviceKind, Plan, SignInId, Timestamp};
use playback::DeviceRefused;
use playback::device::{MAX_SKIP, REGISTRATION_S};
use store::{RegisterDevice, SignInDevice, StartStream, Store, StoreError};

const FULL: DeviceRefused = DeviceRefused::LimitReached { max_devices: 6 };

/// Device `number` of account 1, with its own key.
fn device(number: u8) -> RegisterDevice {
    RegisterDevice {
        id: DeviceId::from_bytes([number; 16]),
        account: account(1).id,
        name: format!("browser {number}"),
        kind: DeviceKind::Browser,
        key: [number; 32],
        sign_in: None,
        now: NOW,
    }
}

fn sign_in(number: u8, now: Timestamp) -> SignInDevice {
    SignInDevice {
        account: account(1).id,
        sign_in: SignInId::from_bytes([number; 16]),
        signed_in_until: NOW.plus_s(24 * 3600),
        name: "browser".to_owned(),
        now,
    }
}

async fn put(store: &Store, request: &RegisterDevice) -> store::Registered {
    store.register_device(request).await.unwrap().unwrap()
}

/// How often a race is run.
fn rounds() -> u64 {
    if std::env::var_os("STRONGROOM_LONG").is_some() { 1000 } else { 20 }
}

pub async fn a_hundred_parallel_registrations_on_five_devices_leave_six(home: &Home) {
    let store = home.with_account().await;
    let stores = [store.clone(), home.open().await];
    for round in 0..rounds() {
        let now = NOW.plus_s(round);
        for device in store.devices(account(1).id, now).await.unwrap() {
            store.remove_device(account(1).id, device.id, false, now).await.unwrap();
        }
        for number in 0..5 {
            put(&store, &RegisterDevice { now, ..device(number) }).await;
        }
        let gate = std::sync::Arc::new(tokio::sync::Barrier::new(100));
        let tasks: Vec<_> = (100..200)
            .map(|number| {
                let store = stores[usize::from(number) % 2].clone();
                let gate = gate.clone();
                tokio::spawn(async move {
                    gate.wait().await;
                    // Half of them with a key, half as sign-ins.
                    if number < 150 {
                        let request = RegisterDevice { now, ..device(number) };
                        store.register_device(&request).await.unwrap().map(|done| done.device)
                    } else {
                        store.sign_in_device(&sign_in(number, now), true).await.unwrap()
                    }
                })
            })
            .collect();
        let (mut granted, mut refused) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                // A sign-in that an earlier round removed hears that.
                Ok(device) if device.removed.is_some() => {}
                Ok(_) => granted += 1,
                Err(error) => {
                    assert_eq!(error, FULL);
                    refused += 1;
                }
            }
        }
        assert_eq!(granted, 1, "round {round}");
        assert!(refused >= 49, "round {round}: {refused}");
        assert_eq!(store.devices(account(1).id, now).await.unwrap().len(), 6, "round {round}");
    }
}

pub async fn one_key_is_one_device_and_one_place(home: &Home) {
    let store = home.with_account().await;
    let first = put(&store, &device(1)).await;
    assert!(first.is_new);
    let again = RegisterDevice { id: DeviceId::from_bytes([9; 16]), ..device(1) };
    let again = put(&store, &RegisterDevice { now: NOW.plus_s(5), ..again }).await;
    assert_eq!((again.device.id, again.is_new), (first.device.id, false));
    assert_ne!(again.epoch, first.epoch);
    assert_eq!(again.device.registered, NOW);
    let listed = store.devices(account(1).id, NOW).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&again.device));
    let found = store.device_by_key(account(1).id, &[1; 32]).await.unwrap();
    assert_eq!(found, Some(again.device));
    assert_eq!(store.device_by_key(account(1).id, &[2; 32]).await.unwrap(), None);
    // Another key is another device; under another account the same key is another one too.
    assert!(put(&store, &device(2)).await.is_new);
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    let other = RegisterDevice { account: account(2).id, ..device(1) };
    let other = put(&store, &RegisterDevice { id: DeviceId::from_bytes([8; 16]), ..other }).await;
    assert!(other.is_new && other.device.id != first.device.id);
}

pub async fn parallel_registrations_of_one_key_make_one_device(home: &Home) {
    let store = home.with_account().await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            let request = RegisterDevice { id: DeviceId::from_bytes([number; 16]), ..device(1) };
            tokio::spawn(async move { put(&store, &request).await })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    let mut epochs = std::collections::BTreeSet::new();
    for task in tasks {
        let registered = task.await.unwrap();
        ids.insert(registered.device.id);
        epochs.insert(registered.epoch);
    }
    assert_eq!((ids.len(), epochs.len()), (1, 20));
}

pub async fn a_removed_device_frees_its_place_and_may_come_back(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    for number in 1..=6 {
        put(&store, &device(number)).await;
    }
    assert_eq!(store.register_device(&device(7)).await.unwrap(), Err(FULL));
    assert_eq!(store.device_by_key(owner, &[7; 32]).await.unwrap(), None);
    let first = DeviceId::from_bytes([1; 16]);
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    assert!(!store.remove_device(account(2).id, first, false, NOW).await.unwrap());
    assert!(store.remove_device(owner, first, false, NOW).await.unwrap());
    assert!(!store.remove_device(owner, first, false, NOW).await.unwrap());
    assert_eq!(store.device(first).await.unwrap().unwrap().removed, Some(NOW));
    let renewal = store.renew_device(first, owner, &[1; 32], NOW).await.unwrap();
    assert_eq!(renewal, Err(DeviceRefused::Inactive));
    assert!(put(&store, &device(7)).await.is_new);
    // As many as the plan has: the removed one comes back when a place is free, under its id.
    assert_eq!(store.register_device(&device(1)).await.unwrap(), Err(FULL));
    assert!(store.remove_device(owner, DeviceId::from_bytes([2; 16]), false, NOW).await.unwrap());
    let back = put(&store, &device(1)).await;
    assert_eq!((back.device.id, back.is_new, back.device.removed), (first, true, None));
}

pub async fn a_removal_ends_streams_and_tickets_unless_the_device_plays_on(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    for (number, plays_on) in [(1, false), (2, true)] {
        let registered = put(&store, &device(number)).await;
        let (id, epoch) = (registered.device.id, registered.epoch);
        let start = StartStream {
            session: model::PlaybackSessionId::from_bytes([number; 16]),
            account: owner,
            device: id,
            content_id: content("film"),
            max_streams: 9,
            decision: model::DecisionId::from_bytes([1; 16]),
            interval_s: 60,
            is_anew: true,
            now: NOW,
        };
        store.start_stream(&start).await.unwrap().unwrap();
        assert!(store.remove_device(owner, id, plays_on, NOW).await.unwrap());
        assert_eq!(store.stream(start.session).await.unwrap().is_some(), plays_on);
        let taken = store.take_sequence(id, epoch, 1, NOW).await.unwrap();
        assert_eq!(taken, if plays_on { Ok(()) } else { Err(DeviceRefused::Expired) });
        // What it held is worth nothing once it is registered anew.
        let back = put(&store, &device(number)).await;
        let taken = store.take_sequence(id, epoch, 2, NOW).await.unwrap();
        assert_eq!(taken, Err(DeviceRefused::Expired));
        assert_eq!(store.take_sequence(id, back.epoch, 1, NOW).await.unwrap(), Ok(()));
    }
}

pub async fn only_its_account_and_key_renew_a_device(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    let (owner, id) = (account(1).id, DeviceId::from_bytes([1; 16]));
    let registered = put(&store, &device(1)).await;
    let late = NOW.plus_s(REGISTRATION_S + 60);
    for (account, key) in [(account(2).id, [1; 32]), (owner, [2; 32]), (account(2).id, [2; 32])] {
        let refused = store.renew_device(id, account, &key, late).await.unwrap();
        assert_eq!(refused, Err(DeviceRefused::OtherAccount));
    }
    assert_eq!(store.device(id).await.unwrap(), Some(registered.device.clone()), "unchanged");
    let taken = store.take_sequence(id, registered.epoch, 1, NOW).await.unwrap();
    assert_eq!(taken, Ok(()), "its ticket is untouched");
    let unknown = store.renew_device(DeviceId::from_bytes([9; 16]), owner, &[1; 32], late).await;
    assert_eq!(unknown.unwrap(), Err(DeviceRefused::NotRegistered));
    // One whose registration has ended is renewed too.
    let renewed = store.renew_device(id, owner, &[1; 32], late).await.unwrap().unwrap();
    assert_eq!(renewed.epoch, registered.epoch + 1);
    let expected =
        Device { renewed: late, expires: late.plus_s(REGISTRATION_S), ..registered.device };
    assert_eq!(renewed.device, expected);
    assert_eq!(store.device(id).await.unwrap(), Some(expected));
}

pub async fn a_plan_that_shrank_keeps_the_devices_that_came_first(home: &Home) {
    let store = home.with_account().await;
    for number in 1..=3 {
        put(&store, &RegisterDevice { now: NOW.plus_s(u64::from(number)), ..device(number) }).await;
    }
    store.put_plan(&Plan { max_devices: 2, ..plan("standard", 2) }).await.unwrap();
    let shrunk = Err(DeviceRefused::LimitReached { max_devices: 2 });
    let later = NOW.plus_s(60);
    for (number, goes_on) in [(1, true), (2, true), (3, false)] {
        let id = DeviceId::from_bytes([number; 16]);
        let renewed = store.renew_device(id, account(1).id, &[number; 32], later).await.unwrap();
        assert_eq!(renewed.is_ok(), goes_on, "{number}");
        let again = RegisterDevice { now: later, ..device(number) };
        let again = store.register_device(&again).await.unwrap().map(drop);
        assert_eq!(again, if goes_on { Ok(()) } else { shrunk });
    }
}

pub async fn numbers_of_messages_only_grow(home: &Home) {
    let store = home.with_account().await;
    let Registered { id, epoch } = Registered::new(&store).await;
    let take = async |number| store.take_sequence(id, epoch, number, NOW).await.unwrap();
    let out_of_order = Err(DeviceRefused::OutOfOrder);
    assert_eq!(take(0).await, out_of_order, "the first is 1");
    assert_eq!(take(1).await, Ok(()));
    assert_eq!(take(1).await, out_of_order);
    assert_eq!(take(7).await, Ok(()), "messages may be lost");
    assert_eq!(take(6).await, out_of_order);
    for far in [7 + MAX_SKIP + 1, i64::MAX as u64, 1 << 63, u64::MAX] {
        assert_eq!(take(far).await, out_of_order, "{far}");
    }
    assert_eq!(take(7 + MAX_SKIP).await, Ok(()));
    // Another ticket has its own numbers; an ended and an unknown one have none.
    let again = put(&store, &device(1)).await;
    assert_eq!(store.take_sequence(id, again.epoch, 1, NOW).await.unwrap(), Ok(()));
    let end = NOW.plus_s(REGISTRATION_S);
    let expired = Err(DeviceRefused::Expired);
    let last = Timestamp(end.0 - 1);
    assert_eq!(store.take_sequence(id, again.epoch, 2, last).await.unwrap(), Ok(()));
    assert_eq!(store.take_sequence(id, again.epoch, 3, end).await.unwrap(), expired);
    for unknown in [0, again.epoch + 1, u64::MAX] {
        assert_eq!(store.take_sequence(id, unknown, 1, NOW).await.unwrap(), expired);
    }
}

struct Registered {
    id: DeviceId,
    epoch: u64,
}

impl Registered {
    async fn new(store: &Store) -> Self {
        let registered = put(store, &device(1)).await;
        Self { id: registered.device.id, epoch: registered.epoch }
    }
}

pub async fn of_parallel_messages_with_one_number_one_is_taken(home: &Home) {
    let store = home.with_account().await;
    let stores = [store.clone(), home.open().await];
    let Registered { id, epoch } = Registered::new(&store).await;
    for number in 1..=rounds() {
        let gate = std::sync::Arc::new(tokio::sync::Barrier::new(2));
        let tasks = stores.clone().map(|store| {
            let gate = gate.clone();
            tokio::spawn(async move {
                gate.wait().await;
                store.take_sequence(id, epoch, number, NOW).await.unwrap()
            })
        });
        let mut taken = Vec::new();
        for task in tasks {
            taken.push(task.await.unwrap());
        }
        taken.sort_by_key(Result::is_err);
        assert_eq!(taken, [Ok(()), Err(DeviceRefused::OutOfOrder)], "{number}");
    }
}

pub async fn a_device_has_a_bounded_number_of_tickets(home: &Home) {
    let store = home.with_account().await;
    let Registered { id, epoch } = Registered::new(&store).await;
    for _ in 0..15 {
        put(&store, &device(1)).await;
    }
    assert_eq!(store.take_sequence(id, epoch, 1, NOW).await.unwrap(), Ok(()));
    put(&store, &device(1)).await;
    let taken = store.take_sequence(id, epoch, 2, NOW).await.unwrap();
    assert_eq!(taken, Err(DeviceRefused::Expired), "the seventeenth ended the first");
}

pub async fn a_sign_in_is_a_device_as_long_as_it_lives(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    let request = sign_in(1, NOW);
    assert_eq!(
        store.sign_in_device(&request, false).await.unwrap(),
        Err(DeviceRefused::NotRegistered)
    );
    let made = store.sign_in_device(&request, true).await.unwrap().unwrap();
    assert_eq!(made.id, DeviceId::of_sign_in(request.sign_in));
    assert_eq!((made.key, made.kind, made.registered), (None, DeviceKind::Browser, NOW));
    assert_eq!(made.expires, NOW.plus_s(REGISTRATION_S));
    assert_eq!(store.sign_in_device(&request, false).await.unwrap(), Ok(made.clone()));
    // A sign of life lengthens it, not with each message, never beyond the sign-in.
    let soon = store.sign_in_device(&sign_in(1, NOW.plus_s(299)), true).await.unwrap().unwrap();
    assert_eq!(soon, made);
    let later = NOW.plus_s(11 * 3600);
    let alive = store.sign_in_device(&sign_in(1, later), true).await.unwrap().unwrap();
    assert_eq!((alive.renewed, alive.expires), (later, later.plus_s(REGISTRATION_S)));
    let last = NOW.plus_s(22 * 3600);
    let alive = store.sign_in_device(&sign_in(1, last), true).await.unwrap().unwrap();
    assert_eq!((alive.registered, alive.expires), (NOW, NOW.plus_s(24 * 3600)));
    // Without one its place is another's.
    assert_eq!(store.devices(owner, last).await.unwrap().len(), 1);
    assert_eq!(store.devices(owner, NOW.plus_s(24 * 3600)).await.unwrap(), []);
}

pub async fn a_sign_in_without_a_sign_of_life_gives_up_its_place(home: &Home) {
    let store = home.with_account().await;
    store.sign_in_device(&sign_in(100, NOW), true).await.unwrap().unwrap();
    for number in 1..=5 {
        put(&store, &device(number)).await;
    }
    let end = NOW.plus_s(REGISTRATION_S);
    let almost = Timestamp(end.0 - 1);
    let sixth = RegisterDevice { now: almost, ..device(6) };
    assert_eq!(store.register_device(&sixth).await.unwrap(), Err(FULL));
    put(&store, &RegisterDevice { now: end, ..device(6) }).await;
    // Back again, it needs a place like everyone.
    assert_eq!(store.sign_in_device(&sign_in(100, end), true).await.unwrap(), Err(FULL));
}

pub async fn a_removed_sign_in_stays_removed_until_it_ends(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    let request = sign_in(1, NOW);
    let ends = request.signed_in_until;
    store.insert_sign_in(request.sign_in, owner, ends, NOW).await.unwrap();
    let made = store.sign_in_device(&request, true).await.unwrap().unwrap();
    assert!(store.remove_device(owner, made.id, false, NOW).await.unwrap());
    let late = NOW.plus_s(REGISTRATION_S + 1);
    for now in [NOW, late] {
        let asked = store.sign_in_device(&sign_in(1, now), true).await.unwrap().unwrap();
        assert_eq!(asked.removed, Some(NOW));
    }
    // Signing in elsewhere forgets what ended, and this has not.
    store.insert_sign_in(SignInId::from_bytes([2; 16]), owner, ends, late).await.unwrap();
    assert!(store.device(made.id).await.unwrap().is_some());
    store.insert_sign_in(SignInId::from_bytes([3; 16]), owner, ends.plus_s(9), ends).await.unwrap();
    assert_eq!(store.device(made.id).await.unwrap(), None);
}

pub async fn signing_out_and_registering_free_the_sign_ins_place(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    for number in [1, 2] {
        let request = sign_in(number, NOW);
        let ends = request.signed_in_until;
        store.insert_sign_in(request.sign_in, owner, ends, NOW).await.unwrap();
        store.sign_in_device(&request, true).await.unwrap().unwrap();
    }
    assert!(store.end_sign_in(SignInId::from_bytes([1; 16])).await.unwrap());
    let ids = async || -> Vec<DeviceId> {
        let devices = store.devices(owner, NOW).await.unwrap();
        devices.into_iter().map(|device| device.id).collect()
    };
    assert_eq!(ids().await, [DeviceId::from_bytes([2; 16])]);
    let sign_in = Some(SignInId::from_bytes([2; 16]));
    put(&store, &RegisterDevice { sign_in, ..device(7) }).await;
    assert_eq!(ids().await, [DeviceId::from_bytes([7; 16])]);
}

pub async fn a_device_needs_its_account_and_plan(home: &Home) {
    let store = home.with_account().await;
    let stranger = AccountId::from_bytes([9; 16]);
    let refused = store.register_device(&RegisterDevice { account: stranger, ..device(1) }).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    let refused =
        store.sign_in_device(&SignInDevice { account: stranger, ..sign_in(1, NOW) }, true).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    store.put_plan(&Plan { max_devices: 0, ..plan("standard", 2) }).await.unwrap();
    let none = Err(DeviceRefused::LimitReached { max_devices: 0 });
    assert_eq!(store.register_device(&device(1)).await.unwrap().map(drop), none);
}

pub async fn removed_devices_are_remembered_within_a_bound(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    for number in 1..=60 {
        let now = NOW.plus_s(u64::from(number));
        let registered = put(&store, &RegisterDevice { now, ..device(number) }).await;
        assert!(store.remove_device(owner, registered.device.id, false, now).await.unwrap());
    }
    let mut remembered = 0;
    for number in 1..=60 {
        let found = store.device(DeviceId::from_bytes([number; 16])).await.unwrap();
        remembered += usize::from(found.is_some());
    }
    assert_eq!(remembered, 51, "fifty, and the one that was removed last");
    assert!(store.device(DeviceId::from_bytes([1; 16])).await.unwrap().is_none());
}
