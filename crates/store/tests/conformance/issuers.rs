//! Accounts of identity providers and their sign-ins.

use crate::home::*;
use model::{Account, AccountId, PlanName, SignInId, Timestamp};
use store::{IssuerSignIn, Store, StoreError};

const ISSUER: &str = "https://login.example";
const ADA: (&str, &str) = (ISSUER, "ada");

fn id(number: u8) -> SignInId {
    SignInId::from_bytes([number; 16])
}

fn by_token(number: u8, issued: Timestamp) -> IssuerSignIn {
    let expires = issued.plus_s(600);
    IssuerSignIn { id: id(number), account: account(1).id, issued, expires, now: issued }
}

/// Whether the sign-in of a token stands noted.
async fn is_noted(store: &Store, token: &IssuerSignIn) -> bool {
    let row = store.subject(ADA, token.id, token.issued, token.expires).await.unwrap();
    row.unwrap().is_noted
}

pub async fn a_subject_is_one_account(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    let found = async |subject: (&str, &str)| {
        let row = store.subject(subject, id(1), NOW, NOW).await.unwrap();
        row.map(|row| row.account)
    };
    assert_eq!(found(ADA).await, None);
    store.link_subject(ADA, account(1).id, NOW).await.unwrap();
    assert_eq!(found(ADA).await, Some(account(1)));
    for stranger in [("https://login.example/", "ada"), (ISSUER, "Ada"), (ISSUER, ""), ("", "ada")]
    {
        assert_eq!(found(stranger).await, None, "{stranger:?}");
    }
    let again = store.link_subject(ADA, account(2).id, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    let nobody = store.link_subject((ISSUER, "eve"), AccountId::from_bytes([9; 16]), NOW).await;
    assert!(matches!(nobody, Err(StoreError::Missing)), "{nobody:?}");
    store.link_subject(("https://other.example", "ada"), account(1).id, NOW).await.unwrap();
    assert!(store.unlink_subject(ADA).await.unwrap());
    assert!(!store.unlink_subject(ADA).await.unwrap());
    assert_eq!(found(ADA).await, None);
    assert_eq!(store.account(account(1).id).await.unwrap(), Some(account(1)));
}

pub async fn an_account_is_provisioned_whole_or_not_at_all(home: &Home) {
    let store = home.with_account().await;
    let new = Account { name: "Ada".to_owned(), ..account(3) };
    store.provision(&new, ADA, NOW, NOW).await.unwrap();
    let row = store.subject(ADA, id(1), NOW, NOW).await.unwrap().unwrap();
    assert_eq!((row.account, row.told, row.is_noted), (new.clone(), NOW, false));
    let stored = store.account_by_name("Ada").await.unwrap();
    assert_eq!(stored, Some((new, String::new())), "no password signs in");
    // The name of an account that is there, built-in or not, leads to no link with it.
    let namesake = Account { name: account(1).name, ..account(4) };
    let refused = store.provision(&namesake, (ISSUER, "eve"), NOW, NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let twice = Account { name: "other".to_owned(), ..account(5) };
    let refused = store.provision(&twice, ADA, NOW, NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let plan = PlanName::parse("none").unwrap();
    let planless = Account { plan, name: "third".to_owned(), ..account(6) };
    let refused = store.provision(&planless, (ISSUER, "third"), NOW, NOW).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    for number in [4, 5, 6] {
        assert_eq!(store.account(account(number).id).await.unwrap(), None, "{number}");
    }
}

pub async fn parallel_first_sights_make_one_account(home: &Home) {
    let store = home.with_account().await;
    let tries: Vec<_> = (10..42)
        .map(|number| {
            let store = store.clone();
            let account = Account { name: format!("ada {number}"), ..account(number) };
            tokio::spawn(async move { store.provision(&account, ADA, NOW, NOW).await })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error:?}"),
        }
    }
    assert_eq!(made, 1);
    let mut accounts = 0;
    for number in 10..42 {
        accounts += usize::from(store.account(account(number).id).await.unwrap().is_some());
    }
    assert_eq!(accounts, 1);
}

pub async fn the_newest_token_says_the_plan(home: &Home) {
    let store = home.with_account().await;
    store.put_plan(&plan("gold", 4)).await.unwrap();
    store.link_subject(ADA, account(1).id, NOW).await.unwrap();
    let (gold, standard) = (PlanName::parse("gold").unwrap(), PlanName::parse("standard").unwrap());
    let plan = async || store.account(account(1).id).await.unwrap().unwrap().plan;
    assert!(store.follow_plan(ADA, &gold, NOW).await.unwrap());
    assert_eq!(plan().await, gold);
    assert!(!store.follow_plan(ADA, &standard, NOW).await.unwrap(), "as old");
    assert!(!store.follow_plan(ADA, &standard, Timestamp(NOW.0 - 1)).await.unwrap(), "older");
    assert_eq!(plan().await, gold);
    let none = PlanName::parse("none").unwrap();
    let refused = store.follow_plan(ADA, &none, NOW.plus_s(1)).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    assert!(store.follow_plan(ADA, &standard, NOW.plus_s(1)).await.unwrap(), "nothing was kept");
    assert_eq!(plan().await, standard);
    assert!(!store.follow_plan((ISSUER, "eve"), &gold, NOW.plus_s(9)).await.unwrap());
}

pub async fn a_sign_in_by_tokens_ends_for_those_that_were_issued(home: &Home) {
    let store = home.with_account().await;
    store.link_subject(ADA, account(1).id, NOW).await.unwrap();
    let (first, second) = (by_token(1, NOW), by_token(1, NOW.plus_s(300)));
    assert!(!is_noted(&store, &first).await);
    assert!(store.note_issuer_sign_in(&first).await.unwrap());
    assert!(is_noted(&store, &first).await);
    assert!(!is_noted(&store, &second).await, "it lasts longer");
    assert!(store.note_issuer_sign_in(&second).await.unwrap());
    assert!(is_noted(&store, &first).await && is_noted(&store, &second).await);
    assert!(store.sign_in_is_live(id(1), NOW.plus_s(899)).await.unwrap());
    // Another one forgets those that have ended.
    let other = by_token(7, NOW);
    assert!(store.note_issuer_sign_in(&other).await.unwrap());
    let late = IssuerSignIn { now: NOW.plus_s(600), ..by_token(8, NOW.plus_s(500)) };
    assert!(store.note_issuer_sign_in(&late).await.unwrap());
    assert!(!is_noted(&store, &other).await && is_noted(&store, &second).await);
    let ended = NOW.plus_s(400);
    store.end_issuer_sign_in(id(1), account(1).id, ended, ended.plus_s(3600)).await.unwrap();
    for old in [&first, &second, &by_token(1, ended)] {
        assert!(!is_noted(&store, old).await);
        assert!(!store.note_issuer_sign_in(old).await.unwrap());
    }
    let fresh = by_token(1, Timestamp(ended.0 + 1));
    assert!(store.note_issuer_sign_in(&fresh).await.unwrap(), "signed in anew at the issuer");
    assert!(is_noted(&store, &fresh).await);
    assert!(!is_noted(&store, &second).await, "the older ones stay ended");
    assert!(!store.note_issuer_sign_in(&second).await.unwrap());
    assert!(store.note_issuer_sign_in(&by_token(2, NOW)).await.unwrap(), "another sign-in");
    // The mark goes when nothing needs it.
    let late = ended.plus_s(3600);
    store.end_issuer_sign_in(id(2), account(1).id, late, late.plus_s(3600)).await.unwrap();
    assert!(store.note_issuer_sign_in(&second).await.unwrap());
}

pub async fn a_sign_in_belongs_to_one_account(home: &Home) {
    let store = home.with_account().await;
    store.insert_account(&account(2), "x", NOW).await.unwrap();
    assert!(store.note_issuer_sign_in(&by_token(1, NOW)).await.unwrap());
    let other = IssuerSignIn { account: account(2).id, ..by_token(1, NOW) };
    let refused = store.note_issuer_sign_in(&other).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let nobody = IssuerSignIn { account: account(9).id, ..by_token(3, NOW) };
    let refused = store.note_issuer_sign_in(&nobody).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}
