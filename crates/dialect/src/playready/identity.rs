//! The client's identity: its certificate chain and what it can do, encrypted for the service
//! (XML Encryption 1.1 for the names; the key by ElGamal on P-256).

use super::xml::Namespace::{XmlDsig, XmlEnc};
use super::xml::{self, Element};
use super::{ChallengeError, base64};
use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use keys::{P256PrivateKey, P256PublicKey, PointSecret};
use model::Entropy;

/// AES-128 in CBC mode, PKCS#7 padding.
const AES128_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
/// ElGamal on P-256.
const ELGAMAL_P256: &str = "http://schemas.microsoft.com/DRM/2007/03/protocols#ecc256";
/// The name of the service's key.
const SERVICE_KEY: &str = "WMRMServer";
/// How a client says that it decrypts in CBC mode.
const FEATURE_CBC: &str = "AESCBC";

/// An identity as it arrives.
#[derive(Debug)]
pub(super) struct Sealed {
    key: [u8; 128],
    iv: [u8; 16],
    text: Vec<u8>,
}

/// What a client says about itself.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) chain: Vec<u8>,
    pub(super) plays_cbcs: bool,
}

impl Sealed {
    /// Reads EncryptedData; opens nothing.
    pub(super) fn read(sealed: &Element) -> Result<Self, ChallengeError> {
        let form = ChallengeError::IdentityStructure;
        let [method, info, cipher] = sealed.children.as_slice() else { return Err(form) };
        let key = Some(info)
            .filter(|info| info.is(XmlDsig, "KeyInfo"))
            .and_then(|info| info.sole(XmlEnc, "EncryptedKey"))
            .ok_or(form)?;
        let [key_method, key_info, key_cipher] = key.children.as_slice() else { return Err(form) };
        for (method, algorithm) in [(method, AES128_CBC), (key_method, ELGAMAL_P256)] {
            if !method.is(XmlEnc, "EncryptionMethod") || !method.children.is_empty() {
                return Err(form);
            }
            if method.attribute("Algorithm") != Some(algorithm) {
                return Err(ChallengeError::IdentityAlgorithm);
            }
        }
        let name = Some(key_info)
            .filter(|info| info.is(XmlDsig, "KeyInfo"))
            .and_then(|info| info.sole(XmlDsig, "KeyName"))
            .ok_or(form)?;
        if name.leaf().map(str::trim) != Some(SERVICE_KEY) {
            return Err(ChallengeError::UnknownService);
        }
        let key = cipher_value(key_cipher).and_then(|bytes| bytes.try_into().ok()).ok_or(form)?;
        let text = cipher_value(cipher).ok_or(form)?;
        let (iv, text) = text.split_first_chunk().ok_or(form)?;
        if text.is_empty() || text.len() % 16 != 0 {
            return Err(form);
        }
        Ok(Self { key, iv: *iv, text: text.to_vec() })
    }

    /// Opens it with the service's key: the one operation here on a private key.
    pub(super) fn open(&self, service: &P256PrivateKey) -> Result<Identity, ChallengeError> {
        let secret = service.decrypt_secret(&self.key).ok_or(ChallengeError::IdentityKey)?;
        let (_, key) = secret.transport();
        let opened = key.decrypt(&self.text, self.iv).ok_or(ChallengeError::IdentityClosed)?;
        let malformed = ChallengeError::IdentityMalformed;
        let root = xml::text_of(&opened).and_then(|text| xml::parse(&text));
        Identity::read(&root.map_err(|_| malformed)?).ok_or(malformed)
    }
}

impl Identity {
    /// Reads `Data`. It is bound to no namespace of its own, so that names alone are compared.
    fn read(root: &Element) -> Option<Self> {
        let chains = Some(root).filter(|root| &*root.name == "Data");
        let chain = only(only(chains?, "CertificateChains")?, "CertificateChain")?;
        let features = root.children.iter().filter(|child| &*child.name == "Features");
        let plays_cbcs = features.flat_map(|features| &features.children).any(|feature| {
            &*feature.name == "Feature" && feature.attribute("Name") == Some(FEATURE_CBC)
        });
        Some(Self { chain: base64(chain.leaf()?)?, plays_cbcs })
    }

    /// Encrypts it for a service: EncryptedData.
    pub(super) fn seal(&self, service: &P256PublicKey, entropy: &mut dyn Entropy) -> String {
        let feature = format!("<Feature Name=\"{FEATURE_CBC}\"></Feature>");
        let plain = format!(
            "<Data><CertificateChains><CertificateChain>{}</CertificateChain></CertificateChains>\
             <Features>{}</Features></Data>",
            STANDARD.encode(&self.chain),
            if self.plays_cbcs { feature.as_str() } else { "" }
        );
        let secret = PointSecret::draw(entropy);
        let (iv, key) = secret.transport();
        let text = STANDARD.encode([&iv, &*key.encrypt(plain.as_bytes(), iv)].concat());
        let key = STANDARD.encode(service.encrypt_secret(&secret, entropy));
        let (enc, dsig) = (XmlEnc.name(), XmlDsig.name());
        format!(
            "<EncryptedData xmlns=\"{enc}\" Type=\"{enc}Element\">\
             <EncryptionMethod Algorithm=\"{AES128_CBC}\"></EncryptionMethod>\
             <KeyInfo xmlns=\"{dsig}\"><EncryptedKey xmlns=\"{enc}\">\
             <EncryptionMethod Algorithm=\"{ELGAMAL_P256}\"></EncryptionMethod>\
             <KeyInfo xmlns=\"{dsig}\"><KeyName>{SERVICE_KEY}</KeyName></KeyInfo>\
             <CipherData><CipherValue>{key}</CipherValue></CipherData></EncryptedKey></KeyInfo>\
             <CipherData><CipherValue>{text}</CipherValue></CipherData></EncryptedData>"
        )
    }
}

/// Bytes of CipherData.
fn cipher_value(cipher: &Element) -> Option<Vec<u8>> {
    let cipher = Some(cipher).filter(|cipher| cipher.is(XmlEnc, "CipherData"))?;
    base64(cipher.sole(XmlEnc, "CipherValue")?.leaf()?)
}

fn only<'a>(parent: &'a Element, name: &str) -> Option<&'a Element> {
    let mut found = parent.children.iter().filter(|child| &*child.name == name);
    found.next().filter(|_| found.next().is_none())
}
