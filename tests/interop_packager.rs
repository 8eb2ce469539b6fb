//! Independent tools decide: what we encrypt, Shaka Packager and ffmpeg decrypt to the source's
//! coded samples, every track, both schemes; what we store is what Shaka Packager stores for
//! the same keys and IVs, byte for byte and map for map.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests may panic"
)]

#[path = "support/peers.rs"]
mod peers;
#[path = "support/protected_track.rs"]
mod protected_track;

use keys::{ContentKey, PackagingKey, PackagingKeys, SystemEntropy};
use media::NamedInput;
use media::package::{Layout, Plan, package};
use model::{ContentId, KeyId, PackageId, PackagedEvent, Scheme, Timestamp, TrackClass};
use peers::Peers;
use protected_track::stored_samples;
use server::vault::{FileInput, FolderOutput};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// KID and key of a class: any bytes, different for each.
fn kid_and_key(class: TrackClass) -> ([u8; 16], [u8; 16]) {
    let seed = class as u8 + 1;
    ([seed; 16], [seed.wrapping_mul(17); 16])
}

const CBCS_IV: [u8; 16] = *b"constant iv of t";
/// An IV of 8 bytes, close to its wrap.
const CENC_IV: [u8; 16] = *b"\xff\xff\xff\xff\xff\xff\xff\xf0\0\0\0\0\0\0\0\0";

fn keys(with_cenc_iv: bool) -> PackagingKeys {
    let both =
        TrackClass::ALL.into_iter().flat_map(|class| Scheme::ALL.map(|scheme| (class, scheme)));
    let key = |(class, scheme)| {
        let (kid, key) = kid_and_key(class);
        let iv = match scheme {
            Scheme::Cbcs => Some(CBCS_IV),
            Scheme::Cenc => with_cenc_iv.then_some(CENC_IV),
        };
        PackagingKey {
            kid: KeyId::from_bytes(kid),
            key: ContentKey::from_bytes(Zeroizing::new(key)),
            iv,
            track_class: Some(class),
            scheme: Some(scheme),
        }
    };
    PackagingKeys::new(both.map(key).collect())
}

fn package_clips(clips: &[&Path], layout: Layout, with_cenc_iv: bool, to: &Path) -> PackagedEvent {
    let mut files: Vec<_> = clips.iter().map(|clip| FileInput::open(clip).unwrap()).collect();
    let mut inputs: Vec<_> = files
        .iter_mut()
        .zip(clips)
        .map(|(input, clip)| NamedInput { name: clip.display().to_string(), input })
        .collect();
    let plan = Plan {
        content_id: ContentId::parse("clip").unwrap(),
        package_id: PackageId::random(&mut SystemEntropy),
        schemes: Scheme::ALL.to_vec(),
        layout,
        segment_s: 4,
        packager: "test".into(),
        now: Timestamp(0),
    };
    let mut folder = FolderOutput::new(to);
    let keys = keys(with_cenc_iv);
    package(&mut inputs, &plan, &keys, &mut folder, &mut SystemEntropy, &mut |_| ())
        .unwrap_or_else(|error| panic!("{clips:?}: {error}"))
}

/// Clips that differ in what encryption must understand.
fn clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
    let sd = "testsrc2=size=640x360:rate=25:duration=10";
    let hd = "testsrc2=size=1280x720:rate=25:duration=10";
    let x264 = "-c:v libx264 -preset veryfast -g 50 -pix_fmt yuv420p";
    let audio = "-c:a aac -b:a 96k";
    let specs = [
        ("bframes", sd, format!("{x264} {audio} -movflags +faststart")),
        (
            "slices",
            sd,
            format!("{x264} -x264-params slices=4 {audio} -metadata:s:a:0 language=fra"),
        ),
        ("cavlc", sd, format!("{x264} -x264-params cabac=0:bframes=0:ref=4 {audio}")),
        ("baseline", sd, format!("{x264} -profile:v baseline {audio}")),
        ("interlaced", sd, format!("{x264} -x264-params interlaced=1:tff=1:weightp=2 {audio}")),
        (
            "open-gop",
            sd,
            format!("{x264} -x264-params open-gop=1:bframes=4:weightb=1:ref=5 {audio}"),
        ),
        (
            "small-slices",
            sd,
            format!("{x264} -x264-params slice-max-size=900:aud=1:weightp=2 {audio}"),
        ),
        (
            "ten-bit",
            sd,
            format!("-c:v libx264 -preset veryfast -g 50 -pix_fmt yuv422p10le {audio}"),
        ),
        (
            "fragmented",
            sd,
            format!("{x264} {audio} -movflags +frag_keyframe+empty_moov+default_base_moof"),
        ),
        ("fragmented-late", sd, format!("{x264} {audio} -movflags +frag_keyframe+delay_moov")),
        ("hd", hd, format!("{x264} {audio}")),
    ];
    let make = |(name, picture, options): &(&str, &str, String)| {
        let path = folder.join(format!("{name}.mp4"));
        let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"];
        let sine = ["sine=frequency=440:sample_rate=48000:duration=10"];
        let options: Vec<_> = options.split(' ').collect();
        let to = [path.to_str().unwrap()];
        peers.ffmpeg(&[&inputs[..], &sine, &options, &to].concat());
        path
    };
    specs.iter().map(make).collect()
}

/// Sound alone, in every codec and container that ffmpeg writes. Half a minute, so that codecs
/// of long frames have hundreds of them too.
fn audio_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
    let fragmented = "-movflags +empty_moov+default_base_moof";
    let specs = [
        ("aac-surround.mp4", "-ac 6 -c:a aac".to_owned()),
        ("aac-seven-one.mp4", "-ac 8 -c:a aac".to_owned()),
        ("aac-fragmented.mp4", format!("-c:a aac -frag_duration 1000000 {fragmented}")),
        ("ac3.mp4", "-ac 6 -c:a ac3".to_owned()),
        ("ac3-center-back.mp4", "-af aformat=channel_layouts=4.0 -c:a ac3".to_owned()),
        ("eac3.mp4", "-ac 6 -c:a eac3".to_owned()),
        ("opus.mp4", "-ac 2 -c:a libopus".to_owned()),
        ("opus-surround.mp4", "-ac 6 -c:a libopus".to_owned()),
        ("flac.mp4", "-ac 2 -c:a flac".to_owned()),
        ("flac-high.mp4", "-ac 6 -ar 96000 -sample_fmt s32 -c:a flac".to_owned()),
        ("mp3.mp4", "-ac 2 -c:a mp3".to_owned()),
        ("aac.mov", "-ac 2 -c:a aac -metadata:s:a:0 language=deu".to_owned()),
        ("aac-surround.mov", "-ac 6 -c:a aac".to_owned()),
        // A sound description of version 2.
        ("aac-high.mov", "-ac 2 -ar 96000 -c:a aac".to_owned()),
        ("ac3.mov", "-ac 6 -c:a ac3".to_owned()),
        ("eac3.mov", "-ac 6 -c:a eac3".to_owned()),
    ];
    let make = |(name, options): &(&str, String)| {
        let path = folder.join(name);
        let tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=30"];
        let options: Vec<_> = options.split(' ').collect();
        peers.ffmpeg(&[&tone[..], &options, &[path.to_str().unwrap()]].concat());
        path
    };
    specs.iter().map(make).collect()
}

/// Shaka Packager reads no MP3 in MP4.
fn is_mp3(clip: &Path) -> bool {
    clip.file_name().is_some_and(|name| name == "mp3.mp4")
}

/// The source's stream that a variant was made of.
fn stream_of(class: TrackClass) -> (&'static str, &'static str) {
    if class == TrackClass::Audio { ("0:a:0", "audio") } else { ("0:v:0", "video") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn raw_keys(class: TrackClass) -> String {
    let (kid, key) = kid_and_key(class);
    format!("label=:key_id={}:key={}", hex(&kid), hex(&key))
}

/// Init and segments of a variant as one file; in the single-file layout that file.
fn joined(package: &Path, event: &PackagedEvent, at: usize, scratch: &Path) -> PathBuf {
    let variant = &event.variants[at];
    let folder = package.join(variant.scheme.name()).join(&variant.name);
    if !folder.is_dir() {
        return folder.with_extension("mp4");
    }
    let mut bytes = std::fs::read(folder.join("init.mp4")).unwrap();
    for number in 1.. {
        let Ok(segment) = std::fs::read(folder.join(format!("{number}.m4s"))) else { break };
        bytes.extend(segment);
    }
    let path = scratch.join(format!("{}-{}-joined.mp4", variant.scheme, variant.name));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn two_other_decryptors_give_the_sources_coded_samples() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for clip in clips(&peers, folder.path()) {
        others_decrypt(&peers, &clip, 2, folder.path());
    }
}

#[test]
fn two_other_decryptors_give_the_sources_sound() {
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
                // Under `cbcs` what is shorter than a block stays as it is.
                let is_block =
                    |sample: &str| sample.split(' ').next().unwrap().parse::<u32>().unwrap() >= 16;
                let pairs = undecrypted.iter().zip(&source);
                let same = pairs.filter(|(a, b)| a == b && is_block(a)).count();
                assert_eq!(same, 0, "{what}: no sample is clear");
            }
        }
        std::fs::remove_dir_all(&scratch).unwrap();
    }
}

#[test]
fn stored_samples_equal_shaka_packagers() {
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
