//! PlayReady's and FairPlay's credentials: sealed at rest as Widevine's, replaced while they run,
//! and nothing that is for tests only in production.

use super::*;
use crate::config::Mode;
use crate::vault::{CredentialError, FairPlayFiles, PlayReadyFiles, Unusable};
use crate::vault_link::LicenseRefused;
use dialect::{fairplay, playready};
use model::Dialect;

/// A folder with these files.
pub(super) fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn playready_files(root: &playready::test_root::TestRoot) -> PlayReadyFiles {
    PlayReadyFiles::read(folder_of(&root.files()).path()).unwrap()
}

fn fairplay_files(root: &fairplay::test_root::TestRoot) -> FairPlayFiles {
    FairPlayFiles::read(folder_of(&root.files()).path()).unwrap()
}

#[tokio::test]
async fn private_keys_are_sealed_at_rest_and_known_to_the_search_for_leaks() {
    let house = House::new().await;
    let vault = house.vault();
    let pr = playready::test_root::TestRoot::make(&mut SystemEntropy);
    let fp = fairplay::test_root::TestRoot::make(&mut SystemEntropy);
    vault.import_playready(playready_files(&pr), NOW).await.unwrap();
    let serial = vault.import_fairplay(fairplay_files(&fp), NOW).await.unwrap().serial;
    assert_eq!(serial.len(), 40, "a SHA-1");
    let secrets = vault.credential_secrets().await.unwrap();
    assert_eq!(secrets.len(), 4, "two keys of PlayReady's, key and secret of FairPlay's");
    let at_rest: Vec<u8> = std::fs::read_dir(house.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    let holds = |part: &[u8]| at_rest.windows(part.len()).any(|window| window == part);
    assert!(holds(&fp.certificate) && holds(&pr.signing_chain), "the search finds what is public");
    assert!(!holds(b"PRIVATE KEY") && !holds(fp.secret_hex.as_bytes()));
    // What is searched for is in the files that were imported, and not in the store.
    let in_files = [
        pr.wmrm_private_pem.as_bytes(),
        pr.signing_private_pem.as_bytes(),
        fp.private_pem.as_bytes(),
        fp.secret_hex.as_bytes(),
    ];
    for (name, part) in &secrets {
        assert!(part.len() >= 16 && !holds(part), "{name}");
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &**part);
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_in = |file: &&[u8]| {
            [text.as_bytes(), hex.as_bytes(), part]
                .into_iter()
                .any(|part| file.windows(part.len()).any(|window| window == part))
        };
        assert!(in_files.iter().any(is_in), "{name}");
    }
    let rows = vault.credentials().await.unwrap();
    let current = |dialect| rows.iter().filter(|r| r.dialect == dialect && r.is_current).count();
    assert_eq!((current(Dialect::PlayReady), current(Dialect::FairPlay)), (2, 1));
}

#[tokio::test]
async fn another_folder_takes_the_place_of_playreadys_and_stands_beside_fairplays() {
    let house = House::new().await;
    let (operator, running) = (house.vault(), house.vault());
    let pr = [(); 2].map(|()| playready::test_root::TestRoot::make(&mut SystemEntropy));
    let fp = [(); 2].map(|()| fairplay::test_root::TestRoot::make(&mut SystemEntropy));
    let first = operator.import_playready(playready_files(&pr[0]), NOW).await.unwrap();
    let again = operator.import_playready(playready_files(&pr[0]), NOW).await.unwrap();
    assert_eq!(again, first);
    let other = operator.import_playready(playready_files(&pr[1]), NOW).await.unwrap();
    assert!(other.is_new_root && other.older == 0);
    let refused = operator.remove_credentials(Dialect::PlayReady, Some("00"), NOW).await;
    assert!(matches!(refused, Err(CredentialError::SerialUnknown(_))));
    let first = operator.import_fairplay(fairplay_files(&fp[0]), NOW).await.unwrap();
    let second = operator.import_fairplay(fairplay_files(&fp[1]), NOW).await.unwrap();
    assert_eq!((second.older, second.is_new_root), (1, false));
    running.look_at_credentials(NOW).await;
    let handed_out = || running.service_certificate(Dialect::FairPlay).unwrap();
    assert_eq!(handed_out(), Some(fp[1].certificate.clone()));
    operator.remove_credentials(Dialect::FairPlay, Some(&second.serial), NOW).await.unwrap();
    running.look_at_credentials(NOW).await;
    assert_eq!(handed_out(), Some(fp[0].certificate.clone()));
    let refused = operator.remove_credentials(Dialect::FairPlay, Some(&first.serial), NOW).await;
    assert!(matches!(refused, Err(CredentialError::OnlyService)));
    for dialect in [Dialect::PlayReady, Dialect::FairPlay] {
        operator.remove_credentials(dialect, None, NOW).await.unwrap();
        running.look_at_credentials(NOW).await;
        assert!(!running.answers(dialect));
    }
}

#[tokio::test]
async fn a_stand_in_neither_enters_production_nor_serves_there() {
    let house = House::new().await;
    let root = fairplay::test_root::TestRoot::make(&mut SystemEntropy);
    let production = || house.vault().in_mode(Mode::Production);
    let refused = production().import_fairplay(fairplay_files(&root), NOW).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.starts_with("d_function: standin-d-v1 is for tests only"), "{said}");
    assert!(house.store.credentials(Dialect::FairPlay).await.unwrap().is_none());

    house.vault().import_fairplay(fairplay_files(&root), NOW).await.unwrap();
    let vault = production();
    let refused = vault.refuse_test_credentials(NOW).await;
    assert!(matches!(refused, Err(Unusable::TestOnly(_))));
    vault.look_at_credentials(NOW).await;
    let none = vault.service_certificate(Dialect::FairPlay);
    assert_eq!(none, Err(LicenseRefused::Integrity));
    assert!(house.vault().refuse_test_credentials(NOW).await.is_ok());
}
