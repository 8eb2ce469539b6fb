//! Less rights never bring more keys: every table of levels, through the whole flow.

use super::*;
use dialect::widevine::LicenseType;
use dialect::widevine::client::{Ask, AskedContent, ClientDevice};
use dialect::widevine::test_root::TestRoot;
use model::{
    AccountId, CorrelationId, DecisionId, DeviceId, Dialect, GrantId, LevelTable,
    PlaybackSessionId, SecurityLevel, TrackClass,
};
use playback::grant::{GrantTerms, challenge_hash, seal};
use std::collections::BTreeSet;

const LEVELS: [SecurityLevel; 3] = SecurityLevel::ALL;

/// The classes of keys that a device's license carries; the key of class `n` is key `n`.
async fn licensed(
    house: &House,
    vault: &Vault,
    device: &ClientDevice,
    policy: &TitlePolicy,
) -> BTreeSet<TrackClass> {
    let payload: Vec<u8> =
        (1..5).flat_map(|key| [&[0x12, 16][..], kid(key).as_bytes()].concat()).collect();
    let payloads = [&payload[..]];
    let ask = Ask {
        content: AskedContent::PsshData(&payloads),
        license_type: LicenseType::Streaming,
        request_id: b"",
        privacy: None,
    };
    let (pending, body) = device.ask(&ask, NOW, &mut SystemEntropy);
    let terms = GrantTerms {
        grant: GrantId::random(&mut SystemEntropy),
        token: None,
        session: PlaybackSessionId::from_bytes([2; 16]),
        account: AccountId::from_bytes([3; 16]),
        device: DeviceId::from_bytes([4; 16]),
        content_id: film(),
        kids: (1..5).map(kid).collect(),
        dialect: Dialect::Widevine,
        policy: policy.clone(),
        credential_expires: NOW.plus_s(30),
        challenge_sha256: challenge_hash(&body),
        issued: NOW,
        decision: DecisionId::from_bytes([5; 16]),
        correlation: CorrelationId::from_bytes([6; 16]),
        trace: playback::Trace::default(),
    };
    let sealed = seal(&house.grant_key, &terms, &mut SystemEntropy);
    let reply = vault.license(&sealed, &body, NOW).await.unwrap();
    let (license, _) = pending.open(&reply.message).unwrap();
    let class_of = |key: &dialect::terms::LicensedKey| {
        let class = TrackClass::ALL[usize::from(key.kid.as_bytes()[0]) - 1];
        assert_eq!(key.terms.track_class, Some(class));
        class
    };
    license.keys.iter().map(class_of).collect()
}

#[tokio::test]
async fn a_lower_level_or_a_stricter_table_never_gets_more_keys() {
    let (house, root) = (House::new().await, TestRoot::make("test", &mut SystemEntropy));
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in root.files() {
        std::fs::write(folder.path().join(name), contents).unwrap();
    }
    let vault = house.vault();
    let files = crate::vault::WidevineFiles::read(folder.path()).unwrap();
    vault.import_widevine(files, NOW).await.unwrap();
    vault.look_at_credentials(NOW).await;
    let label = |class: TrackClass| format!(r#","label":"{class}""#);
    let labels = TrackClass::ALL.map(label);
    let keys: Vec<_> =
        (1..5).zip(&labels).map(|(key, label)| (kid(key), key, label.as_str())).collect();
    vault.import_keys(key_file(&keys), NOW).await.unwrap();
    let devices =
        LEVELS.map(|level| root.model(level).make_device(&mut SystemEntropy).client().unwrap());
    let highest = [None].into_iter().chain(TrackClass::ALL.map(Some));
    let mut of_l1_alone = BTreeSet::new();
    for (l1, l2, l3) in highest.clone().flat_map(|l1| {
        let rest = highest.clone();
        rest.clone().flat_map(move |l2| rest.clone().map(move |l3| (l1, l2, l3)))
    }) {
        let levels = LevelTable { l1, l2, l3 };
        let policy = TitlePolicy { levels, ..TitlePolicy::default() };
        let mut above: BTreeSet<TrackClass> = TrackClass::ALL.into_iter().collect();
        for (level, device) in LEVELS.into_iter().zip(&devices) {
            let got = licensed(&house, &vault, device, &policy).await;
            assert_eq!(got, policy.track_classes(level).iter().collect(), "{levels:?} {level}");
            assert!(got.is_subset(&above), "{levels:?} {level}");
            above = got;
        }
        of_l1_alone.insert(policy.track_classes(SecurityLevel::L1).iter().count());
    }
    assert_eq!(of_l1_alone.len(), 5, "none, one, two, three, four keys");
}
