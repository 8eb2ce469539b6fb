//! Sources to package, made by ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A clip of moving test card and tone; `None`, said loudly, where ffmpeg is missing.
///
/// In CI a missing ffmpeg is a failure.
pub fn clip(folder: &Path, size: &str, seconds: u32, options: &str) -> Option<PathBuf> {
    let path = folder.join(format!("clip-{size}-{seconds}.mp4"));
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate=25:duration={seconds}"))
        .args(["-f", "lavfi", "-i", &format!("sine=frequency=440:duration={seconds}")])
        .args("-c:v libx264 -preset ultrafast -g 50 -sc_threshold 0 -pix_fmt yuv420p".split(' '))
        .args("-c:a aac -b:a 96k".split(' '))
        .args(options.split_whitespace())
        .arg(&path)
        .status();
    match run {
        Ok(status) => assert!(status.success(), "ffmpeg made no clip"),
        Err(_) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: ffmpeg is not installed, nothing to package");
            return None;
        }
        Err(error) => panic!("CI needs ffmpeg: {error}"),
    }
    Some(path)
}
