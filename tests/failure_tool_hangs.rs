//! ffmpeg that stops working without ending: the job ends, says so, and leaves no process and no
//! file behind.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/packages.rs"]
mod packages;

use binary::said;
use clip::clip;
use packages::{files, package};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Never says a word.
const SILENT: &str = "exec sleep 600";
/// Says that it is where it was.
const REPEATS: &str = "while sleep 0.05; do echo out_time_us=40000 >&2; done";
/// Closes its pipes, so that they look like an end.
const CLOSED: &str = "exec sleep 600 <&- >&- 2>&-";

/// A program of this name that notes its process and then does what `script` says.
fn stand_in(folder: &Path, name: &str, script: &str) -> PathBuf {
    let tools = folder.join(format!("tools-{name}"));
    std::fs::create_dir_all(&tools).unwrap();
    let tool = tools.join(name);
    let noted = folder.join("process");
    let text = format!("#!/bin/sh\necho $$ > '{}'\n{script}\n", noted.display());
    std::fs::write(&tool, text).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    tools
}

/// Runs a job with a stand-in; it ends by exit 2 and nothing of it is left.
fn ends(folder: &Path, name: &str, script: &str, words: &[&str], input: &Path) {
    let what = format!("{name} {script} {words:?}");
    let tools = stand_in(folder, name, script);
    let (temporary, out) = (folder.join("temporary"), folder.join("out"));
    std::fs::create_dir_all(&temporary).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = package(folder);
    command.arg("--out").arg(&out).args(words).arg(input);
    command.env("PATH", format!("{}:{path}", tools.display()));
    command.env("STRONGROOM_PACKAGING_TEMPORARY", &temporary);
    command.env("STRONGROOM_PACKAGING_STALLED_SECONDS", "1");
    let output = command.output().unwrap();
    let told = said(&output);
    assert_eq!(output.status.code(), Some(2), "{what}: {told}");
    let expected = "made no progress for 1 seconds and was ended";
    assert!(told.contains(name) && told.contains(expected), "{what}: {told}");
    assert!(files(&temporary).is_empty() && !out.exists(), "{what}");
    let process = std::fs::read_to_string(folder.join("process")).unwrap();
    assert!(!Path::new("/proc").join(process.trim()).exists(), "{what}: it is still there");
}

#[test]
fn a_hanging_remux_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(clip) = clip(folder, "320x180", 2, "-f matroska") else { return };
    for script in [SILENT, REPEATS, CLOSED] {
        ends(folder, "ffmpeg", script, &[], &clip);
    }
    ends(folder, "ffprobe", SILENT, &[], &clip);
}

#[test]
fn a_hanging_encoder_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(clip) = clip(folder, "320x180", 2, "") else { return };
    for script in [SILENT, REPEATS] {
        ends(folder, "ffmpeg", script, &["--ladder", "auto"], &clip);
    }
}

#[test]
fn hanging_thumbnails_are_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(clip) = clip(folder, "320x180", 2, "") else { return };
    for script in [SILENT, CLOSED] {
        ends(folder, "ffmpeg", script, &["--thumbnails=160x90@1"], &clip);
    }
}
