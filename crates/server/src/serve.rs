//! Running the service: listen, say so, drain on the wish to end.

use crate::config::{Config, Listen};
use crate::edge_role::EdgeRole;
use crate::health;
use crate::home::{Home, HomeError};
use crate::http::router::router;
use crate::service::Service;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
/// How often the root key is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the audit is signed.
const SIGN_EVERY: Duration = Duration::from_secs(300);

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    let service = Service::start(Home::open(config).await?).await?;
    sweep(&service).await;
    tokio::spawn(raise_mark(Arc::clone(&service)));
    tokio::spawn(watch_root_key(Arc::clone(&service)));
    if let Some(keys_per_s) = NonZeroU32::new(config.keys.rewrap_keys_per_s) {
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            service.vault.rewrap_for_ever(keys_per_s, &service.ground.clock).await;
        });
    }
    tokio::spawn(sign_audit(Arc::clone(&service)));
    let ended = answer(config, router(Arc::clone(&service)), &config.url_file(), ready).await;
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
    let routes = EdgeRole::open(config)?.router();
    answer(config, routes, &config.url_file().with_file_name("edge-url"), ready).await
}

/// Answers on the listener of the settings until the process is asked to end; `url_file` says
/// where, for as long.
async fn answer(
    config: &Config,
    routes: Router,
    url_file: &Path,
    ready: impl FnOnce(&str),
) -> Result<(), ServeError> {
    let acceptor = tls(&config.listen)?;
    let address = config.listen.address;
    let listener = listen(address).map_err(|cause| ServeError::Listen { address, cause })?;
    let bound = listener.local_addr().unwrap_or(address);
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{bound}");
    announce(url_file, &url)?;
    ready(&url);
    let handle = Handle::new();
    tokio::spawn(drain_when_asked(handle.clone()));
    let ended = run(listener, acceptor, routes, handle).await;
    // Best effort: a stale address only misleads until the next start.
    drop(std::fs::remove_file(url_file));
    ended.map_err(|cause| ServeError::Run { what: format!("serving on {url}"), cause })
}

async fn run(
    listener: TcpListener,
    acceptor: Option<RustlsAcceptor>,
    routes: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    let mut http = server.http_builder().http1();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(HEADER_TIME);
    match acceptor {
        None => server.serve(routes).await,
        Some(acceptor) => server.acceptor(acceptor).serve(routes).await,
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

async fn drain_when_asked(handle: Handle<SocketAddr>) {
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
    handle.graceful_shutdown(Some(DRAIN_TIME));
}

/// The TLS side of the listener, where the settings name a certificate.
fn tls(listen: &Listen) -> Result<Option<RustlsAcceptor>, ServeError> {
    let (Some(chain), Some(key)) = (&listen.tls_certificate, &listen.tls_private_key) else {
        return Ok(None);
    };
    let wrong = |path: &Path, cause: &dyn std::fmt::Display| ServeError::Certificate {
        path: path.to_owned(),
        cause: cause.to_string(),
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| wrong(chain, &cause))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| wrong(key, &cause))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private))
        .map_err(|cause| wrong(chain, &cause))?;
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(settings)))))
}
