//! Akamai EdgeAuth, token version 2: fields between tildes, the last of them the HMAC-SHA-256
//! over those before it. `acl` names the folder, `data` the session.

use super::{BaseUrl, Scope, SharedSecret, SignedPlace};
use std::fmt::Write as _;

/// Longest name of parameter and cookie.
const MAX_NAME: usize = 32;
/// How far a CDN's clock may be behind ours, seconds: a token begins that much earlier.
const SKEW_S: u64 = 30;

/// Signs as a property with the behavior "Auth Token 2.0 Verification" checks: algorithm
/// SHA-256, no salt, `acl` not escaped.
#[derive(Debug)]
pub struct Akamai {
    name: String,
    secret: SharedSecret,
}

/// Why text is no name of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a parameter's name is 1 to 32 letters, digits and _")]
pub struct NameRefused;

impl Akamai {
    /// A signer whose token goes by `name` in URLs and cookies.
    ///
    /// Errors: [`NameRefused`].
    pub fn new(name: &str, secret: SharedSecret) -> Result<Self, NameRefused> {
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || name.len() > MAX_NAME || !is_plain {
            return Err(NameRefused);
        }
        Ok(Self { name: name.to_owned(), secret })
    }

    pub(super) fn sign(&self, base: &BaseUrl, scope: &Scope) -> SignedPlace {
        // Whole seconds: it ends not later than the pass.
        let mut token = format!(
            "st={}~exp={}~acl={}*~data={}",
            scope.issued.as_s().saturating_sub(SKEW_S),
            scope.pass.expires.as_s(),
            base.package_path(&scope.pass),
            scope.pass.session,
        );
        let tag = self.secret.sign(token.as_bytes());
        token.push_str("~hmac=");
        for byte in tag {
            let _ = write!(token, "{byte:02x}");
        }
        SignedPlace {
            base: base.package(&scope.pass),
            query: Some(format!("{}={token}", self.name)),
            cookies: vec![(self.name.clone(), token)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{base, scope};
    use super::*;

    fn signed(secret: &str) -> SignedPlace {
        let secret = SharedSecret::parse(&secret.repeat(16)).unwrap();
        Akamai::new("hdnts", secret).unwrap().sign(&base(), &scope())
    }

    #[test]
    fn a_token_says_folder_time_and_session() {
        let place = signed("0a");
        assert_eq!(place.base, "https://cdn.example/v/film/");
        let token = place.query.unwrap();
        let told = "hdnts=st=1789999970~exp=1790000060~acl=/v/film/*~data=\
            05050505050505050505050505050505~hmac=";
        let tag = token.strip_prefix(told).unwrap();
        assert_eq!(tag.len(), 64);
        assert_eq!(place.cookies, [("hdnts".to_owned(), token["hdnts=".len()..].to_owned())]);
        assert_ne!(signed("0b").query.unwrap(), token, "under another key");
    }

    #[test]
    fn a_name_is_plain() {
        for name in ["", "a b", "a=b", "a&b", "a~b", "a;b", "ä", "a-b", &"a".repeat(33)] {
            let secret = SharedSecret::parse(&"0a".repeat(16)).unwrap();
            assert_eq!(Akamai::new(name, secret).err(), Some(NameRefused), "{name}");
        }
    }
}
