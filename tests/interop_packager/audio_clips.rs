//! Sound in every codec and container.

use crate::peers::Peers;
use std::path::{Path, PathBuf};

/// Sound alone, in every codec and container that ffmpeg writes. Half a minute, so that codecs
/// of long frames have hundreds of them too.
pub fn audio_clips(peers: &Peers, folder: &Path) -> Vec<PathBuf> {
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
pub fn is_mp3(clip: &Path) -> bool {
    clip.file_name().is_some_and(|name| name == "mp3.mp4")
}
