//! The root key in a token: from the settings to the back end.

use crate::config::keys::Pkcs11;
use keys::kms::{
    Kms as _, Pkcs11Kms, Pkcs11Refused, Pkcs11Settings, RootKey, TokenPin, TokenPlace,
};
use model::Timestamp;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest PIN file, bytes.
const MAX_PIN_FILE: u64 = 1024;

/// Why a token is not used. None of the reasons carries the PIN.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// The PIN file cannot be read.
    #[error("PIN file {path}: {cause}", path = path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Others than its owner may read the PIN file.
    #[error("PIN file {path}: others may read it; run chmod 600 on it", path = .0.display())]
    PinPermissions(PathBuf),
    /// The variable is not there, or is not UTF-8.
    #[error("the variable {0}, which is to carry the PIN, is not set")]
    PinVariable(String),
    /// The settings name no place.
    #[error("keys.pkcs11 is not complete")]
    Settings,
    /// The token, its key or its PIN.
    #[error(transparent)]
    Token(#[from] Pkcs11Refused),
}

/// Opens the root key in the token; makes it where the settings say so.
///
/// Errors: [`TokenRefused`].
pub async fn open(token: &Pkcs11, now: Timestamp) -> Result<Pkcs11Kms, TokenRefused> {
    let place = match (&token.token_label, token.slot) {
        (Some(label), None) => TokenPlace::Label(label.clone()),
        (None, Some(slot)) => TokenPlace::Slot(slot),
        // The settings were checked when they were read.
        _ => return Err(TokenRefused::Settings),
    };
    let settings = Pkcs11Settings {
        module: token.module.clone(),
        place,
        key_label: token.key_label.clone(),
        pin: TokenPin::parse(pin(token)?)?,
        may_create: token.create,
        deadline: Duration::from_millis(token.deadline_ms),
        now,
    };
    let kms = Pkcs11Kms::open(settings).await?;
    if let RootKey::Versioned { made: None, .. } = kms.root_key() {
        tracing::warn!("the root key has no date, so its year is not watched; rotate it once");
    }
    Ok(kms)
}

fn pin(token: &Pkcs11) -> Result<Zeroizing<String>, TokenRefused> {
    match (&token.pin_file, &token.pin_env) {
        (Some(path), None) => read_pin(path),
        (None, Some(name)) => std::env::var(name)
            .map(Zeroizing::new)
            .map_err(|_| TokenRefused::PinVariable(name.clone())),
        _ => Err(TokenRefused::Settings),
    }
}

/// The file's text without the line end that editors add.
fn read_pin(path: &Path) -> Result<Zeroizing<String>, TokenRefused> {
    let failed = |cause| TokenRefused::PinFile { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(TokenRefused::PinPermissions(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_PIN_FILE.try_into().unwrap_or(0)));
    file.take(MAX_PIN_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}
