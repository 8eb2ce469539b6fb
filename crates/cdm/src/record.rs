//! What is kept of a session (EME of 2017, 6.3; of usage records its fork at the WICG): a license
//! with what was used of it, the times of a use, or a license that was given back and whose server
//! has not heard of it yet.
//!
//! Each content key, and each session's signing keys, is sealed for itself, bound to origin,
//! session and name; they are opened by the session that uses them, and never written in the
//! clear.

use crate::usage::Usage;
use dialect::terms::{KeyTerms, LicensedKey};
use keys::{MacKeys, RecordKey};
use model::{Entropy, KeyId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest origin, bytes: a scheme, a name of the DNS, a port.
const MAX_ORIGIN_BYTES: usize = 280;

/// How long a session lives (EME, 6.3), under EME's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionType {
    /// As long as it is open.
    #[default]
    Temporary,
    /// Until its license is given back.
    PersistentLicense,
    /// Its keys as long as it is open; what was played until its server has heard of it.
    PersistentUsageRecord,
}

/// The name of a session that is kept: random, so that no two of any runs are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeptId([u8; 16]);

impl KeptId {
    /// Draws one.
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for KeptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptId({self})")
    }
}

impl From<KeptId> for String {
    fn from(id: KeptId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for KeptId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| is_hex);
        number.map(|number| Self(number.to_be_bytes())).ok_or("expected 32 hex digits")
    }
}

/// The service that a session is of: scheme, host and port of its license server's service, as
/// the app tells it. What is kept for one is never opened for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

impl Origin {
    /// Reads `https://host` or `https://host:port`; HTTP as well. Nothing may follow.
    ///
    /// Shape: as RFC 6454, 6.2 has it; letters become small, and the scheme's own port is left
    /// out, so that one origin has one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, host) = text.split_once("://").filter(|_| text.len() <= MAX_ORIGIN_BYTES)?;
        let own_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let host = host.strip_suffix(own_port).unwrap_or(host);
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let is_host = host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
            && host.bytes().all(is_in_name);
        is_host.then(|| Self(format!("{scheme}://{host}")))
    }

    /// As it is compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl TryFrom<String> for Origin {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected a scheme, a host, and a port where it has one")
    }
}

/// What is kept under a name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) origin: Origin,
    /// Every key that was asked for.
    pub(crate) kids: Vec<KeyId>,
    pub(crate) content: Content,
    pub(crate) usage: Usage,
    pub(crate) exchange: KeptExchange,
}

/// What a record is of.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    /// A license.
    License(Vec<SealedKey>),
    /// When something was played.
    UsageRecord,
    /// A license that was given back.
    Release,
}

/// One key of a license.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealedKey {
    kid: KeyId,
    terms: KeyTerms,
    iv: Option<[u8; 16]>,
    sealed: Vec<u8>,
}

/// What a session needs to speak to its server again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeptExchange {
    /// The license's signing keys, sealed, and its id.
    Widevine { macs: Vec<u8>, id: Vec<u8> },
    /// There is no more to say.
    PlayReady,
    /// A key is asked for anew.
    FairPlay,
}

/// To whom a seal belongs.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) key: &'a RecordKey,
    pub(crate) origin: &'a Origin,
    pub(crate) id: KeptId,
}

impl Owner<'_> {
    /// Shape: what it is, length of the origin (32 bits), origin, session, name.
    fn aad(self, what: &[u8], name: &[u8]) -> Vec<u8> {
        let origin = self.origin.as_str().as_bytes();
        let length = u32::try_from(origin.len()).unwrap_or(u32::MAX).to_be_bytes();
        [what, &length, origin, &self.id.0, name].concat()
    }

    pub(crate) fn seal_key(self, key: &LicensedKey, entropy: &mut dyn Entropy) -> SealedKey {
        let LicensedKey { kid, key, terms, iv } = key;
        let sealed = self.key.seal_key(key, &self.aad(b"kept key 1", kid.as_bytes()), entropy);
        SealedKey { kid: *kid, terms: *terms, iv: *iv, sealed }
    }

    pub(crate) fn open_key(self, sealed: &SealedKey) -> Option<LicensedKey> {
        let SealedKey { kid, terms, iv, sealed } = sealed;
        let key = self.key.open_key(sealed, &self.aad(b"kept key 1", kid.as_bytes()))?;
        Some(LicensedKey { kid: *kid, key, terms: *terms, iv: *iv })
    }

    pub(crate) fn seal_macs(self, macs: &MacKeys, entropy: &mut dyn Entropy) -> Vec<u8> {
        self.key.seal_macs(macs, &self.aad(b"kept session 1", &[]), entropy)
    }

    pub(crate) fn open_macs(self, sealed: &[u8]) -> Option<MacKeys> {
        self.key.open_macs(sealed, &self.aad(b"kept session 1", &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        for (text, origin) in [
            ("https://Video.Example", "https://video.example"),
            ("https://video.example:443", "https://video.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), origin);
        }
        let long = format!("https://{}", "a".repeat(MAX_ORIGIN_BYTES));
        for none in ["", "video.example", "ftp://a", "https://", "https://a/", "https://a b", &long]
        {
            assert!(Origin::parse(none).is_none(), "{none}");
        }
    }

    #[test]
    fn a_kept_session_is_named_by_32_hex_digits() {
        let id = KeptId([0x0a; 16]);
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(text, format!("\"{}\"", "0a".repeat(16)));
        assert_eq!(serde_json::from_str::<KeptId>(&text).unwrap(), id);
        for none in ["\"\"", "\"0a\"", &format!("\"+{}\"", "a".repeat(31)), "7"] {
            assert!(serde_json::from_str::<KeptId>(none).is_err(), "{none}");
        }
    }
}
