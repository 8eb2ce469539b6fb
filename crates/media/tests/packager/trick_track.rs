//! A track for fast play: the key frames of the smallest rendition, encrypted like any track.

use crate::clip::{Memory, Shape, audio, file, keys, plan, run, video};
use crate::packages::decrypted;
use keys::{ContentKey, PackagingKey, PackagingKeys};
use media::package::{KeyFault, Layout, PackageError, Plan, PlanError};
use model::{KeyId, Scheme};
use zeroize::Zeroizing;

fn with_trick_track(layout: Layout, schemes: &[Scheme]) -> Plan {
    Plan { has_trick_track: true, ..plan(layout, schemes) }
}

#[test]
fn it_holds_every_key_frame_under_the_same_key() {
    let small = video((640, 360), 12, 25);
    let large = file(&[video((1920, 1080), 12, 50)], Shape::Fragmented(25));
    let source = file(&[small.clone(), audio(b"eng", 12)], Shape::MoovLast);
    for layout in [Layout::Segments, Layout::SingleFile] {
        let (mut memory, keys) = (Memory::default(), keys());
        let plan = with_trick_track(layout, &Scheme::ALL);
        let event = run(&[&large, &source], &plan, &keys, &mut memory).unwrap();
        for scheme in Scheme::ALL {
            let find = |name: &str| event.variants_of(scheme).find(|one| one.name == name).unwrap();
            let (main, trick) = (find("video-360p"), find("trick-360p"));
            assert_eq!(trick.trick_of.as_deref(), Some("video-360p"));
            assert_eq!((trick.kid, trick.track_class), (main.kid, main.track_class));
            assert_eq!(trick.iframe_playlist, None);
            let syncs = small.samples.iter().filter(|sample| sample.is_sync);
            let syncs: Vec<_> = syncs.map(|sample| sample.bytes.clone()).collect();
            assert!(decrypted(&memory, &keys, trick) == syncs, "{layout:?} {scheme}");
            let text = |path: &str| String::from_utf8(memory.files[path].clone()).unwrap();
            let durations = |playlist: &str| -> Vec<String> {
                let playlist = text(playlist);
                let lines = playlist.lines().filter(|line| line.starts_with("#EXTINF"));
                lines.map(str::to_owned).collect()
            };
            assert_eq!(durations(&trick.playlist), durations(&main.playlist));
            let master = text(media::manifest::hls_path(scheme));
            assert!(!master.contains("trick-"), "{master}");
        }
        let mpd = String::from_utf8(memory.files["manifest.mpd"].clone()).unwrap();
        assert_eq!(mpd.matches("guidelines/trickmode").count(), 2);
    }
}

#[test]
fn an_iv_of_its_own_cannot_serve_it_too() {
    let source = file(&[video((640, 360), 4, 25)], Shape::MoovFirst);
    let mut iv = [0; 16];
    iv[..8].fill(7);
    let keys = PackagingKeys::new(vec![PackagingKey {
        kid: KeyId::from_bytes([1; 16]),
        key: ContentKey::from_bytes(Zeroizing::new([2; 16])),
        iv: Some(iv),
        track_class: None,
        scheme: None,
        period: None,
    }]);
    let plan = with_trick_track(Layout::Segments, &[Scheme::Cenc]);
    let error = run(&[&source], &plan, &keys, &mut Memory::default()).unwrap_err();
    assert!(matches!(error, PackageError::Keys(KeyFault::IvServesSeveralTracks)), "{error}");
}

#[test]
fn sound_alone_has_none() {
    let source = file(&[audio(b"eng", 4)], Shape::MoovFirst);
    let plan = with_trick_track(Layout::Segments, &[Scheme::Cbcs]);
    let error = run(&[&source], &plan, &keys(), &mut Memory::default()).unwrap_err();
    assert!(matches!(error, PackageError::Plan(PlanError::NoTrickTrack)), "{error}");
}
