//! No content key serves two titles (R016).

use super::*;
use model::{PlanAccess, Scheme, TrackClass, TrackClasses};
use std::collections::BTreeSet;

/// Titles that get keys; ten thousand in the long form.
fn titles() -> u32 {
    if std::env::var_os("STRONGROOM_LONG").is_some() { 10_000 } else { 300 }
}

#[tokio::test]
async fn every_title_has_keys_and_key_ids_of_its_own() {
    let house = House::new().await;
    let vault = house.vault();
    let audio: TrackClasses = [TrackClass::Audio].into_iter().collect();
    let (mut kids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..titles() {
        let title = Title {
            content_id: ContentId::parse(&format!("film-{number}")).unwrap(),
            access: PlanAccess::Every,
            ..title(TitlePolicy::default())
        };
        let made = vault.keys.packaging_keys(&title, audio, &[Scheme::Cbcs], NOW).await.unwrap();
        let made = made.find(TrackClass::Audio, Scheme::Cbcs).unwrap();
        assert!(kids.insert(made.kid), "key id {} was given twice", made.kid);
        assert!(keys.insert(fingerprint_of(&made.key)), "a key was given twice");
    }
}
