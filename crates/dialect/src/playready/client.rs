//! The client's side of the protocol: the core of the reference CDM, and what the server's side
//! is tested against. It runs on credentials of one's own making ([`super::test_root`]).

use super::acknowledgement::acknowledge;
use super::certificate::{read_chain, usage};
use super::chain::{Root, verify_signer};
use super::envelope::wrap;
use super::header;
use super::identity::Identity;
use super::license::open_license;
use super::response::Response;
use super::signature::{KeyInfo, SIGNED_ID, sign};
use super::xml::Namespace::{Messages, Protocols};
use super::xml::{self, Element};
use super::{ChainError, Header, HeaderError, LicenseError, MAX_KIDS, OpenedResponse, XmrError};
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use keys::{P256KeyError, P256PrivateKey, P256PublicKey};
use model::{Entropy, KeyId, Scheme, Timestamp};
use quick_xml::escape::partial_escape;

/// A device: its certificate chain and its private keys.
#[derive(Debug)]
pub struct ClientDevice {
    /// Its chain, the device's own certificate first.
    pub chain: Vec<u8>,
    /// Signs challenges.
    pub signing: P256PrivateKey,
    /// Opens licenses.
    pub encryption: P256PrivateKey,
    /// Whether it says that it decrypts `cbcs`.
    pub plays_cbcs: bool,
}

/// Why a device's files make no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The certificate chain.
    #[error("the device's chain: {0}")]
    Chain(#[from] ChainError),
    /// Not a P-256 key as PKCS#8 in PEM.
    #[error("a private key of the device: {0}")]
    PrivateKey(#[from] P256KeyError),
    /// A private key is another certificate's.
    #[error("a private key of the device is not its certificate's")]
    PrivateKeyOfAnother,
}

impl ClientDevice {
    /// Reads a device: its chain and its private keys (PKCS#8 in PEM). It says that it decrypts
    /// `cbcs`; set [`Self::plays_cbcs`] for one that does not.
    ///
    /// Errors: [`DeviceError`].
    pub fn read(
        chain: &[u8],
        signing_private_pem: &str,
        encryption_private_pem: &str,
    ) -> Result<Self, DeviceError> {
        let certificates = read_chain(chain)?;
        let (leaf, _) = certificates.first().ok_or(ChainError::Depth)?;
        let (signing_key, encryption_key) =
            (leaf.key_for(usage::SIGN)?, leaf.key_for(usage::ENCRYPT)?);
        let signing = P256PrivateKey::parse_pem(signing_private_pem)?;
        let encryption = P256PrivateKey::parse_pem(encryption_private_pem)?;
        if signing.public_key() != signing_key || encryption.public_key() != encryption_key {
            return Err(DeviceError::PrivateKeyOfAnother);
        }
        Ok(Self { chain: chain.to_vec(), signing, encryption, plays_cbcs: true })
    }
}

/// The keys that a client has built in: whom it believes, and for whom it encrypts.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    root: P256PublicKey,
    wmrm: P256PublicKey,
}

impl Service {
    /// Takes the root's key and the service's WMRM key.
    #[must_use]
    pub const fn new(root: P256PublicKey, wmrm: P256PublicKey) -> Self {
        Self { root, wmrm }
    }

    /// Reads both keys, each X and Y (64 bytes) or in PEM; `None` where one is not a key.
    #[must_use]
    pub fn read(root: &[u8], wmrm: &[u8]) -> Option<Self> {
        Some(Self::new(public_key(root)?, public_key(wmrm)?))
    }
}

fn public_key(bytes: &[u8]) -> Option<P256PublicKey> {
    match <&[u8; 64]>::try_from(bytes) {
        Ok(point) => P256PublicKey::parse(point),
        Err(_) => P256PublicKey::parse_pem(std::str::from_utf8(bytes).ok()?).ok(),
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// PlayReady objects, as `pssh` boxes and manifests carry them, or bare headers. One is
    /// sent as it stands; of several the keys are asked for in one header.
    pub headers: &'a [&'a [u8]],
    /// What the application adds for the service.
    pub custom_data: Option<&'a str>,
    /// The service.
    pub service: &'a Service,
}

/// Why there is nothing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No header.
    #[error("there is no PlayReady header to ask for")]
    Nothing,
    /// A header that cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A request on its way: opens the one response that answers it.
#[derive(Debug)]
pub struct Pending<'a> {
    device: &'a ClientDevice,
    service: Service,
    nonce: [u8; 16],
    now: Timestamp,
}

impl ClientDevice {
    /// Builds a signed license request; its body.
    ///
    /// Errors: [`AskError`].
    pub fn ask(
        &self,
        ask: &Ask<'_>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<(Pending<'_>, Vec<u8>), AskError> {
        let (version, header) = content_header(ask.headers)?;
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let custom_data = ask.custom_data.map_or_else(String::new, |custom_data| {
            format!("<CustomData>{}</CustomData>", partial_escape(custom_data))
        });
        let identity = Identity { chain: self.chain.clone(), plays_cbcs: self.plays_cbcs };
        let acquisition = format!(
            "<LA xmlns=\"{}\" Id=\"{SIGNED_ID}\" xml:space=\"preserve\"><Version>{version}\
             </Version><ContentHeader>{header}</ContentHeader><CLIENTINFO><CLIENTVERSION>\
             10.0.16384.10011</CLIENTVERSION></CLIENTINFO>{custom_data}<LicenseNonce>{}\
             </LicenseNonce><ClientTime>{}</ClientTime>{}</LA>",
            Protocols.name(),
            STANDARD.encode(nonce),
            now.as_s(),
            identity.seal(&ask.service.wmrm, entropy)
        );
        let pending = self.await_answer(*ask.service, nonce, now);
        Ok((pending, self.sign(&acquisition)))
    }

    /// Takes up a request that was sent before, by its nonce.
    #[must_use]
    pub const fn await_answer(
        &self,
        service: Service,
        nonce: [u8; 16],
        now: Timestamp,
    ) -> Pending<'_> {
        Pending { device: self, service, nonce, now }
    }

    /// Signs the text of a license acquisition as it is, and puts both into an envelope.
    #[must_use]
    pub fn sign(&self, acquisition: &str) -> Vec<u8> {
        let signature = sign(acquisition, &self.signing, KeyInfo::Written);
        wrap(&format!(
            "<AcquireLicense xmlns=\"{}\"><challenge><Challenge xmlns=\"{}\">{acquisition}\
             {signature}</Challenge></challenge></AcquireLicense>",
            Protocols.name(),
            Messages.name()
        ))
        .into_bytes()
    }
}

/// The header that asks for the keys of all headers, and the version that goes with it.
fn content_header(headers: &[&[u8]]) -> Result<(&'static str, String), AskError> {
    let mut kids: Vec<KeyId> = Vec::new();
    let mut scheme: Option<Option<Scheme>> = None;
    for bytes in headers {
        let header = Header::parse(bytes)?;
        if scheme.is_some_and(|scheme| scheme != header.scheme) {
            return Err(HeaderError::AlgorithmsMixed.into());
        }
        scheme = Some(header.scheme);
        for key in header.keys {
            if !kids.contains(&key.kid) {
                kids.push(key.kid);
            }
        }
        if kids.len() > MAX_KIDS {
            return Err(HeaderError::TooManyKids.into());
        }
    }
    match headers {
        [] => Err(AskError::Nothing),
        [header] => {
            let text = header::text_of(header)?;
            let root: Element = xml::parse(&text).map_err(HeaderError::from)?;
            let version = Header::read(&root)?.version.acquisition();
            Ok((version, root.as_sent(&text).to_owned()))
        }
        _ => {
            let scheme = scheme.flatten().ok_or(HeaderError::Algorithm)?;
            let header = Header::of(&kids, scheme);
            Ok((Header::parse(header.as_bytes())?.version.acquisition(), header))
        }
    }
}

impl Pending<'_> {
    /// What names the request: with it, [`ClientDevice::await_answer`] takes it up again.
    #[must_use]
    pub const fn nonce(&self) -> [u8; 16] {
        self.nonce
    }

    /// Opens the response: the signer's chain, the signature, the nonce, each license. The
    /// second part is the body of the acknowledgement, where one is wanted.
    ///
    /// Errors: [`LicenseError`]; an answer to any other request fails by its nonce.
    pub fn open(self, answer: &[u8]) -> Result<(OpenedResponse, Option<Vec<u8>>), LicenseError> {
        let text = xml::text_of(answer)?;
        let root = xml::parse(&text)?;
        let response = Response::read(&root)?;
        if response.nonce != self.nonce {
            return Err(LicenseError::Nonce);
        }
        let signer =
            verify_signer(&response.signing_chain, &Root::new(self.service.root), self.now)?;
        let stated = &response.stated;
        if stated.key.is_some_and(|key| key != signer.to_bytes()) {
            return Err(LicenseError::ForeignKey);
        }
        stated.verify(response.signed, &text, &signer)?;
        let opened: Result<Vec<_>, XmrError> = response
            .licenses
            .iter()
            .map(|license| open_license(license, &self.device.encryption))
            .collect();
        let opened = opened?;
        if opened.iter().any(|license| license.rights_id != self.nonce) {
            return Err(LicenseError::Nonce);
        }
        let opened = OpenedResponse::of(opened)?;
        let acknowledgement =
            response.transaction_id.map(|id| acknowledge(id, &self.device.signing, self.now));
        Ok((opened, acknowledgement))
    }
}
