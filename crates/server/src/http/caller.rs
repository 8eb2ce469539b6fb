//! Who calls and from where, as far as it can be believed.

use crate::config::Listen;
use crate::ground::Grounded;
use crate::http::problem::Refusal;
use crate::trail::Trail;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use model::{CorrelationId, Country, DeviceKind, Timestamp};
use playback::region::client_address;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Longest `Host` that is believed.
const MAX_HOST: usize = 255;

/// Where a request came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listener {
    /// The listener of browsers and apps.
    #[default]
    Viewers,
    /// The listener of boxes, each with a certificate of its own.
    Devices,
}

impl Listener {
    /// The kind of device that it is for.
    #[must_use]
    pub const fn kind(self) -> DeviceKind {
        match self {
            Self::Viewers => DeviceKind::Browser,
            Self::Devices => DeviceKind::Device,
        }
    }
}

/// What every flow may know of its request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The request's id, in its answer and in the log.
    pub correlation: CorrelationId,
    /// When it arrived.
    pub now: Timestamp,
    /// The viewer's address behind trusted proxies.
    pub address: IpAddr,
    /// The viewer's country; absent when unknown.
    pub country: Option<Country>,
    /// Scheme, host and port under which the viewer reaches the service.
    pub origin: String,
    /// The request's method.
    pub method: Method,
    /// The request's path, as it came.
    pub path: String,
    /// Where it came in.
    pub listener: Listener,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Where flows tell what the request is about and what its rules said.
    pub trail: Trail,
}

impl<S: Grounded> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let ground = state.ground();
        let ConnectInfo(peer) = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .copied()
            .ok_or_else(|| Refusal::Internal("no peer address".to_owned()))?;
        let correlation = parts
            .extensions
            .get::<CorrelationId>()
            .copied()
            .ok_or_else(|| Refusal::Internal("no correlation id".to_owned()))?;
        let listener = parts.extensions.get::<Listener>().copied().unwrap_or_default();
        let address = viewer_address(&ground.config.listen, peer.ip(), &parts.headers);
        Ok(Self {
            correlation,
            now: ground.clock.now(),
            address,
            country: ground.regions.country(address),
            origin: origin(&ground.config.listen, listener, parts)?,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            listener,
            headers: parts.headers.clone(),
            trail: parts.extensions.get::<Trail>().cloned().unwrap_or_default(),
        })
    }
}

impl Caller {
    /// Whether a page of ours, or one of the listed origins, sent the request. Asked wherever a
    /// cookie is the credential, because browsers attach it to anyone's request.
    #[must_use]
    pub fn is_own_page(&self, allowed_origins: &[String]) -> bool {
        let is_same_origin =
            self.headers.get(FETCH_SITE).is_some_and(|site| site.as_bytes() == b"same-origin");
        let origin = self.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_known = |origin: &str| {
            origin == self.origin || allowed_origins.iter().any(|allowed| allowed == origin)
        };
        match origin {
            Some(origin) => is_known(origin),
            None => is_same_origin,
        }
    }
}

/// The viewer's address: the peer's, unless it is a trusted proxy (R086).
fn viewer_address(listen: &Listen, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    // A line that is not text cannot be walked; it stands for an entry that ends the walk.
    let lines: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|line| line.to_str().unwrap_or("unreadable"))
        .collect();
    client_address(peer, &lines, listen.trusted_hops, |address| {
        listen.trusted_proxies.iter().any(|network| network.contains(&address))
    })
}

/// The settings name viewers' origin; boxes come by another, over TLS.
fn origin(listen: &Listen, listener: Listener, parts: &Parts) -> Result<String, Refusal> {
    let is_box = listener == Listener::Devices;
    if let Some(origin) = listen.public_origin.as_ref().filter(|_| !is_box) {
        return Ok(origin.clone());
    }
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .ok_or(Refusal::Malformed("no host"))?,
    };
    let is_plain =
        |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(is_plain) {
        return Err(Refusal::Malformed("host"));
    }
    let is_tls = is_box || listen.tls_certificate.is_some() || listen.behind_proxy;
    Ok(format!("{}://{host}", if is_tls { "https" } else { "http" }))
}
