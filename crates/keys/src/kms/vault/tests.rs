//! The promises of every back end, asked of OpenBao itself.

use super::bao::{Bao, ROOT};
use super::{VaultKms, VaultSettings, VaultToken, read_ciphertext};
use crate::SystemEntropy;
use crate::context::KekContext;
use crate::kek::Kek;
use crate::kms::conformance::{Bench, context, film, keeps_its_promises, opened};
use crate::kms::remote::RemoteRefused;
use crate::kms::remote::fault_proxy::FaultProxy;
use crate::kms::remote::promises::{SHORT, survives_every_fault};
use crate::kms::{Kms, KmsError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

fn token(text: &str) -> VaultToken {
    VaultToken::Text(Zeroizing::new(text.to_owned()))
}

fn settings(url: &str, key: &str) -> VaultSettings {
    VaultSettings {
        address: url.to_owned(),
        mount: "transit".to_owned(),
        key: key.to_owned(),
        token: token(ROOT),
        namespace: None,
        ca_file: None,
        deadline: Duration::from_secs(20),
    }
}

impl Bench for Bao {
    async fn open(&self, name: &str) -> Arc<dyn Kms> {
        self.make_key(name).await;
        Arc::new(VaultKms::open(settings(&self.url(), name)).await.unwrap())
    }
}

async fn wrapped_by(kms: &VaultKms) -> Vec<u8> {
    kms.wrap(&Kek::generate(&mut SystemEntropy), &context(&film())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_keeps_its_promises_on_openbao_and_survives_every_fault() {
    let Some(bao) = Bao::start().await else { return };
    keeps_its_promises(&bao).await;
    let proxy = FaultProxy::before(bao.address()).await;
    let slow = VaultSettings { deadline: SHORT, ..settings(&proxy.url, "root") };
    survives_every_fault(&VaultKms::new(slow).unwrap(), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_server_is_away_and_an_unsealed_one_is_back() {
    let Some(bao) = Bao::start().await else { return };
    bao.make_key("root").await;
    let kms = VaultKms::open(settings(&bao.url(), "root")).await.unwrap();
    let wrapped = wrapped_by(&kms).await;
    assert_eq!(bao.ask(Method::PUT, "sys/seal", "").await.0, 204);
    let refused = opened(&kms, &wrapped, &context(&film())).await.unwrap_err();
    assert_eq!(refused, KmsError::Unavailable);
    // A service may start while it is sealed.
    assert!(VaultKms::open(settings(&bao.url(), "root")).await.is_ok());
    let key = format!(r#"{{"key":"{}"}}"#, bao.unseal_key().await);
    assert_eq!(bao.ask(Method::PUT, "sys/unseal", &key).await.0, 200);
    let back = tokio::time::timeout(Duration::from_secs(5), async {
        while opened(&kms, &wrapped, &context(&film())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(back.await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_token_may_not_is_refused_and_a_new_token_in_the_file_is_taken_up() {
    let Some(bao) = Bao::start().await else { return };
    bao.make_key("root").await;
    let file = bao.folder().join("token");
    let write = |text: &str| {
        std::fs::write(&file, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    };
    write(ROOT);
    let of_file =
        |key| VaultSettings { token: VaultToken::File(file.clone()), ..settings(&bao.url(), key) };
    let kms = VaultKms::open(of_file("root")).await.unwrap();
    let wrapped = wrapped_by(&kms).await;
    let context_of_film = film();
    let open = async || opened(&kms, &wrapped, &context(&context_of_film)).await;

    write(&bao.token_for("encrypt", "root").await);
    assert_eq!(open().await.unwrap_err(), KmsError::Refused, "it may wrap only");
    assert!(matches!(VaultKms::open(of_file("root")).await, Err(RemoteRefused::Refused)));
    write("no-token-of-its");
    assert_eq!(open().await.unwrap_err(), KmsError::Refused);
    write(ROOT);
    assert!(open().await.is_ok());

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(VaultKms::open(of_file("root")).await, Err(RemoteRefused::Permissions(_))));
    assert_eq!(open().await.unwrap_err(), KmsError::Refused, "a token that all may read");
    write(ROOT);
    assert_eq!(
        bao.ask(Method::POST, "transit/keys/root/config", r#"{"deletion_allowed":true}"#).await.0,
        200
    );
    bao.ask(Method::DELETE, "transit/keys/root", "").await;
    assert_eq!(open().await.unwrap_err(), KmsError::Refused, "the key is gone");
    let elsewhere = VaultSettings { mount: "nowhere".to_owned(), ..of_file("root") };
    assert!(matches!(VaultKms::open(elsewhere).await, Err(RemoteRefused::Refused)));
}

/// The server itself refuses another context: not only the parcel's check.
#[tokio::test(flavor = "multi_thread")]
async fn openbao_binds_the_context_and_old_versions_of_the_key_open() {
    let Some(bao) = Bao::start().await else { return };
    bao.make_key("root").await;
    let kms = VaultKms::open(settings(&bao.url(), "root")).await.unwrap();
    let old = wrapped_by(&kms).await;
    assert_eq!(old[..5], [1, 0, 0, 0, 1]);
    let film = film();
    let other = KekContext { tenant: "other", ..context(&film) };
    for (context, expected) in [(context(&film), 200), (other, 400)] {
        let ciphertext = format!("vault:v1:{}", STANDARD.encode(&old[5..]));
        let associated = STANDARD.encode(context.aad());
        let body = serde_json::json!({"ciphertext": ciphertext, "associated_data": associated});
        let (status, said) = bao.ask(Method::POST, "transit/decrypt/root", &body.to_string()).await;
        assert_eq!(status, expected, "{said}");
    }
    assert_eq!(bao.ask(Method::POST, "transit/keys/root/rotate", "").await.0, 200);
    assert_eq!(wrapped_by(&kms).await[..5], [1, 0, 0, 0, 2], "the wrapped KEK names its version");
    assert!(opened(&kms, &old, &context(&film)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_named_authority_is_trusted_and_no_other() {
    let Some(bao) = Bao::start_with_tls().await else { return };
    bao.make_key("root").await;
    let ca_file = Some(bao.ca_file());
    let kms = VaultKms::open(VaultSettings { ca_file, ..settings(&bao.url(), "root") }).await;
    wrapped_by(&kms.unwrap()).await;
    // Its authority is none of the system's.
    let kms = VaultKms::new(settings(&bao.url(), "root")).unwrap();
    let kek = Kek::generate(&mut SystemEntropy);
    assert_eq!(kms.wrap(&kek, &context(&film())).await, Err(KmsError::Unavailable));
    let missing = Some(bao.folder().join("missing.pem"));
    let refused = VaultKms::new(VaultSettings { ca_file: missing, ..settings(&bao.url(), "root") });
    assert!(matches!(refused, Err(RemoteRefused::File { .. })));
}

#[tokio::test]
async fn settings_that_lead_elsewhere_are_refused() {
    let refused = |settings| VaultKms::new(settings).err().unwrap().to_string();
    for key in ["", "..", "a/b", "a?b", "a b", "%2e%2e"] {
        assert!(refused(settings("https://v.example", key)).contains("letters"), "{key}");
    }
    for mount in ["", "/transit", "a/../sys", "transit/"] {
        let settings =
            VaultSettings { mount: mount.to_owned(), ..settings("https://v.example", "k") };
        assert!(refused(settings).contains("letters"), "{mount}");
    }
    for address in ["v.example", "https://user:word@v.example", "file:///etc"] {
        assert!(refused(settings(address, "k")).contains("no address"), "{address}");
    }
    for text in ["", " ", "a\nb"] {
        let settings = VaultSettings { token: token(text), ..settings("https://v.example", "k") };
        assert!(refused(settings).contains("token"), "{text:?}");
    }
}

#[test]
fn a_ciphertext_is_read_as_the_server_writes_it() {
    assert_eq!(read_ciphertext("vault:v12:AAEC"), Some((12, vec![0, 1, 2])));
    for bad in [
        "",
        "vault:v1",
        "vault:v1:",
        "vault:1:AAEC",
        "vault:v0:AAEC",
        "vault:v1:AAEC=",
        "vault:v-1:AAEC",
        "x:v1:AAEC",
    ] {
        assert_eq!(read_ciphertext(bad), None, "{bad}");
    }
}
