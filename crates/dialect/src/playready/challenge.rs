//! A license request: what was signed, by whom, for which keys; and the response that answers
//! it.

use super::acquisition::{Acquisition, signed};
use super::chain::{Admission, verify_device};
use super::envelope::challenge_of;
use super::request::Desk;
use super::response::{Answer, Issue, Outgoing};
use super::xml::Element;
use super::xml::Namespace::Protocols;
use super::{ChallengeError, Device, Header};
use crate::terms::LicensedKey;
use model::{Entropy, KeyId, Scheme, Timestamp};

/// A license request of an attested device, read whole and verified. Only
/// [`super::Request::parse`] makes one, and it is answered once: [`Challenge::answer`] takes it.
///
/// ```compile_fail,E0382
/// # use dialect::playready::{Answer, Challenge, Issue};
/// fn twice(challenge: Challenge, issue: &Issue<'_>, entropy: &mut dyn model::Entropy) {
///     let first = challenge.answer(issue, vec![], entropy);
///     let second = challenge.answer(issue, vec![], entropy);
/// }
/// ```
/// ```
/// # use dialect::playready::{Answer, Challenge, Issue};
/// fn once(challenge: Challenge, issue: &Issue<'_>, entropy: &mut dyn model::Entropy) -> Answer {
///     challenge.answer(issue, vec![], entropy)
/// }
/// ```
#[derive(Debug)]
pub struct Challenge {
    device: Device,
    header: Header,
    kids: Vec<KeyId>,
    nonce: [u8; 16],
    plays_cbcs: bool,
    wants_persist: bool,
}

impl Challenge {
    /// The cheap refusals come first: structure, then the hash, then the signature by the key
    /// that the message carries. The service's private key is used before the device is known,
    /// because there is no other way to know it.
    pub(super) fn verify(
        operation: &Element,
        text: &str,
        desk: &Desk<'_>,
        now: Timestamp,
    ) -> Result<Self, ChallengeError> {
        let is_acquisition = |child: &Element| child.is(Protocols, "LA");
        let (element, stated) = signed(challenge_of(operation)?, is_acquisition)?;
        let Acquisition { header, nonce, sealed, wants_persist } = Acquisition::read(element)?;
        let signer = stated.verify_by_own(element, text)?;
        let Desk { credentials, chains, revoked, allows_test_level } = *desk;
        let identity = sealed.open(&credentials.service)?;
        let admission = Admission { revoked, allows_test_level, now };
        let device = verify_device(&identity.chain, &credentials.root, chains, admission)?;
        if device.signing != signer {
            return Err(ChallengeError::ForeignKey);
        }
        let kids = header.keys.iter().map(|key| key.kid).collect();
        let plays_cbcs = identity.plays_cbcs;
        Ok(Self { device, header, kids, nonce, plays_cbcs, wants_persist })
    }

    /// Whose it is.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The key ids that are asked for, each once, in the header's order.
    #[must_use]
    pub fn kids(&self) -> &[KeyId] {
        &self.kids
    }

    /// The header that asks for them.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The scheme that the content says it is encrypted by; `None` where it says nothing.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.header.scheme
    }

    /// Whether the client says that it decrypts `cbcs`.
    #[must_use]
    pub const fn plays_cbcs(&self) -> bool {
        self.plays_cbcs
    }

    /// Whether the licenses are to be kept on the device: the application asks for it by custom
    /// data ([`super::PERSISTENT`]), which the device signs.
    #[must_use]
    pub const fn wants_persist(&self) -> bool {
        self.wants_persist
    }

    /// Writes a license for each of `keys` that was asked for, which only this device can open,
    /// and the signed response around them.
    #[must_use]
    pub fn answer(
        self,
        issue: &Issue<'_>,
        mut keys: Vec<LicensedKey>,
        entropy: &mut dyn Entropy,
    ) -> Answer {
        keys.retain(|key| self.kids.contains(&key.kid));
        let version = self.header.version.acquisition();
        Outgoing { version, nonce: self.nonce, device: &self.device, issue }.write(keys, entropy)
    }
}
