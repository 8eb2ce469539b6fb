//! What is shown to Google: a service account's own signed token (RFC 7519; Google's AIP-4111), or
//! the access token of the machine, from its metadata server.

use super::Now;
use crate::kms::KmsError;
use crate::kms::remote::{RemoteRefused, Wire, parse_address, read_secret};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;
use reqwest::header::HeaderValue;
use reqwest::{Method, Request, Url};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Whom a signed token is for.
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
const METADATA: &str = "http://metadata.google.internal";
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// Life of a signed token; the longest that Google takes.
const SIGNED_FOR_S: u64 = 3600;
/// No token is shown that ends sooner than this.
const SPARE_S: u64 = 300;

/// The way to a token, and the last one.
pub(super) struct Access {
    source: Source,
    now: Now,
    last: Mutex<Option<(HeaderValue, Timestamp)>>,
}

enum Source {
    Account(Box<Account>),
    Machine(Url),
}

struct Account {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
}

/// Head of a signed token (RFC 7515, 4.1).
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Deserialize)]
struct AccountFile {
    client_email: String,
    private_key_id: Option<String>,
    private_key: Zeroizing<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Token {
    access_token: Zeroizing<String>,
    expires_in: u64,
}

impl Access {
    /// Reads the account's file, where there is one.
    ///
    /// Errors: [`RemoteRefused`].
    pub(super) fn find(
        file: Option<PathBuf>,
        metadata: Option<String>,
        now: Now,
    ) -> Result<Self, RemoteRefused> {
        let source = match file {
            Some(file) => Source::Account(Box::new(Account::read(&file)?)),
            None => {
                let mut url = parse_address(metadata.as_deref().unwrap_or(METADATA))?;
                url.set_path(TOKEN_PATH);
                Source::Machine(url)
            }
        };
        Ok(Self { source, now, last: Mutex::default() })
    }

    /// An `Authorization` header that is good for minutes.
    ///
    /// Errors: [`KmsError::Unavailable`] when the metadata server gives none;
    /// [`KmsError::Refused`] when the account's key does not sign.
    pub(super) async fn bearer(&self, wire: &Wire) -> Result<HeaderValue, KmsError> {
        let now = (self.now)();
        let kept = self.last().clone();
        if let Some((header, _)) = kept.filter(|(_, until)| now.plus_s(SPARE_S) < *until) {
            return Ok(header);
        }
        let (token, lives_s) = match &self.source {
            Source::Account(account) => (account.sign(now)?, SIGNED_FOR_S),
            Source::Machine(url) => ask_machine(url, wire).await?,
        };
        let text = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut header = HeaderValue::from_str(&text).map_err(|_| KmsError::Unavailable)?;
        header.set_sensitive(true);
        *self.last() = Some((header.clone(), now.plus_s(lives_s)));
        Ok(header)
    }

    /// Forgets the token: it was not taken.
    pub(super) fn forget(&self) {
        *self.last() = None;
    }

    fn last(&self) -> MutexGuard<'_, Option<(HeaderValue, Timestamp)>> {
        // Nothing in here panics half way.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask_machine(url: &Url, wire: &Wire) -> Result<(Zeroizing<String>, u64), KmsError> {
    let mut request = Request::new(Method::GET, url.clone());
    request.headers_mut().insert("metadata-flavor", HeaderValue::from_static("Google"));
    let answer = wire.send(request).await?;
    if !answer.is_done() {
        return Err(KmsError::Unavailable);
    }
    let Token { access_token, expires_in } = answer.json()?;
    Ok((access_token, expires_in))
}

impl Account {
    fn read(path: &Path) -> Result<Self, RemoteRefused> {
        let unusable =
            |why: String| RemoteRefused::Unusable { what: "the service account's file", why };
        let text = read_secret(path)?;
        // The cause would quote the file.
        let file: AccountFile = serde_json::from_slice(&text)
            .map_err(|_| unusable("no client_email and private_key in it".to_owned()))?;
        let no_key = || unusable("its private_key is no RSA key (PKCS #8, PEM)".to_owned());
        let pem = x509_parser::pem::parse_x509_pem(file.private_key.as_bytes());
        let der = pem.map(|(_, pem)| Zeroizing::new(pem.contents)).map_err(|_| no_key())?;
        let key = RsaKeyPair::from_pkcs8(&der).map_err(|_| no_key())?;
        Ok(Self { email: file.client_email, key_id: file.private_key_id, key })
    }

    fn sign(&self, now: Timestamp) -> Result<Zeroizing<String>, KmsError> {
        let (iss, iat) = (self.email.as_str(), now.0 / 1000);
        let exp = iat.saturating_add(SIGNED_FOR_S);
        let claims = Claims { iss, sub: iss, aud: AUDIENCE, iat, exp };
        let header = Header { alg: "RS256", typ: "JWT", kid: self.key_id.as_deref() };
        let mut token = Zeroizing::new([part(&header), part(&claims)].join("."));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| KmsError::Refused)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// A part of a signed token (RFC 7515, 3.1).
fn part(json: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(json).expect("texts and numbers are JSON"))
}
