//! The real binary, run as an operator would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary on a data folder, with nothing of the caller's environment in its settings.
pub fn strongroom(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.env_remove("STRONGROOM_CONFIG").env_remove("STRONGROOM_LOG");
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

/// Runs a command that must succeed; its standard output.
pub fn done(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).expect("answers are UTF-8")
}

/// Standard error and output of a run, for assertions.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stderr[..], &output.stdout[..]].concat()).into_owned()
}

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
