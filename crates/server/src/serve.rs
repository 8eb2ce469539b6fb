//! Running the service: listen, say so, drain on the wish to end.

use crate::config::{Config, Listen, Mode};
use crate::edge_role::EdgeRole;
use crate::health;
use crate::home::{Home, HomeError};
use crate::http::router::{device_router, router};
use crate::service::Service;
use crate::tls::{self, Clients, TlsAcceptor};
use crate::vault::{Unusable, Vault, exchange};
use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Longest time for a request's headers.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// Longest time that open requests get to finish after the wish to end.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How often the boot mark is raised while the service runs.
const MARK_EVERY: Duration = Duration::from_secs(30);
/// How often the root key is looked at: so soon an outage ends the use of opened keys.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often credentials are looked at: so soon a revocation holds.
const CREDENTIALS_EVERY: Duration = Duration::from_secs(2);
/// How often the audit is signed.
const SIGN_EVERY: Duration = Duration::from_secs(300);
/// How often old reports of players are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Credentials that are for tests only, in production.
    #[error("stored credentials: {0}")]
    Credentials(#[from] Unusable),
    /// Its home does not open.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The certificate or its key is not usable.
    #[error("certificate {path}: {cause}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A file of the run cannot be written, or the listener broke.
    #[error("{what}: {cause}")]
    Run {
        /// What was being done.
        what: String,
        /// What the system says.
        cause: io::Error,
    },
}

/// Runs every role on the stores of the settings until the process is asked to end.
///
/// Writes its address (`http://…`) to `DATA/run/url` and hands it to `ready` once it answers.
///
/// Errors: [`ServeError`].
pub async fn serve(config: &Config, ready: impl FnOnce(&str)) -> Result<(), ServeError> {
    health::recorder();
    let home = Home::open(config).await?;
    let vault = Arc::clone(&home.vault);
    vault.refuse_test_credentials(home.clock.now()).await?;
    let service = Service::start(home).await?;
    sweep(&service).await;
    let own = vaults_own(config, &service, &vault)?;
    let boxes = boxes_own(config, &service)?;
    let beside = if config.shares_listener() { exchange::routes(vault) } else { Router::new() };
    let viewers = Listening::of_viewers(config, router(Arc::clone(&service), beside))?;
    tokio::spawn(raise_mark(Arc::clone(&service)));
    tokio::spawn(watch_root_key(Arc::clone(&service)));
    tokio::spawn(watch_credentials(Arc::clone(&service)));
    if let Some(keys_per_s) = NonZeroU32::new(config.keys.rewrap_keys_per_s) {
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            service.vault.rewrap_for_ever(keys_per_s, &service.ground.clock).await;
        });
    }
    tokio::spawn(sign_audit(Arc::clone(&service)));
    tokio::spawn(forget_reports(Arc::clone(&service)));
    warn_of_clear_keys(config);
    let ended = answer(viewers, [own, boxes], ready).await;
    service.outcomes.flush().await;
    sign_audit_once(&service).await;
    ended
}

/// Runs the edge alone, on the packages of the settings: neither rows nor keys are opened.
///
/// Writes its address to `DATA/run/edge-url` and hands it to `ready` once it answers.
///
/// Errors: [`ServeError`].
pub async fn serve_edge(config: &Config, ready: impl FnOnce(&str)) -> Result<(), ServeError> {
    health::recorder();
    let mut edge = Listening::of_viewers(config, EdgeRole::open(config)?.router())?;
    edge.url_file.set_file_name("edge-url");
    answer(edge, [None, None], ready).await
}

/// Answers until the process is asked to end; `ready` hears of the first listener.
async fn answer(
    first: Listening,
    [second, third]: [Option<Listening>; 2],
    ready: impl FnOnce(&str),
) -> Result<(), ServeError> {
    let handles = [Handle::new(), Handle::new(), Handle::new()];
    for listening in [Some(&first), second.as_ref(), third.as_ref()].into_iter().flatten() {
        announce(&listening.url_file, &listening.url)?;
    }
    ready(&first.url);
    tokio::spawn(drain_when_asked(handles.to_vec()));
    let [of_first, of_second, of_third] = handles;
    let run = async |listening: Option<Listening>, handle| match listening {
        None => Ok(()),
        Some(listening) => listening.run(handle).await,
    };
    tokio::try_join!(first.run(of_first), run(second, of_second), run(third, of_third)).map(|_| ())
}

/// The listener of boxes, where the settings give them one: the service's certificate, and each
/// box with its own under the platform's device root.
fn boxes_own(config: &Config, service: &Arc<Service>) -> Result<Option<Listening>, ServeError> {
    let Listen { device, device_ca, tls_certificate, tls_private_key, .. } = &config.listen;
    let certificate = tls_certificate.as_deref().zip(tls_private_key.as_deref());
    let (Some(address), Some(root)) = (*device, device_ca.as_deref()) else { return Ok(None) };
    let (routes, file) = (device_router(Arc::clone(service)), config.device_url_file());
    let own = Listening::new(address, certificate, Clients::Must(root), routes, file)?;
    tracing::info!(url = own.url, "boxes are listened to");
    Ok(Some(own))
}

/// The vault's own listener, where the settings give it one.
fn vaults_own(
    config: &Config,
    service: &Arc<Service>,
    vault: &Arc<Vault>,
) -> Result<Option<Listening>, ServeError> {
    let settings = &config.vault;
    let Some(address) = settings.address else {
        if config.mode == Mode::Production {
            tracing::info!("no vault.address: no keys by SPEKE or CPIX");
        }
        return Ok(None);
    };
    let routes = exchange::alone(Arc::clone(service), Arc::clone(vault));
    let certificate = settings.tls_certificate.as_deref().zip(settings.tls_private_key.as_deref());
    let clients = settings.client_ca.as_deref().map_or(Clients::Unknown, Clients::May);
    let own = Listening::new(address, certificate, clients, routes, config.vault_url_file())?;
    tracing::info!(url = own.url, "the vault listens");
    Ok(Some(own))
}

/// Said at each start: clear keys are for tests.
fn warn_of_clear_keys(config: &Config) {
    if !config.demands_recipients() {
        tracing::warn!(
            "insecure_mode: keys may leave by CPIX in the clear; \
             vault.require_encrypted_delivery = true ends that"
        );
    }
}

/// A listener that is bound and does not answer yet.
struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    url: String,
    /// Where the address stands for as long as it answers.
    url_file: PathBuf,
}

impl Listening {
    fn of_viewers(config: &Config, routes: Router) -> Result<Self, ServeError> {
        let Listen { address, tls_certificate, tls_private_key, .. } = &config.listen;
        let certificate = tls_certificate.as_deref().zip(tls_private_key.as_deref());
        Self::new(*address, certificate, Clients::Unknown, routes, config.url_file())
    }

    fn new(
        address: SocketAddr,
        certificate: Option<(&Path, &Path)>,
        clients: Clients<'_>,
        routes: Router,
        url_file: PathBuf,
    ) -> Result<Self, ServeError> {
        let tls = certificate.map(|(chain, key)| tls::acceptor(chain, key, clients));
        let tls = tls.transpose()?;
        let listener = listen(address).map_err(|cause| ServeError::Listen { address, cause })?;
        let bound = listener.local_addr().unwrap_or(address);
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { listener, tls, routes, url: format!("{scheme}://{bound}"), url_file })
    }

    async fn run(self, handle: Handle<SocketAddr>) -> Result<(), ServeError> {
        let failed = |cause| ServeError::Run { what: format!("serving on {}", self.url), cause };
        let routes = self.routes.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(self.listener).map_err(failed)?.handle(handle);
        let mut http = server.http_builder().http1();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
        server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(HEADER_TIME);
        let ended = match self.tls {
            None => server.serve(routes).await,
            Some(acceptor) => server.acceptor(acceptor).serve(routes).await,
        };
        // Best effort: a stale address only misleads until the next start.
        drop(std::fs::remove_file(&self.url_file));
        ended.map_err(failed)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Packages whose maker died, and replaced ones, leave at start.
async fn sweep(service: &Arc<Service>) {
    let swept = Arc::clone(service);
    match tokio::task::spawn_blocking(move || swept.delivery.objects.sweep()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(packages)) => tracing::info!(packages, "removed abandoned packages"),
        Ok(Err(error)) => tracing::warn!(%error, "package folder could not be swept"),
        Err(error) => tracing::warn!(%error, "package folder could not be swept"),
    }
}

fn announce(path: &Path, url: &str) -> Result<(), ServeError> {
    let failed = |cause| ServeError::Run { what: path.display().to_string(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, format!("{url}\n")).map_err(failed)
}

/// Raised again and again, the mark holds although the clock is set back over a restart.
async fn raise_mark(service: Arc<Service>) {
    loop {
        tokio::time::sleep(MARK_EVERY).await;
        if let Err(error) = service.store.raise_boot_mark(service.ground.clock.now()).await {
            tracing::warn!(%error, "boot mark not raised");
        }
    }
}

/// The root key is looked at without a viewer too, so that an outage is known before it hurts.
async fn watch_root_key(service: Arc<Service>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        service.vault.look_at_root_key(service.ground.clock.now()).await;
    }
}

/// Credentials and device lists change while the service runs.
async fn watch_credentials(service: Arc<Service>) {
    loop {
        tokio::time::sleep(CREDENTIALS_EVERY).await;
        service.vault.look_at_credentials(service.ground.clock.now()).await;
    }
}

/// What players told is kept for a time.
async fn forget_reports(service: Arc<Service>) {
    loop {
        let since = service.ground.config.heartbeat.kept_since(service.ground.clock.now());
        match service.store.forget_reports(since).await {
            Ok(0) => {}
            Ok(reports) => tracing::info!(reports, "reports of players are forgotten"),
            Err(error) => tracing::warn!(%error, "old reports of players stay"),
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

/// Who rewrites the audit cannot go back beyond what was signed, and what was logged is out of
/// reach of whoever writes to the database.
async fn sign_audit(service: Arc<Service>) {
    loop {
        tokio::time::sleep(SIGN_EVERY).await;
        sign_audit_once(&service).await;
    }
}

async fn sign_audit_once(service: &Service) {
    match service.checkpoints.sign(service.ground.clock.now()).await {
        Ok(Some(signed)) => {
            let checkpoint = serde_json::to_string(&signed).unwrap_or_default();
            tracing::info!(checkpoint, "the audit is signed");
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the audit could not be signed"),
    }
}

async fn drain_when_asked(handles: Vec<Handle<SocketAddr>>) {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut wish) => wish.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
    tracing::info!("ending: open requests may finish");
    for handle in handles {
        handle.graceful_shutdown(Some(DRAIN_TIME));
    }
}
