//! H.264 clips that differ in what encryption must understand.

use crate::clip::clip;
use crate::peers::Peers;
use std::path::{Path, PathBuf};

/// Clips that differ in what encryption must understand.
pub fn h264_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
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
    specs
        .iter()
        .map(|(name, picture, options)| clip(peers, folder, name, picture, options))
        .collect()
}
