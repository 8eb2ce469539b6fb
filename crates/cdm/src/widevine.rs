//! A Widevine device, whom it trusts, and what it and its license server say to each other: each
//! answer is read here, and nowhere else.

use crate::exchange::{Exchange, Licensed, Step};
use crate::sessions::{CdmError, Message, MessageKind};
use crate::usage::{Reach, Usage};
use dialect::terms::Hdcp;
use dialect::widevine::client::{
    Ask, AskedContent, ClientDevice, ClientSession, DeviceError, SERVICE_CERTIFICATE_REQUEST,
    ServiceCertificate,
};
use dialect::widevine::{ImportError, LicenseType, RenewalKind, RootFile};
use keys::RecordKey;
use model::{Entropy, SecurityLevel, Timestamp};

/// The files of a device profile.
#[derive(Clone, Copy)]
pub struct Profile<'a> {
    /// `certificate.bin`: its SignedDrmCertificate, its model's inside.
    pub certificate: &'a [u8],
    /// `private.pem`: the certificate's key, PKCS#8.
    pub private_pem: &'a str,
    /// Whom service certificates must come from.
    pub root: RootFile<'a>,
    /// What the CDM was built as. A license server does not take its word for it: it goes by
    /// the certificate.
    pub level: SecurityLevel,
}

/// A device with its private key, which never leaves the CDM.
#[derive(Debug)]
pub struct Device {
    client: ClientDevice,
    level: SecurityLevel,
    root: Root,
    /// Verified once for all sessions.
    service: Option<ServiceCertificate>,
}

#[derive(Debug)]
enum Root {
    PublicKey(Vec<u8>),
    Certificate(Vec<u8>),
}

/// How far a session has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The service's certificate was asked for, for a license of this type.
    Certificate(LicenseType),
    /// A license was asked for.
    License(Asked),
    /// A license is held; it can be renewed and given back.
    Held(ClientSession),
    /// The license was given back; the server has not confirmed it.
    Released(ClientSession),
}

/// A license request on its way: its exact bytes, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    request: Vec<u8>,
    request_id: [u8; 16],
    license_type: LicenseType,
    at: Timestamp,
}

impl Device {
    /// Reads a profile.
    ///
    /// Errors: [`DeviceError`]. The root is read when it is needed.
    pub fn parse(profile: &Profile<'_>) -> Result<Self, DeviceError> {
        let Profile { certificate, private_pem, root, level } = *profile;
        Ok(Self {
            client: ClientDevice::read(certificate, private_pem, Hdcp::V2_3)?,
            level,
            root: match root {
                RootFile::PublicKey(bytes) => Root::PublicKey(bytes.to_vec()),
                RootFile::Certificate(bytes) => Root::Certificate(bytes.to_vec()),
            },
            service: None,
        })
    }

    /// Reads a service certificate message and verifies it under the device's root.
    fn open_service(
        &self,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<ServiceCertificate, ImportError> {
        let root = match &self.root {
            Root::PublicKey(bytes) => RootFile::PublicKey(bytes),
            Root::Certificate(bytes) => RootFile::Certificate(bytes),
        };
        ServiceCertificate::open(answer, root, now)
    }

    /// The key under which it keeps licenses.
    pub(crate) fn record_key(&self) -> RecordKey {
        RecordKey::of_rsa(&self.client.key)
    }

    pub(crate) const fn reach(&self) -> Reach {
        Reach::of_level(self.level, self.client.max_hdcp)
    }

    /// The first message of a session for the keys of these boxes: the license request, or that
    /// for the service's certificate, which privacy mode needs first.
    pub(crate) fn ask(
        &self,
        boxes: &[u8],
        license_type: LicenseType,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (Exchange, Message) {
        let Some(service) = &self.service else {
            let body = SERVICE_CERTIFICATE_REQUEST.to_vec();
            let message = Message { kind: MessageKind::CertificateRequest, body };
            return (Exchange::Widevine(Stage::Certificate(license_type)), message);
        };
        let mut request_id = [0; 16];
        entropy.fill(&mut request_id);
        let ask = Ask {
            content: AskedContent::Boxes(boxes),
            license_type,
            request_id: &request_id,
            // The identity is encrypted for the service.
            privacy: Some(service),
        };
        let (pending, body) = self.client.ask(&ask, now, entropy);
        let request = pending.into_request();
        let asked = Asked { request, request_id, license_type, at: now };
        let message = Message { kind: MessageKind::LicenseRequest, body };
        (Exchange::Widevine(Stage::License(asked)), message)
    }

    /// Reads the answer to the latest message of a session for the keys of these boxes.
    pub(crate) fn read(
        &mut self,
        stage: &mut Stage,
        (boxes, usage): (&[u8], Option<&mut Usage>),
        answer: &[u8],
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Step, CdmError> {
        Ok(match stage {
            Stage::Certificate(license_type) => {
                let found = self.open_service(answer, now).map_err(|_| CdmError::Certificate)?;
                self.service = Some(found);
                let (exchange, message) = self.ask(boxes, *license_type, now, entropy);
                Step::Asks(exchange, message)
            }
            Stage::License(asked) => {
                let (client, licensed) = self.read_license(asked, answer)?;
                Step::Licensed(licensed, Exchange::Widevine(Stage::Held(client)), None)
            }
            Stage::Held(client) => {
                let usage = usage.filter(|usage| usage.is_asking()).ok_or(CdmError::License)?;
                let renewed = client.open(answer).map_err(|_| CdmError::License)?;
                usage.renew(renewed.terms);
                Step::Done
            }
            Stage::Released(client) => {
                client.open(answer).map_err(|_| CdmError::License)?;
                Step::Over
            }
        })
    }

    /// Reads the license that answers a request: session key, signature, request id, containers.
    /// It is to be kept on the device where that was asked for, and nowhere else.
    fn read_license(
        &self,
        asked: &Asked,
        license: &[u8],
    ) -> Result<(ClientSession, Licensed), CdmError> {
        let pending = self.client.await_answer(&asked.request, &asked.request_id);
        let (opened, session) = pending.open(license).map_err(|_| CdmError::License)?;
        if opened.id.license_type != asked.license_type || opened.id.version != 0 {
            return Err(CdmError::License);
        }
        if asked.license_type == LicenseType::Offline && !opened.terms.can_persist {
            return Err(CdmError::NotToBeKept);
        }
        let started_s = Some(opened.started_s);
        let usage = Usage::new(opened.terms, asked.at);
        Ok((session, Licensed { keys: opened.keys, usage, started_s }))
    }
}

/// A request for more time.
pub(crate) fn ask_renewal(session: &ClientSession, usage: &mut Usage, now: Timestamp) -> Message {
    let (started_s, last_s) = usage.played_s(now);
    usage.asks(now);
    let body = session.ask(RenewalKind::Renew, started_s, last_s, now);
    Message { kind: MessageKind::LicenseRenewal, body }
}

/// The license goes back.
pub(crate) fn ask_release(session: &ClientSession, usage: &Usage, now: Timestamp) -> Message {
    let (started_s, last_s) = usage.played_s(now);
    let body = session.ask(RenewalKind::Release, started_s, last_s, now);
    Message { kind: MessageKind::LicenseRelease, body }
}
