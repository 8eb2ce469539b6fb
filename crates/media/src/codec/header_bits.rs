//! Bits of a header without emulation prevention: the descriptors of AV1 (AV1 Bitstream & Decoding
//! Process Specification, 4.10) and of VP9 (VP9 Bitstream & Decoding Process Specification, 4.9).

use super::CodecError;

/// Reads bits from the front.
pub(super) struct HeaderBits<'a> {
    bytes: &'a [u8],
    /// Bits taken.
    taken: usize,
    /// What is read, for messages.
    unit: &'static str,
}

impl<'a> HeaderBits<'a> {
    pub(super) const fn new(bytes: &'a [u8], unit: &'static str) -> Self {
        Self { bytes, taken: 0, unit }
    }

    /// Bytes of which at least one bit was read: where the next one begins after byte alignment.
    pub(super) const fn bytes_taken(&self) -> usize {
        self.taken.div_ceil(8)
    }

    /// f(1).
    pub(super) fn flag(&mut self) -> Result<bool, CodecError> {
        let byte = self.bytes.get(self.taken / 8).ok_or(CodecError::Truncated(self.unit))?;
        let is_set = byte << (self.taken % 8) & 0x80 != 0;
        self.taken += 1;
        Ok(is_set)
    }

    /// f(n), `n` up to 32.
    pub(super) fn f(&mut self, n: u32) -> Result<u32, CodecError> {
        (0..n).try_fold(0, |value, _| Ok(value << 1 | u32::from(self.flag()?)))
    }

    /// f(8).
    pub(super) fn byte(&mut self) -> Result<u8, CodecError> {
        (0..8).try_fold(0, |value, _| Ok(value << 1 | u8::from(self.flag()?)))
    }

    /// f(n) as a place in a table, `n` up to 16.
    pub(super) fn index(&mut self, n: u32) -> Result<usize, CodecError> {
        (0..n).try_fold(0, |value, _| Ok(value << 1 | usize::from(self.flag()?)))
    }

    /// Passes over `n` bits.
    pub(super) fn skip(&mut self, n: u32) -> Result<(), CodecError> {
        (0..n).try_for_each(|_| self.flag().map(|_| ()))
    }

    /// su(n) of AV1, `n` up to 16: two's complement.
    pub(super) fn su(&mut self, n: u32) -> Result<i32, CodecError> {
        let sign = self.flag()?;
        let rest = i32::try_from(self.f(n - 1)?).unwrap_or(i32::MAX);
        Ok(if sign { rest - (1 << (n - 1)) } else { rest })
    }

    /// ns(n) of AV1: one of `n` values, the first ones a bit shorter.
    pub(super) fn ns(&mut self, n: u32) -> Result<u32, CodecError> {
        let width = u32::BITS - n.leading_zeros();
        let short = (1_u64 << width) - u64::from(n);
        let value = self.f(width.saturating_sub(1))?;
        if u64::from(value) < short {
            return Ok(value);
        }
        let value = (u64::from(value) << 1) + u64::from(self.flag()?) - short;
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// uvlc() of AV1, of which no caller needs more than that it was there.
    pub(super) fn skip_uvlc(&mut self) -> Result<(), CodecError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 32 {
                return Err(CodecError::Value("a variable length code"));
            }
        }
        // 32 zeros stand for the largest value, without further bits.
        if zeros < 32 { self.skip(zeros) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_read_what_the_standard_says() {
        let mut bits = HeaderBits::new(&[0b1010_0111, 0b1000_0000, 0xff], "a test");
        assert_eq!((bits.flag(), bits.f(3), bits.bytes_taken()), (Ok(true), Ok(2), 1));
        assert_eq!((bits.su(5), bits.bytes_taken()), (Ok(15), 2));
        assert_eq!((bits.su(7), bits.f(8)), (Ok(0), Ok(0xff)));
        assert_eq!(bits.flag(), Err(CodecError::Truncated("a test")));
        assert_eq!(HeaderBits::new(&[0b1000_0000], "").su(7), Ok(-64));
        assert_eq!(HeaderBits::new(&[0b1111_1110], "").su(7), Ok(-1));
    }

    #[test]
    fn ns_of_five_values() {
        // 00 01 10 110 111
        let mut bits = HeaderBits::new(&[0b0001_1011, 0b0111_0000], "");
        assert_eq!([(); 5].map(|()| bits.ns(5)), [0, 1, 2, 3, 4].map(Ok));
        // One value takes no bits; of a power of two each is as long as the others.
        let mut bits = HeaderBits::new(&[0b1101_0000], "");
        assert_eq!([bits.ns(1), bits.ns(4), bits.ns(4), bits.ns(1)], [0, 3, 1, 0].map(Ok));
    }

    #[test]
    fn uvlc_ends() {
        let mut bits = HeaderBits::new(&[0b0010_1111], "");
        bits.skip_uvlc().unwrap();
        assert_eq!(bits.f(3), Ok(7));
        assert!(HeaderBits::new(&[0; 9], "").skip_uvlc().is_err());
        assert!(HeaderBits::new(&[0; 2], "").skip_uvlc().is_err());
    }
}
