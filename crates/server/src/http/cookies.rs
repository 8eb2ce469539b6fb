//! The two cookies: a sign-in and a delivery pass.

use axum::http::{HeaderMap, HeaderValue, header};
use model::ContentId;

/// Carries the session token. `__Host-`: this host alone set it, for all of its paths.
pub const SESSION: &str = "__Host-strongroom-session";

/// Carries the pass of one title's delivery URLs, on their path only.
pub const PASS: &str = "__Secure-strongroom-pass";

/// The value of a cookie, where the request has it.
#[must_use]
pub fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// The cookie that signs a browser in for `seconds`.
#[must_use]
pub fn session(token: &str, seconds: u64) -> HeaderValue {
    value(&format!("{SESSION}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"))
}

/// The cookie that signs a browser out.
#[must_use]
pub fn session_ended() -> HeaderValue {
    session("", 0)
}

/// The cookie that opens one title's delivery URLs for `seconds`.
#[must_use]
pub fn pass(content_id: &ContentId, pass: &str, seconds: u64) -> HeaderValue {
    value(&format!(
        "{PASS}={pass}; Path=/v/{content_id}/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"
    ))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("tokens, passes and content ids are plain ASCII")
}
