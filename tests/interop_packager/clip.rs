//! Clips made by an encoder.

use crate::peers::Peers;
use std::path::{Path, PathBuf};

/// One clip of ten seconds with a tone.
pub fn clip(peers: &Peers, folder: &Path, name: &str, picture: &str, options: &str) -> PathBuf {
    let path = folder.join(format!("{name}.mp4"));
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"];
    let sine = ["sine=frequency=440:sample_rate=48000:duration=10"];
    let options: Vec<_> = options.split(' ').collect();
    let to = [path.to_str().unwrap()];
    peers.ffmpeg(&[&inputs[..], &sine, &options, &to].concat());
    path
}

/// Makes clips of a codec, with sound: name, test card, options of the encoder.
pub fn coded_clips(peers: &Peers, folder: &Path, specs: &[(&str, &str, &str)]) -> Vec<PathBuf> {
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
