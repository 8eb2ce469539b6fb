//! The token that is shown to Vault, from a variable or from a file that an agent keeps fresh.

use crate::kms::remote::{RemoteRefused, read_secret};
use reqwest::header::HeaderValue;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Longest token, bytes: batch tokens are long.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Where the token is.
pub enum VaultToken {
    /// In this file, read at each call: Vault Agent and its like write a new one before the old
    /// one ends.
    File(PathBuf),
    /// Here.
    Text(Zeroizing<String>),
}

impl std::fmt::Debug for VaultToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

/// A token that was there at start.
pub(super) struct Token(VaultToken);

impl Token {
    /// Errors: [`RemoteRefused`], where there is no token now.
    pub(super) fn find(token: VaultToken) -> Result<Self, RemoteRefused> {
        let found = Self(token);
        found.header()?;
        Ok(found)
    }

    /// The header that carries the token.
    pub(super) fn header(&self) -> Result<HeaderValue, RemoteRefused> {
        let read;
        let text = match &self.0 {
            VaultToken::File(path) => {
                read = read_secret(path)?;
                read.as_slice()
            }
            VaultToken::Text(text) => text.as_bytes(),
        };
        let text = text.trim_ascii();
        let unusable =
            |why: &str| RemoteRefused::Unusable { what: "the token", why: why.to_owned() };
        if !(1..=MAX_TOKEN_BYTES).contains(&text.len()) {
            return Err(unusable("a token has 1 to 8192 bytes"));
        }
        let mut header =
            HeaderValue::from_bytes(text).map_err(|_| unusable("no token's letters"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}
