//! Big-endian fields of certificates and licenses, one behind the other.

/// What is left to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of 32 bits that is a length or a count.
    pub(super) fn size(&mut self) -> Option<usize> {
        self.u32().and_then(|size| size.try_into().ok())
    }

    /// What [`Self::bytes`] and the like took, where nothing is left.
    pub(super) fn done<T>(&self, read: T) -> Option<T> {
        self.0.is_empty().then_some(read)
    }
}
