//! The parameter sets that an H.264 or HEVC stream has sent so far, by their ids: slices name a
//! picture parameter set, which names a sequence parameter set.

use super::CodecError;

/// Sequence parameter sets `S` and picture parameter sets `P`.
#[derive(Clone, Debug)]
pub struct ParameterSets<S, P> {
    sequence: Vec<Option<S>>,
    picture: Vec<Option<P>>,
}

/// A sequence parameter set.
pub trait SequenceSet: Clone {
    /// Pixels across and down that are shown.
    fn shown(&self) -> (u32, u32);
}

/// A picture parameter set.
pub trait PictureSet: Clone {
    /// The sequence parameter set that it belongs to.
    fn sequence(&self) -> u32;
}

// By hand: the derived one asks for a default set.
impl<S, P> Default for ParameterSets<S, P> {
    fn default() -> Self {
        Self { sequence: Vec::new(), picture: Vec::new() }
    }
}

impl<S: SequenceSet, P: PictureSet> ParameterSets<S, P> {
    /// Remembers a sequence parameter set; its reader limits the id.
    pub(super) fn put_sequence(&mut self, (id, set): (u32, S)) {
        put(&mut self.sequence, id, set);
    }

    /// Remembers a picture parameter set; its reader limits the id.
    pub(super) fn put_picture(&mut self, (id, set): (u32, P)) {
        put(&mut self.picture, id, set);
    }

    /// Width and height of the largest picture that a sequence parameter set announces.
    #[must_use]
    pub fn largest_picture(&self) -> Option<(u32, u32)> {
        let pictures = self.sequence.iter().flatten().map(SequenceSet::shown);
        pictures.reduce(|(w, h), (width, height)| (w.max(width), h.max(height)))
    }

    /// The sets that a slice uses which names this picture parameter set.
    pub(super) fn active(&self, picture: u32) -> Result<(&S, &P), CodecError> {
        let found = get(&self.picture, picture).ok_or(CodecError::MissingSet("PPS", picture))?;
        let id = found.sequence();
        let sequence = get(&self.sequence, id).ok_or(CodecError::MissingSet("SPS", id))?;
        Ok((sequence, found))
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

/// What is left of a side when so many units are cut off before and behind; `None` for nothing.
pub(super) fn cropped(side: u32, before: u32, behind: u32, unit: u32) -> Option<u32> {
    let cut = before.checked_add(behind)?.checked_mul(unit)?;
    side.checked_sub(cut).filter(|left| *left > 0)
}
