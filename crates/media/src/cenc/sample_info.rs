//! Auxiliary information of one sample, as `senc` holds it (ISO/IEC 23001-7:2016, 7.2).

use super::{SampleIv, Subsample};
use crate::bmff::Fields;

/// What a player must know to decrypt one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleInfo<'a> {
    /// The sample's own IV as a counter block; none where the track's is constant.
    pub iv: Option<[u8; 16]>,
    /// Its subsamples; empty where the whole sample is protected.
    pub subsamples: &'a [Subsample],
}

/// Why sample information cannot be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleInfoError {
    /// `saiz` counts the bytes of one sample's information in 8 bits.
    #[error("the picture has more slices than one sample's encryption information holds ({0})")]
    TooManySubsamples(usize),
    /// The bytes are not sample information.
    #[error("the sample's encryption information is malformed")]
    Malformed,
}

impl SampleInfo<'_> {
    /// Appends the entry and returns its length; a track with constant IV and whole samples has
    /// empty entries.
    pub fn write(
        iv: Option<SampleIv>,
        subsamples: &[Subsample],
        out: &mut Vec<u8>,
    ) -> Result<u8, SampleInfoError> {
        let start = out.len();
        if let Some(iv) = iv {
            let block = iv.counter_block();
            out.extend(block.get(..usize::from(iv.size())).unwrap_or_default());
        }
        if !subsamples.is_empty() {
            let too_many = SampleInfoError::TooManySubsamples(subsamples.len());
            out.extend(u16::try_from(subsamples.len()).map_err(|_| too_many)?.to_be_bytes());
            for Subsample { clear, protected } in subsamples {
                out.extend(clear.to_be_bytes());
                out.extend(protected.to_be_bytes());
            }
        }
        let too_many = SampleInfoError::TooManySubsamples(subsamples.len());
        u8::try_from(out.len() - start).map_err(|_| too_many)
    }

    /// Reads an entry of a track with IVs of `iv_size` bytes; `subsamples` is emptied and
    /// filled. Errors: [`SampleInfoError::Malformed`] unless the entry is used up exactly.
    pub fn read<'s>(
        entry: &[u8],
        iv_size: u8,
        has_subsamples: bool,
        subsamples: &'s mut Vec<Subsample>,
    ) -> Result<SampleInfo<'s>, SampleInfoError> {
        let malformed = |_| SampleInfoError::Malformed;
        subsamples.clear();
        let mut fields = Fields::new(entry);
        let mut block = [0; 16];
        let iv = fields.take(usize::from(iv_size)).map_err(malformed)?;
        block.iter_mut().zip(iv).for_each(|(to, from)| *to = *from);
        if has_subsamples {
            for _ in 0..fields.u16().map_err(malformed)? {
                let clear = fields.u16().map_err(malformed)?;
                let protected = fields.u32().map_err(malformed)?;
                subsamples.push(Subsample { clear, protected });
            }
        }
        if !fields.rest().is_empty() || iv_size > 16 {
            return Err(SampleInfoError::Malformed);
        }
        Ok(SampleInfo { iv: (iv_size > 0).then_some(block), subsamples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_slices_than_fit_are_refused() {
        let one = Subsample { clear: 1, protected: 16 };
        let mut out = Vec::new();
        let iv = Some(SampleIv::Short(1));
        assert_eq!(SampleInfo::write(iv, &[one; 40], &mut out), Ok(250));
        assert_eq!(SampleInfo::write(None, &[one; 42], &mut out), Ok(254));
        assert_eq!(
            SampleInfo::write(iv, &[one; 41], &mut out),
            Err(SampleInfoError::TooManySubsamples(41))
        );
        assert!(SampleInfo::write(iv, &vec![one; 65_536], &mut out).is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(
            iv in proptest::option::of(any::<u64>()),
            runs in proptest::collection::vec(any::<(u16, u32)>(), 1..40),
        ) {
            let runs: Vec<_> =
                runs.into_iter().map(|(clear, protected)| Subsample { clear, protected }).collect();
            let iv = iv.map(SampleIv::Short);
            let mut out = Vec::new();
            let len = SampleInfo::write(iv, &runs, &mut out).unwrap();
            prop_assert_eq!(usize::from(len), out.len());
            let mut read = Vec::new();
            let info =
                SampleInfo::read(&out, iv.map_or(0, SampleIv::size), true, &mut read).unwrap();
            prop_assert_eq!(info.iv, iv.map(SampleIv::counter_block));
            prop_assert_eq!(info.subsamples, &runs);
        }

        #[test]
        fn no_bytes_make_it_panic(entry: Vec<u8>, iv_size: u8, has_subsamples: bool) {
            let _ = SampleInfo::read(&entry, iv_size, has_subsamples, &mut Vec::new());
        }
    }
}
