//! The license acquisition (LA): what a client asks, signed as it was sent.

use super::identity::Sealed;
use super::signature::{SIGNED_ID, Stated};
use super::xml::Element;
use super::xml::Namespace::{Header as HeaderSpace, Protocols, XmlDsig, XmlEnc};
use super::{ChallengeError, Header, base64};

/// An acquisition that was read and not yet believed.
#[derive(Debug)]
pub(super) struct Acquisition {
    pub(super) header: Header,
    pub(super) nonce: [u8; 16],
    pub(super) sealed: Sealed,
    pub(super) wants_persist: bool,
}

/// The custom data by which an application asks for licenses that are kept on the device. The
/// protocol has no field for that, and leaves custom data to those who wrote both sides.
pub const PERSISTENT: &str = "persistent";

/// The signed element of a challenge and what its signature states. There is nothing else in a
/// challenge, so that there is nothing that could be taken for either.
pub(super) fn signed(
    children: &[Element],
    is_signed: impl Fn(&Element) -> bool,
) -> Result<(&Element, Stated), ChallengeError> {
    let is_signature = |child: &Element| child.is(XmlDsig, "Signature");
    let count =
        |test: &dyn Fn(&Element) -> bool| children.iter().filter(|child| test(child)).count();
    let element = children.iter().find(|child| is_signed(child));
    let element = element.ok_or(ChallengeError::AcquisitionMissing)?;
    if count(&is_signed) != 1 || count(&is_signature) > 1 || children.len() > 2 {
        return Err(ChallengeError::AcquisitionTwice);
    }
    let signature = children.iter().find(|child| is_signature(child));
    let signature = signature.ok_or(ChallengeError::Unsigned)?;
    if element.attribute("Id") != Some(SIGNED_ID) {
        return Err(ChallengeError::SignedId);
    }
    Ok((element, Stated::read(signature)?))
}

impl Acquisition {
    /// Reads an LA. Whatever else a client says in it (its version, its revocation lists, other
    /// custom data, its clock) is signed and not used.
    pub(super) fn read(acquisition: &Element) -> Result<Self, ChallengeError> {
        let version = acquisition.only(Protocols, "Version").and_then(Element::leaf).map(str::trim);
        let version = version.ok_or(ChallengeError::Version)?;
        if !["1", "4", "5"].contains(&version) {
            return Err(ChallengeError::Version);
        }
        let header = acquisition
            .only(Protocols, "ContentHeader")
            .and_then(|content| content.sole(HeaderSpace, "WRMHEADER"))
            .ok_or(ChallengeError::ContentHeader)?;
        let header = Header::read(header)?;
        if version != header.version.acquisition() {
            return Err(ChallengeError::VersionMismatch);
        }
        let nonce = acquisition.only(Protocols, "LicenseNonce");
        let nonce = nonce.and_then(|nonce| base64(nonce.leaf()?)?.try_into().ok());
        let nonce = nonce.ok_or(ChallengeError::Nonce)?;
        let mut identities = acquisition.named(XmlEnc, "EncryptedData");
        let identity = identities.next().ok_or(ChallengeError::IdentityMissing)?;
        if identities.next().is_some() {
            return Err(ChallengeError::IdentityStructure);
        }
        let custom_data = acquisition.only(Protocols, "CustomData");
        let wants_persist = custom_data.is_some_and(|element| element.text.trim() == PERSISTENT);
        Ok(Self { header, nonce, sealed: Sealed::read(identity)?, wants_persist })
    }
}
