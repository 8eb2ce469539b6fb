//! I-frame playlists: every key frame is listed, by bytes that hold it and nothing behind it.

use crate::clip::{Memory, Shape, Track, audio, file, keys, plan, run, video};
use crate::packages::{find, run_of};
use media::bmff::{Fields, boxes};
use media::package::Layout;
use model::Scheme;

/// One entry of an I-frame playlist: its length in seconds, and its bytes.
struct Listed {
    lasts: f64,
    bytes: Vec<u8>,
}

fn listed(memory: &Memory, playlist: &str) -> Vec<Listed> {
    let text = String::from_utf8(memory.files[playlist].clone()).unwrap();
    assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n") && text.contains("#EXT-X-KEY:"), "{text}");
    let read = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
    assert!(read.i_frames_only && read.end_list);
    let folder = playlist.rsplit_once('/').unwrap().0;
    let entry = |segment: &m3u8_rs::MediaSegment| {
        let range = segment.byte_range.as_ref().unwrap();
        let from = range.offset.unwrap() as usize;
        let file = &memory.files[&format!("{folder}/{}", segment.uri)];
        let bytes = file[from..from + range.length as usize].to_vec();
        Listed { lasts: f64::from(segment.duration), bytes }
    };
    read.segments.iter().map(entry).collect()
}

/// Decode time of a fragment, and where its first sample ends.
fn first_sample(bytes: &[u8]) -> (u64, usize) {
    let moof = boxes(bytes).next().unwrap().unwrap();
    assert_eq!(&moof.kind.0, b"moof");
    let traf = find(moof.body, b"traf").unwrap();
    let mut tfdt = Fields::new(find(traf.body, b"tfdt").unwrap().body);
    tfdt.version_and_flags().unwrap();
    let (data, sizes) = run_of(&traf);
    (tfdt.u64().unwrap(), data + sizes[0])
}

/// Decode times of the source's key frames.
fn key_times(track: &Track) -> Vec<u64> {
    let numbered = track.samples.iter().enumerate();
    numbered.filter(|(_, sample)| sample.is_sync).map(|(at, _)| at as u64 * 512).collect()
}

#[test]
fn every_key_frame_is_listed_not_one_a_segment() {
    // Key frames every 0.6 s, segments of 2.4 s; one more, as at a change of scene.
    let mut picture = video((640, 360), 12, 15);
    picture.samples[22].is_sync = true;
    let source = file(&[picture.clone(), audio(b"eng", 12)], Shape::MoovFirst);
    for (layout, path) in [
        (Layout::Segments, "video-360p/iframes.m3u8"),
        (Layout::SingleFile, "video-360p-iframes.m3u8"),
    ] {
        let mut memory = Memory::default();
        let event = run(&[&source], &plan(layout, &Scheme::ALL), &keys(), &mut memory).unwrap();
        for scheme in Scheme::ALL {
            let playlist = format!("{scheme}/{path}");
            let entries = listed(&memory, &playlist);
            let found: Vec<_> = entries.iter().map(|one| first_sample(&one.bytes)).collect();
            let times: Vec<_> = found.iter().map(|(time, _)| *time).collect();
            assert_eq!(times, key_times(&picture), "{playlist}");
            assert_eq!(times.len(), 21);
            for (entry, (_, end)) in entries.iter().zip(found) {
                assert_eq!(entry.bytes.len(), end);
            }
            let total: f64 = entries.iter().map(|one| one.lasts).sum();
            assert!((total - 12.0).abs() < 0.001, "{total}");
            let variant = event.variants_of(scheme).next().unwrap();
            assert_eq!(variant.iframe_playlist.as_ref(), Some(&playlist));
        }
        assert!(event.variants.iter().skip(1).any(|one| one.iframe_playlist.is_none()));
    }
}

#[test]
fn where_every_picture_is_a_key_frame_two_a_second_are_listed() {
    let source = file(&[video((640, 360), 8, 1)], Shape::MoovFirst);
    let mut memory = Memory::default();
    let plan = plan(Layout::Segments, &[Scheme::Cbcs]);
    run(&[&source], &plan, &keys(), &mut memory).unwrap();
    let entries = listed(&memory, "cbcs/video-360p/iframes.m3u8");
    // 0, 13, 26 … pictures of 40 ms, and where segments begin.
    assert!((14..=20).contains(&entries.len()), "{}", entries.len());
    let moofs = memory.files.iter().filter(|(path, _)| path.ends_with(".m4s"));
    let moofs: usize = moofs
        .map(|(_, bytes)| boxes(bytes).flatten().filter(|one| one.kind.0 == *b"moof").count())
        .sum();
    assert_eq!(moofs, entries.len());
}

#[test]
fn a_playlist_of_key_frames_is_never_a_variant() {
    let source = file(&[video((640, 360), 8, 25), audio(b"eng", 8)], Shape::MoovFirst);
    let mut memory = Memory::default();
    run(&[&source], &plan(Layout::Segments, &[Scheme::Cbcs]), &keys(), &mut memory).unwrap();
    let text = String::from_utf8(memory.files["master.m3u8"].clone()).unwrap();
    let master = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    let of_kind = |is_i_frame: bool| -> Vec<&str> {
        let variants = master.variants.iter().filter(|one| one.is_i_frame == is_i_frame);
        variants.map(|one| one.uri.as_str()).collect()
    };
    assert_eq!(of_kind(true), ["cbcs/video-360p/iframes.m3u8"]);
    assert_eq!(of_kind(false), ["cbcs/video-360p/playlist.m3u8"]);
    let i_frames = master.variants.iter().find(|one| one.is_i_frame).unwrap();
    assert!(i_frames.bandwidth > 0 && i_frames.codecs.as_deref() == Some("avc1.4D0028"));
}
