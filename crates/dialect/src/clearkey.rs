//! Clear Key: license request and license of W3C Encrypted Media Extensions, 9.1.3 and 9.1.4.
//!
//! The license carries the key in the clear, by design of the standard. The content type of a
//! request says nothing (browsers' players send several) and is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::ContentKey;
use model::KeyId;
use serde::Deserialize;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Longest challenge, and longest license that is read.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most KIDs in a challenge, and most keys in a license that is read.
pub const MAX_KIDS: usize = crate::MAX_KEYS;

/// Media type of a license.
pub const LICENSE_TYPE: &str = "application/json";

/// How long the CDM may keep the license (EME, 6: `MediaKeySessionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionType {
    /// As long as the page plays.
    Temporary,
    /// On the device.
    PersistentLicense,
}

impl SessionType {
    const fn name(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::PersistentLicense => "persistent-license",
        }
    }
}

/// Whether the title may be kept on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offline {
    /// `persistent-license` is refused.
    Refused,
    /// `persistent-license` is answered.
    Allowed,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Not the JSON object of EME 9.1.3: broken JSON, no `kids`, a KID that is not 16 bytes of
    /// base64url without padding, a member given twice.
    #[error("not a Clear Key license request")]
    Malformed,
    /// Longer than [`MAX_BYTES`], or more KIDs than [`MAX_KIDS`].
    #[error("a Clear Key license request has at most {MAX_KIDS} key ids and 64 KiB")]
    TooLarge,
    /// A session type that Strongroom does not know or support (`persistent-usage-record`).
    #[error("the session type is not supported")]
    SessionType,
    /// `persistent-license`, for a title that may not be kept.
    #[error("the title may not be kept on a device")]
    OfflineNotAllowed,
}

/// A license request that was read whole. Only [`Challenge::parse`] makes one.
///
/// ```
/// use dialect::clearkey::{Challenge, Offline};
/// let body = br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"temporary"}"#;
/// let challenge = Challenge::parse(body, Offline::Refused)?;
/// let license = challenge.answer(vec![]);
/// assert_eq!(license.as_bytes(), br#"{"keys":[],"type":"temporary"}"#);
/// # Ok::<(), dialect::clearkey::ChallengeError>(())
/// ```
/// A challenge is answered once:
/// ```compile_fail,E0382
/// use dialect::clearkey::{Challenge, Offline};
/// let body = br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"temporary"}"#;
/// let challenge = Challenge::parse(body, Offline::Refused)?;
/// let license = challenge.answer(vec![]);
/// let second = challenge.answer(vec![]);
/// # Ok::<(), dialect::clearkey::ChallengeError>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    kids: Vec<KeyId>,
    session_type: SessionType,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    kids: Vec<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    session_type: Option<Cow<'a, str>>,
}

impl Challenge {
    /// Reads the body of a license request. Members that EME does not name are ignored; an
    /// absent `type` is `temporary`, EME's default; a KID that is named twice counts once.
    ///
    /// Errors: [`ChallengeError`]. Limits: [`MAX_BYTES`], [`MAX_KIDS`].
    pub fn parse(body: &[u8], offline: Offline) -> Result<Self, ChallengeError> {
        if body.len() > MAX_BYTES {
            return Err(ChallengeError::TooLarge);
        }
        let request: Request<'_> =
            serde_json::from_slice(body).map_err(|_| ChallengeError::Malformed)?;
        if request.kids.len() > MAX_KIDS {
            return Err(ChallengeError::TooLarge);
        }
        let session_type = match (request.session_type.as_deref(), offline) {
            (None | Some("temporary"), _) => SessionType::Temporary,
            (Some("persistent-license"), Offline::Allowed) => SessionType::PersistentLicense,
            (Some("persistent-license"), Offline::Refused) => {
                return Err(ChallengeError::OfflineNotAllowed);
            }
            (Some(_), _) => return Err(ChallengeError::SessionType),
        };
        let mut kids = Vec::with_capacity(request.kids.len());
        for text in &request.kids {
            let kid = KeyId::parse_base64url(text).map_err(|_| ChallengeError::Malformed)?;
            if !kids.contains(&kid) {
                kids.push(kid);
            }
        }
        if kids.is_empty() {
            return Err(ChallengeError::Malformed);
        }
        Ok(Self { kids, session_type })
    }

    /// The KIDs that are asked for, each once, in the request's order.
    #[must_use]
    pub fn kids(&self) -> &[KeyId] {
        &self.kids
    }

    /// How long the CDM wants to keep the license.
    #[must_use]
    pub const fn session_type(&self) -> SessionType {
        self.session_type
    }

    /// Writes the license: a JWK Set of those of `keys` that were asked for.
    #[must_use]
    pub fn answer(self, keys: Vec<(KeyId, ContentKey)>) -> License {
        // Room for all of it at once: a growing vector would leave copies of keys behind.
        let mut text = Zeroizing::new(Vec::with_capacity(64 + keys.len() * 96));
        text.extend(br#"{"keys":["#);
        let asked = keys.iter().filter(|(kid, _)| self.kids.contains(kid));
        for (at, (kid, key)) in asked.enumerate() {
            if at > 0 {
                text.push(b',');
            }
            text.extend(br#"{"kty":"oct","kid":""#);
            text.extend(kid.to_base64url().as_bytes());
            text.extend(br#"","k":""#);
            text.extend(base64url_of(key).as_slice());
            text.extend(br#""}"#);
        }
        text.extend(br#"],"type":""#);
        text.extend(self.session_type.name().as_bytes());
        text.extend(br#""}"#);
        License(text)
    }
}

/// Writes the request of a client that wants these keys (EME, 9.1.3).
#[must_use]
pub fn request(kids: &[KeyId], session_type: SessionType) -> Vec<u8> {
    let kids: Vec<String> = kids.iter().map(|kid| kid.to_base64url()).collect();
    let request = serde_json::json!({ "kids": kids, "type": session_type.name() });
    request.to_string().into_bytes()
}

/// A written license: keys in the clear. Wiped on drop, never printed.
pub struct License(Zeroizing<Vec<u8>>);

impl License {
    /// The license's JSON, for the re-check and for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for License {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("License(..)")
    }
}

/// 16 bytes in base64url without padding.
const KEY_TEXT_BYTES: usize = 22;

fn base64url_of(key: &ContentKey) -> Zeroizing<[u8; KEY_TEXT_BYTES]> {
    let mut text = Zeroizing::new([0; KEY_TEXT_BYTES]);
    #[expect(
        clippy::disallowed_methods,
        reason = "W3C Clear Key carries the key in the clear by design"
    )]
    let bytes = key.reveal();
    let written = URL_SAFE_NO_PAD.encode_slice(*bytes, text.as_mut_slice());
    written.expect("16 bytes are 22 characters");
    text
}

/// Why bytes are not a license. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Clear Key license")]
pub struct LicenseError;

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<Jwk<'a>>,
}

/// Borrowed from the license: a copy would have to be wiped. `alg`, which early drafts of EME
/// demanded, is among the members that are ignored.
#[derive(Deserialize)]
struct Jwk<'a> {
    kty: &'a str,
    kid: &'a str,
    k: &'a str,
}

/// Reads a license: every key with its KID.
///
/// Errors: [`LicenseError`], also where a KID stands twice. Limits: [`MAX_BYTES`],
/// [`MAX_KIDS`].
pub fn read_license(license: &[u8]) -> Result<Vec<(KeyId, ContentKey)>, LicenseError> {
    if license.len() > MAX_BYTES {
        return Err(LicenseError);
    }
    let set: JwkSet<'_> = serde_json::from_slice(license).map_err(|_| LicenseError)?;
    if set.keys.len() > MAX_KIDS {
        return Err(LicenseError);
    }
    let mut keys: Vec<(KeyId, ContentKey)> = Vec::with_capacity(set.keys.len());
    for jwk in &set.keys {
        let kid = KeyId::parse_base64url(jwk.kid).map_err(|_| LicenseError)?;
        if jwk.kty != "oct" || keys.iter().any(|(earlier, _)| *earlier == kid) {
            return Err(LicenseError);
        }
        keys.push((kid, read_key(jwk.k)?));
    }
    Ok(keys)
}

fn read_key(text: &str) -> Result<ContentKey, LicenseError> {
    let mut bytes = Zeroizing::new([0; 16]);
    let length =
        URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()).map_err(|_| LicenseError)?;
    if length == bytes.len() { Ok(ContentKey::from_bytes(bytes)) } else { Err(LicenseError) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::FingerprintKey;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn key(byte: u8) -> ContentKey {
        ContentKey::from_bytes(Zeroizing::new([byte; 16]))
    }

    fn kid(byte: u8) -> KeyId {
        KeyId::from_bytes([byte; 16])
    }

    fn request(kids: &[KeyId]) -> Vec<u8> {
        super::request(kids, SessionType::Temporary)
    }

    fn challenge(kids: &[KeyId]) -> Challenge {
        Challenge::parse(&request(kids), Offline::Refused).unwrap()
    }

    #[test]
    fn the_license_is_the_standards_jwk_set() {
        let kid = KeyId::parse_base64url("LwVHf8JLtPrv2GUXFW2v_A").unwrap();
        let license =
            challenge(&[kid]).answer(vec![(kid, read_key("tQ0bJVWb6b0KPL6KtZIy_A").unwrap())]);
        let expected = concat!(
            r#"{"keys":[{"kty":"oct","kid":"LwVHf8JLtPrv2GUXFW2v_A","#,
            r#""k":"tQ0bJVWb6b0KPL6KtZIy_A"}],"type":"temporary"}"#
        );
        assert_eq!(std::str::from_utf8(license.as_bytes()).unwrap(), expected);
        assert_eq!(format!("{license:?}"), "License(..)");
    }

    #[test]
    fn a_key_that_was_not_asked_for_is_not_written() {
        let license = challenge(&[kid(1), kid(3)]).answer(vec![(kid(2), key(2)), (kid(3), key(3))]);
        let read = read_license(license.as_bytes()).unwrap();
        assert_eq!(read.iter().map(|(kid, _)| *kid).collect::<Vec<_>>(), [kid(3)]);
    }

    fn many(count: usize) -> Vec<KeyId> {
        (0..count).map(|at| KeyId::from_bytes((at as u128).to_be_bytes())).collect()
    }

    #[test]
    fn the_license_has_room_from_the_start() {
        let kids = many(MAX_KIDS);
        let keys = kids.iter().map(|kid| (*kid, key(9))).collect();
        let license = challenge(&kids).answer(keys);
        assert!(license.0.len() <= 64 + MAX_KIDS * 96, "{}", license.0.len());
        assert_eq!(read_license(license.as_bytes()).unwrap().len(), MAX_KIDS);
    }

    #[test]
    fn limits_hold_on_both_sides() {
        let kids = many;
        assert!(Challenge::parse(&request(&kids(MAX_KIDS)), Offline::Refused).is_ok());
        let refused = Challenge::parse(&request(&kids(MAX_KIDS + 1)), Offline::Refused);
        assert_eq!(refused, Err(ChallengeError::TooLarge));
        let mut long = request(&kids(1));
        long.resize(MAX_BYTES, b' ');
        assert!(Challenge::parse(&long, Offline::Refused).is_ok());
        long.push(b' ');
        assert_eq!(Challenge::parse(&long, Offline::Refused), Err(ChallengeError::TooLarge));
        assert!(read_license(&long).is_err());
    }

    #[test]
    fn offline_is_a_right() {
        let body = br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"persistent-license"}"#;
        let refused = Challenge::parse(body, Offline::Refused);
        assert_eq!(refused, Err(ChallengeError::OfflineNotAllowed));
        let allowed = Challenge::parse(body, Offline::Allowed).unwrap();
        assert_eq!(allowed.session_type(), SessionType::PersistentLicense);
        assert!(allowed.answer(vec![]).as_bytes().ends_with(br#""type":"persistent-license"}"#));
    }

    proptest! {
        #[test]
        fn a_written_license_reads_back(secrets in vec(any::<[u8; 16]>(), 0..20)) {
            let vault = FingerprintKey::from_bytes(&Zeroizing::new([1; 32]));
            let kids: Vec<KeyId> = (0..=20).map(kid).collect();
            let keys = kids.iter().zip(&secrets)
                .map(|(kid, secret)| (*kid, ContentKey::from_bytes(Zeroizing::new(*secret))))
                .collect();
            let license = challenge(&kids).answer(keys);
            let read = read_license(license.as_bytes()).unwrap();
            prop_assert_eq!(read.len(), secrets.len());
            for ((read_kid, read_key), (kid, secret)) in read.iter().zip(kids.iter().zip(&secrets)) {
                let own = ContentKey::from_bytes(Zeroizing::new(*secret));
                prop_assert_eq!(read_kid, kid);
                prop_assert_eq!(read_key.fingerprint(&vault), own.fingerprint(&vault));
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = Challenge::parse(&bytes, Offline::Allowed);
            let _ = read_license(&bytes);
        }
    }
}
