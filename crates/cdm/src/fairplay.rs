//! A FairPlay device, and what it and its key server say to each other: each answer is read here,
//! and nowhere else.
//!
//! A session has one key: the one that the `skd` URI of a playlist names. More time is the
//! player's own matter: before a lease ends it asks again, with the same playback, and gets the
//! key anew. A license (CKC) of version 1 has no seal over all of it: that it answers this very
//! request is proved, and a change of the rest on its way may pass, as a key that opens nothing or
//! as another span.

use crate::exchange::{Exchange, Licensed, Step};
use crate::sessions::{CdmError, Message, MessageKind};
use crate::usage::{Reach, Usage};
use dialect::fairplay::client::{Ask, ClientDevice, DeviceError, Pending, kid_of};
use dialect::fairplay::{Framing, Playback, Streaming};
use dialect::terms::{Hdcp, LicenseTerms, RenewalTerms};
use keys::RecordKey;
use keys::fairplay::ApplicationCertificate;
use model::{Entropy, KeyId, SecurityLevel, Timestamp};
use std::num::NonZeroU32;

/// The files of a device profile.
#[derive(Clone, Copy)]
pub struct Profile<'a> {
    /// `device.hex`: the device's hash.
    pub hardware_hex: &'a str,
    /// `ask.hex`: the secret of its application.
    pub secret_hex: &'a str,
}

/// A device with its secret, which never leaves the CDM.
#[derive(Debug)]
pub struct Device {
    client: ClientDevice,
    /// For whom requests are encrypted. It proves nothing, and need not: what a request holds
    /// of the device is sealed once more.
    certificate: Option<ApplicationCertificate>,
}

/// How far a session has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The application's certificate was asked for, for a license that is kept or not.
    Certificate {
        /// Whether it is kept.
        is_kept: bool,
    },
    /// A license was asked for; the first one of the playback, or another.
    License(Box<Asked>),
    /// A license is held.
    Held(Playback),
    /// One of an earlier run is held: it is not renewed.
    Kept,
}

/// A license request on its way.
#[derive(Debug)]
pub(crate) struct Asked {
    pending: Pending,
    playback: Playback,
    is_kept: bool,
    at: Timestamp,
}

/// What a request is for.
struct Wish {
    playback: Playback,
    is_kept: bool,
    kind: MessageKind,
}

impl Device {
    /// Reads a profile.
    ///
    /// Errors: [`DeviceError`].
    pub fn parse(profile: &Profile<'_>) -> Result<Self, DeviceError> {
        let client = ClientDevice::read(profile.hardware_hex, profile.secret_hex)?;
        Ok(Self { client, certificate: None })
    }

    /// The key under which it keeps licenses.
    pub(crate) fn record_key(&self) -> RecordKey {
        self.client.record_key()
    }

    /// Requests of version 1 prove no level: every device is taken for one with keys in hardware.
    pub(crate) const fn reach() -> Reach {
        Reach::of_level(SecurityLevel::L2, Hdcp::V2_2)
    }

    /// The first message of a session for the key of this URI.
    pub(crate) fn ask(
        &self,
        uri: &[u8],
        is_kept: bool,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (Exchange, Message) {
        let Some(certificate) = &self.certificate else {
            let message = Message { kind: MessageKind::CertificateRequest, body: vec![] };
            return (Exchange::FairPlay(Stage::Certificate { is_kept }), message);
        };
        let playback = Playback::start(now, entropy);
        let wish = Wish { playback, is_kept, kind: MessageKind::LicenseRequest };
        let (asked, message) = self.request(certificate, uri, wish, now, entropy);
        (Exchange::FairPlay(Stage::License(Box::new(asked))), message)
    }

    fn request(
        &self,
        certificate: &ApplicationCertificate,
        asset_id: &[u8],
        wish: Wish,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (Asked, Message) {
        let Wish { playback, is_kept, kind } = wish;
        let ask = Ask {
            certificate,
            asset_id,
            // Only the fields of a form or of JSON can say that a license is to be kept.
            framing: if is_kept { Framing::Json } else { Framing::Octets },
            persist: is_kept,
            playback: Some(playback),
            streaming: Streaming::Device,
        };
        let (pending, body) = self.client.ask(&ask, entropy);
        (Asked { pending, playback, is_kept, at: now }, Message { kind, body })
    }

    /// The request for more time. It may take the place of one that was not answered.
    pub(crate) fn ask_renewal(
        &self,
        stage: &mut Stage,
        (uri, usage): (&[u8], &mut Usage),
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Option<Message> {
        let certificate = self.certificate.as_ref()?;
        let playback = match stage {
            Stage::Certificate { .. } | Stage::Kept => return None,
            Stage::License(asked) => asked.playback,
            Stage::Held(playback) => *playback,
        };
        usage.asks(now);
        let (playback, kind) = (playback.renewing(), MessageKind::LicenseRenewal);
        let wish = Wish { playback, is_kept: false, kind };
        let (asked, message) = self.request(certificate, uri, wish, now, entropy);
        *stage = Stage::License(Box::new(asked));
        Some(message)
    }

    /// Reads the answer to the latest message of a session for the key of this URI.
    pub(crate) fn read(
        &mut self,
        stage: &Stage,
        uri: &[u8],
        answer: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Step, CdmError> {
        match stage {
            Stage::Certificate { is_kept } => {
                let found = ApplicationCertificate::parse(answer).ok();
                let is_valid =
                    |one: &ApplicationCertificate| one.has_begun(now) && !one.has_expired(now);
                self.certificate = Some(found.filter(is_valid).ok_or(CdmError::Certificate)?);
                let (exchange, message) = self.ask(uri, *is_kept, now, entropy);
                Ok(Step::Asks(exchange, message))
            }
            Stage::License(asked) => {
                let opened = asked.pending.open(answer, now).map_err(|_| CdmError::License)?;
                let terms = match (asked.is_kept, opened.terms.can_persist) {
                    (true, true) => opened.terms,
                    (true, false) => return Err(CdmError::NotToBeKept),
                    // What is to be kept on the device was not asked for.
                    (false, true) => return Err(CdmError::License),
                    (false, false) => with_renewal(opened.terms),
                };
                let usage = Usage::new(terms, asked.at);
                let held = Exchange::FairPlay(Stage::Held(asked.playback));
                Ok(Step::Licensed(
                    Licensed { keys: opened.keys, usage, started_s: None },
                    held,
                    None,
                ))
            }
            Stage::Held(_) | Stage::Kept => Err(CdmError::License),
        }
    }
}

/// The key that a URI names.
pub(crate) fn asked_kid(uri: &[u8]) -> Option<KeyId> {
    kid_of(uri).ok()
}

/// A lease is renewed by the player's own rule: when three quarters of it are over, and then
/// every sixteenth until the server has answered.
fn with_renewal(terms: LicenseTerms) -> LicenseTerms {
    let Some(lease_s) = terms.license_s.map(NonZeroU32::get) else { return terms };
    let renewal = RenewalTerms {
        delay_s: NonZeroU32::new(lease_s - lease_s / 4),
        retry_s: NonZeroU32::new((lease_s / 16).max(1)),
        ..RenewalTerms::default()
    };
    LicenseTerms { can_renew: true, renewal, ..terms }
}
