//! OpenBao, a real server of the transit engine, in its development mode.

use crate::kms::remote::peer::{self, Peer};
use reqwest::{Client, Method};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The token of the root, of every server here.
pub(super) const ROOT: &str = "root-of-tests";

/// How often something is looked for until it is there, and how long it is waited between.
const LOOKS: u32 = 400;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running server, unsealed, with the transit engine mounted.
pub(super) struct Bao {
    peer: Peer,
    folder: tempfile::TempDir,
    client: Client,
    scheme: &'static str,
}

impl Bao {
    /// Starts a server on plain HTTP.
    pub(super) async fn start() -> Option<Self> {
        Self::start_as("http").await
    }

    /// Starts a server with a certificate of its own making.
    pub(super) async fn start_with_tls() -> Option<Self> {
        Self::start_as("https").await
    }

    async fn start_as(scheme: &'static str) -> Option<Self> {
        let tool = peer::find("bao")?;
        let folder = tempfile::tempdir().unwrap();
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        let command = |address| {
            let mut command = Command::new(tool);
            command
                .args(["server", "-dev", "-dev-no-store-token"])
                .arg(format!("-dev-root-token-id={ROOT}"))
                .arg(format!("-dev-listen-address={address}"))
                .env("HOME", folder.path())
                .stdout(said)
                .stderr(Stdio::null());
            if scheme == "https" {
                command
                    .args(["-dev-tls", &format!("-dev-tls-cert-dir={}", folder.path().display())]);
            }
            command
        };
        let peer = match scheme {
            "https" => Peer::start_at(Ipv4Addr::LOCALHOST, command),
            _ => Peer::start(command),
        };
        let client = Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build();
        let bao = Self { peer, folder, client: client.unwrap(), scheme };
        bao.mount_transit().await;
        Some(bao)
    }

    /// It listens before it is unsealed, so the engine is asked for until it is there.
    async fn mount_transit(&self) {
        let mut last = (0, serde_json::Value::Null);
        for _ in 0..LOOKS {
            last = self.ask(Method::POST, "sys/mounts/transit", r#"{"type":"transit"}"#).await;
            // 400: an answer was lost, and the engine is there already.
            if matches!(last.0, 204 | 400) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("no transit engine: {} {}", last.0, last.1);
    }

    /// `scheme://host:port`.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.peer.address)
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.peer.address
    }

    /// Its authority's certificate.
    pub(super) fn ca_file(&self) -> std::path::PathBuf {
        self.folder.path().join("vault-ca.pem")
    }

    /// A folder for files of the test.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The key that unseals it, which it prints some time after it answers.
    pub(super) async fn unseal_key(&self) -> String {
        for _ in 0..LOOKS {
            let said = std::fs::read_to_string(self.folder.path().join("said")).unwrap();
            let whole = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let key = whole.lines().find_map(|line| line.strip_prefix("Unseal Key: "));
            if let Some(key) = key {
                return key.trim().to_owned();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("no unseal key was printed");
    }

    /// Asks as the root; status and body.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> (u16, serde_json::Value) {
        let url = format!("{}/v1/{path}", self.url());
        let request = self.client.request(method, url).header("x-vault-token", ROOT);
        let Ok(answer) = request.body(body.to_owned()).send().await else {
            return (0, serde_json::Value::Null);
        };
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap_or_default();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Makes a key, unless it is there.
    pub(super) async fn make_key(&self, name: &str) {
        let body = r#"{"type":"aes256-gcm96"}"#;
        let (status, said) = self.ask(Method::POST, &format!("transit/keys/{name}"), body).await;
        assert!(matches!(status, 200 | 204), "{status} {said}");
    }

    /// A token that may use one key for this.
    pub(super) async fn token_for(&self, operation: &str, key: &str) -> String {
        let rule =
            format!(r#"path \"transit/{operation}/{key}\" {{ capabilities = [\"update\"] }}"#);
        let body = format!(r#"{{"policy":"{rule}"}}"#);
        self.ask(Method::PUT, "sys/policies/acl/narrow", &body).await;
        let body = r#"{"policies":["narrow"],"no_default_policy":true}"#;
        let (status, made) = self.ask(Method::POST, "auth/token/create", body).await;
        assert_eq!(status, 200, "{made}");
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}
