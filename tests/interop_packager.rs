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
use media::bmff::plain_box;
use media::package::{Layout, Plan, package};
use model::{ContentId, KeyId, PackageId, PackagedEvent, Scheme, Timestamp, TrackClass};
use peers::Peers;
use protected_track::{Stored, stored_samples};
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
    let mut clips: Vec<_> = specs
        .iter()
        .map(|(name, picture, options)| clip(peers, folder, name, picture, options))
        .collect();
    clips.extend(hevc_clips(peers, folder));
    clips
}

/// One clip of ten seconds with a tone.
fn clip(peers: &Peers, folder: &Path, name: &str, picture: &str, options: &str) -> PathBuf {
    let path = folder.join(format!("{name}.mp4"));
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"];
    let sine = ["sine=frequency=440:sample_rate=48000:duration=10"];
    let options: Vec<_> = options.split(' ').collect();
    let to = [path.to_str().unwrap()];
    peers.ffmpeg(&[&inputs[..], &sine, &options, &to].concat());
    path
}

/// HEVC clips that differ in what a slice segment header says.
fn hevc_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
    let picture = "testsrc2=size=640x360:rate=25:duration=10";
    let sets = |format: &str, tag: &str, more: &str| {
        format!(
            "-c:v libx265 -preset ultrafast -g 50 -pix_fmt {format} -tag:v {tag} \
             -x265-params log-level=error:{more} -c:a aac -b:a 96k"
        )
    };
    let specs = [
        // Entry points, several slices, leading pictures, long lists.
        (
            "hevc",
            sets(
                "yuv420p",
                "hvc1",
                "wpp=1:slices=4:open-gop=1:bframes=6:rc-lookahead=20:b-pyramid=1:ref=5",
            ),
        ),
        // Parameter sets in the samples, weights of both lists.
        (
            "hevc-in-band",
            sets("yuv420p", "hev1", "repeat-headers=1:aud=1:weightp=1:weightb=1:wpp=0:ref=4"),
        ),
        // Two fields as two pictures, and their buffering model in the SPS.
        (
            "hevc-fields",
            sets(
                "yuv420p",
                "hvc1",
                "interlace=tff:hrd=1:vbv-maxrate=900:vbv-bufsize=900:temporal-layers=1",
            ),
        ),
        // Many reference sets in the SPS, told as differences; sample adaptive offset; lists.
        (
            "hevc-sets",
            sets(
                "yuv444p",
                "hvc1",
                "sao=1:ctu=16:deblock=2,-2:scaling-list=default:opt-ref-list-length-pps=1:\
                 opt-qp-pps=1:cbqpoffs=3:radl=2:bframes=4:b-adapt=2:rc-lookahead=20:ref=6:slices=2:weightp=1",
            ),
        ),
        (
            "hevc-fragmented",
            format!(
                "{} -movflags +frag_keyframe+empty_moov+default_base_moof",
                sets("gray", "hvc1", "sao=0:deblock=0:intra-refresh=1:max-merge=1")
            ),
        ),
    ];
    let mut clips: Vec<_> =
        specs.iter().map(|(name, options)| clip(peers, folder, name, picture, options)).collect();
    clips.push(hdr10_clip(peers, folder));
    clips
}

/// Ten bits, and what says so to a player: `colr` by ffmpeg; `mdcv`, `clli` and `dvvC` by us,
/// because no ffmpeg copies them from an encoder.
fn hdr10_clip(peers: &Peers, folder: &Path) -> PathBuf {
    let path = folder.join("hevc-hdr10.mp4");
    let options = "-vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc \
         -c:v libx265 -preset ultrafast -g 50 -pix_fmt yuv420p10le -tag:v hvc1 \
         -x265-params log-level=error:hdr-opt=1:max-cll=1000,400:\
         master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1) \
         -c:a aac -b:a 96k";
    let picture = "testsrc2=size=640x360:rate=25:duration=10";
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"];
    let sine = ["sine=frequency=440:sample_rate=48000:duration=10"];
    let options: Vec<_> = options.split(' ').collect();
    let to = [path.to_str().unwrap()];
    peers.distribution_ffmpeg(&[&inputs[..], &sine, &options, &to].concat());
    let mut file = std::fs::read(&path).unwrap();
    let hdr = hdr_boxes();
    // The samples lie before `moov`: what grows moves none of them.
    let mut at = 0;
    for kind in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1"] {
        let found = file[at..].windows(4).position(|four| four == kind).unwrap() + at;
        assert!(found > file.windows(4).position(|four| four == b"mdat").unwrap());
        let size = u32::from_be_bytes(file[found - 4..found].try_into().unwrap());
        let grown = size + u32::try_from(hdr.len()).unwrap();
        file[found - 4..found].copy_from_slice(&grown.to_be_bytes());
        at = found;
    }
    let end = at - 4 + u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    let end = end - hdr.len();
    file.splice(end..end, hdr);
    std::fs::write(&path, file).unwrap();
    path
}

/// Mastering display and light level (ISO/IEC 14496-12:2022, 12.1.6 and 12.1.7), Dolby Vision
/// profile 8.1.
fn hdr_boxes() -> Vec<u8> {
    let mut boxes = Vec::new();
    plain_box(&mut boxes, b"mdcv", |out| {
        for field in [13250_u16, 34500, 7500, 3000, 34000, 16000, 15635, 16450] {
            out.extend(field.to_be_bytes());
        }
        out.extend([10_000_000_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat());
    });
    plain_box(&mut boxes, b"clli", |out| out.extend([3, 232, 1, 144]));
    plain_box(&mut boxes, b"dvvC", |out| out.extend([&[1, 0, 16, 13, 16][..], &[0; 19]].concat()));
    boxes
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

/// Makes clips of a codec, with sound: name, test card, options of the encoder.
fn coded_clips(peers: &Peers, folder: &Path, specs: &[(&str, &str, &str)]) -> Vec<PathBuf> {
    let make = |(name, card, options): &(&str, &str, &str)| {
        let path = folder.join(format!("{name}.mp4"));
        let card = format!("testsrc2={card}:rate=25:duration=10");
        let sine = "sine=frequency=440:sample_rate=48000:duration=10";
        let inputs = ["-f", "lavfi", "-i", &card, "-f", "lavfi", "-i", sine];
        let options = options.split(' ').chain(["-g", "50", "-c:a", "aac", path.to_str().unwrap()]);
        peers.ffmpeg(&inputs.into_iter().chain(options).collect::<Vec<_>>());
        path
    };
    specs.iter().map(make).collect()
}

/// AV1 clips that differ in what a frame header holds. (This encoder's scaled frames are forbidden
/// ones unless width and height are multiples of 8: else they exceed their sequence.)
fn av1_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
    let (large, small) = ("size=640x360", "size=320x176");
    let with = |parameters: &str| {
        format!("-c:v libsvtav1 -preset 12 -pix_fmt yuv420p -svtav1-params {parameters}")
    };
    let ten_bit = "-c:v libsvtav1 -preset 12 -pix_fmt yuv420p10le -svtav1-params film-grain=10";
    let specs = [
        ("av1-tiles", large, with("tile-columns=1:tile-rows=1")),
        ("av1-grain-ten-bit", small, ten_bit.to_owned()),
        ("av1-superres", small, with("superres-mode=2")),
        ("av1-resize", small, with("resize-mode=2")),
        ("av1-switch-frames", small, with("pred-struct=1:sframe-dist=20:sframe-mode=1")),
        ("av1-lossless", small, with("lossless=1")),
        ("av1-screen", small, with("scm=1")),
        ("av1-segments", small, with("aq-mode=1:rc=1:tbr=200")),
        (
            "av1-forward-key",
            small,
            with("irefresh-type=1") + " -movflags +frag_keyframe+delay_moov",
        ),
    ];
    let specs = specs.each_ref().map(|(name, card, options)| (*name, *card, options.as_str()));
    coded_clips(peers, folder, &specs)
}

/// VP9 clips: superframes with hidden frames, tiles, segments, profile 1, no loss, and a change
/// of size. (The peers' encoder has no deeper samples than 8 bits.)
fn vp9_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
    let (large, small) = ("size=640x360", "size=320x180");
    let altref = "-c:v libvpx-vp9 -pix_fmt yuv420p -deadline good -cpu-used 8 -b:v 300k \
                  -auto-alt-ref 1 -lag-in-frames 25";
    let with = |options: &str| {
        format!("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k -pix_fmt {options}")
    };
    let specs = [
        ("vp9-superframes", small, altref.to_owned()),
        ("vp9-tiles", large, with("yuv420p -tile-columns 1 -tile-rows 2")),
        ("vp9-segments", small, with("yuv420p -aq-mode 3 -lag-in-frames 0")),
        ("vp9-profile-1", small, with("yuv444p -error-resilient 1")),
        ("vp9-lossless", small, with("yuv420p -lossless 1")),
        ("vp9-smaller", "size=200x112", altref.to_owned()),
    ];
    let specs = specs.each_ref().map(|(name, card, options)| (*name, *card, options.as_str()));
    let mut clips = coded_clips(peers, folder, &specs);
    // The smaller one behind the larger one: each begins with a key frame.
    let list = folder.join("vp9-sizes.txt");
    std::fs::write(&list, "file 'vp9-superframes.mp4'\nfile 'vp9-smaller.mp4'\n").unwrap();
    let both = folder.join("vp9-sizes.mp4");
    let [list, to] = [&list, &both].map(|path| path.to_str().unwrap());
    peers.ffmpeg(&["-f", "concat", "-i", list, "-c", "copy", to]);
    *clips.last_mut().unwrap() = both;
    clips
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
    decrypt_with_others(clips);
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

#[test]
fn stored_samples_equal_shaka_packagers() {
    compare_with_shaka(clips);
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
