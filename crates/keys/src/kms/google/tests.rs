//! The promises of every back end, asked of a stand-in of our own: Google's service itself is not
//! reached by tests.

use super::stand_in::StandIn;
use super::{GoogleKms, GoogleSettings, is_key_name};
use crate::SystemEntropy;
use crate::kek::Kek;
use crate::kms::conformance::{Bench, context, film, keeps_its_promises, opened};
use crate::kms::remote::RemoteRefused;
use crate::kms::remote::fault_proxy::FaultProxy;
use crate::kms::remote::promises::{SHORT, survives_every_fault};
use crate::kms::{Kms, KmsError};
use model::Timestamp;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NOW_S: u64 = 1_800_000_000;

fn key(name: &str) -> String {
    format!("projects/p/locations/global/keyRings/r/cryptoKeys/{name}")
}

/// The stand-in, a clock, and a folder with the account's file.
struct House {
    google: StandIn,
    now_s: Arc<AtomicU64>,
    folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let (google, folder) = (StandIn::start().await, tempfile::tempdir().unwrap());
        google.make_key(&key("root"));
        let house = Self { google, now_s: Arc::new(AtomicU64::new(NOW_S)), folder };
        std::fs::write(house.account(), house.google.account_file()).unwrap();
        house.set_mode(0o600);
        house
    }

    fn account(&self) -> PathBuf {
        self.folder.path().join("account.json")
    }

    fn set_mode(&self, mode: u32) {
        std::fs::set_permissions(self.account(), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn settings(&self, name: &str) -> GoogleSettings {
        let url = format!("http://{}", self.google.address);
        let now_s = Arc::clone(&self.now_s);
        GoogleSettings {
            key: key(name),
            credentials_file: Some(self.account()),
            endpoint: Some(url.clone()),
            metadata: Some(url),
            deadline: Duration::from_secs(20),
            now: Arc::new(move || Timestamp(now_s.load(Ordering::SeqCst) * 1000)),
        }
    }

    async fn wrap(&self, kms: &GoogleKms) -> Result<Vec<u8>, KmsError> {
        kms.wrap(&Kek::generate(&mut SystemEntropy), &context(&film())).await
    }
}

impl Bench for House {
    async fn open(&self, name: &str) -> Arc<dyn Kms> {
        self.google.make_key(&key(name));
        Arc::new(GoogleKms::open(self.settings(name)).await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn google_kms_keeps_its_promises_on_a_stand_in_and_survives_every_fault() {
    let house = House::new().await;
    keeps_its_promises(&house).await;
    let proxy = FaultProxy::before(&house.google.address).await;
    let endpoint = Some(proxy.url.clone());
    let slow = GoogleSettings { endpoint, deadline: SHORT, ..house.settings("root") };
    survives_every_fault(&GoogleKms::new(slow).unwrap(), &proxy).await;
}

#[tokio::test]
async fn a_token_is_signed_once_an_hour_and_anew_when_it_is_revoked() {
    let house = House::new().await;
    let kms = GoogleKms::open(house.settings("root")).await.unwrap();
    let later = |seconds| house.now_s.store(NOW_S + seconds, Ordering::SeqCst);
    for (seconds, tokens) in [(0, 1), (3299, 1), (3300, 2), (6599, 2), (6600, 3)] {
        later(seconds);
        house.wrap(&kms).await.unwrap();
        assert_eq!(house.google.tokens_seen(), tokens, "after {seconds} s");
    }
    house.google.revoke_until(NOW_S + 6600);
    later(6700);
    assert_eq!(house.wrap(&kms).await, Err(KmsError::Refused), "shown once");
    assert!(house.wrap(&kms).await.is_ok(), "and never again");
}

#[tokio::test]
async fn the_machines_account_needs_no_file() {
    let house = House::new().await;
    let settings = GoogleSettings { credentials_file: None, ..house.settings("root") };
    let kms = GoogleKms::open(settings.clone()).await.unwrap();
    house.wrap(&kms).await.unwrap();
    assert_eq!(house.google.tokens_seen(), 1);
    let metadata = Some("http://127.0.0.1:1".to_owned());
    let kms = GoogleKms::new(GoogleSettings { metadata, ..settings }).unwrap();
    assert_eq!(house.wrap(&kms).await, Err(KmsError::Unavailable));
}

#[tokio::test]
async fn what_google_says_is_told_apart() {
    let house = House::new().await;
    let kms = GoogleKms::open(house.settings("root")).await.unwrap();
    let wrapped = house.wrap(&kms).await.unwrap();
    for (status, name, wrap, unwrap) in [
        (400, "INVALID_ARGUMENT", KmsError::Refused, KmsError::Integrity),
        (400, "FAILED_PRECONDITION", KmsError::Refused, KmsError::Refused),
        (403, "PERMISSION_DENIED", KmsError::Refused, KmsError::Refused),
        (404, "NOT_FOUND", KmsError::Refused, KmsError::Refused),
        (429, "RESOURCE_EXHAUSTED", KmsError::Unavailable, KmsError::Unavailable),
        (500, "INTERNAL", KmsError::Unavailable, KmsError::Unavailable),
        (503, "UNAVAILABLE", KmsError::Unavailable, KmsError::Unavailable),
    ] {
        house.google.refuse_with(Some((status, name)));
        assert_eq!(house.wrap(&kms).await, Err(wrap), "{name}");
        let refused = opened(&kms, &wrapped, &context(&film())).await.unwrap_err();
        assert_eq!(refused, unwrap, "{name}");
    }
    house.google.refuse_with(None);
    assert!(opened(&kms, &wrapped, &context(&film())).await.is_ok());
}

#[tokio::test]
async fn files_and_names_that_are_none_are_refused() {
    let house = House::new().await;
    house.set_mode(0o644);
    let refused = GoogleKms::new(house.settings("root")).err().unwrap();
    assert!(matches!(refused, RemoteRefused::Permissions(_)), "{refused}");
    house.set_mode(0o600);
    for text in ["", "{}", r#"{"client_email":"a","private_key":"SECRET"}"#] {
        std::fs::write(house.account(), text).unwrap();
        let refused = GoogleKms::new(house.settings("root")).err().unwrap().to_string();
        assert!(refused.contains("service account's file"), "{refused}");
        assert!(!refused.contains("SECRET"), "{refused}");
    }
    assert!(is_key_name(&key("root")));
    assert!(is_key_name("projects/google.com:p/locations/l/keyRings/r/cryptoKeys/k"));
    for bad in
        ["", "root", &key(""), &key(".."), &key("a/b"), &key("a?b"), &format!("/{}", key("k"))]
    {
        assert!(!is_key_name(bad), "{bad}");
    }
}
