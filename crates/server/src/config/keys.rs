//! `[keys]`: where the root key is.

use super::ConfigError;
use super::break_glass::BreakGlass;
use super::key_cache::KeyCache;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Deadlines that a token may have, milliseconds. A license waits 800 ms for its root key.
const DEADLINE_MS: std::ops::RangeInclusive<u64> = 50..=800;

const DEFAULT_DEADLINE_MS: u64 = 700;

/// What holds the root key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A file.
    #[default]
    File,
    /// A token, by PKCS#11.
    Pkcs11,
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
        let token = self.pkcs11.as_ref().filter(|_| self.backend == Backend::Pkcs11);
        Duration::from_millis(token.map_or(DEFAULT_DEADLINE_MS, |token| token.deadline_ms))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        let token = match (self.backend, &self.pkcs11) {
            (Backend::File, None) => return Ok(()),
            (Backend::File, Some(_)) => {
                // Never a file where somebody meant a token.
                return refuse("keys.pkcs11", "a token is described, but keys.backend is a file");
            }
            (Backend::Pkcs11, None) => {
                return refuse("keys.pkcs11", "keys.backend is a token; describe it");
            }
            (Backend::Pkcs11, Some(token)) => token,
        };
        if token.module.as_os_str().is_empty() {
            return refuse("keys.pkcs11.module", "name the library that the token's maker ships");
        }
        if token.token_label.is_some() == token.slot.is_some() {
            return refuse("keys.pkcs11.token_label", "name the token by its label or its slot");
        }
        if token.key_label.is_empty() {
            return refuse("keys.pkcs11.key_label", "the root key needs a label");
        }
        if token.pin_file.is_some() == token.pin_env.is_some() {
            return refuse("keys.pkcs11.pin_file", "the PIN is in a file or in a variable");
        }
        if !DEADLINE_MS.contains(&token.deadline_ms) {
            return refuse("keys.pkcs11.deadline_ms", "a token may take 50 to 800 milliseconds");
        }
        Ok(())
    }

    pub(super) fn check_production(&self) -> Result<(), ConfigError> {
        match self.backend {
            Backend::Pkcs11 => Ok(()),
            Backend::File if self.allow_file_in_production => Ok(()),
            Backend::File => Err(ConfigError::Refused {
                key: "keys.allow_file_in_production",
                why: "the root key is a file; production takes that only when allowed by name",
            }),
        }
    }
}
