//! AV1 and VP9 clips.

use crate::clip::coded_clips;
use crate::peers::Peers;
use std::path::{Path, PathBuf};

/// AV1 clips that differ in what a frame header holds. (This encoder's scaled frames are forbidden
/// ones unless width and height are multiples of 8: else they exceed their sequence.)
pub fn av1_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
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
pub fn vp9_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
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
