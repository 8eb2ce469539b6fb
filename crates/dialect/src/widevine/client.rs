//! The client's side of the protocol: the core of the reference CDM, and what the server's
//! side is tested against. It runs on credentials of one's own making ([`super::test_root`]).

use super::certificate::Certificate;
use super::content::LicenseType;
use super::credentials::{RootFile, read_service};
use super::license::{LicenseError, OpenedLicense, open};
use super::messages::{
    ClientCapabilities, ClientIdentification, ContentIdentification, EncryptedClientIdentification,
    ExistingLicense, InitData, LicenseIdentification, LicenseRequest, PsshContent, SignedMessage,
    VERSION_2_1, WebmKeyId, certificate_type, init_data_type, message_type, request_type,
    session_key_type, token_type,
};
use super::policy::number_of_hdcp;
use super::{ImportError, RenewalKind, decode, read_license};
use crate::terms::Hdcp;
use keys::{
    LicenseKeys, MacKeys, RsaKeyError, RsaPrivateKey, RsaPublicKey, SessionKey, TransportKey,
};
use model::{Entropy, KeyId, Timestamp};
use prost::Message as _;

/// The request for a service certificate: a message of that type and nothing else.
pub const SERVICE_CERTIFICATE_REQUEST: [u8; 2] = [8, 4];

/// A device: its certificate with its model's, and its private key.
#[derive(Debug)]
pub struct ClientDevice {
    /// A SignedDrmCertificate of type DEVICE, its signer inside.
    pub certificate: Vec<u8>,
    /// The certificate's private key.
    pub key: RsaPrivateKey,
    /// What its outputs reach.
    pub max_hdcp: Hdcp,
}

/// The service's certificate, verified: whom an identity is encrypted for.
#[derive(Debug)]
pub struct ServiceCertificate {
    serial: Vec<u8>,
    provider_id: Vec<u8>,
    key: RsaPublicKey,
}

impl ServiceCertificate {
    /// Reads the server's answer and verifies the certificate under the client's root.
    ///
    /// Errors: [`ImportError`].
    pub fn open(answer: &[u8], root: RootFile<'_>, now: Timestamp) -> Result<Self, ImportError> {
        let malformed = ImportError::ServiceCertificate(super::ChallengeError::Malformed);
        let message: SignedMessage = decode(answer).ok_or(malformed)?;
        if message.kind != Some(message_type::SERVICE_CERTIFICATE) {
            return Err(malformed);
        }
        let certificate: Certificate =
            read_service(&message.msg.ok_or(malformed)?, &root.read()?, now)?;
        let key = certificate.key().map_err(ImportError::ServiceCertificate)?;
        Ok(Self { serial: certificate.serial, provider_id: certificate.provider_id, key })
    }
}

/// How a request names its content.
#[derive(Clone, Copy, Debug)]
pub enum AskedContent<'a> {
    /// Payloads of `pssh` boxes.
    PsshData(&'a [&'a [u8]]),
    /// Whole `pssh` boxes, as EME's `cenc` init data.
    Boxes(&'a [u8]),
    /// The key id of a WebM track, as EME's `webm` init data.
    WebmInitData(KeyId),
    /// The key id of a WebM track, in its own field.
    WebmKeyId(KeyId),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The content.
    pub content: AskedContent<'a>,
    /// How the license is to be kept.
    pub license_type: LicenseType,
    /// What the request calls itself; the license says it again.
    pub request_id: &'a [u8],
    /// Privacy mode: the identity is encrypted for this service.
    pub privacy: Option<&'a ServiceCertificate>,
}

/// A request on its way: opens the one license that answers it.
#[derive(Debug)]
pub struct Pending<'a> {
    device: &'a ClientDevice,
    request: Vec<u8>,
    request_id: Vec<u8>,
}

/// Why a device's files make no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a certificate of a device with its model's inside.
    #[error("not a device's certificate")]
    Certificate,
    /// Not an RSA key as PKCS#8 in PEM.
    #[error("the device's private key: {0}")]
    PrivateKey(RsaKeyError),
    /// The key is another certificate's.
    #[error("the device's private key is not its certificate's")]
    PrivateKeyOfAnother,
}

impl ClientDevice {
    /// Reads a device: its certificate, its private key (PKCS#8 in PEM).
    ///
    /// Errors: [`DeviceError`].
    pub fn read(
        certificate: &[u8],
        private_pem: &str,
        max_hdcp: Hdcp,
    ) -> Result<Self, DeviceError> {
        let read = Certificate::read(certificate).map_err(|_| DeviceError::Certificate)?;
        if read.kind != certificate_type::DEVICE || read.signer.is_none() {
            return Err(DeviceError::Certificate);
        }
        let public = read.key().map_err(|_| DeviceError::Certificate)?;
        let key = RsaPrivateKey::parse_pem(private_pem).map_err(DeviceError::PrivateKey)?;
        if key.public_key().to_pkcs1() != public.to_pkcs1() {
            return Err(DeviceError::PrivateKeyOfAnother);
        }
        Ok(Self { certificate: certificate.to_vec(), key, max_hdcp })
    }

    /// Builds a signed license request; its body.
    pub fn ask(
        &self,
        ask: &Ask<'_>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (Pending<'_>, Vec<u8>) {
        let identity = self.identity();
        let (client_id, encrypted_client_id) = match ask.privacy {
            None => (Some(identity), None),
            Some(service) => (None, Some(encrypt_identity(&identity, service, entropy))),
        };
        let mut nonce = [0; 4];
        entropy.fill(&mut nonce);
        let request = LicenseRequest {
            client_id,
            content_id: Some(content_of(ask)),
            kind: Some(request_type::NEW),
            request_time: i64::try_from(now.as_s()).ok(),
            protocol_version: Some(VERSION_2_1),
            key_control_nonce: Some(u32::from_be_bytes(nonce)),
            encrypted_client_id,
        }
        .encode_to_vec();
        let body = signed(&request, self.key.sign_pss_sha1(&request));
        (self.await_answer(&request, ask.request_id), body)
    }

    /// Takes up a request that was sent before: its exact bytes, and what it called itself.
    #[must_use]
    pub fn await_answer(&self, request: &[u8], request_id: &[u8]) -> Pending<'_> {
        Pending { device: self, request: request.to_vec(), request_id: request_id.to_vec() }
    }

    /// Signs the bytes of a license request as they are.
    #[must_use]
    pub fn sign(&self, request: &[u8]) -> Vec<u8> {
        signed(request, self.key.sign_pss_sha1(request))
    }

    fn identity(&self) -> Vec<u8> {
        ClientIdentification {
            kind: Some(token_type::DRM_DEVICE_CERTIFICATE),
            token: Some(self.certificate.clone()),
            client_capabilities: Some(ClientCapabilities {
                max_hdcp_version: Some(number_of_hdcp(self.max_hdcp)),
                ..ClientCapabilities::default()
            }),
        }
        .encode_to_vec()
    }
}

fn signed(request: &[u8], signature: Vec<u8>) -> Vec<u8> {
    SignedMessage {
        kind: Some(message_type::LICENSE_REQUEST),
        msg: Some(request.to_vec()),
        signature: Some(signature),
        ..SignedMessage::default()
    }
    .encode_to_vec()
}

fn encrypt_identity(
    identity: &[u8],
    service: &ServiceCertificate,
    entropy: &mut dyn Entropy,
) -> EncryptedClientIdentification {
    let mut iv = [0; 16];
    entropy.fill(&mut iv);
    let key = TransportKey::generate(entropy);
    EncryptedClientIdentification {
        provider_id: Some(service.provider_id.clone()),
        service_certificate_serial_number: Some(service.serial.clone()),
        encrypted_client_id: Some(key.encrypt(identity, iv)),
        encrypted_client_id_iv: Some(iv.to_vec()),
        encrypted_privacy_key: Some(key.wrap(&service.key)),
    }
}

fn content_of(ask: &Ask<'_>) -> ContentIdentification {
    let license_type = Some(ask.license_type.number());
    let request_id = Some(ask.request_id.to_vec());
    let init_data = |kind: i32, bytes: &[u8]| InitData {
        init_data_type: Some(kind),
        init_data: Some(bytes.to_vec()),
        license_type,
        request_id: request_id.clone(),
    };
    let mut content = ContentIdentification::default();
    match ask.content {
        AskedContent::PsshData(payloads) => {
            let pssh_data = payloads.iter().map(|payload| payload.to_vec()).collect();
            content.widevine_pssh_data = Some(PsshContent { pssh_data, license_type, request_id });
        }
        AskedContent::Boxes(boxes) => {
            content.init_data = Some(init_data(init_data_type::CENC, boxes));
        }
        AskedContent::WebmInitData(kid) => {
            content.init_data = Some(init_data(init_data_type::WEBM, kid.as_bytes()));
        }
        AskedContent::WebmKeyId(kid) => {
            let header = Some(kid.as_bytes().to_vec());
            content.webm_key_id = Some(WebmKeyId { header, license_type, request_id });
        }
    }
    content
}

impl Pending<'_> {
    /// The request's exact bytes: with them, [`ClientDevice::await_answer`] takes it up again.
    #[must_use]
    pub fn into_request(self) -> Vec<u8> {
        self.request
    }

    /// Opens the license: session key, signature, key containers.
    ///
    /// Errors: [`LicenseError`]; an answer to any other request fails at its signature.
    pub fn open(self, answer: &[u8]) -> Result<(OpenedLicense, ClientSession), LicenseError> {
        let message: SignedMessage = decode(answer).ok_or(LicenseError::Malformed)?;
        let kind = message.session_key_type.unwrap_or(session_key_type::WRAPPED_AES_KEY);
        if kind != session_key_type::WRAPPED_AES_KEY {
            return Err(LicenseError::SessionKey);
        }
        let wrapped = message.session_key.ok_or(LicenseError::SessionKey)?;
        let session =
            SessionKey::unwrap(&wrapped, &self.device.key).ok_or(LicenseError::SessionKey)?;
        let secrets = session.derive(&self.request);
        let license = read_license(answer, &secrets)?;
        if license.id.request_id != self.request_id {
            return Err(LicenseError::Version);
        }
        let LicenseKeys { macs, .. } = secrets;
        let session = ClientSession { macs, id: license.wire_id.clone() };
        Ok((license, session))
    }
}

/// What a client keeps of a license, to renew it or give it back. Its keys are wiped on drop.
#[derive(Debug)]
pub struct ClientSession {
    macs: MacKeys,
    id: LicenseIdentification,
}

impl ClientSession {
    /// What a client keeps where the license outlives it: the signing keys, which it seals, and
    /// the license's id.
    #[must_use]
    pub fn parts(&self) -> (&MacKeys, Vec<u8>) {
        (&self.macs, self.id.encode_to_vec())
    }

    /// Takes a session up again; `None` where `id` is not what [`Self::parts`] gave.
    #[must_use]
    pub fn of_parts(macs: MacKeys, id: &[u8]) -> Option<Self> {
        decode(id).map(|id| Self { macs, id })
    }

    /// Builds a renewal or a release, signed under the session's key; its body.
    #[must_use]
    pub fn ask(
        &self,
        kind: RenewalKind,
        since_started_s: u32,
        since_last_played_s: u32,
        now: Timestamp,
    ) -> Vec<u8> {
        let existing = ExistingLicense {
            license_id: Some(self.id.clone()),
            seconds_since_started: Some(since_started_s.into()),
            seconds_since_last_played: Some(since_last_played_s.into()),
        };
        let request = LicenseRequest {
            content_id: Some(ContentIdentification {
                existing_license: Some(existing),
                ..ContentIdentification::default()
            }),
            kind: Some(match kind {
                RenewalKind::Renew => request_type::RENEWAL,
                RenewalKind::Release => request_type::RELEASE,
            }),
            request_time: i64::try_from(now.as_s()).ok(),
            protocol_version: Some(VERSION_2_1),
            ..LicenseRequest::default()
        }
        .encode_to_vec();
        let signature = self.macs.sign_as_client(&request);
        signed(&request, signature)
    }

    /// Opens the renewed license: the same ids, the next version.
    ///
    /// Errors: [`LicenseError`]; an answer that was used before fails by its version.
    pub fn open(&mut self, answer: &[u8]) -> Result<OpenedLicense, LicenseError> {
        let license = open(answer, &self.macs, None)?;
        let (new, old) = (&license.wire_id, &self.id);
        let is_next = new.version.unwrap_or(0).checked_sub(1) == Some(old.version.unwrap_or(0));
        if !is_next || new.request_id != old.request_id || new.session_id != old.session_id {
            return Err(LicenseError::Version);
        }
        self.id = license.wire_id.clone();
        Ok(license)
    }
}
