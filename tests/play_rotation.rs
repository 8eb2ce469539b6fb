//! The reference player plays a title whose keys change each second: 120 of them without a stall, with
//! one license request a batch, and none opens what is under the next one (R120-R122).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and so may what it starts"
)]

#[path = "support/answering.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod answering;
#[path = "support/binary.rs"]
mod binary;
#[path = "support/clip.rs"]
mod clip;
#[path = "support/frames.rs"]
mod frames;
#[path = "support/rotating.rs"]
mod rotating;
#[path = "support/title.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod title;
#[path = "support/widevine_service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod widevine_service;

use answering::{Reply, serve};
use binary::{said, strongroom};
use dialect::clearkey::{Challenge, Offline};
use dialect::terms::{AnalogOutput, Hdcp, KeyTerms, LicenseTerms, LicensedKey, Robustness};
use model::KeyId;
use rotating::{BATCH, Rotating, named};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use widevine_service::{Keys, WidevineService};

/// A license of Clear Key with the keys among these that a rule gives.
fn clear_license(body: &[u8], periods: u32, is_given: &dyn Fn(Option<u32>) -> bool) -> Vec<u8> {
    let asked = Challenge::parse(body, Offline::Refused).unwrap();
    let given = asked.kids().iter().filter_map(|kid| {
        let (period, key) = named(kid, periods)?;
        is_given(period).then_some((*kid, key))
    });
    let given = given.collect();
    asked.answer(given).as_bytes().to_vec()
}

fn widevine_keys(kids: &[KeyId], periods: u32) -> Vec<LicensedKey> {
    let terms = KeyTerms {
        robustness: Robustness::SoftwareKeys,
        hdcp: Hdcp::Unneeded,
        analog: AnalogOutput::Allowed,
        track_class: None,
    };
    let licensed = |kid: &KeyId| {
        let (_, key) = named(kid, periods)?;
        Some(LicensedKey { kid: *kid, key, terms, iv: None })
    };
    kids.iter().filter_map(licensed).collect()
}

fn play(title: &Rotating, url: &str, options: &[&str], frames: &Path) -> Output {
    let mut command = strongroom(&title.package.with_file_name("data"));
    command.args(["--json", "play", title.package.to_str().unwrap(), "--license-url", url]);
    command.args(options).arg("--frames").arg(frames).output().unwrap()
}

fn summary(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_hundred_and_twenty_keys_play_without_a_stall_and_with_one_request_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Rotating::make(folder.path(), 120) else { return };
    let periods = title.periods;
    assert!(periods >= 120);
    let service = WidevineService::new(Keys::All);
    let devices = service.write_devices(&folder.path().join("root"));
    let terms = LicenseTerms { can_play: true, ..LicenseTerms::default() };
    let widevine = serve(move |_, body| {
        Reply::ok(service.license(body, &terms, |kids, _| widevine_keys(kids, periods)))
    });
    let clearkey = serve(move |_, body| Reply::ok(clear_license(body, periods, &|_| true)));
    let device = ["--device", devices.to_str().unwrap()];
    let frames = folder.path().join("frames");
    for (url, device) in [(&widevine, &device[..]), (&clearkey, &[])] {
        for scheme in ["cbcs", "cenc"] {
            let options = [device, &["--scheme", scheme]].concat();
            let played = summary(&play(&title, url, &options, &frames));
            assert_eq!(played["stalls"], 0, "{played}");
            let keys: Vec<_> = (0..2)
                .map(|track| played["tracks"][track]["key_count"].as_u64().unwrap())
                .collect();
            assert!(keys.iter().all(|count| *count >= 120), "{played}");
            let requests = played["license_requests"].as_u64().unwrap();
            assert!(requests <= u64::from(periods.div_ceil(BATCH)) + 1, "{played}");
            let got = std::fs::read_to_string(&frames).unwrap();
            assert!(got == title.frames, "{scheme}: other frames");
        }
    }
}

#[test]
fn the_picture_ends_where_the_keys_do() {
    let folder = tempfile::tempdir().unwrap();
    let Some(title) = Rotating::make(folder.path(), 30) else { return };
    let (periods, requests) = (title.periods, Arc::new(AtomicUsize::new(0)));
    // The keys of 25 periods, and then no.
    let url = serve({
        let requests = Arc::clone(&requests);
        move |_, body| {
            requests.fetch_add(1, Ordering::SeqCst);
            Reply::ok(clear_license(body, periods, &|period| period.is_none_or(|at| at < 25)))
        }
    });
    let frames = folder.path().join("frames");
    let output = play(&title, &url, &["--scheme", "cbcs"], &frames);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No license has the key of what comes now"));
    let played: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(played["tracks"][0]["frames"], 25 * 25, "{played}");
    assert_eq!(played["tracks"][0]["key_count"], 25);
    assert_eq!(played["ended"], "No license has the key of what comes now");
    let got = std::fs::read_to_string(&frames).unwrap();
    let video = |text: &str| text.lines().filter(|line| line.starts_with("video")).count();
    assert!(video(&got) == 625 && title.frames.starts_with(&got[..got.find("audio").unwrap()]));
    assert!(requests.load(Ordering::SeqCst) < 6, "it does not ask for each segment");
}
