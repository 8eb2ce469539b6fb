//! A live event whose keys change, `film`: its keys as the packager has them made, on a root key that
//! the test holds.

use crate::house::*;
use keys::kms::{FileKms, Kms as _, Sealing};
use keys::{ContentKey, FingerprintKey, Kek, KekContext, KeyContext, SystemEntropy};
use model::{
    CategoryName, ContentId, KekState, KekVersion, KeyId, KeyPeriod, KeyState, PolicyName,
    Rotation, Scheme, Timestamp, TitlePolicy, TrackClass, WrappedKey,
};
use serde_json::{Value, json};
use server::vault::Vault;
use std::num::NonZeroU32;
use std::sync::Arc;
use store::StoredKek;
use zeroize::Zeroizing;

const FINGERPRINT: [u8; 32] = [5; 32];
const TENANT: &str = "default";
/// How its keys change.
pub const PERIOD_S: u64 = 60;
/// How many periods have keys.
pub const PERIODS: u32 = 40;
/// Its classes.
pub const CLASSES: [TrackClass; 3] = [TrackClass::Audio, TrackClass::Sd, TrackClass::Hd];

/// When the event began: period 5 is half over.
pub fn begins() -> Timestamp {
    Timestamp(NOW.0 - 330_000)
}

pub fn rotation() -> Rotation {
    let number = |n| NonZeroU32::new(n).unwrap();
    Rotation { period_s: number(60), batch_periods: number(10) }
}

/// The KID of a period's key.
pub fn period_kid(class: TrackClass, period: u32) -> KeyId {
    let mut bytes = [0xe0; 16];
    let number = CLASSES.iter().position(|own| *own == class).unwrap();
    bytes[1] = u8::try_from(number).unwrap();
    bytes[2..6].copy_from_slice(&period.to_be_bytes());
    KeyId::from_bytes(bytes)
}

/// The KIDs that a `pssh` of the event names: those of its tracks, then those of some periods.
pub fn batch_kids(periods: std::ops::Range<u32>) -> Vec<KeyId> {
    let of_periods = periods.flat_map(|period| CLASSES.map(|class| period_kid(class, period)));
    crate::playing::kids(&crate::playing::ALL).into_iter().chain(of_periods).collect()
}

/// What a ClearKey client sends for them.
pub fn ask_for(kids: &[KeyId]) -> Value {
    let kids: Vec<String> = kids.iter().map(|kid| kid.to_base64url()).collect();
    json!({"kids": kids, "type": "temporary"})
}

/// The key of a KID, as every test key is made.
pub fn key_of(kid: KeyId) -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new(kid.as_bytes().map(|byte| !byte)))
}

/// Account `ada`, and `film` as a live event with keys of 40 periods.
pub async fn house() -> House {
    house_with(begins()).await
}

/// The same event, as if it had begun at another time.
pub async fn house_with(begins: Timestamp) -> House {
    let kms = Arc::new(
        FileKms::open(
            &FileKms::create(Sealing::Permissions, NOW, &mut SystemEntropy),
            Sealing::Permissions,
        )
        .unwrap(),
    );
    let edit = |config: &mut server::Config| config.limits.session_requests = 0;
    let own = Arc::clone(&kms);
    let house = House::with(edit, |home| {
        let (store, key) = (home.store.clone(), Arc::clone(&home.grant_key));
        let fingerprint = Zeroizing::new(FINGERPRINT);
        let cache = &home.config.keys.cache;
        home.vault = Arc::new(Vault::new(store, key, own, &fingerprint, &home.entropy, cache));
    })
    .await;
    house.account("ada", "standard").await;
    let category = CategoryName::parse("default").unwrap();
    let kek = Kek::generate(&mut SystemEntropy);
    let version = KekVersion(1);
    let context = KekContext { tenant: TENANT, category: &category, version };
    let wrapped = kms.wrap(&kek, &context).await.unwrap();
    let (state, created) = (KekState::Active, NOW);
    let stored = StoredKek { category: category.clone(), version, wrapped, state, created };
    house.store.insert_kek(&stored).await.unwrap();
    house.title("film").await;
    let fingerprints = FingerprintKey::from_bytes(&Zeroizing::new(FINGERPRINT));
    for period in 0..PERIODS {
        for class in CLASSES {
            let key = key_of(period_kid(class, period));
            let span = Some(rotation().span_of(period, begins));
            let mut row = WrappedKey {
                kid: period_kid(class, period),
                content_id: ContentId::parse("film").unwrap(),
                track_class: Some(class),
                scheme: Some(Scheme::Cbcs),
                period: Some(KeyPeriod { index: period, span }),
                category: category.clone(),
                kek_version: version,
                first_kek_version: version,
                wrapped: vec![],
                iv: Some([9; 16]),
                fingerprint: key.fingerprint(&fingerprints),
                state: KeyState::Active,
                created: NOW,
            };
            let context = KeyContext::of_row(TENANT, &row);
            row.wrapped = kek.wrap(&key, &context, &mut SystemEntropy);
            house.store.insert_key(&row).await.unwrap();
        }
    }
    house
}

/// Gives `film` a policy with this horizon.
pub async fn put_horizon(house: &House, horizon_s: u32, whole_event: bool) -> TitlePolicy {
    let name = PolicyName::parse("own").unwrap();
    let mut policy = TitlePolicy { name: name.clone(), ..TitlePolicy::default() };
    policy.rotation.horizon_s = NonZeroU32::new(horizon_s).unwrap();
    policy.rotation.whole_event = whole_event;
    house.store.put_policy(&policy, NOW).await.unwrap();
    house.store.assign_policy(&ContentId::parse("film").unwrap(), &name).await.unwrap();
    policy
}

/// Whether a license made now carries a period's key, by the words of the rule: it begins within
/// the horizon; where a license has no end, it ends there too, or is on.
pub fn is_within(period: u32, now: Timestamp, horizon_s: u64, has_end: bool) -> bool {
    let span_begins = begins().0 + u64::from(period) * PERIOD_S * 1000;
    let (span_ends, horizon) = (span_begins + PERIOD_S * 1000, now.0 + horizon_s * 1000);
    if has_end {
        span_begins < horizon
    } else {
        span_ends <= horizon || (span_begins <= now.0 && now.0 < span_ends)
    }
}

/// In how many seconds the player is to ask again.
pub fn next_of(reply: &Reply) -> Option<u64> {
    reply
        .headers
        .get("strongroom-next-license")
        .map(|value| value.to_str().unwrap().parse().unwrap())
}
