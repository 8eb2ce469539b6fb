//! The root key in Google Cloud KMS: `encrypt` and `decrypt` of its REST API (version 1), with the
//! facts of the KEK as additional authenticated data and CRC-32C over all that travels.

mod access;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;

use super::remote::{Answer, Parcel, RemoteRefused, Trust, Wire, first_look, parse_address};
use super::{Kms, KmsError, KmsFuture};
use crate::context::KekContext;
use crate::kek::Kek;
use access::Access;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, Crc};
use model::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NAME: &str = "google-kms";
const ENDPOINT: &str = "https://cloudkms.googleapis.com";
/// Longest ciphertext, bytes: 64 KiB of plaintext and what KMS adds are its own limit.
const MAX_CIPHERTEXT_BYTES: usize = 4096;
/// CRC-32C, the one that Google checks.
const CRC_32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Tells the time: this room has no clock of its own.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the back end needs to know.
#[derive(Clone)]
pub struct GoogleSettings {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub key: String,
    /// JSON file of a service account; absent: the account of the machine, by the metadata server.
    pub credentials_file: Option<PathBuf>,
    /// URL of the service; absent: Google's.
    pub endpoint: Option<String>,
    /// URL of the metadata server; absent: Google's.
    pub metadata: Option<String>,
    /// Longest wait for an answer.
    pub deadline: Duration,
    /// The time.
    pub now: Now,
}

/// A root key in Google Cloud KMS.
pub struct GoogleKms {
    wire: Wire,
    encrypt: Url,
    decrypt: Url,
    access: Access,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Encrypt<'a> {
    plaintext: &'a str,
    plaintext_crc32c: String,
    additional_authenticated_data: String,
    additional_authenticated_data_crc32c: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    ciphertext: String,
    ciphertext_crc32c: String,
    #[serde(default)]
    verified_plaintext_crc32c: bool,
    #[serde(default)]
    verified_additional_authenticated_data_crc32c: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decrypt {
    ciphertext: String,
    ciphertext_crc32c: String,
    additional_authenticated_data: String,
    additional_authenticated_data_crc32c: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    plaintext: Zeroizing<String>,
    plaintext_crc32c: String,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error: Cause,
}

#[derive(Default, Deserialize)]
struct Cause {
    #[serde(default)]
    status: String,
}

impl GoogleKms {
    /// Takes up the key, and tries it.
    ///
    /// Errors: [`RemoteRefused`].
    pub async fn open(settings: GoogleSettings) -> Result<Self, RemoteRefused> {
        let kms = Self::new(settings)?;
        first_look(&kms).await?;
        Ok(kms)
    }

    fn new(settings: GoogleSettings) -> Result<Self, RemoteRefused> {
        let endpoint = parse_address(settings.endpoint.as_deref().unwrap_or(ENDPOINT))?;
        if !is_key_name(&settings.key) {
            let why = "its name is projects/P/locations/L/keyRings/R/cryptoKeys/K".to_owned();
            return Err(RemoteRefused::Unusable { what: "the key", why });
        }
        let place = |operation| {
            let mut url = endpoint.clone();
            let base = endpoint.path().trim_end_matches('/');
            url.set_path(&format!("{base}/v1/{}:{operation}", settings.key));
            url
        };
        let wire = Wire::new(NAME, Trust::System, settings.deadline)?;
        let (encrypt, decrypt) = (place("encrypt"), place("decrypt"));
        let access = Access::find(settings.credentials_file, settings.metadata, settings.now)?;
        Ok(Self { wire, encrypt, decrypt, access })
    }

    async fn call(&self, url: &Url, body: &impl Serialize) -> Result<Answer, KmsError> {
        let mut request = Request::new(Method::POST, url.clone());
        let body = serde_json::to_vec(body).map_err(|_| KmsError::Unavailable)?;
        *request.body_mut() = Some(body.into());
        let bearer = self.access.bearer(&self.wire).await?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, bearer);
        let answer = self.wire.send(request).await?;
        if answer.status == 401 {
            // Revoked, or a clock that is wrong: the next call shows a new one.
            self.access.forget();
        }
        if answer.is_done() { Ok(answer) } else { Err(self.failed(&answer)) }
    }

    fn failed(&self, answer: &Answer) -> KmsError {
        if answer.is_passing() {
            return KmsError::Unavailable;
        }
        let Failure { error: Cause { status } } = answer.json().unwrap_or_default();
        if status == "INVALID_ARGUMENT" {
            return KmsError::Integrity;
        }
        self.wire.log_refusal(answer.status, &status);
        KmsError::Refused
    }

    /// Wraps. Shape: version 1, then the ciphertext as KMS made it; it names its key version.
    async fn wrap_kek(&self, kek: &Kek, context: &KekContext<'_>) -> Result<Vec<u8>, KmsError> {
        let (parcel, aad) = (Parcel::pack(kek, context), context.aad());
        let plaintext = parcel.to_base64();
        let body = Encrypt {
            plaintext: &plaintext,
            plaintext_crc32c: crc(parcel.bytes()),
            additional_authenticated_data: STANDARD.encode(&aad),
            additional_authenticated_data_crc32c: crc(&aad),
        };
        let answer = self.call(&self.encrypt, &body).await.map_err(|error| match error {
            // A request to wrap that is no good is no matter of ciphertext.
            KmsError::Integrity => KmsError::Refused,
            other => other,
        })?;
        let encrypted: Encrypted = answer.json()?;
        let arrived_whole = encrypted.verified_plaintext_crc32c
            && encrypted.verified_additional_authenticated_data_crc32c;
        let sealed = STANDARD.decode(&encrypted.ciphertext).map_err(|_| KmsError::Unavailable)?;
        let is_whole = crc(&sealed) == encrypted.ciphertext_crc32c;
        if !arrived_whole || !is_whole || !(1..=MAX_CIPHERTEXT_BYTES).contains(&sealed.len()) {
            return Err(KmsError::Unavailable);
        }
        Ok([&[VERSION], sealed.as_slice()].concat())
    }

    async fn open_kek(&self, wrapped: &[u8], context: &KekContext<'_>) -> Result<Kek, KmsError> {
        let Some((&VERSION, sealed)) = wrapped.split_first() else {
            return Err(KmsError::Integrity);
        };
        if !(1..=MAX_CIPHERTEXT_BYTES).contains(&sealed.len()) {
            return Err(KmsError::Integrity);
        }
        let aad = context.aad();
        let body = Decrypt {
            ciphertext: STANDARD.encode(sealed),
            ciphertext_crc32c: crc(sealed),
            additional_authenticated_data: STANDARD.encode(&aad),
            additional_authenticated_data_crc32c: crc(&aad),
        };
        let Decrypted { plaintext, plaintext_crc32c } =
            self.call(&self.decrypt, &body).await?.json()?;
        let bytes = STANDARD.decode(plaintext.as_str()).map(Zeroizing::new);
        let is_whole = bytes.is_ok_and(|bytes| crc(&bytes) == plaintext_crc32c);
        // Damaged on its way: asked again, it may come whole.
        if !is_whole { Err(KmsError::Unavailable) } else { Parcel::unpack(&plaintext, context) }
    }
}

/// CRC-32C as the API writes it.
fn crc(bytes: &[u8]) -> String {
    CRC_32C.checksum(bytes).to_string()
}

/// `projects/*/locations/*/keyRings/*/cryptoKeys/*`, nothing that would leave its path.
fn is_key_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b':');
        part != "." && part != ".." && !part.is_empty() && part.bytes().all(is_plain)
    };
    let parts: Vec<&str> = name.split('/').collect();
    let [projects, p, locations, l, rings, r, keys, k] = parts.as_slice() else { return false };
    (*projects, *locations, *rings, *keys) == ("projects", "locations", "keyRings", "cryptoKeys")
        && [p, l, r, k].into_iter().all(|part| is_part(part))
}

impl Kms for GoogleKms {
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
