//! What every answer is wrapped in: its correlation id, its problem document or fault, its headers.

use crate::ground::Ground;
use crate::http::fault::AsFault;
use crate::http::problem::{Problem, Refusal};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use model::CorrelationId;
use std::sync::Arc;

/// The request's id, in every answer.
pub const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// Who words a refusal that is plain text. A route that marks its answer so has said what it
/// wanted; without the mark it is the framework that speaks.
#[derive(Clone, Copy, Debug)]
pub enum Wording {
    /// The route's own words.
    Own,
}

/// Gives the request an id, writes the problem document of a refusal, logs it once.
///
/// The path is not logged: it may hold a pass, and the query a token.
pub async fn seal(State(ground): State<Arc<Ground>>, mut request: Request, next: Next) -> Response {
    let now = ground.clock.now();
    let correlation = ground.entropy.with(|entropy| CorrelationId::arriving(now, entropy));
    request.extensions_mut().insert(correlation);
    let method = request.method().clone();
    let mut response = next.run(request).await;
    if let Some(problem) = problem_of(&mut response) {
        log(&problem, correlation, method.as_str());
        let as_fault = response.extensions_mut().remove::<AsFault>();
        let said = match as_fault {
            Some(fault) => fault.render(&problem, correlation),
            None => problem.render(correlation),
        };
        // Headers that inner layers set (CORS) stay.
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONTENT_TYPE);
        response = said;
        for (name, value) in &headers {
            response.headers_mut().append(name, value.clone());
        }
    }
    let is_tls =
        ground.config.listen.tls_certificate.is_some() || ground.config.listen.behind_proxy;
    put_headers(response.headers_mut(), correlation, is_tls);
    response
}

/// The problem of a refusal. The framework's own refusals of a path or a query that cannot be
/// read are plain text; they become one too.
fn problem_of(response: &mut Response) -> Option<Problem> {
    let own = response.extensions_mut().remove::<Problem>();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_plain = media_type.is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    let is_own = response.extensions().get::<Wording>().is_some();
    let is_framework = response.status().is_client_error() && is_plain && !is_own;
    own.or_else(|| is_framework.then(|| Refusal::Malformed("path or query").problem()))
}

fn log(problem: &Problem, correlation: CorrelationId, method: &str) {
    metrics::counter!("strongroom_refusals_total", "code" => problem.code).increment(1);
    let status = problem.status.as_u16();
    let Problem { code, cause, reason, .. } = problem;
    if problem.status.is_server_error() {
        tracing::error!(%correlation, code, reason, status, method, cause, "request failed: {cause}");
    } else {
        tracing::info!(%correlation, code, reason, status, method, cause, "request refused: {code}");
    }
}

fn put_headers(headers: &mut HeaderMap, correlation: CorrelationId, is_tls: bool) {
    let id = HeaderValue::from_str(&correlation.to_string()).expect("hex digits");
    headers.insert(CORRELATION, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if is_tls {
        let two_years = HeaderValue::from_static("max-age=63072000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, two_years);
    }
    // Nothing is cached unless its route says so.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
