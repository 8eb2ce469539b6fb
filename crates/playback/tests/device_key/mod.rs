//! A device's key, as a browser or a box keeps one, and the proofs that it makes.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A P-256 key.
pub struct DeviceKey(EcdsaKeyPair);

impl DeviceKey {
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// The public key as a proof carries it.
    pub fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
    }

    /// The header of a proof.
    pub fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()})
    }

    /// A proof for a request at this second.
    pub fn proof(&self, method: &str, url: &str, at_s: u64, id: &str) -> String {
        let claims = json!({"htm": method, "htu": url, "iat": at_s, "jti": id});
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// A JWT of these texts.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = [header, claims].map(|text| URL_SAFE_NO_PAD.encode(text)).join(".");
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
