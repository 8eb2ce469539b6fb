//! Sound of every codec, and sources in the forms of QuickTime.

use crate::clip::{Memory, Shape, TIMESCALE, Track, audio, file, keys, plan, run, video};
use crate::packages::{bytes_of, decrypted, find, sources};
use media::NamedInput;
use media::bmff::{boxes, plain_box};
use media::codec::ChannelLayout;
use media::manifest::TrackMedia;
use media::package::{Layout, Probe, probe};
use model::Scheme;

/// AAC-LC at 48 kHz of two channels, as in the clip.
const ESDS: &[u8] = &[
    0, 0, 0, 0, 3, 25, 0, 0, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x11,
    0x90, 6, 1, 2,
];

/// The fields of a sound sample entry of `version`.
fn fields(version: u8) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, version, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16];
    out.extend([0, 0, 0, 0, 0xbb, 0x80, 0, 0]);
    out
}

fn with_box(mut out: Vec<u8>, kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    plain_box(&mut out, kind, |out| out.extend(body));
    out
}

fn sound(entry: &[u8; 4], body: Vec<u8>) -> Track {
    Track { entry: *entry, entry_body: Some(body), ..audio(b"eng", 6) }
}

fn probed(mut source: &[u8]) -> Probe {
    probe(&mut [NamedInput { name: "a".into(), input: &mut source }]).unwrap()
}

/// Packages and decrypts under both schemes and layouts; the sample entry of the init.
fn comes_back(source: &[u8], track: &Track) -> Vec<u8> {
    let mut entry = None;
    for layout in [Layout::Segments, Layout::SingleFile] {
        let (mut memory, keys) = (Memory::default(), keys());
        let event = run(&[source], &plan(layout, &Scheme::ALL), &keys, &mut memory).unwrap();
        assert_eq!(event.variants.len(), 2);
        for variant in &event.variants {
            assert!(decrypted(&memory, &keys, variant) == sources(track), "{layout:?}");
            let (init, _) = bytes_of(&memory, variant);
            let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
            let stsd = path.iter().fold(&init[..], |at, kind| find(at, kind).unwrap().body);
            let found = find(&stsd[8..], b"enca").unwrap().body;
            let end = found.len() - find(&found[28..], b"sinf").unwrap().whole.len();
            assert_eq!(*entry.get_or_insert_with(|| found[..end].to_vec()), found[..end]);
        }
    }
    entry.unwrap()
}

/// Sample entry, its box with the configuration in it, codecs string, loudspeakers.
type Case<'a> = (&'a [u8; 4], &'a [u8; 4], &'a [u8], &'a str, ChannelLayout);

#[test]
fn every_codec_comes_back_with_its_entry_unchanged() {
    let flac = [
        &[0, 0, 0, 0, 0x80, 0, 0, 34, 0x12, 0, 0x12, 0, 0, 0, 0, 0, 0, 0][..],
        &[0x0b, 0xb8, 0x02, 0xf0, 0, 0, 0, 0],
        &[0x5a; 16],
    ]
    .concat();
    let mut mp3 = ESDS.to_vec();
    mp3[11] = 0x6b;
    let dolby = |joc_objects| ChannelLayout::Dolby { map: 0xf801, joc_objects };
    let stereo = ChannelLayout::Mpeg(2);
    let cases: [Case<'_>; 7] = [
        (b"mp4a", b"esds", ESDS, "mp4a.40.2", stereo),
        (b"mp4a", b"esds", &mp3, "mp4a.6B", stereo),
        (b"ac-3", b"dac3", &[0x10, 0x3d, 0xe0], "ac-3", dolby(None)),
        (b"ec-3", b"dec3", &[0x0e, 0, 0x20, 0x0f, 0], "ec-3", dolby(None)),
        (b"ec-3", b"dec3", &[0x0e, 0, 0x20, 0x0f, 0, 1, 16], "ec-3", dolby(Some(16))),
        (b"Opus", b"dOps", &[0, 2, 1, 56, 0, 0, 187, 128, 0, 0, 0], "opus", stereo),
        (b"fLaC", b"dfLa", &flac, "flac", stereo),
    ];
    for (entry, kind, config, codecs, expected) in cases {
        let body = with_box(fields(0), kind, config);
        let track = sound(entry, body.clone());
        for shape in [Shape::MoovFirst, Shape::Fragmented(20)] {
            let source = file(std::slice::from_ref(&track), shape);
            let summary = probed(&source).tracks.remove(0);
            assert_eq!(summary.codecs, codecs);
            let TrackMedia::Audio { layout, channels, .. } = summary.media else { panic!() };
            assert_eq!(layout, expected);
            assert_eq!(channels, if matches!(layout, ChannelLayout::Mpeg(_)) { 2 } else { 6 });
            assert_eq!(comes_back(&source, &track), body, "{codecs}");
        }
    }
}

/// `wave` as QuickTime writes it, its terminator a box of no type, and what stands behind it.
fn wave(kind: &[u8; 4], config: &[u8]) -> Vec<u8> {
    let inner = with_box(with_box(Vec::new(), b"frma", b"mp4a"), kind, config);
    let out = with_box(Vec::new(), b"wave", &with_box(inner, &[0; 4], &[]));
    let mut out = with_box(out, b"chan", &[0; 12]);
    out.extend([0; 4]);
    out
}

#[test]
fn quicktime_sound_becomes_a_plain_entry() {
    let version_1 = [&fields(1)[..], &[0, 0, 4, 0], &[0; 12], &wave(b"esds", ESDS)].concat();
    let mut version_2 = fields(2);
    version_2.extend([0, 0, 0, 72]);
    version_2.extend(48_000_f64.to_be_bytes());
    version_2.extend([0, 0, 0, 2, 0x7f, 0, 0, 0]);
    version_2.extend([0; 16]);
    version_2.extend(wave(b"esds", ESDS));
    let plain = with_box(fields(0), b"esds", ESDS);
    let mut terminated = plain.clone();
    terminated.extend([0; 4]);
    for body in [version_1, version_2, [&fields(0)[..], &wave(b"esds", ESDS)].concat(), terminated]
    {
        let track = sound(b"mp4a", body);
        let source = file(std::slice::from_ref(&track), Shape::MoovLast);
        assert_eq!(comes_back(&source, &track), plain);
    }
    let version_1 = [&fields(1)[..], &[0; 16], &wave(b"dac3", &[0x10, 0x3d, 0xe0])].concat();
    let track = sound(b"ac-3", version_1);
    let source = file(std::slice::from_ref(&track), Shape::MoovFirst);
    let plain = with_box(fields(0), b"dac3", &[0x10, 0x3d, 0xe0]);
    assert_eq!(comes_back(&source, &track), plain);
}

/// Every place where `from` stands, changed to `to`.
fn replaced(mut source: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at: Vec<_> = (0..source.len()).filter(|at| source[*at..].starts_with(from)).collect();
    assert!(!at.is_empty());
    at.iter().for_each(|at| source[*at..][..to.len()].copy_from_slice(to));
    source
}

#[test]
fn a_quicktime_file_is_read_by_its_own_rules() {
    let tracks = [audio(b"eng", 6), video((640, 360), 6, 25)];
    let source = file(&tracks, Shape::MoovLast);
    let source = replaced(source, b"ftypisom", b"ftypqt  ");
    // Aliases that name the file itself; German by its Macintosh code; a track of time codes.
    let source = replaced(source, b"url \0\0\0\x01", b"alis");
    let mut source = replaced(source, &[0x15, 0xc7, 0, 0], &[0, 2, 0, 0]);
    // More media data, of which nothing is used, behind a place holder.
    plain_box(&mut source, b"wide", |_| {});
    plain_box(&mut source, b"mdat", |out| out.extend([7; 99]));
    let summary = probed(&source).tracks;
    assert_eq!(summary[0].name, "audio-de");
    let coded = replaced(source.clone(), b"vide", b"tmcd");
    let read = probed(&coded);
    assert_eq!((read.tracks.len(), read.left_out.len()), (1, 1));
    assert_eq!(read.left_out[0].handler.0, *b"tmcd");
    comes_back(&coded, &tracks[0]);
    // The same number in an MP4 file means nothing.
    let iso = replaced(source.clone(), b"ftypqt  ", b"ftypisom");
    assert_eq!(probed(&iso).tracks[0].name, "audio-und");
    // Another file is still refused.
    let elsewhere = replaced(source, b"alis\0\0\0\x01", b"alis\0\0\0\0");
    let mut bytes = elsewhere.as_slice();
    let mut inputs = [NamedInput { name: "a".into(), input: &mut bytes }];
    assert!(probe(&mut inputs).unwrap_err().to_string().contains("another file"));
}

#[test]
fn the_init_says_the_language_in_letters() {
    let source = file(&[audio(b"eng", 6)], Shape::MoovFirst);
    for (ftyp, code, packed) in
        [(b"ftypqt  ", [0, 2], [0x10, 0xb5]), (b"ftypisom", [0x7f, 0xff], [0x55, 0xc4])]
    {
        let source = replaced(source.clone(), b"ftypisom", ftyp);
        let source = replaced(source, &[0x15, 0xc7, 0, 0], &code);
        let mut memory = Memory::default();
        let plan = plan(Layout::Segments, &[Scheme::Cbcs]);
        let event = run(&[&source], &plan, &keys(), &mut memory).unwrap();
        let (init, _) = bytes_of(&memory, &event.variants[0]);
        let path = [b"moov", b"trak", b"mdia", b"mdhd"];
        let mdhd = path.iter().fold(&init[..], |at, kind| find(at, kind).unwrap().body);
        assert_eq!(mdhd[12..16], TIMESCALE.to_be_bytes());
        assert_eq!(mdhd[20..22], packed);
        assert_eq!(boxes(&init).count(), 2);
    }
}
