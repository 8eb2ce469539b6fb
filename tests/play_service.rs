//! The reference player signs in at the running service and plays its title under Clear Key in
//! both schemes: the frames are the clear source's, and the picture is no better than an unattested
//! player may have (R160, R163).

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
#[path = "support/frames.rs"]
mod frames;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use binary::{done, said, strongroom};
use clip::clip;
use frames::decoded;
use service::Service;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `play` as a viewer of the service.
fn play(data: &Path, url: &str, password: &str, options: &[&str]) -> Output {
    let mut command: Command = strongroom(data);
    command.args(["--json", "play", "--server", url, "--account", "viewer", "--password-stdin"]);
    command.args(["--content", "film"]).args(options);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_viewer_plays_the_services_title_in_both_schemes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let Some(sd) = clip(folder.path(), "320x180", 4, "-bf 2") else { return };
    let Some(hd) = clip(folder.path(), "1280x720", 4, "-an") else { return };
    let package = ["package", "--content", "film", "--scheme", "dual", "--segment-seconds", "2"];
    done(strongroom(&data).args(package).args([&sd, &hd]));
    let account = done(strongroom(&data).args(["--json", "account", "add", "viewer"]));
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();
    let password = account["password"].as_str().unwrap();
    let service = Service::start(&mut strongroom(&data), &folder.path().join("log"));
    let frames = folder.path().join("frames");
    let source = decoded("video", &sd, "0:v") + &decoded("audio", &sd, "0:a");
    for scheme in ["cbcs", "cenc"] {
        let options = ["--scheme", scheme, "--frames", frames.to_str().unwrap()];
        let output = play(&data, &service.url, password, &options);
        assert!(output.status.success(), "{scheme}: {}", said(&output));
        let played: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(played["tracks"][0]["resolution"], "320x180", "{played}");
        assert_eq!((&played["scheme"], &played["level"]), (&scheme.into(), &"L3".into()));
        assert!(std::fs::read_to_string(&frames).unwrap() == source, "{scheme}: other frames");
    }
    // The stream was given back: a plan of few streams never said that it has none left.
    let refused = play(&data, &service.url, "another word", &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let sentence = "strongroom: The name or the password is not right.";
    assert!(said(&refused).lines().any(|line| line == sentence), "{}", said(&refused));
    for (options, words) in [
        (&["--level", "L1"][..], "Clear Key attests no device"),
        (&["--dialect", "widevine"], "Widevine needs a device"),
        (&["--device", "nowhere"], "no device of this level"),
    ] {
        let wrong = play(&data, &service.url, password, options);
        assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
        assert!(said(&wrong).contains(words), "{}", said(&wrong));
    }
}
