//! The client of a viewer: sign-in, tokens, licenses, manifests and segments, with the patience
//! that a player has (R164, R165).

use super::key_service::{bearer, clean, innermost, is_loopback};
use model::Entropy;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, RANGE, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Response, StatusCode};
use std::time::Duration;
use url::Url;

/// What a viewer is told when nothing answers, or only with faults of its own.
pub const UNAVAILABLE: &str = "Playback unavailable, try again shortly";

/// A connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A request with its answer, but for its body.
const EXCHANGE: Duration = Duration::from_secs(60);
/// How often a request is made again (R165).
const RETRIES: u32 = 3;
/// Wait before the first retry where the server names none; doubled with each one.
const PAUSE: Duration = Duration::from_millis(500);
/// A server that wants a longer wait than this is one that does not answer.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// When a license server wants to be asked again.
const NEXT_LICENSE: &str = "strongroom-next-license";
/// Longest problem document.
const MAX_PROBLEM: usize = 16 << 10;

/// How servers are reached.
#[derive(Default)]
pub struct ViewerSettings {
    /// A certificate authority beside the system's, PEM.
    pub authority: Option<Vec<u8>>,
    /// Allows passwords and licenses to other machines by plain HTTP.
    pub allow_http: bool,
}

/// A viewer's client.
pub struct ViewerClient {
    client: reqwest::Client,
    allow_http: bool,
}

/// One question.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What is asked of it.
    pub what: Asked<'a>,
    /// The address.
    pub url: &'a str,
    /// The token, without its `Bearer`.
    pub bearer: Option<&'a str>,
    /// Longest answer, bytes.
    pub max_bytes: usize,
}

/// What is asked of an address.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// What is there; or only the bytes from one to another, both included.
    Get(Option<(u64, u64)>),
    /// What comes back for a body of this media type.
    Post(&'static str, &'a [u8]),
    /// That it ends.
    Delete,
}

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Its body.
    pub body: Vec<u8>,
    /// In how many seconds a license server wants to be asked for the keys of later periods
    /// (`Strongroom-Next-License`).
    pub next_license_s: Option<u32>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewerError {
    /// The URL is none, or would send secrets in the clear.
    #[error("{0}")]
    Url(&'static str),
    /// The certificate authority or a token is not usable.
    #[error("{0}")]
    Settings(&'static str),
    /// No, in the words that the server has for the viewer.
    #[error("{sentence}")]
    Refused {
        /// The status.
        status: u16,
        /// The problem's code, where it has one.
        code: Option<String>,
        /// The sentence.
        sentence: String,
    },
    /// No answer, or only faults, retries included.
    #[error("{UNAVAILABLE}")]
    Unavailable {
        /// For an engineer.
        #[source]
        why: Fault,
    },
    /// The answer is longer than the question allows.
    #[error("the server's answer is too long")]
    TooLong,
}

/// The last of what went wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A status, with what the server says.
    #[error("the server answers {status}{words}")]
    Status {
        /// The status.
        status: u16,
        /// A colon and words, or nothing.
        words: String,
    },
    /// What the system says.
    #[error("{0}")]
    Network(String),
}

/// A request that may be made again.
struct Passing {
    why: Fault,
    retry_after: Option<Duration>,
}

enum Outcome {
    Done(Result<Answered, ViewerError>),
    Passing(Passing),
}

impl ViewerClient {
    /// A client. Redirects are not followed.
    ///
    /// Errors: [`ViewerError::Settings`].
    pub fn new(settings: ViewerSettings) -> Result<Self, ViewerError> {
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(EXCHANGE)
            .no_proxy();
        if let Some(pem) = &settings.authority {
            let found = Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
            builder =
                builder.tls_certs_merge(found.ok_or(ViewerError::Settings(
                    "the certificate authority is no PEM certificate",
                ))?);
        }
        let client = builder
            .build()
            .map_err(|_| ViewerError::Settings("TLS cannot be set up on this machine"))?;
        Ok(Self { client, allow_http: settings.allow_http })
    }

    /// Asks; after a 429, a 5xx or no answer again, up to 3 times, never sooner than the server
    /// wants it (`Retry-After`).
    ///
    /// Errors: [`ViewerError`]. Limits: the question's, 60 seconds for each try and each wait.
    pub async fn ask(
        &self,
        question: &Question<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<Answered, ViewerError> {
        let url = self.checked(question)?;
        for retry in 0..=RETRIES {
            let Passing { why, retry_after } = match self.ask_once(&url, question).await? {
                Outcome::Done(done) => return done,
                Outcome::Passing(passing) => passing,
            };
            let mut chance = [0; 1];
            entropy.fill(&mut chance);
            match wait(retry, retry_after, chance) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(ViewerError::Unavailable { why }),
            }
        }
        // The last turn of the loop has no wait, and so returns.
        Err(ViewerError::Unavailable { why: Fault::Network("no answer".to_owned()) })
    }

    /// Secrets travel by https, or stay within the machine.
    fn checked(&self, question: &Question<'_>) -> Result<Url, ViewerError> {
        let url = Url::parse(question.url)
            .map_err(|_| ViewerError::Url("expected a URL: https://HOST/PATH"))?;
        let is_secret = question.bearer.is_some() || matches!(question.what, Asked::Post(..));
        match url.scheme() {
            "https" => Ok(url),
            "http" if !is_secret || self.allow_http || is_loopback(&url) => Ok(url),
            "http" => Err(ViewerError::Url(
                "passwords and licenses travel by https; plain http goes to this machine only, \
                 or by --allow-http",
            )),
            _ => Err(ViewerError::Url("expected https://HOST/PATH")),
        }
    }

    async fn ask_once(&self, url: &Url, question: &Question<'_>) -> Result<Outcome, ViewerError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = question.bearer {
            const WRONG: ViewerError =
                ViewerError::Settings("the token has characters that no token has");
            headers.insert(AUTHORIZATION, bearer(token).map_err(|_| WRONG)?);
        }
        let (method, body) = match question.what {
            Asked::Get(None) => (Method::GET, vec![]),
            Asked::Get(Some((first, last))) => {
                if let Ok(range) = format!("bytes={first}-{last}").parse() {
                    headers.insert(RANGE, range);
                }
                (Method::GET, vec![])
            }
            Asked::Post(media_type, body) => {
                headers.insert(CONTENT_TYPE, reqwest::header::HeaderValue::from_static(media_type));
                (Method::POST, body.to_vec())
            }
            Asked::Delete => (Method::DELETE, vec![]),
        };
        let request = self.client.request(method, url.clone()).headers(headers).body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(no_answer(&error)),
        };
        let wanted: &[StatusCode] = match question.what {
            Asked::Get(Some(_)) => &[StatusCode::PARTIAL_CONTENT],
            Asked::Get(None) => &[StatusCode::OK],
            Asked::Post(..) => &[StatusCode::OK, StatusCode::CREATED],
            Asked::Delete => &[StatusCode::NO_CONTENT],
        };
        if wanted.contains(&answer.status()) {
            return Ok(body_of(answer, question.max_bytes).await);
        }
        Ok(refusal(answer).await)
    }
}

/// Reads a body within a limit. One that breaks off is asked for again.
async fn body_of(mut answer: Response, max_bytes: usize) -> Outcome {
    let next_license_s =
        answer.headers().get(NEXT_LICENSE).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) if body.len().saturating_add(piece.len()) <= max_bytes => {
                body.extend_from_slice(&piece);
            }
            Ok(Some(_)) => return Outcome::Done(Err(ViewerError::TooLong)),
            Ok(None) => return Outcome::Done(Ok(Answered { body, next_license_s })),
            Err(error) => return no_answer(&error),
        }
    }
}

async fn refusal(answer: Response) -> Outcome {
    let status = answer.status();
    let retry_after = retry_after(answer.headers());
    let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let body = match body_of(answer, MAX_PROBLEM).await {
        Outcome::Done(Ok(answered)) => answered.body,
        _ => vec![],
    };
    let (code, sentence) = match problem(&body) {
        (None, None) => fault(&body),
        problem => problem,
    };
    if is_passing {
        let words = sentence.map_or_else(String::new, |sentence| format!(": {sentence}"));
        let why = Fault::Status { status: status.as_u16(), words };
        return Outcome::Passing(Passing { why, retry_after });
    }
    let sentence = sentence.unwrap_or_else(|| format!("The server answers {status}."));
    Outcome::Done(Err(ViewerError::Refused { status: status.as_u16(), code, sentence }))
}

/// Code and sentence of a problem document (RFC 9457).
fn problem(body: &[u8]) -> (Option<String>, Option<String>) {
    let document: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = |name| {
        let text = clean(document.as_ref()?.get(name)?.as_str()?);
        (!text.is_empty()).then_some(text)
    };
    (text("code"), text("detail"))
}

/// Code and sentence of a SOAP fault (SOAP 1.1, 4.4), which PlayReady has for its refusals:
/// `CODE: SENTENCE` in its one `faultstring`.
fn fault(body: &[u8]) -> (Option<String>, Option<String>) {
    const ESCAPED: [(&str, &str); 5] =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    let read = || {
        let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<faultstring>")?;
        let (said, _) = rest.split_once("</faultstring>")?;
        let said = ESCAPED.iter().fold(said.to_owned(), |said, (from, to)| said.replace(from, to));
        let (code, sentence) = said.split_once(": ")?;
        let (code, sentence) = (clean(code), clean(sentence));
        (!code.is_empty() && !sentence.is_empty()).then_some((code, sentence))
    };
    read().unzip()
}

fn no_answer(error: &reqwest::Error) -> Outcome {
    let said = innermost(error);
    let said = if error.is_timeout() || said.is_empty() { "no answer".to_owned() } else { said };
    Outcome::Passing(Passing { why: Fault::Network(said), retry_after: None })
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is taken against the answer's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let wanted = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(wanted).ok()?;
    let from = httpdate::parse_http_date(text(DATE)?).ok()?;
    Some(until.duration_since(from).unwrap_or_default())
}

/// How long to wait before a retry: at least what the server wants, and up to half more, so that
/// not all viewers come back at once. `None`: there is no retry.
fn wait(retry: u32, retry_after: Option<Duration>, [chance]: [u8; 1]) -> Option<Duration> {
    if retry >= RETRIES {
        return None;
    }
    let least = retry_after.unwrap_or_default().max(PAUSE * 2_u32.pow(retry));
    (least <= MAX_WAIT).then(|| least + least / 2 * u32::from(chance) / u32::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_waits_as_long_as_the_server_wants_and_a_little_more() {
        let seconds = Duration::from_secs;
        for chance in 0..=u8::MAX {
            for wanted in [0, 1, 7, 60] {
                for retry in 0..RETRIES {
                    let wait = wait(retry, Some(seconds(wanted)), [chance]).unwrap();
                    let least = seconds(wanted).max(PAUSE * 2_u32.pow(retry));
                    assert!(wait >= least && wait <= least * 3 / 2, "{wait:?}");
                }
            }
        }
        assert_eq!(wait(0, None, [0]), Some(PAUSE));
        assert_ne!(wait(0, None, [1]), wait(0, None, [200]));
        assert_eq!(wait(RETRIES, None, [0]), None);
        assert_eq!(wait(0, Some(seconds(61)), [0]), None, "never sooner than it wants");
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let wait = |pairs: &[(HeaderName, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            retry_after(&pairs.collect())
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let until = "Fri, 31 Dec 1999 23:59:59 GMT";
        let now = "Fri, 31 Dec 1999 23:59:50 GMT";
        assert_eq!(wait(&[(RETRY_AFTER, " 120 ")]), seconds(120));
        assert_eq!(wait(&[(RETRY_AFTER, until), (DATE, now)]), seconds(9));
        assert_eq!(wait(&[(RETRY_AFTER, now), (DATE, until)]), seconds(0));
        assert_eq!(wait(&[(RETRY_AFTER, until)]), None);
        assert_eq!(wait(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn secrets_travel_by_https_or_within_the_machine() {
        let client = ViewerClient::new(ViewerSettings::default()).unwrap();
        let ask = |what, url, bearer| {
            client.checked(&Question { what, url, bearer, max_bytes: 1 }).is_ok()
        };
        let post = Asked::Post("application/json", b"{}");
        let get = Asked::Get(None);
        for url in ["https://tv.example/a", "http://127.0.0.1:8/a", "http://localhost/a"] {
            assert!(ask(post, url, None) && ask(get, url, Some("t")), "{url}");
        }
        let plain = "http://tv.example/a";
        assert!(ask(get, plain, None), "segments are encrypted");
        assert!(!ask(post, plain, None) && !ask(get, plain, Some("t")));
        for url in ["", "tv.example", "ftp://tv.example/", "file:///etc/passwd"] {
            assert!(!ask(get, url, None), "{url}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_words_for_the_viewer() {
        let document = br#"{"detail":"Please sign in.","code":"token_invalid"}"#;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(problem(document), (text("token_invalid"), text("Please sign in.")));
        assert_eq!(problem(b"<html>"), (None, None));
        let document = b"<s:Fault><faultcode>s:Client</faultcode><faultstring>token_invalid: \
            Don&apos;t &amp;lt; sign.</faultstring></s:Fault>";
        assert_eq!(fault(document), (text("token_invalid"), text("Don't &lt; sign.")));
        for other in [&b"<html>"[..], b"<faultstring>no end", b"<faultstring>: </faultstring>"] {
            assert_eq!(fault(other), (None, None));
        }
        let why = Fault::Network("refused".to_owned());
        assert_eq!(ViewerError::Unavailable { why }.to_string(), UNAVAILABLE);
    }
}
