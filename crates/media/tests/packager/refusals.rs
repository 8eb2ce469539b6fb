//! Sources, keys and plans that are refused: each with its own reason and its place.

use crate::clip::{Memory, Shape, Track, audio, file, keys, plan, run, video};
use keys::{ContentKey, PackagingKey, PackagingKeys};
use media::input::{Malformed, Place, Unsupported, What};
use media::package::{KeyFault, LadderFault, Layout, PackageError, PlanError};
use model::{KeyId, Scheme};
use zeroize::Zeroizing;

fn refusal(files: &[&[u8]]) -> PackageError {
    let mut memory = Memory::default();
    let plan = plan(Layout::Segments, &Scheme::ALL);
    let refused = run(files, &plan, &keys(), &mut memory).expect_err("it is refused");
    assert!(!memory.files.contains_key("package.json"), "nothing says it is a package");
    assert!(!memory.files.contains_key("manifest.mpd"));
    refused
}

fn what(source: &[u8]) -> What {
    match refusal(&[source]) {
        PackageError::Input { file, fault } => {
            assert_eq!(file, "0.mp4");
            fault.what
        }
        other => panic!("{other}"),
    }
}

fn malformed(source: &[u8]) -> Malformed {
    match what(source) {
        What::Malformed(malformed) => malformed,
        other => panic!("{other}"),
    }
}

fn unsupported(source: &[u8]) -> Unsupported {
    match what(source) {
        What::Unsupported(unsupported) => unsupported,
        other => panic!("{other}"),
    }
}

fn small() -> Track {
    video((640, 360), 4, 25)
}

/// The first place where `bytes` stand, changed.
fn with(mut source: Vec<u8>, find: &[u8], skip: usize, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let at = source.windows(find.len()).position(|window| window == find).expect("it is there");
    change(&mut source[at + skip..]);
    source
}

#[test]
fn what_is_not_mp4_is_said_to_be_not_mp4() {
    assert_eq!(malformed(b""), Malformed::Empty);
    for source in [&b"x"[..], b"hello, this is text", &[0; 4096], b"\x1a\x45\xdf\xa3matroska"] {
        assert_eq!(malformed(source), Malformed::NotMp4);
    }
}

#[test]
fn a_source_cut_off_anywhere_says_so() {
    for shape in [Shape::MoovFirst, Shape::MoovLast] {
        let source = file(&[small()], shape);
        for len in [source.len() - 1, source.len() * 7 / 10, 1000, 40, 20, 9] {
            let place = match refusal(&[&source[..len]]) {
                PackageError::Input { fault, .. } => fault.place,
                other => panic!("{other}"),
            };
            assert!(matches!(place, Place::Byte(_) | Place::Box { .. } | Place::File), "{place}");
        }
    }
}

#[test]
fn a_movie_without_its_fragments_is_cut_off() {
    let source = file(&[small()], Shape::Fragmented(25));
    let first = source.windows(4).position(|window| window == b"moof").unwrap() - 4;
    assert_eq!(malformed(&source[..first]), Malformed::NoSamples);
    let mut declared = small();
    declared.declared = Some(60 * crate::clip::TIMESCALE);
    assert!(matches!(
        malformed(&file(&[declared], Shape::MoovFirst)),
        Malformed::ShorterThanDeclared { declared_ms: 60_000, found_ms: 4_000 }
    ));
}

#[test]
fn a_lost_fragment_leaves_media_data_behind() {
    let source = file(&[small(), audio(b"eng", 4)], Shape::Fragmented(25));
    for kind in [b"moof", b"traf"] {
        let lost = with(source.clone(), kind, 0, |at| at[0] = b'!');
        assert_eq!(malformed(&lost), Malformed::UnusedMediaData);
    }
}

#[test]
fn a_sample_entry_must_have_whole_boxes() {
    let source = file(&[small()], Shape::MoovFirst);
    // An `avcC` "to the end" would swallow the protection information behind it.
    let at = source.windows(4).position(|window| window == b"avcC").unwrap();
    let mut to_the_end = source.clone();
    to_the_end[at - 4..at].fill(0);
    assert!(matches!(malformed(&to_the_end), Malformed::Value(_)));
    let mut too_long = source;
    too_long[at - 1] += 1;
    assert!(matches!(malformed(&too_long), Malformed::Box(_)));
}

#[test]
fn counts_that_lie_are_refused_before_anything_is_reserved() {
    for (kind, skip) in [(b"stsz", 12), (b"stts", 8), (b"stss", 8), (b"stsc", 8), (b"stco", 8)] {
        let source = file(&[small()], Shape::MoovFirst);
        let lying = with(source, kind, skip, |at| at[..4].copy_from_slice(&[0xff; 4]));
        assert!(matches!(malformed(&lying), Malformed::Count { declared: 0xffff_ffff, .. }));
    }
    // A constant size needs no table; the file must have room for the bytes.
    let constant = with(file(&[small()], Shape::MoovFirst), b"stsz", 8, |at| {
        at[..8].copy_from_slice(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    });
    assert!(matches!(malformed(&constant), Malformed::Count { .. }));
    let fragment = with(file(&[small()], Shape::Fragmented(25)), b"trun", 8, |at| {
        at[..4].copy_from_slice(&[0xff; 4]);
    });
    assert!(matches!(malformed(&fragment), Malformed::Count { .. }));
    // No field per sample at all.
    let bare = with(file(&[small()], Shape::Fragmented(25)), b"trun", 4, |at| {
        at[..8].copy_from_slice(&[1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    });
    assert!(matches!(malformed(&bare), Malformed::Count { .. }));
}

#[test]
fn tables_that_disagree_are_refused() {
    let source = file(&[small()], Shape::MoovFirst);
    let one_less = |kind: &[u8; 4], skip| {
        with(source.clone(), kind, skip, |at| {
            let count = u32::from_be_bytes([at[0], at[1], at[2], at[3]]) - 1;
            at[..4].copy_from_slice(&count.to_be_bytes());
        })
    };
    for (kind, skip) in [(b"stts", 8), (b"ctts", 8), (b"stco", 8), (b"stsz", 12)] {
        assert!(matches!(malformed(&one_less(kind, skip)), Malformed::SampleCount { .. }));
    }
}

#[test]
fn samples_outside_the_media_data_are_refused() {
    let moved = with(file(&[small()], Shape::MoovFirst), b"stco", 12, |at| at[1] ^= 0x40);
    assert!(matches!(malformed(&moved), Malformed::OutsideMediaData { .. }));
    let grown = with(file(&[small()], Shape::MoovFirst), b"stsz", 16, |at| at[0] ^= 1);
    assert!(matches!(malformed(&grown), Malformed::OutsideMediaData { .. }));
    let mut empty = small();
    empty.samples[3].bytes.clear();
    assert_eq!(malformed(&file(&[empty], Shape::MoovFirst)), Malformed::EmptySample);
}

#[test]
fn nal_lengths_must_fill_the_sample() {
    let mut track = small();
    track.samples[30].bytes.extend([0, 0, 0]);
    let source = file(&[track], Shape::MoovFirst);
    match refusal(&[&source]) {
        PackageError::Input { fault, .. } => {
            assert!(matches!(fault.place, Place::Sample { track: 1, number: 31, .. }));
            assert!(matches!(fault.what, What::Malformed(Malformed::NalLengths { .. })));
        }
        other => panic!("{other}"),
    }
    let mut track = small();
    track.samples[30].bytes[0] = 0x7f;
    assert!(matches!(malformed(&file(&[track], Shape::MoovLast)), Malformed::NalLengths { .. }));
}

#[test]
fn tracks_that_make_no_sense_are_refused() {
    assert_eq!(malformed(&file(&[], Shape::MoovFirst)), Malformed::NoTracks);
    let mut track = small();
    track.samples.clear();
    assert_eq!(malformed(&file(&[track], Shape::MoovFirst)), Malformed::NoSamples);
    let mut track = small();
    track.timescale = 0;
    assert!(matches!(malformed(&file(&[track], Shape::MoovFirst)), Malformed::Value(_)));
    let mut track = small();
    track.samples[0].is_sync = false;
    assert_eq!(malformed(&file(&[track], Shape::MoovFirst)), Malformed::NoSyncAtStart);
    let mut track = small();
    track.samples.iter_mut().for_each(|sample| sample.duration = 0);
    track.edits.clear();
    assert!(matches!(malformed(&file(&[track], Shape::MoovFirst)), Malformed::Value(_)));
    assert!(matches!(
        malformed(&file(&[video((0, 0), 4, 25)], Shape::MoovFirst)),
        Malformed::Value(_) | Malformed::Codec(_)
    ));
}

#[test]
fn time_does_not_go_back() {
    let source = file(&[small()], Shape::Fragmented(25));
    let second =
        source.windows(4).enumerate().filter(|(_, four)| four == b"tfdt").nth(1).unwrap().0;
    let mut back = source.clone();
    back[second + 8..second + 12].copy_from_slice(&[0; 4]);
    assert!(matches!(malformed(&back), Malformed::TimeGoesBack { told: 0, .. }));
}

#[test]
fn other_codecs_and_encrypted_sources_are_told_apart() {
    for (entry, encrypted) in
        [(b"mp4v", false), (b"dvh1", false), (b"s263", false), (b"encv", true)]
    {
        let mut track = small();
        track.entry = *entry;
        let refused = unsupported(&file(&[track], Shape::MoovFirst));
        assert_eq!(refused == Unsupported::Encrypted, encrypted);
        assert!(encrypted || matches!(refused, Unsupported::Codec(kind) if kind.0 == *entry));
    }
    let mut memory = Memory::default();
    let plan = plan(Layout::SingleFile, &[Scheme::Cbcs]);
    run(&[&file(&[small()], Shape::MoovFirst)], &plan, &keys(), &mut memory).unwrap();
    assert_eq!(unsupported(&memory.files["cbcs/video-360p.mp4"]), Unsupported::Encrypted);
    let mut track = audio(b"eng", 4);
    track.entry = *b"ac-4";
    assert!(matches!(unsupported(&file(&[track], Shape::MoovFirst)), Unsupported::Codec(_)));
}

#[test]
fn edit_lists_that_hide_or_repeat_media_are_refused() {
    let edits = |edits: &[(u32, i32)]| {
        let mut track = small();
        track.edits = edits.to_vec();
        file(&[track], Shape::MoovFirst)
    };
    let second = crate::clip::TIMESCALE;
    assert!(matches!(unsupported(&edits(&[(2 * second, 512)])), Unsupported::Feature(_)));
    for shape in [&[(second, 0), (3 * second, 12_800)][..], &[(second, -1)], &[(1, 0), (1, -1)]] {
        assert!(matches!(unsupported(&edits(shape)), Unsupported::Feature(_)), "{shape:?}");
    }
    assert!(matches!(
        malformed(&edits(&[(9 * second, 512)])),
        Malformed::ShorterThanDeclared { .. }
    ));
    assert!(matches!(malformed(&edits(&[(second, 1 << 30)])), Malformed::Value(_)));
}

#[test]
fn a_track_cannot_pass_for_a_lower_class_than_its_pictures() {
    let mut track = video((640, 360), 2, 25);
    track.samples = video((1280, 720), 2, 25).samples;
    let refused = malformed(&file(&[track.clone()], Shape::MoovFirst));
    assert_eq!(refused, Malformed::Value("a picture larger than the track's class"));
    // Larger within its class is nobody's loss.
    track.samples = video((720, 480), 2, 25).samples;
    let mut memory = Memory::default();
    let plan = plan(Layout::Segments, &[Scheme::Cbcs]);
    run(&[&file(&[track], Shape::MoovFirst)], &plan, &keys(), &mut memory).unwrap();
}

#[test]
fn a_picture_of_more_slices_than_saiz_counts_is_refused() {
    let mut track = small();
    // Behind the delimiter of 6 bytes: length, slice.
    let bytes = &track.samples[1].bytes[6..];
    let slice = bytes[..4 + usize::from(bytes[3])].to_vec();
    track.samples[1].bytes = slice.repeat(43);
    let refused = refusal(&[&file(&[track], Shape::MoovFirst)]);
    assert!(matches!(refused, PackageError::Sample { .. }), "{refused}");
}

#[test]
fn ladders_that_cannot_switch_are_refused() {
    let low = file(&[video((640, 360), 12, 25)], Shape::MoovFirst);
    // Sync samples every 1.36 s: never at a full second together for 34 s.
    let other = file(&[video((1280, 720), 12, 34)], Shape::MoovFirst);
    match refusal(&[&low, &other]) {
        PackageError::Ladder(LadderFault::NoCommonSync { first, second, .. }) => {
            assert_eq!((first.as_str(), second.as_str()), ("video-360p", "video-720p"));
        }
        other => panic!("{other}"),
    }
    let shorter = file(&[video((1280, 720), 8, 25)], Shape::MoovFirst);
    let refused = refusal(&[&low, &shorter]);
    assert!(matches!(refused, PackageError::Ladder(LadderFault::Lengths { .. })));
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let source = file(&[small()], Shape::MoovFirst);
    let refused = |files: &[&[u8]], schemes: &[Scheme], segment_s| {
        let mut plan = plan(Layout::Segments, schemes);
        plan.segment_s = segment_s;
        match run(files, &plan, &keys(), &mut Memory::default()) {
            Err(PackageError::Plan(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&[], &[Scheme::Cbcs], 4), PlanError::NoInput);
    assert_eq!(refused(&[&source], &[], 4), PlanError::Schemes);
    assert_eq!(refused(&[&source], &[Scheme::Cenc, Scheme::Cenc], 4), PlanError::Schemes);
    assert_eq!(refused(&[&source], &[Scheme::Cenc], 0), PlanError::SegmentLength);
    assert_eq!(refused(&[&source], &[Scheme::Cenc], 61), PlanError::SegmentLength);
}

fn key(kid: u8, bytes: u8, iv: Option<[u8; 16]>, class: Option<model::TrackClass>) -> PackagingKey {
    PackagingKey {
        kid: KeyId::from_bytes([kid; 16]),
        key: ContentKey::from_bytes(Zeroizing::new([bytes; 16])),
        iv,
        track_class: class,
        scheme: None,
        period: None,
    }
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    use model::TrackClass::{Audio, Hd, Sd};
    let source = file(&[small(), audio(b"eng", 4), audio(b"deu", 4)], Shape::MoovFirst);
    let fault = |keys: Vec<PackagingKey>, schemes: &[Scheme]| {
        let plan = plan(Layout::Segments, schemes);
        match run(&[&source], &plan, &PackagingKeys::new(keys), &mut Memory::default()) {
            Err(PackageError::Keys(fault)) => Some(fault),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    let both = &Scheme::ALL;
    let missing = Some(KeyFault::Missing { class: Audio, scheme: Scheme::Cbcs });
    assert_eq!(fault(vec![key(1, 1, None, Some(Sd)), key(2, 2, None, Some(Hd))], both), missing);
    let iv = Some([7; 16]);
    let shared = Some(KeyFault::IvServesSeveralTracks);
    assert_eq!(fault(vec![key(1, 1, iv, None)], both), shared);
    assert_eq!(fault(vec![key(1, 1, iv, None)], &[Scheme::Cbcs]), None);
    assert_eq!(fault(vec![key(1, 1, iv, Some(Sd)), key(2, 2, iv, Some(Audio))], both), shared);
    assert_eq!(fault(vec![key(1, 1, iv, Some(Sd)), key(2, 2, None, Some(Audio))], both), None);
    let same = vec![key(1, 9, None, Some(Sd)), key(2, 9, None, Some(Audio))];
    assert_eq!(fault(same, both), Some(KeyFault::SameKey));
    let same = vec![key(1, 8, None, Some(Sd)), key(1, 9, None, Some(Audio))];
    assert_eq!(fault(same, both), Some(KeyFault::SameKid));
}

#[test]
fn a_full_disk_ends_the_job() {
    let source = file(&[small(), audio(b"eng", 4)], Shape::MoovFirst);
    let plan = plan(Layout::SingleFile, &Scheme::ALL);
    let mut whole = Memory::default();
    let size = run(&[&source], &plan, &keys(), &mut whole).unwrap().size_bytes;
    for at in [10, size as usize / 2, size as usize - 10] {
        let mut memory = Memory { full_at: Some(at), ..Memory::default() };
        let refused = run(&[&source], &plan, &keys(), &mut memory).unwrap_err();
        assert!(matches!(refused, PackageError::Write { .. }));
    }
}
