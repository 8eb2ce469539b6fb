//! Accounts, catalog, keys, outbox.

use crate::home::*;
use model::{
    Account, AccountId, ContentId, Country, KekVersion, KeyId, KeyPeriod, PackagedEvent,
    PeriodSpan, PlanAccess, PlanName, PolicyName, RegionRule, Scheme, SignInId, Subscription,
    Timestamp, Title, TitlePolicy, TitleState, TrackClass, WrappedKey,
};
use store::StoreError;

pub async fn an_account_reads_back_and_its_name_is_unique(home: &Home) {
    let store = home.with_account().await;
    let first = account(1);
    let read = store.account_by_name(&first.name).await.unwrap();
    assert_eq!(read, Some((first.clone(), "$argon2id$…".to_owned())));
    assert_eq!(store.account(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.account_by_name("Viewer 1").await.unwrap(), None);
    assert_eq!(store.account(AccountId::from_bytes([9; 16])).await.unwrap(), None);
    let namesake = Account { name: first.name.clone(), ..account(2) };
    let same_id = Account { name: "other".to_owned(), ..first.clone() };
    for taken in [namesake, same_id] {
        let refused = store.insert_account(&taken, "x", NOW).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    assert!(store.set_subscription(first.id, Subscription::Suspended).await.unwrap());
    let read = store.account(first.id).await.unwrap().unwrap();
    assert_eq!(read.subscription, Subscription::Suspended);
    let stranger = AccountId::from_bytes([9; 16]);
    assert!(!store.set_subscription(stranger, Subscription::Active).await.unwrap());
    race_for_a_name(&store).await;
}

async fn race_for_a_name(store: &store::Store) {
    let starts: Vec<_> = (10..26)
        .map(|number| {
            let store = store.clone();
            let account = Account { name: "wanted".to_owned(), ..account(number) };
            tokio::spawn(async move { store.insert_account(&account, "x", NOW).await })
        })
        .collect();
    let mut won = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
}

pub async fn an_account_needs_its_plan(home: &Home) {
    let store = home.open().await;
    let refused = store.insert_account(&account(1), "x", NOW).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}

pub async fn a_plan_changes(home: &Home) {
    let store = home.open().await;
    let name = PlanName::parse("standard").unwrap();
    assert_eq!(store.plan(&name).await.unwrap(), None);
    for max_streams in [4, 0, u32::MAX] {
        store.put_plan(&plan("standard", max_streams)).await.unwrap();
        assert_eq!(store.plan(&name).await.unwrap(), Some(plan("standard", max_streams)));
    }
}

pub async fn a_sign_in_lives_until_it_expires_or_ends(home: &Home) {
    let store = home.with_account().await;
    let sign_in = |number| SignInId::from_bytes([number; 16]);
    let owner = account(1).id;
    store.insert_sign_in(sign_in(1), owner, NOW.plus_s(60), NOW).await.unwrap();
    store.insert_sign_in(sign_in(2), owner, NOW.plus_s(600), NOW).await.unwrap();
    assert!(store.sign_in_is_live(sign_in(1), NOW).await.unwrap());
    assert!(store.sign_in_is_live(sign_in(1), Timestamp(NOW.0 + 59_999)).await.unwrap());
    assert!(!store.sign_in_is_live(sign_in(1), NOW.plus_s(60)).await.unwrap());
    assert!(!store.sign_in_is_live(sign_in(3), NOW).await.unwrap());
    assert!(store.end_sign_in(sign_in(2)).await.unwrap());
    assert!(!store.end_sign_in(sign_in(2)).await.unwrap());
    assert!(!store.sign_in_is_live(sign_in(2), NOW).await.unwrap());
    // A new sign-in forgets the expired ones.
    store.insert_sign_in(sign_in(4), owner, NOW.plus_s(999), NOW.plus_s(61)).await.unwrap();
    assert!(!store.sign_in_is_live(sign_in(1), NOW).await.unwrap());
    let stranger = AccountId::from_bytes([9; 16]);
    let refused = store.insert_sign_in(sign_in(5), stranger, NOW.plus_s(60), NOW).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}

pub async fn a_title_reads_back_in_every_state(home: &Home) {
    let store = home.open().await;
    let mut film = title("film-1");
    assert_eq!(store.title(&film.content_id).await.unwrap(), None);
    store.put_title(&film).await.unwrap();
    assert_eq!(store.title(&film.content_id).await.unwrap(), Some(film.clone()));
    film.policy = film.policy.with_clearkey_max(TrackClass::Uhd);
    film.access = PlanAccess::Only(vec![PlanName::parse("gold").unwrap()]);
    film.regions = RegionRule::Only(vec![Country::parse("ch").unwrap()]);
    for state in [
        TitleState::Packaging { attempt: 3 },
        TitleState::Packaged { package: package(1) },
        TitleState::Published { package: package(2) },
        TitleState::PackageFailed,
        TitleState::External,
        TitleState::Draft,
    ] {
        film.state = state.clone();
        store.put_title(&film).await.unwrap();
        assert_eq!(store.title(&film.content_id).await.unwrap(), Some(film.clone()));
        store.put_title(&Title { state: TitleState::Draft, ..film.clone() }).await.unwrap();
        assert!(store.set_title_state(&film.content_id, &state).await.unwrap());
        assert_eq!(store.title(&film.content_id).await.unwrap(), Some(film.clone()));
    }
    assert!(!store.set_title_state(&content("none"), &TitleState::Draft).await.unwrap());
}

pub async fn titles_come_in_pages(home: &Home) {
    let store = home.open().await;
    for number in 0..5 {
        store.put_title(&title(&format!("film-{number}"))).await.unwrap();
    }
    let ids = |titles: Vec<Title>| -> Vec<ContentId> {
        titles.into_iter().map(|title| title.content_id).collect()
    };
    let first = ids(store.titles(2, None).await.unwrap());
    assert_eq!(first, [content("film-0"), content("film-1")]);
    let rest = ids(store.titles(u32::MAX, first.last()).await.unwrap());
    assert_eq!(rest, [content("film-2"), content("film-3"), content("film-4")]);
    assert_eq!(store.titles(9, rest.last()).await.unwrap(), []);
    assert_eq!(store.titles(0, None).await.unwrap(), []);
}

pub async fn a_key_reads_back_with_and_without_its_optional_parts(home: &Home) {
    let store = home.open().await;
    store.insert_kek(&kek(1)).await.unwrap();
    let full = key(1);
    let bare = WrappedKey { track_class: None, scheme: None, iv: None, ..key(2) };
    let other = WrappedKey { content_id: content("film-2"), scheme: Some(Scheme::Cenc), ..key(3) };
    let span = PeriodSpan { begins: Timestamp(60_000), ends: Timestamp(120_000) };
    let of = |index, span| Some(KeyPeriod { index, span });
    let live = WrappedKey { period: of(1, Some(span)), ..key(4) };
    let at_will = WrappedKey { period: of(0, None), content_id: content("film-2"), ..key(5) };
    for key in [&full, &bare, &other, &live, &at_will] {
        store.insert_key(key).await.unwrap();
        assert_eq!(store.key(key.kid).await.unwrap().as_ref(), Some(key));
    }
    assert_eq!(store.keys_of(&full.content_id).await.unwrap(), [full, bare, live]);
    assert_eq!(store.keys_of(&content("film-3")).await.unwrap(), []);
    assert_eq!(store.key(KeyId::from_bytes([9; 16])).await.unwrap(), None);
}

pub async fn a_key_used_twice_is_refused(home: &Home) {
    let store = home.open().await;
    store.insert_kek(&kek(1)).await.unwrap();
    store.insert_key(&key(1)).await.unwrap();
    let same_kid = WrappedKey { fingerprint: [7; 32], ..key(1) };
    let same_key = WrappedKey { fingerprint: [1; 32], content_id: content("film-2"), ..key(2) };
    for planted in [same_kid, same_key] {
        let refused = store.insert_key(&planted).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    assert_eq!(store.keys_of(&content("film-1")).await.unwrap(), [key(1)]);
    assert_eq!(store.keys_of(&content("film-2")).await.unwrap(), []);
}

pub async fn a_key_needs_its_kek(home: &Home) {
    let store = home.open().await;
    store.insert_kek(&kek(2)).await.unwrap();
    let refused = store.insert_key(&key(1)).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}

pub async fn a_kek_version_is_made_once(home: &Home) {
    let store = home.open().await;
    assert_eq!(store.newest_kek(&category("film")).await.unwrap(), None);
    for version in [1, 2, 10] {
        store.insert_kek(&kek(version)).await.unwrap();
        assert_eq!(store.newest_kek(&category("film")).await.unwrap(), Some(kek(version)));
    }
    let refused = store.insert_kek(&kek(2)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(store.kek(&category("film"), KekVersion(2)).await.unwrap(), Some(kek(2)));
    assert_eq!(store.kek(&category("film"), KekVersion(3)).await.unwrap(), None);
    assert_eq!(store.kek(&category("series"), KekVersion(2)).await.unwrap(), None);
}

pub async fn a_resume_point_is_replaced(home: &Home) {
    let store = home.with_account().await;
    let (owner, film) = (account(1).id, content("film-1"));
    assert_eq!(store.resume(owner, &film).await.unwrap(), None);
    for position_s in [0, 812, 5, u32::MAX] {
        store.put_resume(owner, &film, position_s, NOW).await.unwrap();
        assert_eq!(store.resume(owner, &film).await.unwrap(), Some(position_s));
    }
    assert_eq!(store.resume(owner, &content("film-2")).await.unwrap(), None);
    let refused = store.put_resume(AccountId::from_bytes([9; 16]), &film, 1, NOW).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}

pub fn event(number: u8, name: &str) -> PackagedEvent {
    PackagedEvent {
        event: PackagedEvent::EVENT.to_owned(),
        version: PackagedEvent::VERSION,
        content_id: content(name),
        package_id: package(number),
        schemes: vec![Scheme::Cbcs],
        variants: Vec::new(),
        texts: Vec::new(),
        images: Vec::new(),
        dash: "manifest.mpd".to_owned(),
        hls: vec!["master.m3u8".to_owned()],
        live: false,
        rotation: None,
        duration_ms: 30_000,
        size_bytes: 9,
        packager: "strongroom test".to_owned(),
        packaged_at: NOW,
    }
}

pub async fn an_event_is_written_with_its_title_or_not_at_all(home: &Home) {
    let store = home.open().await;
    let published = |number| TitleState::Published { package: package(number) };
    let refused = store.publish_package(&published(1), &event(1, "film-1"), NOW).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    store.put_title(&title("film-1")).await.unwrap();
    store.publish_package(&published(1), &event(1, "film-1"), NOW).await.unwrap();
    assert_eq!(store.title(&content("film-1")).await.unwrap().unwrap().state, published(1));
    // The same package is told once, and a refused event leaves the title alone.
    let again = store.publish_package(&published(7), &event(1, "film-1"), NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    assert_eq!(store.title(&content("film-1")).await.unwrap().unwrap().state, published(1));
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), 1);
}

pub async fn events_leave_in_order(home: &Home) {
    let store = home.open().await;
    for number in 1..=4 {
        let name = format!("film-{number}");
        store.put_title(&title(&name)).await.unwrap();
        let state = TitleState::Packaged { package: package(number) };
        store.publish_package(&state, &event(number, &name), NOW).await.unwrap();
    }
    let pending = store.outbox_pending(3).await.unwrap();
    let packages: Vec<_> = pending.iter().map(|row| row.event.package_id).collect();
    assert_eq!(packages, [package(1), package(2), package(3)]);
    assert_eq!(pending[0].event, event(1, "film-1"));
    assert!(store.outbox_done(pending[0].id, NOW).await.unwrap());
    assert!(!store.outbox_done(pending[0].id, NOW).await.unwrap());
    assert!(!store.outbox_done(999, NOW).await.unwrap());
    let pending = store.outbox_pending(10).await.unwrap();
    assert_eq!(pending.len(), 3);
    assert_eq!(pending[0].event.package_id, package(2));
}

pub async fn the_boot_mark_never_falls(home: &Home) {
    let store = home.open().await;
    assert_eq!(store.raise_boot_mark(NOW).await.unwrap(), NOW);
    assert_eq!(store.raise_boot_mark(Timestamp(NOW.0 - 1)).await.unwrap(), NOW);
    assert_eq!(store.raise_boot_mark(Timestamp(NOW.0 + 1)).await.unwrap(), Timestamp(NOW.0 + 1));
    let reopened = home.open().await;
    assert_eq!(reopened.raise_boot_mark(Timestamp(0)).await.unwrap(), Timestamp(NOW.0 + 1));
}

pub async fn text_with_a_nul_is_refused(home: &Home) {
    let store = home.with_account().await;
    let named = Account { name: "a\0b".to_owned(), ..account(2) };
    let refused = store.insert_account(&named, "x", NOW).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert_eq!(store.account_by_name("viewer 1\0").await.unwrap(), None);
}

pub async fn the_end_of_time_is_a_time(home: &Home) {
    let store = home.with_account().await;
    let forever = Timestamp(u64::MAX);
    let sign_in = SignInId::from_bytes([1; 16]);
    store.insert_sign_in(sign_in, account(1).id, forever, NOW).await.unwrap();
    assert!(store.sign_in_is_live(sign_in, NOW).await.unwrap());
}

pub async fn the_rows_of_a_decision_are_those_that_are_read_alone(home: &Home) {
    let store = home.with_account().await;
    let (who, film) = (account(1).id, content("film-1"));
    let nobody = AccountId::from_bytes([9; 16]);
    assert_eq!(store.decision_rows(nobody, &film).await.unwrap(), None);
    let rows = store.decision_rows(who, &film).await.unwrap().unwrap();
    assert_eq!((&rows.account, &rows.title), (&account(1), &None));
    let own = PolicyName::parse("own").unwrap();
    let own = TitlePolicy::parse(own, "license_s = 60").unwrap();
    store.put_policy(&own, NOW).await.unwrap();
    let first = Title { policy: own, ..title("film-1") };
    store.put_title(&first).await.unwrap();
    store.put_title(&title("film-2")).await.unwrap();
    store.set_subscription(who, Subscription::Suspended).await.unwrap();
    let rows = store.decision_rows(who, &film).await.unwrap().unwrap();
    assert_eq!(Some(rows.account), store.account(who).await.unwrap());
    assert_eq!(rows.plan, Some(plan("standard", 2)));
    assert_eq!(rows.title, Some(first));
    let other = store.decision_rows(who, &content("film-2")).await.unwrap().unwrap();
    assert_eq!(other.title, Some(title("film-2")));
}
