//! Thumbnails of a real clip by a real ffmpeg, and what is left where ffmpeg fails.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;

use binary::{done, said, strongroom};
use clip::clip;
use media::images::{Jpeg, bif::Bif};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn package(folder: &Path, thumbnails: &str, clip: &Path) -> Command {
    // Keys of its own: this test is not about the key service.
    let keys = folder.join("keys.json");
    let key = serde_json::json!([{ "content_id": "film", "kid": "11".repeat(16), "key": "22".repeat(16) }]);
    std::fs::write(&keys, key.to_string()).unwrap();
    let mut command = strongroom(&folder.join("data"));
    command.args(["--json", "package", "--content", "film", "--out"]);
    command.arg(folder.join("out")).arg("--keys").arg(keys).arg(thumbnails).arg(clip);
    command
}

#[test]
fn sheets_and_bif_show_the_clip() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "640x360", 31, "") else { return };
    let document = done(&mut package(folder.path(), "--thumbnails=160x90@2", &clip));
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let images = &document["images"][0];
    let told = ["width", "height", "columns", "rows", "interval_s", "count", "sheets"]
        .map(|name| images[name].as_u64().unwrap());
    assert_eq!(told, [160, 90, 5, 4, 2, 16, 1]);

    let read = |path: &str| std::fs::read(folder.path().join("out").join(path)).unwrap();
    let sheet = read("images/thumbs-160/1.jpg");
    let jpeg = Jpeg::parse(&sheet).unwrap();
    assert_eq!((jpeg.width, jpeg.height, jpeg.len), (800, 360, sheet.len()));
    let bytes = read(images["bif"].as_str().unwrap());
    let bif = Bif::parse(&bytes).unwrap();
    assert_eq!((bif.step_ms, bif.pictures.len()), (2000, 16));
    // The card moves, and so every picture is another one.
    let mut pictures: Vec<_> = bif.pictures.iter().map(|(_, at)| &bytes[at.clone()]).collect();
    pictures.dedup();
    assert_eq!(pictures.len(), 16);
    let mpd = String::from_utf8(read("manifest.mpd")).unwrap();
    assert!(mpd.contains("thumbnail_tile\" value=\"5x4\""), "{mpd}");
}

#[test]
fn a_failing_ffmpeg_is_a_refusal_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clip) = clip(folder.path(), "320x180", 4, "") else { return };
    let fails = "#!/bin/sh\necho 'no decoder today' >&2\nexit 1\n";
    // Pictures that are none, and a run that went well by its own account.
    let lies = "#!/bin/sh\nprintf 'not a picture'\n";
    for (script, why) in [(fails, "no decoder today"), (lies, "not a JPEG")] {
        let tools = folder.path().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        let tool = tools.join("ffmpeg");
        std::fs::write(&tool, script).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = package(folder.path(), "--thumbnails", &clip);
        let output = command.env("PATH", format!("{}:/bin:/usr/bin", tools.display())).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
        assert!(!folder.path().join("out").exists());
    }
    let mut command = package(folder.path(), "--thumbnails=auto", &clip);
    let output = command.env("PATH", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("ffmpeg, which is not installed"), "{}", said(&output));
    for wrong in ["--thumbnails=640x360@2", "--thumbnails=160x90@0"] {
        let output = package(folder.path(), wrong, &clip).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    }
    let output = package(folder.path(), "--thumbnails=big", &clip).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(!folder.path().join("out").exists());
}
