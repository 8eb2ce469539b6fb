//! The root key in the transit engine of HashiCorp Vault or OpenBao (HTTP API version 1):
//! `encrypt` and `decrypt` of an `aes256-gcm96` key, with the facts of the KEK as associated data.

#[cfg(test)]
mod bao;
#[cfg(test)]
mod tests;
mod token;

use super::remote::{
    Answer, Parcel, RemoteRefused, Trust, Wire, first_look, parse_address, read_open,
};
use super::{Kms, KmsError, KmsFuture};
use crate::context::KekContext;
use crate::kek::Kek;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use token::Token;
use zeroize::Zeroizing;

pub use token::VaultToken;

const VERSION: u8 = 1;
const NAME: &str = "vault";
/// Longest ciphertext, bytes: key version apart, nonce, parcel and tag are 76.
const MAX_SEALED_BYTES: usize = 1024;

/// What the back end needs to know.
#[derive(Debug)]
pub struct VaultSettings {
    /// `https://host:port` of the server or its load balancer.
    pub address: String,
    /// Where the transit engine is mounted.
    pub mount: String,
    /// Name of the key.
    pub key: String,
    /// The token that is shown.
    pub token: VaultToken,
    /// Namespace of Vault Enterprise and OpenBao; absent: the root's.
    pub namespace: Option<String>,
    /// PEM file of the authorities that are trusted; absent: the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for an answer.
    pub deadline: Duration,
}

/// A root key in a transit engine.
pub struct VaultKms {
    wire: Wire,
    encrypt: Url,
    decrypt: Url,
    token: Token,
    namespace: Option<HeaderValue>,
}

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
    associated_data: String,
}

#[derive(Serialize)]
struct Decrypt {
    ciphertext: String,
    associated_data: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: Zeroizing<String>,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    errors: Vec<String>,
}

impl VaultKms {
    /// Takes up the key, and tries it.
    ///
    /// Errors: [`RemoteRefused`].
    pub async fn open(settings: VaultSettings) -> Result<Self, RemoteRefused> {
        let kms = Self::new(settings)?;
        first_look(&kms).await?;
        Ok(kms)
    }

    fn new(settings: VaultSettings) -> Result<Self, RemoteRefused> {
        let VaultSettings { address, mount, key, token, namespace, ca_file, deadline } = settings;
        let address = parse_address(&address)?;
        let place = |operation| place_of(&address, &mount, operation, &key);
        let (encrypt, decrypt) = (place("encrypt")?, place("decrypt")?);
        let namespace = namespace.map(|name| HeaderValue::from_str(&name)).transpose();
        let namespace = namespace.map_err(|error| RemoteRefused::Unusable {
            what: "the namespace",
            why: error.to_string(),
        })?;
        let pem = ca_file.as_deref().map(read_open).transpose()?;
        let trust = pem.as_deref().map_or(Trust::System, Trust::Only);
        let wire = Wire::new(NAME, trust, deadline)?;
        Ok(Self { wire, encrypt, decrypt, token: Token::find(token)?, namespace })
    }

    async fn call(&self, url: &Url, body: &impl Serialize) -> Result<Answer, KmsError> {
        let mut request = Request::new(Method::POST, url.clone());
        let body = serde_json::to_vec(body).map_err(|_| KmsError::Unavailable)?;
        *request.body_mut() = Some(body.into());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        headers.insert(
            "x-vault-token",
            self.token.header().map_err(|error| {
                tracing::error!(%error, backend = NAME, "no token to show");
                KmsError::Refused
            })?,
        );
        if let Some(namespace) = &self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        self.wire.send(request).await
    }

    /// Wraps. Shape: version 1, version of the transit key (4 bytes, big-endian), then the bytes
    /// of its ciphertext, out of their base64: so no two texts stand for one ciphertext.
    async fn wrap_kek(&self, kek: &Kek, context: &KekContext<'_>) -> Result<Vec<u8>, KmsError> {
        let plaintext = Parcel::pack(kek, context).to_base64();
        let associated_data = STANDARD.encode(context.aad());
        let body = Encrypt { plaintext: &plaintext, associated_data };
        let answer = self.call(&self.encrypt, &body).await?;
        if !answer.is_done() {
            return Err(self.failed(&answer, |_| KmsError::Refused));
        }
        let Envelope { data: Encrypted { ciphertext } } = answer.json()?;
        let (version, sealed) = read_ciphertext(&ciphertext).ok_or(KmsError::Unavailable)?;
        Ok([&[VERSION], version.to_be_bytes().as_slice(), &sealed].concat())
    }

    async fn open_kek(&self, wrapped: &[u8], context: &KekContext<'_>) -> Result<Kek, KmsError> {
        let Some((&VERSION, rest)) = wrapped.split_first() else { return Err(KmsError::Integrity) };
        let (version, sealed) = rest.split_first_chunk().ok_or(KmsError::Integrity)?;
        let version = u32::from_be_bytes(*version);
        // Version 0 is an old name of version 1, and would be a second text of one ciphertext.
        if version == 0 || !(1..=MAX_SEALED_BYTES).contains(&sealed.len()) {
            return Err(KmsError::Integrity);
        }
        let ciphertext = format!("vault:v{version}:{}", STANDARD.encode(sealed));
        let associated_data = STANDARD.encode(context.aad());
        let answer = self.call(&self.decrypt, &Decrypt { ciphertext, associated_data }).await?;
        if !answer.is_done() {
            return Err(self.failed(&answer, |said| {
                // All else that is wrong with a request to open is wrong with its ciphertext.
                if said.contains("key not found") { KmsError::Refused } else { KmsError::Integrity }
            }));
        }
        let Envelope { data: Decrypted { plaintext } } = answer.json()?;
        Parcel::unpack(&plaintext, context)
    }

    /// `bad_request` tells what a 400 with this text means for the call.
    fn failed(&self, answer: &Answer, bad_request: impl Fn(&str) -> KmsError) -> KmsError {
        // 412: a replica that has not seen the key yet (Vault Enterprise).
        if answer.is_passing() || answer.status == 412 {
            return KmsError::Unavailable;
        }
        let failure: Failure = answer.json().unwrap_or_default();
        let said = failure.errors.join(" ");
        let error = if answer.status == 400 { bad_request(&said) } else { KmsError::Refused };
        if error == KmsError::Refused {
            self.wire.log_refusal(answer.status, &said.replace(char::is_whitespace, "_"));
        }
        error
    }
}

/// `ADDRESS/v1/MOUNT/OPERATION/KEY`.
fn place_of(address: &Url, mount: &str, operation: &str, key: &str) -> Result<Url, RemoteRefused> {
    let is_name = |name: &str| {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
        !name.is_empty() && name != "." && name != ".." && name.bytes().all(is_plain)
    };
    if !mount.split('/').all(is_name) || !is_name(key) {
        let why = "their names are letters, digits and `_`, `-`, `.`".to_owned();
        return Err(RemoteRefused::Unusable { what: "mount and key", why });
    }
    let mut url = address.clone();
    let base = address.path().trim_end_matches('/');
    url.set_path(&format!("{base}/v1/{mount}/{operation}/{key}"));
    Ok(url)
}

/// Key version and bytes of a ciphertext `vault:vN:BASE64`.
fn read_ciphertext(text: &str) -> Option<(u32, Vec<u8>)> {
    let (version, sealed) = text.strip_prefix("vault:v")?.split_once(':')?;
    let sealed = STANDARD.decode(sealed).ok()?;
    let version = version.parse().ok().filter(|version| *version != 0)?;
    (1..=MAX_SEALED_BYTES).contains(&sealed.len()).then_some((version, sealed))
}

impl Kms for VaultKms {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(self.wrap_kek(kek, context))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(self.open_kek(wrapped, context))
    }

    fn name(&self) -> &'static str {
        NAME
    }
}
