//! Policies by name, and the titles that have them.

use crate::home::*;
use aws_lc_rs::digest::{SHA256, digest};
use model::{PolicyName, TitlePolicy, TrackClass};
use store::{Store, StoreError};

fn name(text: &str) -> PolicyName {
    PolicyName::parse(text).unwrap()
}

fn policy(text: &str, license_s: u32) -> TitlePolicy {
    let rules = format!(
        "license_s = {license_s}\ncapture_protected = true\n[outputs.HD]\nhdcp = \"2.2\"\n\
         [offline]\nallowed = true\nlicense_s = 9"
    );
    TitlePolicy::parse(name(text), &rules).unwrap()
}

async fn policy_of(store: &Store, title: &str) -> TitlePolicy {
    store.title(&content(title)).await.unwrap().unwrap().policy
}

pub async fn a_policy_reads_back_changes_and_goes(home: &Home) {
    let store = home.open().await;
    let gold = name("gold");
    assert_eq!(store.policy(&gold).await.unwrap(), None);
    for (license_s, at) in [(60, NOW), (u32::MAX, NOW.plus_s(1))] {
        store.put_policy(&policy("gold", license_s), at).await.unwrap();
        assert_eq!(store.policy(&gold).await.unwrap(), Some(policy("gold", license_s)));
        let listed = store.policies(9, None).await.unwrap();
        assert_eq!(listed, [(policy("gold", license_s), at)]);
    }
    // A title's own word is no part of a policy.
    let with_word = policy("gold", 5).with_clearkey_max(TrackClass::Uhd);
    store.put_policy(&with_word, NOW).await.unwrap();
    assert_eq!(store.policy(&gold).await.unwrap(), Some(policy("gold", 5)));
    assert!(store.remove_policy(&gold).await.unwrap());
    assert!(!store.remove_policy(&gold).await.unwrap());
    assert_eq!(store.policy(&gold).await.unwrap(), None);
}

pub async fn policies_come_in_pages(home: &Home) {
    let store = home.open().await;
    for number in 0..5 {
        store.put_policy(&policy(&format!("p{number}"), 60), NOW).await.unwrap();
    }
    let names = |page: Vec<(TitlePolicy, _)>| -> Vec<PolicyName> {
        page.into_iter().map(|(policy, _)| policy.name).collect()
    };
    let first = names(store.policies(2, None).await.unwrap());
    assert_eq!(first, [name("p0"), name("p1")]);
    let rest = names(store.policies(u32::MAX, first.last()).await.unwrap());
    assert_eq!(rest, [name("p2"), name("p3"), name("p4")]);
}

pub async fn built_in_policies_are_always_there_and_never_change(home: &Home) {
    let store = home.open().await;
    for built_in in TitlePolicy::built_ins() {
        assert_eq!(store.policy(&built_in.name).await.unwrap().as_ref(), Some(built_in));
        let refused = store.put_policy(&policy(built_in.name.as_str(), 1), NOW).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
        assert!(!store.remove_policy(&built_in.name).await.unwrap());
        // Not even behind the store's back.
        let sql = format!(
            "UPDATE policies SET document = '{{\"license_s\":1}}' WHERE name = '{}'",
            built_in.name
        );
        home.tamper_rows(&sql).await.unwrap();
        assert_eq!(store.policy(&built_in.name).await.unwrap().as_ref(), Some(built_in));
        let mut film = title("film-1");
        film.policy = built_in.clone();
        store.put_title(&film).await.unwrap();
        assert_eq!(policy_of(&store, "film-1").await, *built_in);
    }
}

pub async fn a_title_has_its_policys_rules_of_the_moment(home: &Home) {
    let store = home.open().await;
    store.put_title(&title("film-1")).await.unwrap();
    let gold = name("gold");
    let refused = store.assign_policy(&content("film-1"), &gold).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    let mut film = title("film-2");
    film.policy = policy("gold", 60).with_clearkey_max(TrackClass::Hd);
    let refused = store.put_title(&film).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");

    store.put_policy(&policy("gold", 60), NOW).await.unwrap();
    assert!(!store.assign_policy(&content("none"), &gold).await.unwrap());
    assert!(store.assign_policy(&content("film-1"), &gold).await.unwrap());
    store.put_title(&film).await.unwrap();
    assert_eq!(policy_of(&store, "film-1").await, policy("gold", 60));
    assert_eq!(policy_of(&store, "film-2").await, film.policy);
    store.put_policy(&policy("gold", 61), NOW).await.unwrap();
    assert_eq!(policy_of(&store, "film-1").await, policy("gold", 61));
    let both = store.titles(9, None).await.unwrap();
    assert!(both.iter().all(|title| title.policy.license_s.get() == 61));
    assert_eq!(both[1].policy.clearkey_override, Some(TrackClass::Hd));
    // The title's own word outlives a change of its policy.
    assert!(store.assign_policy(&content("film-2"), &name("standard")).await.unwrap());
    let expected = TitlePolicy::without_floor().with_clearkey_max(TrackClass::Hd);
    assert_eq!(policy_of(&store, "film-2").await, expected);
}

pub async fn a_policy_that_titles_have_stays(home: &Home) {
    let store = home.open().await;
    let gold = name("gold");
    store.put_policy(&policy("gold", 60), NOW).await.unwrap();
    for film in ["film-1", "film-2"] {
        store.put_title(&title(film)).await.unwrap();
        store.assign_policy(&content(film), &gold).await.unwrap();
    }
    let users = store.titles_with_policy(&gold, 1).await.unwrap();
    assert_eq!(users, [content("film-1")]);
    let refused = store.remove_policy(&gold).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    for film in ["film-1", "film-2"] {
        assert!(matches!(store.remove_policy(&gold).await, Err(StoreError::Conflict)));
        store.assign_policy(&content(film), &name("standard")).await.unwrap();
    }
    assert!(store.remove_policy(&gold).await.unwrap());
}

pub async fn a_title_without_a_readable_policy_is_refused(home: &Home) {
    let store = home.open().await;
    store.put_title(&title("film-1")).await.unwrap();
    store.put_policy(&policy("gold", 60), NOW).await.unwrap();
    store.put_policy(&policy("iron", 60), NOW).await.unwrap();
    store.assign_policy(&content("film-1"), &name("gold")).await.unwrap();
    let iron = "(SELECT document FROM policies WHERE name = 'iron')";
    for damage in [
        "UPDATE policies SET document = NULL WHERE name = 'gold'".to_owned(),
        "UPDATE policies SET document = '{}' WHERE name = 'gold'".to_owned(),
        "UPDATE policies SET document = REPLACE(document, '60', '0') WHERE name = 'gold'"
            .to_owned(),
        format!("UPDATE policies SET document = {iron} WHERE name = 'gold'"),
        "UPDATE titles SET policy_name = NULL".to_owned(),
        "UPDATE titles SET clearkey_max = '8K', policy_name = 'standard'".to_owned(),
    ] {
        store.put_policy(&policy("gold", 60), NOW).await.unwrap();
        store.title(&content("film-1")).await.unwrap().unwrap();
        home.tamper_rows(&damage).await.unwrap();
        let read = store.title(&content("film-1")).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{damage}: {read:?}");
        assert!(store.has_title(&content("film-1")).await.unwrap());
        store.assign_policy(&content("film-1"), &name("gold")).await.unwrap();
    }
}

/// The tables as the version before policies left them.
const EARLIER: [(&str, &str); 3] = [
    ("rows/0001_first", include_str!("../../../../migrations/rows/0001_first.sql")),
    ("rows/0002_rotation", include_str!("../../../../migrations/rows/0002_rotation.sql")),
    ("rows/0003_asked_keys", include_str!("../../../../migrations/rows/0003_asked_keys.sql")),
];

pub async fn titles_of_an_earlier_version_keep_what_they_said(home: &Home) {
    let mut sql = "CREATE TABLE migrations \
         (name TEXT NOT NULL PRIMARY KEY, sha256 BYTEA NOT NULL);"
        .to_owned();
    for (step, text) in EARLIER {
        let hash = home.literal(digest(&SHA256, text.as_bytes()).as_ref());
        sql += &format!("{text}; INSERT INTO migrations VALUES ('{step}', {hash});");
    }
    let odd = "{\"clearkey_max\":\"SD\",\"license_s\":7}";
    let said = TrackClass::ALL.map(|class| {
        (class.name(), format!("{{\"clearkey_max\":\"{class}\",\"license_s\":86400}}"))
    });
    for (id, document) in said.iter().cloned().chain([("odd", odd.to_owned())]) {
        sql += &format!(
            "INSERT INTO titles (content_id, name, category, policy, access, regions, state) \
             VALUES ('{id}', 'x', 'film', '{document}', '\"every\"', '\"everywhere\"', 'draft');"
        );
    }
    home.tamper_rows(&sql).await.unwrap();
    let store = home.open().await;
    for class in TrackClass::ALL {
        let own = Some(class).filter(|class| *class != TrackClass::Sd);
        let expected = TitlePolicy { clearkey_override: own, ..TitlePolicy::default() };
        assert_eq!(policy_of(&store, class.name()).await, expected);
    }
    // A document that no version wrote opens nothing until somebody says what it shall be.
    let read = store.title(&content("odd")).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    assert!(store.assign_policy(&content("odd"), &name("studio-strict")).await.unwrap());
    assert_eq!(policy_of(&store, "odd").await.name, name("studio-strict"));
}
