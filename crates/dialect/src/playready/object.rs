//! The objects of which an XMR license is made: flags, kind, length with these eight bytes, and
//! either other objects or fields, big-endian, as in the license that Microsoft's documentation
//! prints (Overview, License server).

use super::XmrError;
use super::reader::Reader;

/// Flags, kind, length.
const HEAD: usize = 8;
/// Most objects of one container.
const MAX_OBJECTS: usize = 64;
/// Who does not know the object must not go on.
pub(super) const MUST_UNDERSTAND: u16 = 1;
/// The object holds objects.
pub(super) const CONTAINER: u16 = 2;

/// Kinds of objects.
pub(super) mod kind {
    pub(crate) const OUTER: u16 = 0x01;
    pub(crate) const GLOBAL: u16 = 0x02;
    pub(crate) const PLAY: u16 = 0x04;
    pub(crate) const OUTPUT_LEVELS: u16 = 0x05;
    pub(crate) const ANALOG: u16 = 0x07;
    pub(crate) const ANALOG_RULE: u16 = 0x08;
    pub(crate) const KEY_MATERIAL: u16 = 0x09;
    pub(crate) const CONTENT_KEY: u16 = 0x0a;
    pub(crate) const SIGNATURE: u16 = 0x0b;
    pub(crate) const SETTINGS: u16 = 0x0d;
    pub(crate) const EXPIRATION: u16 = 0x12;
    pub(crate) const ISSUE_DATE: u16 = 0x13;
    pub(crate) const DEVICE_KEY: u16 = 0x2a;
    pub(crate) const FIRST_PLAY: u16 = 0x30;
    pub(crate) const REVOCATION_VERSION: u16 = 0x32;
    pub(crate) const EMBEDDING: u16 = 0x33;
    pub(crate) const LEVEL: u16 = 0x34;
    pub(crate) const ENABLERS: u16 = 0x36;
    pub(crate) const ENABLER: u16 = 0x39;
    pub(crate) const REMOVAL_DATE: u16 = 0x50;
    pub(crate) const REAL_TIME: u16 = 0x55;
    pub(crate) const DIGITAL: u16 = 0x58;
    pub(crate) const DIGITAL_RULE: u16 = 0x59;
}

/// Writes an object that must be understood.
pub(super) fn write(kind: u16, flags: u16, parts: &[&[u8]]) -> Vec<u8> {
    write_any(kind, flags | MUST_UNDERSTAND, parts)
}

/// Writes an object that restricts nothing, so that none need understand it.
pub(super) fn write_fact(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
    write_any(kind, 0, parts)
}

fn write_any(kind: u16, flags: u16, parts: &[&[u8]]) -> Vec<u8> {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(body + HEAD).expect("an object of a license is short");
    let mut object = Vec::with_capacity(body + HEAD);
    object.extend(flags.to_be_bytes());
    object.extend(kind.to_be_bytes());
    object.extend(length.to_be_bytes());
    parts.iter().for_each(|part| object.extend(*part));
    object
}

/// An object, its body unread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) body: &'a [u8],
}

impl<'a> Object<'a> {
    /// Fields of a fixed shape and nothing behind them.
    pub(super) fn fields<T>(
        self,
        read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
    ) -> Result<T, XmrError> {
        if self.flags & CONTAINER != 0 {
            return Err(XmrError::Malformed);
        }
        let mut body = Reader(self.body);
        read(&mut body).and_then(|read| body.done(read)).ok_or(XmrError::Malformed)
    }

    /// The objects of a container.
    pub(super) fn objects(self) -> Result<Vec<Self>, XmrError> {
        if self.flags & CONTAINER == 0 {
            return Err(XmrError::Malformed);
        }
        read(self.body)
    }
}

/// Reads objects up to the last byte.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Object<'_>>, XmrError> {
    let (mut rest, mut objects) = (Reader(bytes), Vec::new());
    while !rest.0.is_empty() {
        if objects.len() == MAX_OBJECTS {
            return Err(XmrError::TooMany);
        }
        let object = (|| {
            let (flags, kind) = (rest.u16()?, rest.u16()?);
            let length = rest.size()?.checked_sub(HEAD)?;
            Some(Object { kind, flags, body: rest.bytes(length)? })
        })();
        objects.push(object.ok_or(XmrError::Malformed)?);
    }
    Ok(objects)
}

/// Sorts the objects of a container by their kinds: `take` says whether it knows one. Unknown
/// ones are left out, where that is allowed.
///
/// Errors: [`XmrError::Twice`], [`XmrError::Unknown`].
pub(super) fn sort<'a>(
    objects: Vec<Object<'a>>,
    mut take: impl FnMut(Object<'a>) -> Result<bool, XmrError>,
) -> Result<(), XmrError> {
    let mut seen = Vec::with_capacity(objects.len());
    for object in objects {
        if seen.contains(&object.kind) {
            return Err(XmrError::Twice);
        }
        seen.push(object.kind);
        if !take(object)? && object.flags & MUST_UNDERSTAND != 0 {
            return Err(XmrError::Unknown);
        }
    }
    Ok(())
}
