//! Less rights never bring more keys: every table of levels, through the whole flow.

use super::drm_systems::folder_of;
use super::*;
use crate::vault::{FairPlayFiles, PlayReadyFiles};
use crate::vault_link::LicenseRefused;
use dialect::widevine::LicenseType;
use dialect::widevine::client::{Ask, AskedContent, ClientDevice};
use dialect::widevine::test_root::TestRoot;
use dialect::{fairplay, playready};
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
    let sealed = granted(house, Dialect::Widevine, &body, policy);
    let reply = vault.license(&sealed, &body, NOW).await.unwrap();
    let (license, _) = pending.open(&reply.message).unwrap();
    let class_of = |key: &dialect::terms::LicensedKey| {
        let class = class_of(key);
        assert_eq!(key.terms.track_class, Some(class));
        class
    };
    license.keys.iter().map(class_of).collect()
}

/// The class of a key, by its KID.
fn class_of(key: &dialect::terms::LicensedKey) -> TrackClass {
    TrackClass::ALL[usize::from(key.kid.as_bytes()[0]) - 1]
}

/// A grant of the four keys for this challenge.
fn granted(house: &House, dialect: Dialect, body: &[u8], policy: &TitlePolicy) -> Vec<u8> {
    let terms = GrantTerms {
        grant: GrantId::random(&mut SystemEntropy),
        token: None,
        session: PlaybackSessionId::from_bytes([2; 16]),
        account: AccountId::from_bytes([3; 16]),
        device: DeviceId::from_bytes([4; 16]),
        content_id: film(),
        covers: playback::Covers::Kids((1..5).map(kid).collect()),
        dialect,
        policy: policy.clone(),
        max_offline: 25,
        credential_expires: NOW.plus_s(30),
        challenge_sha256: challenge_hash(body),
        issued: NOW,
        decision: DecisionId::from_bytes([5; 16]),
        correlation: CorrelationId::from_bytes([6; 16]),
        trace: playback::Trace::default(),
    };
    seal(&house.grant_key, &terms, &mut SystemEntropy)
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
    import_classes(&vault).await;
    let devices =
        LEVELS.map(|level| root.model(level).make_device(&mut SystemEntropy).client().unwrap());
    let mut of_l1_alone = BTreeSet::new();
    for levels in tables() {
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

/// A key of each class.
async fn import_classes(vault: &Vault) {
    let label = |class: TrackClass| format!(r#","scheme":"cbcs","label":"{class}""#);
    let labels = TrackClass::ALL.map(label);
    let keys: Vec<_> =
        (1..5).zip(&labels).map(|(key, label)| (kid(key), key, label.as_str())).collect();
    vault.import_keys(key_file(&keys), NOW).await.unwrap();
}

/// Every table of levels.
fn tables() -> impl Iterator<Item = LevelTable> {
    let highest = || [None].into_iter().chain(TrackClass::ALL.map(Some));
    highest().flat_map(move |l1| {
        highest().flat_map(move |l2| highest().map(move |l3| LevelTable { l1, l2, l3 }))
    })
}

/// The same tables for PlayReady's levels, and FairPlay's one, which is L2 (R112).
#[tokio::test]
async fn no_system_gives_a_level_more_than_the_table_does() {
    let house = House::new().await;
    let vault = house.vault();
    import_classes(&vault).await;
    let systems = Systems::import(&vault).await;
    for levels in tables() {
        let policy = TitlePolicy { levels, ..TitlePolicy::default() };
        let mut above: BTreeSet<TrackClass> = TrackClass::ALL.into_iter().collect();
        for (level, device) in LEVELS.into_iter().zip(&systems.playready) {
            let table: BTreeSet<_> = policy.track_classes(level).iter().collect();
            let got = systems.of_playready(&house, &vault, device, &policy).await;
            assert_eq!(got, table, "{levels:?} {level}");
            assert!(got.is_subset(&above), "{levels:?} {level}");
            above = got;
        }
        let table: BTreeSet<_> = policy.track_classes(SecurityLevel::L2).iter().collect();
        let got = systems.of_fairplay(&house, &vault, &policy).await;
        assert_eq!(got, table, "{levels:?} fairplay");
    }
}

/// Both systems, imported, and their devices.
struct Systems {
    service: playready::client::Service,
    playready: [playready::client::ClientDevice; 3],
    certificate: keys::fairplay::ApplicationCertificate,
    fairplay: fairplay::client::ClientDevice,
}

impl Systems {
    async fn import(vault: &Vault) -> Self {
        let pr = playready::test_root::TestRoot::make(&mut SystemEntropy);
        let fp = fairplay::test_root::TestRoot::make(&mut SystemEntropy);
        let files = PlayReadyFiles::read(folder_of(&pr.files()).path()).unwrap();
        vault.import_playready(files, NOW).await.unwrap();
        let files = FairPlayFiles::read(folder_of(&fp.files()).path()).unwrap();
        vault.import_fairplay(files, NOW).await.unwrap();
        vault.look_at_credentials(NOW).await;
        let device = |level| {
            let made = pr.device(level, &mut SystemEntropy);
            let (signing, encryption) = (&made.signing_private_pem, &made.encryption_private_pem);
            playready::client::ClientDevice::read(&made.chain, signing, encryption).unwrap()
        };
        Self {
            service: playready::client::Service::read(&pr.root_public, &pr.wmrm_public).unwrap(),
            playready: LEVELS.map(device),
            certificate: keys::fairplay::ApplicationCertificate::parse(&fp.certificate).unwrap(),
            fairplay: fp.make_device(&mut SystemEntropy).client().unwrap(),
        }
    }

    async fn of_playready(
        &self,
        house: &House,
        vault: &Vault,
        device: &playready::client::ClientDevice,
        policy: &TitlePolicy,
    ) -> BTreeSet<TrackClass> {
        let kids: Vec<_> = (1..5).map(kid).collect();
        let header = playready::Header::of(&kids, model::Scheme::Cbcs);
        let ask = playready::client::Ask {
            headers: &[header.as_bytes()],
            custom_data: None,
            service: &self.service,
        };
        let (pending, body) = device.ask(&ask, NOW, &mut SystemEntropy).unwrap();
        let sealed = granted(house, Dialect::PlayReady, &body, policy);
        match vault.license(&sealed, &body, NOW).await {
            Ok(reply) => {
                let (license, _) = pending.open(&reply.message).unwrap();
                license.keys.iter().map(class_of).collect()
            }
            Err(refused) => {
                assert_eq!(refused, LicenseRefused::Challenge("no_key_for_the_level"));
                BTreeSet::new()
            }
        }
    }

    async fn of_fairplay(
        &self,
        house: &House,
        vault: &Vault,
        policy: &TitlePolicy,
    ) -> BTreeSet<TrackClass> {
        let mut got = BTreeSet::new();
        for own in (1..5).map(kid) {
            let asset_id = own.to_string();
            let ask = fairplay::client::Ask {
                certificate: &self.certificate,
                asset_id: asset_id.as_bytes(),
                framing: fairplay::Framing::Octets,
                persist: false,
                playback: Some(fairplay::Playback::start(NOW, &mut SystemEntropy)),
                streaming: fairplay::Streaming::Device,
            };
            let (pending, body) = self.fairplay.ask(&ask, &mut SystemEntropy);
            let sealed = granted(house, Dialect::FairPlay, &body, policy);
            match vault.license(&sealed, &body, NOW).await {
                Ok(reply) => {
                    let license = pending.open(&reply.message, NOW).unwrap();
                    got.extend(license.keys.iter().map(class_of));
                }
                Err(refused) => {
                    assert_eq!(refused, LicenseRefused::Challenge("no_key_for_the_level"));
                }
            }
        }
        got
    }
}
