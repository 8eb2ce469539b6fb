//! HEVC clips, and the one with all that says "HDR" to a player.

use crate::clip::clip;
use crate::peers::Peers;
use media::bmff::plain_box;
use std::path::{Path, PathBuf};

/// HEVC clips that differ in what a slice segment header says.
pub fn hevc_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
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
pub fn hdr10_clip(peers: &Peers, folder: &Path) -> PathBuf {
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
