//! A live event whose keys change, out of a real encoder, at the running service: an account that
//! is suspended in the middle of it loses the picture within the horizon of its licenses, and one
//! that is not plays on, under every DRM system (R120 to R125).

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic and measure time, and so may what it starts"
)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/encoder.rs"]
mod encoder;
#[path = "support/house.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "support/service.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod service;

use binary::{said, strongroom};
use encoder::{FRAGMENTS, encoder};
use house::{House, summary};
use serde_json::Value;
use std::process::{Child, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// So far ahead licenses reach, seconds.
const HORIZON_S: u64 = 8;
/// Periods of a batch: media names keys from far behind the horizon, which is what counts then.
const BATCH: &str = "5";
/// The account is suspended so long after its players have begun, seconds.
const WATCHED_S: u64 = 6;
/// A player is so far behind what is on the air at most: three segments, and the way to it.
const BEHIND_MS: u64 = 7000;
/// What the machine may take: a player that is scheduled late, a process that ends, milliseconds.
const TOLERANCE_MS: u64 = 2000;
/// Sound may end a segment later than pictures, and does not end where they do, milliseconds.
const ROUNDING_MS: u64 = 1200;
/// Who is not suspended watches so much, seconds.
const STAYS_S: u64 = 24;
/// Renewals that two keys of FairPlay are refused between three quarters of a lease and its end.
const MAX_RENEWALS: usize = 8;
const SENTENCE: &str = "Your subscription is not active.";

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// An event on the air.
struct Event {
    house: House,
    encoder: Child,
    packager: Child,
    begins_ms: u64,
}

impl Event {
    /// Begins one whose keys serve so long, and waits until players can see it.
    fn begin(period_s: u32) -> Option<Self> {
        let house = House::open(&["leaver", "stayer"]);
        let policy = house.folder.path().join("live.toml");
        std::fs::write(&policy, format!("license_s = 3600\n[rotation]\nhorizon_s = {HORIZON_S}\n"))
            .unwrap();
        house.run(&["policy", "set", "live", "--file", policy.to_str().unwrap()]);
        house.run(&["title", "add", "channel", "--policy", "live"]);
        let mut encoder = encoder(120, FRAGMENTS)?;
        let mut packager = strongroom(&house.data());
        packager.args(["--json", "package", "--live", "--content", "channel", "--scheme", "dual"]);
        packager.args(["--segment-seconds", "1", "--rotate-batch", BATCH]);
        packager.args(["--rotate-seconds", &period_s.to_string()]);
        packager.arg("-").stdin(Stdio::from(encoder.stdout.take().unwrap()));
        let packager = packager.stdout(Stdio::null()).spawn().unwrap();
        let document = house.data().join("media/channel/current/package.json");
        let begun = Instant::now();
        let package = loop {
            assert!(begun.elapsed() < Duration::from_secs(20), "the event does not begin");
            let listed: Value =
                serde_json::from_str(&house.run(&["--json", "title", "list"])).unwrap();
            if listed["titles"][0]["state"] == "published" {
                break std::fs::read(&document).unwrap();
            }
            sleep(Duration::from_millis(100));
        };
        let package: Value = serde_json::from_slice(&package).unwrap();
        let begins_ms = package["packaged_at"].as_u64().unwrap();
        Some(Self { house, encoder, packager, begins_ms })
    }

    /// A viewer begins to watch.
    fn watch(&self, viewer: &str, dialect: &str, seconds: u64) -> Child {
        let devices = self.house.devices_of(dialect);
        let seconds = seconds.to_string();
        let mut options = vec!["--dialect", dialect, "--seconds", &seconds];
        if dialect != "clearkey" {
            options.extend(["--device", devices.to_str().unwrap()]);
        }
        self.house.start(viewer, "channel", &options)
    }

    /// When what a player saw last was on the air. Playlists tell dates, an MPD the time since the
    /// event's begin.
    fn ended_ms(&self, dialect: &str, played: &Value) -> u64 {
        let epoch_ms = if dialect == "fairplay" { 0 } else { self.begins_ms };
        epoch_ms + played["ended_at_ms"].as_u64().unwrap()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        for child in [&mut self.encoder, &mut self.packager] {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

fn is_on(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_none()
}

/// How long after the suspension the picture may be there. A license ends at the horizon; one of
/// Clear Key has no end and no key from behind it, and is watched so far behind the event.
fn lost_within_ms(dialect: &str) -> u64 {
    let behind_ms = if dialect == "clearkey" { BEHIND_MS } else { 0 };
    HORIZON_S * 1000 + behind_ms + TOLERANCE_MS
}

/// What one who was suspended saw: all of it for a time, and nothing from behind the horizon.
fn assert_lost(dialect: &str, output: &Output, event: &Event, suspended_ms: u64) {
    assert_eq!(output.status.code(), Some(1), "{dialect}: {}", said(output));
    let played = summary(output);
    assert_eq!(played["ended"], SENTENCE, "{dialect}: {}", said(output));
    assert_eq!(played["stalls"], 0, "{dialect}: {}", said(output));
    // One license of each key was renewed, and not each that there was.
    let renewals = said(output).matches("kind=LicenseRenewal").count();
    assert!(renewals <= MAX_RENEWALS, "{dialect}: {}", said(output));
    let ended_ms = event.ended_ms(dialect, &played);
    assert!(ended_ms <= suspended_ms + HORIZON_S * 1000, "{dialect}: {played}");
    assert!(ended_ms >= suspended_ms - BEHIND_MS, "{dialect}: lost before: {played}");
    // Each frame of it.
    let number = |name: &str| played["tracks"][0][name].as_u64().unwrap();
    assert_eq!(number("frames"), 25 * number("segments"), "{dialect}: {played}");
    let missing_ms = played["played_ms"].as_u64().unwrap().abs_diff(1000 * number("segments"));
    assert!(missing_ms < ROUNDING_MS, "{dialect}: {missing_ms} {played}");
}

/// What one saw who was not: all of it.
fn assert_played(dialect: &str, output: &Output, event: &Event, period_s: u32) {
    let ended_ms = now_ms();
    assert!(output.status.success(), "{dialect}: {}", said(output));
    let played = summary(output);
    assert_eq!(played["ended"], "so much was to be played", "{dialect}: {played}");
    assert_eq!(played["stalls"], 0, "{dialect}: {}", said(output));
    let tracks = played["tracks"].as_array().unwrap();
    let frames = tracks[0]["frames"].as_u64().unwrap();
    assert!(frames.abs_diff(STAYS_S * 25) <= 25, "{dialect}: {played}");
    let behind_ms = ended_ms - event.ended_ms(dialect, &played);
    eprintln!("{dialect}: {behind_ms} ms behind, {} requests", played["license_requests"]);
    assert!(behind_ms <= BEHIND_MS, "{dialect}: {behind_ms} ms behind the event: {played}");
    let keys = |track: &Value| track["key_count"].as_u64().unwrap();
    let least = (STAYS_S / u64::from(period_s)).max(1);
    assert!(tracks.iter().all(|track| keys(track) >= least), "{dialect}: {played}");
}

/// Viewers watch, one account is suspended, and its players lose the picture.
///
/// `leavers` and `stayers` are the systems that they play under.
fn assert_only_the_suspended_lose_it(period_s: u32, leavers: &[&str], stayers: &[&str]) {
    let Some(event) = Event::begin(period_s) else { return };
    let watch = |viewer: &str, dialects: &[&str], seconds| -> Vec<_> {
        let start = |dialect: &&str| ((*dialect).to_owned(), event.watch(viewer, dialect, seconds));
        dialects.iter().map(start).collect()
    };
    let mut leavers = watch("leaver", leavers, 60);
    let mut stayers = watch("stayer", stayers, STAYS_S);
    sleep(Duration::from_secs(WATCHED_S));
    assert!(leavers.iter_mut().all(|(_, child)| is_on(child)), "nobody was suspended");
    event.house.run(&["account", "suspend", "leaver"]);
    let (suspended_ms, suspended) = (now_ms(), Instant::now());
    leavers.sort_by_key(|(dialect, _)| dialect == "clearkey");
    for (dialect, child) in &mut leavers {
        let most = Duration::from_millis(lost_within_ms(dialect));
        while is_on(child) {
            let elapsed = suspended.elapsed();
            assert!(elapsed < most, "{dialect}: the picture is there after {elapsed:?}");
            sleep(Duration::from_millis(20));
        }
        eprintln!("{dialect}: the picture was lost after {:?}", suspended.elapsed());
    }
    assert!(stayers.iter_mut().all(|(_, child)| is_on(child)), "who was not suspended left");
    for (dialect, child) in leavers {
        assert_lost(&dialect, &child.wait_with_output().unwrap(), &event, suspended_ms);
    }
    for (dialect, child) in stayers {
        assert_played(&dialect, &child.wait_with_output().unwrap(), &event, period_s);
    }
}

#[test]
fn who_is_suspended_loses_the_picture_within_the_horizon_and_nobody_else() {
    assert_only_the_suspended_lose_it(2, &["widevine", "clearkey"], &["widevine", "fairplay"]);
}

#[test]
fn a_key_that_serves_longer_than_the_horizon_is_lost_with_its_license() {
    assert_only_the_suspended_lose_it(60, &["fairplay", "playready"], &["playready"]);
}
