//! The root key in AWS KMS: `Encrypt` and `Decrypt` of its JSON API (version 2014-11-01), signed
//! by Signature Version 4, with the facts of the KEK as encryption context.

mod credentials;
#[cfg(test)]
mod tests;

use super::remote::{Answer, Parcel, RemoteRefused, Trust, Wire, first_look, parse_address};
use super::{Kms, KmsError, KmsFuture};
use crate::context::KekContext;
use crate::kek::Kek;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credentials::Credentials;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NAME: &str = "aws-kms";
/// Longest ciphertext that KMS makes or opens, bytes.
const MAX_BLOB_BYTES: usize = 6144;
/// Longest key name, bytes: id, alias or ARN.
const MAX_KEY_ID_BYTES: usize = 2048;

/// What the back end needs to know. Credentials come from the process's `AWS_*` variables, a web
/// identity, a container or the instance.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// The key: its id, ARN or alias.
    pub key_id: String,
    /// Region; absent: `AWS_REGION`, then `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// URL of the service; absent: Amazon's for the region.
    pub endpoint: Option<String>,
    /// Longest wait for an answer.
    pub deadline: Duration,
}

/// A root key in AWS KMS.
pub struct AwsKms {
    wire: Wire,
    endpoint: Url,
    key_id: String,
    credentials: Credentials,
}

/// The facts of a KEK, as KMS binds and logs them.
#[derive(Serialize)]
struct Facts<'a> {
    purpose: &'static str,
    tenant: &'a str,
    category: &'a str,
    version: String,
}

impl<'a> Facts<'a> {
    fn of(context: &KekContext<'a>) -> Self {
        let (tenant, category) = (context.tenant, context.category.as_str());
        Self {
            purpose: "strongroom kek 1",
            tenant,
            category,
            version: context.version.0.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt<'a> {
    key_id: &'a str,
    plaintext: &'a str,
    encryption_context: Facts<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt<'a> {
    key_id: &'a str,
    ciphertext_blob: String,
    encryption_context: Facts<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: Zeroizing<String>,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default, rename = "__type")]
    kind: String,
}

impl AwsKms {
    /// Takes up the key, and tries it.
    ///
    /// Errors: [`RemoteRefused`].
    pub async fn open(settings: AwsSettings) -> Result<Self, RemoteRefused> {
        let credentials = Credentials::find(settings.region.clone())?;
        let kms = Self::new(settings, credentials)?;
        first_look(&kms).await?;
        Ok(kms)
    }

    fn new(settings: AwsSettings, credentials: Credentials) -> Result<Self, RemoteRefused> {
        let AwsSettings { key_id, endpoint, deadline, .. } = settings;
        if !(1..=MAX_KEY_ID_BYTES).contains(&key_id.len()) {
            let why = "its name has 1 to 2048 bytes".to_owned();
            return Err(RemoteRefused::Unusable { what: "the key", why });
        }
        let endpoint = endpoint.unwrap_or_else(|| credentials.endpoint());
        let endpoint = parse_address(&endpoint)?;
        let wire = Wire::new(NAME, Trust::System, deadline)?;
        Ok(Self { wire, endpoint, key_id, credentials })
    }

    async fn call(&self, operation: &str, body: &impl Serialize) -> Result<Answer, KmsError> {
        let body = serde_json::to_vec(body).map_err(|_| KmsError::Unavailable)?;
        // Credentials may be fetched for it: that takes its part of the deadline.
        let request = self.credentials.sign(&self.endpoint, operation, body);
        let request = self.wire.within(request).await?;
        let answer = self.wire.send(request).await?;
        if answer.is_done() { Ok(answer) } else { Err(self.failed(&answer)) }
    }

    fn failed(&self, answer: &Answer) -> KmsError {
        if answer.is_passing() {
            return KmsError::Unavailable;
        }
        let failure: Failure = answer.json().unwrap_or_default();
        // Some services of Amazon name the namespace as well.
        let kind = failure.kind.rsplit('#').next().unwrap_or_default();
        match kind {
            "InvalidCiphertextException" | "IncorrectKeyException" => KmsError::Integrity,
            "ThrottlingException"
            | "LimitExceededException"
            | "DependencyTimeoutException"
            | "KeyUnavailableException"
            | "KMSInternalException"
            // Fetched anew for the next call.
            | "ExpiredTokenException" => KmsError::Unavailable,
            _ => {
                self.wire.log_refusal(answer.status, kind);
                KmsError::Refused
            }
        }
    }

    /// Wraps. Shape: version 1, then the ciphertext as KMS made it.
    async fn encrypt(&self, kek: &Kek, context: &KekContext<'_>) -> Result<Vec<u8>, KmsError> {
        let plaintext = Parcel::pack(kek, context).to_base64();
        let (key_id, encryption_context) = (self.key_id.as_str(), Facts::of(context));
        let body = Encrypt { key_id, plaintext: &plaintext, encryption_context };
        let answer = self.call("Encrypt", &body).await.map_err(|error| match error {
            // There is nothing here that could be bound to something else.
            KmsError::Integrity => KmsError::Unavailable,
            other => other,
        })?;
        let Encrypted { ciphertext_blob } = answer.json()?;
        let blob = STANDARD.decode(ciphertext_blob).map_err(|_| KmsError::Unavailable)?;
        if !(1..=MAX_BLOB_BYTES).contains(&blob.len()) {
            return Err(KmsError::Unavailable);
        }
        Ok([&[VERSION], blob.as_slice()].concat())
    }

    async fn decrypt(&self, wrapped: &[u8], context: &KekContext<'_>) -> Result<Kek, KmsError> {
        let Some((&VERSION, blob)) = wrapped.split_first() else { return Err(KmsError::Integrity) };
        if !(1..=MAX_BLOB_BYTES).contains(&blob.len()) {
            return Err(KmsError::Integrity);
        }
        let (key_id, encryption_context) = (self.key_id.as_str(), Facts::of(context));
        let body = Decrypt { key_id, ciphertext_blob: STANDARD.encode(blob), encryption_context };
        let Decrypted { plaintext } = self.call("Decrypt", &body).await?.json()?;
        Parcel::unpack(&plaintext, context)
    }
}

impl Kms for AwsKms {
    fn wrap<'a>(&'a self, kek: &'a Kek, context: &'a KekContext<'a>) -> KmsFuture<'a, Vec<u8>> {
        Box::pin(self.encrypt(kek, context))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], context: &'a KekContext<'a>) -> KmsFuture<'a, Kek> {
        Box::pin(self.decrypt(wrapped, context))
    }

    fn name(&self) -> &'static str {
        NAME
    }
}
