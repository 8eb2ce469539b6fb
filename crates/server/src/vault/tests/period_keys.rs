//! Keys of periods: each its own, the same for all who ask, forgotten in time.

use super::*;
use crate::clock::Clock;
use crate::vault::KeyServiceError;
use crate::vault::period_keys::PERIODS_MAX;
use keys::PackagingKeys;
use model::{KeyPeriod, KeyState, Rotation, Scheme, TrackClass, TrackClasses, WrappedKey};
use std::collections::BTreeSet;
use std::ops::Range;
use store::AuditEntry;

const CLASSES: [TrackClass; 3] = [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd];

fn classes() -> TrackClasses {
    CLASSES.into_iter().collect()
}

fn film_title() -> Title {
    title(TitlePolicy::default())
}

fn every_ten_s() -> Rotation {
    let number = |n| std::num::NonZeroU32::new(n).unwrap();
    Rotation { period_s: number(10), batch_periods: number(10) }
}

async fn ask(
    vault: &Vault,
    periods: Range<u32>,
    event: Option<Timestamp>,
) -> Result<PackagingKeys, KeyServiceError> {
    let event = event.map(|begins| (every_ten_s(), begins));
    vault.keys.period_keys(&film_title(), classes(), &Scheme::ALL, periods, event, NOW).await
}

fn kids(keys: &PackagingKeys) -> Vec<KeyId> {
    keys.iter().map(|key| key.kid).collect()
}

/// Every audit row.
async fn audit(house: &House) -> Vec<AuditEntry> {
    let mut entries = vec![];
    let look = |_: store::AuditHead, entry: &AuditEntry| {
        entries.push(entry.clone());
        true
    };
    house.store.verify_audit_with(look).await.unwrap();
    entries
}

async fn rows(house: &House) -> Vec<WrappedKey> {
    house.store.keys_of(&film()).await.unwrap()
}

#[tokio::test]
async fn each_period_class_and_scheme_has_its_own_key() {
    let house = House::new().await;
    let keys = ask(&house.vault(), 3..8, Some(NOW)).await.unwrap();
    let mut seen = BTreeSet::new();
    for period in 3..8 {
        for (class, scheme) in CLASSES.into_iter().flat_map(|class| Scheme::ALL.map(|s| (class, s)))
        {
            let key = keys.find_in(Some(period), class, scheme).unwrap();
            assert_eq!((key.track_class, key.scheme), (Some(class), Some(scheme)));
            assert_eq!(key.iv.is_some(), scheme == Scheme::Cbcs, "the constant IV is kept");
            assert!(seen.insert((key.kid, fingerprint_of(&key.key))), "{period} {class} {scheme}");
        }
    }
    assert_eq!((seen.len(), keys.iter().count()), (30, 30));
    assert!(keys.find_in(Some(3), TrackClass::Uhd, Scheme::Cbcs).is_none(), "nobody asked for it");
    assert!(keys.find(TrackClass::Hd, Scheme::Cbcs).is_none(), "nor for what names the tracks");
    for row in rows(&house).await {
        let index = row.period.unwrap().index;
        let span = Some(every_ten_s().span_of(index, NOW));
        assert_eq!(row.period, Some(KeyPeriod { index, span }));
        house.vault().keys.open_key(&row, NOW).await.unwrap();
    }
}

#[tokio::test]
async fn asked_again_they_are_the_same_and_overlapping_questions_share() {
    let house = House::new().await;
    let first = kids(&ask(&house.vault(), 0..20, None).await.unwrap());
    let later = house.vault();
    assert_eq!(kids(&ask(&later, 0..20, None).await.unwrap()), first);
    assert_eq!(kids(&ask(&later, 10..30, None).await.unwrap())[..60], first[60..]);
    assert_eq!(rows(&house).await.len(), 180);
    assert_eq!(kids(&ask(&later, 7..7, None).await.unwrap()), []);
    // More classes: what is there stays.
    let all = TrackClasses::up_to(TrackClass::Uhd);
    let schemes = &Scheme::ALL;
    let keys = later.keys.period_keys(&film_title(), all, schemes, 0..20, None, NOW).await.unwrap();
    let (more, first): (BTreeSet<_>, BTreeSet<_>) =
        (kids(&keys).into_iter().collect(), first.into_iter().collect());
    assert_eq!((more.len(), first.is_subset(&more)), (160, true));
    // The track's own keys are others, and stay others.
    let tracks = later.keys.packaging_keys(&film_title(), classes(), schemes, NOW).await.unwrap();
    assert_eq!(tracks.iter().count(), 6);
    assert!(tracks.iter().all(|key| key.period.is_none() && !more.contains(&key.kid)));
}

#[tokio::test]
async fn an_event_that_begins_anew_has_keys_of_its_own() {
    let house = House::new().await;
    let vault = house.vault();
    let mut seen = BTreeSet::new();
    for event in [None, Some(NOW), Some(NOW.plus_s(3600))] {
        let keys = kids(&ask(&vault, 0..5, event).await.unwrap());
        assert_eq!(kids(&ask(&vault, 0..5, event).await.unwrap()), keys);
        seen.extend(keys);
    }
    assert_eq!(seen.len(), 90);
}

#[tokio::test]
async fn far_too_many_periods_are_refused() {
    let house = House::new().await;
    let refused = ask(&house.vault(), 1..PERIODS_MAX + 2, None).await;
    assert!(matches!(refused, Err(KeyServiceError::TooManyPeriods(_))), "{refused:?}");
    assert_eq!(rows(&house).await, []);
    let last = ask(&house.vault(), u32::MAX - 1..u32::MAX, Some(NOW)).await.unwrap();
    assert_eq!(last.iter().count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_processes_all_get_the_same() {
    let house = House::new().await;
    let vaults: Vec<_> = (0..8).map(|_| house.vault()).collect();
    let tasks: Vec<_> = (vaults.into_iter().enumerate())
        .map(|(n, vault)| {
            tokio::spawn(async move {
                // Clocks that differ: who reads an earlier time does not win for that.
                let now = Timestamp(NOW.0 - 1000 * n as u64);
                let (title, event) = (film_title(), Some((every_ten_s(), NOW)));
                let classes = classes();
                let periods =
                    vault.keys.period_keys(&title, classes, &Scheme::ALL, 0..20, event, now);
                let periods = kids(&periods.await.unwrap());
                let tracks = vault.keys.packaging_keys(&title, classes, &Scheme::ALL, now);
                let mut tracks = kids(&tracks.await.unwrap());
                tracks.sort();
                (periods, tracks)
            })
        })
        .collect();
    let mut sets = BTreeSet::new();
    for task in tasks {
        sets.insert(task.await.unwrap());
    }
    assert_eq!(sets.len(), 1);
    assert_eq!(rows(&house).await.len(), 126);
}

#[tokio::test]
async fn nothing_is_made_without_the_audit_or_the_root_key() {
    let house = House::new().await;
    house.kms.set(Mood::Away);
    let refused = ask(&house.vault(), 0..5, None).await;
    assert!(matches!(refused, Err(KeyServiceError::KmsUnavailable)), "{refused:?}");
    house.kms.set(Mood::Well);
    let mut deaf = house.vault();
    deaf.keys.audit = crate::vault::AuditWriter::closed();
    let refused = ask(&deaf, 0..5, None).await;
    assert!(matches!(refused, Err(KeyServiceError::Audit(_))), "{refused:?}");
    assert_eq!(rows(&house).await, []);
}

#[tokio::test]
async fn a_compromised_key_of_a_period_gets_a_successor() {
    let house = House::new().await;
    let vault = house.vault();
    let before = kids(&ask(&vault, 0..4, Some(NOW)).await.unwrap());
    vault.compromise_key(before[7], NOW).await.unwrap();
    let after = kids(&ask(&vault, 0..4, Some(NOW)).await.unwrap());
    let kept: Vec<_> = before.iter().filter(|kid| after.contains(kid)).collect();
    assert_eq!((after.len(), kept.len(), after.contains(&before[7])), (24, 23, false));
}

#[tokio::test]
async fn rows_are_bound_to_their_period() {
    let house = House::new().await;
    ask(&house.vault(), 0..2, Some(NOW)).await.unwrap();
    let (mut to_other, mut longer, mut freed) = {
        let row = rows(&house).await.remove(0);
        (row.clone(), row.clone(), row)
    };
    to_other.period = Some(KeyPeriod { index: 9, ..to_other.period.unwrap() });
    longer.period.as_mut().unwrap().span.as_mut().unwrap().ends = Timestamp(u64::MAX);
    freed.period = None;
    for changed in [to_other, longer, freed] {
        let refused = house.vault().keys.open_key(&changed, NOW).await;
        assert!(matches!(refused, Err(KeyServiceError::Integrity)), "{changed:?}");
    }
}

#[tokio::test]
async fn stale_keys_go_and_say_so_and_a_films_never_do() {
    let house = House::new().await;
    let vault = house.vault();
    ask(&vault, 0..30, Some(NOW)).await.unwrap();
    let vod = kids(&ask(&vault, 0..2, None).await.unwrap());
    let tracks =
        vault.keys.packaging_keys(&film_title(), classes(), &Scheme::ALL, NOW).await.unwrap();
    let drop = async |before| vault.keys.drop_stale_keys(&film_title(), before, NOW).await.unwrap();
    let before = audit(&house).await.len();
    assert_eq!(drop(Timestamp(NOW.plus_s(10).0 - 1)).await, 0);
    assert_eq!(audit(&house).await.len(), before, "nothing went, and nothing is said");
    assert_eq!(drop(NOW.plus_s(125)).await, 72);
    let said = audit(&house).await.pop().unwrap();
    assert_eq!((said.action.as_str(), said.content_id), ("keys.dropped", Some(film())));
    let until = NOW.plus_s(125).0;
    assert_eq!(said.detail, format!("periods 0 to 11 keys 72 ended before {until}"));
    let left = rows(&house).await;
    assert_eq!(left.len(), 18 * 6 + 12 + 6);
    assert!(left.iter().all(|row| row.state == KeyState::Active));
    assert_eq!(drop(Timestamp(u64::MAX)).await, 18 * 6);
    let left: BTreeSet<_> = rows(&house).await.iter().map(|row| row.kid).collect();
    let films: BTreeSet<_> = vod.into_iter().chain(kids(&tracks)).collect();
    assert_eq!(left, films);
}

#[tokio::test]
async fn keys_of_periods_move_to_a_new_kek_with_the_others() {
    let house = House::new().await;
    let vault = house.vault();
    ask(&vault, 0..50, Some(NOW)).await.unwrap();
    vault.rotate(&category(), NOW).await.unwrap();
    let clock = Clock::fixed(NOW);
    let report = vault.rewrap(None, None, &clock, |_, _| {}).await.unwrap();
    assert_eq!((report.moved, report.broken, report.retired.len()), (300, 0, 1));
    let later = house.vault();
    for row in rows(&house).await {
        assert_eq!(row.kek_version.0, 2);
        later.keys.open_key(&row, NOW).await.unwrap();
    }
    assert_eq!(ask(&later, 0..50, Some(NOW)).await.unwrap().iter().count(), 300);
}
