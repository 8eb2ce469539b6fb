//! What a fragment says of each of its samples' encryption: `senc` (ISO/IEC 23001-7:2016, 7.2), and
//! how long that is (`saiz`, ISO/IEC 14496-12:2015, 8.7.8).

use crate::segment::SegmentError;
use media::bmff::Fields;
use media::cenc::{SampleInfo, Subsample};

/// The entries of `senc`, taken one after the other.
pub struct Infos<'a> {
    fields: Fields<'a>,
    has_subsamples: bool,
    subsamples: Vec<Subsample>,
}

impl<'a> Infos<'a> {
    /// Reads the head of a box that is about so many samples.
    pub fn read(senc: &'a [u8], samples: usize) -> Result<Self, SegmentError> {
        let mut fields = Fields::new(senc);
        let (_, flags) = fields.version_and_flags()?;
        if usize::try_from(fields.u32()?) != Ok(samples) {
            return Err(SegmentError::Malformed("senc is of other samples"));
        }
        Ok(Self { fields, has_subsamples: flags & 2 != 0, subsamples: vec![] })
    }

    /// The next sample's, with an IV of so many bytes.
    pub fn next(&mut self, iv_size: u8) -> Result<SampleInfo<'_>, SegmentError> {
        let mut length = usize::from(iv_size);
        if self.has_subsamples {
            length = length.saturating_add(self.subsamples_length(length)?);
        }
        let entry = self.fields.take(length)?;
        SampleInfo::read(entry, iv_size, self.has_subsamples, &mut self.subsamples)
            .map_err(|_| SegmentError::Malformed("senc does not read"))
    }

    /// Passes over what stands of a sample in the clear: nothing, or a map of it. Where the
    /// fragment does not say how long that is, it is as of other samples, without an IV; but
    /// nothing where nothing is left.
    pub fn pass(&mut self, size: Option<u8>) -> Result<(), SegmentError> {
        let length = match size {
            Some(size) => usize::from(size),
            None if self.has_subsamples && !self.fields.rest().is_empty() => {
                self.subsamples_length(0)?
            }
            None => 0,
        };
        self.fields.take(length)?;
        Ok(())
    }

    /// The length of the map that stands so far ahead.
    fn subsamples_length(&self, ahead: usize) -> Result<usize, SegmentError> {
        let mut fields = self.fields.clone();
        fields.take(ahead)?;
        Ok(usize::from(fields.u16()?).saturating_mul(6).saturating_add(2))
    }

    /// Refuses what goes on behind the last sample.
    pub fn ended(&self) -> Result<(), SegmentError> {
        let is_over = self.fields.rest().is_empty();
        is_over.then_some(()).ok_or(SegmentError::Malformed("senc goes on behind its samples"))
    }
}

/// How many bytes each sample's information has.
pub struct InfoSizes {
    /// Of every sample; 0: each has its own.
    common: u8,
    own: Vec<u8>,
}

impl InfoSizes {
    /// Reads the body of `saiz`.
    pub fn read(saiz: &[u8]) -> Result<Self, SegmentError> {
        let mut fields = Fields::new(saiz);
        let (_, flags) = fields.version_and_flags()?;
        if flags & 1 != 0 {
            // The type of the information, and its parameter.
            fields.take(8)?;
        }
        let (common, count) = (fields.u8()?, fields.u32()?);
        let own = if common == 0 {
            fields.take(usize::try_from(count).unwrap_or(usize::MAX))?.to_vec()
        } else {
            vec![]
        };
        Ok(Self { common, own })
    }

    /// Of a sample, counted from 0.
    pub fn of(&self, number: usize) -> u8 {
        if self.common > 0 { self.common } else { self.own.get(number).copied().unwrap_or(0) }
    }
}
