//! What the player asks of servers: sign-in, a playback's addresses, licenses, media. Who refuses
//! refuses for good: nothing here ends in clear media.

use super::cdm_client::Outgoing;
use super::{Dialect, Failure, Level};
use anyhow::{Context as _, anyhow};
use cdm::MessageKind;
use keys::SystemEntropy;
use model::{ContentId, Scheme};
use serde::Deserialize;
use std::io::Read as _;
use std::time::Duration;
use store::remote::{Answered, Asked, Question, ViewerClient, ViewerError, ViewerSettings};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// Longest answer to a request that is not media, bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Longest password, bytes.
const MAX_PASSWORD: u64 = 1024;

/// A client, and what drives it.
pub struct Web {
    client: ViewerClient,
    runtime: Runtime,
}

/// A viewer of a service.
pub struct Viewer<'a> {
    /// The service's origin, without a slash at its end.
    pub server: &'a str,
    /// Who signs in.
    pub account: &'a str,
    /// What is to be played.
    pub content: &'a ContentId,
}

/// What a token call gives.
pub struct Playback {
    /// Where the license is.
    pub license: LicenseServer,
    /// Where the manifest is.
    pub manifest: String,
    bearer: Zeroizing<String>,
    session: String,
}

/// Where a CDM's messages go.
pub struct LicenseServer {
    /// The license URL.
    pub url: String,
    /// Where messages about a license go that is held, with the viewer's session; absent: to the
    /// license URL, which is of no use where it lives for seconds.
    pub later: Option<(String, Zeroizing<String>)>,
    /// What it speaks.
    pub dialect: Dialect,
}

impl LicenseServer {
    fn address(&self, is_later: bool) -> (&str, Option<&str>) {
        match &self.later {
            Some((url, bearer)) if is_later => (url, Some(bearer.as_str())),
            _ => (&self.url, None),
        }
    }
}

#[derive(Deserialize)]
struct Session {
    token: String,
}

#[derive(Deserialize)]
struct Token {
    session_id: String,
    license: std::collections::BTreeMap<String, String>,
    manifest: Manifests,
}

#[derive(Deserialize)]
struct Manifests {
    dash: String,
    hls: String,
}

impl Web {
    /// A client.
    pub fn new(settings: ViewerSettings, runtime: Runtime) -> Result<Self, Failure> {
        Ok(Self { client: ViewerClient::new(settings).map_err(blame)?, runtime })
    }

    /// Asks once, with the retries of a player.
    pub fn ask(
        &self,
        what: Asked<'_>,
        url: &str,
        bearer: Option<&str>,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        self.answered(what, url, bearer, max_bytes).map(|answered| answered.body)
    }

    fn answered(
        &self,
        what: Asked<'_>,
        url: &str,
        bearer: Option<&str>,
        max_bytes: usize,
    ) -> Result<Answered, Failure> {
        let question = Question { what, url, bearer, max_bytes };
        let mut entropy = SystemEntropy;
        self.runtime.block_on(self.client.ask(&question, &mut entropy)).map_err(blame)
    }

    /// Waits.
    pub fn wait(&self, ms: u64) {
        let sleep = async { tokio::time::sleep(Duration::from_millis(ms)).await };
        self.runtime.block_on(sleep);
    }

    /// Brings a CDM's message to the license server; its answer. `is_later`: the playback has
    /// its first license, and with it the license URL has done its work.
    pub fn license(
        &self,
        server: &LicenseServer,
        message: &Outgoing,
        is_later: bool,
    ) -> Result<Answered, Failure> {
        let is_later = is_later
            || matches!(message.kind, MessageKind::LicenseRenewal | MessageKind::LicenseRelease);
        let (url, bearer) = server.address(is_later);
        let what = match (server.dialect, message.kind) {
            // The application's certificate is there for anyone.
            (Dialect::Fairplay, MessageKind::CertificateRequest) => Asked::Get(None),
            (Dialect::Playready, _) => Asked::Post("text/xml; charset=utf-8", &message.body),
            _ => Asked::Post("application/octet-stream", &message.body),
        };
        self.answered(what, url, bearer, MAX_ANSWER)
    }

    /// Brings several messages of FairPlay at once, in JSON; the answer.
    pub fn licenses_together(
        &self,
        server: &LicenseServer,
        body: &str,
        is_later: bool,
    ) -> Result<Answered, Failure> {
        let (url, bearer) = server.address(is_later);
        self.answered(Asked::Post("application/json", body.as_bytes()), url, bearer, MAX_ANSWER)
    }

    /// Brings a CDM's question to the provisioning server; its answer.
    pub fn provision(&self, url: &str, question: &[u8]) -> Result<Vec<u8>, Failure> {
        self.ask(Asked::Post("application/json", question), url, None, MAX_ANSWER)
    }

    /// Signs in and asks for a playback. The password comes from standard input.
    pub fn start(
        &self,
        viewer: &Viewer<'_>,
        dialect: Dialect,
        level: Level,
        scheme: Option<Scheme>,
    ) -> Result<Playback, Failure> {
        let (Viewer { server, account, content }, spoken) = (viewer, dialect);
        let dialect = spoken.name();
        let password = read_password().map_err(Failure::Environment)?;
        let body = serde_json::json!({ "name": account, "password": password.as_str() });
        let body = Zeroizing::new(body.to_string());
        let what = Asked::Post("application/json", body.as_bytes());
        let answer = self.ask(what, &format!("{server}/api/v1/sessions"), None, MAX_ANSWER)?;
        let bearer = Zeroizing::new(read::<Session>(&answer)?.token);
        // By our own word: it chooses what the manifest lists, and no key.
        let query = format!("dialect={dialect}&level={}", level.name());
        let url = format!("{server}/api/v1/playback/token/{content}?{query}");
        let answer = self.ask(Asked::Get(None), &url, Some(&bearer), MAX_ANSWER)?;
        let Token { session_id, mut license, manifest } = read(&answer)?;
        let url = license
            .remove(dialect)
            .ok_or_else(|| Failure::Refused(anyhow!("the service issues no {dialect} licenses")))?;
        let later = format!("{server}/license/{dialect}?session={session_id}");
        let manifest = match spoken {
            Dialect::Fairplay => manifest.hls,
            Dialect::Widevine | Dialect::Playready | Dialect::Clearkey => manifest.dash,
        };
        // Without a word the service chooses. In playlists we follow no pathways: the own edge has
        // everything.
        let query = match (spoken, scheme) {
            (Dialect::Fairplay, _) => "?steering=off".to_owned(),
            (_, Some(scheme)) => format!("?scheme={scheme}"),
            (_, None) => String::new(),
        };
        Ok(Playback {
            license: LicenseServer { url, later: Some((later, bearer.clone())), dialect: spoken },
            manifest: format!("{manifest}{query}"),
            bearer,
            session: session_id,
        })
    }

    /// Tells the service that this device keeps a title no more, for a system whose devices have
    /// no message for it.
    pub fn forget(&self, viewer: &Viewer<'_>, playback: &Playback) -> Result<(), Failure> {
        let url = format!("{}/api/v1/offline/{}", viewer.server, viewer.content);
        self.ask(Asked::Delete, &url, Some(&playback.bearer), MAX_ANSWER).map(drop)
    }

    /// Gives the stream back and signs out, so that the sign-in takes no device's place. A service
    /// that does not hear it ends both by itself.
    pub fn end(&self, server: &str, playback: &Playback) {
        let stream = format!("{server}/api/v1/playback/{}", playback.session);
        for url in [stream, format!("{server}/api/v1/sessions")] {
            if let Err(failure) = self.ask(Asked::Delete, &url, Some(&playback.bearer), MAX_ANSWER)
            {
                tracing::warn!(error = %failure.into_error(), "the playback was not ended");
            }
        }
    }
}

fn read<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, Failure> {
    let read = serde_json::from_slice(answer).context("the service's answer is not understood");
    read.map_err(Failure::Refused)
}

fn read_password() -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text)?;
    let password = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    anyhow::ensure!(!password.is_empty(), "standard input holds no password");
    Ok(password)
}

/// A no, or no answer, is a refusal; wrong use is ours.
fn blame(error: ViewerError) -> Failure {
    match error {
        ViewerError::Url(_) | ViewerError::Settings(_) => Failure::environment(error),
        ViewerError::Refused { .. } | ViewerError::Unavailable { .. } | ViewerError::TooLong => {
            Failure::refused(error)
        }
    }
}
