//! Bits of a decoder configuration, most significant first.

use crate::bmff::BoxError;

/// Reads bits from the front of bytes that hold no escapes.
pub(super) struct ConfigBits<'a> {
    bytes: &'a [u8],
    /// Bits taken so far.
    taken: usize,
}

impl<'a> ConfigBits<'a> {
    /// Starts at the first bit.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Takes up to 32 bits. Errors: [`BoxError::Truncated`].
    pub fn take(&mut self, count: u8) -> Result<u32, BoxError> {
        (0..count).try_fold(0, |sum, _| Ok(sum << 1 | u32::from(self.flag()?)))
    }

    /// Takes up to 8 bits.
    pub fn small(&mut self, count: u8) -> Result<u8, BoxError> {
        (0..count).try_fold(0, |sum, _| Ok(sum << 1 | u8::from(self.flag()?)))
    }

    /// Takes one bit.
    pub fn flag(&mut self) -> Result<bool, BoxError> {
        let byte = self.bytes.get(self.taken / 8).ok_or(BoxError::Truncated)?;
        let bit = byte >> (7 - self.taken % 8) & 1;
        self.taken += 1;
        Ok(bit == 1)
    }

    /// Skips to the next whole byte.
    pub const fn align(&mut self) {
        self.taken = self.taken.next_multiple_of(8);
    }

    /// Bits not taken yet.
    pub const fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_top_and_end_with_the_bytes() {
        let mut bits = ConfigBits::new(&[0b1010_0000, 0xff]);
        assert_eq!((bits.small(3), bits.flag()), (Ok(5), Ok(false)));
        bits.align();
        assert_eq!((bits.left(), bits.take(7), bits.left()), (8, Ok(127), 1));
        assert_eq!(bits.take(2), Err(BoxError::Truncated));
        bits.align();
        assert_eq!(bits.left(), 0);
    }
}
