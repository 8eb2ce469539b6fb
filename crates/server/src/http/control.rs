//! The control plane's handlers: what a player asks before, around and after a playback.

use crate::edge_art;
use crate::front::authorization::{self, Authorization};
use crate::front::my_titles::{self, AccountDetails, MyQueue, MyTitle, NewQueue, Resume};
use crate::front::playback_token::ClientQuery;
use crate::front::title_details::{self, Batch, TitleDetails, Titles};
use crate::health;
use crate::http::caller::Caller;
use crate::http::cookies;
use crate::http::payload::Json;
use crate::http::problem::Refusal;
use crate::service::Service;
use axum::Json as Answer;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use edge::steering::SteeringDocument;
use model::{ContentId, Timestamp};
use serde::Serialize;
use std::sync::Arc;

type Shared = State<Arc<Service>>;

/// What a player hears before it begins.
#[derive(Serialize)]
pub struct Pong {
    /// The time here, from which a player takes how wrong its own clock is.
    now: Timestamp,
}

/// Whether the service can serve, and its time (R072).
pub async fn ping(State(service): Shared, caller: Caller) -> Result<Answer<Pong>, Refusal> {
    health::ready(&service).await?;
    Ok(Answer(Pong { now: caller.now }))
}

fn content_id(text: &str) -> Result<ContentId, Refusal> {
    ContentId::parse(text).map_err(|_| Refusal::NotFound)
}

/// What a title is.
pub async fn title(
    State(service): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<TitleDetails>, Refusal> {
    title_details::title(&service, &caller, &content_id(&id)?).await.map(Answer)
}

/// What some titles are.
pub async fn title_batch(
    State(service): Shared,
    caller: Caller,
    Json(batch): Json<Batch>,
) -> Result<Answer<Titles>, Refusal> {
    title_details::batch(&service, &caller, batch).await.map(Answer)
}

/// Who is signed in, and what his plan allows.
pub async fn account(
    State(service): Shared,
    caller: Caller,
) -> Result<Answer<AccountDetails>, Refusal> {
    my_titles::account(&service, &caller).await.map(Answer)
}

/// Where the viewer left a title.
pub async fn my_title(
    State(service): Shared,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<MyTitle>, Refusal> {
    my_titles::my_title(&service, &caller, &content_id(&id)?).await.map(Answer)
}

/// Changes where the viewer left a title.
pub async fn set_resume(
    State(service): Shared,
    caller: Caller,
    Path(id): Path<String>,
    Json(resume): Json<Resume>,
) -> Result<Answer<MyTitle>, Refusal> {
    my_titles::set_resume(&service, &caller, &content_id(&id)?, &resume).await.map(Answer)
}

/// The viewer's queue.
pub async fn queue(State(service): Shared, caller: Caller) -> Result<Answer<MyQueue>, Refusal> {
    my_titles::queue(&service, &caller).await.map(Answer)
}

/// Replaces the viewer's queue.
pub async fn set_queue(
    State(service): Shared,
    caller: Caller,
    Json(new): Json<NewQueue>,
) -> Result<Answer<MyQueue>, Refusal> {
    my_titles::set_queue(&service, &caller, new).await.map(Answer)
}

/// Empties the viewer's queue.
pub async fn empty_queue(State(service): Shared, caller: Caller) -> Result<StatusCode, Refusal> {
    my_titles::empty_queue(&service, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Authorizes a playback.
pub async fn authorize(
    State(service): Shared,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ClientQuery>,
) -> Result<impl IntoResponse, Refusal> {
    let id = content_id(&id)?;
    let authorization: Authorization =
        authorization::authorize(&service, &caller, &id, &query).await?;
    let lives_s = service.ground.config.tokens.media_url_s;
    let cookie = cookies::pass(&id, &authorization.playback.pass, lives_s);
    Ok(([(header::SET_COOKIE, cookie)], Answer(authorization)))
}

/// Which CDN a player is to use.
pub async fn steering(
    State(service): Shared,
    caller: Caller,
    Path((id, pass)): Path<(String, String)>,
) -> Result<Answer<SteeringDocument>, Refusal> {
    let delivery = &service.delivery;
    delivery.steering.answer(&delivery.key, &caller, &content_id(&id)?, &pass).await.map(Answer)
}

/// A picture of a title.
pub async fn picture(
    State(service): Shared,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    edge_art::picture(&service.delivery.art, &caller.headers, &name).await
}
