//! The client of key services: one question by POST, one answer of bounded size.

use super::RemoteError;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode};
use std::error::Error as _;
use std::time::Duration;
use url::Url;

/// Longest answer, bytes.
pub const MAX_ANSWER: usize = 4 << 20;
/// A connection.
const CONNECT: Duration = Duration::from_secs(5);
/// One question with its answer.
const EXCHANGE: Duration = Duration::from_secs(30);
/// A question that met no answer, or a 5xx, is asked again; equal questions get equal keys.
const TRIES: u32 = 3;
/// Wait before the second try; before the third, twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// Letters of a key service's own words that are passed on.
const MAX_WORDS: usize = 300;

/// How a key service is reached.
#[derive(Default)]
pub struct KeyServiceSettings {
    /// A certificate authority beside the system's, PEM.
    pub authority: Option<Vec<u8>>,
    /// Allows plain HTTP to other machines.
    pub allow_http: bool,
    /// The token; never printed.
    pub token: Option<String>,
}

/// A client of one key service.
pub struct KeyServiceClient {
    client: reqwest::Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// Why a key service gave no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyServiceError {
    /// The URL is none, or would send keys in the clear.
    #[error("{0}")]
    Url(&'static str),
    /// The token, or the certificate authority, is not usable.
    #[error("{0}")]
    Settings(&'static str),
    /// It says no, in its own words.
    #[error("the key service refuses: {status}{words}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says, with a colon before it, or nothing.
        words: String,
    },
    /// The answer is longer than [`MAX_ANSWER`].
    #[error("the key service's answer is too long")]
    TooLong,
    /// No answer.
    #[error("the key service cannot be asked: {0}")]
    Away(RemoteError),
}

impl KeyServiceClient {
    /// A client of the key service at `url`. Redirects are not followed: a question goes to
    /// whom it is addressed.
    ///
    /// Errors: [`KeyServiceError::Url`], [`KeyServiceError::Settings`].
    pub fn new(url: &str, settings: KeyServiceSettings) -> Result<Self, KeyServiceError> {
        let url = Url::parse(url)
            .map_err(|_| KeyServiceError::Url("expected a URL: https://HOST/PATH"))?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(KeyServiceError::Url("expected https://HOST/PATH")),
        };
        if is_plain && !settings.allow_http && !is_loopback(&url) {
            return Err(KeyServiceError::Url(
                "keys travel by https; plain http goes to this machine only, or by \
                 --key-service-allow-http",
            ));
        }
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(EXCHANGE)
            .https_only(!is_plain)
            .no_proxy();
        if let Some(pem) = &settings.authority {
            const WRONG: KeyServiceError =
                KeyServiceError::Settings("the certificate authority is no PEM certificate");
            let found = Certificate::from_pem_bundle(pem).map_err(|_| WRONG)?;
            if found.is_empty() {
                return Err(WRONG);
            }
            builder = builder.tls_certs_merge(found);
        }
        let authorization = settings.token.as_deref().map(bearer).transpose()?;
        let client = builder
            .build()
            .map_err(|_| KeyServiceError::Settings("TLS cannot be set up on this machine"))?;
        Ok(Self { client, url, authorization })
    }

    /// Asks, and again where there was no answer. `headers` are names and values.
    ///
    /// Errors: [`KeyServiceError`]. Limits: [`MAX_ANSWER`], 30 seconds for each of 3 tries.
    pub async fn ask(
        &self,
        question: &[u8],
        headers: &[(&'static str, &'static str)],
    ) -> Result<Vec<u8>, KeyServiceError> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.ask_once(question, headers).await {
                Err(error) if is_passing(&error) => {}
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.ask_once(question, headers).await
    }

    async fn ask_once(
        &self,
        question: &[u8],
        headers: &[(&'static str, &'static str)],
    ) -> Result<Vec<u8>, KeyServiceError> {
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        all.insert(ACCEPT, HeaderValue::from_static("application/xml"));
        for (name, value) in headers {
            all.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(authorization) = &self.authorization {
            all.insert(AUTHORIZATION, authorization.clone());
        }
        let request = self.client.post(self.url.clone()).headers(all).body(question.to_vec());
        let mut answer = request.send().await.map_err(|error| away(&error))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| away(&error))? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(KeyServiceError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        if status == StatusCode::OK {
            return Ok(body);
        }
        Err(KeyServiceError::Refused { status: status.as_u16(), words: words(&body) })
    }
}

fn is_passing(error: &KeyServiceError) -> bool {
    match error {
        KeyServiceError::Away(_) => true,
        KeyServiceError::Refused { status, .. } => *status >= 500 || *status == 429,
        KeyServiceError::Url(_) | KeyServiceError::Settings(_) | KeyServiceError::TooLong => false,
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

pub(super) fn bearer(token: &str) -> Result<HeaderValue, KeyServiceError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| KeyServiceError::Settings("the token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the system says, without the URL; nothing where it says nothing.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut said = String::new();
    while let Some(inner) = cause {
        said = inner.to_string();
        cause = inner.source();
    }
    clean(&said)
}

fn away(error: &reqwest::Error) -> KeyServiceError {
    if error.is_timeout() {
        return KeyServiceError::Away(RemoteError::Deadline(EXCHANGE.as_secs()));
    }
    let said = innermost(error);
    let said = if said.is_empty() { "no answer".to_owned() } else { said };
    KeyServiceError::Away(RemoteError::Other(said))
}

/// A refusal's sentence: the text itself, or the `detail` of a problem document (RFC 9457).
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let problem: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let problem = problem.as_ref().and_then(|problem| {
        Some(format!("{} ({})", problem.get("detail")?.as_str()?, problem.get("code")?.as_str()?))
    });
    let said = clean(problem.as_deref().unwrap_or(&text));
    if said.is_empty() { said } else { format!(": {said}") }
}

pub(super) fn clean(text: &str) -> String {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, settings: KeyServiceSettings) -> Option<String> {
        KeyServiceClient::new(url, settings).err().map(|error| error.to_string())
    }

    #[test]
    fn keys_travel_by_https_or_within_the_machine() {
        let plain = |url| refusal(url, KeyServiceSettings::default());
        for url in [
            "https://keys.example/cpix",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "http://localhost/",
        ] {
            assert_eq!(plain(url), None, "{url}");
        }
        for url in ["http://keys.example/", "http://10.0.0.1/", "http://localhost.example/"] {
            assert!(plain(url).unwrap().contains("https"), "{url}");
            let settings = KeyServiceSettings { allow_http: true, ..Default::default() };
            assert_eq!(refusal(url, settings), None);
        }
        for url in ["", "keys.example", "ftp://keys.example", "file:///etc/passwd", "https://"] {
            assert!(plain(url).is_some(), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let token = KeyServiceSettings { token: Some("a\nb".to_owned()), ..Default::default() };
        assert!(refusal("https://keys.example", token).unwrap().contains("token"));
        let authority = KeyServiceSettings { authority: Some(b"x".to_vec()), ..Default::default() };
        assert!(refusal("https://keys.example", authority).unwrap().contains("authority"));
    }

    #[test]
    fn a_refusal_is_passed_on_in_its_own_words() {
        assert_eq!(words(b"Missing CPIX@contentId\n"), ": Missing CPIX@contentId");
        let problem = br#"{"detail":"Not yours.","code":"content_not_allowed"}"#;
        assert_eq!(words(problem), ": Not yours. (content_not_allowed)");
        assert_eq!(words(b" \x1b[2J\n"), ": [2J");
        assert_eq!(words(b""), "");
        assert_eq!(words(&[b'x'; 9000]).len(), MAX_WORDS + 2);
    }
}
