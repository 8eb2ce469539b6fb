//! Request bodies: whole, small and soon, or not at all.

use crate::http::problem::Refusal;
use crate::service::Service;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::LengthLimitError;
use model::Dialect;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a route for viewers; most challenges take a tenth of it.
pub const MAX_BODY: usize = 64 * 1024;

/// Largest challenge of a PlayReady client: some browsers wrap it in UTF-16 and base64, which makes
/// 80 KiB of 30.
pub const MAX_PLAYREADY_BODY: usize = 128 * 1024;

/// Largest challenge of a FairPlay client: a request for up to 64 keys at once.
pub const MAX_FAIRPLAY_BODY: usize = 256 * 1024;

/// Longest time for a body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A body, untouched.
pub struct Payload(pub Bytes);

impl FromRequest<Arc<Service>> for Payload {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Refusal> {
        read(request, MAX_BODY).await.map(Self)
    }
}

/// The challenge of a license request, untouched, as long as its dialect's may be.
pub struct Challenge(pub Bytes);

impl FromRequest<Arc<Service>> for Challenge {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Refusal> {
        let dialect = request.uri().path().strip_prefix("/license/").and_then(Dialect::parse);
        let most = match dialect {
            Some(Dialect::PlayReady) => MAX_PLAYREADY_BODY,
            Some(Dialect::FairPlay) => MAX_FAIRPLAY_BODY,
            Some(Dialect::ClearKey | Dialect::Widevine) | None => MAX_BODY,
        };
        read(request, most).await.map(Self)
    }
}

/// A body read as JSON, by its own word `application/json`: a foreign page cannot send that
/// without asking first.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Refusal> {
        let declared = request.headers().get(header::CONTENT_TYPE);
        let media_type = declared.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::MediaType);
        }
        let body = read(request, MAX_BODY).await?;
        serde_json::from_slice(&body).map(Self).map_err(|_| Refusal::Malformed("body"))
    }
}

/// Reads a body of at most `most` bytes.
///
/// Errors: [`Refusal::TooLarge`], [`Refusal::TooSlow`], [`Refusal::Malformed`].
pub async fn read(request: Request, most: usize) -> Result<Bytes, Refusal> {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let length = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::TooLarge);
    }
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), most)).await {
        Err(_) => Err(Refusal::TooSlow),
        Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
            Err(Refusal::TooLarge)
        }
        Ok(Err(_)) => Err(Refusal::Malformed("body")),
        Ok(Ok(body)) => Ok(body),
    }
}
