//! Widevine's credentials: sealed at rest, the same in every vault, read again while they run.

use super::*;
use crate::vault::{CredentialError, ProvisionRefused, Vault, WidevineFiles};
use crate::vault_link::LicenseRefused;
use dialect::widevine::client::{
    Ask, AskedContent, ClientDevice, SERVICE_CERTIFICATE_REQUEST, ServiceCertificate,
};
use dialect::widevine::provisioning::{ask, open_answer};
use dialect::widevine::test_root::{TestRoot, make_service};
use dialect::widevine::{ChallengeError, LicenseType, Request, RootFile};
use keys::RsaPrivateKey;
use model::SecurityLevel;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

static ROOT: LazyLock<TestRoot> =
    LazyLock::new(|| TestRoot::make("strongroom.test", &mut SystemEntropy));

/// A folder with a root's files.
fn folder_of(root: &TestRoot) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in root.files() {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn files() -> WidevineFiles {
    WidevineFiles::read(folder_of(&ROOT).path()).unwrap()
}

fn device(level: SecurityLevel) -> ClientDevice {
    ROOT.model(level).make_device(&mut SystemEntropy).client().unwrap()
}

/// A challenge of `device`, in privacy mode where a service is given.
fn challenge(device: &ClientDevice, service: Option<&ServiceCertificate>) -> Vec<u8> {
    let asked = Ask {
        content: AskedContent::WebmKeyId(kid(1)),
        license_type: LicenseType::Streaming,
        request_id: b"request 1",
        privacy: service,
    };
    device.ask(&asked, NOW, &mut SystemEntropy).1
}

/// The level that a vault sees in a challenge, or why it refuses it.
fn level_seen(vault: &Vault, body: &[u8]) -> Result<SecurityLevel, ChallengeError> {
    let widevine = vault.widevine().unwrap();
    match Request::parse(body, &widevine.desk(), NOW)? {
        Request::New(challenge) => Ok(challenge.device().level),
        other => panic!("{other:?}"),
    }
}

fn service_of(vault: &Vault) -> ServiceCertificate {
    let widevine = vault.widevine().unwrap();
    let request = Request::parse(&SERVICE_CERTIFICATE_REQUEST, &widevine.desk(), NOW).unwrap();
    assert!(matches!(request, Request::ServiceCertificate));
    let answer = widevine.credentials.service_certificate();
    ServiceCertificate::open(&answer, RootFile::PublicKey(&ROOT.root_public), NOW).unwrap()
}

/// Every byte of the store, its journals too.
fn bytes_at_rest(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
}

#[tokio::test]
async fn what_one_vault_imports_another_serves_and_at_rest_it_is_sealed() {
    let house = House::new().await;
    let (operator, running) = (house.vault(), house.vault());
    running.look_at_credentials(NOW).await;
    assert!(running.widevine().is_none());
    let done = operator.import_widevine(files(), NOW).await.unwrap();
    assert_eq!((done.older, done.is_new_root, done.listed), (0, false, 4));
    running.look_at_credentials(NOW).await;
    let service = service_of(&running);
    for level in [SecurityLevel::L1, SecurityLevel::L2, SecurityLevel::L3] {
        let body = challenge(&device(level), Some(&service));
        assert_eq!(level_seen(&running, &body), Ok(level));
    }

    let bytes = bytes_at_rest(house.folder.path());
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(holds(&ROOT.service_certificate), "the search finds what is public");
    for pem in [&ROOT.service_private_pem, &ROOT.provisioning.private_pem] {
        // Before the eighth line is the modulus, which the certificate has too.
        for line in pem.lines().skip(7).filter(|line| line.len() == 64) {
            let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, line);
            assert!(!holds(line.as_bytes()) && !holds(&der.unwrap()));
        }
    }
    assert!(!holds(b"PRIVATE KEY"));
}

#[tokio::test]
async fn a_revoked_device_is_refused_by_a_vault_that_runs() {
    let house = House::new().await;
    let (operator, running) = (house.vault(), house.vault());
    operator.import_widevine(files(), NOW).await.unwrap();
    running.look_at_credentials(NOW).await;
    let body = challenge(&device(SecurityLevel::L1), None);
    assert_eq!(level_seen(&running, &body), Ok(SecurityLevel::L1));
    let list =
        ROOT.device_list.replace("\"revoked_system_ids\": []", "\"revoked_system_ids\": [7001]");
    assert_eq!(operator.replace_device_list(&list, NOW).await.unwrap(), 4);
    assert_eq!(level_seen(&running, &body), Ok(SecurityLevel::L1), "not looked yet");
    // Also while the KMS is away: the list hangs from a KEK that is open already.
    house.kms.set(Mood::Away);
    running.look_at_credentials(NOW).await;
    assert_eq!(level_seen(&running, &body), Err(ChallengeError::Revoked));
    let l2 = challenge(&device(SecurityLevel::L2), None);
    assert_eq!(level_seen(&running, &l2), Ok(SecurityLevel::L2));
}

#[tokio::test]
async fn a_vault_that_starts_while_the_kms_is_away_has_credentials_when_it_is_back() {
    let house = House::new().await;
    house.vault().import_widevine(files(), NOW).await.unwrap();
    let running = house.vault();
    house.kms.set(Mood::Away);
    let asked = || running.service_certificate(model::Dialect::Widevine).map(|_| ());
    assert_eq!(asked(), Err(LicenseRefused::DialectNotAnswered));
    running.look_at_credentials(NOW).await;
    assert_eq!(asked(), Err(LicenseRefused::KmsUnavailable));
    assert!(running.answers(model::Dialect::Widevine), "only not now");
    let (key, _) = RsaPrivateKey::generate();
    let refused = running.provision(&ask(&key, NOW), NOW).await;
    assert_eq!(refused, Err(ProvisionRefused::StoreUnavailable));
    house.kms.set(Mood::Well);
    running.look_at_credentials(NOW).await;
    assert_eq!(asked(), Ok(()));
}

#[tokio::test]
async fn a_newer_service_certificate_is_handed_out_and_the_older_still_opens() {
    let house = House::new().await;
    let vault = house.vault();
    vault.import_widevine(files(), NOW).await.unwrap();
    vault.look_at_credentials(NOW).await;
    let (l1, old) = (device(SecurityLevel::L1), service_of(&vault));
    let before = vault.widevine().unwrap();
    let folder = folder_of(&ROOT);
    let (certificate, pem) = make_service(&ROOT.key, "strongroom.test", &mut SystemEntropy);
    fs::write(folder.path().join("service_cert.bin"), &certificate).unwrap();
    fs::write(folder.path().join("service_private.pem"), &pem).unwrap();
    let again = WidevineFiles::read(folder.path()).unwrap();
    let done = vault.import_widevine(again, NOW).await.unwrap();
    assert_eq!((done.older, done.is_new_root), (1, false));
    vault.look_at_credentials(NOW).await;
    let after = vault.widevine().unwrap();
    assert_ne!(
        before.credentials.service_certificate(),
        after.credentials.service_certificate(),
        "the newest is handed out"
    );
    for service in [&old, &service_of(&vault)] {
        let body = challenge(&l1, Some(service));
        assert_eq!(level_seen(&vault, &body), Ok(SecurityLevel::L1));
    }

    let rows = vault.credentials().await.unwrap();
    let services: Vec<_> = rows.iter().filter(|row| row.kind == "service").collect();
    assert_eq!(services.len(), 2);
    assert!(services[0].is_current && services[0].name == done.serial);
    assert_eq!(services[0].provider.as_deref(), Some("strongroom.test"));
    let older = services[1].name.clone();
    vault
        .remove_credentials(model::Dialect::Widevine, Some(&older.to_uppercase()), NOW)
        .await
        .unwrap();
    vault.look_at_credentials(NOW).await;
    let body = challenge(&l1, Some(&old));
    assert_eq!(level_seen(&vault, &body), Err(ChallengeError::UnknownService));
    let refused = vault.remove_credentials(model::Dialect::Widevine, Some(&older), NOW).await;
    assert!(matches!(refused, Err(CredentialError::SerialUnknown(_))));
    let refused = vault.remove_credentials(model::Dialect::Widevine, Some(&done.serial), NOW).await;
    assert!(matches!(refused, Err(CredentialError::OnlyService)));
    vault.remove_credentials(model::Dialect::Widevine, None, NOW).await.unwrap();
    vault.look_at_credentials(NOW).await;
    assert!(vault.widevine().is_none());
    assert!(matches!(
        vault.replace_device_list(&ROOT.device_list, NOW).await,
        Err(CredentialError::NoneImported(_))
    ));
}

#[tokio::test]
async fn another_root_takes_the_place_of_the_first_with_all_that_hung_from_it() {
    let house = House::new().await;
    let vault = house.vault();
    vault.import_widevine(files(), NOW).await.unwrap();
    let stranger = TestRoot::make("stranger.test", &mut SystemEntropy);
    let files = WidevineFiles::read(folder_of(&stranger).path()).unwrap();
    let done = vault.import_widevine(files, NOW).await.unwrap();
    assert_eq!((done.older, done.is_new_root), (0, true));
    vault.look_at_credentials(NOW).await;
    let body = challenge(&device(SecurityLevel::L1), None);
    assert_eq!(level_seen(&vault, &body), Err(ChallengeError::UnknownRoot));
}

#[tokio::test]
async fn a_session_that_one_vault_sealed_another_opens_after_every_import() {
    let house = House::new().await;
    let (one, other) = (house.vault(), house.vault());
    one.import_widevine(files(), NOW).await.unwrap();
    one.look_at_credentials(NOW).await;
    let macs = keys::SessionKey::generate(&mut SystemEntropy).derive(b"request").macs;
    let token = one.widevine().unwrap().sessions.seal(&macs, b"memo", b"aad", &mut SystemEntropy);
    one.import_widevine(files(), NOW).await.unwrap();
    other.look_at_credentials(NOW).await;
    let (_, memo) = other.widevine().unwrap().sessions.open(&token, b"aad").unwrap();
    assert_eq!(memo, b"memo");
}

#[tokio::test]
async fn rows_that_a_stranger_changed_change_nothing_and_are_said_once() {
    let house = House::new().await;
    let vault = house.vault();
    vault.import_widevine(files(), NOW).await.unwrap();
    vault.look_at_credentials(NOW).await;
    let before = vault.widevine().unwrap();
    let dialect = model::Dialect::Widevine;
    let stored = house.store.credentials(dialect).await.unwrap().unwrap();
    let changed = |edit: &dyn Fn(&mut store::StoredCredential)| {
        let put = stored.rows.iter().cloned().map(|mut row| {
            edit(&mut row);
            row
        });
        store::CredentialChange { put: put.collect(), ..store::CredentialChange::default() }
    };
    let edits: [&dyn Fn(&mut store::StoredCredential); 3] = [
        &|row| {
            if row.kind == store::CredentialKind::Devices {
                row.public = br#"{"systems": []}"#.to_vec();
            }
        },
        &|row| row.seq += 1,
        &|row| row.sealed[20] ^= 1,
    ];
    for edit in edits {
        let version = house.store.credentials_version().await.unwrap();
        house.store.change_credentials(dialect, version, &changed(edit)).await.unwrap();
        let (said, guard) = alerts();
        vault.look_at_credentials(NOW).await;
        vault.look_at_credentials(NOW).await;
        drop(guard);
        let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
        assert_eq!(said.matches("credentials_unusable").count(), 1, "{said}");
        assert!(Arc::ptr_eq(&vault.widevine().unwrap(), &before));
        let fresh = house.vault();
        fresh.look_at_credentials(NOW).await;
        let none = fresh.service_certificate(dialect);
        assert_eq!(none, Err(LicenseRefused::Integrity), "who starts now has none");
    }
}

#[tokio::test]
async fn a_rotated_root_key_takes_credentials_along() {
    let house = House::new().await;
    let vault = house.vault();
    vault.import_widevine(files(), NOW).await.unwrap();
    let before = house.store.credential_keks().await.unwrap();
    let done = vault.rotate_root(crate::vault::NewVersion::Keep, NOW).await.unwrap();
    assert_eq!((done.moved, done.broken), (1, 0));
    assert_ne!(house.store.credential_keks().await.unwrap(), before);
    let fresh = house.vault();
    fresh.look_at_credentials(NOW).await;
    assert!(fresh.widevine().is_some());
}

#[tokio::test]
async fn a_device_is_provisioned_once_for_each_key() {
    let house = House::new().await;
    let (one, other) = (house.vault(), house.vault());
    let (key, pkcs8) = RsaPrivateKey::generate();
    let question = ask(&key, NOW);
    assert_eq!(one.provision(&question, NOW).await, Err(ProvisionRefused::NotOffered));
    one.import_widevine(files(), NOW).await.unwrap();
    one.look_at_credentials(NOW).await;
    other.look_at_credentials(NOW).await;
    let first = one.provision(&question, NOW).await.unwrap();
    assert!(first.is_new);
    let later = NOW.plus_s(300);
    let again = other.provision(&ask(&key, later), later).await.unwrap();
    assert_eq!((again.is_new, &again.body), (false, &first.body), "the same certificate");
    let root = RootFile::PublicKey(&ROOT.root_public);
    let device = open_answer(&first.body, key, root, NOW).unwrap();
    let body = challenge(&device, Some(&service_of(&one)));
    assert_eq!(level_seen(&one, &body), Ok(SecurityLevel::L3));

    let key = RsaPrivateKey::parse(&pkcs8).unwrap();
    let refused = async |body: &[u8], now| one.provision(body, now).await.unwrap_err();
    assert_eq!(refused(&question, NOW.plus_s(601)).await, ProvisionRefused::Time);
    assert_eq!(refused(b"{}", NOW).await, ProvisionRefused::Malformed);
    let other_time = String::from_utf8(ask(&key, NOW)).unwrap();
    let other_time = other_time.replace(&NOW.as_s().to_string(), &later.as_s().to_string());
    assert_eq!(refused(other_time.as_bytes(), NOW).await, ProvisionRefused::Signature);
}

#[tokio::test]
async fn a_list_that_raises_software_above_l3_is_not_taken() {
    let house = House::new().await;
    let vault = house.vault();
    vault.import_widevine(files(), NOW).await.unwrap();
    let mut list: serde_json::Value = serde_json::from_str(&ROOT.device_list).unwrap();
    list["systems"][3]["security_level"] = 1.into();
    let refused = vault.replace_device_list(&list.to_string(), NOW).await;
    assert!(matches!(refused, Err(CredentialError::Provisioning(_))));
    let folder = folder_of(&ROOT);
    fs::write(folder.path().join("device_list.json"), list.to_string()).unwrap();
    let files = WidevineFiles::read(folder.path()).unwrap();
    let refused = vault.import_widevine(files, NOW).await.unwrap_err();
    assert!(refused.to_string().starts_with("provisioning_cert.bin: "), "{refused}");
}

#[tokio::test]
async fn every_change_is_audited_and_none_happens_unaudited() {
    let house = House::new().await;
    let vault = house.vault();
    let serial = vault.import_widevine(files(), NOW).await.unwrap().serial;
    vault.replace_device_list(&ROOT.device_list, NOW).await.unwrap();
    vault.look_at_credentials(NOW).await;
    let (key, _) = RsaPrivateKey::generate();
    vault.provision(&ask(&key, NOW), NOW).await.unwrap();
    vault.provision(&ask(&key, NOW), NOW).await.unwrap();
    vault.remove_credentials(model::Dialect::Widevine, None, NOW).await.unwrap();
    let mut rows = vec![];
    let look = |_: store::AuditHead, entry: &store::AuditEntry| {
        rows.push((entry.actor.clone(), entry.action.clone(), entry.detail.clone()));
        true
    };
    house.store.verify_audit_with(look).await.unwrap();
    let actions: Vec<_> = rows.iter().map(|(_, action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "credentials.imported",
            "credentials.device_list_replaced",
            "device.provisioned",
            "credentials.removed"
        ]
    );
    assert_eq!(rows[0].0, "operator");
    assert!(rows[0].2.contains(&serial), "{rows:?}");

    let mut silent = house.vault();
    silent.audit = crate::vault::audit_writer::AuditWriter::closed();
    let refused = silent.import_widevine(files(), NOW).await;
    assert!(matches!(refused, Err(CredentialError::Keys(_))));
    assert!(house.store.credentials(model::Dialect::Widevine).await.unwrap().is_none());
}
