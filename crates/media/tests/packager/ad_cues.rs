//! Ad cues: the ladder is cut at each of them, and what cannot be cut there is refused.

use crate::clip::{Memory, Shape, audio, file, keys, plan, run, video};
use media::package::{CueFault, Layout, PackageError, Plan, PlanError};
use model::Scheme;

/// Twelve seconds with a key frame each second, in segments of four.
fn packaged(layout: Layout, ad_cues_ms: &[u64]) -> (Result<(), PackageError>, Memory) {
    let tracks = [video((640, 360), 12, 25), video((1280, 720), 12, 25), audio(b"eng", 12)];
    let source = file(&tracks, Shape::MoovFirst);
    let ad_cues_ms = ad_cues_ms.to_vec();
    let plan = Plan { ad_cues_ms, segment_s: 4, ..plan(layout, &[Scheme::Cbcs]) };
    let mut memory = Memory::default();
    let made = run(&[&source], &plan, &keys(), &mut memory);
    (made.map(|_| ()), memory)
}

#[test]
fn a_segment_and_a_period_begin_at_each_cue() {
    let (made, memory) = packaged(Layout::Segments, &[9_000, 5_500]);
    made.unwrap();
    let text = |path: &str| std::str::from_utf8(&memory.files[path]).unwrap();
    for name in ["video-360p", "video-720p"] {
        let playlist = text(&format!("cbcs/{name}/playlist.m3u8"));
        let lengths: Vec<_> =
            playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:")).collect();
        assert_eq!(lengths, ["4.000000,", "2.000000,", "3.000000,", "3.000000,"]);
        for start in ["06.000Z", "09.000Z"] {
            assert!(playlist.contains(&format!("START-DATE=\"2000-01-01T00:00:{start}\"")));
        }
    }
    let i_frames = text("cbcs/video-360p/iframes.m3u8");
    assert!(i_frames.contains("START-DATE=\"2000-01-01T00:00:06.000Z\""), "{i_frames}");
    let mpd = text("manifest.mpd");
    for period in [
        "<Period id=\"0\" start=\"PT0S\" duration=\"PT6S\">",
        "<Period id=\"1\" start=\"PT6S\" duration=\"PT3S\">",
        "<Period id=\"2\" start=\"PT9S\" ",
    ] {
        assert!(mpd.contains(period), "{period} in {mpd}");
    }
    assert!(mpd.contains("presentationTimeOffset=\"76800\" startNumber=\"3\""), "{mpd}");
}

#[test]
fn a_period_begins_with_the_earliest_picture_of_an_open_group() {
    let mut track = video((640, 360), 12, 25);
    for at in (25..track.samples.len()).step_by(25) {
        // The key frame is shown behind the picture that follows it.
        track.samples[at].composition = 1536;
        track.samples[at + 1].composition = 512;
    }
    let plan =
        Plan { ad_cues_ms: vec![6_000], segment_s: 4, ..plan(Layout::Segments, &[Scheme::Cbcs]) };
    let mut memory = Memory::default();
    run(&[&file(&[track], Shape::MoovFirst)], &plan, &keys(), &mut memory).unwrap();
    let mpd = std::str::from_utf8(&memory.files["manifest.mpd"]).unwrap();
    // 6 s and 512 ticks: one picture before the key frame.
    assert!(mpd.contains("<Period id=\"1\" start=\"PT6.04S\""), "{mpd}");
    assert!(mpd.contains("presentationTimeOffset=\"77312\" startNumber=\"3\""), "{mpd}");
    assert!(mpd.contains("<S t=\"77312\""), "{mpd}");
}

#[test]
fn cues_that_cannot_be_met_are_refused() {
    let end_ms = 12_000;
    for (cues, expected) in [
        (&[0][..], CueFault::Outside { cue_ms: 0, end_ms }),
        (&[12_000], CueFault::Outside { cue_ms: 12_000, end_ms }),
        (&[5_100, 5_900], CueFault::SameSegment { first_ms: 5_100, second_ms: 5_900 }),
        (&[11_500], CueFault::NoSync { cue_ms: 11_500 }),
    ] {
        let (refused, memory) = packaged(Layout::Segments, cues);
        let Err(PackageError::Cue(found)) = refused else { panic!("{cues:?} is refused") };
        assert_eq!(found, expected);
        assert!(memory.files.is_empty());
    }
    let (refused, _) = packaged(Layout::SingleFile, &[5_000]);
    assert!(matches!(refused, Err(PackageError::Plan(PlanError::CuesInOneFile))));
    let (refused, _) = packaged(Layout::Segments, &[1; 201]);
    assert!(matches!(refused, Err(PackageError::Plan(PlanError::TooManyCues))));
}
