//! The PlayReady object: the PlayReady part of a `pssh` box and of `mspr:pro`
//! (Microsoft, PlayReady Header Specification, headers 4.0 to 4.3).

use super::{MAX_KIDS, NamedKey, PsshError};
use crate::manifest::xml::{self, Element};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{KeyId, Scheme};
use serde::Serialize;

/// Longest object, by the specification.
const MAX_OBJECT_BYTES: usize = 15_000;
/// Record type of a rights management header.
const HEADER_RECORD: u16 = 1;

/// What the object's header says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlayReadyObject {
    /// The header's version: `4.0.0.0`.
    pub version: String,
    /// The keys.
    pub kids: Vec<KeyId>,
    /// `AESCTR` or `AESCBC`, as the header writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// A license URL. Our packages never carry one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_url: Option<String>,
    /// The whole header.
    pub header: String,
}

/// Writes the object: header 4.0 with `AESCTR` for `cenc`, header 4.3 with `AESCBC` for `cbcs`.
///
/// `checksum` is `ContentKey::playready_checksum`; only header 4.0 carries it.
///
/// Shape: size of all (4 bytes), number of records (2), record type 1 (2), its length (2), all
/// little-endian, then the header in UTF-16LE. In the header a KID is base64 of its GUID form.
#[must_use]
pub fn playready_object(kid: KeyId, scheme: Scheme, checksum: Option<[u8; 8]>) -> Vec<u8> {
    let kid = STANDARD.encode(kid.to_guid());
    let (version, content) = match scheme {
        Scheme::Cbcs => (
            "4.3.0.0",
            format!(
                "<PROTECTINFO><KIDS><KID ALGID=\"AESCBC\" VALUE=\"{kid}\"></KID></KIDS></PROTECTINFO>"
            ),
        ),
        Scheme::Cenc => {
            let checksum = checksum.map_or_else(String::new, |checksum| {
                format!("<CHECKSUM>{}</CHECKSUM>", STANDARD.encode(checksum))
            });
            let content = format!(
                "<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO>\
                 <KID>{kid}</KID>{checksum}"
            );
            ("4.0.0.0", content)
        }
    };
    object(version, &content).expect("a header of one key has some 500 bytes")
}

/// Writes the object that names several keys: header 4.2 for `cenc`, 4.3 for `cbcs`. One key alone
/// is named as by [`playready_object`].
///
/// Checksums are said where they fit: no client needs them.
/// Errors: [`PsshError::TooLarge`] above 15 000 bytes, some 120 keys.
pub fn playready_object_of(keys: &[NamedKey], scheme: Scheme) -> Result<Vec<u8>, PsshError> {
    if let [key] = keys {
        return Ok(playready_object(key.kid, scheme, key.checksum));
    }
    let with_checksums = list(keys, scheme, scheme == Scheme::Cenc);
    with_checksums.or_else(|| list(keys, scheme, false)).ok_or(PsshError::TooLarge)
}

/// Attributes stand in the order of the alphabet, as the specification asks for.
fn list(keys: &[NamedKey], scheme: Scheme, has_checksums: bool) -> Option<Vec<u8>> {
    let (version, algorithm) = match scheme {
        Scheme::Cbcs => ("4.3.0.0", "AESCBC"),
        Scheme::Cenc => ("4.2.0.0", "AESCTR"),
    };
    let mut content = "<PROTECTINFO><KIDS>".to_owned();
    for NamedKey { kid, checksum } in keys {
        let checksum = checksum.filter(|_| has_checksums);
        let checksum = checksum.map_or_else(String::new, |checksum| {
            format!(" CHECKSUM=\"{}\"", STANDARD.encode(checksum))
        });
        let value = STANDARD.encode(kid.to_guid());
        content += &format!("<KID ALGID=\"{algorithm}\"{checksum} VALUE=\"{value}\"></KID>");
    }
    object(version, &(content + "</KIDS></PROTECTINFO>"))
}

/// The object around a header of this version; none where it is longer than objects may be.
fn object(version: &str, content: &str) -> Option<Vec<u8>> {
    let header: Vec<u8> = format!(
        "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" \
         version=\"{version}\"><DATA>{content}</DATA></WRMHEADER>"
    )
    .encode_utf16()
    .flat_map(u16::to_le_bytes)
    .collect();
    let len = u16::try_from(header.len()).ok()?;
    let mut object = Vec::with_capacity(header.len() + 10);
    object.extend((u32::from(len) + 10).to_le_bytes());
    object.extend(1_u16.to_le_bytes());
    object.extend(HEADER_RECORD.to_le_bytes());
    object.extend(len.to_le_bytes());
    object.extend(header);
    (object.len() <= MAX_OBJECT_BYTES).then_some(object)
}

impl PlayReadyObject {
    /// Reads an object; records other than the header are passed over.
    ///
    /// Errors: [`PsshError::PlayReady`], [`PsshError::TooLarge`]. Limits: 15 000 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, PsshError> {
        if bytes.len() > MAX_OBJECT_BYTES {
            return Err(PsshError::TooLarge);
        }
        let header = find_header(bytes).ok_or(PsshError::PlayReady)?;
        let units: Vec<u16> = header
            .as_chunks::<2>()
            .0
            .iter()
            .map(|unit| u16::from_le_bytes(*unit))
            .skip_while(|unit| *unit == 0xfeff)
            .collect();
        let header = String::from_utf16(&units).map_err(|_| PsshError::PlayReady)?;
        let root = xml::parse(header.trim_end_matches('\0')).map_err(|_| PsshError::PlayReady)?;
        if !root.is("WRMHEADER") {
            return Err(PsshError::PlayReady);
        }
        let mut read = Self {
            version: root.attribute("version").unwrap_or_default().to_owned(),
            kids: Vec::new(),
            algorithm: None,
            license_url: None,
            header,
        };
        read.collect(&root)?;
        Ok(read)
    }

    /// Header versions differ in where they put KID and algorithm; each name means one thing.
    fn collect(&mut self, element: &Element) -> Result<(), PsshError> {
        for child in element.elements() {
            if child.is("KID") {
                let text = child.attribute("VALUE").map_or_else(|| child.own_text(), str::to_owned);
                let guid = STANDARD.decode(text).map_err(|_| PsshError::PlayReady)?;
                let guid = guid.try_into().map_err(|_| PsshError::PlayReady)?;
                self.kids.push(KeyId::from_guid(guid));
                if self.kids.len() > MAX_KIDS {
                    return Err(PsshError::TooLarge);
                }
                if let Some(algorithm) = child.attribute("ALGID") {
                    self.algorithm = Some(algorithm.to_owned());
                }
            } else if child.is("ALGID") {
                self.algorithm = Some(child.own_text());
            } else if child.is("LA_URL") {
                self.license_url = Some(child.own_text());
            } else {
                self.collect(child)?;
            }
        }
        Ok(())
    }
}

/// The bytes of the one header record.
fn find_header(mut bytes: &[u8]) -> Option<&[u8]> {
    let whole = bytes.len();
    let size = u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?);
    if usize::try_from(size).ok()? != whole {
        return None;
    }
    let records = take_u16(&mut bytes)?;
    let mut header = None;
    for _ in 0..records {
        let kind = take_u16(&mut bytes)?;
        let record = take_u16(&mut bytes).map(usize::from)?;
        let record = bytes.split_off(..record)?;
        if kind == HEADER_RECORD && header.replace(record).is_some() {
            return None;
        }
    }
    header.filter(|header| bytes.is_empty() && header.len() % 2 == 0)
}

fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    bytes.split_off(..2)?.first_chunk().map(|value| u16::from_le_bytes(*value))
}
