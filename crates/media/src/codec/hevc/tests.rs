//! Headers written by the tables of the standard, read back to the bit.

#![expect(clippy::cast_possible_truncation, reason = "shapes are small")]

mod shape;
mod write;

use super::*;
use proptest::prelude::*;
use shape::{Shape, shape};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_slice_header_is_read_to_its_last_bit(
        shape in shape(),
        content in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..9),
    ) {
        let mut sets = ParameterSets::default();
        prop_assert_eq!(sets.read(&write::sps(&shape)), Ok(Nal::Other));
        prop_assert_eq!(sets.read(&write::pps(&shape)), Ok(Nal::Other));
        prop_assert_eq!(sets.largest_picture(), Some(shape.window()));
        let (nal, header_len) = write::slice(&shape, &content);
        prop_assert_eq!(sets.read(&nal), Ok(Nal::Slice { header_len }));
        // Cut anywhere inside, the header is refused.
        for len in 0..header_len {
            prop_assert_eq!(
                sets.read(&nal[..len]),
                Err(CodecError::Truncated("a NAL unit"))
            );
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

    #[test]
    fn flipped_bits_never_lead_past_the_unit(
        shape in shape(),
        flips in proptest::collection::vec((0_usize..3, 2_usize..60, 0_u32..8), 1..6),
    ) {
        let mut nals =
            [write::sps(&shape), write::pps(&shape), write::slice(&shape, &[0x55; 20]).0];
        for (nal, at, bit) in flips {
            if let Some(byte) = nals[nal].get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        let mut sets = ParameterSets::default();
        for nal in &nals {
            if let Ok(Nal::Slice { header_len }) = sets.read(nal) {
                prop_assert!(header_len <= nal.len());
            }
        }
    }
}

fn shapes(count: usize) -> Vec<Shape> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| shape().new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn the_shapes_reach_every_branch() {
    let shapes = shapes(2000);
    let count = |is: fn(&Shape) -> bool| shapes.iter().filter(|shape| is(shape)).count();
    assert!(count(Shape::is_dependent) > 50, "dependent slices");
    assert!(count(|shape| shape.is_weighted()) > 50, "weights");
    assert!(count(|shape| shape.references() > 1 && shape.modifies_lists) > 50, "list entries");
    assert!(count(|shape| shape.own_set.is_some() && !shape.sps_sets.is_empty()) > 50, "own sets");
    assert!(count(|shape| shape.has_entry_points() && !shape.entry_points.is_empty()) > 50);
}

#[test]
fn content_that_would_stay_clear_is_refused() {
    for kind in (10..=15).chain(22..=31).chain([48, 49, 63]) {
        let parsed = ParameterSets::default().read(&[kind << 1, 1, 0x80]);
        assert_eq!(parsed, Err(CodecError::UnitType("NAL units", kind)));
    }
    for (first, second) in [(1 << 1 | 1, 1), (19 << 1, 1 << 3 | 1), (0, 0x3f << 3 | 1)] {
        let parsed = ParameterSets::default().read(&[first, second, 0x80]);
        assert_eq!(parsed, Err(CodecError::Unsupported("an enhancement layer")));
    }
    assert!(ParameterSets::default().read(&[0x80 | 35 << 1, 1, 0x50]).is_err());
    assert!(ParameterSets::default().read(&[35 << 1, 0, 0x50]).is_err());
    for nal in [&[][..], &[2]] {
        let parsed = ParameterSets::default().read(nal);
        assert_eq!(parsed, Err(CodecError::Truncated("a NAL unit")));
    }
    // Delimiter, SEI, Dolby Vision metadata, the set of an enhancement layer.
    for nal in [&[35 << 1, 1, 0x50][..], &[39 << 1, 1], &[62 << 1, 1, 0x19], &[34 << 1, 9, 0xff]] {
        assert_eq!(ParameterSets::default().read(nal), Ok(Nal::Other));
    }
}

#[test]
fn a_slice_without_its_sets_is_refused() {
    // First of its picture, no_output_of_prior_pics_flag, PPS 0.
    let parsed = ParameterSets::default().read(&[19 << 1, 1, 0b1010_0000, 0x80]);
    assert_eq!(parsed, Err(CodecError::MissingSet("PPS", 0)));
}

#[test]
fn a_header_that_does_not_end_in_its_alignment_is_refused() {
    for shape in shapes(200) {
        let mut sets = ParameterSets::default();
        sets.read(&write::sps(&shape)).unwrap();
        sets.read(&write::pps(&shape)).unwrap();
        let (mut nal, header_len) = write::slice(&shape, &[0xff; 4]);
        // The lowest one of the last byte is the mark: without it no header ends here.
        let last = nal[header_len - 1];
        nal[header_len - 1] = last & (last - 1) | if last & 1 == 1 { 0 } else { 1 };
        let parsed = sets.read(&nal);
        assert_ne!(parsed, Ok(Nal::Slice { header_len }), "{shape:?}");
    }
}

#[test]
fn the_codecs_string_is_that_of_annex_e() {
    let entry = crate::bmff::FourCc(*b"hvc1");
    let codecs = |space_tier_profile, compatibility, constraints, level| {
        config::Profile { space_tier_profile, compatibility, constraints, level }.codecs(entry)
    };
    let main = codecs(1, 0x6000_0000, [0xb0, 0, 0, 0, 0, 0], 93);
    assert_eq!(main, "hvc1.1.6.L93.B0");
    assert_eq!(codecs(0x22, 0x2000_0000, [0; 6], 120), "hvc1.2.4.H120");
    let range = codecs(4, 0x0800_0000, [0x9e, 0x08, 0, 1, 0, 0], 63);
    assert_eq!(range, "hvc1.4.10.L63.9E.8.0.1");
    assert_eq!(codecs(0x41, 0, [0; 6], 30), "hvc1.A1.0.L30");
}

#[test]
fn a_configuration_is_whole_and_holds_no_pictures() {
    let shape = &shapes(1)[0];
    let array = |kind: u8, nal: &[u8]| {
        [&[0x80 | kind, 0, 1][..], &(nal.len() as u16).to_be_bytes(), nal].concat()
    };
    let body = |version, length_size: u8, arrays: &[Vec<u8>]| {
        let mut body = vec![version, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        body.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0]);
        body.extend([0x0c | (length_size - 1), arrays.len() as u8]);
        body.extend(arrays.concat());
        body
    };
    let (sps, pps) = (write::sps(shape), write::pps(shape));
    let good = body(1, 4, &[array(33, &sps), array(34, &pps)]);
    let config = HevcConfig::parse(&good).unwrap();
    assert_eq!(config.length_size, 4);
    assert_eq!(config.sets.largest_picture(), Some(shape.window()));
    for len in 0..good.len() {
        assert!(HevcConfig::parse(&good[..len]).is_err(), "cut to {len}");
    }
    let picture = write::slice(shape, &[1]).0;
    let kind = picture[0] >> 1;
    let sets = [array(33, &sps), array(34, &pps), array(kind, &picture)];
    assert!(HevcConfig::parse(&body(1, 4, &sets)).is_err(), "a picture");
    assert!(HevcConfig::parse(&body(1, 4, &[array(34, &sps)])).is_err(), "the wrong array");
    assert!(HevcConfig::parse(&body(1, 4, &[array(33, &[])])).is_err(), "an empty unit");
    assert!(HevcConfig::parse(&body(0, 4, &[])).is_err(), "version");
    assert!(HevcConfig::parse(&body(1, 3, &[])).is_err(), "length size");
}
