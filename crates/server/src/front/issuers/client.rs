//! Fetching an issuer's keys (RFC 7517), where the settings or its discovery document (OpenID
//! Connect Discovery 1.0, 4) say, and nowhere else: no URL of a token is ever asked.

use crate::config::Mode;
use crate::config::issuer::Issuer;
use playback::issuer::{KeySet, KeySetRefused, MAX_SET_BYTES};
use reqwest::header::{ACCEPT, CACHE_CONTROL};
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode, Url};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// A connection.
const CONNECT: Duration = Duration::from_secs(3);
/// One question with its answer.
const EXCHANGE: Duration = Duration::from_secs(5);
/// What stands behind the name of an issuer (Discovery, 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Why an issuer's keys cannot be asked for at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate authority cannot be read.
    #[error("{path}: {cause}", path = path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The URL, or TLS.
    #[error("{0}")]
    Settings(&'static str),
}

/// Why a question brought no keys.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer.
    #[error("no answer: {0}")]
    Away(reqwest::Error),
    /// An answer that is none.
    #[error("status {0}")]
    Status(u16),
    /// An answer of more than [`MAX_SET_BYTES`].
    #[error("the answer is too long")]
    TooLong,
    /// The discovery document is of another issuer, or names no place that may be asked.
    #[error("the discovery document: {0}")]
    Discovery(&'static str),
    /// What came is no key set.
    #[error(transparent)]
    Keys(#[from] KeySetRefused),
}

/// Fetches the keys of one issuer.
pub struct JwksClient {
    http: reqwest::Client,
    issuer: String,
    place: Place,
    mode: Mode,
}

enum Place {
    Keys(Url),
    Discovery(Url),
}

/// Keys, and how long they are fresh by their answer's word.
pub struct Fetched {
    /// The keys.
    pub keys: KeySet,
    /// `max-age`, seconds.
    pub max_age_s: Option<u64>,
}

/// The part of a discovery document that is read.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl JwksClient {
    /// A client of an issuer. Redirects are not followed, and no proxy of the environment is
    /// asked.
    ///
    /// Errors: [`ClientError`].
    pub fn new(issuer: &Issuer, mode: Mode) -> Result<Self, ClientError> {
        let place = match &issuer.jwks_url {
            Some(url) => reached(url, mode).map(Place::Keys),
            None => {
                let url = format!("{}{DISCOVERY}", issuer.url.trim_end_matches('/'));
                reached(&url, mode).map(Place::Discovery)
            }
        };
        let place = place.ok_or(ClientError::Settings("the URL may not be asked"))?;
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(EXCHANGE)
            .https_only(mode == Mode::Production)
            .no_proxy();
        if let Some(path) = &issuer.authority {
            let refused = |cause: String| ClientError::Authority { path: path.clone(), cause };
            let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
            let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if found.is_empty() {
                return Err(refused("no PEM certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(found);
        }
        let http = builder.build().map_err(|_| ClientError::Settings("TLS cannot be set up"))?;
        Ok(Self { http, issuer: issuer.url.clone(), place, mode })
    }

    /// Fetches the keys.
    ///
    /// Errors: [`FetchError`]. Limits: [`MAX_SET_BYTES`], 5 seconds for each of two questions.
    pub async fn fetch(&self) -> Result<Fetched, FetchError> {
        let keys_url = match &self.place {
            Place::Keys(url) => url.clone(),
            Place::Discovery(url) => self.discover(url).await?,
        };
        let (body, max_age_s) = self.ask(&keys_url).await?;
        Ok(Fetched { keys: KeySet::parse(&body)?, max_age_s })
    }

    async fn discover(&self, url: &Url) -> Result<Url, FetchError> {
        let (body, _) = self.ask(url).await?;
        let found: Discovered =
            serde_json::from_slice(&body).map_err(|_| FetchError::Discovery("not one"))?;
        if found.issuer != self.issuer {
            return Err(FetchError::Discovery("of another issuer"));
        }
        reached(&found.jwks_uri, self.mode).ok_or(FetchError::Discovery("jwks_uri is not https"))
    }

    async fn ask(&self, url: &Url) -> Result<(Vec<u8>, Option<u64>), FetchError> {
        let request = self.http.get(url.clone()).header(ACCEPT, "application/json");
        let away = |error: reqwest::Error| FetchError::Away(error.without_url());
        let mut answer = request.send().await.map_err(away)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let said = answer.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let max_age_s = said.and_then(max_age);
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            if body.len() + piece.len() > MAX_SET_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok((body, max_age_s))
    }
}

/// The URL, where a service of this mode may ask there.
#[must_use]
pub fn reached(url: &str, mode: Mode) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let is_private = match url.scheme() {
        "https" => true,
        "http" => mode == Mode::Development && is_loopback(&url),
        _ => false,
    };
    let has_login = !url.username().is_empty() || url.password().is_some();
    (is_private && !has_login).then_some(url)
}

/// By its address, so that no name server has a say.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// `max-age` of a `Cache-Control` (RFC 9111, 5.2.2.1); what may not be kept is as short as can be.
fn max_age(said: &str) -> Option<u64> {
    let mut directives = said.split(',').map(str::trim);
    let is_kept_not = |one: &str| ["no-store", "no-cache"].contains(&one);
    if directives.clone().any(|one| is_kept_not(&one.to_ascii_lowercase())) {
        return Some(0);
    }
    directives.find_map(|one| {
        let (name, value) = one.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::max_age;

    #[test]
    fn the_life_of_an_answer_is_read() {
        for (said, age) in [
            ("max-age=60", Some(60)),
            ("public, Max-Age = \"60\", must-revalidate", Some(60)),
            ("no-store", Some(0)),
            ("max-age=60, No-Cache", Some(0)),
            ("public", None),
            ("max-age=", None),
            ("max-age=-1", None),
            ("s-maxage=60", None),
            ("", None),
        ] {
            assert_eq!(max_age(said), age, "{said}");
        }
    }
}
