//! Sources in other containers: what comes out of the package, decrypted by ffmpeg, is what was
//! in the source; what is cut off is refused; names of files are names of files.

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
use packages::{KEY, files, package};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clip in another container; B-frames stay unless `options` say otherwise.
fn convert(clip: &Path, name: &str, options: &str) -> PathBuf {
    let to = clip.with_file_name(name);
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-i"])
        .arg(clip)
        .args(options.split_whitespace())
        .arg(format!("file:{}", to.display()))
        .status();
    assert!(run.unwrap().success(), "{name}");
    to
}

/// Checksums of every decoded picture or sound of a file, in the order of presentation.
fn decoded(file: &Path, stream: &str, options: &[&str]) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(options)
        .arg("-i")
        .arg(format!("file:{}", file.display()))
        .args(["-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    let frames = lines.lines().filter(|line| !line.starts_with('#'));
    frames.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn is_same_media(package: &Path, source: &Path) {
    let pictures = decoded(source, "0:v:0", &[]);
    assert!(pictures.len() > 90, "{}", source.display());
    let decrypted = decoded(&package.join("cbcs/video-360p.mp4"), "0:0", &["-decryption_key", KEY]);
    assert!(decrypted == pictures, "{}: pictures", source.display());
    let sound = decoded(source, "0:a:0", &[]);
    let own = std::fs::read_dir(package.join("cbcs")).unwrap().flatten();
    let audio = own.map(|entry| entry.path()).find(|path| {
        path.file_name().unwrap().to_str().unwrap().starts_with("audio")
            && path.extension().unwrap() == "mp4"
    });
    let decrypted = decoded(&audio.unwrap(), "0:0", &["-decryption_key", KEY]);
    // The first frames only prepare the decoder; players and containers count them differently.
    let (from, to) = (2, sound.len().min(decrypted.len()) - 2);
    assert!(sound.len().abs_diff(decrypted.len()) <= 1);
    let is_there = |at: usize| decrypted[at.saturating_sub(1)..=at + 1].contains(&sound[at]);
    assert!((from..to).all(is_there), "{}: sound", source.display());
}

#[test]
fn other_containers_give_their_own_media() {
    let folder = tempfile::tempdir().unwrap();
    let options = "-preset veryfast -bf 2";
    let Some(clip) = clip(folder.path(), "640x360", 4, options) else { return };
    let copy = "-c copy";
    let sources = [
        convert(&clip, "film.ts", copy),
        convert(&clip, "film.m2ts", copy),
        convert(&clip, "film.mkv", copy),
        convert(&clip, "film.flv", copy),
        convert(&clip, "film.mov", copy),
        convert(&clip, "film.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
        convert(&clip, "film.avi", "-c:v libx264 -bf 0 -g 50 -c:a copy"),
        // A name is not believed.
        convert(&clip, "matroska.mp4", "-c copy -f matroska"),
        convert(&clip, "film.txt", "-c copy -f mpegts"),
        // Names that other programs would read as something else.
        convert(&clip, "-i.mkv", copy),
        convert(&clip, "concat:film.mkv|film.mkv", "-c copy -f matroska"),
    ];
    for source in sources {
        let out = folder.path().join("out");
        let mut command = package(folder.path());
        command.args(["--layout", "single-file", "--out"]).arg(&out).arg("--");
        // By its bare name, which begins with what it begins with.
        done(command.current_dir(folder.path()).arg(source.file_name().unwrap()));
        is_same_media(&out, &source);
        std::fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn what_is_cut_off_or_no_container_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let Some(clip) = clip(folder.path(), "640x360", 8, "-bf 0") else { return };
    let refuse = |name: &str, bytes: &[u8], words: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let refused = package(folder.path()).arg("--out").arg(&out).arg(&path).output().unwrap();
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name) && said.contains(words), "{name}: {said}");
        assert!(!out.exists() && files(&folder.path().join(".out.partial")).is_empty());
    };
    for kind in ["ts", "mkv", "flv", "avi"] {
        let whole = std::fs::read(convert(&clip, &format!("whole.{kind}"), "-c copy")).unwrap();
        refuse(&format!("cut.{kind}"), &whole[..whole.len() * 6 / 10 + 1], "");
    }
    let ts = std::fs::read(folder.path().join("whole.ts")).unwrap();
    let middle = ts.len() / 2 / 188 * 188;
    let packets = (0..200).map(|packet| middle + packet * 188);
    // Behind a whole packet and inside a picture: the next one goes on with the same.
    let goes_on = |at: usize| ts[at + 1] & 0x40 == 0 && ts[at + 2] == 0 && ts[at + 1] & 0x1f == 1;
    let inside = packets.rev().find(|at| goes_on(*at) && goes_on(*at + 188));
    refuse("packets.ts", &ts[..inside.unwrap()], "its end cannot be decoded");
    refuse("hole.ts", &[&ts[..middle], &ts[middle + 188 * 20..]].concat(), "corrupt");
    // What would make ffmpeg open other files by itself.
    let secret = folder.path().join("keys.json");
    refuse("list.m3u8", format!("#EXTM3U\n#EXTINF:1,\n{}\n", secret.display()).as_bytes(), "MP4");
    refuse("list.txt", b"ffconcat version 1.0\nfile whole.ts\n", "MP4");
    refuse("empty.mkv", b"", "empty");
    let reordered = convert(&clip, "b.avi", "-c:v libx264 -bf 2 -c:a copy");
    refuse("reordered.avi", &std::fs::read(reordered).unwrap(), "presentation times");
}

#[test]
fn without_ffmpeg_the_remedy_is_said_and_mp4_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "640x360", 4, "") else { return };
    let mkv = convert(&clip, "film.mkv", "-c copy");
    let out = folder.path().join("out");
    let run = |options: &[&str], input: &Path| {
        let mut command = package(folder.path());
        command.args(options).arg("--out").arg(&out).arg(input).env("PATH", folder.path());
        command.output().unwrap()
    };
    for (options, input) in [(&[][..], &mkv), (&["--ladder", "360p"], &clip)] {
        let refused = run(options, input);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains("apt-get install ffmpeg"), "{}", said(&refused));
    }
    assert!(run(&[], &clip).status.success());
    let mov = convert(&clip, "film.mov", "-c copy");
    std::fs::remove_dir_all(&out).unwrap();
    let done = run(&[], &mov);
    assert!(done.status.success(), "{}", said(&done));
}
