//! Break-glass: what the documents say of keys that change (the whole way is `tests/break_glass.rs`).

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::cpix::{Clock, Document, Filters, KeyPeriod, Parts};
use keys::RecipientKey;
use model::{Rotation, Scheme, TrackClass, TrackClasses};
use std::num::NonZeroU32;

const CERTIFICATE: &str = include_str!("../../../../../vectors/cpix/certificates/rsa2048.cert.b64");
/// Within the dates of the certificate.
const AT: Timestamp = Timestamp(1_811_808_000_000);
const RECIPIENT: &str = include_str!("../../../../../vectors/cpix/certificates/rsa2048.key.b64");

async fn exported(vault: &Vault) -> Vec<Parts> {
    let certificate = STANDARD.decode(CERTIFICATE.trim()).unwrap();
    let own = RecipientKey::parse(&Zeroizing::new(STANDARD.decode(RECIPIENT.trim()).unwrap()));
    let own = own.unwrap();
    let documents = vault.sealed(&film(), certificate, AT).await.unwrap();
    let open = |document: &Document| {
        let read = Document::parse(document.write().as_bytes()).unwrap();
        read.open(&own).unwrap().into_parts()
    };
    documents.iter().map(open).collect()
}

/// What a document says of the periods of a key.
fn periods_of(parts: &Parts, kid: KeyId) -> Vec<&KeyPeriod> {
    let rule = parts.rules.iter().find(|rule| rule.kid == kid).unwrap();
    let Filters::Known(filters) = &rule.filters else { panic!("not understood") };
    let named = |id| parts.periods.iter().filter(move |period| period.id.as_ref() == Some(id));
    filters.periods.iter().flat_map(named).collect()
}

#[tokio::test]
async fn each_key_of_a_channel_leaves_with_the_number_and_the_time_of_its_period() {
    let house = House::new().await;
    let vault = house.vault();
    let number = |n| NonZeroU32::new(n).unwrap();
    let rotation = Rotation { period_s: number(10), batch_periods: number(10) };
    let classes: TrackClasses = [TrackClass::Audio, TrackClass::Sd].into_iter().collect();
    let title = title(TitlePolicy::default());
    vault.keys.packaging_keys(&title, classes, &Scheme::ALL, NOW).await.unwrap();
    // The event began anew under its old name: the same numbers, at another time.
    let mut made = vec![];
    for begins in [NOW, NOW.plus_s(3600)] {
        let event = Some((rotation, begins));
        let keys = vault.keys.period_keys(&title, classes, &Scheme::ALL, 0..150, event, NOW);
        let keys = keys.await.unwrap();
        made.extend(keys.iter().map(|key| (key.kid, key.period.unwrap(), begins)));
    }
    let documents = exported(&vault).await;
    let sizes: Vec<_> = documents.iter().map(|parts| parts.keys.len()).collect();
    assert_eq!(sizes, [1024, 180], "4 keys of tracks and 1200 of periods");
    for (kid, index, begins) in made {
        let of = |parts: &&Parts| parts.keys.iter().any(|key| key.kid == kid);
        let parts = documents.iter().find(of).unwrap();
        let [period] = periods_of(parts, kid)[..] else { panic!("{kid}: one period") };
        assert_eq!(period.index, Some(index));
        let span = period.span.unwrap();
        let at_us = |at: Timestamp| at.0 * 1000;
        let own = rotation.span_of(index, begins);
        assert_eq!(span.clock(), Clock::Wall);
        assert_eq!((span.start_us(), span.end_us()), (at_us(own.begins), at_us(own.ends)));
    }
    let of_tracks = documents[0].keys.iter().take(4);
    assert!(of_tracks.clone().all(|key| periods_of(&documents[0], key.kid).is_empty()));
}
