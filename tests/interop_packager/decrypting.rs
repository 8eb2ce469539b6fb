//! What we encrypt, Shaka Packager and ffmpeg decrypt to the source's coded samples.

use crate::audio_clips::{audio_clips, is_mp3};
use crate::h264_clips::h264_clips;
use crate::hevc_clips::hevc_clips;
use crate::keys::{hex, kid_and_key, raw_keys};
use crate::open_clips::{av1_clips, vp9_clips};
use crate::packaged::{joined, package_clips, stream_of};
use crate::peers::Peers;
use crate::protected_track::{Stored, stored_samples};
use media::package::Layout;
use model::Scheme;
use std::path::{Path, PathBuf};

#[test]
fn two_other_decryptors_read_h264() {
    decrypt_with_others(h264_clips);
}

#[test]
fn two_other_decryptors_read_hevc() {
    decrypt_with_others(hevc_clips);
}

#[test]
fn two_other_decryptors_read_av1() {
    decrypt_with_others(av1_clips);
}

#[test]
fn two_other_decryptors_read_vp9() {
    decrypt_with_others(vp9_clips);
}

fn decrypt_with_others(clips: fn(&Peers, &Path) -> Vec<PathBuf>) {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in clips(&peers, folder.path()) {
        others_decrypt(&peers, &clip, 2, folder.path());
    }
}

#[test]
fn two_other_decryptors_read_sound() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in audio_clips(&peers, folder.path()) {
        others_decrypt(&peers, &clip, 1, folder.path());
    }
}

/// A clip of so many tracks, in both layouts and schemes.
fn others_decrypt(peers: &Peers, clip: &Path, tracks: usize, folder: &Path) {
    for layout in [Layout::Segments, Layout::SingleFile] {
        let scratch = folder.join("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        let to = scratch.join("package");
        let event = package_clips(&[clip], layout, false, &to);
        assert_eq!(event.variants.len(), 2 * tracks);
        for (at, variant) in event.variants.iter().enumerate() {
            let what = format!("{} {} {} {layout:?}", clip.display(), variant.scheme, variant.name);
            let (stream, kind) = stream_of(variant.track_class);
            let source = peers.coded_samples(clip, stream, &[]);
            assert!(source.len() > 200, "{what}: the clip has samples");
            let encrypted = joined(&to, &event, at, &scratch);
            let decrypted = scratch.join(format!("decrypted-{at}.mp4"));
            if !is_mp3(clip) {
                peers.packager(&[
                    &format!(
                        "in={},stream={kind},output={}",
                        encrypted.display(),
                        decrypted.display()
                    ),
                    "--enable_raw_key_decryption",
                    "--keys",
                    &raw_keys(variant.track_class),
                ]);
                let by_packager = peers.coded_samples(&decrypted, "0:0", &[]);
                assert_eq!(by_packager, source, "{what}: Shaka Packager");
            }
            // ffmpeg reads encryption information of single files only.
            if layout == Layout::SingleFile {
                let key = hex(&kid_and_key(variant.track_class).1);
                let by_ffmpeg = peers.coded_samples(&encrypted, "0:0", &["-decryption_key", &key]);
                assert_eq!(by_ffmpeg, source, "{what}: ffmpeg");
                let undecrypted = peers.coded_samples(&encrypted, "0:0", &[]);
                let pairs = || undecrypted.iter().zip(&source).filter(|(a, b)| a == b);
                if kind == "video" {
                    let iv_size = if variant.scheme == Scheme::Cenc { 8 } else { 0 };
                    let without_blocks = samples_without_blocks(&encrypted, iv_size);
                    assert_eq!(pairs().count(), without_blocks, "{what}: no other sample is clear");
                    assert!(without_blocks < source.len(), "{what}: there are encrypted samples");
                    continue;
                }
                // Under `cbcs` what is shorter than a block stays as it is.
                let is_block =
                    |sample: &str| sample.split(' ').next().unwrap().parse::<u32>().unwrap() >= 16;
                let same = pairs().filter(|(a, _)| is_block(a)).count();
                assert_eq!(same, 0, "{what}: no sample is clear");
            }
        }
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}

/// How many samples hold no block to encrypt: frames that show a kept one, or a few bytes.
fn samples_without_blocks(file: &Path, iv_size: usize) -> usize {
    let without = |sample: &Stored| {
        let subsamples = sample.info.get(iv_size + 2..).unwrap_or_default().chunks_exact(6);
        let mut protected =
            subsamples.map(|one| u32::from_be_bytes([one[2], one[3], one[4], one[5]]));
        sample.info.len() > iv_size && protected.all(|len| len < 16)
    };
    let samples = stored_samples(&std::fs::read(file).unwrap(), iv_size);
    samples.iter().filter(|sample| without(sample)).count()
}
