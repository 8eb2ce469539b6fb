//! Reference frames, as far as a later frame header depends on them (AV1, 7.20 and 7.8).

use super::sequence::Sequence;
use crate::codec::CodecError;

/// Slots that frames are kept in.
pub(super) const SLOTS: usize = 8;
/// References of an inter frame: LAST, LAST2, LAST3, GOLDEN, BWDREF, ALTREF2, ALTREF.
pub(super) const REFS: usize = 7;
/// Segments of a frame.
pub(super) const SEGMENTS: usize = 8;

const GOLDEN: usize = 3;
const BWDREF: usize = 4;
const ALTREF2: usize = 5;
const ALTREF: usize = 6;
const MISSING: CodecError = CodecError::Value("a reference frame index");

/// A kept frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub is_key: bool,
    pub order_hint: u32,
    pub size: FrameSize,
    /// `FeatureData` of `SEG_LVL_ALT_Q`, where the feature is enabled.
    pub segment_qs: [Option<i32>; SEGMENTS],
}

/// Size of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameSize {
    /// `UpscaledWidth`.
    pub upscaled_width: u32,
    /// `FrameWidth`.
    pub width: u32,
    /// `FrameHeight`.
    pub height: u32,
}

/// All slots.
#[derive(Clone, Debug, Default)]
pub(super) struct References([Option<Reference>; SLOTS]);

impl References {
    /// The frame in a slot.
    pub fn at(&self, slot: usize) -> Result<&Reference, CodecError> {
        let missing = CodecError::MissingSet("reference", u32::try_from(slot).unwrap_or(u32::MAX));
        self.0.get(slot).and_then(Option::as_ref).ok_or(missing)
    }

    /// Puts a frame into the slots of a mask.
    pub fn refresh(&mut self, mask: u32, frame: Reference) {
        for (slot, kept) in self.0.iter_mut().enumerate() {
            if mask >> slot & 1 == 1 {
                *kept = Some(frame);
            }
        }
    }

    /// What a decoder puts in place of a frame that is not the one the header names: a gray frame
    /// of the largest size, with the order hint that was told (5.9.2, `ref_order_hint`).
    pub fn expect(&mut self, slot: usize, order_hint: u32, sequence: &Sequence) {
        let Some(kept) = self.0.get_mut(slot) else { return };
        if kept.is_none_or(|kept| kept.order_hint != order_hint) {
            let (width, height) = sequence.max_size;
            *kept = Some(Reference {
                is_key: false,
                order_hint,
                size: FrameSize { upscaled_width: width, width, height },
                segment_qs: [None; SEGMENTS],
            });
        }
    }

    fn order_hint(&self, slot: usize) -> u32 {
        self.0.get(slot).and_then(Option::as_ref).map_or(0, |kept| kept.order_hint)
    }

    /// `set_frame_refs` (7.8): all references out of LAST and GOLDEN.
    pub fn infer_all(
        &self,
        last: usize,
        golden: usize,
        order: Order,
    ) -> Result<[usize; REFS], CodecError> {
        let mut search = Search {
            distances: std::array::from_fn(|slot| order.distance_of(self.order_hint(slot))),
            is_used: std::array::from_fn(|slot| slot == last || slot == golden),
        };
        let mut refs = [None; REFS];
        let mut set = |name: usize, slot: Option<usize>| {
            if let Some(place @ None) = refs.get_mut(name) {
                *place = slot;
            }
        };
        set(0, Some(last));
        set(GOLDEN, Some(golden));
        set(ALTREF, search.latest(|distance| distance >= 0));
        set(BWDREF, search.earliest_backward());
        set(ALTREF2, search.earliest_backward());
        for name in [1, 2, BWDREF, ALTREF2, ALTREF] {
            if refs.get(name) == Some(&None) {
                let slot = search.latest(|distance| distance < 0);
                if let Some(place) = refs.get_mut(name) {
                    *place = slot;
                }
            }
        }
        let earliest = search.earliest_of_all();
        let mut all = [0; REFS];
        for (slot, found) in all.iter_mut().zip(refs) {
            *slot = found.or(earliest).ok_or(MISSING)?;
        }
        Ok(all)
    }

    /// `skipModeAllowed` (5.9.22) of an inter frame that selects its references.
    pub fn can_skip(&self, refs: &[usize; REFS], order: Order) -> bool {
        let distances = || refs.iter().map(|slot| order.distance_of(self.order_hint(*slot)));
        let Some(forward) = distances().filter(|distance| *distance < 0).max() else {
            return false;
        };
        distances().any(|distance| distance > 0) || distances().any(|distance| distance < forward)
    }
}

/// Order hints, seen from the current frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub bits: u32,
    pub current: u32,
}

impl Order {
    /// `get_relative_dist( hint, OrderHint )` (5.9.3).
    fn distance_of(self, hint: u32) -> i32 {
        if self.bits == 0 {
            return 0;
        }
        let difference =
            i32::try_from(hint).unwrap_or(0) - i32::try_from(self.current).unwrap_or(0);
        let sign = 1 << (self.bits - 1);
        (difference & (sign - 1)) - (difference & sign)
    }
}

/// The searches of 7.8: each takes the slot that it finds.
struct Search {
    distances: [i32; SLOTS],
    is_used: [bool; SLOTS],
}

impl Search {
    fn candidates(&self) -> impl Iterator<Item = (usize, i32)> {
        let slots = self.distances.iter().copied().zip(self.is_used).enumerate();
        slots.filter(|(_, (_, is_used))| !is_used).map(|(slot, (distance, _))| (slot, distance))
    }

    fn take(&mut self, found: Option<(usize, i32)>) -> Option<usize> {
        let (slot, _) = found?;
        if let Some(is_used) = self.is_used.get_mut(slot) {
            *is_used = true;
        }
        Some(slot)
    }

    /// The last slot of those with the latest order hint.
    fn latest(&mut self, is_wanted: impl Fn(i32) -> bool) -> Option<usize> {
        let wanted = self.candidates().filter(|(_, distance)| is_wanted(*distance));
        let found = wanted.max_by_key(|(_, distance)| *distance);
        self.take(found)
    }

    /// The first slot of those with the earliest order hint not before the current one.
    fn earliest_backward(&mut self) -> Option<usize> {
        let wanted = self.candidates().filter(|(_, distance)| *distance >= 0);
        let found = wanted.min_by_key(|(_, distance)| *distance);
        self.take(found)
    }

    fn earliest_of_all(&self) -> Option<usize> {
        let all = self.distances.iter().enumerate();
        all.min_by_key(|(_, distance)| **distance).map(|(slot, _)| slot)
    }
}
