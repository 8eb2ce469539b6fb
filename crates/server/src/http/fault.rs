//! Refusals as PlayReady clients read them: SOAP faults (SOAP 1.1, 4.4) in the place of problem
//! documents, with the same code, sentence and correlation id.
//!
//! Shape of the detail: `Exception/StatusCode`, a number of Microsoft's server exceptions, which
//! tells the client whether to try again; beside it our own `Refusal`. No reason is finer there than
//! in a problem document: who probes learns nothing about what was checked.

use crate::http::problem::Problem;
use crate::service::Service;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use model::{CorrelationId, Dialect};
use std::sync::Arc;

/// The code of a refusal, for apps that get no look into the fault.
const CODE: HeaderName = HeaderName::from_static("x-strongroom-code");
const MEDIA_TYPE: &str = "text/xml; charset=utf-8";
/// `DRM_E_SERVER_INTERNAL_ERROR`: the client tries again.
const INTERNAL_ERROR: u32 = 0x8004_c600;
/// `DRM_E_SERVER_INVALID_MESSAGE`: the message was not understood.
const INVALID_MESSAGE: u32 = 0x8004_c601;
/// `DRM_E_SERVER_SERVICE_SPECIFIC`: the service says no, and the app finds out why.
const SERVICE_SPECIFIC: u32 = 0x8004_c604;

/// On an answer: a refusal is said as a fault, under this status or its own.
#[derive(Clone, Copy, Debug)]
pub struct AsFault(Option<StatusCode>);

/// Marks the answers to license requests of PlayReady clients.
pub async fn mark(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let dialect = request.uri().path().strip_prefix("/license/");
    let is_playready = dialect.and_then(Dialect::parse) == Some(Dialect::PlayReady);
    let mut response = next.run(request).await;
    if is_playready {
        let status = service.ground.config.licenses.playready_fault_status;
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        response.extensions_mut().insert(AsFault(status));
    }
    response
}

impl AsFault {
    /// The fault. It has the headers of the problem document.
    pub fn render(self, problem: &Problem, correlation: CorrelationId) -> Response {
        let mut response: Response =
            problem.render(correlation).map(|_| Body::from(envelope(problem, correlation)));
        *response.status_mut() = self.0.unwrap_or(problem.status);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CODE, HeaderValue::from_static(problem.code));
        response
    }
}

/// Codes, digits, and sentences that hold what XML escapes only where a title's name does.
fn envelope(problem: &Problem, correlation: CorrelationId) -> String {
    let (code, sentence) = (problem.code, escaped(&problem.sentence));
    let side = if problem.status.is_server_error() { "Server" } else { "Client" };
    let number = status_code(problem.status);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
         <soap:Fault><faultcode>soap:{side}</faultcode>\
         <faultstring>{code}: {sentence}</faultstring><detail>\
         <Exception><StatusCode>{number:#010x}</StatusCode></Exception>\
         <Refusal xmlns=\"urn:strongroom:problem\"><Code>{code}</Code>\
         <Sentence>{sentence}</Sentence><CorrelationId>{correlation}</CorrelationId></Refusal>\
         </detail></soap:Fault></soap:Body></soap:Envelope>"
    )
}

fn status_code(status: StatusCode) -> u32 {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
            INVALID_MESSAGE
        }
        status if status.is_server_error() => INTERNAL_ERROR,
        _ => SERVICE_SPECIFIC,
    }
}

/// Text of an element (XML 1.0, 2.4).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Refusal;
    use crate::vault_link::LicenseRefused;

    fn fault(refusal: Refusal, status: Option<StatusCode>) -> (StatusCode, String) {
        let problem = refusal.problem();
        let correlation = CorrelationId::from_bytes([7; 16]);
        let response = AsFault(status).render(&problem, correlation);
        (response.status(), envelope(&problem, correlation))
    }

    #[test]
    fn a_fault_says_who_is_at_fault_and_whether_to_try_again() {
        let of = |refused| fault(Refusal::License(refused), None);
        for (refused, status, side, number) in [
            (LicenseRefused::Malformed, 400, "Client", "0x8004c601"),
            (LicenseRefused::Challenge("unsigned"), 403, "Client", "0x8004c604"),
            (LicenseRefused::TokenReplayed, 401, "Client", "0x8004c604"),
            (LicenseRefused::KmsUnavailable, 503, "Server", "0x8004c600"),
            (LicenseRefused::Integrity, 500, "Server", "0x8004c600"),
        ] {
            let (found, text) = of(refused);
            assert_eq!(found.as_u16(), status);
            assert!(text.contains(&format!("<faultcode>soap:{side}</faultcode>")), "{text}");
            assert!(text.contains(&format!("<StatusCode>{number}</StatusCode>")), "{text}");
            assert!(!text.contains("unsigned"), "the inner reason stays inside");
        }
    }

    #[test]
    fn one_status_for_all_changes_nothing_else() {
        let refusal = || Refusal::License(LicenseRefused::KidNotInContent);
        let (own, text) = fault(refusal(), None);
        let (set, same) = fault(refusal(), Some(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!((own.as_u16(), set.as_u16(), text == same), (403, 500, true));
        assert!(text.contains("<Code>kid_not_in_content</Code>"));
    }

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escaped("</detail>&"), "&lt;/detail&gt;&amp;");
    }
}
