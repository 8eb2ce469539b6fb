//! What the player says when there is no license: retries as the server wants them, then the one
//! sentence; the server's own words where it says no; and never a clear frame (R164, R165, R174).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "support/answering.rs"]
mod answering;
#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/packages.rs"]
#[expect(dead_code, reason = "other tests compare packages")]
mod packages;

use answering::{Reply, serve};
use binary::{done, said, strongroom};
use packages::{KEY, KID, package};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// When a question came, and what it said.
type Arrived = (Instant, Vec<u8>);

const UNAVAILABLE: &str = "strongroom: Playback unavailable, try again shortly";

/// A title under one key.
fn title(folder: &Path) -> Option<PathBuf> {
    let clip = clip::clip(folder, "320x180", 2, "")?;
    let place = folder.join("package");
    done(package(folder).arg("--out").arg(&place).arg(clip));
    Some(place)
}

/// `play` under Clear Key; nothing is written where it does not succeed.
fn play(package: &str, license_url: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames");
    let output = strongroom(folder.path())
        .args(["--json", "play", package, "--license-url", license_url, "--frames"])
        .arg(&frames)
        .output()
        .unwrap();
    assert_eq!(frames.exists(), output.status.success(), "{}", said(&output));
    output
}

/// A no, in these words and with nothing on standard output.
fn assert_refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).lines().any(|line| line == words), "{}", said(output));
    assert!(output.stdout.is_empty(), "{}", said(output));
}

#[expect(clippy::disallowed_methods, reason = "a promise about time is measured")]
fn now() -> Instant {
    Instant::now()
}

/// The Clear Key license of the title.
fn license() -> Vec<u8> {
    let (kid, key) = (model::KeyId::parse(KID).unwrap(), model::KeyId::parse(KEY).unwrap());
    let key = serde_json::json!({
        "kty": "oct", "kid": kid.to_base64url(), "k": key.to_base64url(),
    });
    serde_json::json!({ "keys": [key], "type": "temporary" }).to_string().into_bytes()
}

#[test]
fn a_server_that_is_busy_is_asked_three_times_more_and_not_sooner_than_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = title(folder.path()) else { return };
    let asked: Arc<Mutex<Vec<Arrived>>> = Arc::default();
    let url = serve({
        let asked = Arc::clone(&asked);
        move |path, body| {
            let mut asked = asked.lock().unwrap();
            asked.push((now(), body.to_vec()));
            match path {
                "/busy" => Reply::status(503, &["Retry-After: 1"]),
                "/twice" if asked.len() < 3 => Reply::status(429, &["Retry-After: 0"]),
                "/far" => Reply::status(503, &["Retry-After: 3600"]),
                _ => Reply::ok(license()),
            }
        }
    });
    let package = title.to_str().unwrap();
    assert_refused(&play(package, &format!("{url}/busy")), UNAVAILABLE);
    let times = std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(times.len(), 4, "once, and three times more");
    for pair in times.windows(2) {
        let [(first, one), (second, other)] = pair else { panic!("a pair") };
        assert!(*second - *first >= Duration::from_secs(1), "{:?}", *second - *first);
        assert_eq!(one, other, "the same bytes, so that the server may answer them anew");
    }
    let played = play(package, &format!("{url}/twice"));
    assert!(played.status.success(), "{}", said(&played));
    assert_eq!(std::mem::take(&mut *asked.lock().unwrap()).len(), 3);
    // Longer than a viewer waits: no retry comes too soon, so none comes.
    assert_refused(&play(package, &format!("{url}/far")), UNAVAILABLE);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[test]
fn a_server_that_is_not_there_or_says_no_plays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = title(folder.path()) else { return };
    let asked = Arc::new(Mutex::new(0));
    let url = serve({
        let asked = Arc::clone(&asked);
        move |path, _| {
            *asked.lock().unwrap() += 1;
            let problem =
                br#"{"status":403,"code":"title_not_in_plan","detail":"Not in your plan."}"#;
            match path {
                "/no" => Reply { status: 403, headers: vec![], body: problem.to_vec() },
                "/none" => Reply::ok(br#"{"keys":[]}"#.to_vec()),
                "/page" => Reply::ok(b"<html>".to_vec()),
                "/elsewhere" => Reply::status(307, &["Location: /license"]),
                _ => Reply::ok(license()),
            }
        }
    });
    let package = title.to_str().unwrap();
    assert_refused(&play(package, &format!("{url}/no")), "strongroom: Not in your plan.");
    assert_eq!(*asked.lock().unwrap(), 1, "a no is a no");
    assert_refused(&play(package, &format!("{url}/page")), UNAVAILABLE);
    let none = "strongroom: This device may not play this title: its license opens none of the \
                renditions";
    assert_refused(&play(package, &format!("{url}/none")), none);
    let moved = play(package, &format!("{url}/elsewhere"));
    assert_eq!(moved.status.code(), Some(1), "{}", said(&moved));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = play(package, &format!("http://127.0.0.1:{port}/license"));
    assert_refused(&closed, UNAVAILABLE);
    assert!(said(&closed).contains("because:"), "{}", said(&closed));
    let played = play(package, &format!("{url}/license"));
    assert!(played.status.success(), "{}", said(&played));
}

#[test]
fn nothing_that_is_clear_or_damaged_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = title(folder.path()) else { return };
    let url = serve(|_, _| Reply::ok(license()));
    let manifest = title.join("manifest.mpd");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let package = title.to_str().unwrap();
    // As if the title were clear: there is then nothing that this player plays.
    let open = text.replace("urn:mpeg:dash:mp4protection:2011", "urn:example");
    std::fs::write(&manifest, open).unwrap();
    let output = play(package, &url);
    assert!(said(&output).contains("nothing that is protected"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1));
    std::fs::write(&manifest, text.replace("cbcs/", "../cbcs/")).unwrap();
    let output = play(package, &url);
    assert!(said(&output).contains("outside of its package"), "{}", said(&output));
    std::fs::write(&manifest, &text).unwrap();
    // A clear initialization segment in the place of a protected one.
    let video = std::fs::read_dir(title.join("cbcs")).unwrap().flatten().map(|entry| entry.path());
    let video = video.into_iter().find(|path| path.to_string_lossy().contains("video")).unwrap();
    let init = std::fs::read(video.join("init.mp4")).unwrap();
    let clear = cdm::Track::parse(&init).unwrap().clear_init;
    std::fs::write(video.join("init.mp4"), clear).unwrap();
    let output = play(package, &url);
    assert!(said(&output).contains("is not the manifest's"), "{}", said(&output));
    std::fs::write(video.join("init.mp4"), &init).unwrap();
    let segment = std::fs::read(video.join("1.m4s")).unwrap();
    std::fs::write(video.join("1.m4s"), &segment[..segment.len() - 9]).unwrap();
    let output = play(package, &url);
    assert!(said(&output).contains("the segment is malformed"), "{}", said(&output));
    std::fs::write(video.join("1.m4s"), &segment).unwrap();
    assert!(play(package, &url).status.success());
}

#[test]
fn fairplay_is_refused_an_mpd_and_playready_tells_a_faults_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = title(folder.path()) else { return };
    let lab = folder.path().join("lab");
    done(strongroom(folder.path()).args(["credentials", "make-test-root"]).arg(&lab));
    let url = serve(|_, _| Reply {
        status: 403,
        headers: vec![],
        body: b"<soap:Fault><faultcode>soap:Client</faultcode><faultstring>title_not_in_plan: \
            Not in your plan.</faultstring></soap:Fault>"
            .to_vec(),
    });
    let play = |package: &Path, system: &str| {
        let mut command = strongroom(folder.path());
        command.args(["play", "--license-url", &url, "--dialect", system, "--device"]);
        command.arg(lab.join(system)).arg(package).output().unwrap()
    };
    let playready = play(&title, "playready");
    assert_refused(&playready, "strongroom: Not in your plan.");
    let mpd = play(&title.join("manifest.mpd"), "fairplay");
    assert_refused(&mpd, "strongroom: FairPlay plays HLS: an MPD does not say where its keys are");
    // Its own playlists, and a server that is not one.
    let fairplay = play(&title, "fairplay");
    assert_eq!(fairplay.status.code(), Some(1), "{}", said(&fairplay));
    assert!(fairplay.stdout.is_empty(), "{}", said(&fairplay));
}
