//! The reference player plays a title under Widevine at every level and in both schemes: the
//! frames are the clear source's, and no level opens what is above it (R093, R104, R160-R163).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/answering.rs"]
mod answering;
#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/title.rs"]
mod title;
#[path = "support/widevine_service.rs"]
mod widevine_service;

use answering::{Reply, serve};
use binary::{said, strongroom};
use dialect::terms::{LicenseTerms, RenewalTerms};
use model::TrackClass;
use std::io::{BufRead as _, BufReader};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use title::{Title, key};
use widevine_service::{Keys, WidevineService, licensed};

const UNAVAILABLE: &str = "Playback unavailable, try again shortly";

/// `play` as a device of a level.
fn play(package: &str, license_url: &str, devices: &Path, level: &str) -> Command {
    let mut command = strongroom(&devices.join("data"));
    command.args(["--json", "play", package, "--license-url", license_url, "--level", level]);
    command.arg("--device").arg(devices);
    command
}

fn summary(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn kids(classes: &[TrackClass]) -> serde_json::Value {
    classes.iter().map(|class| key(*class).0.to_string()).collect::<Vec<_>>().into()
}

#[test]
fn the_frames_are_the_clear_sources_and_no_level_opens_what_is_above_it() {
    use TrackClass::{Audio, Hd, Sd, Uhd};
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Title::make(folder.path(), &[]) else { return };
    let service = WidevineService::new(Keys::ByLevel);
    let devices = service.write_devices(&folder.path().join("root"));
    let asked = Arc::new(Mutex::new(0));
    let url = serve({
        let asked = Arc::clone(&asked);
        move |_, body| {
            *asked.lock().unwrap() += 1;
            Reply::ok(service.answer(body))
        }
    });
    let package = title.package.to_str().unwrap();
    for (level, best, usable, withheld) in [
        ("L1", Uhd, &[Audio, Sd, Hd, Uhd][..], &[][..]),
        ("L2", Hd, &[Audio, Sd, Hd], &[Uhd]),
        ("L3", Sd, &[Audio, Sd], &[Hd, Uhd]),
    ] {
        for scheme in ["cbcs", "cenc"] {
            let frames = folder.path().join("frames");
            let mut command = play(package, &url, &devices, level);
            command.args(["--scheme", scheme, "--frames"]).arg(&frames);
            let played = summary(&command.output().unwrap());
            assert_eq!(played["keys"]["usable"], kids(usable), "{level} {scheme}: {played}");
            assert_eq!(played["keys"]["withheld"], kids(withheld), "{level} {scheme}");
            assert_eq!(played["tracks"][0]["kid"], key(best).0.to_string());
            assert_eq!(played["tracks"][0]["frames"], 50);
            let frames = std::fs::read_to_string(frames).unwrap();
            assert!(frames == title.frames(best), "{level} {scheme}: other frames");
            // What is above the level is not asked for again.
            let asked = std::mem::take(&mut *asked.lock().unwrap());
            assert_eq!((asked, &played["license_requests"]), (2, &1.into()), "{level} {scheme}");
        }
    }
}

#[test]
fn a_key_above_the_level_is_not_used_even_where_a_server_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Title::make(folder.path(), &["--layout", "single-file"]) else { return };
    let service = WidevineService::new(Keys::All);
    let devices = service.write_devices(&folder.path().join("root"));
    let asked = Arc::new(Mutex::new(0));
    let url = serve({
        let asked = Arc::clone(&asked);
        move |_, body| {
            *asked.lock().unwrap() += 1;
            Reply::ok(service.answer(body))
        }
    });
    let package = title.package.to_str().unwrap();
    let frames = folder.path().join("frames");
    let mut command = play(package, &url, &devices, "L3");
    let played = summary(&command.arg("--frames").arg(&frames).output().unwrap());
    assert_eq!(played["keys"]["usable"], kids(&[TrackClass::Audio, TrackClass::Sd]));
    assert_eq!(played["keys"]["not_usable"][0]["status"], "internal-error");
    assert_eq!(played["keys"]["not_usable"].as_array().unwrap().len(), 2);
    assert!(std::fs::read_to_string(frames).unwrap() == title.frames(TrackClass::Sd));
    assert_eq!(*asked.lock().unwrap(), 3, "the certificate, the license, its one renewal");
}

#[test]
fn a_key_that_ends_while_its_renewal_is_on_the_way_ends_the_picture_in_the_server_s_words() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Title::make(folder.path(), &[]) else { return };
    let service = WidevineService::new(Keys::All);
    let devices = service.write_devices(&folder.path().join("root"));
    let asked = Mutex::new(0);
    let url = serve(move |_, body| {
        let license_s = NonZeroU32::new(5);
        let renewal = RenewalTerms { on_first_use: true, ..RenewalTerms::default() };
        let terms = LicenseTerms {
            can_play: true,
            can_renew: true,
            license_s,
            renewal,
            ..LicenseTerms::default()
        };
        if body.len() < 10 {
            return Reply::ok(service.answer(body));
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked == 1 {
            let given = || TrackClass::ALL.into_iter().map(licensed).collect();
            return Reply::ok(service.license(body, &terms, |_, _| given()));
        }
        // The renewal's answer comes when the license has ended.
        std::thread::sleep(Duration::from_secs(6));
        let problem = r#"{"code": "account_suspended", "detail": "This account is suspended."}"#;
        let headers = vec!["Content-Type: application/problem+json".to_owned()];
        Reply { status: 403, headers, body: problem.as_bytes().to_vec() }
    });
    let output = play(title.package.to_str().unwrap(), &url, &devices, "L3").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let played = serde_json::from_slice(&output.stdout);
    let played: serde_json::Value = played.unwrap_or_else(|_| panic!("{}", said(&output)));
    assert_eq!(played["ended"], "This account is suspended.", "{played}");
}

#[test]
fn a_license_that_is_not_the_answer_plays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Title::make(folder.path(), &[]) else { return };
    let service = Arc::new(WidevineService::new(Keys::ByLevel));
    let devices = service.write_devices(&folder.path().join("root"));
    let foreign = Arc::new(WidevineService::new(Keys::ByLevel));
    let captured: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let url = serve({
        let (service, captured) = (Arc::clone(&service), Arc::clone(&captured));
        move |path, body| {
            let is_request = body.len() > 2;
            let mut answer = match path {
                // Another root's certificate.
                "/foreign" => foreign.answer(&body[..body.len().min(2)]),
                // What was answered to another device.
                "/captured" if is_request => captured.lock().unwrap().clone().unwrap(),
                _ => service.answer(body),
            };
            match path {
                "/good" if is_request => *captured.lock().unwrap() = Some(answer.clone()),
                "/cut" if is_request => answer.truncate(answer.len() - 1),
                "/flipped" if is_request => {
                    let middle = answer.len() / 2;
                    answer[middle] ^= 1;
                }
                "/empty" if is_request => answer.clear(),
                _ => {}
            }
            Reply::ok(answer)
        }
    });
    let package = title.package.to_str().unwrap();
    let good = play(package, &format!("{url}/good"), &devices, "L3").output().unwrap();
    summary(&good);
    let second = service.write_devices(&folder.path().join("second"));
    for path in ["/captured", "/cut", "/flipped", "/empty", "/foreign"] {
        let frames = folder.path().join("nothing");
        let mut command = play(package, &format!("{url}{path}"), &second, "L3");
        let output = command.arg("--frames").arg(&frames).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{path}: {}", said(&output));
        assert!(said(&output).contains(UNAVAILABLE), "{path}: {}", said(&output));
        assert!(output.stdout.is_empty() && !frames.exists(), "{path}");
    }
}

/// The processes that one has started.
fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn the_app_that_plays_holds_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Title::make(folder.path(), &[]) else { return };
    let service = WidevineService::new(Keys::ByLevel);
    let devices = service.write_devices(&folder.path().join("root"));
    // The last segment of the picture is held back until memory was searched.
    let gate = Arc::new((Mutex::new((false, false)), Condvar::new()));
    let url = serve({
        let (package, gate) = (title.package.clone(), Arc::clone(&gate));
        move |path, body| {
            if path == "/license" {
                return Reply::ok(service.answer(body));
            }
            if path.contains("video") && path.ends_with("/2.m4s") {
                let (state, changed) = &*gate;
                let mut state = state.lock().unwrap();
                state.0 = true;
                changed.notify_all();
                drop(changed.wait_while(state, |(_, is_open)| !*is_open).unwrap());
            }
            std::fs::read(package.join(&path[1..]))
                .map_or_else(|_| Reply::status(404, &[]), Reply::ok)
        }
    });
    let license_url = format!("{url}/license");
    for level in ["L1", "L3"] {
        let mut app =
            play(&url, &license_url, &devices, level).stdout(Stdio::piped()).spawn().unwrap();
        let (state, changed) = &*gate;
        drop(changed.wait_while(state.lock().unwrap(), |(waits, _)| !*waits).unwrap());
        let audit = |pid: u32| {
            strongroom(&folder.path().join("none"))
                .args(["audit-leaks", "--process", &pid.to_string(), "--keys"])
                .arg(&title.keys)
                .output()
                .unwrap()
        };
        let searched = audit(app.id());
        let cdm = children(app.id()).into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
            line.split(|byte| *byte == 0).any(|word| word == b"cdm-process")
        });
        let inside = audit(cdm.expect("the CDM is a process of its own"));
        *state.lock().unwrap() = (false, true);
        changed.notify_all();
        let mut out = String::new();
        BufReader::new(app.stdout.take().unwrap()).read_line(&mut out).unwrap();
        assert!(app.wait().unwrap().success());
        *state.lock().unwrap() = (false, false);
        assert!(searched.status.success(), "{level}: {}", said(&searched));
        assert!(said(&searched).contains("1 processes"), "{}", said(&searched));
        // Root sees the keys there; anyone else is kept out.
        let kept_out = said(&inside).contains("cannot read the memory");
        assert!(kept_out || said(&inside).contains("content key"), "{}", said(&inside));
        assert!(out.contains("\"frames\":50"), "{out}");
    }
}
