//! Downloads outlive the process and the service: a title plays with no network until its term and
//! not a second longer, on its own device and for its own service, whatever becomes of the clock;
//! a download that is killed goes on; what was played is told (R114-R116, C11).

#![expect(
    clippy::disallowed_methods,
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
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// What a kept license may be used for, seconds.
const TERM_S: u64 = 3600;
const POLICY: &str = "license_s = 600\n[offline]\nallowed = true\nlicense_s = 3600\n";
const SYSTEMS: [&str; 3] = ["widevine", "playready", "fairplay"];

/// A service with a title that may be kept, and a viewer with a clock of the test's own.
struct House {
    folder: TempDir,
    service: Option<Service>,
    /// Where it listens, also when it is started again.
    address: String,
    password: String,
    source: PathBuf,
    /// When the test began, ahead of the service's clock.
    began: u64,
}

impl House {
    /// `None`, said loudly, where ffmpeg is missing.
    fn open() -> Option<Self> {
        Self::packaged(&[])
    }

    /// The same, with a title that is packaged so.
    fn packaged(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let source = clip(folder.path(), "320x180", 4, "-g 25 -bf 2")?;
        let data = folder.path().join("data");
        let run = |arguments: &[&str]| done(strongroom(&data).args(arguments));
        for lab in ["lab", "other"] {
            let lab = folder.path().join(lab);
            run(&["credentials", "make-test-root", lab.to_str().unwrap()]);
        }
        for system in SYSTEMS {
            let files = folder.path().join("lab").join(system);
            run(&["credentials", "import", system, files.to_str().unwrap()]);
        }
        let policy = folder.path().join("policy.toml");
        fs::write(&policy, POLICY).unwrap();
        run(&["policy", "set", "kept", "--file", policy.to_str().unwrap()]);
        let package = ["package", "--content", "film", "--scheme", "cbcs"];
        let package = [&package[..], &["--segment-seconds", "1"], options].concat();
        done(strongroom(&data).args(package).arg(&source));
        run(&["policy", "assign", "kept", "--content", "film"]);
        let account: serde_json::Value =
            serde_json::from_str(&run(&["--json", "account", "add", "viewer"])).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut house = Self {
            folder,
            service: None,
            address: "127.0.0.1:0".to_owned(),
            password: account["password"].as_str().unwrap().to_owned(),
            source,
            began: now + 3000,
        };
        house.start();
        house.set_clock(0);
        Some(house)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(&mut self) {
        let data = self.folder.path().join("data");
        let log = self.folder.path().join("log");
        let service = Service::start_at(&self.address, "all", &mut strongroom(&data), &log);
        self.address = service.url.replace("http://", "");
        self.service = Some(service);
    }

    fn stop(&mut self) {
        self.service = None;
    }

    /// The viewer's clock, seconds after the test began.
    fn set_clock(&self, seconds: u64) {
        fs::write(self.path("clock"), (self.began + seconds).to_string()).unwrap();
    }

    /// `play` with this library, the clock, and no standard input.
    fn player(&self, options: &[&str]) -> Command {
        let mut command = strongroom(&self.folder.path().join("viewer"));
        command.args(["--json", "play", "--clock-file", &self.path("clock")]);
        command.args(["--library", &self.path("library")]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The same, signed in at the service.
    fn visit(&self, system: &str, options: &[&str]) -> Child {
        let url = self.service.as_ref().unwrap().url.clone();
        let device = self.path(&format!("lab/{system}"));
        let mut command = self.player(&["--server", &url, "--account", "viewer"]);
        command.args(["--password-stdin", "--content", "film", "--dialect", system]);
        command.args(["--device", &device]).args(options).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that is used wrongly ends before it reads.
        let _unread = child.stdin.take().unwrap().write_all(self.password.as_bytes());
        child
    }

    fn download(&self, system: &str) -> serde_json::Value {
        answer(&self.visit(system, &["--offline"]).wait_with_output().unwrap())
    }

    fn offline(&self, options: &[&str]) -> Output {
        let options = [&["--offline", "--content", "film"], options].concat();
        self.player(&options).output().unwrap()
    }

    /// Plays offline; the frames.
    fn plays(&self, options: &[&str]) -> String {
        let frames = self.path("frames");
        answer(&self.offline(&[options, &["--frames", &frames]].concat()));
        fs::read_to_string(frames).unwrap()
    }

    /// Does not play offline, and says why.
    fn refuses(&self, options: &[&str], why: &str) {
        let output = self.offline(options);
        assert!(output.stdout.is_empty(), "{}", said(&output));
        assert!(!output.status.success() && said(&output).contains(why), "{}", said(&output));
    }

    /// The decoded frames of the clear source.
    fn frames(&self) -> String {
        decoded("video", &self.source, "0:v") + &decoded("audio", &self.source, "0:a")
    }
}

fn answer(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(drop).unwrap() }
    }
}

#[test]
fn a_download_plays_without_its_service_until_its_term_and_never_after() {
    let Some(mut house) = House::open() else { return };
    let clear = house.frames();
    for system in SYSTEMS {
        house.set_clock(0);
        let downloaded = house.download(system);
        assert_eq!(downloaded["state"], "whole", "{downloaded}");
        house.stop();
        assert!(house.plays(&[]) == clear, "{system}: other frames");
        house.set_clock(TERM_S - 1);
        assert!(house.plays(&[]) == clear, "{system}: a second before its term");
        house.set_clock(TERM_S);
        house.refuses(&[], "term");
        for back in [0, TERM_S - 1] {
            house.set_clock(back);
            house.refuses(&[], "term");
        }
        let listed = answer(&house.player(&["--offline", "--list"]).output().unwrap());
        assert_eq!((&listed[0]["content"], &listed[0]["missing"]), (&"film".into(), &0.into()));
        fs::remove_dir_all(house.path("library")).unwrap();
        house.start();
    }
}

#[test]
fn keys_that_change_are_all_kept_or_the_title_is_not() {
    let rotating = ["--rotate-seconds", "1", "--rotate-batch", "1"];
    let Some(mut house) = House::packaged(&rotating) else { return };
    let clear = house.frames();
    for system in ["widevine", "playready"] {
        let downloaded = house.download(system);
        assert_eq!(downloaded["state"], "whole", "{downloaded}");
        let there = house.download(system);
        assert_eq!(there["files"]["fetched"], 0, "{there}");
        house.stop();
        assert!(house.plays(&[]) == clear, "{system}: other frames");
        house.set_clock(TERM_S);
        house.refuses(&[], "term");
        house.set_clock(0);
        fs::remove_dir_all(house.path("library")).unwrap();
        house.start();
    }
    // A license of FairPlay has one key, and a playlist names all that come.
    let refused = house.visit("fairplay", &["--offline"]).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("it cannot be kept"), "{}", said(&refused));
    house.refuses(&[], "not in the library");
}

#[test]
fn a_download_is_for_one_device_and_one_service() {
    let Some(mut house) = House::open() else { return };
    house.download("widevine");
    house.stop();
    let clear = house.frames();
    let other = house.path("other/widevine");
    house.refuses(&["--device", &other], "another device's");
    // The library says that it is another service's.
    let description = house.path("library/titles/film/title.json");
    let own = fs::read_to_string(&description).unwrap();
    let title: serde_json::Value = serde_json::from_str(&own).unwrap();
    let origin = title["origin"].as_str().unwrap();
    fs::write(&description, own.replace(origin, "https://video.example")).unwrap();
    house.refuses(&[], "another service");
    fs::write(&description, own).unwrap();
    // A byte of what the CDM keeps.
    let licenses = house.path("library/licenses");
    let sealed = fs::read(&licenses).unwrap();
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&licenses, changed).unwrap();
    house.refuses(&[], "has been changed");
    fs::write(&licenses, &sealed[..sealed.len() / 2]).unwrap();
    house.refuses(&[], "has been changed");
    fs::write(&licenses, sealed).unwrap();
    // A library that went to another folder is the same device's.
    copy(Path::new(&house.path("library")), Path::new(&house.path("moved")));
    let moved = house.path("moved");
    let mut command = strongroom(&house.folder.path().join("viewer"));
    command.args(["play", "--clock-file", &house.path("clock"), "--library", &moved]);
    done(command.args(["--offline", "--content", "film"]));
    assert!(house.plays(&[]) == clear);
    let segment = house.path("library/titles/film/files/0/2.m4s");
    fs::remove_file(segment).unwrap();
    house.refuses(&[], "1 files of film are missing");
}

#[test]
fn a_download_that_is_killed_goes_on_where_it_was() {
    let Some(mut house) = House::open() else { return };
    let clear = house.frames();
    // Each leaves a stream behind, of which the plan has four.
    for milliseconds in [150, 500, 1000] {
        let mut child = house.visit("widevine", &["--offline"]);
        sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = house.offline(&[]);
        let why = said(&output);
        let says = ["not in the library", "is not complete"];
        let is_said = says.iter().any(|one| why.contains(one));
        assert!(output.status.success() || is_said, "{why}");
    }
    let whole = house.download("widevine")["files"].clone();
    let count = |of: &str| whole[of].as_u64().unwrap();
    assert_eq!(count("fetched") + count("present"), 10, "two tracks of four segments");
    assert_eq!(house.download("widevine")["files"]["fetched"], 0);
    house.stop();
    assert!(house.plays(&[]) == clear);
    // Killed while it plays, it plays again.
    let mut child = house.player(&["--offline", "--content", "film"]).spawn().unwrap();
    sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(house.plays(&[]) == clear);
}

#[test]
fn what_may_not_be_kept_is_not_and_what_goes_back_plays_no_more() {
    let Some(mut house) = House::open() else { return };
    let data = house.folder.path().join("data");
    let clear_key = house.visit("clearkey", &["--offline"]).wait_with_output().unwrap();
    assert!(!clear_key.status.success(), "{}", said(&clear_key));
    done(strongroom(&data).args(["policy", "assign", "standard", "--content", "film"]));
    let refused = house.visit("widevine", &["--offline"]).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("may not be kept"), "{}", said(&refused));
    house.refuses(&[], "not in the library");
    done(strongroom(&data).args(["policy", "assign", "kept", "--content", "film"]));
    house.download("widevine");
    // Given back without the service, it plays no more, and the service hears of it later.
    let service = house.service.take();
    let given = answer(&house.offline(&["--forget"]));
    assert_eq!(given["state"], "given-back");
    house.refuses(&[], "was given back");
    house.service = service;
    answer(&house.visit("widevine", &["--offline", "--forget"]).wait_with_output().unwrap());
    house.refuses(&[], "not in the library");
    house.download("widevine");
    house.stop();
    house.plays(&[]);
}

#[test]
fn a_record_of_use_comes_back_to_a_restarted_service_and_is_kept_no_longer() {
    let Some(mut house) = House::open() else { return };
    let uses = house.folder.path().join("library/uses");
    let count = || fs::read_dir(&uses).map_or(0, Iterator::count);
    let mut child = house.visit("widevine", &["--usage-record"]);
    // Killed when something was played, and not before.
    let state = PathBuf::from(house.path("library/licenses"));
    while !state.exists() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(count(), 1);
    house.stop();
    house.start();
    let output = house.visit("widevine", &["--usage-record"]).wait_with_output().unwrap();
    answer(&output);
    assert!(!said(&output).contains("has not heard"), "{}", said(&output));
    assert_eq!(count(), 0, "both were told: {}", said(&output));
}

#[test]
fn one_player_at_a_time_has_a_library() {
    let Some(house) = House::open() else { return };
    fs::create_dir_all(house.path("library")).unwrap();
    let lock = fs::File::create(house.path("library/lock")).unwrap();
    lock.lock().unwrap();
    house.refuses(&[], "another player has this library open");
    drop(lock);
    house.refuses(&[], "not in the library");
}
