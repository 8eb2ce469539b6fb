//! `[keys]`: where the root key is.

use super::ConfigError;
use super::break_glass::BreakGlass;
use super::key_cache::KeyCache;
use super::kms::{Aws, Google, Vault};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Deadlines that a root key may have, milliseconds. A license waits 800 ms for its root key.
const DEADLINE_MS: std::ops::RangeInclusive<u64> = 50..=800;

pub(super) const DEFAULT_DEADLINE_MS: u64 = 700;

/// What holds the root key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A file.
    #[default]
    File,
    /// A token, by PKCS#11.
    Pkcs11,
    /// AWS KMS.
    #[serde(rename = "aws-kms")]
    Aws,
    /// The transit engine of Vault or OpenBao.
    Vault,
    /// Google Cloud KMS.
    #[serde(rename = "google-kms")]
    Google,
}

/// Root key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// What holds it.
    pub backend: Backend,
    /// The file that seals the master key; absent: `secrets/master.key` in the data folder.
    pub master_file: Option<PathBuf>,
    /// File with the passphrase that opens it; absent: the file's permissions are its seal.
    pub passphrase_file: Option<PathBuf>,
    /// Allows a file as root key in production, by name.
    pub allow_file_in_production: bool,
    /// The token of the back end `pkcs11`.
    pub pkcs11: Option<Pkcs11>,
    /// The key of the back end `aws-kms`.
    pub aws: Option<Aws>,
    /// The key of the back end `vault`.
    pub vault: Option<Vault>,
    /// The key of the back end `google-kms`.
    pub google: Option<Google>,
    /// Most keys a second that a running service moves to the newest KEK; 0: none, they wait
    /// for `keys rewrap`.
    pub rewrap_keys_per_s: u32,
    /// How long opened keys are kept.
    pub cache: KeyCache,
    /// Export of keys in an emergency.
    pub break_glass: BreakGlass,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            master_file: None,
            passphrase_file: None,
            allow_file_in_production: false,
            pkcs11: None,
            aws: None,
            vault: None,
            google: None,
            rewrap_keys_per_s: 500,
            cache: KeyCache::default(),
            break_glass: BreakGlass::default(),
        }
    }
}

/// A token and the root key in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pkcs11 {
    /// The maker's library.
    pub module: PathBuf,
    /// Label of the token; or its slot.
    pub token_label: Option<String>,
    /// Number of the token's slot; or its label.
    pub slot: Option<u64>,
    /// Label of the root key.
    pub key_label: String,
    /// File with the PIN of the token's user; or a variable.
    pub pin_file: Option<PathBuf>,
    /// Name of the environment variable with that PIN; or a file.
    pub pin_env: Option<String>,
    /// Whether to make the root key where there is none.
    pub create: bool,
    /// Longest wait for an answer, milliseconds.
    pub deadline_ms: u64,
}

impl Default for Pkcs11 {
    fn default() -> Self {
        Self {
            module: PathBuf::new(),
            token_label: None,
            slot: None,
            key_label: "strongroom".to_owned(),
            pin_file: None,
            pin_env: None,
            create: false,
            deadline_ms: DEFAULT_DEADLINE_MS,
        }
    }
}

impl Keys {
    /// Longest wait for the root key's back end, all tries together.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let described = match self.backend {
            Backend::File => None,
            Backend::Pkcs11 => self.pkcs11.as_ref().map(|token| token.deadline_ms),
            Backend::Aws => self.aws.as_ref().map(|kms| kms.deadline_ms),
            Backend::Vault => self.vault.as_ref().map(|kms| kms.deadline_ms),
            Backend::Google => self.google.as_ref().map(|kms| kms.deadline_ms),
        };
        Duration::from_millis(described.unwrap_or(DEFAULT_DEADLINE_MS))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // Never another root key than somebody meant: what is described is what is used.
        for (key, backend, is_described) in [
            ("keys.pkcs11", Backend::Pkcs11, self.pkcs11.is_some()),
            ("keys.aws", Backend::Aws, self.aws.is_some()),
            ("keys.vault", Backend::Vault, self.vault.is_some()),
            ("keys.google", Backend::Google, self.google.is_some()),
        ] {
            if is_described && self.backend != backend {
                let why = "it is described, but keys.backend is another one";
                return Err(ConfigError::Refused { key, why });
            }
            if !is_described && self.backend == backend {
                let why = "keys.backend is this one; describe it";
                return Err(ConfigError::Refused { key, why });
            }
        }
        self.pkcs11.as_ref().map_or(Ok(()), Pkcs11::check)?;
        self.aws.as_ref().map_or(Ok(()), Aws::check)?;
        self.vault.as_ref().map_or(Ok(()), Vault::check)?;
        self.google.as_ref().map_or(Ok(()), Google::check)
    }

    pub(super) fn check_production(&self) -> Result<(), ConfigError> {
        if self.backend == Backend::File && !self.allow_file_in_production {
            return Err(ConfigError::Refused {
                key: "keys.allow_file_in_production",
                why: "the root key is a file; production takes that only when allowed by name",
            });
        }
        self.aws.as_ref().map_or(Ok(()), Aws::check_production)?;
        self.vault.as_ref().map_or(Ok(()), Vault::check_production)?;
        self.google.as_ref().map_or(Ok(()), Google::check_production)
    }
}

/// Refuses a deadline that no license could wait for.
pub(super) fn check_deadline(key: &'static str, deadline_ms: u64) -> Result<(), ConfigError> {
    if DEADLINE_MS.contains(&deadline_ms) {
        return Ok(());
    }
    Err(ConfigError::Refused { key, why: "a root key may take 50 to 800 milliseconds" })
}

impl Pkcs11 {
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if self.module.as_os_str().is_empty() {
            return refuse("keys.pkcs11.module", "name the library that the token's maker ships");
        }
        if self.token_label.is_some() == self.slot.is_some() {
            return refuse("keys.pkcs11.token_label", "name the token by its label or its slot");
        }
        if self.key_label.is_empty() {
            return refuse("keys.pkcs11.key_label", "the root key needs a label");
        }
        if self.pin_file.is_some() == self.pin_env.is_some() {
            return refuse("keys.pkcs11.pin_file", "the PIN is in a file or in a variable");
        }
        check_deadline("keys.pkcs11.deadline_ms", self.deadline_ms)
    }
}
