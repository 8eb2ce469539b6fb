//! A service on a store of its own, with a clock that stands and seeded entropy.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use dialect::widevine::test_root::TestRoot;
use dialect::{fairplay, playready};
use keys::key_file;
use model::{
    AccountId, CategoryName, ContentId, Entropy, KeyId, PackageId, Plan, PlanAccess, PlanName,
    RegionRule, Timestamp, Title, TitlePolicy, TitleState,
};
use serde_json::{Value, json};
use server::clock::Clock;
use server::entropy::EntropySource;
use server::http::router::router;
use server::vault::{FairPlayFiles, PlayReadyFiles, Vault, WidevineFiles, exchange};
use server::{Config, Home, Service};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::objects::Folder;
use tower::ServiceExt as _;

/// When every test begins.
pub const NOW: Timestamp = Timestamp(1_800_000_000_500);
/// How viewers reach the service.
pub const ORIGIN: &str = "http://tv.example";
/// The password of every account.
pub const PASSWORD: &str = "correct horse battery staple";

/// The service and the doors behind it.
pub struct House {
    pub service: Arc<Service>,
    pub store: Store,
    pub vault: Arc<Vault>,
    pub objects: Folder,
    pub clock: Clock,
    router: Router,
    _folder: tempfile::TempDir,
}

/// Bytes that look random and are the same in every run.
struct Seeded(u64);

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (word ^ (word >> 31)).to_le_bytes()[0];
        }
    }
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a refusal as every one must look, and its code; one to a PlayReady client is a fault.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: &str) {
        if self.header("content-type").starts_with("text/xml") {
            return self.assert_fault(status, code);
        }
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:strongroom:problem:{code}"));
        assert_eq!(problem["correlation_id"], self.header("x-correlation-id"));
        assert_eq!(self.header("x-correlation-id").len(), 32);
        assert!(problem["detail"].as_str().unwrap().ends_with('.'), "{problem}");
        assert_eq!(status == 503 || status == 429, !self.header("retry-after").is_empty());
    }

    /// Asserts a refusal as a PlayReady client reads it.
    #[track_caller]
    pub fn assert_fault(&self, status: u16, code: &str) {
        let text = self.text();
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.header("content-type"), "text/xml; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-strongroom-code"), code);
        assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
        assert!(text.contains(&format!("<faultstring>{code}: ")), "{text}");
        let id = self.header("x-correlation-id");
        assert!(text.contains(&format!("<CorrelationId>{id}</CorrelationId>")), "{text}");
        assert_eq!(id.len(), 32);
    }

    #[track_caller]
    pub fn assert_granted(&self) {
        assert!(self.status.is_success(), "{} {}", self.status, self.text());
        assert_eq!(self.header("x-correlation-id").len(), 32);
    }
}

impl House {
    pub async fn new() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// With other settings, and with another home than the settings make.
    pub async fn with(edit: impl FnOnce(&mut Config), rebuild: impl FnOnce(&mut Home)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data: folder.path().to_owned(), ..Config::default() };
        edit(&mut config);
        Self::start(config, Clock::fixed(NOW), Seeded(1), folder, rebuild).await
    }

    /// The same home in another process, as after a restart.
    pub async fn started_again(&self) -> Self {
        let config = Config { data: self.folder().to_owned(), ..Config::default() };
        let own = tempfile::tempdir().unwrap();
        Self::start(config, self.clock.clone(), Seeded(2), own, |_| {}).await
    }

    async fn start(
        config: Config,
        clock: Clock,
        seed: Seeded,
        folder: tempfile::TempDir,
        rebuild: impl FnOnce(&mut Home),
    ) -> Self {
        let entropy = EntropySource::new(seed);
        let mut home = Home::open_with(&config, clock.clone(), entropy).await.unwrap();
        rebuild(&mut home);
        let (store, vault) = (home.store.clone(), Arc::clone(&home.vault));
        let objects = home.objects.clone();
        let service = Service::start(home).await.unwrap();
        let shares = service.ground.config.shares_listener();
        let beside = if shares { exchange::routes(Arc::clone(&vault)) } else { Router::new() };
        let router = router(Arc::clone(&service), beside);
        Self { service, store, vault, objects, clock, router, _folder: folder }
    }

    pub fn folder(&self) -> &std::path::Path {
        self._folder.path()
    }

    /// Adds a plan.
    pub async fn plan(&self, name: &str, includes_streaming: bool, max_streams: u32) -> PlanName {
        let name = PlanName::parse(name).unwrap();
        let (max_offline, max_devices) = (Plan::MAX_OFFLINE, 1000);
        let name_of = name.clone();
        let plan =
            Plan { name: name_of, includes_streaming, max_streams, max_offline, max_devices };
        self.store.put_plan(&plan).await.unwrap();
        name
    }

    /// Adds an account on a plan.
    pub async fn account(&self, name: &str, plan: &str) -> AccountId {
        let entropy = &self.service.ground.entropy;
        let account = model::Account {
            id: entropy.with(AccountId::random),
            name: name.to_owned(),
            plan: PlanName::parse(plan).unwrap(),
            subscription: model::Subscription::Active,
        };
        let hash = server::front::password::hash(PASSWORD.as_bytes(), entropy);
        self.store.insert_account(&account, &hash, self.clock.now()).await.unwrap();
        account.id
    }

    /// The account that signs in with this name.
    pub async fn account_id(&self, name: &str) -> AccountId {
        self.store.account_by_name(name).await.unwrap().unwrap().0.id
    }

    /// Publishes a title that every plan includes, with an AUDIO, an SD and an HD key.
    pub async fn title(&self, name: &str) -> Title {
        let title = Title {
            content_id: ContentId::parse(name).unwrap(),
            name: name.to_owned(),
            category: CategoryName::parse("default").unwrap(),
            policy: TitlePolicy::default(),
            access: PlanAccess::Every,
            regions: RegionRule::Everywhere,
            state: TitleState::Published { package: PackageId::from_bytes([7; 16]) },
        };
        self.store.put_title(&title).await.unwrap();
        let keys: Vec<Value> = ["AUDIO", "SD", "HD"]
            .into_iter()
            .map(|label| {
                let kid = kid(name, label);
                let key = KeyId::from_bytes(kid.as_bytes().map(|byte| !byte));
                json!({
                    "content_id": name, "kid": kid.to_string(), "key": key.to_string(),
                    "label": label, "scheme": "cbcs",
                })
            })
            .collect();
        let keys = key_file::parse(Value::from(keys).to_string().as_bytes()).unwrap();
        self.vault.import_keys(keys, self.clock.now()).await.unwrap();
        title
    }

    /// Imports a root of one's own, as an operator does.
    pub async fn import_widevine(&self, root: &TestRoot) {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in root.files() {
            std::fs::write(folder.path().join(name), contents).unwrap();
        }
        let files = WidevineFiles::read(folder.path()).unwrap();
        self.vault.import_widevine(files, self.clock.now()).await.unwrap();
        self.vault.look_at_credentials(self.clock.now()).await;
    }

    /// Imports a PlayReady root of one's own, as an operator does.
    pub async fn import_playready(&self, root: &playready::test_root::TestRoot) {
        let files = PlayReadyFiles::read(folder_of(&root.files()).path()).unwrap();
        self.vault.import_playready(files, self.clock.now()).await.unwrap();
        self.vault.look_at_credentials(self.clock.now()).await;
    }

    /// Imports a FairPlay application of one's own, as an operator does.
    pub async fn import_fairplay(&self, root: &fairplay::test_root::TestRoot) {
        let files = FairPlayFiles::read(folder_of(&root.files()).path()).unwrap();
        self.vault.import_fairplay(files, self.clock.now()).await.unwrap();
        self.vault.look_at_credentials(self.clock.now()).await;
    }

    /// Replaces the device list.
    pub async fn put_device_list(&self, list: &str) {
        self.vault.replace_device_list(list, self.clock.now()).await.unwrap();
        self.vault.look_at_credentials(self.clock.now()).await;
    }

    /// Account `ada`, title `film`.
    pub async fn furnished() -> Self {
        let house = Self::new().await;
        house.account("ada", "standard").await;
        house.title("film").await;
        house
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        self.send_from("198.51.100.7:40000", request).await
    }

    pub async fn send_from(&self, peer: &str, mut request: Request<Body>) -> Reply {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, "tv.example".parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.unwrap().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(get(path).body(Body::empty()).unwrap()).await
    }

    /// Signs in and returns the session token.
    pub async fn sign_in(&self, name: &str) -> String {
        let reply =
            self.send(post("/api/v1/sessions", &json!({"name": name, "password": PASSWORD}))).await;
        reply.assert_granted();
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    /// A request in the name of someone who signed in.
    pub async fn send_as(&self, session: &str, mut request: Request<Body>) -> Reply {
        let bearer = format!("Bearer {session}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        self.send(request).await
    }

    /// A token call with a bearer token.
    pub async fn playback(&self, session: &str, title: &str) -> Reply {
        let path = format!("/api/v1/playback/token/{title}");
        self.send(with_bearer(get(&path), session).body(Body::empty()).unwrap()).await
    }

    /// Posts a challenge to a license URL.
    pub async fn license(&self, url: &str, challenge: &Value) -> Reply {
        self.send(post(path_of(url), challenge)).await
    }
}

/// A folder with these files.
fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// The processor time of this thread, on which the service runs too: a busy machine makes no
/// refusal slow.
pub fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

/// The KID of a title's key.
pub fn kid(title: &str, label: &str) -> KeyId {
    let mut bytes = [0x55; 16];
    for (byte, letter) in bytes.iter_mut().zip(format!("{label}-{title}").bytes()) {
        *byte = letter;
    }
    KeyId::from_bytes(bytes)
}

/// An EME challenge for some of a title's keys.
pub fn challenge(title: &str, labels: &[&str]) -> Value {
    let kids: Vec<String> = labels.iter().map(|label| kid(title, label).to_base64url()).collect();
    json!({"kids": kids, "type": "temporary"})
}

/// The KIDs of a license.
pub fn kids_in(reply: &Reply) -> Vec<String> {
    let mut kids: Vec<String> = reply.json()["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect();
    kids.sort();
    kids
}

pub fn get(path: &str) -> axum::http::request::Builder {
    Request::get(path)
}

pub fn put(path: &str, body: &Value) -> Request<Body> {
    let mut request = post(path, body);
    *request.method_mut() = axum::http::Method::PUT;
    request
}

pub fn with_bearer(
    request: axum::http::request::Builder,
    token: &str,
) -> axum::http::request::Builder {
    request.header(header::AUTHORIZATION, format!("Bearer {token}"))
}

pub fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// Path and query of an absolute URL of the service.
pub fn path_of(url: &str) -> &str {
    url.strip_prefix(ORIGIN).unwrap_or(url)
}
