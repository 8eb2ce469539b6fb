//! Headers written by the tables of the standard, read back to the bit.

use super::*;
use proptest::prelude::*;

/// Writes bits, then a NAL unit with emulation prevention (7.3.1).
#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn u(&mut self, width: u32, value: u32) {
        self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
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

    /// The NAL unit, and how many of its bytes hold what was written before `content`.
    fn nal(mut self, header: u8, content: &[u8]) -> (Vec<u8>, usize) {
        let bits = self.0.len();
        while !self.0.len().is_multiple_of(8) {
            self.0.push(true);
        }
        let mut raw: Vec<u8> = self
            .0
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
            .collect();
        raw.extend(content);
        let (mut nal, mut zeros, mut header_len) = (vec![header], 0, 1);
        for (at, byte) in raw.into_iter().enumerate() {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            nal.push(byte);
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            if at * 8 < bits {
                header_len = nal.len();
            }
        }
        (nal, header_len)
    }
}

/// All that decides the shape of a slice header.
#[derive(Clone, Debug)]
struct Shape {
    is_high: bool,
    chroma_format: u32,
    separate_planes: bool,
    has_scaling: bool,
    frame_num_bits: u32,
    order_type: u32,
    order_bits: u32,
    order_always_zero: bool,
    frame_mbs_only: bool,
    is_cabac: bool,
    bottom_field_order: bool,
    change_rate: Option<u32>,
    default_refs: [u32; 2],
    weighted: bool,
    biweighted: u32,
    deblocking: bool,
    redundant: bool,
    slice_type: u32,
    is_idr: bool,
    is_reference: bool,
    is_field: bool,
    override_refs: Option<[u32; 2]>,
    modifications: Vec<u32>,
    markings: Vec<u32>,
    deblocking_idc: u32,
    value: i32,
}

const WIDTH_MBS: u32 = 40;
const HEIGHT_UNITS: u32 = 23;

fn sps(shape: &Shape) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.u(8, if shape.is_high { 100 } else { 77 });
    w.u(16, 0x0028);
    w.ue(3);
    if shape.is_high {
        w.ue(shape.chroma_format);
        if shape.chroma_format == 3 {
            w.u(1, shape.separate_planes.into());
        }
        w.ue(2);
        w.ue(0);
        w.u(1, 0);
        w.u(1, shape.has_scaling.into());
        if shape.has_scaling {
            for list in 0..if shape.chroma_format == 3 { 12 } else { 8 } {
                let is_there = list % 3 != 1;
                w.u(1, is_there.into());
                if is_there {
                    // One step, then "as the one before": the list ends early.
                    w.se(shape.value % 8 + 9);
                    w.se(-(shape.value % 8 + 17));
                }
            }
        }
    }
    w.ue(shape.frame_num_bits - 4);
    w.ue(shape.order_type);
    match shape.order_type {
        0 => w.ue(shape.order_bits - 4),
        1 => {
            w.u(1, shape.order_always_zero.into());
            w.se(shape.value);
            w.se(-shape.value);
            w.ue(2);
            w.se(1);
            w.se(-1);
        }
        _ => {}
    }
    w.ue(4);
    w.u(1, 0);
    w.ue(WIDTH_MBS - 1);
    w.ue(HEIGHT_UNITS - 1);
    w.u(1, shape.frame_mbs_only.into());
    if !shape.frame_mbs_only {
        w.u(1, 1);
    }
    w.u(1, 1);
    w.u(1, 0);
    w.u(1, 0);
    w.nal(0x67, &[0x80]).0
}

fn pps(shape: &Shape) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.ue(70);
    w.ue(3);
    w.u(1, shape.is_cabac.into());
    w.u(1, shape.bottom_field_order.into());
    w.ue(shape.change_rate.is_some().into());
    if let Some(rate) = shape.change_rate {
        w.ue(4);
        w.u(1, 1);
        w.ue(rate - 1);
    }
    w.ue(shape.default_refs[0]);
    w.ue(shape.default_refs[1]);
    w.u(1, shape.weighted.into());
    w.u(2, shape.biweighted);
    w.se(shape.value);
    w.se(0);
    w.se(-2);
    w.u(1, shape.deblocking.into());
    w.u(1, 1);
    w.u(1, shape.redundant.into());
    w.nal(0x68, &[0x80]).0
}

/// 7.3.3, line by line.
fn slice(shape: &Shape, content: &[u8]) -> (Vec<u8>, usize) {
    let mut w = BitWriter::default();
    let kind = shape.slice_type % 5;
    let (is_p, is_b) = (kind == 0 || kind == 3, kind == 1);
    picture(&mut w, shape);
    if is_b {
        w.u(1, 1);
    }
    let mut refs = shape.default_refs;
    if is_p || is_b {
        w.u(1, shape.override_refs.is_some().into());
        if let Some(own) = shape.override_refs {
            w.ue(own[0]);
            refs[0] = own[0];
            if is_b {
                w.ue(own[1]);
                refs[1] = own[1];
            }
        }
        (0..1 + u32::from(is_b)).for_each(|_| modifications(&mut w, shape));
    }
    if shape.weighted && is_p || shape.biweighted == 1 && is_b {
        weights(&mut w, shape, &refs[..1 + usize::from(is_b)]);
    }
    if shape.is_reference {
        marking(&mut w, shape);
    }
    if shape.is_cabac && (is_p || is_b) {
        w.ue(2);
    }
    w.se(shape.value);
    if kind == 3 {
        w.u(1, 0);
    }
    if kind >= 3 {
        w.se(-3);
    }
    if shape.deblocking {
        w.ue(shape.deblocking_idc);
        if shape.deblocking_idc != 1 {
            w.se(-6);
            w.se(6);
        }
    }
    if let Some(rate) = shape.change_rate {
        let quotient = f64::from(WIDTH_MBS * HEIGHT_UNITS) / f64::from(rate);
        let width = (0..32).find(|bits| f64::from(1_u32 << bits) >= quotient + 1.0).unwrap();
        w.u(width, 1);
    }
    let header = u8::from(shape.is_reference) << 5 | if shape.is_idr { 5 } else { 1 };
    w.nal(header, content)
}

/// Up to `redundant_pic_cnt`.
fn picture(w: &mut BitWriter, shape: &Shape) {
    w.ue(0);
    w.ue(shape.slice_type);
    w.ue(70);
    if shape.is_high && shape.chroma_format == 3 && shape.separate_planes {
        w.u(2, 1);
    }
    w.u(shape.frame_num_bits, 0);
    let is_field = !shape.frame_mbs_only && shape.is_field;
    if !shape.frame_mbs_only {
        w.u(1, is_field.into());
        if is_field {
            w.u(1, 0);
        }
    }
    if shape.is_idr {
        w.ue(9);
    }
    let second = shape.bottom_field_order && !is_field;
    if shape.order_type == 0 {
        w.u(shape.order_bits, 0);
        if second {
            w.se(shape.value);
        }
    }
    if shape.order_type == 1 && !shape.order_always_zero {
        w.se(shape.value);
        if second {
            w.se(0);
        }
    }
    if shape.redundant {
        w.ue(5);
    }
}

fn modifications(w: &mut BitWriter, shape: &Shape) {
    w.u(1, (!shape.modifications.is_empty()).into());
    if shape.modifications.is_empty() {
        return;
    }
    for idc in &shape.modifications {
        w.ue(*idc);
        w.ue(shape.value.unsigned_abs());
    }
    w.ue(3);
}

fn weights(w: &mut BitWriter, shape: &Shape, lists: &[u32]) {
    let has_chroma = !shape.is_high
        || shape.chroma_format != 0 && !(shape.chroma_format == 3 && shape.separate_planes);
    w.ue(7);
    if has_chroma {
        w.ue(1);
    }
    for entries in lists {
        for entry in 0..=*entries {
            w.u(1, (entry % 2 == 0).into());
            if entry % 2 == 0 {
                w.se(shape.value);
                w.se(-1);
            }
            if has_chroma {
                w.u(1, (entry % 3 == 0).into());
                if entry % 3 == 0 {
                    (0..4).for_each(|part| w.se(part - shape.value));
                }
            }
        }
    }
}

fn marking(w: &mut BitWriter, shape: &Shape) {
    if shape.is_idr {
        w.u(2, 1);
        return;
    }
    w.u(1, (!shape.markings.is_empty()).into());
    if shape.markings.is_empty() {
        return;
    }
    for operation in &shape.markings {
        w.ue(*operation);
        if matches!(operation, 1 | 3) {
            w.ue(3);
        }
        if *operation == 2 {
            w.ue(0);
        }
        if matches!(operation, 3 | 6) {
            w.ue(1);
        }
        if *operation == 4 {
            w.ue(7);
        }
    }
    w.ue(0);
}

prop_compose! {
    fn stream_shape()(
        is_high: bool, chroma_format in 0_u32..4, separate_planes: bool, has_scaling: bool,
        frame_num_bits in 4_u32..=16, order_type in 0_u32..3, order_bits in 4_u32..=16,
        order_always_zero: bool, frame_mbs_only: bool, is_cabac: bool, bottom_field_order: bool,
        change_rate in proptest::option::of(1_u32..1000),
    ) -> Shape {
        Shape {
            is_high, chroma_format, separate_planes, has_scaling, frame_num_bits, order_type,
            order_bits, order_always_zero, frame_mbs_only, is_cabac, bottom_field_order, change_rate,
            default_refs: [0; 2], weighted: false, biweighted: 0, deblocking: false,
            redundant: false, slice_type: 0, is_idr: false, is_reference: false, is_field: false,
            override_refs: None, modifications: Vec::new(), markings: Vec::new(),
            deblocking_idc: 0, value: 0,
        }
    }
}

prop_compose! {
    fn shape()(
        stream in stream_shape(),
        default_refs: [bool; 2], weighted: bool, biweighted in 0_u32..3, deblocking: bool,
        redundant: bool, slice_type in 0_u32..10, (is_idr, is_reference) in any::<(bool, bool)>(), is_field: bool,
        override_refs in proptest::option::of([0_u32..32, 0_u32..32]),
        modifications in proptest::collection::vec(0_u32..3, 0..5),
        markings in proptest::collection::vec(1_u32..7, 0..5),
        deblocking_idc in 0_u32..3, value in -20_i32..20,
    ) -> Shape {
        Shape {
            default_refs: default_refs.map(|two| u32::from(two) * 2), weighted, biweighted,
            deblocking, redundant, slice_type, is_idr, is_reference: is_reference || is_idr,
            is_field, override_refs, modifications, markings, deblocking_idc, value,
            ..stream
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_slice_header_is_read_to_its_last_bit(
        shape in shape(),
        content in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..9),
    ) {
        let mut sets = ParameterSets::default();
        prop_assert_eq!(sets.read(&sps(&shape)), Ok(Nal::Other));
        prop_assert_eq!(sets.read(&pps(&shape)), Ok(Nal::Other));
        let fields = if shape.frame_mbs_only { 1 } else { 2 };
        prop_assert_eq!(
            sets.largest_picture(),
            Some((WIDTH_MBS * 16, HEIGHT_UNITS * 16 * fields))
        );
        let (nal, header_len) = slice(&shape, &content);
        prop_assert_eq!(sets.read(&nal), Ok(Nal::Slice { header_len }));
        // Cut anywhere inside, the header is refused.
        for len in 0..header_len {
            prop_assert_eq!(sets.read(&nal[..len]), Err(CodecError::Truncated("a NAL unit")));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(nals: Vec<Vec<u8>>) {
        let mut sets = ParameterSets::default();
        for nal in nals {
            if let Ok(Nal::Slice { header_len }) = sets.read(&nal) {
                prop_assert!(header_len <= nal.len());
            }
        }
    }
}

#[test]
fn cropping_decides_the_picture() {
    // 1920 × 1088 coded, 8 lines cut off: x264, level 4.0.
    let nal = [
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00,
        0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x60, 0xc6, 0x58,
    ];
    let mut sets = ParameterSets::default();
    sets.read(&nal).unwrap();
    assert_eq!(sets.largest_picture(), Some((1920, 1080)));
}

#[test]
fn content_that_would_stay_clear_is_refused() {
    for kind in [2, 3, 4, 19, 20, 21] {
        let parsed = ParameterSets::default().read(&[kind, 0x80]);
        assert_eq!(parsed, Err(CodecError::UnitType("NAL units", kind)));
    }
    assert!(ParameterSets::default().read(&[0x80 | 9, 0x10]).is_err());
    assert_eq!(ParameterSets::default().read(&[]), Err(CodecError::Truncated("a NAL unit")));
    assert_eq!(ParameterSets::default().read(&[9, 0x10]), Ok(Nal::Other));
}

#[test]
fn a_slice_without_its_sets_is_refused() {
    // first_mb 0, type 7, PPS 0
    let parsed = ParameterSets::default().read(&[0x65, 0b1000_1000, 0b1000_0000]);
    assert_eq!(parsed, Err(CodecError::MissingSet("PPS", 0)));
}
