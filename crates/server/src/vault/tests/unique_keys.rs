//! No content key serves two titles (R016) or two periods, and the key of a period does not
//! open the next one (R120).

use super::*;
use keys::{PackagingKey, PackagingKeys};
use model::{PlanAccess, Scheme, TrackClass, TrackClasses};
use std::collections::BTreeSet;

/// Titles that get keys; ten thousand in the long form.
fn titles() -> u32 {
    if std::env::var_os("STRONGROOM_LONG").is_some() { 10_000 } else { 300 }
}

fn audio() -> TrackClasses {
    [TrackClass::Audio].into_iter().collect()
}

#[tokio::test]
async fn every_title_has_keys_and_key_ids_of_its_own() {
    let house = House::new().await;
    let vault = house.vault();
    let (mut kids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..titles() {
        let title = Title {
            content_id: ContentId::parse(&format!("film-{number}")).unwrap(),
            access: PlanAccess::Every,
            ..title(TitlePolicy::default())
        };
        let made = vault.keys.packaging_keys(&title, audio(), &[Scheme::Cbcs], NOW).await.unwrap();
        let made = made.find(TrackClass::Audio, Scheme::Cbcs).unwrap();
        assert!(kids.insert(made.kid), "key id {} was given twice", made.kid);
        assert!(keys.insert(fingerprint_of(&made.key)), "a key was given twice");
    }
}

#[tokio::test]
async fn ten_thousand_periods_have_keys_and_key_ids_of_their_own() {
    let house = House::new().await;
    let (vault, title) = (house.vault(), title(TitlePolicy::default()));
    let made = vault.keys.period_keys(&title, audio(), &Scheme::ALL, 0..10_000, None, NOW);
    let made = made.await.unwrap();
    let (mut kids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for (period, scheme) in (0..10_000).flat_map(|period| Scheme::ALL.map(|s| (period, s))) {
        let key = key_of(&made, period, scheme);
        assert!(kids.insert(key.kid), "key id {} was given twice", key.kid);
        assert!(keys.insert(fingerprint_of(&key.key)), "period {period} shares a key");
    }
    assert_eq!((kids.len(), keys.len()), (20_000, 20_000));
    for period in 0..9_999 {
        the_next_stays_shut(&made, period);
    }
}

fn key_of(made: &PackagingKeys, period: u32, scheme: Scheme) -> &PackagingKey {
    made.find_in(Some(period), TrackClass::Audio, scheme).unwrap()
}

/// What the next period's keys encrypt comes back with them, and not with this one's: not even
/// one of its blocks does, whichever IV is tried.
fn the_next_stays_shut(made: &PackagingKeys, period: u32) {
    const CLEAR: [u8; 64] = *b"sixty-four bytes of sound, four blocks, that one period carries.";
    let is_shut = |opened: &[u8]| {
        (opened.chunks(16).zip(CLEAR.chunks(16))).all(|(opened, clear)| opened != clear)
    };
    let (own, next) = (key_of(made, period, Scheme::Cenc), key_of(made, period + 1, Scheme::Cenc));
    let iv = [7; 16];
    let applied = |key: &PackagingKey, sample: [u8; 64]| {
        let mut sample = sample;
        key.key.cenc().apply(&iv, &mut sample, std::iter::once(0..64)).unwrap();
        sample
    };
    let sample = applied(next, CLEAR);
    assert_eq!(applied(next, sample), CLEAR);
    assert!(is_shut(&applied(own, sample)), "cenc, period {period}");
    let (own, next) = (key_of(made, period, Scheme::Cbcs), key_of(made, period + 1, Scheme::Cbcs));
    assert_ne!(own.iv, next.iv);
    let mut sample = CLEAR;
    next.key.cbcs().encrypt_whole(&next.iv.unwrap(), &mut sample);
    let opened = |key: &PackagingKey, iv| {
        let mut opened = sample;
        key.key.cbcs().decrypt_whole(&iv, &mut opened);
        opened
    };
    assert_eq!(opened(next, next.iv.unwrap()), CLEAR);
    for iv in [own.iv.unwrap(), next.iv.unwrap()] {
        assert!(is_shut(&opened(own, iv)), "cbcs, period {period}");
    }
}
