//! Makes Common Access Tokens.

use super::super::{BaseUrl, CannotSign, Scope, SharedSecret, SignBytes, SignedPlace};
use super::{
    CATGEOISO3166, CATM, CATU, CATV, CTI, CWT_TAG, EXP, HEADER, ISS, PARAMETER, PATH, PREFIX,
    RENDITION, VERSION,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coset::cbor::Value;
use coset::iana::Algorithm;
use coset::{
    AsCborValue as _, CborSerializable as _, CoseMac0Builder, CoseSign1Builder, HeaderBuilder,
    TaggedCborSerializable as _,
};

/// Longest issuer and longest key id.
const MAX_LABEL: usize = 128;

/// What a token is signed with.
pub enum CatSigningKey {
    /// ES256: signs by ECDSA on P-256 with SHA-256; r and s, 32 bytes each.
    Es256(SignBytes),
    /// HMAC-SHA-256.
    Hs256(SharedSecret),
}

/// Why text is no issuer or key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("issuer and key id have 1 to 128 printable ASCII characters")]
pub struct LabelRefused;

/// Makes tokens for one folder, GET and HEAD, one session.
pub struct CatSigner {
    issuer: String,
    key_id: Vec<u8>,
    key: CatSigningKey,
    /// Whether the viewer's country is part of the token (R136).
    pub is_bound_to_country: bool,
    /// Whether our own edge is behind the CDN and renders manifests.
    pub names_rendition: bool,
}

impl CatSigner {
    /// A signer, bound to no country, for a CDN that has the package's files.
    ///
    /// Errors: [`LabelRefused`].
    pub fn new(issuer: &str, key_id: &str, key: CatSigningKey) -> Result<Self, LabelRefused> {
        for label in [issuer, key_id] {
            let is_plain = label.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if label.is_empty() || label.len() > MAX_LABEL || !is_plain {
                return Err(LabelRefused);
            }
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            key_id: key_id.as_bytes().to_vec(),
            key,
            is_bound_to_country: false,
            names_rendition: false,
        })
    }

    pub(in super::super) fn sign(
        &self,
        base: &BaseUrl,
        scope: &Scope,
    ) -> Result<SignedPlace, CannotSign> {
        let claims = self.claims(&base.package_path(&scope.pass), scope)?;
        let token = URL_SAFE_NO_PAD.encode(self.seal(claims));
        Ok(SignedPlace {
            base: base.package(&scope.pass),
            query: Some(format!("{PARAMETER}={token}")),
            cookies: vec![(HEADER.to_owned(), token)],
        })
    }

    /// In the order of deterministic encoding (RFC 8949, 4.2.1).
    fn claims(&self, path: &str, scope: &Scope) -> Result<Value, CannotSign> {
        let pass = &scope.pass;
        let mut claims = vec![
            (ISS.into(), self.issuer.as_str().into()),
            (EXP.into(), pass.expires.as_s().into()),
            (CTI.into(), pass.session.as_bytes().as_slice().into()),
            (CATV.into(), VERSION.into()),
            (
                CATU.into(),
                Value::Map(vec![(PATH.into(), Value::Map(vec![(PREFIX.into(), path.into())]))]),
            ),
            (CATM.into(), Value::Array(vec!["GET".into(), "HEAD".into()])),
        ];
        if self.is_bound_to_country {
            let country = scope.country.ok_or(CannotSign::Country)?;
            let countries = vec![country.to_string().into()];
            claims.push((CATGEOISO3166.into(), Value::Array(countries)));
        }
        if self.names_rendition {
            let names = [pass.dialect.name()].into_iter();
            let names = names.chain(pass.classes.iter().map(|class| class.name()));
            claims.push((RENDITION.into(), Value::Array(names.map(Value::from).collect())));
        }
        Ok(Value::Map(claims))
    }

    /// The algorithm and the key's id both in the protected header.
    fn seal(&self, claims: Value) -> Vec<u8> {
        const WRITES: &str = "memory takes what is written";
        let claims = claims.to_vec().expect(WRITES);
        let header = |algorithm| {
            HeaderBuilder::new().algorithm(algorithm).key_id(self.key_id.clone()).build()
        };
        let (tag, message) = match &self.key {
            CatSigningKey::Es256(sign) => {
                let message =
                    CoseSign1Builder::new().protected(header(Algorithm::ES256)).payload(claims);
                let message = message.create_signature(&[], sign).build();
                (coset::CoseSign1::TAG, message.to_cbor_value())
            }
            CatSigningKey::Hs256(secret) => {
                let message = CoseMac0Builder::new()
                    .protected(header(Algorithm::HMAC_256_256))
                    .payload(claims);
                let message = message.create_tag(&[], |bytes| secret.sign(bytes)).build();
                (coset::CoseMac0::TAG, message.to_cbor_value())
            }
        };
        let tagged = Value::Tag(tag, Box::new(message.expect(WRITES)));
        Value::Tag(CWT_TAG, Box::new(tagged)).to_vec().expect(WRITES)
    }
}

impl std::fmt::Debug for CatSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CatSigner({})", self.issuer)
    }
}
