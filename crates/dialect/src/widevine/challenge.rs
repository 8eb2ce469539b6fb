//! A new license request: the identity, in the clear or under the service's key (privacy
//! mode), its attestation, the content, the signature; and the license that answers it.

use super::certificate::{Device, verify_device};
use super::content::{Content, LicenseType};
use super::license::{Answer, Issue, Outgoing, scheme_of};
use super::messages::{
    ClientCapabilities, ClientIdentification, LicenseIdentification, LicenseRequest, token_type,
};
use super::policy::hdcp_of;
use super::renewal::Holder;
use super::request::{Desk, Unverified};
use super::{ChallengeError, decode};
use crate::terms::LicensedKey;
use keys::SessionKey;
use model::{Entropy, KeyId, Scheme, Timestamp};
use zeroize::Zeroizing;

/// A new license request of an attested device, read whole and verified. Only
/// [`super::Request::parse`] makes one, and it is answered once: [`Challenge::answer`] takes it.
///
/// ```compile_fail,E0382
/// # use dialect::widevine::{Answer, Challenge, Issue};
/// fn twice(challenge: Challenge, issue: &Issue<'_>, entropy: &mut dyn model::Entropy) {
///     let first = challenge.answer(issue, vec![], entropy);
///     let second = challenge.answer(issue, vec![], entropy);
/// }
/// ```
/// ```
/// # use dialect::widevine::{Answer, Challenge, Issue};
/// fn once(challenge: Challenge, issue: &Issue<'_>, entropy: &mut dyn model::Entropy) -> Answer {
///     challenge.answer(issue, vec![], entropy)
/// }
/// ```
#[derive(Debug)]
pub struct Challenge {
    /// The exact bytes that the device signed: the license's keys are derived from them.
    request: Vec<u8>,
    device: Device,
    content: Content,
}

impl Challenge {
    /// The cheap refusals come first; the service's private key is used before the device is
    /// known, because there is no other way to know it.
    pub(super) fn verify(
        unverified: Unverified,
        desk: &Desk<'_>,
        now: Timestamp,
    ) -> Result<Self, ChallengeError> {
        let Unverified { bytes, mut request, signature } = unverified;
        let content_id = request.content_id.take().ok_or(ChallengeError::ContentMissing)?;
        let content = Content::read(content_id)?;
        let identity = identity_of(&request, desk)?;
        let identity: ClientIdentification = decode(&identity).ok_or(ChallengeError::Malformed)?;
        let token = certificate_of(&identity)?;
        let desk_root = &desk.credentials.root;
        let mut device = verify_device(token, desk_root, desk.models, desk.devices, now)?;
        if !device.key.verify_pss_sha1(&bytes, &signature) {
            return Err(ChallengeError::Signature);
        }
        let capabilities = identity.client_capabilities.unwrap_or_default();
        describe(&mut device, &capabilities);
        Ok(Self { request: bytes, device, content })
    }

    /// Whose it is.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The key ids that are asked for, each once, in the request's order. Empty where the
    /// request names a content id only.
    #[must_use]
    pub fn kids(&self) -> &[KeyId] {
        &self.content.kids
    }

    /// The content id that the packager wrote.
    #[must_use]
    pub fn content_id(&self) -> Option<&[u8]> {
        self.content.content_id.as_deref()
    }

    /// The key period, where keys rotate.
    #[must_use]
    pub const fn crypto_period(&self) -> Option<u32> {
        self.content.crypto_period
    }

    /// The scheme that the content says it is encrypted by; `None` where it says nothing, or
    /// one that Strongroom does not write.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.content.scheme.and_then(scheme_of)
    }

    /// How long the client wants to keep the license.
    #[must_use]
    pub const fn license_type(&self) -> LicenseType {
        self.content.license_type
    }

    /// Writes the license: those of `keys` that were asked for, under a fresh session key that
    /// only this device can open.
    #[must_use]
    pub fn answer(
        self,
        issue: &Issue<'_>,
        mut keys: Vec<LicensedKey>,
        entropy: &mut dyn Entropy,
    ) -> Answer {
        if !self.content.kids.is_empty() {
            keys.retain(|key| self.content.kids.contains(&key.kid));
        }
        let session = SessionKey::generate(entropy);
        let secrets = session.derive(&self.request);
        let mut session_id = vec![0; 16];
        entropy.fill(&mut session_id);
        let id = LicenseIdentification {
            request_id: Some(self.content.request_id),
            session_id: Some(session_id),
            license_type: Some(self.content.license_type.number()),
            version: Some(0),
            provider_session_token: None,
        };
        let wrapped = session.wrap(&self.device.key);
        let Device { system_id, serial, model_serial, .. } = self.device;
        let holder = Holder { system_id, serial, model_serial };
        let outgoing = Outgoing { id, first_started_s: issue.now.as_s(), holder, issue };
        outgoing.write_new(keys, secrets, wrapped, entropy)
    }
}

/// The one identity: its bytes.
fn identity_of(
    request: &LicenseRequest,
    desk: &Desk<'_>,
) -> Result<Zeroizing<Vec<u8>>, ChallengeError> {
    match (&request.client_id, &request.encrypted_client_id) {
        (Some(_), Some(_)) => Err(ChallengeError::IdentityTwice),
        (None, None) => Err(ChallengeError::IdentityMissing),
        (Some(identity), None) => Ok(Zeroizing::new(identity.clone())),
        (None, Some(sealed)) => desk.credentials.open_identity(sealed),
    }
}

/// The device's certificate, where the identity is one.
fn certificate_of(identity: &ClientIdentification) -> Result<&[u8], ChallengeError> {
    match identity.kind.unwrap_or(token_type::KEYBOX) {
        token_type::DRM_DEVICE_CERTIFICATE => {
            identity.token.as_deref().ok_or(ChallengeError::Certificate)
        }
        token_type::KEYBOX => Err(ChallengeError::Keybox),
        token_type::REMOTE_ATTESTATION_CERTIFICATE => Err(ChallengeError::RemoteAttestation),
        token_type::OEM_DEVICE_CERTIFICATE => Err(ChallengeError::OemCertificate),
        _ => Err(ChallengeError::IdentityType),
    }
}

/// What the device says about itself: signed, and still only its own word.
fn describe(device: &mut Device, capabilities: &ClientCapabilities) {
    device.max_hdcp = capabilities.max_hdcp_version.and_then(hdcp_of);
    device.oem_crypto_api_version = capabilities.oem_crypto_api_version;
    device.resource_rating_tier = capabilities.resource_rating_tier;
}
