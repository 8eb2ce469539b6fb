//! Open bitstream units (AV1, 5.3) as samples hold them (AV1 Codec ISO Media File Format Binding,
//! 2.4).

use super::frame::Layer;
use crate::codec::CodecError;

/// Bytes of the longest `leb128()` (4.10.5).
const MAX_LEB128: usize = 8;

/// One unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    /// `obu_type`.
    pub kind: u8,
    pub temporal: u8,
    pub spatial: u8,
    /// Bytes of header and size field.
    pub head_len: usize,
    /// What they are followed by.
    pub payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Takes the unit at the front; returns it and the bytes behind it. Without a size field it
    /// takes all: only the last unit of a sample may lack it.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), CodecError> {
        let cut_off = CodecError::Truncated("an OBU");
        let (header, mut rest) = bytes.split_first().ok_or(cut_off)?;
        if header & 0x80 != 0 {
            return Err(CodecError::Value("obu_forbidden_bit"));
        }
        let (mut temporal, mut spatial) = (0, 0);
        if header & 4 != 0 {
            let (extension, behind) = rest.split_first().ok_or(cut_off)?;
            (temporal, spatial) = (extension >> 5, extension >> 3 & 3);
            rest = behind;
        }
        let (size, rest) = if header & 2 != 0 { leb128(rest)? } else { (rest.len(), rest) };
        let (payload, behind) = rest.split_at_checked(size).ok_or(cut_off)?;
        let head_len = bytes.len() - rest.len();
        Ok((Self { kind: header >> 3 & 0xf, temporal, spatial, head_len, payload }, behind))
    }

    pub const fn layer(&self) -> Layer {
        Layer { temporal: self.temporal, spatial: self.spatial }
    }
}

/// The value at the front, up to 32 bits, and what is behind it.
fn leb128(bytes: &[u8]) -> Result<(usize, &[u8]), CodecError> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(MAX_LEB128).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok().and_then(|value| usize::try_from(value).ok());
            let value = value.ok_or(CodecError::Value("obu_size"))?;
            return Ok((value, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    if bytes.len() < MAX_LEB128 {
        return Err(CodecError::Truncated("an OBU"));
    }
    Err(CodecError::Value("obu_size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_lie_are_refused() {
        let value = |bytes| leb128(bytes).map(|(value, rest)| (value, rest.len()));
        assert_eq!(value(&[0xe5, 0x8e, 0x26, 9]), Ok((624_485, 1)));
        // Longer than needed is allowed, up to 8 bytes.
        assert_eq!(value(&[0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), Ok((5, 0)));
        assert_eq!(value(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((0xffff_ffff, 0)));
        assert_eq!(value(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(CodecError::Value("obu_size")));
        assert_eq!(value(&[0x80; 9]), Err(CodecError::Value("obu_size")));
        assert_eq!(value(&[0x80; 7]), Err(CodecError::Truncated("an OBU")));
        assert!(Obu::split(&[0x0a, 2, 0]).is_err());
        assert!(Obu::split(&[0x0e]).is_err());
        assert!(Obu::split(&[0x8a, 0]).is_err());
        assert!(Obu::split(&[]).is_err());
    }

    #[test]
    fn a_unit_without_size_takes_all() {
        let (obu, rest) = Obu::split(&[0x34, 0x28, 1, 2, 3]).unwrap();
        assert_eq!((obu.kind, obu.temporal, obu.spatial, obu.head_len), (6, 1, 1, 2));
        assert_eq!((obu.payload, rest), (&[1, 2, 3][..], &[][..]));
        let (obu, rest) = Obu::split(&[0x32, 1, 7, 9]).unwrap();
        assert_eq!((obu.head_len, obu.payload, rest), (2, &[7][..], &[9][..]));
    }
}
