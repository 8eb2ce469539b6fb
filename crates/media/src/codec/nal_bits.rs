//! Bits of a NAL unit's payload, with the emulation prevention bytes passed over (ITU-T H.264, 7.3.1 and
//! 9.1; ITU-T H.265, 7.3.1.1 and 9.2).

use super::CodecError;

const TRUNCATED: CodecError = CodecError::Truncated("a NAL unit");

/// Reads bits from the front.
pub(super) struct NalBits<'a> {
    bytes: &'a [u8],
    /// Bytes taken, emulation prevention included.
    taken: usize,
    current: u8,
    left_in_current: u32,
    zeros_before: u32,
}

impl<'a> NalBits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0, current: 0, left_in_current: 0, zeros_before: 0 }
    }

    /// Bytes of which at least one bit was read; an emulation prevention byte right behind them
    /// does not count.
    pub(super) const fn bytes_taken(&self) -> usize {
        self.taken
    }

    fn next_byte(&mut self) -> Result<u8, CodecError> {
        let byte = *self.bytes.get(self.taken).ok_or(TRUNCATED)?;
        self.taken += 1;
        Ok(byte)
    }

    fn refill(&mut self) -> Result<(), CodecError> {
        let mut byte = self.next_byte()?;
        if self.zeros_before >= 2 && byte == 3 {
            byte = self.next_byte()?;
            self.zeros_before = 0;
        }
        self.zeros_before = if byte == 0 { self.zeros_before + 1 } else { 0 };
        self.current = byte;
        self.left_in_current = 8;
        Ok(())
    }

    /// u(1).
    pub(super) fn bit(&mut self) -> Result<bool, CodecError> {
        if self.left_in_current == 0 {
            self.refill()?;
        }
        self.left_in_current -= 1;
        Ok(self.current >> self.left_in_current & 1 == 1)
    }

    /// u(n), `n` up to 32.
    pub(super) fn bits(&mut self, n: u32) -> Result<u32, CodecError> {
        (0..n).try_fold(0, |value, _| Ok(value << 1 | u32::from(self.bit()?)))
    }

    /// ue(v).
    pub(super) fn ue(&mut self) -> Result<u32, CodecError> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(CodecError::Value("an Exp-Golomb code"));
            }
        }
        Ok((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// ue(v), at most `max`.
    pub(super) fn ue_up_to(&mut self, max: u32, name: &'static str) -> Result<u32, CodecError> {
        self.ue().and_then(|v| if v <= max { Ok(v) } else { Err(CodecError::Value(name)) })
    }

    /// se(v), of which no caller needs more than that it was there.
    pub(super) fn skip_se(&mut self) -> Result<(), CodecError> {
        self.ue().map(|_| ())
    }

    /// se(v).
    pub(super) fn se(&mut self) -> Result<i64, CodecError> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 })
    }

    /// byte_alignment() of ITU-T H.265, 7.3.2.5: a one, then zeros to the end of the byte.
    pub(super) fn byte_alignment(&mut self) -> Result<(), CodecError> {
        let is_marked = self.bit()?;
        if !is_marked || self.bits(self.left_in_current)? != 0 {
            return Err(CodecError::Value("the alignment behind a header"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_table_9_2() {
        // 1 | 010 | 011 | 00100 | 00101 | stop bit and padding
        let mut bits = NalBits::new(&[0b1010_0110, 0b0100_0010, 0b1100_0000]);
        assert_eq!([(); 5].map(|()| bits.ue().unwrap()), [0, 1, 2, 3, 4]);
        let mut bits = NalBits::new(&[0b1010_0110, 0b0100_0010, 0b1100_0000]);
        assert_eq!([(); 5].map(|()| bits.se().unwrap()), [0, 1, -1, 2, -2]);
    }

    #[test]
    fn emulation_prevention_is_passed_over_and_counted() {
        let mut bits = NalBits::new(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 2]);
        assert_eq!(bits.bits(24), Ok(1));
        assert_eq!(bits.bytes_taken(), 4);
        assert_eq!(bits.bits(16), Ok(0));
        assert_eq!(bits.bytes_taken(), 6);
        assert_eq!(bits.bits(24), Ok(2));
        assert_eq!(bits.bytes_taken(), 11);
        assert_eq!(bits.bit(), Err(TRUNCATED));
    }

    #[test]
    fn alignment_is_a_one_and_zeros() {
        let aligned = |bytes: &[u8], before| {
            let mut bits = NalBits::new(bytes);
            bits.bits(before).and_then(|_| bits.byte_alignment()).map(|()| bits.bytes_taken())
        };
        assert_eq!(aligned(&[0b1011_1000, 0xff], 4), Ok(1));
        assert_eq!(aligned(&[0b1011_0001, 0xff], 7), Ok(1));
        assert_eq!(aligned(&[0b1011_0001, 0x80], 8), Ok(2));
        assert_eq!(aligned(&[0b1011_0001], 8), Err(TRUNCATED));
        for before in [0, 3, 4, 5] {
            assert!(aligned(&[0b1011_0010, 0x80], before).is_err(), "{before}");
        }
    }

    #[test]
    fn endless_zeros_are_no_code() {
        assert!(NalBits::new(&[0; 8]).ue().is_err());
        assert_eq!(NalBits::new(&[0]).ue(), Err(TRUNCATED));
        // 31 zeros, the longest code that fits 32 bits.
        assert_eq!(NalBits::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe]).ue(), Ok(u32::MAX - 1));
    }
}
