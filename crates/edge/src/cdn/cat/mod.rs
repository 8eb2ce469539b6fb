//! The Common Access Token (CTA-5007): a CBOR Web Token (RFC 8392) in `COSE_Sign1` with ES256 or
//! in `COSE_Mac0` with HMAC-SHA-256 (RFC 9052, 4.2 and 6.2), base64url without padding.

mod signer;
mod verifier;

pub use signer::{CatSigner, CatSigningKey, LabelRefused};
pub use verifier::{Asked, CatKey, CatVerifier, TrustedIssuer};

/// Parameter of a URL that carries a token.
pub const PARAMETER: &str = "CAT";
/// Header or cookie that carries a token.
pub const HEADER: &str = "CTA-Common-Access-Token";

/// Tag of a CBOR Web Token (RFC 8392, 6).
const CWT_TAG: u64 = 61;
/// Claims of RFC 8392, 3.1.
const ISS: i64 = 1;
const EXP: i64 = 4;
const NBF: i64 = 5;
const IAT: i64 = 6;
const CTI: i64 = 7;
/// Claims of CTA-5007, by their numbers in IANA's registry.
const CATV: i64 = 310;
const CATU: i64 = 312;
const CATM: i64 = 313;
const CATGEOISO3166: i64 = 316;
/// What our own edge renders manifests by: the DRM system, then the track classes, by name. A
/// claim for private use (RFC 8392, 9.1).
const RENDITION: i64 = -65_537;
/// The version of the claims.
const VERSION: i64 = 1;
/// `catu`: the part of the URL, and how it is compared.
const PATH: i64 = 3;
const EXACT: i64 = 0;
const PREFIX: i64 = 1;

#[cfg(test)]
mod tests;
