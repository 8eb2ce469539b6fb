//! All that decides the shape of a slice segment header.

use proptest::prelude::*;

/// One reference of a set: distance and whether the picture uses it.
pub type Pictures = Vec<(i32, bool)>;

/// A set of the SPS: a list, or flags that choose from the set before it, shifted.
#[derive(Clone, Debug)]
pub enum Set {
    List(Pictures),
    Difference { shift: i32, back: usize, flags: Vec<(bool, bool)> },
}

#[derive(Clone, Debug)]
pub struct Sequence {
    pub sub_layers: u32,
    pub chroma_format: u32,
    pub separate_planes: bool,
    pub has_window: bool,
    pub order_bits: u32,
    pub block: u32,
    pub scaling: u32,
    pub has_offset: bool,
    pub has_pcm: bool,
    pub has_long_term: bool,
    pub known_long_term: Vec<bool>,
    pub has_vectors: bool,
    pub has_vui: bool,
    pub has_hrd: [bool; 3],
    /// Range, multilayer, screen content.
    pub extensions: Option<[bool; 3]>,
    pub has_palette: bool,
    pub resolution: u32,
}

#[derive(Clone, Debug)]
pub struct Pictured {
    pub dependent: bool,
    pub output: bool,
    pub extra_bits: u32,
    pub cabac_init: bool,
    pub default_refs: [u32; 2],
    pub transform_skip: bool,
    pub chroma_offsets: bool,
    pub weighted: [bool; 2],
    pub tiles: Option<(u32, u32, bool)>,
    pub wavefronts: bool,
    pub across_slices: bool,
    /// Can be overridden, is off.
    pub deblocking: Option<[bool; 2]>,
    pub lists: bool,
    pub header_extension: bool,
    /// Range with its list, screen content.
    pub extensions: Option<[bool; 2]>,
    pub chroma_list: bool,
    pub itself: bool,
    pub colour_transform: [bool; 2],
}

#[derive(Clone, Debug)]
pub struct Shape {
    pub sequence: Sequence,
    pub picture: Pictured,
    pub sps_sets: Vec<Set>,
    pub own_set: Option<Set>,
    pub set_choice: usize,
    pub long_of_sps: Vec<usize>,
    pub long_own: Vec<bool>,
    pub unit_type: u8,
    pub is_first: bool,
    pub continues: bool,
    pub slice_type: u32,
    pub vectors: bool,
    pub offsets: [bool; 2],
    pub override_refs: Option<[u32; 2]>,
    pub modifies_lists: bool,
    pub from_list_0: bool,
    pub override_filter: Option<bool>,
    pub entry_points: Vec<u32>,
    pub offset_bits: u32,
    pub extension_len: u32,
    pub value: i32,
}

pub const WIDTH: u32 = 648;
pub const HEIGHT: u32 = 376;

impl Shape {
    pub fn has_chroma(&self) -> bool {
        let format = self.sequence.chroma_format;
        format != 0 && !(format == 3 && self.sequence.separate_planes)
    }

    pub fn window(&self) -> (u32, u32) {
        let across = if matches!(self.sequence.chroma_format, 1 | 2) { 2 } else { 1 };
        let down = if self.sequence.chroma_format == 1 { 2 } else { 1 };
        let cut = u32::from(self.sequence.has_window);
        (WIDTH - cut * 5 * across, HEIGHT - cut * 3 * down)
    }

    pub fn is_idr(&self) -> bool {
        matches!(self.unit_type, 19 | 20)
    }

    pub fn is_dependent(&self) -> bool {
        !self.is_first && self.picture.dependent && self.continues
    }

    pub fn is_weighted(&self) -> bool {
        !self.is_dependent()
            && match self.slice_type {
                0 => self.picture.weighted[1],
                1 => self.picture.weighted[0],
                _ => false,
            }
    }

    pub fn refers_to_itself(&self) -> bool {
        self.picture.extensions.is_some_and(|[_, screen]| screen) && self.picture.itself
    }

    pub fn has_entry_points(&self) -> bool {
        self.picture.tiles.is_some() || self.picture.wavefronts
    }

    pub fn blocks(&self) -> (u32, u32) {
        (WIDTH.div_ceil(self.sequence.block), HEIGHT.div_ceil(self.sequence.block))
    }

    /// The sets of the SPS, by 7-61 and 7-62 as the standard words them.
    pub fn sets(&self) -> Vec<Pictures> {
        let mut sets = Vec::new();
        for set in &self.sps_sets {
            let next = derive(set, &sets);
            sets.push(next);
        }
        sets
    }

    pub fn used_set(&self) -> Pictures {
        let sets = self.sets();
        match &self.own_set {
            Some(own) => derive(own, &sets),
            None => sets[self.set_choice % sets.len()].clone(),
        }
    }

    /// `NumPicTotalCurr`.
    pub fn references(&self) -> u32 {
        let mut count = u32::from(self.refers_to_itself());
        if !self.is_idr() {
            count += self.used_set().iter().filter(|one| one.1).map(|_| 1).sum::<u32>();
            if self.sequence.has_long_term {
                let known = &self.sequence.known_long_term;
                let of_sps = self.long_of_sps.iter().filter(|at| known[**at % known.len()]);
                count += of_sps.map(|_| 1).sum::<u32>();
                count += self.long_own.iter().filter(|used| **used).map(|_| 1).sum::<u32>();
            }
        }
        count
    }
}

/// Pictures before, nearest first, then after, nearest first.
pub fn derive(set: &Set, earlier: &[Pictures]) -> Pictures {
    let (shift, back, flags) = match set {
        Set::List(list) => return list.clone(),
        Set::Difference { shift, back, flags } => (*shift, *back, flags),
    };
    let other = &earlier[earlier.len() - 1 - back % earlier.len()];
    let flag = |at: usize| flags[at % flags.len()];
    let keeps = |at| flag(at).0 || flag(at).1;
    let negatives = other.iter().filter(|one| one.0 < 0).count();
    let mut made = Vec::new();
    for at in (negatives..other.len()).rev().chain([other.len()]).chain(0..negatives) {
        let distance = other.get(at).map_or(0, |one| one.0) + shift;
        if distance < 0 && keeps(at) {
            made.push((distance, flag(at).0));
        }
    }
    for at in (0..negatives).rev().chain([other.len()]).chain(negatives..other.len()) {
        let distance = other.get(at).map_or(0, |one| one.0) + shift;
        if distance > 0 && keeps(at) {
            made.push((distance, flag(at).0));
        }
    }
    made
}

fn list() -> impl Strategy<Value = Set> {
    let side = || proptest::collection::vec((1_i32..9, any::<bool>()), 0..4);
    (side(), side()).prop_map(|(before, after)| {
        let mut all = Vec::new();
        for (sign, side) in [(-1, before), (1, after)] {
            let mut distance = 0;
            for (step, used) in side {
                distance += step * sign;
                all.push((distance, used));
            }
        }
        Set::List(all)
    })
}

fn difference() -> impl Strategy<Value = Set> {
    let shift = prop_oneof![-9_i32..0, 1_i32..9];
    let flags = proptest::collection::vec(any::<(bool, bool)>(), 1..8);
    (shift, 0_usize..4, flags).prop_map(|(shift, back, flags)| Set::Difference {
        shift,
        back,
        flags,
    })
}

prop_compose! {
    fn sequence()(
        (sub_layers, chroma_format, separate_planes, has_window) in (0_u32..7, 0_u32..4, any::<bool>(), any::<bool>()),
        order_bits in 4_u32..=16, block in prop_oneof![Just(16_u32), Just(32), Just(64)],
        scaling in 0_u32..3, (has_offset, has_pcm, has_long_term) in any::<(bool, bool, bool)>(),
        known_long_term in proptest::collection::vec(any::<bool>(), 0..6),
        (has_vectors, has_vui, has_hrd) in any::<(bool, bool, [bool; 3])>(),
        extensions in any::<Option<[bool; 3]>>(), has_palette: bool, resolution in 0_u32..3,
    ) -> Sequence {
        Sequence {
            sub_layers, chroma_format, separate_planes, has_window, order_bits, block, scaling,
            has_offset, has_pcm, has_long_term, known_long_term, has_vectors, has_vui, has_hrd,
            extensions, has_palette, resolution,
        }
    }
}

prop_compose! {
    fn pictured()(
        (dependent, output, cabac_init, transform_skip) in any::<(bool, bool, bool, bool)>(),
        extra_bits in 0_u32..4, default_refs in [0_u32..4, 0_u32..4],
        (chroma_offsets, weighted) in any::<(bool, [bool; 2])>(),
        tiles in proptest::option::of((1_u32..5, 1_u32..5, any::<bool>())),
        (wavefronts, across_slices, deblocking) in any::<(bool, bool, Option<[bool; 2]>)>(),
        (lists, header_extension) in any::<(bool, bool)>(),
        extensions in any::<Option<[bool; 2]>>(),
        (chroma_list, itself, colour_transform) in any::<(bool, bool, [bool; 2])>(),
    ) -> Pictured {
        Pictured {
            dependent, output, extra_bits, cabac_init, default_refs, transform_skip,
            chroma_offsets, weighted, tiles, wavefronts, across_slices, deblocking, lists,
            header_extension, extensions, chroma_list, itself, colour_transform,
        }
    }
}

prop_compose! {
    pub fn shape()(
        (sequence, picture) in (sequence(), pictured()),
        sps_sets in proptest::collection::vec(prop_oneof![list(), difference()], 0..5),
        own_set in proptest::option::of(prop_oneof![list(), difference()]), set_choice in 0_usize..5,
        long_of_sps in proptest::collection::vec(0_usize..6, 0..4),
        long_own in proptest::collection::vec(any::<bool>(), 0..4),
        unit_type in prop_oneof![0_u8..=9, 16_u8..=21],
        (is_first, continues, vectors, offsets) in any::<(bool, bool, bool, [bool; 2])>(),
        slice_type in 0_u32..3, override_refs in proptest::option::of([0_u32..15, 0_u32..15]),
        (modifies_lists, from_list_0, override_filter) in any::<(bool, bool, Option<bool>)>(),
        entry_points in proptest::collection::vec(any::<u32>(), 0..6),
        (offset_bits, extension_len, value) in (1_u32..=32, 0_u32..5, -20_i32..20),
    ) -> Shape {
        let mut made = Shape {
            sequence, picture, sps_sets, own_set, set_choice, long_of_sps, long_own, unit_type,
            is_first, continues, slice_type, vectors, offsets, override_refs, modifies_lists,
            from_list_0, override_filter, entry_points, offset_bits, extension_len, value,
        };
        // A difference needs a set before it; a choice needs a set.
        if let Some(first @ Set::Difference { .. }) = made.sps_sets.first_mut() {
            *first = Set::List(vec![(-1, true), (2, true)]);
        }
        // In the SPS a set differs from the one right before.
        for set in &mut made.sps_sets {
            if let Set::Difference { back, .. } = set {
                *back = 0;
            }
        }
        if made.sps_sets.is_empty() && !matches!(made.own_set, Some(Set::List(_))) {
            made.own_set = Some(Set::List(vec![(-3, true), (-4, false)]));
        }
        if made.sequence.known_long_term.is_empty() {
            made.long_of_sps.clear();
        }
        made.long_of_sps.truncate(made.sequence.known_long_term.len());
        if made.is_weighted() && made.refers_to_itself() {
            made.picture.itself = false;
        }
        let (across, down) = made.picture.tiles.map_or((1, 1), |(across, down, _)| (across, down));
        let rows = if made.picture.wavefronts { made.blocks().1 } else { down };
        made.entry_points.truncate((across * rows - 1) as usize);
        made
    }
}
