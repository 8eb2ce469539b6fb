//! Every route and its handler: extract, call one flow, encode.

use crate::edge_routes;
use crate::front::catalog::{self, Catalog, Me, Page};
use crate::front::devices::{self, Devices, Registration, Ticketed};
use crate::front::heartbeat::{self, Heartbeat};
use crate::front::license_proxy::{self, Answered, Credential};
use crate::front::offline::{self, KeptTitles, Of};
use crate::front::playback_token::{self, ClientQuery, Playback};
use crate::front::player_events::{self, Told};
use crate::front::provisioning;
use crate::front::sign_in::{self, Credentials};
use crate::front::streams::{self, Streams};
use crate::front::watch::{self, Entry};
use crate::health;
use crate::http::caller::{Caller, Listener};
use crate::http::payload::{Challenge, Json, Payload};
use crate::http::problem::Refusal;
use crate::http::{control, cookies, cors, envelope, fault, pages, remember};
use crate::service::Service;
use crate::vault_link::Issued;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json as Answer, Router};
use model::{ContentId, DeviceId, Dialect, PlaybackSessionId};
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<Service>>;

/// The routes of boxes, on a listener of their own (R071): no page, no cookie, no password.
pub fn device_router(service: Arc<Service>) -> Router {
    let remembered = || from_fn_with_state(Arc::clone(&service), remember::outcome);
    let faults = from_fn_with_state(Arc::clone(&service), fault::mark);
    let licenses = post(license).layer(remembered()).layer(faults).get(service_certificate);
    Router::new()
        .route("/api/v1/devices", post(register_device).get(list_devices))
        .route("/api/v1/devices/{device}/renew", post(renew_device))
        .route("/api/v1/me", get(me))
        .route("/api/v1/titles", get(titles))
        .route("/api/v1/playback/token/{content_id}", get(playback_token).layer(remembered()))
        .route("/api/v1/playback/{session}/heartbeat", post(heartbeat))
        .route("/api/v1/playback/{session}", delete(end_playback))
        .route("/license/{dialect}", licenses)
        .route("/v/{*path}", get(media))
        .route("/api/v1/time", get(async |caller: Caller| edge_routes::time(caller.now)))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(Extension(Listener::Devices))
        .layer(from_fn_with_state(Arc::clone(&service.ground), envelope::seal))
        .with_state(service)
}

/// The viewer's routes, and beside them the vault's where they share a listener.
pub fn router(service: Arc<Service>, beside: Router<Arc<Service>>) -> Router {
    let remembered = || from_fn_with_state(Arc::clone(&service), remember::outcome);
    let faults = from_fn_with_state(Arc::clone(&service), fault::mark);
    let licenses = post(license).layer(remembered()).layer(faults).get(service_certificate);
    let queue = get(control::queue).put(control::set_queue).delete(control::empty_queue);
    let authorize = post(control::authorize).layer(remembered());
    Router::new()
        .route("/", get(async || pages::page("index.html")))
        .route("/sign-in", get(async || pages::page("sign-in.html")))
        .route("/watch/{content_id}", get(watch))
        .route("/service-worker.js", get(async || pages::service_worker()))
        .route("/assets/{name}", get(async |Path(name): Path<String>| pages::asset(&name)))
        .route("/api/v1/sessions", post(sign_in).delete(sign_out))
        .route("/api/v1/me", get(me))
        .route("/api/v1/titles", get(titles))
        .route("/api/v1/titles/{content_id}", get(control::title))
        .route("/api/v1/titles:batch", post(control::title_batch))
        .route("/api/v1/account", get(control::account))
        .route("/api/v1/me/titles/{content_id}", get(control::my_title).put(control::set_resume))
        .route("/api/v1/me/queue", queue)
        .route("/api/v1/control/ping", get(control::ping))
        .route("/api/v1/playback/{content_id}/authorization", authorize)
        .route("/api/v1/steering/{content_id}/{pass}", get(control::steering))
        .route("/art/{name}", get(control::picture))
        .route("/api/v1/playback/token/{content_id}", get(playback_token).layer(remembered()))
        .route("/api/v1/playback", get(running_streams))
        .route("/api/v1/playback/events", post(player_events))
        .route("/api/v1/playback/{session}/heartbeat", post(heartbeat).layer(remembered()))
        .route("/api/v1/playback/{session}", delete(end_playback))
        .route("/api/v1/devices", post(register_device).get(list_devices))
        .route("/api/v1/devices/{device}/renew", post(renew_device))
        .route("/api/v1/devices/{device}", delete(remove_device))
        .route("/api/v1/offline", get(kept_titles))
        .route("/api/v1/offline/{content_id}", delete(forget_kept))
        .route("/provisioning/widevine", post(provision))
        .route("/license/{dialect}", licenses)
        .route("/v/{*path}", get(media))
        .route("/api/v1/time", get(async |caller: Caller| edge_routes::time(caller.now)))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(from_fn_with_state(Arc::clone(&service.ground), cors::allow_listed))
        .merge(beside.method_not_allowed_fallback(async || Refusal::Method))
        .layer(from_fn_with_state(Arc::clone(&service.ground), envelope::seal))
        .with_state(service)
}

async fn sign_in(
    State(service): Shared,
    caller: Caller,
    Json(credentials): Json<Credentials>,
) -> Result<impl IntoResponse, Refusal> {
    let token = sign_in::sign_in(&service, &caller, credentials).await?;
    let cookie = cookies::session(&token, service.ground.config.tokens.session_s);
    Ok(([(header::SET_COOKIE, cookie)], Answer(json!({ "token": token }))))
}

async fn sign_out(State(service): Shared, caller: Caller) -> Result<impl IntoResponse, Refusal> {
    sign_in::sign_out(&service, &caller).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookies::session_ended())]))
}

async fn me(State(service): Shared, caller: Caller) -> Result<Answer<Me>, Refusal> {
    catalog::me(&service, &caller).await.map(Answer)
}

async fn titles(
    State(service): Shared,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Answer<Catalog>, Refusal> {
    catalog::titles(&service, &caller, &page).await.map(Answer)
}

async fn playback_token(
    State(service): Shared,
    caller: Caller,
    Path(content_id): Path<String>,
    Query(query): Query<ClientQuery>,
) -> Result<impl IntoResponse, Refusal> {
    let content_id = ContentId::parse(&content_id).map_err(|_| Refusal::NotFound)?;
    let playback: Playback =
        playback_token::playback_token(&service, &caller, &content_id, &query).await?;
    let lives_s = service.ground.config.tokens.media_url_s;
    let cookie = cookies::pass(&content_id, &playback.pass, lives_s);
    Ok(([(header::SET_COOKIE, cookie)], Answer(playback)))
}

async fn heartbeat(
    State(service): Shared,
    caller: Caller,
    Path(session): Path<String>,
    Json(beat): Json<Heartbeat>,
) -> Result<Answer<Value>, Refusal> {
    let session = PlaybackSessionId::parse(&session).map_err(|_| Refusal::NotFound)?;
    let interval_s = heartbeat::heartbeat(&service, &caller, session, beat).await?;
    Ok(Answer(json!({ "interval_s": interval_s })))
}

async fn running_streams(
    State(service): Shared,
    caller: Caller,
) -> Result<Answer<Streams>, Refusal> {
    streams::list(&service, &caller).await.map(Answer)
}

async fn player_events(
    State(service): Shared,
    caller: Caller,
    Json(told): Json<Told>,
) -> Result<StatusCode, Refusal> {
    player_events::tell(&service, &caller, &told).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_playback(
    State(service): Shared,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<StatusCode, Refusal> {
    let session = PlaybackSessionId::parse(&session).map_err(|_| Refusal::NotFound)?;
    streams::end(&service, &caller, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn register_device(
    State(service): Shared,
    caller: Caller,
    Json(registration): Json<Registration>,
) -> Result<(StatusCode, Answer<Ticketed>), Refusal> {
    let ticketed = devices::register(&service, &caller, registration).await?;
    Ok((ticketed.status, Answer(ticketed)))
}

async fn renew_device(
    State(service): Shared,
    caller: Caller,
    Path(device): Path<String>,
) -> Result<Answer<Ticketed>, Refusal> {
    let device = DeviceId::parse(&device).map_err(|_| Refusal::NotFound)?;
    devices::renew(&service, &caller, device).await.map(Answer)
}

async fn list_devices(State(service): Shared, caller: Caller) -> Result<Answer<Devices>, Refusal> {
    devices::list(&service, &caller).await.map(Answer)
}

async fn remove_device(
    State(service): Shared,
    caller: Caller,
    Path(device): Path<String>,
) -> Result<StatusCode, Refusal> {
    let device = DeviceId::parse(&device).map_err(|_| Refusal::NotFound)?;
    devices::remove(&service, &caller, device).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn kept_titles(
    State(service): Shared,
    caller: Caller,
) -> Result<Answer<KeptTitles>, Refusal> {
    offline::list(&service, &caller).await.map(Answer)
}

async fn forget_kept(
    State(service): Shared,
    caller: Caller,
    Path(content_id): Path<String>,
    Query(of): Query<Of>,
) -> Result<StatusCode, Refusal> {
    let content_id = ContentId::parse(&content_id).map_err(|_| Refusal::NotFound)?;
    offline::forget(&service, &caller, &content_id, &of).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn license(
    State(service): Shared,
    caller: Caller,
    Path(dialect): Path<String>,
    Query(credential): Query<Credential>,
    Challenge(challenge): Challenge,
) -> Result<Response, Refusal> {
    let dialect = Dialect::parse(&dialect).ok_or(Refusal::NotFound)?;
    let Answered { reply, next_license_s } =
        license_proxy::license(&service, &caller, dialect, &credential, &challenge).await?;
    let mut response = reply.message.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some(issued) = reply.issued {
        for (name, value) in issued_headers(&issued) {
            let value = HeaderValue::from_str(&value).expect("levels, classes, digits");
            headers.insert(name, value);
        }
    }
    if let Some(next_license_s) = next_license_s {
        headers.insert(NEXT_LICENSE, next_license_s.into());
    }
    Ok(response)
}

/// In how many seconds the player of a live event whose keys change is to ask for the next license:
/// then, and not when new keys come into sight, so that no second has all viewers in it.
const NEXT_LICENSE: HeaderName = HeaderName::from_static("strongroom-next-license");

/// What a license says in its own dialect, for whoever cannot read that.
fn issued_headers(issued: &Issued) -> [(&'static str, String); 3] {
    let classes: Vec<&str> = issued.classes.iter().map(model::TrackClass::name).collect();
    [
        ("x-strongroom-security-level", issued.level.to_string()),
        ("x-strongroom-track-classes", classes.join(",")),
        ("x-strongroom-license-expires", issued.expires.0.to_string()),
    ]
}

/// The service certificate, for players that encrypt their identity from the first request on.
/// It is public.
async fn service_certificate(
    State(service): Shared,
    Path(dialect): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let dialect = Dialect::parse(&dialect).ok_or(Refusal::NotFound)?;
    let certificate = service.vault.service_certificate(dialect)?.ok_or(Refusal::Method)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], certificate))
}

async fn provision(
    State(service): Shared,
    caller: Caller,
    Payload(question): Payload,
) -> Result<impl IntoResponse, Refusal> {
    let provisioned = provisioning::provision(&service, &caller, &question).await?;
    let status = if provisioned.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::CONTENT_TYPE, "application/json")], provisioned.body))
}

async fn watch(State(service): Shared, caller: Caller, Path(content_id): Path<String>) -> Response {
    let entry = match ContentId::parse(&content_id) {
        Ok(content_id) => watch::enter(&service, &caller, &content_id).await,
        Err(_) => Err(Refusal::NotFound),
    };
    match entry {
        Ok(Entry::Player) => pages::page("watch.html"),
        Ok(Entry::SignIn { back_to }) => found(&format!("/sign-in?{RETURN}={back_to}")),
        Err(refusal) => pages::refusal(&refusal.problem(), caller.correlation),
    }
}

/// The parameter of the sign-in page that says where to go afterwards.
const RETURN: &str = "next";

/// 302: the address is right, and after signing in it shows the page.
fn found(address: &str) -> Response {
    let address = HeaderValue::from_str(address).expect("a content id is plain ASCII");
    (StatusCode::FOUND, [(header::LOCATION, address)]).into_response()
}

async fn media(
    State(service): Shared,
    caller: Caller,
    method: Method,
    uri: Uri,
) -> Result<Response, Refusal> {
    service.delivery.deliver(&caller, &method, &uri).await
}

async fn ready(State(service): Shared) -> Result<&'static str, Refusal> {
    health::ready(&service).await?;
    Ok(if service.ground.config.demands_recipients() {
        "ready\n"
    } else {
        "ready\ninsecure_mode\n"
    })
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], crate::openapi())
}
