//! TLS on a listener (RFC 8446), and the certificate of a client that shows one.

use crate::serve::ServeError;
use crate::vault::exchange::ClientCertificate;
use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tower::Layer as _;

/// Opens the TLS side of connections, and tells the routes who is at the other end.
#[derive(Clone, Debug)]
pub struct TlsAcceptor(RustlsAcceptor);

/// Whether clients show a certificate of their own.
#[derive(Clone, Copy, Debug)]
pub enum Clients<'a> {
    /// None is asked for.
    Unknown,
    /// One may, under an authority of this file; they may have a token instead.
    May(&'a Path),
    /// Each has to, under an authority of this file.
    Must(&'a Path),
}

/// TLS under a certificate. A client's certificate that is not under the authorities ends the
/// handshake.
///
/// Errors: [`ServeError::Certificate`].
pub fn acceptor(chain: &Path, key: &Path, clients: Clients<'_>) -> Result<TlsAcceptor, ServeError> {
    let certificates = certificates(chain)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| wrong(key, &cause))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|cause| wrong(chain, &cause))?;
    let builder = match clients {
        Clients::Unknown => builder.with_no_client_auth(),
        Clients::May(path) => builder.with_client_cert_verifier(verifier(path, false, provider)?),
        Clients::Must(path) => builder.with_client_cert_verifier(verifier(path, true, provider)?),
    };
    let mut settings =
        builder.with_single_cert(certificates, private).map_err(|cause| wrong(chain, &cause))?;
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor(RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(settings)))))
}

fn verifier(
    path: &Path,
    is_required: bool,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|cause| wrong(path, &cause))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|cause| wrong(path, &cause))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(wrong(path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(cause) => Err(wrong(path, &cause)),
    }
}

fn wrong(path: &Path, cause: &dyn std::fmt::Display) -> ServeError {
    ServeError::Certificate { path: path.to_owned(), cause: cause.to_string() }
}

/// A connection that is being opened.
type Opening<I, S> = Pin<
    Box<dyn Future<Output = io::Result<(TlsStream<I>, AddExtension<S, ClientCertificate>)>> + Send>,
>;

impl<I, S> Accept<I, S> for TlsAcceptor
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Send + 'static,
{
    type Stream = TlsStream<I>;
    type Service = AddExtension<S, ClientCertificate>;
    type Future = Opening<I, S>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let acceptor = self.0.clone();
        Box::pin(async move {
            let (stream, service) = acceptor.accept(stream, service).await?;
            let (_, connection) = stream.get_ref();
            let shown = connection.peer_certificates().and_then(|chain| chain.first());
            let shown = ClientCertificate(shown.map(|certificate| certificate.as_ref().into()));
            Ok((stream, Extension(shown).layer(service)))
        })
    }
}
