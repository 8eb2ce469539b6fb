//! Certificates, written: for roots of one's own.

use super::certificate::{
    ATTRIBUTE_HEAD, CERTIFICATE_HEAD, CHAIN_HEAD, ECC_256, KEY_BITS, MUST_UNDERSTAND, NEVER,
    SIGNATURE_BYTES, VERSION, tag,
};
use keys::{P256PrivateKey, sha256};
use model::Entropy;

/// A certificate to be signed.
#[derive(Clone, Debug)]
pub struct CertificateDraft {
    /// Its name.
    pub id: [u8; 16],
    /// Whose it is.
    pub kind: u32,
    /// Its security level.
    pub level: u32,
    /// When it ends, seconds since 1970; `u32::MAX`: never.
    pub expires_s: u32,
    /// The name of its client.
    pub client_id: [u8; 16],
    /// Keys and what they may be used for; the digest is the first one's.
    pub keys: Vec<([u8; 64], Vec<u32>)>,
    /// Features.
    pub features: Vec<u32>,
    /// Manufacturer, model and number.
    pub names: [String; 3],
}

/// An attribute of a certificate: flags, kind, body.
pub type Attribute = (u16, u16, Vec<u8>);

impl CertificateDraft {
    /// A certificate without keys and without an end.
    pub fn new(kind: u32, level: u32, entropy: &mut (impl Entropy + ?Sized)) -> Self {
        let (mut id, mut client_id) = ([0; 16], [0; 16]);
        entropy.fill(&mut id);
        entropy.fill(&mut client_id);
        let names = ["Strongroom", "Test root", "1"].map(str::to_owned);
        let (keys, features) = (vec![], vec![]);
        Self { id, kind, level, expires_s: NEVER, client_id, keys, features, names }
    }

    /// Its attributes but the signature.
    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute> {
        let digest = self.keys.first().map_or([0; 32], |(bytes, _)| sha256(bytes));
        let basic = [
            &self.id[..],
            &self.level.to_be_bytes(),
            &[0; 4],
            &self.kind.to_be_bytes(),
            &digest,
            &self.expires_s.to_be_bytes(),
            &self.client_id,
        ];
        let mut attributes = vec![(MUST_UNDERSTAND, tag::BASIC, basic.concat())];
        if self.kind == super::certificate::kind::DEVICE {
            // The longest license and header and the deepest chain that it takes.
            let device = [10_240_u32, 15_360, 2].map(u32::to_be_bytes).concat();
            attributes.push((MUST_UNDERSTAND, tag::DEVICE, device));
        }
        let features = self.features.iter().flat_map(|feature| feature.to_be_bytes());
        let features = count(self.features.len()).into_iter().chain(features).collect();
        attributes.push((MUST_UNDERSTAND, tag::FEATURES, features));
        attributes.push((MUST_UNDERSTAND, tag::KEYS, self.keys_body()));
        attributes.push((MUST_UNDERSTAND, tag::MANUFACTURER, self.names_body()));
        attributes
    }

    fn keys_body(&self) -> Vec<u8> {
        let mut body = count(self.keys.len()).to_vec();
        for (bytes, usages) in &self.keys {
            body.extend(ECC_256.to_be_bytes());
            body.extend(KEY_BITS.to_be_bytes());
            body.extend([0; 4]);
            body.extend(bytes);
            body.extend(count(usages.len()));
            body.extend(usages.iter().flat_map(|usage| usage.to_be_bytes()));
        }
        body
    }

    fn names_body(&self) -> Vec<u8> {
        let mut body = vec![0; 4];
        for name in &self.names {
            body.extend(count(name.len()));
            body.extend(name.as_bytes());
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body
    }

    /// The certificate, signed by its issuer.
    #[must_use]
    pub fn sign(&self, issuer: &P256PrivateKey) -> Vec<u8> {
        sign(&self.attributes(), issuer)
    }
}

/// A certificate of any attributes, signed by its issuer.
#[must_use]
pub fn sign(attributes: &[Attribute], issuer: &P256PrivateKey) -> Vec<u8> {
    let mut body = Vec::new();
    attributes.iter().for_each(|attribute| write(&mut body, attribute));
    let signed = CERTIFICATE_HEAD + body.len();
    let signature_length = ATTRIBUTE_HEAD + 2 + 2 + 64 + 4 + 64;
    let mut certificate = b"CERT".to_vec();
    certificate.extend(VERSION.to_be_bytes());
    certificate.extend(count(signed + signature_length));
    certificate.extend(count(signed));
    certificate.extend(body);
    let signature = [
        &ECC_256.to_be_bytes()[..],
        &SIGNATURE_BYTES.to_be_bytes(),
        &issuer.sign_sha256(&certificate),
        &u32::from(KEY_BITS).to_be_bytes(),
        &issuer.public_key().to_bytes(),
    ];
    write(&mut certificate, &(MUST_UNDERSTAND, tag::SIGNATURE, signature.concat()));
    certificate
}

fn write(out: &mut Vec<u8>, (flags, tag, body): &Attribute) {
    out.extend(flags.to_be_bytes());
    out.extend(tag.to_be_bytes());
    out.extend(count(ATTRIBUTE_HEAD + body.len()));
    out.extend(body);
}

/// A chain of certificates, the holder's first.
#[must_use]
pub fn chain_of(certificates: &[&[u8]]) -> Vec<u8> {
    let body = certificates.concat();
    let mut chain = b"CHAI".to_vec();
    chain.extend(VERSION.to_be_bytes());
    chain.extend(count(CHAIN_HEAD + body.len()));
    chain.extend([0; 4]);
    chain.extend(count(certificates.len()));
    chain.extend(body);
    chain
}

fn count(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a certificate is short").to_be_bytes()
}
