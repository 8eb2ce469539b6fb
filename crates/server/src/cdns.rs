//! The CDNs of the settings with their keys, ready to sign, and the issuers whose tokens the own
//! edge takes.

use crate::config::cdn::{Algorithm, Carrier, Cdn, Signing};
use crate::config::{self, Config};
use crate::secrets::{self, SecretError};
use edge::EdgeKey;
use edge::cdn::cat::{CatKey, CatSigner, CatSigningKey, CatVerifier, TrustedIssuer};
use edge::cdn::{
    Akamai, BaseUrl, CannotSign, CloudFront, Scope, SharedSecret, SignedPlace, Signer,
    SigningScheme,
};
use keys::{P256PrivateKey, P256PublicKey, RsaPrivateKey};
use std::path::Path;
use zeroize::Zeroizing;

/// Name of Akamai's parameter where the settings say none.
const AKAMAI_PARAMETER: &str = "hdnts";

/// Why a CDN or an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CdnError {
    /// The key cannot be read.
    #[error("key of {of:?}: {cause}")]
    Secret {
        /// Name of the CDN, id of the issuer's key.
        of: String,
        /// Why.
        cause: SecretError,
    },
    /// The key, or what goes with it, is not what the way of signing needs.
    #[error("{of:?}: {why}")]
    Refused {
        /// Name of the CDN, id of the issuer's key.
        of: String,
        /// What it should be.
        why: String,
    },
}

/// A CDN, ready to sign.
#[derive(Debug)]
pub struct ReadyCdn {
    /// Its name.
    pub name: String,
    /// Its share of the viewers, against those of the others.
    pub weight: u32,
    /// What carries the signature.
    pub carrier: Carrier,
    signer: Signer,
}

impl ReadyCdn {
    /// Signs a session's way to a package; by the query alone or by cookies alone.
    ///
    /// Errors: [`CannotSign`]; another CDN may be able to.
    pub fn sign(&self, scope: &Scope) -> Result<SignedPlace, CannotSign> {
        let mut place = self.signer.sign(scope)?;
        match self.carrier {
            Carrier::Query => place.cookies.clear(),
            Carrier::Cookie => place.query = None,
        }
        Ok(place)
    }
}

/// The CDNs of the settings, in their order; none: the own edge is the one CDN.
#[derive(Debug, Default)]
pub struct Cdns(Vec<ReadyCdn>);

impl Cdns {
    /// Reads the keys of all CDNs. `edge_secret` signs the own edge's passes.
    ///
    /// Errors: [`CdnError`].
    pub fn open(config: &Config, edge_secret: &[u8; 32]) -> Result<Self, CdnError> {
        let ready = |cdn: &Cdn| {
            let signer = signer(cdn, edge_secret)?;
            let (name, weight, carrier) = (cdn.name.clone(), cdn.weight, cdn.carrier);
            Ok(ReadyCdn { name, weight, carrier, signer })
        };
        config.cdn.iter().map(ready).collect::<Result<_, _>>().map(Self)
    }

    /// The CDNs.
    pub fn iter(&self) -> impl Iterator<Item = &ReadyCdn> {
        self.0.iter()
    }

    /// The CDN of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ReadyCdn> {
        self.0.iter().find(|cdn| cdn.name == name)
    }
}

fn signer(cdn: &Cdn, edge_secret: &[u8; 32]) -> Result<Signer, CdnError> {
    let of = cdn.name.as_str();
    let base = BaseUrl::parse(&cdn.base_url).map_err(|error| refused(of, error))?;
    let key = || secret(of, cdn.key_file.as_deref(), cdn.key_env.as_deref());
    let shared = || SharedSecret::parse(key()?.trim()).map_err(|error| refused(of, error));
    let key_id = cdn.key_id.as_deref().unwrap_or_default();
    let scheme = match cdn.signing {
        Signing::Own => SigningScheme::Own(Box::new(EdgeKey::from_bytes(edge_secret))),
        Signing::CloudFront => {
            let private = RsaPrivateKey::parse_pem(&key()?).map_err(|error| refused(of, error))?;
            let sign = Box::new(move |message: &[u8]| private.sign_pkcs1_sha1(message));
            let cloudfront = CloudFront::new(key_id, cdn.bind_address, sign);
            SigningScheme::CloudFront(cloudfront.map_err(|error| refused(of, error))?)
        }
        Signing::Akamai => {
            let name = cdn.parameter.as_deref().unwrap_or(AKAMAI_PARAMETER);
            let akamai = Akamai::new(name, shared()?);
            SigningScheme::Akamai(akamai.map_err(|error| refused(of, error))?)
        }
        Signing::Cat => {
            let key = match cdn.algorithm {
                Some(Algorithm::Hs256) => CatSigningKey::Hs256(shared()?),
                // The settings were checked when they were read.
                Some(Algorithm::Es256) | None => {
                    let private =
                        P256PrivateKey::parse_pem(&key()?).map_err(|error| refused(of, error))?;
                    let sign = move |message: &[u8]| private.sign_sha256(message).to_vec();
                    CatSigningKey::Es256(Box::new(sign))
                }
            };
            let issuer = cdn.issuer.as_deref().unwrap_or_default();
            let cat = CatSigner::new(issuer, key_id, key);
            let mut cat = cat.map_err(|error| refused(of, error))?;
            cat.is_bound_to_country = cdn.bind_country;
            cat.names_rendition = cdn.renders_manifests;
            SigningScheme::Cat(cat)
        }
    };
    Ok(Signer::new(base, scheme))
}

/// Reads the keys of the issuers whose tokens the own edge takes.
///
/// Errors: [`CdnError`].
pub fn verifier(edge: &config::edge::Edge) -> Result<CatVerifier, CdnError> {
    let trusted = |one: &config::edge::CatIssuer| {
        let of = one.key_id.as_str();
        let text = secret(of, one.key_file.as_deref(), one.key_env.as_deref())?;
        let key = match one.algorithm {
            Algorithm::Es256 => CatKey::Es256(
                P256PublicKey::parse_pem(&text).map_err(|error| refused(of, error))?.to_bytes(),
            ),
            Algorithm::Hs256 => {
                CatKey::Hs256(SharedSecret::parse(text.trim()).map_err(|error| refused(of, error))?)
            }
        };
        Ok(TrustedIssuer { issuer: one.issuer.clone(), key_id: one.key_id.clone(), key })
    };
    edge.cat.iter().map(trusted).collect::<Result<_, _>>().map(CatVerifier::new)
}

fn secret(
    of: &str,
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Zeroizing<String>, CdnError> {
    secrets::read_text(file, variable)
        .map_err(|cause| CdnError::Secret { of: of.to_owned(), cause })
}

fn refused(of: &str, error: impl std::fmt::Display) -> CdnError {
    CdnError::Refused { of: of.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn opened(entry: &str, key: &str, mode: u32) -> Result<Cdns, CdnError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, key).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let text = format!(
            "[[cdn]]\nname = \"one\"\nbase_url = \"https://cdn.example/v/\"\nkey_file = {file:?}\n\
             {entry}"
        );
        let settings = folder.path().join("settings.toml");
        std::fs::write(&settings, text).unwrap();
        Cdns::open(&Config::load(Some(&settings), None).unwrap(), &[3; 32])
    }

    const AKAMAI: &str = "signing = \"akamai\"\n";
    const CLOUDFRONT: &str = "signing = \"cloudfront\"\nkey_id = \"K1\"\n";
    const ES256: &str =
        "signing = \"cat\"\nkey_id = \"1\"\nissuer = \"tv\"\nalgorithm = \"ES256\"\n";

    #[test]
    fn keys_are_of_the_kind_that_signs() {
        let secret = "0a".repeat(32);
        let (_, rsa) = RsaPrivateKey::generate();
        let rsa = RsaPrivateKey::pem_of(&rsa);
        let (_, p256) = P256PrivateKey::generate();
        let p256 = P256PrivateKey::pem_of(&p256);
        assert!(opened(AKAMAI, &format!("{secret}\n"), 0o600).is_ok());
        assert!(opened(CLOUDFRONT, &rsa, 0o400).is_ok());
        let cdns = opened(ES256, &p256, 0o600).unwrap();
        assert!(cdns.named("one").is_some() && cdns.named("two").is_none());
        for (entry, key) in [
            (AKAMAI, rsa.as_str()),
            (AKAMAI, "0a"),
            (AKAMAI, ""),
            (CLOUDFRONT, secret.as_str()),
            (CLOUDFRONT, p256.as_str()),
            (ES256, rsa.as_str()),
            (ES256, secret.as_str()),
        ] {
            let said = opened(entry, key, 0o600).unwrap_err().to_string();
            assert!(said.contains("\"one\""), "{said}");
            assert!(key.is_empty() || !said.contains(key), "no key in an error");
        }
        let said = opened(AKAMAI, &secret, 0o640).unwrap_err().to_string();
        assert!(said.contains("chmod 600"), "{said}");
        let said = opened(AKAMAI, &"0".repeat(1 << 20), 0o600).unwrap_err().to_string();
        assert!(said.contains("\"one\""), "{said}");
    }
}
