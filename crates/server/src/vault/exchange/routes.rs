//! The routes of the key exchange: SPEKE 1.0, 2.0 and 2.1, and CPIX alone. They are the vault's:
//! in production they never answer on the viewer's listener.

use super::{Credentials, ExchangeRefused, MAX_QUESTION, Protocol, Refused};
use crate::http::envelope::{self, Wording};
use crate::http::payload;
use crate::http::problem::Refusal;
use crate::service::Service;
use crate::vault::Vault;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dialect::cpix::speke::{ContractError, REFUSED_STATUS, SpekeVersion, VERSION_HEADER};
use model::{CorrelationId, Timestamp};
use playback::TokenRefused;
use std::net::SocketAddr;
use std::sync::Arc;

const USER_AGENT: &str = concat!("Strongroom/", env!("CARGO_PKG_VERSION"));

/// The certificate of a connection's client, DER; the listener has checked its chain.
#[derive(Clone, Debug)]
pub struct ClientCertificate(pub Option<Arc<[u8]>>);

type Shared = State<Arc<Service>>;
type OfVault = Extension<Arc<Vault>>;

/// The routes, to stand beside others.
pub fn routes(vault: Arc<Vault>) -> Router<Arc<Service>> {
    Router::new()
        .route("/speke/v1.0/copyProtection", post(speke_1))
        .route("/speke/v1.0/heartbeat", get(heartbeat))
        .route("/speke/v2.0/copyProtection", post(speke_2))
        .route("/cpix", post(cpix))
        .layer(Extension(vault))
}

/// The routes on a listener of their own.
pub fn alone(service: Arc<Service>, vault: Arc<Vault>) -> Router {
    routes(vault)
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(from_fn_with_state(Arc::clone(&service.ground), envelope::seal))
        .with_state(service)
}

async fn speke_1(State(service): Shared, vault: OfVault, request: Request) -> Response {
    let version = version(request.headers()).and_then(|version| match version {
        SpekeVersion::V1_0 => Ok(version),
        SpekeVersion::V2_0 | SpekeVersion::V2_1 => Err(ContractError::SpekeVersion),
    });
    respond(&service, &vault, SpekeVersion::V1_0, version.map(Protocol::Speke), request).await
}

async fn speke_2(State(service): Shared, vault: OfVault, request: Request) -> Response {
    let version = version(request.headers()).and_then(|version| match version {
        SpekeVersion::V1_0 => Err(ContractError::SpekeVersion),
        SpekeVersion::V2_0 | SpekeVersion::V2_1 => Ok(version),
    });
    let named = version.clone().unwrap_or(SpekeVersion::V2_0);
    respond(&service, &vault, named, version.map(Protocol::Speke), request).await
}

async fn cpix(State(service): Shared, vault: OfVault, request: Request) -> Response {
    let answer = answer(&service, &vault, Ok(Protocol::Cpix), request).await;
    answer.unwrap_or_else(IntoResponse::into_response)
}

async fn respond(
    service: &Service,
    vault: &Vault,
    named: SpekeVersion,
    protocol: Result<Protocol, ContractError>,
    request: Request,
) -> Response {
    let answer = answer(service, vault, protocol, request).await;
    with_names(answer.unwrap_or_else(IntoResponse::into_response), named)
}

/// Whether the key service lives, for encryptors of SPEKE 1.0.
async fn heartbeat() -> Response {
    with_names("alive\n".into_response(), SpekeVersion::V1_0)
}

/// Who asks, what, and the answer. The asker is known before the body is read.
async fn answer(
    service: &Service,
    vault: &Vault,
    protocol: Result<Protocol, ContractError>,
    request: Request,
) -> Result<Response, Refusal> {
    let now = service.ground.clock.now();
    let call = Call::of(service, &request)?;
    let certificate = request.extensions().get::<ClientCertificate>().cloned();
    let credentials = call.credentials(request.headers(), certificate.as_ref());
    let asker = match vault.desk.gate.identify(credentials, now) {
        Ok(asker) => asker,
        Err(refused) => return Err(unknown(vault, &call, refused, now).await),
    };
    let note = async |code, content_id| {
        let detail = format!("address {} correlation {}", call.peer.ip(), call.correlation);
        let refused = Refused { actor: asker.name.clone(), code, content_id, detail };
        vault.desk.refusals.note(refused, now).await;
    };
    let protocol = match protocol {
        Ok(protocol) => protocol,
        Err(error) => return Ok(refused_words(&error.to_string(), call.correlation)),
    };
    if !asker.may(protocol.scope()) {
        note("scope_not_allowed", None).await;
        return Err(Refusal::ScopeNotAllowed);
    }
    let question = payload::read(request, MAX_QUESTION).await?;
    match vault.exchange(&asker, protocol, question, call.correlation, now).await {
        Ok(document) => Ok(xml(document)),
        Err(ExchangeRefused::Contract(words)) => Ok(refused_words(&words, call.correlation)),
        Err(ExchangeRefused::ContentNotAllowed(content_id)) => {
            note("content_not_allowed", Some(content_id)).await;
            Err(Refusal::ContentNotAllowed)
        }
        Err(ExchangeRefused::Service(refusal)) => Err(refusal),
    }
}

async fn unknown(vault: &Vault, call: &Call, refused: TokenRefused, now: Timestamp) -> Refusal {
    let code = match refused {
        TokenRefused::Invalid => "token_invalid",
        TokenRefused::Expired => "token_expired",
    };
    let (actor, detail) =
        (format!("address:{}", call.peer.ip()), format!("correlation {}", call.correlation));
    vault.desk.refusals.note(Refused { actor, code, content_id: None, detail }, now).await;
    Refusal::Unauthenticated(refused)
}

/// What is known of a request before anything is believed.
struct Call {
    peer: SocketAddr,
    correlation: CorrelationId,
    proxy_header: Option<String>,
}

impl Call {
    fn of(service: &Service, request: &Request) -> Result<Self, Refusal> {
        let missing = || Refusal::Internal("no peer address or correlation id".to_owned());
        let extensions = request.extensions();
        let ConnectInfo(peer) =
            extensions.get::<ConnectInfo<SocketAddr>>().copied().ok_or_else(missing)?;
        let correlation = extensions.get::<CorrelationId>().copied().ok_or_else(missing)?;
        let name = service.ground.config.vault.proxy_header.as_deref();
        let proxy_header = name.and_then(|name| only_value(request.headers(), name));
        Ok(Self { peer, correlation, proxy_header })
    }

    fn credentials<'a>(
        &'a self,
        headers: &'a HeaderMap,
        certificate: Option<&'a ClientCertificate>,
    ) -> Credentials<'a> {
        let authorization = headers.get(header::AUTHORIZATION);
        Credentials {
            authorization: authorization.map(|value| value.to_str().map_err(|_| ())),
            certificate: certificate.and_then(|certificate| certificate.0.as_deref()),
            proxy_header: self.proxy_header.as_deref(),
            peer: self.peer.ip(),
        }
    }
}

/// The value of a header that is there once. Two would be one of the proxy's and one of a
/// stranger's, so they are none.
fn only_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::to_owned),
        _ => None,
    }
}

fn version(headers: &HeaderMap) -> Result<SpekeVersion, ContractError> {
    let Some(value) = headers.get(VERSION_HEADER) else { return SpekeVersion::of_header(None) };
    SpekeVersion::of_header(Some(value.to_str().unwrap_or("unreadable")))
}

fn xml(document: Vec<u8>) -> Response {
    let media_type = HeaderValue::from_static(dialect::cpix::MEDIA_TYPE);
    ([(header::CONTENT_TYPE, media_type)], Bytes::from(document)).into_response()
}

/// A contract that was not kept, in the words that encryptors show to their users.
fn refused_words(words: &str, correlation: CorrelationId) -> Response {
    let status = StatusCode::from_u16(REFUSED_STATUS).unwrap_or(StatusCode::BAD_REQUEST);
    metrics::counter!("strongroom_key_exchange_refused_total", "code" => "contract").increment(1);
    tracing::info!(%correlation, words, "a key exchange breaks its contract");
    let mut response = (status, format!("{words}\n")).into_response();
    response.extensions_mut().insert(Wording::Own);
    response
}

/// The headers by which an answer names its version and its maker.
fn with_names(mut response: Response, version: SpekeVersion) -> Response {
    let name = HeaderName::from_bytes(version.user_agent_header().as_bytes());
    if let Ok(name) = name {
        response.headers_mut().insert(name, HeaderValue::from_static(USER_AGENT));
    }
    if let Some(version) = version.header() {
        let value = HeaderValue::from_static(version);
        response.headers_mut().insert(HeaderName::from_static("x-speke-version"), value);
    }
    response
}
