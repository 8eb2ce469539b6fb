//! `[[cdn]]`: the CDNs that have the packages, and how each wants its URLs signed.

use super::ConfigError;
use edge::cdn::BaseUrl;
use serde::Deserialize;
use std::path::PathBuf;

/// Most CDNs.
const MAX_CDNS: usize = 32;
/// Largest weight.
const MAX_WEIGHT: u32 = 1_000_000;

/// One CDN.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cdn {
    /// Its name, in steering manifests and on the command line: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Its share of the viewers, against those of the others; 0: none.
    #[serde(default = "one")]
    pub weight: u32,
    /// URL of the folder that has the packages' folders, with a slash at its end.
    pub base_url: String,
    /// How URLs are signed.
    #[serde(default)]
    pub signing: Signing,
    /// What carries the signature.
    #[serde(default)]
    pub carrier: Carrier,
    /// File with the key: PEM (PKCS#8) of a private key, hex digits of a secret; or a variable.
    pub key_file: Option<PathBuf>,
    /// Name of the environment variable with that key; or a file.
    pub key_env: Option<String>,
    /// Id of the key at the CDN (`cloudfront`, `cat`).
    pub key_id: Option<String>,
    /// Claim `iss` (`cat`).
    pub issuer: Option<String>,
    /// Algorithm (`cat`).
    pub algorithm: Option<Algorithm>,
    /// Name of parameter and cookie (`akamai`); absent: `hdnts`.
    pub parameter: Option<String>,
    /// Whether a signature holds for the viewer's IPv4 address alone (`cloudfront`).
    #[serde(default)]
    pub bind_address: bool,
    /// Whether a signature holds in the viewer's country alone (`cat`).
    #[serde(default)]
    pub bind_country: bool,
    /// Whether the CDN asks our own edge for manifests, which renders them for what the token
    /// says (`cat`).
    #[serde(default)]
    pub renders_manifests: bool,
}

const fn one() -> u32 {
    1
}

/// How a CDN wants its URLs signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// The own edge's pass in the path.
    #[default]
    Own,
    /// CloudFront's custom policy.
    CloudFront,
    /// Akamai's EdgeAuth 2.
    Akamai,
    /// The Common Access Token (CTA-5007).
    Cat,
}

/// What carries a signature to the CDN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// The query of each URL.
    #[default]
    Query,
    /// Cookies.
    Cookie,
}

/// Algorithm of a Common Access Token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
}

/// Checks all entries.
pub(super) fn check(cdns: &[Cdn]) -> Result<(), ConfigError> {
    if cdns.len() > MAX_CDNS {
        return Err(ConfigError::Refused { key: "cdn", why: "at most 32 CDNs" });
    }
    for (at, cdn) in cdns.iter().enumerate() {
        let refuse =
            |key, why| Err(ConfigError::RefusedEntry { key, entry: cdn.name.clone(), why });
        if model::PolicyName::parse(&cdn.name).is_err() {
            return refuse("cdn.name", "1 to 64 letters, digits, '.', '_', '-'");
        }
        if cdns.iter().take(at).any(|other| other.name == cdn.name) {
            return refuse("cdn.name", "two CDNs have one name");
        }
        cdn.check().or_else(|(key, why)| refuse(key, why))?;
    }
    if !cdns.is_empty() && cdns.iter().all(|cdn| cdn.weight == 0) {
        return Err(ConfigError::Refused { key: "cdn.weight", why: "one CDN must have a share" });
    }
    Ok(())
}

impl Cdn {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.weight > MAX_WEIGHT {
            return Err(("cdn.weight", "0 to 1000000"));
        }
        if BaseUrl::parse(&self.base_url).is_err() {
            return Err((
                "cdn.base_url",
                "scheme, host, and a path that ends in a slash: https://cdn.example/v/",
            ));
        }
        let has_key = match (&self.key_file, &self.key_env) {
            (Some(_), Some(_)) => return Err(("cdn.key_file", "a file or a variable, not both")),
            (None, None) => false,
            _ => true,
        };
        if has_key == (self.signing == Signing::Own) {
            return Err(match self.signing {
                Signing::Own => ("cdn.key_file", "the own edge's key is in the data folder"),
                _ => ("cdn.key_file", "name the key: a file, or key_env for a variable"),
            });
        }
        let [own, cloudfront, akamai, cat] =
            [Signing::Own, Signing::CloudFront, Signing::Akamai, Signing::Cat]
                .map(|signing| self.signing == signing);
        // Each key that is only some signers', with whether it is there and whether it must be.
        for (key, is_there, may, must) in [
            ("cdn.key_id", self.key_id.is_some(), cloudfront || cat, cloudfront || cat),
            ("cdn.issuer", self.issuer.is_some(), cat, cat),
            ("cdn.algorithm", self.algorithm.is_some(), cat, cat),
            ("cdn.parameter", self.parameter.is_some(), akamai, false),
            ("cdn.bind_address", self.bind_address, cloudfront, false),
            ("cdn.bind_country", self.bind_country, cat, false),
            ("cdn.renders_manifests", self.renders_manifests, cat, false),
            ("cdn.carrier", self.carrier == Carrier::Cookie, !own, false),
        ] {
            if must && !is_there {
                return Err((key, "this way of signing needs it"));
            }
            if is_there && !may {
                return Err((key, "this way of signing has no such thing"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    const BASE: &str = "name = \"a\"\nbase_url = \"https://cdn.example/v/\"\n";
    const CLOUDFRONT: &str =
        "signing = \"cloudfront\"\nkey_id = \"K2JCJMDEHXQW5F\"\nkey_file = \"cloudfront.pem\"\n";
    const AKAMAI: &str = "signing = \"akamai\"\nkey_env = \"AKAMAI_KEY\"\n";
    const CAT: &str = "signing = \"cat\"\nkey_id = \"1\"\nkey_file = \"k\"\nissuer = \"tv\"\n\
        algorithm = \"ES256\"\n";

    fn said(entries: &[String]) -> Option<String> {
        let text: String = entries.iter().map(|entry| format!("[[cdn]]\n{entry}")).collect();
        Config::parse(&text, "file", std::iter::empty()).err().map(|error| error.to_string())
    }

    #[test]
    fn each_way_of_signing_is_understood() {
        let all = [
            format!("{BASE}weight = 3\n"),
            format!("{BASE}{CLOUDFRONT}bind_address = true\ncarrier = \"cookie\"\n")
                .replace("\"a\"", "\"b\""),
            format!("{BASE}{AKAMAI}parameter = \"hdnea\"\n").replace("\"a\"", "\"c\""),
            format!("{BASE}{CAT}bind_country = true\nrenders_manifests = true\n")
                .replace("\"a\"", "\"d\""),
        ];
        assert_eq!(said(&all), None);
        assert_eq!(said(&[]), None);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_key_and_entry() {
        for (entry, key) in [
            (BASE.replace("\"a\"", "\"a b\""), "cdn.name"),
            (BASE.replace("/v/", "/v"), "cdn.base_url"),
            (BASE.replace("/v/", "/*/"), "cdn.base_url"),
            (format!("{BASE}weight = 1000001\n"), "cdn.weight"),
            (format!("{BASE}key_file = \"k\"\n"), "cdn.key_file"),
            (format!("{BASE}carrier = \"cookie\"\n"), "cdn.carrier"),
            (format!("{BASE}{CLOUDFRONT}key_env = \"K\"\n"), "cdn.key_file"),
            (format!("{BASE}signing = \"akamai\"\n"), "cdn.key_file"),
            (format!("{BASE}{CLOUDFRONT}issuer = \"tv\"\n"), "cdn.issuer"),
            (format!("{BASE}{CLOUDFRONT}bind_country = true\n"), "cdn.bind_country"),
            (format!("{BASE}{AKAMAI}key_id = \"K\"\n"), "cdn.key_id"),
            (format!("{BASE}{AKAMAI}bind_address = true\n"), "cdn.bind_address"),
            (format!("{BASE}{CAT}parameter = \"x\"\n"), "cdn.parameter"),
            (format!("{BASE}{CAT}").replace("issuer = \"tv\"\n", ""), "cdn.issuer"),
            (format!("{BASE}{CAT}").replace("key_id = \"1\"\n", ""), "cdn.key_id"),
            (format!("{BASE}{CAT}").replace("algorithm = \"ES256\"\n", ""), "cdn.algorithm"),
            (format!("{BASE}{AKAMAI}renders_manifests = true\n"), "cdn.renders_manifests"),
        ] {
            let said = said(std::slice::from_ref(&entry)).expect(&entry);
            let names = if key == "cdn.name" { "\"a b\"" } else { "\"a\"" };
            assert!(said.contains(key) && said.contains(names), "{entry}: {said}");
        }
        for (entry, says) in [
            (format!("{BASE}signing = \"md5\"\n"), "md5"),
            (format!("{BASE}key = \"00\"\n"), "key"),
            (format!("{BASE}{CAT}").replace("ES256", "none"), "none"),
            ("name = \"a\"\n".to_owned(), "base_url"),
            (format!("{BASE}weight = 0\n"), "cdn.weight"),
        ] {
            let said = said(std::slice::from_ref(&entry)).expect(&entry);
            assert!(said.contains(says), "{entry}: {said}");
        }
        let twice = said(&[BASE.to_owned(), BASE.to_owned()]).unwrap();
        assert!(twice.contains("cdn.name") && twice.contains("two CDNs"), "{twice}");
        let many: Vec<String> =
            (0..33).map(|at| BASE.replace("\"a\"", &format!("\"a{at}\""))).collect();
        assert!(said(&many).unwrap().contains("at most 32"));
    }
}
