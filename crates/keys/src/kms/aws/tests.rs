//! The promises of every back end, asked of moto, which stands for AWS KMS; what moto does not
//! do as AWS does, by answers as AWS documents them.

use super::credentials::Credentials;
use super::{AwsKms, AwsSettings};
use crate::SystemEntropy;
use crate::kek::Kek;
use crate::kms::conformance::{Bench, context, film, keeps_its_promises, opened};
use crate::kms::remote::fault_proxy::{FaultProxy, read_message, with_status};
use crate::kms::remote::peer::{self, Peer};
use crate::kms::remote::promises::{SHORT, survives_every_fault};
use crate::kms::{Kms, KmsError};
use object_store::aws::AmazonS3Builder;
use serde::Deserialize;
use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const REGION: &str = "eu-west-1";

fn credentials() -> Credentials {
    let builder = AmazonS3Builder::new().with_access_key_id("id").with_secret_access_key("secret");
    Credentials::of(builder.with_token("session"), Some(REGION.to_owned())).unwrap()
}

fn at(url: &str, key_id: &str, deadline: Duration) -> AwsKms {
    let (key_id, endpoint, region) = (key_id.to_owned(), Some(url.to_owned()), None);
    AwsKms::new(AwsSettings { key_id, region, endpoint, deadline }, credentials()).unwrap()
}

fn moto() -> Option<Peer> {
    let packages = peer::find("moto")?;
    Some(Peer::start(|address| {
        let mut command = Command::new("python3");
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        command.args(["-m", "moto.server", "-H", &host, "-p", &port]);
        command.env("PYTHONPATH", packages).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }))
}

/// Has a key made.
async fn make_key(url: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Made {
        key_metadata: KeyMetadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct KeyMetadata {
        key_id: String,
    }
    let maker = at(url, "none", Duration::from_secs(20));
    let made = maker.call("CreateKey", &HashMap::<&str, &str>::new()).await.unwrap();
    made.json::<Made>().unwrap().key_metadata.key_id
}

struct Keys {
    url: String,
    by_name: tokio::sync::Mutex<HashMap<String, String>>,
}

impl Bench for Keys {
    async fn open(&self, name: &str) -> Arc<dyn Kms> {
        let mut by_name = self.by_name.lock().await;
        if !by_name.contains_key(name) {
            by_name.insert(name.to_owned(), make_key(&self.url).await);
        }
        Arc::new(at(&self.url, &by_name[name], Duration::from_secs(20)))
    }

    /// To a ciphertext of another key moto says `AccessDeniedException`, where AWS says
    /// `IncorrectKeyException`: the next test has that.
    fn refusals(&self) -> &[KmsError] {
        &[KmsError::Integrity, KmsError::Refused]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_kms_keeps_its_promises_on_moto_and_survives_every_fault() {
    let Some(moto) = moto() else { return };
    let url = format!("http://{}", moto.address);
    keeps_its_promises(&Keys { url: url.clone(), by_name: tokio::sync::Mutex::default() }).await;
    let proxy = FaultProxy::before(&moto.address).await;
    let key = make_key(&url).await;
    survives_every_fault(&at(&proxy.url, &key, SHORT), &proxy).await;
    let refused = at(&url, "no-such-key", Duration::from_secs(20));
    let outcome = refused.wrap(&Kek::generate(&mut SystemEntropy), &context(&film())).await;
    assert_eq!(outcome, Err(KmsError::Refused));
}

/// A server that gives each request the same answer and keeps the last one.
async fn saying(status: u16, body: String) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heard, said) = (Arc::new(Mutex::new(vec![])), with_status(status, body.as_bytes()));
    let keep = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Some(request) = read_message(&mut client).await else { continue };
            *keep.lock().unwrap() = request;
            drop(client.write_all(&said).await);
        }
    });
    (url, heard)
}

#[tokio::test]
async fn what_aws_says_is_told_apart() {
    for (status, kind, expected) in [
        (400, "InvalidCiphertextException", KmsError::Integrity),
        (400, "IncorrectKeyException", KmsError::Integrity),
        (400, "com.amazonaws.kms#InvalidCiphertextException", KmsError::Integrity),
        (400, "AccessDeniedException", KmsError::Refused),
        (400, "DisabledException", KmsError::Refused),
        (400, "KMSInvalidStateException", KmsError::Refused),
        (400, "NotFoundException", KmsError::Refused),
        (400, "UnrecognizedClientException", KmsError::Refused),
        (403, "SignatureDoesNotMatch", KmsError::Refused),
        (400, "ThrottlingException", KmsError::Unavailable),
        (400, "LimitExceededException", KmsError::Unavailable),
        (400, "ExpiredTokenException", KmsError::Unavailable),
        (500, "DependencyTimeoutException", KmsError::Unavailable),
        (500, "KMSInternalException", KmsError::Unavailable),
        (500, "KeyUnavailableException", KmsError::Unavailable),
        (503, "", KmsError::Unavailable),
        (400, "", KmsError::Refused),
    ] {
        let (url, _) = saying(status, format!(r#"{{"__type":"{kind}","message":"m"}}"#)).await;
        let kms = at(&url, "key", Duration::from_secs(20));
        let outcome = opened(&kms, &[1, 2, 3], &context(&film())).await.unwrap_err();
        assert_eq!(outcome, expected, "{status} {kind}");
    }
}

#[tokio::test]
async fn a_call_is_signed_and_names_key_and_context() {
    let (url, heard) = saying(400, "{}".to_owned()).await;
    let kms = at(&url, "alias/strongroom", Duration::from_secs(20));
    let kek = Kek::generate(&mut SystemEntropy);
    assert_eq!(kms.wrap(&kek, &context(&film())).await, Err(KmsError::Refused));
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    for line in ["x-amz-target: trentservice.encrypt", "content-type: application/x-amz-json-1.1"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    // Every x-amz header is signed, the session's token too.
    let signed = "signedheaders=content-type;host;x-amz-content-sha256;x-amz-date;\
        x-amz-security-token;x-amz-target,";
    assert!(head.contains(signed), "{head}");
    assert!(head.contains(&format!("/{REGION}/kms/aws4_request")), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["KeyId"], "alias/strongroom");
    let facts = serde_json::json!({
        "purpose": "strongroom kek 1", "tenant": "default", "category": "film", "version": "1",
    });
    assert_eq!(body["EncryptionContext"], facts);
}

#[tokio::test]
async fn without_credentials_the_kms_is_away_within_the_deadline() {
    // The address of nobody: a connection to it is refused or hangs.
    let builder = AmazonS3Builder::new().with_metadata_endpoint("http://127.0.0.1:1");
    let credentials = Credentials::of(builder, Some(REGION.to_owned())).unwrap();
    let endpoint = Some("http://127.0.0.1:1".to_owned());
    let settings = AwsSettings { key_id: "k".to_owned(), region: None, endpoint, deadline: SHORT };
    let kms = AwsKms::new(settings, credentials).unwrap();
    let begun = tokio::time::Instant::now();
    let kek = Kek::generate(&mut SystemEntropy);
    assert_eq!(kms.wrap(&kek, &context(&film())).await, Err(KmsError::Unavailable));
    assert!(begun.elapsed() < Duration::from_secs(3));
}
