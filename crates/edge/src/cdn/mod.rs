//! Signed URLs for CDNs (R131): one signature for all objects of a package, because manifests
//! name their segments by relative URLs.
//!
//! Each CDN checks a format of its own; all of them say the same: which folder, until when, for
//! which session. Private keys stay where they are: who makes a signer hands in what signs.

mod akamai;
pub mod cat;
mod cloudfront;
mod shared_secret;

pub use akamai::Akamai;
pub use cloudfront::CloudFront;
pub use shared_secret::{SecretRefused, SharedSecret};

use crate::EdgePass;
use crate::signed_url::{self, EdgeKey};
use model::{Country, Timestamp};
use std::net::IpAddr;

/// Signs bytes with a private key.
pub type SignBytes = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// What a signed place is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Title, session and end; the own edge also reads the classes and the system.
    pub pass: EdgePass,
    /// When it is signed.
    pub issued: Timestamp,
    /// Where the viewer is, as far as known.
    pub country: Option<Country>,
    /// The viewer's address, as far as known.
    pub address: Option<IpAddr>,
}

/// Where a session finds a package. The signature is in the URLs or in cookies, one of both is
/// enough; the own edge's is in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPlace {
    /// URL of the package's folder, with a slash at its end.
    pub base: String,
    /// What stands behind `?` of each URL, without it.
    pub query: Option<String>,
    /// Cookies that do the same as the query: name and value.
    pub cookies: Vec<(String, String)>,
}

impl SignedPlace {
    /// The signed URL of an object of the package.
    #[must_use]
    pub fn url(&self, object: &str) -> String {
        let Self { base, query, .. } = self;
        let mark = if query.is_some() { "?" } else { "" };
        format!("{base}{object}{mark}{}", query.as_deref().unwrap_or_default())
    }
}

/// Why nothing is signed: the CDN would be told less than its configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// Bound to the viewer's address, which is unknown or not one that the CDN compares.
    #[error("the viewer's address is not one that this CDN can be told")]
    Address,
    /// Bound to the viewer's country, which is unknown.
    #[error("the viewer's country is not known")]
    Country,
}

/// Why a base URL is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a base URL is https:// or http://, a host and a path that ends in a slash, \
     of letters, digits and . _ - / only"
)]
pub struct BaseRefused;

/// The URL below which a CDN has the packages, each in a folder named after its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    path_at: usize,
}

impl BaseUrl {
    /// Reads a URL such as `https://d111111abcdef8.cloudfront.net/v/`. What signatures give a
    /// meaning to (`*`, `?`, `~`, `!`, quotes) cannot be in it.
    ///
    /// Errors: [`BaseRefused`].
    pub fn parse(text: &str) -> Result<Self, BaseRefused> {
        let host_at =
            ["https://", "http://"].iter().find(|s| text.starts_with(**s)).map(|s| s.len());
        let host_at = host_at.ok_or(BaseRefused)?;
        let (host, path) =
            text.get(host_at..).and_then(|rest| rest.split_once('/')).ok_or(BaseRefused)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_host = |byte: u8| is_plain(byte) || b":[]".contains(&byte);
        let folders = path.strip_suffix('/').or_else(|| path.is_empty().then_some(""));
        let is_folder = |folder: &str| {
            !folder.is_empty() && !folder.starts_with('.') && folder.bytes().all(is_plain)
        };
        let is_path = |folders: &str| {
            folders.is_empty() && path.is_empty() || folders.split('/').all(is_folder)
        };
        if host.is_empty() || !host.bytes().all(is_host) || !folders.is_some_and(is_path) {
            return Err(BaseRefused);
        }
        Ok(Self { text: text.to_owned(), path_at: host_at + host.len() })
    }

    /// URL of a title's package.
    fn package(&self, pass: &EdgePass) -> String {
        format!("{}{}/", self.text, pass.content_id)
    }

    /// Path of a title's package at its host, with slashes at both ends.
    fn package_path(&self, pass: &EdgePass) -> String {
        self.package(pass).split_off(self.path_at)
    }
}

/// A CDN's signer.
pub struct Signer {
    base: BaseUrl,
    scheme: SigningScheme,
}

/// How a CDN wants its URLs signed.
pub enum SigningScheme {
    /// The pass of the own edge, in the path.
    Own(Box<EdgeKey>),
    /// CloudFront: a policy under RSA.
    CloudFront(CloudFront),
    /// Akamai: an EdgeAuth 2 token under HMAC.
    Akamai(Akamai),
    /// Any CDN that knows the Common Access Token.
    Cat(cat::CatSigner),
}

impl Signer {
    /// A signer for the packages below `base`.
    #[must_use]
    pub const fn new(base: BaseUrl, scheme: SigningScheme) -> Self {
        Self { base, scheme }
    }

    /// Signs a session's way to a package.
    ///
    /// Errors: [`CannotSign`]; another CDN may be able to.
    pub fn sign(&self, scope: &Scope) -> Result<SignedPlace, CannotSign> {
        let Self { base, scheme } = self;
        match scheme {
            SigningScheme::Own(key) => Ok(own(base, key, scope)),
            SigningScheme::CloudFront(cloudfront) => cloudfront.sign(base, scope),
            SigningScheme::Akamai(akamai) => Ok(akamai.sign(base, scope)),
            SigningScheme::Cat(cat) => cat.sign(base, scope),
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.base.text)
    }
}

fn own(base: &BaseUrl, key: &EdgeKey, scope: &Scope) -> SignedPlace {
    let pass = signed_url::sign(key, &scope.pass);
    let base = format!("{}~{pass}/", base.package(&scope.pass));
    SignedPlace { base, query: None, cookies: vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ContentId, Dialect, PlaybackSessionId, TrackClass, TrackClasses};

    pub(super) fn base() -> BaseUrl {
        BaseUrl::parse("https://cdn.example/v/").unwrap()
    }

    pub(super) fn scope() -> Scope {
        let issued = Timestamp(1_790_000_000_999);
        let pass = EdgePass {
            content_id: ContentId::parse("film").unwrap(),
            session: PlaybackSessionId::from_bytes([5; 16]),
            classes: TrackClasses::up_to(TrackClass::Hd),
            dialect: Dialect::Widevine,
            expires: issued.plus_s(60),
        };
        Scope { pass, issued, country: None, address: None }
    }

    #[test]
    fn the_own_edge_has_its_pass_in_the_path() {
        let signer =
            Signer::new(base(), SigningScheme::Own(Box::new(EdgeKey::from_bytes(&[3; 32]))));
        let place = signer.sign(&scope()).unwrap();
        let pass = place.base.strip_prefix("https://cdn.example/v/film/~").unwrap();
        let opened = signed_url::open(
            &EdgeKey::from_bytes(&[3; 32]),
            pass.strip_suffix('/').unwrap(),
            &scope().pass.content_id,
            scope().issued,
        );
        assert_eq!(opened, Ok(scope().pass));
        assert_eq!(place.url("manifest.mpd"), format!("{}manifest.mpd", place.base));
        assert_eq!(format!("{signer:?}"), "Signer(https://cdn.example/v/)");
    }

    #[test]
    fn a_base_has_a_host_and_whole_folders() {
        for (text, path) in [
            ("https://cdn.example/", "/film/"),
            ("http://127.0.0.1:8470/v/", "/v/film/"),
            ("https://[2001:db8::1]:8443/a/b.c_d-e/", "/a/b.c_d-e/film/"),
        ] {
            let base = BaseUrl::parse(text).unwrap();
            assert_eq!(base.package_path(&scope().pass), path);
            assert_eq!(base.package(&scope().pass), format!("{text}film/"));
        }
        for text in [
            "",
            "https://",
            "https:///",
            "https://cdn.example",
            "https://cdn.example/v",
            "ftp://cdn.example/",
            "//cdn.example/",
            "HTTPS://cdn.example/",
            "https://cdn.example//",
            "https://cdn.example/a//b/",
            "https://cdn.example/../",
            "https://cdn.example/./",
            "https://cdn.example/*/",
            "https://*.example/",
            "https://cdn.example/a?/",
            "https://cdn.example/a~b/",
            "https://cdn.example/a!b/",
            "https://cdn.example/a\"/",
            "https://u:p@cdn.example/",
            "https://cdn.example/a b/",
            "https://cdn.example/%2e/",
            "https://cdn.example/\\/",
            "https://cdn.example/v/#/",
            "https://cdn.exämple/",
        ] {
            assert_eq!(BaseUrl::parse(text), Err(BaseRefused), "{text}");
        }
    }
}
