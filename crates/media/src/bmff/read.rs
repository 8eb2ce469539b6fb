//! Reading: every integer is taken from what is there, or the box is refused.

use super::FourCc;

/// Why bytes are not a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// The bytes end inside a field.
    #[error("ends in the middle of a field")]
    Truncated,
    /// A box claims more bytes than surround it.
    #[error("'{kind}' claims {claimed} bytes where {room} are left")]
    TooLong {
        /// Its type.
        kind: FourCc,
        /// Its size field.
        claimed: u64,
        /// Bytes left for it.
        room: u64,
    },
    /// A box claims fewer bytes than its own header has.
    #[error("'{kind}' claims {claimed} bytes, less than its own header")]
    TooShort {
        /// Its type.
        kind: FourCc,
        /// Its size field.
        claimed: u64,
    },
}

/// Type and size of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHead {
    /// Its type.
    pub kind: FourCc,
    /// Bytes of the header: 8, or 16 with a large size. The id of a `uuid` box counts as body.
    pub head_len: u64,
    /// Bytes of header and body together.
    pub len: u64,
}

impl BoxHead {
    /// Longest header.
    pub const MAX_LEN: usize = 16;

    /// Reads the header at the start of `bytes`; `room` bytes are left for the whole box.
    ///
    /// Shape: size 32 bits, type, then size 64 bits where the first is 1; 0 means all the room.
    /// Errors: [`BoxError`] where the size does not fit between header and room.
    pub fn parse(bytes: &[u8], room: u64) -> Result<Self, BoxError> {
        let mut fields = Fields::new(bytes);
        let short = fields.u32()?;
        let kind = fields.four_cc()?;
        let (head_len, len) = match short {
            0 => (8, room),
            1 => (16, fields.u64()?),
            size => (8, u64::from(size)),
        };
        if len > room {
            Err(BoxError::TooLong { kind, claimed: len, room })
        } else if len < head_len {
            Err(BoxError::TooShort { kind, claimed: len })
        } else {
            Ok(Self { kind, head_len, len })
        }
    }

    /// Bytes of the body.
    #[must_use]
    pub const fn body_len(&self) -> u64 {
        self.len - self.head_len
    }
}

/// One box among its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child<'a> {
    /// Its type.
    pub kind: FourCc,
    /// Offset of its header from the first sibling.
    pub offset: usize,
    /// What follows its header.
    pub body: &'a [u8],
    /// Header and body.
    pub whole: &'a [u8],
}

/// Walks the boxes that fill `bytes`, without descending.
///
/// Limits: as many steps as `bytes` has room for headers. After an error it ends.
pub fn boxes(bytes: &[u8]) -> impl Iterator<Item = Result<Child<'_>, BoxError>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let child = child_at(rest, offset);
        offset = child.as_ref().map_or(bytes.len(), |child| offset + child.whole.len());
        Some(child)
    })
}

fn child_at(rest: &[u8], offset: usize) -> Result<Child<'_>, BoxError> {
    let head = BoxHead::parse(rest, rest.len() as u64)?;
    let mut fields = Fields::new(rest);
    let whole = fields.take(usize::try_from(head.len).map_err(|_| BoxError::Truncated)?)?;
    let mut fields = Fields::new(whole);
    fields.take(usize::try_from(head.head_len).map_err(|_| BoxError::Truncated)?)?;
    Ok(Child { kind: head.kind, offset, body: fields.rest(), whole })
}

/// Integers in network order, taken from the front.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What was not taken yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Takes `len` bytes. Errors: [`BoxError::Truncated`], as all below.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], BoxError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(BoxError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes as many bytes as the array has.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BoxError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BoxError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Takes 8 bits.
    pub fn u8(&mut self) -> Result<u8, BoxError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Takes 16 bits.
    pub fn u16(&mut self) -> Result<u16, BoxError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes 32 bits.
    pub fn u32(&mut self) -> Result<u32, BoxError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes 64 bits.
    pub fn u64(&mut self) -> Result<u64, BoxError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes 32 bits as a signed integer.
    pub fn i32(&mut self) -> Result<i32, BoxError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Takes a box type.
    pub fn four_cc(&mut self) -> Result<FourCc, BoxError> {
        self.array().map(FourCc)
    }

    /// Takes version and flags of a full box.
    pub fn version_and_flags(&mut self) -> Result<(u8, u32), BoxError> {
        let [version, a, b, c] = self.array()?;
        Ok((version, u32::from_be_bytes([0, a, b, c])))
    }

    /// Takes a time or duration: 64 bits in version 1, else 32.
    pub fn time(&mut self, version: u8) -> Result<u64, BoxError> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{full_box, plain_box};
    use super::*;
    use proptest::prelude::*;

    const FREE: FourCc = FourCc(*b"free");

    #[test]
    fn sizes_that_lie_are_refused() {
        let head = |bytes: &[u8], room| BoxHead::parse(bytes, room);
        assert_eq!(head(b"\0\0\0\x08fre", 8), Err(BoxError::Truncated));
        assert_eq!(
            head(b"\0\0\0\x09free", 8),
            Err(BoxError::TooLong { kind: FREE, claimed: 9, room: 8 })
        );
        assert_eq!(head(b"\0\0\0\x07free", 8), Err(BoxError::TooShort { kind: FREE, claimed: 7 }));
        assert_eq!(
            head(b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f", 99),
            Err(BoxError::TooShort { kind: FREE, claimed: 15 })
        );
        assert_eq!(
            head(b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff", 99),
            Err(BoxError::TooLong { kind: FREE, claimed: u64::MAX, room: 99 })
        );
    }

    #[test]
    fn size_zero_reaches_to_the_end() {
        let head = BoxHead::parse(b"\0\0\0\0free", 77).unwrap();
        assert_eq!((head.len, head.body_len()), (77, 69));
    }

    #[test]
    fn a_walk_ends_at_the_first_error() {
        let mut bytes = Vec::new();
        plain_box(&mut bytes, b"free", |out| out.extend(b"abc"));
        bytes.extend(b"\0\0\0\x05junk");
        let walked: Vec<_> = boxes(&bytes).collect();
        assert_eq!(walked.len(), 2);
        assert_eq!(walked[0].unwrap().body, b"abc");
        assert!(walked[1].is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(
            bodies in proptest::collection::vec((any::<[u8; 4]>(), any::<Vec<u8>>()), 0..9),
        ) {
            let mut bytes = Vec::new();
            for (kind, body) in &bodies {
                plain_box(&mut bytes, kind, |out| out.extend(body));
            }
            let read: Vec<_> = boxes(&bytes)
                .map(|child| child.map(|child| (child.kind.0, child.body.to_vec())))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(read, bodies);
        }

        #[test]
        fn no_bytes_make_the_walk_panic_or_overlap(bytes: Vec<u8>) {
            let whole: usize = boxes(&bytes).flatten().map(|child| child.whole.len()).sum();
            prop_assert!(whole <= bytes.len());
        }

        #[test]
        fn version_and_flags_read_back(version: u8, flags in 0..1_u32 << 24) {
            let mut bytes = Vec::new();
            full_box(&mut bytes, b"test", version, flags, |_| {});
            let child = boxes(&bytes).next().unwrap().unwrap();
            prop_assert_eq!(Fields::new(child.body).version_and_flags(), Ok((version, flags)));
        }
    }
}
