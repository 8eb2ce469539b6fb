//! The viewer's pages: the bundle of `web/`, embedded at build time.

use crate::http::problem::{Problem, Refusal};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::CorrelationId;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Bundle;

/// What a page may load: our own origin, the players' `blob:` media, and the empty `data:`
/// document with which Shaka Player begins a track of subtitles. No inline script.
const CONTENT_SECURITY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; media-src 'self' blob: data:; connect-src 'self'; worker-src 'self' blob:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// A page of the bundle by the name of its document; where the binary was built without the
/// bundle, a plain page that says so.
#[must_use]
pub fn page(document: &str) -> Response {
    match Bundle::get(document) {
        Some(file) => html(StatusCode::OK, file.data.into_owned()),
        None => html(
            StatusCode::OK,
            plain(
                "Strongroom",
                "This binary was built without the viewer's pages. \
                Run <code>cargo xtask web</code>, then build again.",
            ),
        ),
    }
}

/// The service worker, which brings the pages where there is no network. A browser lets it act for
/// the folder that it lies in and what is below: so it lies at the top.
///
/// Errors: [`Refusal::NotFound`].
pub fn service_worker() -> Result<Response, Refusal> {
    asset("service-worker.js")
}

/// A file of the bundle. A page is the same here as at its own address: the service worker keeps it
/// from here.
///
/// Errors: [`Refusal::NotFound`].
pub fn asset(name: &str) -> Result<Response, Refusal> {
    let file = Bundle::get(name).ok_or(Refusal::NotFound)?;
    if media_type(name).starts_with("text/html") {
        return Ok(html(StatusCode::OK, file.data.into_owned()));
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(name))),
        // The names of pages' entry files stay the same from build to build.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

/// The kinds of files that the bundle holds.
fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "json" | "map")) => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

/// A refusal as a page, for someone who followed a link.
#[must_use]
pub fn refusal(problem: &Problem, correlation: CorrelationId) -> Response {
    // Sentences and codes are our own words and hold no markup.
    let sentence = &problem.sentence;
    let code = problem.code;
    let body = plain(
        sentence,
        &format!("<a href=\"/\">All titles</a></p><p><small>{code} · {correlation}</small>"),
    );
    html(problem.status, body)
}

fn plain(heading: &str, paragraph: &str) -> Vec<u8> {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Strongroom</title><link rel=\"stylesheet\" href=\"/assets/style.css\"></head>\
         <body><main><h1>{heading}</h1><p>{paragraph}</p></main></body></html>\n"
    )
    .into_bytes()
}

fn html(status: StatusCode, body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ];
    (status, headers, body).into_response()
}
