//! The root key in a KMS over HTTP: from the settings to the back end.

#[cfg(feature = "google-kms")]
use crate::clock::Clock;
#[cfg(feature = "aws-kms")]
use crate::config::kms::Aws;
#[cfg(feature = "google-kms")]
use crate::config::kms::Google;
#[cfg(feature = "vault")]
use crate::config::kms::Vault;
use keys::kms::RemoteRefused;
#[cfg(feature = "aws-kms")]
use keys::kms::{AwsKms, AwsSettings};
#[cfg(feature = "google-kms")]
use keys::kms::{GoogleKms, GoogleSettings};
#[cfg(feature = "vault")]
use keys::kms::{VaultKms, VaultSettings, VaultToken};
use std::time::Duration;
#[cfg(feature = "vault")]
use zeroize::Zeroizing;

/// Why a KMS over HTTP is not used. None of the reasons carries a credential.
#[derive(Debug, thiserror::Error)]
pub enum RemoteKeyRefused {
    /// The variable is not there, or is not UTF-8.
    #[error("keys.vault.token_env: the variable {0}, which is to carry the token, is not set")]
    TokenVariable(String),
    /// The KMS, its key or what is shown to it.
    #[error("{section}: {cause}")]
    Kms {
        /// Section of the settings.
        section: &'static str,
        /// What is wrong.
        cause: RemoteRefused,
    },
}

fn refused(section: &'static str) -> impl Fn(RemoteRefused) -> RemoteKeyRefused {
    move |cause| RemoteKeyRefused::Kms { section, cause }
}

/// Takes up a key of AWS KMS.
///
/// Errors: [`RemoteKeyRefused`].
#[cfg(feature = "aws-kms")]
pub async fn open_aws(kms: &Aws) -> Result<AwsKms, RemoteKeyRefused> {
    let settings = AwsSettings {
        key_id: kms.key_id.clone(),
        region: kms.region.clone(),
        endpoint: kms.endpoint.clone(),
        deadline: Duration::from_millis(kms.deadline_ms),
    };
    AwsKms::open(settings).await.map_err(refused("keys.aws"))
}

/// Takes up a key of Vault's or OpenBao's transit engine.
///
/// Errors: [`RemoteKeyRefused`].
#[cfg(feature = "vault")]
pub async fn open_vault(kms: &Vault) -> Result<VaultKms, RemoteKeyRefused> {
    let token = match (&kms.token_file, &kms.token_env) {
        (Some(file), _) => VaultToken::File(file.clone()),
        (None, name) => {
            // The settings were checked when they were read: one of the two is there.
            let name = name.clone().unwrap_or_default();
            let text = std::env::var(&name).map(Zeroizing::new);
            VaultToken::Text(text.map_err(|_| RemoteKeyRefused::TokenVariable(name))?)
        }
    };
    let settings = VaultSettings {
        address: kms.address.clone(),
        mount: kms.mount.clone(),
        key: kms.key.clone(),
        token,
        namespace: kms.namespace.clone(),
        ca_file: kms.ca_file.clone(),
        deadline: Duration::from_millis(kms.deadline_ms),
    };
    VaultKms::open(settings).await.map_err(refused("keys.vault"))
}

/// Takes up a key of Google Cloud KMS.
///
/// Errors: [`RemoteKeyRefused`].
#[cfg(feature = "google-kms")]
pub async fn open_google(kms: &Google, clock: &Clock) -> Result<GoogleKms, RemoteKeyRefused> {
    let clock = clock.clone();
    let settings = GoogleSettings {
        key: kms.key.clone(),
        credentials_file: kms.credentials_file.clone(),
        endpoint: kms.endpoint.clone(),
        metadata: None,
        deadline: Duration::from_millis(kms.deadline_ms),
        now: std::sync::Arc::new(move || clock.now()),
    };
    GoogleKms::open(settings).await.map_err(refused("keys.google"))
}
