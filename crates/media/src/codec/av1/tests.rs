//! AV1 headers written by the tables of the standard, read back to the bit.

use super::references::{FrameSize, Order, Reference, SEGMENTS};
use super::*;
use crate::codec::CodecError;
use proptest::prelude::*;

/// A header, written field by field as in the syntax tables.
#[derive(Clone, Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn f(mut self, n: u32, value: u32) -> Self {
        self.0.extend((0..n).rev().map(|at| value >> at & 1 == 1));
        self
    }

    fn zeros(self, n: u32) -> Self {
        (0..n).fold(self, |bits, _| bits.f(1, 0))
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

fn obu(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind << 3 | 2];
    let mut size = payload.len();
    while size >= 0x80 {
        bytes.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    bytes.push(u8::try_from(size).unwrap());
    [&bytes, payload].concat()
}

/// A sequence header with all tools of the frame header switched on. Frames are up to
/// `width` times 256 pixels; ids have 5 bits, order hints 7.
fn sequence_bits(width: u32) -> Writer {
    Writer::default()
        .f(3, 0) // seq_profile
        .f(2, 0) // still_picture, reduced_still_picture_header
        .f(1, 0) // timing_info_present_flag
        .f(1, 0) // initial_display_delay_present_flag
        .f(5, 0) // operating_points_cnt_minus_1
        .f(12, 0)
        .f(5, 8) // seq_level_idx
        .f(1, 0) // seq_tier
        .f(4, 15)
        .f(4, 15)
        .f(16, width - 1)
        .f(16, 255)
        .f(1, 1) // frame_id_numbers_present_flag
        .f(4, 0)
        .f(3, 2) // ids of 5 bits, differences of 2
        .f(1, 0) // use_128x128_superblock
        .f(2, 3)
        .f(2, 3)
        .f(1, 1) // enable_warped_motion
        .f(1, 1)
        .f(3, 0b111) // enable_order_hint, enable_jnt_comp, enable_ref_frame_mvs
        .f(1, 1) // seq_choose_screen_content_tools
        .f(1, 1) // seq_choose_integer_mv
        .f(3, 6) // order hints of 7 bits
        .f(3, 0b111) // enable_superres, enable_cdef, enable_restoration
        .f(1, 0) // high_bitdepth
        .f(1, 0) // mono_chrome
        .f(1, 0) // color_description_present_flag
        .f(1, 0) // color_range
        .f(2, 0) // chroma_sample_position
        .f(1, 1) // separate_uv_delta_q
        .f(1, 1) // film_grain_params_present
        .f(1, 1) // trailing bit
}

fn sequence(width: u32) -> Vec<u8> {
    obu(kind::SEQUENCE_HEADER, &sequence_bits(width).bytes())
}

/// What stands between the size and the tiles' end of a header without loss: no quantizer, no
/// segments. `tile_bits` are `tile_info`.
fn lossless(bits: Writer, tile_bits: &[(u32, u32)]) -> Writer {
    let bits = bits.f(1, 1); // disable_frame_end_update_cdf
    let bits = tile_bits.iter().fold(bits, |bits, (n, value)| bits.f(*n, *value));
    bits.f(8, 0) // base_q_idx
        .f(1, 0) // delta_coded of luma
        .f(1, 1) // diff_uv_delta
        .f(4, 0)
        .f(1, 0) // using_qmatrix
        .f(1, 0) // segmentation_enabled
}

/// Uniform tiles, one of them, where one superblock column and several rows allow no more
/// columns: `uniform_tile_spacing_flag`, `increment_tile_rows_log2`.
const ONE_TILE: &[(u32, u32)] = &[(1, 1), (1, 0)];

/// A shown key frame 64 pixels wide.
fn key_frame(tile_bits: &[(u32, u32)]) -> Writer {
    let bits = Writer::default()
        .f(1, 0) // show_existing_frame
        .f(2, 0) // frame_type
        .f(1, 1) // show_frame
        .f(1, 0) // disable_cdf_update
        .f(1, 0) // allow_screen_content_tools
        .f(5, 3) // current_frame_id
        .f(1, 0) // frame_size_override_flag
        .f(7, 9) // order_hint
        .f(1, 0) // use_superres
        .f(1, 0); // render_and_frame_size_different
    lossless(bits, tile_bits)
        .f(1, 1) // reduced_tx_set
        .f(1, 0) // apply_grain
}

fn config(width: u32) -> Av1Config {
    let body = [&[0x81, 0x08, 0x0c, 0][..], &sequence(width)].concat();
    Av1Config::parse(&body, (width, 256)).unwrap()
}

fn runs(config: &mut Av1Config, sample: &[u8]) -> Result<Vec<(usize, usize)>, What> {
    let mut runs = Vec::new();
    config.runs(sample, &mut runs)?;
    let covered: usize = runs.iter().map(|run| run.clear + run.content).sum();
    assert_eq!(covered, sample.len());
    Ok(runs.iter().map(|run| (run.clear, run.content)).collect())
}

fn frame(header: &Writer, tiles: &[u8]) -> Vec<u8> {
    obu(kind::FRAME, &[&header.bytes(), tiles].concat())
}

fn codec_error(result: Result<Vec<(usize, usize)>, What>) -> CodecError {
    match result {
        Err(What::Malformed(Malformed::Codec(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_frame_of_one_tile() {
    let header = key_frame(ONE_TILE);
    let head = header.bytes().len();
    let sample = [obu(5, b"metadata"), frame(&header, &[7; 100])].concat();
    let found = runs(&mut config(64), &sample).unwrap();
    assert_eq!(found, [(10 + 2 + head, 100)]);
    // The last unit may lack its size.
    let bare = [&[kind::FRAME << 3][..], &header.bytes(), &[7; 100]].concat();
    assert_eq!(runs(&mut config(64), &bare).unwrap(), [(1 + head, 100)]);
}

#[test]
fn what_a_segment_adds_makes_a_frame_lossy_and_is_inherited() {
    // As the key frame, up to using_qmatrix.
    let mut key = key_frame(ONE_TILE);
    key.0.truncate(key.0.len() - 3);
    let mut key = key.f(1, 1); // segmentation_enabled
    for feature in 0..64 {
        // Only SEG_LVL_ALT_Q of segment 3, which adds 5.
        key = if feature == 24 { key.f(1, 1).f(9, 5) } else { key.f(1, 0) };
    }
    let lossy_end = |bits: Writer| {
        bits.f(12, 0) // loop_filter_level of luma
            .f(3, 0)
            .f(1, 1) // loop_filter_delta_enabled
            .f(1, 1) // loop_filter_delta_update
            .f(1, 1)
            .f(7, 0x7f)
            .zeros(9)
            .f(2, 0) // cdef_damping_minus_3
            .f(2, 1) // cdef_bits
            .zeros(24)
            .f(6, 0b01_0001) // lr_type
            .f(2, 0b11) // lr_unit_shift, lr_unit_extra_shift
            .f(1, 0) // lr_uv_shift
            .f(1, 0) // tx_mode_select
    };
    let key = lossy_end(key)
        .f(1, 1) // reduced_tx_set
        .f(1, 0); // apply_grain
    let mut config = config(64);
    let sample = frame(&key, &[9; 50]);
    assert_eq!(runs(&mut config, &sample).unwrap(), [(2 + key.bytes().len(), 50)]);

    let inter = inter_frame_head()
        .f(1, 1) // segmentation_enabled
        .f(1, 0) // segmentation_update_map
        .f(1, 0); // segmentation_update_data
    let inter = inter_frame_tail(lossy_end(inter));
    let sample = frame(&inter, &[9; 50]);
    assert_eq!(runs(&mut config, &sample).unwrap(), [(2 + inter.bytes().len(), 50)]);
}

/// An inter frame of the size of its third reference, up to `using_qmatrix`.
fn inter_frame_head() -> Writer {
    let bits = Writer::default()
        .f(1, 0) // show_existing_frame
        .f(2, 1) // frame_type
        .f(1, 0) // show_frame
        .f(1, 1) // showable_frame
        .f(1, 0) // error_resilient_mode
        .f(1, 1) // disable_cdf_update
        .f(1, 1) // allow_screen_content_tools
        .f(1, 0) // force_integer_mv
        .f(5, 4) // current_frame_id
        .f(1, 1) // frame_size_override_flag
        .f(7, 12) // order_hint
        .f(3, 2) // primary_ref_frame
        .f(8, 0b10) // refresh_frame_flags
        .f(1, 0); // frame_refs_short_signaling
    let bits = (0..7).fold(bits, |bits, slot| bits.f(3, slot).f(2, 0));
    let bits = bits
        .f(3, 0b001) // found_ref
        .f(1, 0) // use_superres
        .f(1, 1) // allow_high_precision_mv
        .f(1, 0) // is_filter_switchable
        .f(2, 1)
        .f(1, 0) // is_motion_mode_switchable
        .f(1, 1); // use_ref_frame_mvs
    let bits = ONE_TILE.iter().fold(bits, |bits, (n, value)| bits.f(*n, *value));
    bits.f(8, 0).f(1, 0).f(1, 0).f(2, 0).f(1, 0)
}

/// From `reference_select` to the end. All references lie at one time, so there is no skip mode.
fn inter_frame_tail(bits: Writer) -> Writer {
    bits.f(1, 1) // reference_select
        .f(1, 0) // allow_warped_motion
        .f(1, 0) // reduced_tx_set
        .f(3, 0b101) // LAST has a global translation
        .f(4, 0b0111)
        .f(3, 0b110)
        .f(4, 0b1111)
        .zeros(6)
        .f(1, 1) // apply_grain
        .f(16, 0xabcd)
        .f(1, 0) // update_grain
        .f(3, 5) // film_grain_params_ref_idx
}

#[test]
fn tiles_in_several_groups_behind_copies_of_the_header() {
    // 256 superblock columns of 64 pixels: 4 tile columns at least, one row by choice.
    let width = 256 * 64;
    let tile_bits = [(1, 1), (1, 0), (1, 0), (2, 0), (2, 1)];
    let header = key_frame(&tile_bits).f(1, 1).bytes();
    // First and last tile; a size of two bytes, less one; the last tile has none.
    let first = [&[0b1000_1000, 2, 0, 1, 2, 3][..], &[6; 9]].concat();
    let second = [&[0b1101_1000, 0, 0, 4][..], &[6; 300]].concat();
    let sample = [
        obu(kind::FRAME_HEADER, &header),
        obu(kind::TILE_GROUP, &first),
        obu(kind::REDUNDANT_FRAME_HEADER, &header),
        obu(kind::TILE_GROUP, &second),
        obu(15, &[0; 4]),
    ]
    .concat();
    let head = 2 + header.len();
    let expected = [(head + 2 + 1 + 2, 3), (0, 9), (head + 3 + 1 + 2, 1), (0, 300), (6, 0)];
    assert_eq!(runs(&mut config(width), &sample).unwrap(), expected);

    let broken = |units: &[Vec<u8>]| codec_error(runs(&mut config(width), &units.concat()));
    let header = obu(kind::FRAME_HEADER, &header);
    let groups = [obu(kind::TILE_GROUP, &first), obu(kind::TILE_GROUP, &second)];
    let order = CodecError::Value("the order of frame headers and tiles");
    let numbers = CodecError::Value("the tiles of a group");
    assert_eq!(broken(&groups), order);
    assert_eq!(broken(&[header.clone(), groups[1].clone()]), numbers);
    assert_eq!(broken(&[header.clone(), groups[0].clone(), groups[0].clone()]), numbers);
    let cut_off = CodecError::Truncated("a frame");
    assert_eq!(broken(&[header.clone(), groups[0].clone()]), cut_off);
    assert_eq!(broken(&[header.clone(), obu(kind::TEMPORAL_DELIMITER, &[])]), cut_off);
    let too_long = obu(kind::TILE_GROUP, &[0b1000_1000, 0xff, 0xff, 1, 2, 3]);
    assert_eq!(broken(&[header.clone(), too_long]), CodecError::Truncated("a tile group"));
    let empty = obu(kind::TILE_GROUP, &[0b1000_1000, 0, 0, 1]);
    assert_eq!(broken(&[header, empty]), CodecError::Truncated("a tile group"));
}

#[test]
fn a_shown_key_frame_refreshes_all_and_needs_no_tiles() {
    let mut config = config(64);
    let show = |slot| {
        obu(kind::FRAME_HEADER, &Writer::default().f(1, 1).f(3, slot).f(5, 3).f(1, 1).bytes())
    };
    let missing = CodecError::MissingSet("reference", 6);
    assert_eq!(codec_error(runs(&mut config, &show(6))), missing);
    runs(&mut config, &frame(&key_frame(ONE_TILE), &[7; 100])).unwrap();
    assert_eq!(runs(&mut config, &show(6)).unwrap(), [(4, 0)]);
    let no_tiles = [&[kind::FRAME << 3 | 2, 2][..], &show(6)[2..]].concat();
    let order = CodecError::Value("the order of frame headers and tiles");
    assert_eq!(codec_error(runs(&mut config, &no_tiles)), order);
}

#[test]
fn what_would_stay_clear_or_cannot_be_read_is_refused() {
    // A larger sequence is none of our business, a larger frame is.
    let mut small = config(64);
    assert!(runs(&mut small, &sequence(65)).is_ok());
    let larger = frame(&key_frame(&[(1, 1), (1, 0), (1, 0)]), &[7; 9]);
    assert!(matches!(
        runs(&mut small, &larger),
        Err(What::Unsupported(Unsupported::Feature(what))) if what.contains("larger")
    ));
    assert!(matches!(
        runs(&mut config(64), &obu(kind::TILE_LIST, &[0; 9])),
        Err(What::Unsupported(Unsupported::Feature("large scale tile coding")))
    ));
    let mut bare = Av1Config::parse(&[0x81, 8, 0x0c, 0], (64, 64)).unwrap();
    let missing = CodecError::MissingSet("sequence header", 0);
    let sample = frame(&key_frame(ONE_TILE), &[7; 9]);
    assert_eq!(codec_error(runs(&mut bare, &sample)), missing);
    let picture = [&[0x81, 8, 0x0c, 0][..], &sequence(64), &sample].concat();
    assert!(Av1Config::parse(&picture, (64, 64)).is_err());
    for body in [&[0x01, 8, 0x0c, 0][..], &[0x82, 8, 0x0c, 0], &[0x81, 8, 0x2c, 0], &[0x81, 8]] {
        assert!(Av1Config::parse(body, (64, 64)).is_err(), "{body:x?}");
    }
}

#[test]
fn told_tile_sizes_are_counted() {
    // 65 columns of one superblock each: one more than there may be.
    let size = FrameSize { upscaled_width: 65 * 64, width: 65 * 64, height: 64 };
    let read = |bits: &Writer| {
        tiles::TileLayout::read(&mut HeaderBits::new(&bits.bytes(), "tiles"), size, false)
    };
    let columns = |widths: &[u32]| {
        let mut left = 65;
        widths.iter().fold(Writer::default().f(1, 0), |bits, width| {
            // ns(n): the first 2^w - n values a bit shorter
            let n = 64.min(left);
            left -= width;
            let w = 32 - u32::leading_zeros(n);
            let short = (1 << w) - n;
            let value = width - 1;
            if value < short { bits.f(w - 1, value) } else { bits.f(w, value + short) }
        })
    };
    assert_eq!(read(&columns(&[1; 65]).zeros(64)), Err(CodecError::Value("the number of tiles")));
    let layout = read(&columns(&[64, 1]).f(1, 0).f(2, 3)).unwrap();
    assert_eq!(layout.count, 2);
    // Wider than a tile may be: at least two columns.
    assert_eq!(read(&Writer::default().f(2, 0b10).f(9, 0)).unwrap().count, 2);
}

#[test]
fn references_out_of_last_and_golden() {
    let sequence = Sequence::parse(&sequence_bits(64).bytes()).unwrap();
    let mut references = References::default();
    // Slots with the order hints around 127 and its wrap; the current frame is at 2.
    for (slot, hint) in [120, 126, 1, 4, 10, 0, 124, 6].into_iter().enumerate() {
        references.expect(slot, hint, &sequence);
    }
    let order = Order { bits: 7, current: 2 };
    let refs = references.infer_all(2, 0, order).unwrap();
    // LAST2 and LAST3: the latest before; ALTREF: the latest behind, then the earliest ones.
    assert_eq!(refs, [2, 5, 1, 0, 3, 7, 4]);
    assert!(references.can_skip(&refs, order));
    // With nothing behind it, two different times before it are needed.
    let last = Order { bits: 7, current: 11 };
    assert!(references.can_skip(&[4, 4, 4, 4, 4, 4, 7], last));
    assert!(!references.can_skip(&[4; 7], last));
    assert!(!references.can_skip(&[4; 7], Order { bits: 7, current: 10 }));
    // All before it: what is left over is the earliest.
    let refs = references.infer_all(4, 7, last).unwrap();
    assert_eq!(refs, [4, 3, 2, 7, 5, 1, 6]);
    let kept = references.at(3).unwrap();
    let size = FrameSize { upscaled_width: 64, width: 64, height: 256 };
    let gray = Reference { is_key: false, order_hint: 4, size, segment_qs: [None; SEGMENTS] };
    assert_eq!(*kept, gray);
}

#[test]
fn codecs_strings() {
    let codecs = |fixed: [u8; 4], description: &[u8]| {
        let mut config = Av1Config::parse(&fixed, (64, 64)).unwrap();
        if let [primaries, transfer, matrix, range] = description {
            config.color.description = [*primaries, *transfer, *matrix];
            config.color.is_full_range = *range == 1;
        }
        config.codecs()
    };
    assert_eq!(codecs([0x81, 0x04, 0x0c, 0], &[]), "av01.0.04M.08");
    assert_eq!(codecs([0x81, 0x04, 0x0c, 0], &[1, 1, 1, 0]), "av01.0.04M.08");
    // The example of the binding.
    assert_eq!(codecs([0x81, 0x04, 0x4e, 0], &[9, 16, 9, 0]), "av01.0.04M.10.0.112.09.16.09.0");
    assert_eq!(codecs([0x81, 0x0d, 0xdc, 0], &[]), "av01.0.13H.10.1.110.02.02.02.0");
    assert_eq!(codecs([0x81, 0x5f, 0x68, 0], &[1, 1, 1, 1]), "av01.2.31M.12.0.100.01.01.01.1");
}

#[test]
fn a_cut_sample_is_refused_at_every_byte() {
    let key = [sequence(64), frame(&key_frame(ONE_TILE), &[7; 40])].concat();
    for len in 1..key.len() {
        let found = runs(&mut config(64), &key[..len]);
        // Whole units in front of the cut are a sample of their own.
        assert!(found.is_err() || len == sequence(64).len(), "{len}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(units in proptest::collection::vec((0_u8..16, any::<Vec<u8>>()), 0..6)) {
        let sample: Vec<u8> = units.iter().flat_map(|(kind, payload)| obu(*kind, payload)).collect();
        let mut config = config(64);
        let _ = runs(&mut config, &frame(&key_frame(ONE_TILE), &[7; 9]));
        let _ = runs(&mut config, &sample);
        let _ = Av1Config::parse(&sample, (64, 64));
    }
}
