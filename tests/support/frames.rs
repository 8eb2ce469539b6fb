//! The frames of a clear file, as `play --frames` writes them.

use std::path::Path;
use std::process::Command;

/// ffmpeg's own decoding of a clear file.
pub fn decoded(medium: &str, file: &Path, stream: &str) -> String {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines = String::from_utf8(run.stdout).unwrap();
    let frames = lines.lines().filter(|line| !line.starts_with('#'));
    let columns = frames.map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    columns
        .enumerate()
        .map(|(at, line)| format!("{medium} {at} {} {}\n", line[4], line[5]))
        .collect()
}
