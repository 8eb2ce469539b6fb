//! `seig`: the key of a group of samples, which goes before the track's own `tenc`
//! (`CencSampleEncryptionInformationGroupEntry`, ISO/IEC 23001-7:2016, 6).

use super::Tenc;
use crate::bmff::{BoxError, Fields};
use model::KeyId;

/// The `grouping_type` of `sgpd` and `sbgp`.
pub const GROUPING: [u8; 4] = *b"seig";
/// The index of the first entry of a fragment's own `sgpd`; those of the track's begin with 1
/// (ISO/IEC 14496-12:2022, 8.9.4).
pub const FIRST_LOCAL_INDEX: u32 = 0x1_0001;

/// Under which key the samples of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seig {
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

impl Seig {
    /// Appends the entry.
    ///
    /// Shape: a reserved byte, the pattern, whether samples are protected, the IV size and the
    /// KID; a constant IV behind its length.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (crypt, skip) = self.pattern.unwrap_or((0, 0));
        out.extend([0, crypt << 4 | skip & 0x0f, 1, self.iv_size]);
        out.extend(self.kid.as_bytes());
        if let Some(iv) = self.constant_iv {
            out.push(16);
            out.extend(iv);
        }
    }

    /// Reads an entry, which fills `entry`.
    ///
    /// Errors: [`BoxError::Truncated`]; also where something follows, where the constant IV has
    /// another length than 16, and where the samples are not protected.
    pub fn parse(entry: &[u8]) -> Result<Self, BoxError> {
        let mut fields = Fields::new(entry);
        let read = Self::take(&mut fields)?;
        if fields.rest().is_empty() { Ok(read) } else { Err(BoxError::Truncated) }
    }

    /// Takes the fields, which a `tenc` has too.
    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Self, BoxError> {
        let [_, pattern, is_protected, iv_size] = fields.array()?;
        let kid = KeyId::from_bytes(fields.array()?);
        let constant_iv = match (is_protected, iv_size) {
            (1, 0) if fields.u8()? == 16 => Some(fields.array()?),
            (1, 8 | 16) => None,
            _ => return Err(BoxError::Truncated),
        };
        let pattern = (pattern != 0).then_some((pattern >> 4, pattern & 0x0f));
        Ok(Self { pattern, kid, iv_size, constant_iv })
    }
}

/// A group under the settings of a track.
impl From<Tenc> for Seig {
    fn from(tenc: Tenc) -> Self {
        let Tenc { pattern, kid, iv_size, constant_iv } = tenc;
        Self { pattern, kid, iv_size, constant_iv }
    }
}

/// A track under the settings of a group.
impl From<Seig> for Tenc {
    fn from(seig: Seig) -> Self {
        let Seig { pattern, kid, iv_size, constant_iv } = seig;
        Self { pattern, kid, iv_size, constant_iv }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_has_twenty_bytes_and_a_constant_iv_seventeen_more() {
        let kid = KeyId::from_bytes([7; 16]);
        let mut out = Vec::new();
        Seig { pattern: None, kid, iv_size: 8, constant_iv: None }.write(&mut out);
        assert_eq!(out, [&[0, 0, 1, 8][..], &[7; 16]].concat());
        out.clear();
        let constant_iv = Some([9; 16]);
        Seig { pattern: Some((1, 9)), kid, iv_size: 0, constant_iv }.write(&mut out);
        assert_eq!(out, [&[0, 0x19, 1, 0][..], &[7; 16], &[16], &[9; 16]].concat());
    }

    #[test]
    fn what_is_cut_off_too_long_or_not_protected_is_refused() {
        let kid = KeyId::from_bytes([7; 16]);
        for constant_iv in [None, Some([1; 16])] {
            let iv_size = if constant_iv.is_some() { 0 } else { 8 };
            let mut entry = Vec::new();
            Seig { pattern: Some((1, 9)), kid, iv_size, constant_iv }.write(&mut entry);
            assert!(Seig::parse(&entry).is_ok());
            for len in 0..entry.len() {
                assert!(Seig::parse(&entry[..len]).is_err(), "{len}");
            }
            assert!(Seig::parse(&[&entry[..], &[0]].concat()).is_err());
            for (at, byte) in [(2, 0), (2, 2), (3, 7)] {
                let mut wrong = entry.clone();
                wrong[at] = byte;
                assert!(Seig::parse(&wrong).is_err(), "{at}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back_and_is_what_a_tenc_says(
            kid: [u8; 16],
            iv: [u8; 16],
            pattern in proptest::option::of((1_u8..16, 0_u8..16)),
            iv_size in prop_oneof![Just(0_u8), Just(8), Just(16)],
        ) {
            let constant_iv = (iv_size == 0).then_some(iv);
            let seig = Seig { pattern, kid: KeyId::from_bytes(kid), iv_size, constant_iv };
            let mut out = Vec::new();
            seig.write(&mut out);
            prop_assert_eq!(Seig::parse(&out), Ok(seig));
            prop_assert_eq!(Seig::from(Tenc::from(seig)), seig);
            let mut tenc = Vec::new();
            Tenc::from(seig).write(&mut tenc);
            prop_assert!(tenc.ends_with(&out));
        }

        #[test]
        fn no_bytes_make_it_panic(entry: Vec<u8>) {
            let _ = Seig::parse(&entry);
        }
    }
}
