//! `--ladder`: renditions of one mezzanine, cut at the same times, none larger than it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/packages.rs"]
mod packages;

use binary::{done, said};
use clip::clip;
use packages::{files, package};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Names and heights of the package's pictures.
fn pictures(printed: &str) -> Vec<(String, u64)> {
    let event: serde_json::Value = serde_json::from_str(printed).unwrap();
    let variants = event["variants"].as_array().unwrap().iter();
    let pictures = variants.filter(|variant| !variant["height"].is_null());
    pictures
        .map(|v| (v["name"].as_str().unwrap().to_owned(), v["height"].as_u64().unwrap()))
        .collect()
}

/// Lengths of a rendition's segments, as its playlist tells them.
fn lengths(out: &Path, name: &str) -> Vec<String> {
    let playlist = std::fs::read_to_string(out.join("cbcs").join(format!("{name}.m3u8")));
    let playlist = playlist
        .or_else(|_| std::fs::read_to_string(out.join("cbcs").join(name).join("playlist.m3u8")));
    let lines = playlist.unwrap();
    lines.lines().filter(|line| line.starts_with("#EXTINF")).map(str::to_owned).collect()
}

fn ladder(folder: &Path, out: &Path, rungs: &str, source: &Path) -> std::process::Command {
    let mut command = package(folder);
    command.args(["--json", "--ladder", rungs, "--out"]).arg(out).arg(source);
    command
}

#[test]
fn renditions_are_cut_at_the_same_times() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Key frames of the source fall anywhere; its rate is not a whole number.
    let odd = "-g 37 -r 30000/1001 -bf 2 -preset veryfast";
    let Some(clip) = clip(folder.path(), "640x360", 9, odd) else { return };
    let printed = done(&mut ladder(folder.path(), &out, "180p,360p,240p", &clip));
    let pictures = pictures(&printed);
    assert_eq!(pictures.iter().map(|(_, height)| *height).collect::<Vec<_>>(), [360, 240, 180]);
    let first = lengths(&out, &pictures[0].0);
    // Two seconds are 60 frames at this rate, and the rest is what remains.
    assert_eq!(first.len(), 5, "{first:?}");
    assert!(first[..4].iter().all(|length| length.contains("2.002")), "{first:?}");
    for (name, _) in &pictures {
        assert_eq!(lengths(&out, name), first, "{name}");
    }
}

#[test]
fn nothing_is_enlarged_and_other_containers_are_mezzanines_too() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let Some(clip) = clip(folder.path(), "640x360", 2, "-f matroska") else { return };
    let refused = ladder(folder.path(), &out, "720p,360p", &clip).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("720p is more than the source has"), "{}", said(&refused));
    assert!(!out.exists());
    let printed = done(&mut ladder(folder.path(), &out, "auto", &clip));
    let heights: Vec<_> = pictures(&printed).into_iter().map(|(_, height)| height).collect();
    assert_eq!(heights, [360, 240]);
    // Not one picture more than the source has.
    assert_eq!(lengths(&out, "video-360p").len(), 1);
    let two = ladder(folder.path(), &out, "auto", &clip).arg(&clip).output().unwrap();
    assert_eq!(two.status.code(), Some(2), "{}", said(&two));
}

#[test]
fn a_failed_encoder_is_reported_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let Some(clip) = clip(folder.path(), "640x360", 4, "-movflags +faststart") else { return };
    let mut bytes = std::fs::read(&clip).unwrap();
    let half = bytes.len() / 2;
    bytes.truncate(half);
    let cut = folder.path().join("cut.mp4");
    std::fs::write(&cut, bytes).unwrap();
    let refused = ladder(folder.path(), &out, "360p", &cut).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("cut.mp4"), "{}", said(&refused));
    assert!(said(&refused).contains("ffmpeg: ") || said(&refused).contains("declares"));
    assert!(!out.exists());
}

/// `kill -9` leaves neither files nor an encoder at work.
#[test]
fn a_killed_ladder_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let Some(clip) = clip(folder.path(), "1280x720", 60, "") else { return };
    let mut command = ladder(folder.path(), &folder.path().join("out"), "720p,360p", &clip);
    command.env("STRONGROOM_PACKAGING_TEMPORARY", &temporary);
    let mut job = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let encoder = loop {
        assert!(job.try_wait().unwrap().is_none(), "killed in the middle");
        let child = children(job.id()).into_iter().find(|child| name(child) == "ffmpeg");
        match child {
            Some(child) => break child,
            None => std::thread::yield_now(),
        }
    };
    job.kill().unwrap();
    job.wait().unwrap();
    while encoder.exists() && name(&encoder) == "ffmpeg" {
        std::thread::yield_now();
    }
    assert!(files(&temporary).is_empty() && !folder.path().join("out").exists());
}

/// The children of a process, as folders below /proc.
fn children(process: u32) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_child = |path: &PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        // Behind the name, which stands in brackets: state, parent.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        behind.split_whitespace().nth(1) == Some(process.to_string().as_str())
    };
    all.filter(is_child).collect()
}

/// A process's name; one that is dead and waits to be buried has none.
fn name(process: &Path) -> String {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    if stat.contains(") Z ") {
        return String::new();
    }
    std::fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned()
}
