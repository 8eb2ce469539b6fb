//! `[[issuer]]`: an identity provider whose tokens sign viewers in (OpenID Connect, by its keys).

use super::{ConfigError, Mode};
use crate::front::issuers::reached;
use model::PlanName;
use playback::issuer::{Algorithm, IssuerRules};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Most issuers, and most entries of a list or a mapping.
const MAX_ENTRIES: usize = 64;
/// How a token's kind and its signature are usually named.
const TYPES: [&str; 2] = ["JWT", "at+jwt"];
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// An identity provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Issuer {
    /// Its name, as `iss` in its tokens says it letter by letter: an https URL.
    pub url: String,
    /// Who its tokens may be for: each audience of a token must be one of these.
    pub audiences: Vec<String>,
    /// Where its keys are; absent: as its discovery document says.
    pub jwks_url: Option<String>,
    /// How it signs.
    pub algorithms: Vec<String>,
    /// Kinds of token that count, by `typ`; a token that names none is a `JWT`.
    pub types: Vec<String>,
    /// The claim that names a new account.
    pub name_claim: String,
    /// The claim that says the plan, by `plans`; absent: `plan` for all.
    pub plan_claim: Option<String>,
    /// Plans by the value of `plan_claim`.
    pub plans: BTreeMap<String, String>,
    /// The plan of whom `plan_claim` gives none; absent: they are refused.
    pub plan: Option<String>,
    /// Whether an account is made at the first sight of a subject.
    pub provision: bool,
    /// How far its clock may be from ours, seconds.
    pub leeway_s: u64,
    /// Longest life of its tokens, seconds.
    pub max_token_s: u64,
    /// Between two questions for its keys at least, seconds.
    pub refetch_s: u64,
    /// How long its keys serve on while it cannot be asked, seconds.
    pub outage_s: u64,
    /// A certificate authority beside the system's, PEM.
    pub authority: Option<PathBuf>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            url: String::new(),
            audiences: vec![],
            jwks_url: None,
            algorithms: ALGORITHMS.map(|algorithm| algorithm.name().to_owned()).to_vec(),
            types: TYPES.map(str::to_owned).to_vec(),
            name_claim: "sub".to_owned(),
            plan_claim: None,
            plans: BTreeMap::new(),
            plan: None,
            provision: false,
            leeway_s: 30,
            max_token_s: 86_400,
            refetch_s: 30,
            outage_s: 6 * 3600,
            authority: None,
        }
    }
}

impl Issuer {
    /// What its tokens must say. Names that [`Self::check`] would refuse are left out.
    #[must_use]
    pub fn rules(&self) -> IssuerRules {
        IssuerRules {
            issuer: self.url.clone(),
            audiences: self.audiences.clone(),
            algorithms: self.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect(),
            types: self.types.iter().map(|kind| kind.to_ascii_lowercase()).collect(),
            leeway_s: self.leeway_s,
            max_life_s: self.max_token_s,
        }
    }

    fn check(&self, mode: Mode) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if self.url.contains(['?', '#']) || reached(&self.url, mode).is_none() {
            return refuse("issuer.url", NOT_REACHED);
        }
        if self.jwks_url.as_ref().is_some_and(|url| reached(url, mode).is_none()) {
            return refuse("issuer.jwks_url", NOT_REACHED);
        }
        if !is_list(&self.audiences) {
            return refuse("issuer.audiences", "name whom its tokens are for, as its aud says");
        }
        if !is_list(&self.types) {
            return refuse("issuer.types", "name the kinds of its tokens, as its typ says");
        }
        let is_known = |name: &String| Algorithm::parse(name).is_some();
        if !is_list(&self.algorithms) || !self.algorithms.iter().all(is_known) {
            return refuse(
                "issuer.algorithms",
                "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA: never none or HS256",
            );
        }
        if self.plans.len() > MAX_ENTRIES
            || !self.plans.values().chain(&self.plan).all(|name| PlanName::parse(name).is_ok())
        {
            return refuse("issuer.plans", "64 names of plans at most");
        }
        if self.plans.is_empty() != self.plan_claim.is_none() {
            return refuse("issuer.plan_claim", "plan_claim and plans go together");
        }
        if self.provision && self.plan.is_none() && self.plans.is_empty() {
            return refuse("issuer.plan", "say which plan the accounts get that it provisions");
        }
        self.check_times()
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Refused { key, why });
        if self.leeway_s > 300 {
            return refuse("issuer.leeway_s", "clocks may differ by 300 seconds at most");
        }
        if !(60..=7 * 86_400).contains(&self.max_token_s) {
            return refuse("issuer.max_token_s", "its tokens live a minute to 7 days");
        }
        if !(1..=3600).contains(&self.refetch_s) {
            return refuse("issuer.refetch_s", "its keys are asked for every 1 to 3600 seconds");
        }
        if self.outage_s > 7 * 86_400 {
            return refuse("issuer.outage_s", "its keys serve on for 7 days at most");
        }
        Ok(())
    }
}

const NOT_REACHED: &str =
    "an https URL; plain http only in development mode and to this machine (127.0.0.1)";

/// A list with something in it, and not too much.
fn is_list(list: &[String]) -> bool {
    (1..=MAX_ENTRIES).contains(&list.len()) && list.iter().all(|one| !one.is_empty())
}

/// Checks all issuers.
///
/// Errors: [`ConfigError::Refused`].
pub(super) fn check(issuers: &[Issuer], mode: Mode) -> Result<(), ConfigError> {
    let refuse = |why| Err(ConfigError::Refused { key: "issuer", why });
    if issuers.len() > MAX_ENTRIES {
        return refuse("64 issuers at most");
    }
    let mut names: Vec<&str> = issuers.iter().map(|issuer| issuer.url.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < issuers.len() {
        return refuse("an issuer stands twice");
    }
    issuers.iter().try_for_each(|issuer| issuer.check(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, mode: Mode) -> Option<String> {
        let base = "url = 'https://login.example'\naudiences = ['tv']\n";
        let mut table: toml::Table = toml::from_str(base).unwrap();
        table.extend(toml::from_str::<toml::Table>(text).unwrap());
        match table.try_into::<Issuer>() {
            Ok(issuer) => check(&[issuer], mode).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn an_issuer_needs_a_name_and_an_audience() {
        for mode in [Mode::Development, Mode::Production] {
            assert_eq!(refusal("", mode), None);
            assert_eq!(refusal("jwks_url = 'https://keys.example/set?v=2'", mode), None);
        }
        let full = "algorithms = ['ES384']\ntypes = ['at+jwt']\nprovision = true\n\
                    plan_claim = 'tier'\nplans = { gold = 'premium' }";
        assert_eq!(refusal(full, Mode::Production), None);
        for (text, says) in [
            ("url = ''", "issuer.url"),
            ("url = 'login.example'", "issuer.url"),
            ("url = 'https://ada:x@login.example'", "issuer.url"),
            ("url = 'https://login.example?x'", "issuer.url"),
            ("url = 'ftp://login.example'", "issuer.url"),
            ("url = 'strongroom'", "issuer.url"),
            ("jwks_url = 'file:///etc/passwd'", "issuer.jwks_url"),
            ("jwks_url = 'http://keys.example/'", "issuer.jwks_url"),
            ("audiences = []", "issuer.audiences"),
            ("audiences = ['']", "issuer.audiences"),
            ("types = []", "issuer.types"),
            ("algorithms = []", "issuer.algorithms"),
            ("algorithms = ['none']", "issuer.algorithms"),
            ("algorithms = ['RS256', 'HS256']", "issuer.algorithms"),
            ("provision = true", "issuer.plan"),
            ("plan = 'No Plan'", "issuer.plans"),
            ("plan_claim = 'tier'", "issuer.plan_claim"),
            ("plans = { gold = 'premium' }", "issuer.plan_claim"),
            ("leeway_s = 301", "issuer.leeway_s"),
            ("max_token_s = 10", "issuer.max_token_s"),
            ("refetch_s = 0", "issuer.refetch_s"),
            ("outage_s = 9999999", "issuer.outage_s"),
            ("jwks = 'https://keys.example'", "unknown field"),
        ] {
            let said = refusal(text, Mode::Production).unwrap_or_default();
            assert!(said.contains(says), "{text}: {said}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_and_in_development() {
        for url in ["http://127.0.0.1:1/x", "http://[::1]:1"] {
            assert_eq!(refusal(&format!("url = '{url}'"), Mode::Development), None, "{url}");
            assert!(refusal(&format!("url = '{url}'"), Mode::Production).is_some(), "{url}");
        }
        for url in ["http://10.0.0.1/", "http://localhost/", "http://127.0.0.1.example/"] {
            assert!(refusal(&format!("url = '{url}'"), Mode::Development).is_some(), "{url}");
        }
    }

    #[test]
    fn no_issuer_stands_twice() {
        let issuer = Issuer {
            url: "https://login.example".to_owned(),
            audiences: vec!["tv".to_owned()],
            ..Issuer::default()
        };
        assert!(check(std::slice::from_ref(&issuer), Mode::Production).is_ok());
        assert!(check(&[issuer.clone(), issuer.clone()], Mode::Production).is_err());
        assert!(check(&vec![issuer; 65], Mode::Production).is_err());
    }
}
