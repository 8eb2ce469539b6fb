//! A PlayReady device, the service that it knows, and what they say to each other: each answer is
//! read here, and nowhere else.
//!
//! There is no renewal: a license ends when it says so, and the app opens another session. A
//! license that may be kept is acknowledged, whether the session keeps it or forgets it at its end.

use crate::exchange::{Exchange, Licensed, Step};
use crate::sessions::{CdmError, Message, MessageKind};
use crate::system::Boxes;
use crate::usage::{Reach, Usage};
use dialect::playready::PERSISTENT;
use dialect::playready::client::{Ask, ClientDevice, DeviceError, Service};
use dialect::terms::Hdcp;
use keys::RecordKey;
use model::{Entropy, SecurityLevel, Timestamp};

/// A license begins so long before it is written: clocks of devices go wrong.
const HEAD_START_S: u64 = 300;

/// The files of a device profile, and the keys that a device has built in.
#[derive(Clone, Copy)]
pub struct Profile<'a> {
    /// `chain.bin`: its certificates, its own first.
    pub chain: &'a [u8],
    /// `signing_private.pem`: the key that signs its requests, PKCS#8.
    pub signing_private_pem: &'a str,
    /// `encryption_private.pem`: the key that opens its licenses, PKCS#8.
    pub encryption_private_pem: &'a str,
    /// Whom signers of licenses must come from: X and Y, or PEM.
    pub root: &'a [u8],
    /// For whom requests are encrypted: X and Y, or PEM.
    pub wmrm: &'a [u8],
    /// What the CDM was built as. A license server does not take its word for it: it goes by
    /// the certificate.
    pub level: SecurityLevel,
}

/// Why there is no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Its own files.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The root's key, or the service's.
    #[error("the root or the service is not a public key on P-256")]
    Service,
}

/// A device with its private keys, which never leave the CDM.
#[derive(Debug)]
pub struct Device {
    client: ClientDevice,
    service: Service,
    level: SecurityLevel,
}

/// How far a session has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A license was asked for.
    License(Asked),
    /// A license is held, and its acknowledgement on its way, where it asked for one.
    Held { acknowledges: bool },
}

/// A license request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    nonce: [u8; 16],
    is_kept: bool,
    at: Timestamp,
}

impl Device {
    /// Reads a profile.
    ///
    /// Errors: [`ProfileError`].
    pub fn parse(profile: &Profile<'_>) -> Result<Self, ProfileError> {
        let Profile { chain, signing_private_pem, encryption_private_pem, root, wmrm, level } =
            *profile;
        let client = ClientDevice::read(chain, signing_private_pem, encryption_private_pem)?;
        let service = Service::read(root, wmrm).ok_or(ProfileError::Service)?;
        Ok(Self { client, service, level })
    }

    /// The key under which it keeps licenses.
    pub(crate) fn record_key(&self) -> RecordKey {
        RecordKey::of_p256(&self.client.encryption)
    }

    pub(crate) const fn reach(&self) -> Reach {
        Reach::of_level(self.level, Hdcp::V2_3)
    }

    /// The request of a session for the keys of these boxes.
    pub(crate) fn ask(
        &self,
        boxes: &Boxes,
        is_kept: bool,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<(Exchange, Message), CdmError> {
        let headers: Vec<&[u8]> = boxes.headers.iter().map(|header| header.as_bytes()).collect();
        let custom_data = is_kept.then_some(PERSISTENT);
        let ask = Ask { headers: &headers, custom_data, service: &self.service };
        let (pending, body) =
            self.client.ask(&ask, now, entropy).map_err(|_| CdmError::InitData)?;
        let asked = Asked { nonce: pending.nonce(), is_kept, at: now };
        let message = Message { kind: MessageKind::LicenseRequest, body };
        Ok((Exchange::PlayReady(Stage::License(asked)), message))
    }

    /// Reads the answer to the latest message of a session.
    pub(crate) fn read(
        &self,
        stage: &mut Stage,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<Step, CdmError> {
        match stage {
            Stage::License(asked) => self.read_license(*asked, answer, now),
            // That it was heard is all that the server says.
            Stage::Held { acknowledges: acknowledges @ true } => {
                *acknowledges = false;
                Ok(Step::Done)
            }
            Stage::Held { acknowledges: false } => Err(CdmError::License),
        }
    }

    /// Reads the response to a request: the signer's chain, its signature, the nonce, each
    /// license and what binds it to this device.
    fn read_license(&self, asked: Asked, answer: &[u8], now: Timestamp) -> Result<Step, CdmError> {
        let pending = self.client.await_answer(self.service, asked.nonce, now);
        let (opened, acknowledgement) = pending.open(answer).map_err(|_| CdmError::License)?;
        if now.as_s().saturating_add(HEAD_START_S) < opened.started_s {
            return Err(CdmError::License);
        }
        if asked.is_kept && !opened.terms.can_persist {
            return Err(CdmError::NotToBeKept);
        }
        let started_s = Some(opened.started_s);
        let usage = Usage::new(opened.terms, asked.at);
        let message =
            acknowledgement.map(|body| Message { kind: MessageKind::LicenseAcknowledgement, body });
        let exchange = Exchange::PlayReady(Stage::Held { acknowledges: message.is_some() });
        Ok(Step::Licensed(Licensed { keys: opened.keys, usage, started_s }, exchange, message))
    }
}
