//! What players do beside playing on: key frames fetched alone, the fast-play track, a clear lead.

use crate::h264_clips::h264_clips;
use crate::keys::{hex, kid_and_key, raw_keys};
use crate::packaged::{joined, package_planned, stream_of};
use crate::peers::Peers;
use media::codec::TrackCodec;
use media::input::Track;
use media::package::Layout;
use model::{PackagedVariant, Scheme, TrackClass};
use server::vault::FileInput;
use std::path::{Path, PathBuf};

const LAYOUTS: [Layout; 2] = [Layout::Segments, Layout::SingleFile];

fn first_clip(peers: &Peers, folder: &Path) -> PathBuf {
    h264_clips(peers, folder).swap_remove(0)
}

/// The coded samples of the clip's key frames.
fn key_frames(peers: &Peers, clip: &Path) -> Vec<String> {
    let movie = media::input::read(&mut FileInput::open(clip).unwrap()).unwrap();
    let is_picture = |track: &&Track| matches!(track.codec, TrackCodec::Video(_));
    let track = movie.tracks.iter().find(is_picture).unwrap();
    let all = peers.coded_samples(clip, "0:v:0", &[]);
    let keys = track.samples.iter().zip(all).filter(|(sample, _)| sample.is_sync);
    keys.map(|(_, coded)| coded).collect()
}

fn key_of(class: TrackClass) -> String {
    hex(&kid_and_key(class).1)
}

/// The bytes that an I-frame playlist names, each behind the init.
fn frames(package: &Path, playlist: &str) -> Vec<Vec<u8>> {
    let path = package.join(playlist);
    let text = std::fs::read_to_string(&path).unwrap();
    let read = |name: &str, range: Option<&str>| {
        let bytes = std::fs::read(path.with_file_name(name)).unwrap();
        let Some(range) = range else { return bytes };
        let (len, from) = range.split_once('@').unwrap();
        let (len, from): (usize, usize) = (len.parse().unwrap(), from.parse().unwrap());
        bytes[from..from + len].to_vec()
    };
    let map = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")).unwrap();
    let (name, rest) = map.split_once('"').unwrap();
    let range = rest.strip_prefix(",BYTERANGE=\"").map(|range| range.trim_end_matches('"'));
    let init = read(name, range);
    let ranges = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:"));
    let files = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    ranges.zip(files).map(|(range, file)| [&init[..], &read(file, Some(range))].concat()).collect()
}

#[test]
fn ffmpeg_decrypts_each_listed_key_frame_alone() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = first_clip(&peers, folder.path());
    let source = key_frames(&peers, &clip);
    assert!(source.len() > 2);
    for (at, layout) in LAYOUTS.into_iter().enumerate() {
        let to = folder.path().join(format!("frames-{at}"));
        let event = package_planned(&[&clip], false, &to, |plan| plan.layout = layout);
        for variant in event.variants.iter().filter(|one| one.iframe_playlist.is_some()) {
            let frames = frames(&to, variant.iframe_playlist.as_ref().unwrap());
            let key = key_of(variant.track_class);
            let alone = frames.iter().map(|bytes| {
                let file = folder.path().join("alone.mp4");
                std::fs::write(&file, bytes).unwrap();
                peers.coded_samples(&file, "0:0", &["-decryption_key", &key]).swap_remove(0)
            });
            let alone: Vec<_> = alone.collect();
            assert_eq!(alone, source, "{} {layout:?}", variant.scheme);
        }
    }
}

#[test]
fn two_other_decryptors_read_the_fast_play_track() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = first_clip(&peers, folder.path());
    let source = key_frames(&peers, &clip);
    let is_trick = |one: &PackagedVariant| one.trick_of.is_some();
    let found =
        decrypted(&peers, &clip, folder.path(), is_trick, |plan| plan.has_trick_track = true);
    for (what, samples) in found {
        assert_eq!(samples, source, "{what}");
    }
}

#[test]
fn two_other_decryptors_read_through_a_clear_lead() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let clip = first_clip(&peers, folder.path());
    for class in [TrackClass::Sd, TrackClass::Audio] {
        let source = peers.coded_samples(&clip, stream_of(class).0, &[]);
        let has_lead = |one: &PackagedVariant| {
            let is_audio = one.track_class == TrackClass::Audio;
            assert!(one.clear_lead_ms > 0);
            is_audio == (class == TrackClass::Audio)
        };
        let found = decrypted(&peers, &clip, folder.path(), has_lead, |plan| {
            (plan.segment_s, plan.clear_lead_s) = (2, 5);
        });
        for (what, samples) in found {
            assert_eq!(samples, source, "{what}");
        }
    }
}

/// The coded samples of some variants in both layouts, as Shaka Packager and ffmpeg decrypt them.
fn decrypted(
    peers: &Peers,
    clip: &Path,
    folder: &Path,
    is_meant: impl Fn(&PackagedVariant) -> bool,
    edit: impl Fn(&mut media::package::Plan),
) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for layout in LAYOUTS {
        let to = folder.join("package");
        let event = package_planned(&[clip], false, &to, |plan| {
            plan.layout = layout;
            edit(plan);
        });
        for (at, variant) in event.variants.iter().enumerate().filter(|(_, one)| is_meant(one)) {
            let what = format!("{} {} {layout:?}", variant.scheme, variant.name);
            let (_, kind) = stream_of(variant.track_class);
            let encrypted = joined(&to, &event, at, folder);
            let clear = folder.join("decrypted.mp4");
            let stream =
                format!("in={},stream={kind},output={}", encrypted.display(), clear.display());
            let keys = raw_keys(variant.track_class);
            peers.packager(&[&stream, "--enable_raw_key_decryption", "--keys", &keys]);
            found.push((format!("{what}: packager"), peers.coded_samples(&clear, "0:0", &[])));
            if layout == Layout::SingleFile {
                let key = key_of(variant.track_class);
                let samples = peers.coded_samples(&encrypted, "0:0", &["-decryption_key", &key]);
                found.push((format!("{what}: ffmpeg"), samples));
            }
        }
        std::fs::remove_dir_all(&to).unwrap();
    }
    assert!(found.len() >= 2 * Scheme::ALL.len());
    found
}
