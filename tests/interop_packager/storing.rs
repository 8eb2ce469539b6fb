//! What we store is what Shaka Packager stores for the same keys and IVs, byte for byte and map
//! for map.

use crate::audio_clips::{audio_clips, is_mp3};
use crate::h264_clips::h264_clips;
use crate::hevc_clips::{hdr10_clip, hevc_clips};
use crate::keys::{CBCS_IV, CENC_IV, hex, raw_keys};
use crate::open_clips::{av1_clips, vp9_clips};
use crate::packaged::{package_clips, stream_of};
use crate::peers::Peers;
use crate::protected_track::stored_samples;
use media::package::Layout;
use model::{Scheme, TrackClass};
use std::path::{Path, PathBuf};

#[test]
fn stored_h264_equals_shaka_packagers() {
    compare_with_shaka(h264_clips);
}

#[test]
fn stored_hevc_equals_shaka_packagers() {
    compare_with_shaka(hevc_clips);
}

#[test]
fn stored_av1_equals_shaka_packagers() {
    compare_with_shaka(av1_clips);
}

#[test]
fn stored_vp9_equals_shaka_packagers() {
    compare_with_shaka(vp9_clips);
}

fn compare_with_shaka(clips: fn(&Peers, &Path) -> Vec<PathBuf>) {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in clips(&peers, folder.path()) {
        stores_what_shaka_stores(&peers, &clip, &clip, folder.path());
    }
}

#[test]
fn stored_sound_equals_shaka_packagers() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in audio_clips(&peers, folder.path()).iter().filter(|clip| !is_mp3(clip)) {
        let mut theirs = clip.clone();
        if clip.extension().is_some_and(|extension| extension == "mov") {
            // Shaka Packager refuses QuickTime's sound descriptions: it gets the same samples
            // in MP4.
            theirs.set_extension("remuxed.mp4");
            let [from, to] = [clip, &theirs].map(|path| path.to_str().unwrap());
            peers.ffmpeg(&["-i", from, "-c", "copy", to]);
        }
        stores_what_shaka_stores(&peers, clip, &theirs, folder.path());
    }
}

/// `clip` packaged by us and `same`, which has its samples, by Shaka Packager.
fn stores_what_shaka_stores(peers: &Peers, clip: &Path, same: &Path, folder: &Path) {
    let to = folder.join("package");
    let event = package_clips(&[clip], Layout::SingleFile, true, &to);
    for variant in &event.variants {
        let what = format!("{} {} {}", clip.display(), variant.scheme, variant.name);
        let (_, kind) = stream_of(variant.track_class);
        let theirs = folder.join("theirs.mp4");
        let (iv, iv_size) = match variant.scheme {
            Scheme::Cbcs => (&CBCS_IV[..], 0),
            Scheme::Cenc => (&CENC_IV[..8], 8),
        };
        peers.packager(&[
            &format!("in={},stream={kind},output={}", same.display(), theirs.display()),
            "--enable_raw_key_encryption",
            "--keys",
            &raw_keys(variant.track_class),
            "--iv",
            &hex(iv),
            "--protection_scheme",
            variant.scheme.name(),
            "--clear_lead",
            "0",
        ]);
        let ours = to.join(variant.scheme.name()).join(format!("{}.mp4", variant.name));
        let ours = stored_samples(&std::fs::read(ours).unwrap(), iv_size);
        let theirs = stored_samples(&std::fs::read(theirs).unwrap(), iv_size);
        assert!(ours.len() > 200, "{what}: there are samples");
        assert_eq!(ours.len(), theirs.len(), "{what}");
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(hex(&ours.info), hex(&theirs.info), "{what}: map of sample {at}");
            assert!(ours.bytes == theirs.bytes, "{what}: bytes of sample {at}");
        }
    }
    std::fs::remove_dir_all(&to).unwrap();
}

#[test]
fn hdr_signalling_survives() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = hdr10_clip(&peers, folder.path());
    let source = std::fs::read(&clip).unwrap();
    let at = source.windows(4).position(|four| four == b"hvc1").unwrap();
    // `hvc1` stands among the brands of the file, too.
    let at =
        source[at + 4..].windows(4).position(|four| four == b"hvc1").map_or(at, |n| at + 4 + n);
    let len = u32::from_be_bytes(source[at - 4..at].try_into().unwrap()) as usize;
    let entry = &source[at + 4..at - 4 + len];
    for kind in [b"hvcC", b"colr", b"mdcv", b"clli", b"dvvC"] {
        assert!(entry.windows(4).any(|four| four == kind), "the source has {kind:?}");
    }
    let to = folder.path().join("package");
    let event = package_clips(&[&clip], Layout::SingleFile, true, &to);
    for variant in event.variants.iter().filter(|one| one.track_class != TrackClass::Audio) {
        let ours = to.join(variant.scheme.name()).join(format!("{}.mp4", variant.name));
        let ours = std::fs::read(ours).unwrap();
        let has_entry = ours.windows(entry.len()).any(|bytes| bytes == entry);
        assert!(has_entry, "{}: the sample entry is the source's", variant.name);
    }
}
