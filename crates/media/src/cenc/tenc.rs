//! `tenc`: the track's default encryption settings (ISO/IEC 23001-7:2016, 8.2).

use super::Seig;
use crate::bmff::{BoxError, Fields, full_box};
use model::KeyId;

/// Default settings of a protected track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenc {
    /// Encrypted and skipped blocks in turn; `None` in `cenc`, and where whole samples are
    /// protected.
    pub pattern: Option<(u8, u8)>,
    /// The key's id.
    pub kid: KeyId,
    /// Bytes of each sample's IV; 0 where it is constant.
    pub iv_size: u8,
    /// The constant IV.
    pub constant_iv: Option<[u8; 16]>,
}

impl Tenc {
    /// Appends the box: version 1 where there is a pattern, else 0, as Shaka Packager does.
    pub fn write(&self, out: &mut Vec<u8>) {
        let version = u8::from(self.pattern.is_some());
        full_box(out, b"tenc", version, 0, |out| Seig::from(*self).write(out));
    }

    /// Reads the box body.
    ///
    /// Errors: [`BoxError::Truncated`]; also where the constant IV has another length than 16,
    /// or the track is not protected.
    pub fn parse(body: &[u8]) -> Result<Self, BoxError> {
        let mut fields = Fields::new(body);
        fields.version_and_flags()?;
        Seig::take(&mut fields).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmff::boxes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_reads_back(
            kid: [u8; 16],
            iv: [u8; 16],
            pattern in proptest::option::of((1_u8..16, 0_u8..16)),
            iv_size in prop_oneof![Just(0_u8), Just(8), Just(16)],
        ) {
            let constant_iv = (iv_size == 0).then_some(iv);
            let tenc = Tenc { pattern, kid: KeyId::from_bytes(kid), iv_size, constant_iv };
            let mut out = Vec::new();
            tenc.write(&mut out);
            let child = boxes(&out).next().unwrap().unwrap();
            prop_assert_eq!(Tenc::parse(child.body), Ok(tenc));
        }
    }

    #[test]
    fn an_unprotected_or_cut_off_box_is_refused() {
        let mut out = Vec::new();
        let kid = KeyId::from_bytes([7; 16]);
        Tenc { pattern: Some((1, 9)), kid, iv_size: 0, constant_iv: Some([1; 16]) }.write(&mut out);
        assert_eq!(out.len(), 49);
        let body = &out[8..];
        for len in 0..body.len() {
            assert!(Tenc::parse(&body[..len]).is_err(), "{len}");
        }
        let mut unprotected = body.to_vec();
        unprotected[6] = 0;
        assert!(Tenc::parse(&unprotected).is_err());
    }
}
