//! The license (XMR): one content key for one device, written, read back by the server, and
//! opened by the client.

use super::XmrError;
use super::object::{self, CONTAINER, MUST_UNDERSTAND, Object, kind, sort, write, write_fact};
use super::policy::{read_global, read_play, write_global, write_play};
use super::reader::Reader;
use crate::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey};
use keys::{P256PrivateKey, P256PublicKey, PointSecret};
use model::{Entropy, KeyId, Scheme, Timestamp};

/// Longest license that is read.
const MAX_BYTES: usize = 16 * 1024;
/// The only version.
const VERSION: u32 = 3;
/// Kind of a signature: AES-CMAC. Its length, and that of its object.
const AES_CMAC: u16 = 1;
const TAG_BYTES: u16 = 16;
const SIGNATURE_BYTES: usize = 28;
/// Kind of a cipher: ElGamal on P-256, integrity key and content key in one point.
const ECC_256: u16 = 3;
const TEXT_BYTES: u16 = 128;
/// Kind of a curve: P-256. Length of X and Y.
const P256: u16 = 1;
const POINT_BYTES: u16 = 64;

/// What goes into one license beside its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct LicenseDraft<'a> {
    /// What the device may do.
    pub(super) terms: &'a LicenseTerms,
    /// How the content is encrypted.
    pub(super) scheme: Scheme,
    /// The device's key, for which the content key is encrypted.
    pub(super) device: &'a P256PublicKey,
    /// The license's name: the nonce of the request.
    pub(super) rights_id: [u8; 16],
    /// When it starts.
    pub(super) now: Timestamp,
}

/// A written license, with what reads it back. The secrets are wiped on drop.
#[derive(Debug)]
pub struct WrittenLicense {
    bytes: Vec<u8>,
    /// Integrity key and content key.
    secret: PointSecret,
    /// How they stand in the license, and for whom.
    text: [u8; 128],
    device: P256PublicKey,
}

/// A license whose signature was checked and whose key is open.
#[derive(Debug)]
pub struct OpenedLicense {
    /// Its name.
    pub rights_id: [u8; 16],
    /// What the device may do.
    pub terms: LicenseTerms,
    /// How the content is encrypted.
    pub scheme: Scheme,
    /// When it was written, seconds since 1970.
    pub started_s: u64,
    /// Its key.
    pub key: LicensedKey,
}

impl LicenseDraft<'_> {
    /// Writes the license of one key.
    ///
    /// Shape: `XMR`, version, rights id, one container: global, play, key material, and the
    /// signature over all before it, which lies in the container too.
    pub(super) fn write(&self, key: &LicensedKey, entropy: &mut dyn Entropy) -> WrittenLicense {
        let secret = PointSecret::binding(&key.key, entropy);
        let text = self.device.encrypt_secret(&secret, entropy);
        let mut body = write_global(self.terms, key.terms.robustness, self.now);
        if self.terms.can_play {
            body.extend(write_play(&key.terms));
        }
        body.extend(self.write_key(key.kid, &text));
        // The container is as long as it will be with its signature.
        let outer = write(kind::OUTER, CONTAINER, &[&body, &[0; SIGNATURE_BYTES]]);
        let outer = outer.get(..outer.len() - SIGNATURE_BYTES).unwrap_or_default();
        let mut bytes = [b"XMR\0", &VERSION.to_be_bytes(), &self.rights_id[..], outer].concat();
        let tag = secret.sign(&bytes);
        let fields = [AES_CMAC, TAG_BYTES].map(u16::to_be_bytes).concat();
        bytes.extend(write(kind::SIGNATURE, 0, &[&fields, &tag]));
        WrittenLicense { bytes, secret, text, device: *self.device }
    }

    fn write_key(&self, kid: KeyId, text: &[u8; 128]) -> Vec<u8> {
        let kinds = [number_of(self.scheme), ECC_256, TEXT_BYTES].map(u16::to_be_bytes).concat();
        let content = write(kind::CONTENT_KEY, 0, &[&kid.to_guid(), &kinds, text]);
        let curve = [P256, POINT_BYTES].map(u16::to_be_bytes).concat();
        let device = write_fact(kind::DEVICE_KEY, &[&curve, &self.device.to_bytes()]);
        write(kind::KEY_MATERIAL, CONTAINER, &[&content, &device])
    }
}

impl WrittenLicense {
    /// The license for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads `bytes`, which must be this license, without opening the ciphertext: it must be the
    /// one that was made. Everything else is read from the bytes.
    ///
    /// Errors: [`XmrError`].
    pub fn read_back(&self, bytes: &[u8]) -> Result<OpenedLicense, XmrError> {
        let outline = Outline::read(bytes)?;
        if outline.device != self.device.to_bytes() {
            return Err(XmrError::OtherDevice);
        }
        if outline.text != &self.text {
            return Err(XmrError::Key);
        }
        outline.open(&self.secret)
    }
}

/// Opens a license with the device's private key, as a client does.
///
/// Errors: [`XmrError`]. Limits: 16 KiB, 64 objects in a container; containers are as deep as
/// the kinds that are known.
pub fn open_license(bytes: &[u8], device: &P256PrivateKey) -> Result<OpenedLicense, XmrError> {
    let outline = Outline::read(bytes)?;
    if outline.device != device.public_key().to_bytes() {
        return Err(XmrError::OtherDevice);
    }
    let secret = device.decrypt_secret(outline.text).ok_or(XmrError::Key)?;
    outline.open(&secret)
}

/// A license, read so far as its signature needs it.
struct Outline<'a> {
    rights_id: [u8; 16],
    global: Object<'a>,
    play: Option<Object<'a>>,
    kid: KeyId,
    scheme: Scheme,
    text: &'a [u8; 128],
    device: [u8; 64],
    /// What is signed: everything before the signature.
    signed: &'a [u8],
    tag: [u8; 16],
}

impl<'a> Outline<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, XmrError> {
        if bytes.len() > MAX_BYTES {
            return Err(XmrError::TooLarge);
        }
        let mut head = Reader(bytes);
        let (magic, version, rights_id) =
            (|| Some((head.array()?, head.u32()?, head.array()?)))().ok_or(XmrError::Malformed)?;
        if magic != *b"XMR\0" {
            return Err(XmrError::Malformed);
        }
        if version != VERSION {
            return Err(XmrError::Version);
        }
        let [outer] = object::read(head.0)?[..] else { return Err(XmrError::Malformed) };
        if outer.kind != kind::OUTER || outer.flags & MUST_UNDERSTAND == 0 {
            return Err(XmrError::Malformed);
        }
        let objects = outer.objects()?;
        let signature = objects.last().filter(|last| last.kind == kind::SIGNATURE);
        let tag = tag_of(*signature.ok_or(XmrError::Missing)?)?;
        let (mut global, mut play, mut material) = (None, None, None);
        sort(objects, |object| {
            match object.kind {
                kind::GLOBAL => global = Some(object),
                kind::PLAY => play = Some(object),
                kind::KEY_MATERIAL => material = Some(object),
                kind::SIGNATURE => {}
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let material = Material::read(material.ok_or(XmrError::Missing)?)?;
        Ok(Self {
            rights_id,
            global: global.ok_or(XmrError::Missing)?,
            play,
            kid: material.kid,
            scheme: material.scheme,
            text: material.text,
            device: material.device,
            signed: bytes.split_at_checked(bytes.len() - SIGNATURE_BYTES).unwrap_or_default().0,
            tag,
        })
    }

    /// Checks the signature, then reads the terms.
    fn open(&self, secret: &PointSecret) -> Result<OpenedLicense, XmrError> {
        if !secret.has_signed(self.signed, &self.tag) {
            return Err(XmrError::Signature);
        }
        let global = read_global(self.global)?;
        // Without the right to play, nothing leaves by any output.
        let nothing = (Hdcp::NoDigitalOutput, AnalogOutput::Refused);
        let (hdcp, analog) = self.play.map_or(Ok(nothing), read_play)?;
        let robustness = global.robustness;
        Ok(OpenedLicense {
            rights_id: self.rights_id,
            terms: LicenseTerms { can_play: self.play.is_some(), ..global.terms },
            scheme: self.scheme,
            started_s: u64::from(global.issued_s),
            key: LicensedKey {
                kid: self.kid,
                key: secret.content_key(),
                terms: KeyTerms { robustness, hdcp, analog, track_class: None },
                iv: None,
            },
        })
    }
}

/// Key material: a content key, and the key of the device that it is encrypted for.
struct Material<'a> {
    kid: KeyId,
    scheme: Scheme,
    text: &'a [u8; 128],
    device: [u8; 64],
}

impl<'a> Material<'a> {
    fn read(material: Object<'a>) -> Result<Self, XmrError> {
        let (mut content, mut device) = (None, None);
        sort(material.objects()?, |object| {
            match object.kind {
                kind::CONTENT_KEY => {
                    content = Some(object.fields(|body| {
                        let (kid, kind, cipher) = (body.array()?, body.u16()?, body.u16()?);
                        let length = body.u16()?.into();
                        Some((kid, kind, cipher, body.bytes(length)?))
                    })?);
                }
                kind::DEVICE_KEY => {
                    device = Some(object.fields(|body| {
                        let (curve, length) = (body.u16()?, body.u16()?);
                        Some((curve, body.bytes(length.into())?))
                    })?);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (kid, kind, cipher, text) = content.ok_or(XmrError::Missing)?;
        let (curve, point) = device.ok_or(XmrError::Missing)?;
        if cipher != ECC_256 || curve != P256 {
            return Err(XmrError::KeyKind);
        }
        Ok(Self {
            kid: KeyId::from_guid(kid),
            scheme: scheme_of(kind).ok_or(XmrError::KeyKind)?,
            text: text.try_into().map_err(|_| XmrError::KeyKind)?,
            device: point.try_into().map_err(|_| XmrError::KeyKind)?,
        })
    }
}

fn tag_of(signature: Object<'_>) -> Result<[u8; 16], XmrError> {
    // The only flags of its kind, which itself does not cover.
    if signature.flags != MUST_UNDERSTAND {
        return Err(XmrError::Malformed);
    }
    let (kind, length, tag) =
        signature.fields(|body| Some((body.u16()?, body.u16()?, body.array()?)))?;
    if (kind, length) == (AES_CMAC, TAG_BYTES) { Ok(tag) } else { Err(XmrError::Malformed) }
}

/// AES in counter mode, and in cipher block chaining.
const fn number_of(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Cenc => 1,
        Scheme::Cbcs => 5,
    }
}

fn scheme_of(number: u16) -> Option<Scheme> {
    Scheme::ALL.into_iter().find(|scheme| number_of(*scheme) == number)
}

#[cfg(test)]
mod tests;
