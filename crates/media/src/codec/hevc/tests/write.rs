//! Writes parameter sets and slice segment headers, line by line as in 7.3 and E.2.

use super::shape::{HEIGHT, Pictured, Sequence, Set, Shape, WIDTH, derive};

/// Writes bits, then a NAL unit with emulation prevention (7.3.1.1).
#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn u(&mut self, width: u32, value: u32) {
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn flag(&mut self, value: bool) {
        self.0.push(value);
    }

    fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let width = u64::BITS - code.leading_zeros();
        self.0.extend((1..width).map(|_| false));
        self.0.extend((0..width).rev().map(|bit| code >> bit & 1 == 1));
    }

    fn se(&mut self, value: i32) {
        self.ue(if value > 0 { value as u32 * 2 - 1 } else { value.unsigned_abs() * 2 });
    }

    /// byte_alignment( ), as rbsp_trailing_bits( ) too.
    fn align(&mut self) {
        self.flag(true);
        while !self.0.len().is_multiple_of(8) {
            self.flag(false);
        }
    }

    /// The NAL unit, and how many of its bytes hold what was written before `content`.
    fn nal(mut self, kind: u8, content: &[u8]) -> (Vec<u8>, usize) {
        self.align();
        let mut raw: Vec<u8> = self
            .0
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
            .collect();
        let written = raw.len();
        raw.extend(content);
        let (mut nal, mut zeros, mut header_len) = (vec![kind << 1, 1], 0, 2);
        for (at, byte) in raw.into_iter().enumerate() {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            nal.push(byte);
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            if at < written {
                header_len = nal.len();
            }
        }
        (nal, header_len)
    }
}

fn ceil_log2(n: u32) -> u32 {
    (0..32).find(|bits| 1_u64 << bits >= u64::from(n)).unwrap()
}

fn profile_tier_level(w: &mut BitWriter, sub_layers: u32) {
    w.u(8, 2);
    w.u(32, 0x2000_0000);
    w.u(32, 0x9000_0000);
    w.u(16, 0);
    w.u(8, 93);
    (0..sub_layers).for_each(|layer| w.u(2, layer % 4));
    if sub_layers > 0 {
        (sub_layers..8).for_each(|_| w.u(2, 0));
    }
    for layer in 0..sub_layers {
        if layer % 4 >= 2 {
            (0..11).for_each(|_| w.u(8, 0));
        }
        if layer % 2 == 1 {
            w.u(8, 60);
        }
    }
}

fn scaling_lists(w: &mut BitWriter, value: i32) {
    for size in 0..4 {
        for matrix in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            let is_told = (matrix + size) % 4 == 1;
            w.flag(is_told);
            if !is_told {
                w.ue(0);
                continue;
            }
            if size > 1 {
                w.se(value);
            }
            (0..64.min(1 << (4 + (size << 1)))).for_each(|at| w.se(at % 3 - 1));
        }
    }
}

fn set(w: &mut BitWriter, set: &Set, earlier: &[super::shape::Pictures], is_slice: bool) {
    if !earlier.is_empty() {
        w.flag(matches!(set, Set::Difference { .. }));
    }
    match set {
        Set::List(list) => {
            let after = list.iter().position(|one| one.0 > 0).unwrap_or(list.len());
            let (before, after) = list.split_at(after);
            w.ue(before.len() as u32);
            w.ue(after.len() as u32);
            for side in [before, after] {
                let mut last = 0_i32;
                for (distance, used) in side {
                    w.ue(distance.abs_diff(last) - 1);
                    w.flag(*used);
                    last = *distance;
                }
            }
        }
        Set::Difference { shift, back, flags } => {
            // Those of the SPS differ from the set right before.
            let back = if is_slice { back % earlier.len() } else { 0 };
            if is_slice {
                w.ue(back as u32);
            }
            w.flag(*shift < 0);
            w.ue(shift.unsigned_abs() - 1);
            for at in 0..=earlier[earlier.len() - 1 - back].len() {
                let (used, kept) = flags[at % flags.len()];
                w.flag(used);
                if !used {
                    w.flag(kept);
                }
            }
        }
    }
}

fn hrd(w: &mut BitWriter, sub_layers: u32, [nal, vcl, sub_pictures]: [bool; 3]) {
    w.flag(nal);
    w.flag(vcl);
    if nal || vcl {
        w.flag(sub_pictures);
        if sub_pictures {
            w.u(19, 0x155);
        }
        w.u(8, 0x21);
        if sub_pictures {
            w.u(4, 7);
        }
        w.u(15, 0x5555);
    }
    for layer in 0..=sub_layers {
        let (general, within) = (layer % 3 == 0, layer % 3 == 1);
        w.flag(general);
        if !general {
            w.flag(within);
        }
        let low_delay = !general && !within && layer % 2 == 0;
        if general || within {
            w.ue(3);
        } else {
            w.flag(low_delay);
        }
        if !low_delay {
            w.ue(1);
        }
        for _ in [nal, vcl].into_iter().filter(|is_there| *is_there) {
            for buffer in 0..if low_delay { 1 } else { 2 } {
                (0..if sub_pictures { 4 } else { 2 }).for_each(|at| w.ue(900 + at));
                w.flag(buffer == 1);
            }
        }
    }
}

fn vui(w: &mut BitWriter, sequence: &Sequence) {
    let other = sequence.has_hrd[0];
    w.flag(true);
    w.u(8, if other { 255 } else { 1 });
    if other {
        w.u(32, 0x0004_0003);
    }
    w.flag(other);
    if other {
        w.flag(false);
    }
    w.flag(true);
    w.u(4, 10);
    w.flag(!other);
    if !other {
        w.u(24, 0x09_10_09);
    }
    w.flag(other);
    if other {
        w.ue(2);
        w.ue(2);
    }
    w.u(3, 2);
    w.flag(other);
    if other {
        (0..4).for_each(|at| w.ue(at));
    }
    w.flag(true);
    w.u(32, 1001);
    w.u(32, 30000);
    w.flag(!other);
    if !other {
        w.ue(u32::MAX - 1);
    }
    w.flag(sequence.has_hrd[2]);
    if sequence.has_hrd[2] {
        hrd(w, sequence.sub_layers, sequence.has_hrd);
    }
    w.flag(other);
    if other {
        w.u(3, 5);
        (0..5).for_each(|at| w.ue(at * 3));
    }
}

pub fn sps(shape: &Shape) -> Vec<u8> {
    let mut w = BitWriter::default();
    let s = &shape.sequence;
    w.u(4, 0);
    w.u(3, s.sub_layers);
    w.flag(true);
    profile_tier_level(&mut w, s.sub_layers);
    w.ue(3);
    w.ue(s.chroma_format);
    if s.chroma_format == 3 {
        w.flag(s.separate_planes);
    }
    w.ue(WIDTH);
    w.ue(HEIGHT);
    w.flag(s.has_window);
    if s.has_window {
        [2, 3, 0, 3].into_iter().for_each(|cut| w.ue(cut));
    }
    w.ue(2);
    w.ue(4);
    w.ue(s.order_bits - 4);
    w.flag(s.has_pcm);
    (0..if s.has_pcm { s.sub_layers + 1 } else { 1 } * 3).for_each(|at| w.ue(at));
    w.ue(0);
    w.ue(s.block.ilog2() - 3);
    [0, 3, 1, 2].into_iter().for_each(|field| w.ue(field));
    w.flag(s.scaling > 0);
    if s.scaling > 0 {
        w.flag(s.scaling > 1);
        if s.scaling > 1 {
            scaling_lists(&mut w, shape.value);
        }
    }
    w.flag(true);
    w.flag(s.has_offset);
    w.flag(s.has_pcm);
    if s.has_pcm {
        w.u(8, 0x77);
        w.ue(0);
        w.ue(2);
        w.flag(true);
    }
    w.ue(shape.sps_sets.len() as u32);
    let mut sets = Vec::new();
    for one in &shape.sps_sets {
        set(&mut w, one, &sets, false);
        sets.push(derive(one, &sets));
    }
    w.flag(s.has_long_term);
    if s.has_long_term {
        w.ue(s.known_long_term.len() as u32);
        for used in &s.known_long_term {
            w.u(s.order_bits, 5);
            w.flag(*used);
        }
    }
    w.flag(s.has_vectors);
    w.flag(false);
    w.flag(s.has_vui);
    if s.has_vui {
        vui(&mut w, s);
    }
    sps_extensions(&mut w, s);
    w.nal(33, &[]).0
}

fn sps_extensions(w: &mut BitWriter, s: &Sequence) {
    w.flag(s.extensions.is_some());
    let Some([range, multilayer, screen]) = s.extensions else { return };
    [range, multilayer, false, screen].into_iter().for_each(|flag| w.flag(flag));
    w.u(4, 0);
    if range {
        w.u(9, 0x155);
    }
    if multilayer {
        w.flag(true);
    }
    if screen {
        w.flag(true);
        w.flag(s.has_palette);
        if s.has_palette {
            w.ue(31);
            w.ue(32);
            w.flag(s.has_pcm);
            if s.has_pcm {
                w.ue(6);
                (0..7).for_each(|at| w.u(10, at));
                (0..if s.chroma_format == 0 { 0 } else { 14 }).for_each(|at| w.u(12, at));
            }
        }
        w.u(2, s.resolution);
        w.flag(true);
    }
}

pub fn pps(shape: &Shape) -> Vec<u8> {
    let mut w = BitWriter::default();
    let p = &shape.picture;
    w.ue(60);
    w.ue(3);
    w.flag(p.dependent);
    w.flag(p.output);
    w.u(3, p.extra_bits);
    w.flag(true);
    w.flag(p.cabac_init);
    w.ue(p.default_refs[0]);
    w.ue(p.default_refs[1]);
    w.se(shape.value);
    w.flag(false);
    w.flag(p.transform_skip);
    w.flag(p.cabac_init);
    if p.cabac_init {
        w.ue(2);
    }
    w.se(-3);
    w.se(4);
    w.flag(p.chroma_offsets);
    p.weighted.into_iter().for_each(|flag| w.flag(flag));
    w.flag(false);
    w.flag(p.tiles.is_some());
    w.flag(p.wavefronts);
    if let Some((across, down, uniform)) = p.tiles {
        w.ue(across - 1);
        w.ue(down - 1);
        w.flag(uniform);
        if !uniform {
            (2..across + down).for_each(|at| w.ue(at));
        }
        w.flag(true);
    }
    w.flag(p.across_slices);
    w.flag(p.deblocking.is_some());
    if let Some([overridable, off]) = p.deblocking {
        w.flag(overridable);
        w.flag(off);
        if !off {
            w.se(2);
            w.se(-2);
        }
    }
    w.flag(p.output);
    if p.output {
        scaling_lists(&mut w, shape.value);
    }
    w.flag(p.lists);
    w.ue(1);
    w.flag(p.header_extension);
    pps_extensions(&mut w, p);
    w.nal(34, &[]).0
}

fn pps_extensions(w: &mut BitWriter, p: &Pictured) {
    w.flag(p.extensions.is_some());
    let Some([range, screen]) = p.extensions else { return };
    [range, false, false, screen].into_iter().for_each(|flag| w.flag(flag));
    w.u(4, 0);
    if range {
        if p.transform_skip {
            w.ue(1);
        }
        w.flag(false);
        w.flag(p.chroma_list);
        if p.chroma_list {
            w.ue(1);
            w.ue(2);
            (0..6).for_each(|at| w.se(at - 3));
        }
        w.ue(0);
        w.ue(1);
    }
    if screen {
        w.flag(p.itself);
        w.flag(p.colour_transform[0]);
        if p.colour_transform[0] {
            w.flag(p.colour_transform[1]);
            [-5, 3, 1].into_iter().for_each(|offset| w.se(offset));
        }
        w.flag(false);
    }
}

/// 7.3.6.1.
pub fn slice(shape: &Shape, content: &[u8]) -> (Vec<u8>, usize) {
    let mut w = BitWriter::default();
    let p = &shape.picture;
    w.flag(shape.is_first);
    if shape.unit_type >= 16 {
        w.flag(false);
    }
    w.ue(60);
    if !shape.is_first {
        if p.dependent {
            w.flag(shape.continues);
        }
        let (across, down) = shape.blocks();
        w.u(ceil_log2(across * down), across * down - 1);
    }
    if !shape.is_dependent() {
        independent(&mut w, shape);
    }
    if shape.has_entry_points() {
        w.ue(shape.entry_points.len() as u32);
        if !shape.entry_points.is_empty() {
            w.ue(shape.offset_bits - 1);
            shape.entry_points.iter().for_each(|offset| w.u(shape.offset_bits, *offset));
        }
    }
    if p.header_extension {
        w.ue(shape.extension_len);
        (0..shape.extension_len).for_each(|_| w.u(8, 0));
    }
    w.nal(shape.unit_type, content)
}

fn independent(w: &mut BitWriter, shape: &Shape) {
    let (s, p) = (&shape.sequence, &shape.picture);
    w.u(p.extra_bits, 0);
    w.ue(shape.slice_type);
    if p.output {
        w.flag(true);
    }
    if s.chroma_format == 3 && s.separate_planes {
        w.u(2, 1);
    }
    if !shape.is_idr() {
        order_and_references(w, shape);
    }
    let mut offsets = [false; 2];
    if s.has_offset {
        w.flag(shape.offsets[0]);
        offsets[0] = shape.offsets[0];
        if shape.has_chroma() {
            w.flag(shape.offsets[1]);
            offsets[1] = shape.offsets[1];
        }
    }
    if shape.slice_type < 2 {
        prediction(w, shape);
    }
    w.se(shape.value);
    if p.chroma_offsets {
        w.se(1);
        w.se(-1);
    }
    let [range, screen] = p.extensions.unwrap_or_default();
    if screen && p.colour_transform == [true; 2] {
        (0..3).for_each(|at| w.se(at));
    }
    if range && p.chroma_list {
        w.flag(true);
    }
    let [overridable, mut off] = p.deblocking.unwrap_or_default();
    if overridable {
        w.flag(shape.override_filter.is_some());
        if let Some(own) = shape.override_filter {
            off = own;
            w.flag(off);
            if !off {
                w.se(-6);
                w.se(6);
            }
        }
    }
    if p.across_slices && (offsets != [false; 2] || !off) {
        w.flag(true);
    }
}

fn order_and_references(w: &mut BitWriter, shape: &Shape) {
    let s = &shape.sequence;
    w.u(s.order_bits, 0);
    w.flag(shape.own_set.is_none());
    match &shape.own_set {
        Some(own) => set(w, own, &shape.sets(), true),
        None => {
            let sets = shape.sps_sets.len();
            w.u(ceil_log2(sets as u32), (shape.set_choice % sets) as u32);
        }
    }
    if s.has_long_term {
        let known = s.known_long_term.len();
        if known > 0 {
            w.ue(shape.long_of_sps.len() as u32);
        }
        w.ue(shape.long_own.len() as u32);
        let of_sps = shape.long_of_sps.iter().map(|at| Err(at % known));
        for (at, one) in of_sps.chain(shape.long_own.iter().map(Ok)).enumerate() {
            match one {
                Err(index) => w.u(ceil_log2(known as u32), index as u32),
                Ok(used) => {
                    w.u(s.order_bits, 1);
                    w.flag(*used);
                }
            }
            w.flag(at % 2 == 0);
            if at % 2 == 0 {
                w.ue(at as u32);
            }
        }
    }
    if s.has_vectors {
        w.flag(shape.vectors);
    }
}

fn prediction(w: &mut BitWriter, shape: &Shape) {
    let p = &shape.picture;
    let is_b = shape.slice_type == 0;
    let mut refs = p.default_refs;
    w.flag(shape.override_refs.is_some());
    if let Some(own) = shape.override_refs {
        w.ue(own[0]);
        refs[0] = own[0];
        if is_b {
            w.ue(own[1]);
            refs[1] = own[1];
        }
    }
    let lists = &refs[..1 + usize::from(is_b)];
    if p.lists && shape.references() > 1 {
        for last in lists {
            w.flag(shape.modifies_lists);
            if shape.modifies_lists {
                (0..=*last).for_each(|_| w.u(ceil_log2(shape.references()), 0));
            }
        }
    }
    if is_b {
        w.flag(false);
    }
    if p.cabac_init {
        w.flag(true);
    }
    if shape.sequence.has_vectors && shape.vectors && !shape.is_idr() {
        if is_b {
            w.flag(shape.from_list_0);
        }
        let last = refs[usize::from(is_b && !shape.from_list_0)];
        if last > 0 {
            w.ue(last - 1);
        }
    }
    if shape.is_weighted() {
        weights(w, shape, lists);
    }
    w.ue(4);
    let has_screen = shape.sequence.extensions.is_some_and(|[_, _, screen]| screen);
    if has_screen && shape.sequence.resolution == 2 {
        w.flag(true);
    }
}

/// 7.3.6.3.
fn weights(w: &mut BitWriter, shape: &Shape, lists: &[u32]) {
    w.ue(6);
    if shape.has_chroma() {
        w.se(-1);
    }
    for last in lists {
        (0..=*last).for_each(|entry| w.flag(entry % 2 == 0));
        if shape.has_chroma() {
            (0..=*last).for_each(|entry| w.flag(entry % 3 == 0));
        }
        for entry in 0..=*last {
            if entry % 2 == 0 {
                w.se(shape.value);
                w.se(-1);
            }
            if shape.has_chroma() && entry % 3 == 0 {
                (0..4).for_each(|part| w.se(part - shape.value));
            }
        }
    }
}
