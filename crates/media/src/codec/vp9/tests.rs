//! VP9 headers written by the tables of the standard, read back to the bit.

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

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

fn start(profile: u32) -> Writer {
    let bits = Writer::default().f(2, 2).f(1, profile & 1).f(1, profile >> 1);
    if profile == 3 { bits.f(1, 0) } else { bits }
}

/// From `frame_context_idx` to the end, every optional field there; `tiles` are `tile_info`.
fn end(bits: Writer, tiles: (u32, u32), compressed_len: u32) -> Writer {
    let bits = bits
        .f(2, 1) // frame_context_idx
        .f(9, 77) // loop_filter_level, loop_filter_sharpness
        .f(2, 0b11) // loop_filter_delta_enabled, loop_filter_delta_update
        .f(1, 1)
        .f(7, 99)
        .f(5, 0)
        .f(8, 120) // base_q_idx
        .f(1, 1)
        .f(5, 9)
        .f(2, 0)
        .f(1, 1) // segmentation_enabled
        .f(1, 1) // segmentation_update_map
        .f(1, 1)
        .f(8, 200)
        .f(6, 0)
        .f(1, 1) // segmentation_temporal_update
        .f(2, 0)
        .f(1, 1)
        .f(8, 3)
        .f(1, 1) // segmentation_update_data
        .f(1, 0); // segmentation_abs_or_delta_update
    let bits = (0..8).fold(bits, |bits, segment| match segment {
        2 => bits.f(1, 1).f(9, 5).f(1, 1).f(7, 4).f(1, 1).f(2, 1).f(1, 1),
        _ => bits.f(4, 0),
    });
    bits.f(tiles.0, tiles.1).f(16, compressed_len)
}

/// A key frame of profile 0.
fn key_frame(width: u32, height: u32, tiles: (u32, u32)) -> Writer {
    let bits = start(0)
        .f(1, 0) // show_existing_frame
        .f(3, 0b010) // key frame, shown, not error resilient
        .f(24, 0x49_83_42)
        .f(3, 2) // color_space
        .f(1, 0) // color_range
        .f(16, width - 1)
        .f(16, height - 1)
        .f(1, 1) // render_and_frame_size_different
        .f(32, 0)
        .f(2, 0); // refresh_frame_context, frame_parallel_decoding_mode
    end(bits, tiles, 4)
}

/// A hidden frame of the size of its second reference, slot 5.
fn inter_frame(tiles: (u32, u32)) -> Writer {
    let bits = start(0)
        .f(1, 0) // show_existing_frame
        .f(3, 0b100) // not a key frame, hidden, not error resilient
        .f(1, 0) // intra_only
        .f(2, 0) // reset_frame_context
        .f(8, 1) // refresh_frame_flags
        .f(4, 2 << 1)
        .f(4, 5 << 1 | 1)
        .f(4, 7 << 1)
        .f(2, 0b01) // found_ref
        .f(1, 0) // render_and_frame_size_different
        .f(1, 1) // allow_high_precision_mv
        .f(1, 0) // is_filter_switchable
        .f(2, 2)
        .f(2, 0); // refresh_frame_context, frame_parallel_decoding_mode
    end(bits, tiles, 4)
}

fn with_content(header: &Writer, len: usize) -> Vec<u8> {
    [header.bytes(), vec![0x55; len]].concat()
}

const VPCC: [u8; 12] = [1, 0, 0, 0, 0, 31, 0x82, 2, 2, 2, 0, 0];

fn config() -> Vp9Config {
    Vp9Config::parse(&VPCC, (4096, 2304)).unwrap()
}

fn runs(config: &mut Vp9Config, sample: &[u8]) -> Result<Vec<(usize, usize)>, What> {
    let mut runs = Vec::new();
    config.runs(sample, &mut runs)?;
    let covered: usize = runs.iter().map(|run| run.clear + run.content).sum();
    assert_eq!(covered, sample.len());
    Ok(runs.iter().map(|run| (run.clear, run.content)).collect())
}

fn codec_error(result: Result<Vec<(usize, usize)>, What>) -> CodecError {
    match result {
        Err(What::Malformed(Malformed::Codec(error))) => error,
        other => panic!("{other:?}"),
    }
}

/// `increment_tile_cols_log2` of a width of 512 pixels (one bit), `tile_rows_log2` and one more.
const TILES_OF_512: (u32, u32) = (3, 0b111);

#[test]
fn a_key_frame_and_a_frame_of_its_size() {
    let mut config = config();
    let key = key_frame(512, 300, TILES_OF_512);
    let found = runs(&mut config, &with_content(&key, 90)).unwrap();
    assert_eq!(found, [(key.bytes().len(), 90)]);
    // The same size, so the same number of bits for the tiles.
    let inter = inter_frame(TILES_OF_512);
    let found = runs(&mut config, &with_content(&inter, 17)).unwrap();
    assert_eq!(found, [(inter.bytes().len(), 17)]);
    let missing = CodecError::MissingSet("reference", 2);
    let mut other = Vp9Config::parse(&VPCC, (4096, 2304)).unwrap();
    assert_eq!(codec_error(runs(&mut other, &with_content(&inter, 17))), missing);
}

#[test]
fn the_width_says_how_many_bits_the_tiles_take() {
    // Up to 255 pixels a tile cannot be split; 4160 pixels are split once at least.
    for (width, tiles) in [(255, (1, 0)), (4096, (5, 0b1_1110)), (4097, (2, 0b00))] {
        let key = key_frame(width, 16, tiles);
        let mut config = Vp9Config::parse(&VPCC, (8192, 2304)).unwrap();
        let found = runs(&mut config, &with_content(&key, 90)).unwrap();
        assert_eq!(found, [(key.bytes().len(), 90)], "{width}");
    }
}

#[test]
fn intra_only_frames_of_each_profile() {
    for profile in 0..4 {
        let bits = start(profile)
            .f(1, 0) // show_existing_frame
            .f(3, 0b101) // not a key frame, hidden, error resilient
            .f(1, 1) // intra_only
            .f(24, 0x49_83_42);
        let bits = match profile {
            0 => bits,
            1 => bits.f(3, 7).f(1, 0),
            2 => bits.f(1, 1).f(3, 2).f(1, 0),
            _ => bits.f(1, 0).f(3, 2).f(1, 0).f(3, 0b010),
        };
        let bits = bits.f(8, 0x80).f(16, 254).f(16, 254).f(1, 0);
        let frame = end(bits, (1, 0), 1);
        let mut config = config();
        assert_eq!(
            runs(&mut config, &with_content(&frame, 20)).unwrap(),
            [(frame.bytes().len(), 20)]
        );
        // It was put into slot 7 alone.
        let show = |slot| start(profile).f(1, 1).f(3, slot).bytes();
        let len = if profile == 3 { 2 } else { 1 };
        assert_eq!(runs(&mut config, &show(7)).unwrap(), [(len, 0)]);
        assert_eq!(
            codec_error(runs(&mut config, &show(6))),
            CodecError::MissingSet("reference", 6)
        );
    }
}

fn superframe(frames: &[Vec<u8>], lengths: &[u16]) -> Vec<u8> {
    let marker = 0xc0 | 1 << 3 | (u8::try_from(lengths.len()).unwrap() - 1);
    let lengths = lengths.iter().flat_map(|len| len.to_le_bytes()).collect();
    [frames.concat(), vec![marker], lengths, vec![marker]].concat()
}

#[test]
fn hidden_frames_in_a_superframe() {
    let mut config = config();
    let key = key_frame(512, 300, TILES_OF_512);
    let inter = inter_frame(TILES_OF_512);
    let frames = [with_content(&key, 700), with_content(&inter, 33), vec![0b1000_1000]];
    let lengths = frames.each_ref().map(|frame| u16::try_from(frame.len()).unwrap());
    let sample = superframe(&frames, &lengths);
    let found = runs(&mut config, &sample).unwrap();
    assert_eq!(found, [(key.bytes().len(), 700), (inter.bytes().len(), 33), (1, 0), (8, 0)]);

    let mut refused =
        |lengths: &[u16]| codec_error(runs(&mut config, &superframe(&frames, lengths)));
    let [a, b, c] = lengths;
    let one = CodecError::Value("a frame size of a superframe");
    assert_eq!(refused(&[a, b, c + 1]), one);
    assert_eq!(refused(&[a, b + c, 0]), one);
    assert_eq!(refused(&[u16::MAX, b, c]), one);
    assert_eq!(refused(&[a, b]), CodecError::Value("the frame sizes of a superframe"));
    // No first marker, no index: then the sample is one frame.
    let mut plain = superframe(&frames[..1], &lengths[..1]);
    let marker_at = plain.len() - 4;
    plain[marker_at] = 0;
    assert_eq!(runs(&mut config, &plain).unwrap(), [(key.bytes().len(), 704)]);
}

#[test]
fn broken_headers_are_refused() {
    let key = key_frame(512, 300, TILES_OF_512);
    let whole = with_content(&key, 5);
    for len in 0..whole.len() {
        assert!(runs(&mut config(), &whole[..len]).is_err(), "{len}");
    }
    assert!(runs(&mut config(), &whole).is_ok());
    let changed = |at: usize, byte| {
        let mut sample = whole.clone();
        sample[at] = byte;
        codec_error(runs(&mut config(), &sample))
    };
    assert_eq!(changed(0, 0x42), CodecError::Value("frame_marker"));
    assert_eq!(changed(1, 0x48), CodecError::Value("frame_sync_code"));
    assert_eq!(changed(4, 0xe0), CodecError::Value("color_space"));
    let profile_4 = codec_error(runs(&mut config(), &[0b1011_1000]));
    assert_eq!(profile_4, CodecError::Value("the profile"));
    let mut empty = key.clone();
    empty.0.truncate(key.0.len() - 16);
    let empty = with_content(&empty.f(16, 0), 90);
    let length = CodecError::Value("header_size_in_bytes");
    assert_eq!(codec_error(runs(&mut config(), &empty)), length);
    let mut small = Vp9Config::parse(&VPCC, (511, 300)).unwrap();
    assert!(matches!(
        runs(&mut small, &whole),
        Err(What::Unsupported(Unsupported::Feature(what))) if what.contains("larger")
    ));
}

#[test]
fn configurations() {
    let codecs = |body: &[u8]| Vp9Config::parse(body, (64, 64)).map(|config| config.codecs());
    assert_eq!(codecs(&VPCC).unwrap(), "vp09.00.31.08.01.02.02.02.00");
    let hdr = [1, 0, 0, 0, 2, 10, 0xa3, 9, 16, 9, 0, 0];
    assert_eq!(codecs(&hdr).unwrap(), "vp09.02.10.10.01.09.16.09.01");
    for (at, value) in [(0, 0), (4, 4), (6, 0x92), (6, 0x88)] {
        let mut body = VPCC;
        body[at] = value;
        assert!(codecs(&body).is_err(), "{at}");
    }
    assert!(codecs(&VPCC[..9]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(head in 0x80_u8..0xc0, rest: Vec<u8>, sizes: Vec<u16>) {
        let mut config = config();
        let _ = runs(&mut config, &with_content(&key_frame(512, 300, TILES_OF_512), 9));
        let frame = [&[head][..], &rest].concat();
        let _ = runs(&mut config, &frame);
        let sizes = &sizes[..sizes.len().min(8)];
        if !sizes.is_empty() {
            let _ = runs(&mut config, &superframe(&[frame], sizes));
        }
        let _ = Vp9Config::parse(&rest, (64, 64));
    }
}
