//! What viewers read of titles, and what viewers keep: queue, resume points, viewings.

use crate::home::*;
use model::{
    AccountId, ArtFile, ArtKind, ContentId, ImageFormat, PlaybackSessionId, TitleDescription,
    TitleState,
};
use std::sync::Arc;
use store::{BATCH_MAX, QUEUE_MAX, Queue, ResumePoint, Store, StoreError, VIEWINGS_MAX, Viewing};

fn said(synopsis: &str) -> TitleDescription {
    TitleDescription {
        synopsis: synopsis.to_owned(),
        cast: vec!["Ä. Person".to_owned()],
        year: Some(1927),
        duration_s: None,
    }
}

fn picture(number: u8) -> ArtFile {
    ArtFile { sha256: [number; 32], format: ImageFormat::WebP }
}

pub async fn a_title_is_described_and_has_pictures(home: &Home) {
    let store = home.open().await;
    let film = title("film-1");
    let refused = store.describe_title(&film.content_id, &said("x")).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    let refused = store.put_art(&film.content_id, ArtKind::Poster, picture(1)).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    assert_eq!(store.described_title(&film.content_id).await.unwrap(), None);
    store.put_title(&film).await.unwrap();
    let bare = store.described_title(&film.content_id).await.unwrap().unwrap();
    assert_eq!((bare.description, bare.art), (TitleDescription::default(), vec![]));
    assert_eq!((bare.title, bare.package), (film.clone(), None));
    for text in ["first", "second 'quoted' ＃"] {
        store.describe_title(&film.content_id, &said(text)).await.unwrap();
    }
    store.put_art(&film.content_id, ArtKind::Backdrop, picture(1)).await.unwrap();
    for number in [2, 3] {
        store.put_art(&film.content_id, ArtKind::Poster, picture(number)).await.unwrap();
    }
    let whole = store.described_title(&film.content_id).await.unwrap().unwrap();
    assert_eq!(whole.description, said("second 'quoted' ＃"));
    let art = [(ArtKind::Poster, picture(3)), (ArtKind::Backdrop, picture(1))];
    assert_eq!(whole.art, art);
    assert!(store.is_art_used(picture(3)).await.unwrap());
    assert!(!store.is_art_used(picture(2)).await.unwrap());
}

pub async fn titles_come_in_batches_without_those_that_are_missing(home: &Home) {
    let store = home.open().await;
    let ids = |from: usize, to: usize| -> Vec<ContentId> {
        (from..to).map(|number| content(&format!("film-{number}"))).collect()
    };
    for id in ids(0, 5) {
        store.put_title(&title(id.as_str())).await.unwrap();
        store.put_art(&id, ArtKind::Poster, picture(1)).await.unwrap();
    }
    let event = crate::rows::event(1, "film-1");
    let state = TitleState::Published { package: event.package_id };
    store.publish_package(&state, &event, NOW).await.unwrap();
    let found = store.described_titles(&ids(1, 1 + BATCH_MAX)).await.unwrap();
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), ids(1, 5));
    assert!(found.values().all(|title| title.art == [(ArtKind::Poster, picture(1))]));
    assert_eq!(found[&content("film-1")].package, Some(event));
    assert_eq!(found[&content("film-2")].package, None);
    assert!(store.described_titles(&[]).await.unwrap().is_empty());
    let twice = [content("film-1"), content("film-1")];
    assert_eq!(store.described_titles(&twice).await.unwrap().len(), 1);
    let refused = store.described_titles(&ids(0, BATCH_MAX + 1)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

pub async fn a_queue_keeps_its_order_and_its_limit(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    assert_eq!(store.queue(owner).await.unwrap(), Queue::default());
    let many: Vec<_> = (0..=QUEUE_MAX).map(|number| content(&format!("f{number}"))).collect();
    let (reversed, longest) = ([content("b"), content("a")], &many[..QUEUE_MAX]);
    for (version, ids) in [(1, &reversed[..]), (2, longest), (3, &[][..])] {
        assert!(store.put_queue(owner, ids, None).await.unwrap());
        let content_ids = ids.to_vec();
        assert_eq!(store.queue(owner).await.unwrap(), Queue { version, content_ids });
    }
    let refused = store.put_queue(owner, &many, None).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    let stranger = AccountId::from_bytes([9; 16]);
    let refused = store.put_queue(stranger, &reversed, None).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
    assert_eq!(store.queue(stranger).await.unwrap(), Queue::default());
}

/// Of twenty that change the version they all read, one wins.
async fn race<F>(change: impl Fn(Store, u32) -> F, store: &Store)
where
    F: Future<Output = bool> + Send + 'static,
{
    let gate = Arc::new(tokio::sync::Barrier::new(20));
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let (gate, change) = (Arc::clone(&gate), change(store.clone(), number));
            tokio::spawn(async move {
                gate.wait().await;
                change.await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += u32::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

pub async fn of_parallel_changes_of_a_queue_one_wins(home: &Home) {
    let store = home.with_account().await;
    let owner = account(1).id;
    for version in 0..3 {
        let put = |store: Store, number: u32| async move {
            let ids = [content(&format!("film-{number}"))];
            store.put_queue(owner, &ids, Some(version)).await.unwrap()
        };
        race(put, &store).await;
        assert_eq!(store.queue(owner).await.unwrap().version, version + 1);
    }
    assert!(!store.put_queue(owner, &[], Some(2)).await.unwrap());
    assert!(!store.put_queue(owner, &[], Some(0)).await.unwrap());
    assert_eq!(store.queue(owner).await.unwrap().content_ids.len(), 1);
}

pub async fn of_parallel_changes_of_a_resume_point_one_wins(home: &Home) {
    let store = home.with_account().await;
    let (owner, film) = (account(1).id, content("film-1"));
    assert_eq!(store.resume_point(owner, &film).await.unwrap(), None);
    for version in 0..3 {
        let change = |store: Store, number: u32| {
            let film = content("film-1");
            async move {
                let now = NOW.plus_s(version.into());
                store.change_resume(owner, &film, number, version, now).await.unwrap()
            }
        };
        race(change, &store).await;
        let point = store.resume_point(owner, &film).await.unwrap().unwrap();
        assert_eq!((point.version, point.updated), (version + 1, NOW.plus_s(version.into())));
    }
    // A player's report counts as a change too.
    store.put_resume(owner, &film, 77, NOW).await.unwrap();
    let point = ResumePoint { position_s: 77, version: 4, updated: NOW };
    assert_eq!(store.resume_point(owner, &film).await.unwrap(), Some(point));
    assert!(!store.change_resume(owner, &film, 1, 3, NOW).await.unwrap());
    let stranger = AccountId::from_bytes([9; 16]);
    let refused = store.change_resume(stranger, &film, 1, 0, NOW).await;
    assert!(matches!(refused, Err(StoreError::Missing)), "{refused:?}");
}

pub async fn the_newest_viewings_are_kept(home: &Home) {
    let store = home.with_account().await;
    let (owner, film) = (account(1).id, content("film-1"));
    let session = |number: u8| PlaybackSessionId::from_bytes([number; 16]);
    let viewing = |number: u8, position_s: u32| {
        let started = NOW.plus_s(u64::from(number) * 100);
        Viewing { started, seen: started.plus_s(position_s.into()), position_s }
    };
    for number in 0..30 {
        for position_s in [5, 60] {
            let noted = viewing(number, position_s);
            store.note_viewing(owner, &film, session(number), noted).await.unwrap();
        }
    }
    // Another title's and another account's stay.
    store.note_viewing(owner, &content("film-2"), session(1), viewing(1, 1)).await.unwrap();
    let kept = store.viewings(owner, &film).await.unwrap();
    let newest: Vec<_> =
        (30 - VIEWINGS_MAX..30).rev().map(|n| viewing(u8::try_from(n).unwrap(), 60)).collect();
    assert_eq!(kept, newest);
    assert_eq!(store.viewings(owner, &content("film-2")).await.unwrap(), [viewing(1, 1)]);
    assert_eq!(store.viewings(AccountId::from_bytes([9; 16]), &film).await.unwrap(), []);
}
