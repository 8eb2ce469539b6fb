//! The parameter sets that a stream has sent.

use super::picture::Pps;
use super::sequence::Sps;
use crate::codec::CodecError;

/// The parameter sets that a stream has sent so far.
#[derive(Clone, Debug, Default)]
pub struct ParameterSets {
    sps: Vec<Option<Sps>>,
    pps: Vec<Option<Pps>>,
}

impl ParameterSets {
    /// Remembers a sequence parameter set, NAL header included.
    pub fn add_sps(&mut self, nal: &[u8]) -> Result<(), CodecError> {
        let (id, sps) = Sps::parse(nal)?;
        put(&mut self.sps, id, sps);
        Ok(())
    }

    /// Remembers a picture parameter set, NAL header included.
    pub fn add_pps(&mut self, nal: &[u8]) -> Result<(), CodecError> {
        let (id, pps) = Pps::parse(nal)?;
        put(&mut self.pps, id, pps);
        Ok(())
    }

    /// Width and height of the largest picture that a sequence parameter set announces.
    #[must_use]
    pub fn largest_picture(&self) -> Option<(u32, u32)> {
        let pictures = self.sps.iter().flatten().map(|sps| sps.picture);
        pictures.reduce(|(w, h), (width, height)| (w.max(width), h.max(height)))
    }

    /// The sets that a slice with `slice_pic_parameter_set_id` uses.
    pub(super) fn active(&self, pps: u32) -> Result<(&Sps, &Pps), CodecError> {
        let found = get(&self.pps, pps).ok_or(CodecError::MissingSet("PPS", pps))?;
        let sps = get(&self.sps, found.sps).ok_or(CodecError::MissingSet("SPS", found.sps))?;
        Ok((sps, found))
    }
}

fn put<T: Clone>(sets: &mut Vec<Option<T>>, id: u32, set: T) {
    let id = id as usize;
    if sets.len() <= id {
        sets.resize(id + 1, None);
    }
    if let Some(slot) = sets.get_mut(id) {
        *slot = Some(set);
    }
}

fn get<T>(sets: &[Option<T>], id: u32) -> Option<&T> {
    sets.get(id as usize)?.as_ref()
}
