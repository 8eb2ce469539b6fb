//! CloudFront signed URLs and cookies with a custom policy (Amazon CloudFront Developer Guide,
//! "Serving private content"): a JSON document without white space, and its RSA signature
//! (RFC 8017, 8.2) with SHA-1, which is the one that CloudFront checks.

use super::{BaseUrl, CannotSign, Scope, SignBytes, SignedPlace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;

/// Lengths of the id of a public key; as it is upper-case letters and digits.
const KEY_ID: std::ops::RangeInclusive<usize> = 1..=64;

/// Signs as a distribution with a trusted key group checks.
pub struct CloudFront {
    key_pair_id: String,
    is_bound_to_address: bool,
    sign: SignBytes,
}

/// Why text is no id of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 1 to 64 letters and digits, such as K2JCJMDEHXQW5F")]
pub struct KeyIdRefused;

impl CloudFront {
    /// A signer with the id of its public key and what signs with the private one: RSA, PKCS#1
    /// v1.5, SHA-1. Bound to the address, a policy holds for one viewer's IPv4 address.
    ///
    /// Errors: [`KeyIdRefused`].
    pub fn new(
        key_pair_id: &str,
        is_bound_to_address: bool,
        sign: SignBytes,
    ) -> Result<Self, KeyIdRefused> {
        let is_plain = key_pair_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !KEY_ID.contains(&key_pair_id.len()) || !is_plain {
            return Err(KeyIdRefused);
        }
        Ok(Self { key_pair_id: key_pair_id.to_owned(), is_bound_to_address, sign })
    }

    pub(super) fn sign(&self, base: &BaseUrl, scope: &Scope) -> Result<SignedPlace, CannotSign> {
        let policy = self.policy(base, scope)?;
        let signature = for_url(&(self.sign)(policy.as_bytes()));
        let policy = for_url(policy.as_bytes());
        let key_id = &self.key_pair_id;
        let query = format!("Policy={policy}&Signature={signature}&Key-Pair-Id={key_id}");
        let cookies = [("Policy", &policy), ("Signature", &signature), ("Key-Pair-Id", key_id)];
        Ok(SignedPlace {
            base: base.package(&scope.pass),
            query: Some(query),
            cookies: cookies
                .map(|(name, value)| (format!("CloudFront-{name}"), value.clone()))
                .to_vec(),
        })
    }

    /// Nothing in it needs an escape: neither a base URL nor a title's id has a quote, and only
    /// the asterisk written here stands for anything.
    fn policy(&self, base: &BaseUrl, scope: &Scope) -> Result<String, CannotSign> {
        let address = match scope.address {
            _ if !self.is_bound_to_address => String::new(),
            Some(IpAddr::V4(address)) => {
                format!(r#","IpAddress":{{"AWS:SourceIp":"{address}/32"}}"#)
            }
            Some(IpAddr::V6(_)) | None => return Err(CannotSign::Address),
        };
        let resource = base.package(&scope.pass);
        let expires = scope.pass.expires.as_s();
        Ok(format!(
            r#"{{"Statement":[{{"Resource":"{resource}*","Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}{address}}}}}]}}"#
        ))
    }
}

impl std::fmt::Debug for CloudFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CloudFront({})", self.key_pair_id)
    }
}

/// Base64 as CloudFront wants it in URLs: `+`, `=` and `/` are `-`, `_` and `~`.
fn for_url(bytes: &[u8]) -> String {
    let replaced = |character| match character {
        '+' => '-',
        '=' => '_',
        '/' => '~',
        other => other,
    };
    STANDARD.encode(bytes).chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{base, scope};
    use super::*;

    fn signer(is_bound_to_address: bool) -> CloudFront {
        let sign = |message: &[u8]| [&b"signed "[..], message].concat();
        CloudFront::new("K2JCJMDEHXQW5F", is_bound_to_address, Box::new(sign)).unwrap()
    }

    #[test]
    fn a_policy_is_one_folder_until_one_second() {
        let policy = signer(false).policy(&base(), &scope()).unwrap();
        let expected = r#"{"Statement":[{"Resource":"https://cdn.example/v/film/*","Condition":{"DateLessThan":{"AWS:EpochTime":1790000060}}}]}"#;
        assert_eq!(policy, expected);
        let place = signer(false).sign(&base(), &scope()).unwrap();
        let signature = for_url(format!("signed {expected}").as_bytes());
        let policy = for_url(expected.as_bytes());
        let query = format!("Policy={policy}&Signature={signature}&Key-Pair-Id=K2JCJMDEHXQW5F");
        assert_eq!(place.url("a/1.m4s"), format!("https://cdn.example/v/film/a/1.m4s?{query}"));
        let cookies = place.cookies.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(
            cookies.collect::<Vec<_>>(),
            [
                ("CloudFront-Policy", policy.as_str()),
                ("CloudFront-Signature", signature.as_str()),
                ("CloudFront-Key-Pair-Id", "K2JCJMDEHXQW5F"),
            ]
        );
    }

    #[test]
    fn a_policy_bound_to_an_address_names_it_or_is_not_made() {
        let at = |address: &str| Scope { address: address.parse().ok(), ..scope() };
        let policy = signer(true).policy(&base(), &at("192.0.2.7")).unwrap();
        let condition = r#"}},"IpAddress":{"AWS:SourceIp":"192.0.2.7/32"}}}]}"#;
        assert!(policy.ends_with(&condition[1..]), "{policy}");
        for address in ["2001:db8::7", "unknown"] {
            let refused = signer(true).sign(&base(), &at(address));
            assert_eq!(refused, Err(CannotSign::Address), "{address}");
            assert!(signer(false).sign(&base(), &at(address)).is_ok());
        }
    }

    #[test]
    fn the_alphabet_is_that_of_cloudfront() {
        assert_eq!(for_url(&[0xff; 3]), "~~~~");
        assert_eq!(for_url(&[0xfb, 0xef, 0xbe, 0]), "----AA__");
        for key_id in ["", "K&x", "K x", "K=", "ä", &"K".repeat(65)] {
            let made = CloudFront::new(key_id, false, Box::new(<[u8]>::to_vec));
            assert_eq!(made.err(), Some(KeyIdRefused), "{key_id}");
        }
    }
}
