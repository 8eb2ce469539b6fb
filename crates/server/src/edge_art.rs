//! `/art/{digest}.{format}`: pictures of titles. The name says what the picture is and nobody can
//! guess it, so that anyone who was told it may have it, and any cache may keep it for ever.

use crate::http::problem::Refusal;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::ArtFile;
use store::ArtFolder;
use tokio_util::io::ReaderStream;

/// What stands under a name never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Serves a picture.
///
/// Errors: [`Refusal::NotFound`].
pub async fn picture(
    folder: &ArtFolder,
    headers: &HeaderMap,
    name: &str,
) -> Result<Response, Refusal> {
    let file = ArtFile::parse(name).ok_or(Refusal::NotFound)?;
    let etag = HeaderValue::from_str(&format!("\"{name}\"")).expect("hex digits and letters");
    let folder = folder.clone();
    let opened = tokio::task::spawn_blocking(move || folder.open(file)).await;
    let opened = opened.map_err(|error| Refusal::Internal(error.to_string()))?;
    let opened = opened.map_err(|error| Refusal::Internal(format!("picture folder: {error}")))?;
    let (opened, len_bytes) = opened.ok_or(Refusal::NotFound)?;
    let known = headers.get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| known == etag);
    let mut told = HeaderMap::new();
    told.insert(header::ETAG, etag);
    told.insert(header::CACHE_CONTROL, FOR_EVER);
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.format.media_type()));
    told.insert(header::CONTENT_LENGTH, len_bytes.into());
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(opened)));
    Ok((told, body).into_response())
}
