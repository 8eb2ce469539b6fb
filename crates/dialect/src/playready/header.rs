//! WRMHEADER, versions 4.0 to 4.3: which keys are asked for, and how they encrypt (Microsoft,
//! PlayReady Header Specification, 3.3 to 3.6).

use super::xml::Namespace::Header as SPACE;
use super::xml::{self, Element, XmlError};
use super::{MAX_KIDS, base64};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{KeyId, Scheme};

/// Why a header is refused. Carries no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not XML, or with what these messages may not have.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Not the header of a PlayReady object, or an object whose records are damaged.
    #[error("not a PlayReady header")]
    Malformed,
    /// Of none of the four versions.
    #[error("the header's version is none of 4.0, 4.1, 4.2 and 4.3")]
    Version,
    /// An element that may stand once stands twice, or where its version does not have it.
    #[error("an element of the header stands twice, or does not belong to its version")]
    Structure,
    /// No key id.
    #[error("the header names no key")]
    KidMissing,
    /// A key id that is not base64 of 16 bytes.
    #[error("a key id is not base64 of 16 bytes")]
    Kid,
    /// A key id that is named twice.
    #[error("the header names a key twice")]
    KidTwice,
    /// More key ids than [`MAX_KIDS`].
    #[error("a header names at most {MAX_KIDS} keys")]
    TooManyKids,
    /// An algorithm that is neither AESCTR nor AESCBC, or none where the version needs one.
    #[error("the header's algorithm is missing or unknown")]
    Algorithm,
    /// AESCBC below version 4.3.
    #[error("a header below 4.3 cannot name AESCBC")]
    AlgorithmVersion,
    /// Keys of different algorithms.
    #[error("the header's keys have different algorithms")]
    AlgorithmsMixed,
    /// A key length other than 16.
    #[error("the header's key length is not 16")]
    KeyLength,
    /// A checksum that is not base64 of 8 bytes, or stands where there can be none.
    #[error("a checksum is not base64 of 8 bytes, or belongs to an AESCBC key")]
    Checksum,
}

impl HeaderError {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Xml(error) => error.name(),
            Self::Malformed => "header_malformed",
            Self::Version => "header_version",
            Self::Structure => "header_structure",
            Self::KidMissing => "kid_missing",
            Self::Kid => "kid",
            Self::KidTwice => "kid_twice",
            Self::TooManyKids => "too_many_kids",
            Self::Algorithm => "algorithm",
            Self::AlgorithmVersion => "algorithm_version",
            Self::AlgorithmsMixed => "algorithms_mixed",
            Self::KeyLength => "key_length",
            Self::Checksum => "checksum",
        }
    }
}

/// Which header it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeaderVersion {
    /// One key, in elements.
    V4_0,
    /// One key, in attributes.
    V4_1,
    /// Several keys.
    V4_2,
    /// Several keys, AESCBC too.
    V4_3,
}

impl HeaderVersion {
    const ALL: [Self; 4] = [Self::V4_0, Self::V4_1, Self::V4_2, Self::V4_3];

    /// As the header writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4_0 => "4.0.0.0",
            Self::V4_1 => "4.1.0.0",
            Self::V4_2 => "4.2.0.0",
            Self::V4_3 => "4.3.0.0",
        }
    }

    /// The version of the license acquisition that goes with it.
    #[must_use]
    pub const fn acquisition(self) -> &'static str {
        match self {
            Self::V4_0 | Self::V4_1 => "1",
            Self::V4_2 => "4",
            Self::V4_3 => "5",
        }
    }
}

/// One key that a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedKey {
    /// Its id, in network order.
    pub kid: KeyId,
    /// The first 8 bytes of its id, encrypted under it: by the header's own word.
    pub checksum: Option<[u8; 8]>,
}

/// What a header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its version.
    pub version: HeaderVersion,
    /// Its keys, each once, in its order.
    pub keys: Vec<NamedKey>,
    /// How they encrypt; a header 4.3 may leave that open.
    pub scheme: Option<Scheme>,
}

impl Header {
    /// Reads a header: its text in UTF-8 or UTF-16, or a PlayReady object that holds one.
    ///
    /// Errors: [`HeaderError`]. Limits: [`MAX_KIDS`], those of a message.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        Self::read(&xml::parse(&text_of(bytes)?)?)
    }

    /// Reads the element. What stands in CUSTOMATTRIBUTES is the author's, and is not read.
    pub(super) fn read(header: &Element) -> Result<Self, HeaderError> {
        if !header.is(SPACE, "WRMHEADER") {
            return Err(HeaderError::Malformed);
        }
        let version = header.attribute("version").ok_or(HeaderError::Version)?;
        let version = HeaderVersion::ALL.into_iter().find(|known| known.as_str() == version);
        let version = version.ok_or(HeaderError::Version)?;
        let content = at_most_one(header, "DATA")?.ok_or(HeaderError::KidMissing)?;
        let protection = at_most_one(content, "PROTECTINFO")?;
        let named = match version {
            HeaderVersion::V4_0 => vec![key_in_elements(content, protection)?],
            HeaderVersion::V4_1 => {
                let protection = protection.ok_or(HeaderError::KidMissing)?;
                refuse(protection, &["KIDS"])?;
                refuse(content, &["KID", "CHECKSUM"])?;
                let kid = at_most_one(protection, "KID")?.ok_or(HeaderError::KidMissing)?;
                vec![key_in_attributes(kid, version)?]
            }
            HeaderVersion::V4_2 | HeaderVersion::V4_3 => {
                let protection = protection.ok_or(HeaderError::KidMissing)?;
                refuse(protection, &["KID", "ALGID"])?;
                refuse(content, &["KID", "KIDS", "CHECKSUM"])?;
                let kids = at_most_one(protection, "KIDS")?.ok_or(HeaderError::KidMissing)?;
                if kids.children.len() > MAX_KIDS {
                    return Err(HeaderError::TooManyKids);
                }
                let kids = kids.children.iter().map(|kid| key_in_attributes(kid, version));
                kids.collect::<Result<_, _>>()?
            }
        };
        let (keys, schemes): (Vec<NamedKey>, Vec<Option<Scheme>>) = named.into_iter().unzip();
        let scheme = *schemes.first().ok_or(HeaderError::KidMissing)?;
        if schemes.iter().any(|other| *other != scheme) {
            return Err(HeaderError::AlgorithmsMixed);
        }
        if keys
            .iter()
            .enumerate()
            .any(|(at, key)| keys.iter().skip(at + 1).any(|k| k.kid == key.kid))
        {
            return Err(HeaderError::KidTwice);
        }
        Ok(Self { version, keys, scheme })
    }

    /// Writes a header that asks for several keys: 4.2 for `cenc`, 4.3 for `cbcs`.
    #[must_use]
    pub fn of(keys: &[KeyId], scheme: Scheme) -> String {
        let (version, algorithm) = match scheme {
            Scheme::Cenc => (HeaderVersion::V4_2, "AESCTR"),
            Scheme::Cbcs => (HeaderVersion::V4_3, "AESCBC"),
        };
        let kids: String = keys
            .iter()
            .map(|kid| {
                let kid = STANDARD.encode(kid.to_guid());
                format!("<KID ALGID=\"{algorithm}\" VALUE=\"{kid}\"></KID>")
            })
            .collect();
        format!(
            "<WRMHEADER xmlns=\"{}\" version=\"{}\"><DATA><PROTECTINFO><KIDS>{kids}</KIDS>\
             </PROTECTINFO></DATA></WRMHEADER>",
            SPACE.name(),
            version.as_str()
        )
    }
}

/// The text of a header, out of the PlayReady object where it lies in one.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, HeaderError> {
    let bytes =
        if is_object(bytes) { header_record(bytes).ok_or(HeaderError::Malformed)? } else { bytes };
    let mut text = xml::text_of(bytes)?;
    // Some packagers end the text as C does.
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}

/// Whether the bytes begin with their own length, as a PlayReady object does.
fn is_object(bytes: &[u8]) -> bool {
    let size = bytes.first_chunk().map(|size| u32::from_le_bytes(*size));
    size.is_some_and(|size| usize::try_from(size).is_ok_and(|size| size == bytes.len()))
}

/// The one rights management header (record type 1) of a PlayReady object.
fn header_record(object: &[u8]) -> Option<&[u8]> {
    let (_, mut rest) = object.split_at_checked(4)?;
    let mut header = None;
    for _ in 0..take_u16(&mut rest)? {
        let kind = take_u16(&mut rest)?;
        let length = take_u16(&mut rest)?;
        let record = rest.split_off(..usize::from(length))?;
        if kind == 1 && header.replace(record).is_some() {
            return None;
        }
    }
    header.filter(|_| rest.is_empty())
}

fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    bytes.split_off(..2)?.first_chunk().map(|value| u16::from_le_bytes(*value))
}

fn at_most_one<'a>(parent: &'a Element, name: &'a str) -> Result<Option<&'a Element>, HeaderError> {
    let mut found = parent.named(SPACE, name);
    let first = found.next();
    if found.next().is_some() { Err(HeaderError::Structure) } else { Ok(first) }
}

/// Elements of another version: a reader that goes by names alone would take them for keys.
fn refuse(parent: &Element, names: &[&str]) -> Result<(), HeaderError> {
    let is_found = names.iter().any(|name| parent.named(SPACE, name).next().is_some());
    if is_found { Err(HeaderError::Structure) } else { Ok(()) }
}

type Named = (NamedKey, Option<Scheme>);

/// Version 4.0: PROTECTINFO/KEYLEN and ALGID, KID, CHECKSUM.
fn key_in_elements(content: &Element, protection: Option<&Element>) -> Result<Named, HeaderError> {
    refuse(content, &["KIDS"])?;
    let protection = protection.ok_or(HeaderError::Algorithm)?;
    refuse(protection, &["KID", "KIDS"])?;
    let kid = at_most_one(content, "KID")?.ok_or(HeaderError::KidMissing)?;
    if at_most_one(protection, "KEYLEN")?
        .is_some_and(|length| length.leaf().map(str::trim) != Some("16"))
    {
        return Err(HeaderError::KeyLength);
    }
    let algorithm = at_most_one(protection, "ALGID")?.ok_or(HeaderError::Algorithm)?;
    let scheme = scheme_of(algorithm.leaf().unwrap_or_default().trim(), HeaderVersion::V4_0)?;
    let checksum = match at_most_one(content, "CHECKSUM")? {
        Some(checksum) => Some(checksum.leaf().ok_or(HeaderError::Checksum)?.trim()),
        None => None,
    };
    let kid = kid.leaf().ok_or(HeaderError::Kid)?;
    Ok((named(kid, checksum, Some(scheme))?, Some(scheme)))
}

/// From version 4.1 on: attributes of KID.
fn key_in_attributes(kid: &Element, version: HeaderVersion) -> Result<Named, HeaderError> {
    if !kid.is(SPACE, "KID") || !kid.children.is_empty() || !kid.text.is_empty() {
        return Err(HeaderError::Structure);
    }
    let scheme = match kid.attribute("ALGID") {
        Some(algorithm) => Some(scheme_of(algorithm, version)?),
        None if version == HeaderVersion::V4_3 => None,
        None => return Err(HeaderError::Algorithm),
    };
    let value = kid.attribute("VALUE").ok_or(HeaderError::Kid)?;
    Ok((named(value, kid.attribute("CHECKSUM"), scheme)?, scheme))
}

fn scheme_of(algorithm: &str, version: HeaderVersion) -> Result<Scheme, HeaderError> {
    match algorithm {
        "AESCTR" => Ok(Scheme::Cenc),
        "AESCBC" if version == HeaderVersion::V4_3 => Ok(Scheme::Cbcs),
        "AESCBC" => Err(HeaderError::AlgorithmVersion),
        _ => Err(HeaderError::Algorithm),
    }
}

fn named(
    kid: &str,
    checksum: Option<&str>,
    scheme: Option<Scheme>,
) -> Result<NamedKey, HeaderError> {
    let guid = base64(kid).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let kid = KeyId::from_guid(guid.ok_or(HeaderError::Kid)?);
    // An empty one says nothing; packagers write that too.
    let checksum = checksum.filter(|checksum| !checksum.is_empty());
    let checksum = checksum.map(|checksum| {
        let bytes = base64(checksum).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        bytes.filter(|_| scheme != Some(Scheme::Cbcs)).ok_or(HeaderError::Checksum)
    });
    Ok(NamedKey { kid, checksum: checksum.transpose()? })
}
